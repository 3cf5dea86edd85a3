import dataclasses

import numpy as np
import pytest
import torch

from data_gen import make_batch
from mini_sora import MiniSora
from mini_sora.checkpoint import load
from mini_sora.config import UserError
from mini_sora.data import to_pixels, to_uint8
from mini_sora.diffusion import Linear, diffusion_loss
from mini_sora.evaluate import interval, scores
from mini_sora.fit import FitConfig, fit
from mini_sora.model import SamplerConfig, Sora
from mini_sora.presets import PRESETS
from mini_sora.samplers import sampling_times, sources_of

PROMPT = "a red circle moves left"


def test_pixels_and_back_are_exact():
    video = make_batch("shapes-simple", range(2), (24, 32), 5).video
    x = to_pixels(video)
    assert x.shape == (2, 3, 5, 24, 32) and x.min() >= -1 and x.max() <= 1
    assert np.array_equal(to_uint8(x), video)


@pytest.mark.parametrize("size, frames", [((32, 32), 17), ((24, 40), 1), ((40, 24), 9)])
def test_generate_gives_what_was_asked(smoke, size, frames):
    video = smoke.generate(PROMPT, size=size, frames=frames)
    assert video.frames.shape == (frames, *size, 3) and video.prompt == PROMPT


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "euler"])
def test_same_seed_same_bytes(smoke, sampler):
    one, same, other = (smoke.generate(PROMPT, seed=s, sampler=sampler).frames for s in (3, 3, 4))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_a_clip_of_a_batch_is_the_clip_alone(smoke):
    both = smoke.generate([PROMPT, "the square is blue and rises"], seed=5)
    alone = smoke.generate("the square is blue and rises", seed=6)
    off = np.abs(both[1].frames.astype(int) - alone.frames)
    assert off.max() <= 1, "alone or in a batch, only rounding may differ"


def test_guidance_one_is_the_conditional_model(smoke):
    calls = []
    hook = smoke.sora.dit.register_forward_hook(lambda *_: calls.append(1))
    try:
        smoke.generate(PROMPT, guidance=1.0, steps=3)
        assert len(calls) == 3
        smoke.generate(PROMPT, guidance=2.0, steps=3)
        assert len(calls) == 3 + 6
    finally:
        hook.remove()


def test_each_prediction_is_told_what_it_should_know(smoke):
    told, done = [], torch.ones(1, 4, dtype=torch.long)
    shape, shift = smoke.config.latent_shape((24, 32), 5), smoke.config.sampling.shift
    hook = smoke.sora.dit.register_forward_hook(lambda _, given, answer: told.append(given))
    try:
        smoke._film([PROMPT], sources_of(0, 1), shape, actions=done, guidance=2.0, steps=3)
        whole = len(told)
        smoke._film([PROMPT], sources_of(0, 1), shape, guidance=2.0, steps=3, guide_to=0.9)
    finally:
        hook.remove()
    words = int(smoke.tokenize([PROMPT])[1].sum())
    assert [int(mask.sum()) for _, _, _, mask, _ in told[:whole]] == [1, words] * 3, "one knows no prompt"
    assert all(torch.equal(actions, done) for *_, actions in told[:whole]), "both know the actions"
    times = [t.max().item() for _, t, *_ in told[1:whole:2]]
    assert times == pytest.approx(sampling_times(3, shift=shift)[:-1].tolist())
    assert len(told) - whole == 5, "at t = 1 there is no guidance"


def test_guidance_goes_towards_what_is_known(smoke):
    """Of the two predictions of each step one knows the picture, and the other neither it nor the prompt."""
    image, times = smoke.generate(PROMPT, frames=1).frames[0], []
    hook = smoke.sora.dit.register_forward_hook(lambda _, given, answer: times.append(given[1][0].tolist()))
    try:
        smoke.animate(image, PROMPT, 9, guidance=2.0, steps=3)
    finally:
        hook.remove()
    told, untold = [t for t in times if t[0] == 0], [t for t in times if t[0] > 0]
    assert len(told) == len(untold) == 3
    assert sorted(t[1:] for t in told) == sorted(t[1:] for t in untold)
    assert all(len(set(t)) == 1 for t in untold), "the picture is as noisy as the rest"


def test_prompts_matter():
    torch.manual_seed(0)
    model = PRESETS["smoke"].model
    sora = Sora(model)
    for p in sora.parameters():
        p.data += 0.1 * torch.randn_like(p)
    z, t = torch.randn(1, model.vae.channels, 2, 4, 4), torch.full((1, 2), 0.5)
    mask = torch.ones(1, 3, dtype=torch.bool)
    one, other = (sora(z, t, torch.tensor([row]), mask) for row in ([1, 2, 3], [4, 2, 3]))
    assert not torch.allclose(one, other)


def test_saved_weights_load_again(smoke, tmp_path):
    smoke.save_pretrained(tmp_path / "copy", note="why")
    copy = MiniSora.from_pretrained(tmp_path / "copy")
    assert copy.config == smoke.config and copy.words == smoke.words
    assert np.array_equal(copy.generate(PROMPT).frames, smoke.generate(PROMPT).frames)
    assert load(tmp_path / "copy")[1]["note"] == "why"
    with pytest.raises(UserError, match="exists"):
        smoke.save_pretrained(tmp_path / "copy")


def test_damaged_or_missing_weights_are_named(smoke, tmp_path):
    smoke.save_pretrained(tmp_path / "bad")
    path = tmp_path / "bad" / "vae.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"vae\.safetensors is damaged.*; train --resume"):
        MiniSora.from_pretrained(tmp_path / "bad")
    with pytest.raises(UserError, match="no weights 'nowhere'"):
        MiniSora.from_pretrained("nowhere")


def test_a_training_checkpoint_is_not_a_model(smoke_run):
    with pytest.raises(UserError, match="not a model"):
        MiniSora.from_pretrained(smoke_run / "dit" / "checkpoints" / "step-0000004")


@pytest.mark.parametrize(
    "options, word",
    [
        ({"prompt": "  "}, "empty"),
        ({"size": (32, 36)}, "side 36"),
        ({"size": (0, 32)}, "side 0"),
        ({"frames": 16}, "16 frames"),
        ({"frames": -3}, "-3 frames"),
        ({"seed": -1}, "seed"),
        ({"steps": 0}, "steps"),
        ({"guidance": float("nan")}, "guidance"),
        ({"sampler": "heun"}, "sampler"),
        ({"stepz": 3}, "did you mean 'steps'"),
        ({"prompt": "red " * 250_000}, "too long"),
    ],
)
def test_impossible_wishes_are_refused(smoke, options, word):
    with pytest.raises(UserError, match=word):
        smoke.generate(**{"prompt": PROMPT, **options})


def test_capitals_do_not_matter(smoke):
    assert np.array_equal(smoke.generate("A RED circle").frames, smoke.generate("a red circle").frames)


def test_any_prompt_gives_a_video(smoke, monkeypatch):
    for prompt in ("🦊 jumps", "a purple hexagon explodes", "\x00\x07", "ROT"):
        assert smoke.generate(prompt, steps=1).frames.shape == (17, 32, 32, 3)
    monkeypatch.setattr(smoke, "words", frozenset({"a", "red", "rises"}))
    assert smoke.unknown_words("A red dog RISES; sideways") == ["dog", "sideways"]


def test_overfits_one_batch(tmp_path):
    """The DiT and the samplers together: two prompts, two clips, each given back when asked for."""
    config = dataclasses.replace(PRESETS["smoke"].model, sampling=SamplerConfig(guidance=1.0))
    torch.manual_seed(0)
    model = Sora(config)
    z_0 = torch.randn(2, config.vae.channels, 2, 4, 4)
    tokens, mask = torch.tensor([[1, 2], [3, 4]]), torch.ones(2, 2, dtype=torch.bool)

    def loss(forward, batch, generator):
        rows = torch.randint(2, (16,), generator=generator)
        t = torch.rand(16, 1, generator=generator).expand(16, 2)
        eps = torch.randn(16, *z_0.shape[1:], generator=generator)
        return diffusion_loss(
            lambda z, t: forward(z, t, tokens[rows], mask[rows]), Linear(), "v", z_0[rows], t, eps
        )

    fit(model, loss, range(250), FitConfig(steps=250, warmup=10, precision="float32"), tmp_path, quiet=True)
    from mini_sora.samplers import draw_noise, sample

    noise = draw_noise(z_0.shape[1:], [torch.Generator().manual_seed(i) for i in range(2)])
    out = sample(lambda z, t: model(z, t, tokens, mask), Linear(), "v", noise, "euler", steps=20)
    assert (out - z_0).pow(2).mean() < 0.1


def test_scores_and_intervals():
    low, high = interval(0.9, 256)
    assert 0.85 < low < 0.9 < high < 0.94 and interval(1.0, 10)[1] == 1.0
    assert scores([None]) == {}

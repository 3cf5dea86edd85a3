"""Several videos of a prompt, of which the one with the highest fitness is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data_gen import make_batch
from mini_sora import MiniSora, pipeline
from mini_sora.__main__ import main
from mini_sora.config import UserError
from mini_sora.data import action_numbers
from mini_sora.samplers import draw_noise, others, sources_of

PROMPTS = ["a red circle moves left", "a blue square rises", "a green triangle stays still"]
FEW = {"frames": 5, "steps": 2, "guidance": 1.0}  # so that many a video is wrong


@pytest.fixture(scope="module")
def simple():
    return MiniSora.from_pretrained("simple")


def candidates(sora, seed, prompt, count, *known, **how):
    """What best_of chooses from, made one by one: latents (count, C, K, h, w)."""
    shape, sources = sora.config.latent_shape((32, 32), 5), sources_of(seed, 1)
    made = [sora._film([prompt], g, shape, *known, **how) for g in (sources, *others(sources, count - 1))]
    return torch.cat(made)


def near(a, b):
    return np.abs(a.astype(int) - b).max() <= 1


def test_more_sources_follow_from_one_and_leave_it_as_it_is():
    sources = sources_of(3, 2)
    found, again = others(sources, 2), others(sources_of(3, 2), 2)
    seeds = [[g.initial_seed() for g in each] for each in found]
    assert seeds == [[g.initial_seed() for g in each] for each in again]
    assert len({*seeds[0], *seeds[1], 3, 4}) == 6
    assert torch.equal(torch.rand(9, generator=sources[0]), torch.rand(9, generator=sources_of(3, 1)[0]))
    assert others(sources, 1)[0][0].initial_seed() != seeds[0][0], "a later window has others"


def test_the_fittest_is_kept(simple):
    chosen, how = [], {"steps": 2, "guidance": 1.0}
    for i, prompt in enumerate(PROMPTS):
        made = candidates(simple, 7 + i, prompt, 4, **how)
        videos, best = simple.decode(made), simple.fitness(made, [prompt] * 4).argmax().item()
        kept = simple.generate(prompt, seed=7 + i, best_of=4, **FEW).frames
        assert near(kept, videos[best]) and not any(near(kept, v) for v in np.delete(videos, best, axis=0))
        chosen.append(best)
    assert any(chosen), "no later one was better: the test cannot tell it from the first"
    together = simple.generate(PROMPTS, seed=7, best_of=4, **FEW)
    assert all(
        near(video.frames, simple.generate(prompt, seed=7 + i, best_of=4, **FEW).frames)
        for i, (video, prompt) in enumerate(zip(together, PROMPTS, strict=True))
    ), "the same alone and in a batch"


def test_what_shows_the_prompt_and_does_not_flicker_is_fit(simple):
    truth = make_batch("shapes-simple", range(8), (32, 32), 17, "test")
    texts, z = list(truth.captions), simple.encode(truth.video)

    def told(z, texts):
        return simple.captioner.likelihood(simple.decode(z), texts)

    fit, other = simple.fitness(z, texts), texts[1:] + texts[:1]
    assert (fit > simple.fitness(z, other)).all(), "another's prompt fits as well"
    mixed = z.clone()
    mixed[:, :, 2] = mixed[:, :, 2].roll(1, 0)  # a frame of another clip
    noticed = (fit - told(z, texts)) - (simple.fitness(mixed, texts) - told(mixed, texts))
    assert (noticed > 1).all(), "the captioner alone notices a frame of another clip"
    noticed = (fit - told(z, texts)) - (simple.fitness(z, other) - told(z, other))
    assert (noticed > 0).float().mean() > 0.7, "the DiT does not read the prompt"


def test_fitness_is_the_same_in_parts_with_each_clip_its_own_prompt_and_actions(monkeypatch):
    tiny, truth = MiniSora.from_pretrained("tiny"), make_batch("play", range(8), (32, 32), 17, "test")
    texts, z = list(truth.captions), tiny.encode(truth.video)
    done = torch.stack(
        [torch.as_tensor(action_numbers(clip.actions, 17)) for clip in map(truth.__getitem__, range(8))]
    )
    fit = tiny.fitness(z, texts, done)
    assert (fit > tiny.fitness(z, texts, done.roll(1, 0))).float().mean() > 0.7, "the DiT is told no actions"
    monkeypatch.setattr(tiny, "_batch", lambda shape: 3)
    torch.testing.assert_close(tiny.fitness(z, texts, done), fit, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("target", ["eps", "v", "x"])
def test_fitness_of_any_target_and_of_pictures(simple, target, monkeypatch):
    config = replace(simple.config, sampling=replace(simple.config.sampling, target=target))
    monkeypatch.setattr(simple, "config", config)
    z = torch.randn(2, *config.latent_shape((32, 32), 1))
    assert simple.fitness(z, PROMPTS[:2]).shape == (2,)


def test_they_are_judged_by_noise_that_none_was_made_from(simple, monkeypatch):
    seen, error = [], pipeline.squared_error
    monkeypatch.setattr(pipeline, "squared_error", lambda *a: seen.append(a[-1]) or error(*a))
    simple.generate(PROMPTS[0], seed=0, best_of=2, **FEW)
    shape = simple.config.latent_shape((32, 32), 5)
    used = [draw_noise(shape, g) for g in (sources_of(0, 1), *others(sources_of(0, 1), 1))]
    assert len(seen) == 1 and not any(torch.equal(seen[0], noise) for noise in used)


def test_each_is_made_from_what_is_given_for_its_prompt(simple):
    images, chosen = [video.frames[0] for video in simple.generate(PROMPTS[:2], seed=1)], []
    for flip in (False, True):  # nothing must be able to tell which picture is whose
        prompts = PROMPTS[:2][:: -1 if flip else 1]
        best = []
        for i, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
            first = simple.encode(image[None, None])
            given = torch.cat([first, first], dim=2)
            made = candidates(simple, 4 + i, prompt, 3, given, torch.tensor([True, False]), steps=2)
            chosen.append(simple.fitness(made, [prompt] * 3).argmax().item())
            best.append(simple.decode(made)[chosen[-1], 1:])
        together = simple.animate(images, prompts, 5, seed=4, steps=2, best_of=3)
        assert all(near(video.frames[1:], one) for video, one in zip(together, best, strict=True))
    assert any(chosen), "no later one was better: the test cannot tell it from the first"


def test_what_belongs_to_a_prompt_goes_with_it(smoke, monkeypatch):
    shape, seen = smoke.config.latent_shape((32, 32), 5), []

    def denoise(how, texts, sources, shape, given, known, start, actions, *_):
        seen.extend(zip(texts, given[:, 0, 0, 0, 0].tolist(), actions[:, 0].tolist(), strict=True))
        return given

    monkeypatch.setattr(smoke, "_denoise", denoise)
    given = torch.stack([torch.full(shape, 0.1), torch.full(shape, 0.2)])
    actions = torch.tensor([[1] * 4, [2] * 4])
    smoke._film(PROMPTS[:2], sources_of(0, 2), shape, given, actions=actions, best_of=3)
    assert seen == 3 * [(PROMPTS[0], pytest.approx(0.1), 1), (PROMPTS[1], pytest.approx(0.2), 2)]


def test_the_first_window_alone_is_chosen(simple, monkeypatch):
    made, denoise = [], simple._denoise
    monkeypatch.setattr(
        simple, "_denoise", lambda how, texts, *a: made.append(len(texts)) or denoise(how, texts, *a)
    )
    how = {"steps": 1, "best_of": 3}
    video = simple.generate(PROMPTS[0], frames=65, **how)
    assert made[0] == 3 and len(made) > 2 and {*made[1:]} == {1}
    for direction in ("forward", "backward"):
        made.clear()
        simple.extend(video.frames[:17], PROMPTS[0], 48, direction, **how)
        assert made[0] == 3 and len(made) > 1 and {*made[1:]} == {1}
    made.clear()
    simple.animate(video.frames[0], PROMPTS[0], 65, **how)
    assert made[0] == 3 and len(made) > 1 and {*made[1:]} == {1}


def test_several_are_made_but_to_extend_and_to_edit(simple, monkeypatch):
    made, denoise = [], simple._denoise
    monkeypatch.setattr(
        simple, "_denoise", lambda how, texts, *a: made.append(len(texts)) or denoise(how, texts, *a)
    )
    usual = replace(simple.config, sampling=replace(simple.config.sampling, steps=1, best_of=3))
    monkeypatch.setattr(simple, "config", usual)
    video = simple.generate(PROMPTS[0])
    simple.animate(video.frames[0], PROMPTS[0])
    simple.connect(video, video, PROMPTS[0])
    simple.loop(PROMPTS[0])
    assert made == 5 * [3]
    for direction in ("forward", "backward"):
        simple.extend(video, PROMPTS[0], direction=direction)
    simple.edit(video, PROMPTS[1])
    simple.upscale(video, 1.5)
    simple.edit(video, PROMPTS[1], best_of=2)
    assert made[5:] == [1, 1, 1, 1, 2]
    simple.generate(PROMPTS[0], frames=1)
    simple.generate(PROMPTS[0], frames=1, best_of=2)
    monkeypatch.setattr(simple, "config", replace(usual, sampling=replace(usual.sampling, best_of=1)))
    simple.generate(PROMPTS[0], frames=1)
    assert made[10:] == [12, 2, 1], "a picture is soon made"


def test_what_the_captioner_cannot_see_is_refused_before_the_work(smoke, monkeypatch):
    monkeypatch.setattr("mini_sora.captioner.MAX_TOKENS", 8)
    monkeypatch.setattr(smoke, "_denoise", None)
    with pytest.raises(UserError, match="to the captioner"):
        smoke.generate(PROMPTS[0], size=(32, 32), best_of=2)


def test_the_captioner_is_the_one_that_is_shipped(smoke_run, tmp_path, monkeypatch):
    (tmp_path / "captioner").mkdir()
    (tmp_path / "captioner" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert MiniSora.from_pretrained(smoke_run).captioner.tokenizer.size > 1000


def test_each_is_told_at_length_anew(smoke, monkeypatch):
    prompt, told, filmed = "a red circle moves left", [], []
    monkeypatch.setattr(
        smoke, "_at_length", lambda texts, moving, sources: [str(g.initial_seed()) for g in sources]
    )
    fits = torch.tensor([[0.0, 5.0], [2.0, 1.0], [3.0, 4.0]])  # best the third and the first
    monkeypatch.setattr(smoke, "fitness", lambda z, texts, actions: filmed.append(texts) or fits.flatten())
    smoke.generate([prompt, "a blue square rises"], seed=5, best_of=3, tell=told.append)
    third = others(sources_of(5, 2), 2)[1][0]
    assert told == [[str(third.initial_seed()), "6"]]
    assert filmed == [[prompt, "a blue square rises"] * 3], "they are judged by what was asked"


def test_it_can_be_asked_for_by_a_flag(tmp_path, fails):
    command = ["generate", PROMPTS[0], "--steps", "2", "--seed", "7", "--frames", "5", "--guidance", "1"]
    assert main([*command, "--best-of", "4", "-o", str(tmp_path / "best.png")]) == 0
    assert main([*command, "--best-of", "1", "-o", str(tmp_path / "first.png")]) == 0
    sora = MiniSora.from_pretrained("simple")
    sora.generate(PROMPTS[0], seed=7, best_of=4, **FEW).save(tmp_path / "same.png")
    best, same, first = ((tmp_path / f"{name}.png").read_bytes() for name in ("best", "same", "first"))
    assert best == same != first
    assert "best_of is 0" in fails(*command, "--best-of", "0", "-o", str(tmp_path / "none.png"))


def test_no_fewer_than_one_can_be_made(simple):
    with pytest.raises(UserError, match="best_of"):
        simple.generate(PROMPTS[0], best_of=0)

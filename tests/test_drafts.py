"""What is larger than the model's own size is filmed as a draft, enlarged, and made sharp."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from data_gen import make_batch
from mini_sora import MiniSora
from mini_sora.data import resized, to_pixels
from mini_sora.dit import DiTConfig
from mini_sora.model import ModelConfig

PROMPTS = ["a red circle moves left", "a blue square rises"]
CLIPS = make_batch("shapes", range(2), (40, 56), 33).video


@pytest.fixture
def calls(smoke, monkeypatch):
    """What the sampler is called with, call by call."""
    found, denoise = [], smoke._denoise

    def noting(how, prompts, sources, shape, given, known, start, actions, *watching):
        found.append(SimpleNamespace(**locals()))
        return denoise(how, prompts, sources, shape, given, known, start, actions, *watching)

    monkeypatch.setattr(smoke, "_denoise", noting)
    return found


@pytest.mark.parametrize(
    "own, patch, sides, draft",
    [
        ((32, 32), 2, (18, 18), (8, 8)),
        ((32, 32), 2, (16, 28), (8, 14)),
        ((32, 32), 2, (12, 18), (8, 12)),
        ((32, 32), 2, (8, 20), (8, 20)),
        ((32, 32), 2, (6, 8), (6, 8)),
        ((32, 56), 2, (16, 28), (8, 14)),
        ((32, 32), 4, (16, 28), (8, 16)),
    ],
)
def test_a_draft_has_the_models_short_side_and_the_videos_aspect(own, patch, sides, draft):
    config = ModelConfig(size=own, dit=DiTConfig(patch=(1, patch, patch)))
    assert config.draft_shape((8, 5, *sides)) == (8, 5, *draft)


def test_a_draft_is_enlarged_and_made_sharp(smoke, calls, monkeypatch):
    monkeypatch.setattr(smoke, "_at_length", lambda prompts, *_: [f"{p} slowly" for p in prompts])
    told, how = [], {"steps": 3, "seed": 5}
    videos = smoke.generate(PROMPTS, (40, 56), best_of=2, tell=told.append, **how)
    assert [video.frames.shape for video in videos] == [(17, 40, 56, 3)] * 2
    draft, sharp = calls
    assert draft.shape[2:] == (8, 12) and sharp.shape[2:] == (10, 14)
    assert (draft.start, sharp.start) == (1, 0.3) and draft.given is None and sharp.known is None
    assert draft.how.steps == sharp.how.steps == 3 and len(draft.prompts) == 4
    longer = [f"{prompt} slowly" for prompt in PROMPTS]
    assert draft.prompts[:2] == longer and sharp.prompts == PROMPTS and told == [longer]
    small = smoke.generate(PROMPTS, (32, 48), best_of=2, **how)
    large = resized(to_pixels(np.stack([video.frames for video in small])), (40, 56))
    assert torch.equal(sharp.given, smoke.encode(large)), "drafts of the same seeds, enlarged"


def test_what_begins_with_a_video_has_no_draft(smoke, calls):
    smoke.edit(list(CLIPS[:, :17]), PROMPTS, 0.9, steps=1)
    smoke.upscale(CLIPS[0, :5], 2, PROMPTS[0], steps=1)
    assert [call.start for call in calls] == [0.9, 0.3]
    del calls[:]
    smoke.edit(list(CLIPS[:, :17]), PROMPTS, 1, steps=1)
    assert [call.start for call in calls] == [1, 0.3], "nothing is left of it, so it is as any other"


@pytest.mark.parametrize("size", [(24, 32), (32, 32), [32, 32], (32, 56)])
def test_what_is_not_larger_is_filmed_directly(smoke, calls, size):
    smoke.generate(PROMPTS[0], size, steps=1)
    assert [call.start for call in calls] == [1] and calls[0].shape[2:] == tuple(n // 4 for n in size)


@pytest.mark.parametrize(
    "ask, masks",
    [
        (lambda s, c, p: s.animate(c[:, 0], p, steps=1), ["1????"]),
        (lambda s, c, p: s.extend(c[:, :17], p, 16, steps=1), ["11111????"]),
        (lambda s, c, p: s.extend(c[:, :17], p, 16, "backward", steps=1), ["?????1111"]),
        (lambda s, c, p: s.connect(c[:, :9], c[:, 17:], p, 8, steps=1), ["111??11"]),
        (lambda s, c, p: s.loop(p, c[:, :9], 8, steps=1), ["111??11"]),
        (lambda s, c, p: s.generate(p, (40, 56), 1, steps=1), ["?"]),
        (lambda s, c, p: s.generate(p, (40, 56), 53, steps=1), ["?????"] + 4 * ["111??"] + ["1111?"]),
    ],
)
def test_every_way_of_asking_has_drafts(smoke, calls, ask, masks):
    ask(smoke, CLIPS, PROMPTS)
    for draft, sharp, mask in zip(calls[::2], calls[1::2], masks, strict=True):
        assert (draft.shape[2:], sharp.shape[2:]) == ((8, 12), (10, 14))
        assert (draft.start, sharp.start) == (1, 0.3)
        for call in (draft, sharp):
            known = torch.zeros(call.shape[1]) if call.known is None else call.known
            assert "".join("1" if k else "?" for k in known) == mask


def test_what_is_known_is_known_to_the_draft_and_stays(smoke, calls):
    videos = smoke.extend(list(CLIPS[:, :17]), PROMPTS, 16, steps=1)
    draft, sharp = calls
    given = smoke.encode(CLIPS[:, :17])
    torch.testing.assert_close(sharp.given[:, :, :5], given, atol=1e-4, rtol=1e-4)
    small = smoke.encode(resized(to_pixels(smoke.decode(given)), (32, 48)))
    torch.testing.assert_close(draft.given[:, :, :5], small, atol=1e-4, rtol=1e-4)
    assert all((video.frames[:17] == clip[:17]).all() for video, clip in zip(videos, CLIPS, strict=True))


def test_a_draft_sees_what_it_leads_into(monkeypatch):
    """The VAE looks back when it decodes, to frames that are not yet there."""
    tiny, found = MiniSora.from_pretrained("tiny"), []
    monkeypatch.setattr(tiny, "_denoise", lambda *args: found.append(args[4]) or torch.zeros(2, *args[3]))
    clips = make_batch("shapes", range(2), (72, 72), 17).video
    tiny.extend(list(clips), PROMPTS, 16, "backward")
    shown = tiny.decode(found[0])[:, 17:].astype(float)
    error = (shown - resized(to_pixels(clips), (32, 32))[:, :16]) / 255
    assert -10 * np.log10((error**2).mean((0, 2, 3, 4)).max()) > 28


def test_drafts_and_what_is_made_of_them_are_told_the_actions(smoke, calls, monkeypatch):
    monkeypatch.setattr(smoke, "config", replace(smoke.config, dit=replace(smoke.config.dit, actions=5)))
    monkeypatch.setattr(smoke, "_denoise", lambda *args: calls.append(args) or torch.zeros(2, *args[3]))
    actions = np.arange(32).reshape(2, 16) % 5
    smoke.generate(PROMPTS, (40, 56), actions=actions)
    assert [call[7].tolist() for call in calls] == [actions.tolist()] * 2


def test_a_large_video_is_the_same_alone_or_in_a_batch(smoke):
    film = partial(smoke.generate, size=(40, 56), frames=5, steps=2, best_of=2)
    both, alone = film(PROMPTS, seed=5), film(PROMPTS[1], seed=6)
    assert np.abs(both[1].frames.astype(int) - alone.frames).max() <= 1
    assert np.abs(both[0].frames.astype(int) - film(PROMPTS[0], seed=6).frames).max() > 1


def test_the_bar_goes_by_the_work(smoke):
    told = []
    smoke.generate(
        PROMPTS[0], (64, 64), steps=2, best_of=2, progress=lambda done, all: told.append(done / all)
    )
    assert told == pytest.approx([1 / 6, 1 / 3, 2 / 3, 1]), "two drafts, each of a quarter of the patches"


def test_a_large_video_shows_what_its_draft_does():
    simple = MiniSora.from_pretrained("simple")
    draft, video = (simple.generate(PROMPTS[0], (n, n), seed=3).frames for n in (32, 64))
    off = np.abs(resized(to_pixels(draft[None]), (64, 64))[0].astype(int) - video)
    assert off.mean() < 3 and np.quantile(off, 0.99) > 3


@pytest.mark.parametrize("size", [(64, 88), (24, 16)])
def test_resized_is_bicubic(size):
    frames = make_batch("shapes", range(1), (40, 56), 5).video
    found = resized(to_pixels(frames), size)
    assert found.shape == (1, 5, *size, 3)
    best = [np.asarray(Image.fromarray(f).resize(size[::-1], Image.Resampling.BICUBIC)) for f in frames[0]]
    assert np.abs(found[0].astype(int) - np.stack(best)).max() <= 2

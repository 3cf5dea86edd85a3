"""A window that slides. Where the model's place is taken by the world itself, each must come out exact."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data_gen import make_batch
from mini_sora import MiniSora
from mini_sora.config import UserError
from mini_sora.model import ModelConfig, Sora
from mini_sora.text import Tokenizer
from mini_sora.vae import VAE, VAEConfig

PROMPT = "a red circle moves left"
CLIPS = make_batch("shapes", range(2), (24, 32), 65).video


class World:
    """Takes the place of a model's sampler: each call gives the next of some stretches of the truth.

    What the call says it knows must be the truth's latents there, but for the window's first frame, which
    goes through the VAE once more from the second window on.
    """

    def __init__(self, sora, monkeypatch, clips, *stretches):
        self.sora, self.clips, self.stretches, self.masks, self.given = sora, clips, list(stretches), [], []
        monkeypatch.setattr(sora, "_film", self)

    def __call__(self, prompts, sources, shape, given, known, start, **options):
        assert start == 1
        first, last = self.stretches[len(self.masks)]
        z = self.sora.encode(self.clips[: len(prompts), first : last + 1])
        assert z.shape[1:] == tuple(shape), "the window is not this long"
        told = known.clone()
        told[0] = told[0] and not self.masks
        torch.testing.assert_close(given[:, :, told], z[:, :, told], atol=1e-4, rtol=1e-4)
        self.masks.append("".join("1" if k else "?" for k in known))
        self.given.append(given)
        return z


def near(a, b):
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b).max() <= 1


def through(sora, clips):
    return sora.decode(sora.encode(clips))


def test_what_follows_is_made_at_once_where_the_prompt_tells_it_all(smoke, monkeypatch):
    world = World(smoke, monkeypatch, CLIPS, (0, 32))
    videos = smoke.extend(list(CLIPS[:, :17]), [PROMPT] * 2, 16)
    assert world.masks == ["11111????"]
    made = np.stack([video.frames for video in videos])
    assert np.array_equal(made[:, :17], CLIPS[:, :17]), "what was there is left as it is"
    near(made[:, 17:], through(smoke, CLIPS[:, :33])[:, 17:])


def test_forward_windows_slide_over_the_clip(smoke, monkeypatch):
    world = World(smoke, monkeypatch, CLIPS, (8, 24), (16, 32), (24, 40), (32, 48), (36, 52))
    video = smoke.extend(CLIPS[0, :17], PROMPT, 36)
    assert world.masks == ["111??"] * 4 + ["1111?"]
    assert np.array_equal(video.frames[:17], CLIPS[0, :17])
    near(video.frames[17:], through(smoke, CLIPS[:1, :53])[0, 17:])
    for (first, _), given in zip(world.stretches, world.given, strict=True):
        again = smoke.encode(video.frames[None, first : first + 1])
        torch.testing.assert_close(given[:, :, :1], again, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "frames, pieces", [(33, [33]), (37, [33, 4]), (49, [33, 16]), (53, [17] + [8] * 4 + [4])]
)
def test_a_motion_has_room_up_to_three_lengths(smoke, frames, pieces):
    assert [piece.shape[1] for piece in smoke.stream(PROMPT, frames=frames, steps=1)] == pieces


def test_a_window_is_no_longer_than_fits(smoke, monkeypatch):
    monkeypatch.setattr(smoke, "_film", lambda prompts, sources, shape, *_, **options: torch.zeros(1, *shape))
    pieces = smoke.stream(PROMPT, (256, 256), 37)
    assert [piece.shape[1] for piece in pieces] == [17, 8, 8, 4]
    with pytest.raises(UserError, match="17 frames of 512x512"):
        smoke.generate(PROMPT, (512, 512), 37)


def test_up_to_three_lengths_a_window_is_longer(smoke, monkeypatch):
    world = World(smoke, monkeypatch, CLIPS, (0, 32), (16, 48))
    smoke.extend(CLIPS[0, :17], PROMPT, 32)
    assert world.masks == ["11111????"] * 2
    world = World(smoke, monkeypatch, CLIPS, (0, 32), (4, 36))
    video = smoke.extend(CLIPS[0, :17], PROMPT, 20)
    assert world.masks == ["11111????", "11111111?"]
    near(video.frames[17:], through(smoke, CLIPS[:1, :37])[0, 17:])


def test_only_a_windows_first_frame_is_encoded_again(smoke, monkeypatch):
    seen, encode = [], smoke.vae.encode
    monkeypatch.setattr(smoke.vae, "encode", lambda x: seen.append(x.shape[2]) or encode(x))
    smoke.generate(PROMPT, frames=65, steps=1)
    assert seen == [1] * 6


def test_what_is_held_does_not_grow(smoke, monkeypatch):
    held, fill = [], smoke._fill

    def noting(prompts, sources, head, *args, **options):
        held.append(head.shape[2])
        return fill(prompts, sources, head, *args, **options)

    monkeypatch.setattr(smoke, "_fill", noting)
    pieces = [piece.shape[1] for piece in smoke.stream(PROMPT, frames=241, steps=1)]
    assert sum(pieces) == 241 and max(pieces) == 17
    assert len(held) > 20 and max(held) <= 5


def test_backward_windows_end_in_the_clip(smoke, monkeypatch):
    """Each begins with a frame of its own, which is dropped."""
    world = World(smoke, monkeypatch, CLIPS, (28, 44), (20, 36), (12, 28), (4, 20), (0, 16))
    videos = smoke.extend(list(CLIPS[:, 37:54]), [PROMPT] * 2, 36, direction="backward")
    assert world.masks == ["???11"] * 4 + ["??111"]
    made = np.stack([video.frames for video in videos])
    assert np.array_equal(made[:, 36:], CLIPS[:, 37:54])
    for first in (28, 20, 12, 4):
        near(made[:, first : first + 8], through(smoke, CLIPS[:, first : first + 17])[:, 1:9])
    near(made[:, :4], through(smoke, CLIPS[:, :17])[:, 1:5])


def test_what_came_before_is_made_at_once_where_the_prompt_tells_it_all(smoke, monkeypatch):
    world = World(smoke, monkeypatch, CLIPS, (0, 32))
    video = smoke.extend(CLIPS[0, 17:34], PROMPT, 16, direction="backward")
    assert world.masks == ["?????1111"]
    near(video.frames[:16], through(smoke, CLIPS[:1, :33])[0, 1:17])


def test_a_picture_becomes_a_video(smoke, monkeypatch):
    world = World(smoke, monkeypatch, CLIPS, (0, 20))
    video = smoke.animate(CLIPS[0, 0], PROMPT, frames=21)
    assert world.masks == ["1?????"]
    assert np.array_equal(video.frames[0], CLIPS[0, 0])
    near(video.frames[1:], through(smoke, CLIPS[:1, :21])[0, 1:])


def test_a_bridge_knows_both_its_ends(smoke, monkeypatch):
    a, b = CLIPS[:, :17], CLIPS[:, 33:49]
    world = World(smoke, monkeypatch, CLIPS, (8, 40))
    videos = smoke.connect(list(a), list(b), [PROMPT] * 2)
    assert world.masks == ["111????11"]
    made = np.stack([video.frames for video in videos])
    assert made.shape[1] == 49 and np.array_equal(made[:, :17], a) and np.array_equal(made[:, 33:], b)
    near(made[:, 17:33], through(smoke, CLIPS[:, :49])[:, 17:33])


def test_a_loop_leads_from_its_end_to_its_beginning(smoke, monkeypatch):
    clip = CLIPS[:1, :17]
    round_and_round = np.concatenate([clip, CLIPS[:1, 17:33], clip[:, :16]], axis=1)
    World(smoke, monkeypatch, round_and_round, (8, 40))
    video = smoke.loop(PROMPT, clip[0])
    assert len(video.frames) == 33 and np.array_equal(video.frames[:17], clip[0])
    near(video.frames[17:], through(smoke, round_and_round)[0, 17:33])


@pytest.mark.parametrize("stride, own", [(1, 1), (1, 5), (2, 5)])
def test_any_length_goes_on_where_latents_have_fewer_frames(stride, own):
    torch.manual_seed(0)
    config = replace(ModelConfig(), vae=VAEConfig(time_stride=stride), families=("shapes",), frames=own)
    network = Sora(config)
    sora = MiniSora(config, VAE(config.vae), network, Tokenizer.train([PROMPT], 5))
    for count, more in ((4, 4), (18, 8), (22, 8)):
        for way in ("forward", "backward"):
            assert len(sora.extend(CLIPS[0, :count], PROMPT, more, way, steps=1).frames) == count + more


def test_any_length_goes_on(smoke):
    """What one task makes, another takes."""
    bridge = smoke.connect(CLIPS[0, :17], CLIPS[0, :16], PROMPT, 4, steps=1)
    assert len(bridge.frames) == 37 and len(smoke.connect(bridge, bridge, PROMPT, 4, steps=1).frames) == 78
    for count, more in ((4, 4), (4, 8), (18, 8), (23, 8)):
        for way in ("forward", "backward"):
            video = smoke.extend(CLIPS[0, :count], PROMPT, more, way, steps=1)
            part = video.frames[:count] if way == "forward" else video.frames[more:]
            assert np.array_equal(part, CLIPS[0, :count]) and len(video.frames) == count + more


def test_long_videos_are_made_window_by_window(smoke):
    pieces = list(smoke.stream(PROMPT, frames=65, steps=1))
    assert [piece.shape[1] for piece in pieces] == [17] + 6 * [8]
    whole = smoke.generate(PROMPT, seconds=8, steps=1)
    assert np.array_equal(whole.frames, np.concatenate(pieces, axis=1)[0])


@pytest.mark.parametrize("frames", [1, 5])
def test_windows_of_a_short_model_slide_too(smoke, monkeypatch, frames):
    monkeypatch.setattr(smoke, "config", replace(smoke.config, frames=frames))
    assert smoke.generate(PROMPT, frames=29, steps=1).frames.shape[0] == 29
    for direction in ("forward", "backward"):
        assert len(smoke.extend(CLIPS[0, :5], PROMPT, 24, direction, steps=1).frames) == 29
    assert len(smoke.connect(CLIPS[0, :5], CLIPS[1, :5], PROMPT, 8, steps=1).frames) == 18


@pytest.mark.parametrize("frames, masks", [(33, []), (37, ["11111111?"]), (65, ["111??"] * 6)])
def test_a_long_video_is_made_again_window_by_window(smoke, monkeypatch, frames, masks):
    """Each window begins with its own stretch, and knows what was made before, which was another video."""
    other, seen = make_batch("shapes", range(2, 4), (24, 32), frames).video, []

    def film(prompts, sources, shape, given, known, start, *_, **options):
        assert start == 0.4
        first = 4 * len(seen) if masks == ["11111111?"] else 8 * len(seen)
        begun, made = (smoke.encode(clips[:, first : first + 4 * shape[1] - 3]) for clips in (CLIPS, other))
        known = torch.zeros(shape[1], dtype=torch.bool) if known is None else known
        torch.testing.assert_close(given[:, :, ~known], begun[:, :, ~known], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(given[:, :, known][:, :, 1:], made[:, :, known][:, :, 1:])
        seen.append("".join("1" if k else "?" for k in known))
        return made

    monkeypatch.setattr(smoke, "_film", film)
    videos = smoke.edit(list(CLIPS[:, :frames]), [PROMPT] * 2, 0.4)
    assert seen[1:] == masks
    near(np.stack([video.frames for video in videos]), through(smoke, other))

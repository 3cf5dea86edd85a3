"""Every way of asking. Where the model's place is taken by the world itself, each must come out exact."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data_gen import make_batch
from mini_sora import MiniSora, Video, tasks
from mini_sora.config import UserError
from mini_sora.data import to_pixels
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


def test_a_video_with_a_prompt_is_looped_by_itself(smoke):
    video, other = Video(CLIPS[0], PROMPT), Video(CLIPS[1], "a blue square rises")
    same = smoke.loop(PROMPT, CLIPS[0], seed=3).frames
    assert (smoke.loop(video, seed=3).frames == same).all() and (same[: len(CLIPS[0])] == CLIPS[0]).all()
    assert [made.prompt for made in smoke.loop([video, other])] == [PROMPT, other.prompt]
    with pytest.raises(UserError, match="say with prompt"):
        smoke.loop(Video(CLIPS[0]))


@pytest.mark.parametrize(
    "options, said",
    [
        ({"frames": 15}, "in fours"),
        ({"frames": 8000}, "too many"),
        ({"frames": 36}, "36 frames between are too many"),
        ({"actions": np.zeros((1, 16), int)}, "no actions lead"),
    ],
)
def test_a_loop_that_cannot_be_closed_is_not_begun(smoke, monkeypatch, options, said):
    monkeypatch.setattr(smoke, "_denoise", None)
    with pytest.raises(UserError, match=said):
        smoke.loop(PROMPT, **options)


def test_what_cannot_be_read_is_refused_before_the_work(smoke, monkeypatch):
    monkeypatch.setattr(smoke, "_denoise", None)
    with pytest.raises(UserError, match="too long"):
        smoke.generate([PROMPT] * 64 + ["red " * 900])


def test_large_clips_are_encoded_a_few_at_a_time(smoke, monkeypatch):
    sizes, encode = [], smoke.vae.encode
    monkeypatch.setattr(smoke.vae, "encode", lambda x: sizes.append(len(x)) or encode(x))
    clips = np.random.default_rng(0).integers(0, 255, (20, 5, 256, 256, 3), np.uint8)
    z = smoke.encode(clips)
    assert sizes == [16, 4] and torch.allclose(z[16:], encode(to_pixels(clips[16:])), atol=1e-5)


@pytest.mark.parametrize(
    "ask",
    [
        lambda s, **o: s.generate(PROMPT, frames=65, **o),
        lambda s, **o: s.generate(PROMPT, (40, 56), **o),
        lambda s, **o: s.animate(CLIPS[0, 0], PROMPT, **o),
        lambda s, **o: s.extend(CLIPS[0, :17], PROMPT, 48, **o),
        lambda s, **o: s.extend(CLIPS[0, :17], PROMPT, 48, "backward", **o),
        lambda s, **o: s.loop(PROMPT, **o),
        lambda s, **o: s.edit(CLIPS[0, :17], PROMPT, **o),
    ],
)
def test_progress_goes_from_start_to_end(smoke, ask):
    told = []
    ask(smoke, progress=lambda done, all: told.append(done / all), steps=2)
    assert told == sorted(told) and len(set(told)) == len(told) >= 2 and told[-1] == pytest.approx(1)


def test_long_videos_are_made_window_by_window(smoke):
    pieces = list(smoke.stream(PROMPT, frames=65, steps=1))
    assert [piece.shape[1] for piece in pieces] == [17] + 6 * [8]
    whole = smoke.generate(PROMPT, seconds=8, steps=1)
    assert np.array_equal(whole.frames, np.concatenate(pieces, axis=1)[0])


def test_actions_go_with_their_frames(smoke, monkeypatch):
    seen = []

    def film(prompts, sources, shape, *given, actions=None, **options):
        seen.append(actions)
        return torch.zeros(len(prompts), *shape)

    monkeypatch.setattr(smoke, "_film", film)
    monkeypatch.setattr(smoke, "config", replace(smoke.config, dit=replace(smoke.config.dit, actions=5)))
    actions = np.arange(64)[None] % 5  # before frame i + 1
    smoke.generate(PROMPT, frames=65, actions=actions)
    windows = [actions[:, first : first + 16].tolist() for first in range(0, 49, 8)]
    assert [part.tolist() for part in seen] == windows
    seen.clear()
    smoke.edit(CLIPS[0], PROMPT, actions=actions)
    assert [part.tolist() for part in seen] == windows
    seen.clear()
    smoke.extend(CLIPS[0, :17], PROMPT, 48, actions=actions)
    assert [part.tolist() for part in seen] == windows[1:]
    seen.clear()
    smoke.extend(CLIPS[0, :17], PROMPT, 48, "backward", actions=actions)
    before = np.pad(actions, ((0, 0), (1, 0)))  # none leads to the first frame
    assert [part.tolist() for part in seen] == [before[:, i : i + 16].tolist() for i in range(40, -1, -8)]
    wrong = [actions[0], actions[:, :63], actions + 2, actions - 1, actions + 0.5, ["up"], [["jump"] * 64]]
    for some in [*wrong, [["up"] * 64, ["up"]], 3]:
        with pytest.raises(UserError, match="whole numbers"):
            smoke.generate(PROMPT, frames=65, actions=some)
    seen.clear()
    smoke.generate(PROMPT, actions=[("stay", "left", "right", "up") * 4])
    assert seen[0].tolist() == [[1, 2, 3, 4] * 4]


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


@pytest.mark.parametrize(
    "ask, said",
    [
        (lambda s: s.edit(np.zeros((53, 512, 512, 3), np.uint8), PROMPT), "17 frames of 512x512"),
        (lambda s: s.upscale(CLIPS[0], 16, PROMPT), "17 frames of 384x512"),
        (lambda s: s.upscale(CLIPS[0, :16], 2, PROMPT), "16 frames"),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_touched(smoke, monkeypatch, ask, said):
    monkeypatch.setattr(smoke, "encode", None)
    monkeypatch.setattr(tasks, "resized", None)
    with pytest.raises(UserError, match=said):
        ask(smoke)


def test_what_was_filmed_is_told_once(smoke):
    told = []
    smoke.generate(PROMPT, frames=37, steps=1, tell=told.append)
    assert len(told) == 1


def test_strength_says_how_much_is_left(smoke):
    clip = CLIPS[0, :17]
    ghost = through(smoke, clip[None])[0].astype(int)
    off = [
        np.abs(smoke.edit(clip, PROMPT, strength, steps=4).frames - ghost).mean() for strength in (1e-3, 0.9)
    ]
    assert off[0] < 1 < off[1]


def test_upscale_doubles_both_sides(smoke):
    draft = Video(CLIPS[0, :5], PROMPT)
    video = smoke.upscale(draft, 2, steps=2)
    assert video.frames.shape == (5, 48, 64, 3) and video.prompt == PROMPT
    both = smoke.upscale([draft, draft], 2, steps=2)
    assert len(both) == 2 and np.array_equal(both[0].frames, video.frames)
    still = smoke.upscale(draft, 1, strength=1e-4, steps=2)
    near(still.frames, through(smoke, CLIPS[:1, :5])[0])


@pytest.mark.parametrize(
    "name", ["generate", "animate", "extend", "backward", "connect", "loop", "edit", "upscale"]
)
def test_alone_or_in_a_batch(smoke, name, monkeypatch):
    clips = CLIPS[:, :1] if name == "animate" else CLIPS[:, :17]

    def ask(videos, prompt, seed):
        if name == "generate":
            return smoke.generate(prompt, frames=37, seed=seed, steps=2)
        if name == "backward":
            return smoke.extend(videos, prompt, 20, "backward", seed, steps=2)
        if name == "connect":
            return smoke.connect(videos, videos, prompt, seed=seed, steps=2)
        if name == "upscale":
            return smoke.upscale(videos, 2, prompt, seed=seed, steps=2)
        if name == "loop":
            return smoke.loop(prompt, videos, seed=seed, steps=2)
        return getattr(smoke, name)(videos, prompt, seed=seed, steps=2)

    both = ask(list(clips), [PROMPT, "a blue square rises"], 5)
    alone = ask(clips[1], "a blue square rises", 6)
    near(both[1].frames, alone.frames)
    assert np.array_equal(alone.frames, ask(clips[1], "a blue square rises", 6).frames)
    monkeypatch.setattr(smoke, "_batch", lambda shape: 1)  # as where there are more than fit at once
    near(ask(list(clips), [PROMPT, "a blue square rises"], 5)[1].frames, alone.frames)


@pytest.mark.parametrize(
    "ask, word",
    [
        (lambda s: s.animate(CLIPS[0], PROMPT), "not a picture but a video"),
        (lambda s: s.animate(CLIPS[0, 0, :20], PROMPT), "side 20"),
        (lambda s: s.animate(CLIPS[0, 0].astype(float), PROMPT), "uint8"),
        (lambda s: s.animate([CLIPS[0, 0]], [PROMPT, PROMPT]), "1 videos and 2 prompts"),
        (lambda s: s.edit(Video(CLIPS[0]), [PROMPT, PROMPT]), "1 videos and 2 prompts"),
        (lambda s: s.animate(CLIPS[0, 0], PROMPT, frames=16), "16 frames"),
        (lambda s: s.generate(PROMPT, frames="17"), "17 frames do not work"),
        (lambda s: s.generate(PROMPT, size=32), "the size 32"),
        (lambda s: s.generate(PROMPT, size=0), "the size 0"),
        (lambda s: s.generate(PROMPT, start=0.5), "no option 'start'"),
        (lambda s: s.animate(CLIPS[0, 0], PROMPT, lengthen=True), "no option 'lengthen'"),
        (lambda s: s.extend(CLIPS[0, :0], PROMPT), "a picture is uint8"),
        (lambda s: s.generate(PROMPT, size=(32,)), "two sides"),
        (lambda s: s.extend(CLIPS[0], PROMPT, 15), "15 frames cannot be added"),
        (lambda s: s.extend(CLIPS[0], PROMPT, 0), "0 frames cannot be added"),
        (lambda s: s.extend(CLIPS[0], PROMPT, -4), "-4 frames cannot be added"),
        (lambda s: s.extend(CLIPS[0], PROMPT, direction="up"), "forward, backward"),
        (lambda s: s.extend(CLIPS[0, :1], PROMPT, direction="backward"), "4 frames or more"),
        (lambda s: s.connect(CLIPS[0], CLIPS[0, :3], PROMPT), "4 frames or more"),
        (lambda s: s.edit(CLIPS[0, :16], PROMPT), "16 frames"),
        (lambda s: s.extend(np.zeros((17, 512, 512, 3), np.uint8), PROMPT), "patches"),
        (lambda s: s.connect(CLIPS[0], CLIPS[0], PROMPT, 36), "36 frames between are too many, 32 at most"),
        (lambda s: s.connect(*[np.zeros((17, 256, 256, 3), np.uint8)] * 2, PROMPT), "patches"),
        (lambda s: s.edit(CLIPS[0, :17], PROMPT, size=(32, 32)), "no option 'size'"),
        (lambda s: s.edit(CLIPS[0, :17], PROMPT, lengthen=True), "no option 'lengthen'"),
        (lambda s: s.generate(PROMPT, old=True), "no option 'old'"),
        (lambda s: s.animate(CLIPS[0, 0], PROMPT, old=True), "no option 'old'"),
        (lambda s: s.connect(CLIPS[0], CLIPS[0], PROMPT, old=True), "no option 'old'"),
        (lambda s: s.connect(CLIPS[0], CLIPS[0, :, :, :24], PROMPT), "differ in size"),
        (lambda s: s.connect(CLIPS[0], CLIPS[0], PROMPT, frames=15), "15 frames cannot be added"),
        (lambda s: s.edit(CLIPS[0, :17], PROMPT, strength=0), "strength"),
        (lambda s: s.edit(CLIPS[0, :17], PROMPT, strength=float("nan")), "strength"),
        (lambda s: s.upscale(CLIPS[0, :17], 2), "say with prompt"),
        (lambda s: s.upscale(CLIPS[0, :17], 1.1, PROMPT), "side"),
        (lambda s: s.upscale(CLIPS[0, :17], float("nan"), PROMPT), "factor"),
        (lambda s: s.upscale(CLIPS[0, :17], 0.5, PROMPT), "factor"),
        (lambda s: s.generate(PROMPT, frames=17, seconds=2), "not both"),
        (lambda s: s.generate(PROMPT, seconds=float("nan")), "seconds"),
        (lambda s: s.generate(PROMPT, seconds="2"), "seconds"),
        (lambda s: s.generate([]), "no prompt"),
        (lambda s: s.generate(PROMPT, actions=np.zeros((1, 16), int)), "knows no actions"),
        (lambda s: s.connect(CLIPS[0], CLIPS[1], PROMPT, actions=np.zeros((1, 16), int)), "no actions lead"),
        (lambda s: s.loop(PROMPT, CLIPS[0], size=(32, 32)), "size is that of the video"),
        (lambda s: s.extend(CLIPS[0], PROMPT, 4800), "too many"),
        (lambda s: s.loop("  "), "empty"),
    ],
)
def test_impossible_wishes_are_refused(smoke, ask, word):
    assert isinstance(smoke, MiniSora)
    with pytest.raises(UserError, match=word):
        ask(smoke)

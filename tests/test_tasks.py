"""Every way of asking: alone and in batches, with progress, and what is refused. Windows: test_windows.py."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_windows import CLIPS, PROMPT, near, through

from mini_sora import MiniSora, Video, tasks
from mini_sora.config import UserError
from mini_sora.data import to_pixels


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

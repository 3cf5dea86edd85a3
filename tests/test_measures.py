"""The figures of the tasks: the world itself is perfect in each, and what is spoilt shows in its own."""

import dataclasses

import numpy as np
import pytest

from data_gen import FAMILIES
from mini_sora import MiniSora, Video, measures
from mini_sora.measures import TASKS
from mini_sora.report import fine

COUNT = 6


class Truth:
    """A model that answers every task with the truth, or with what spoil makes of it."""

    def __init__(self, monkeypatch):
        quick = MiniSora.from_pretrained("quick")
        self.config, self.vae, self.asked = quick.config, quick.vae, []
        self.spoil = lambda video, scene: video
        scenes_of = measures.scenes_of
        monkeypatch.setattr(measures, "scenes_of", lambda *a, **k: self.note(scenes_of(*a, **k)))

    def note(self, clips):
        self.asked.append(clips)
        return clips

    def answer(self, clips):
        return [Video(self.spoil(clip.video.copy(), clip), clip.caption) for clip in clips]

    def animate(self, images, prompts, **_):
        return self.answer(self.asked[-1])

    def extend(self, videos, prompts, frames, direction, seed=0, **_):
        clips = self.answer(self.asked[-1])
        if seed:  # another beginning
            clips = [Video(np.concatenate([clip.frames[:1] * 0, clip.frames[1:]])) for clip in clips]
        return clips

    def connect(self, a, b, prompts, frames, **_):
        return self.answer(self.asked[-1])

    def loop(self, prompts, videos, **_):
        """There and back again, which has no seam; only the way back is spoilt."""
        made = zip(self.asked[-1], self.answer(self.asked[-1]), strict=True)
        return [Video(np.concatenate([clip.video, v.frames[-2:0:-1]])) for clip, v in made]

    def edit(self, videos, prompts, **_):
        words = zip(self.asked[-1], prompts, strict=True)
        return [Video(self.spoil(recolored(clip, prompt), clip)) for clip, prompt in words]

    def upscale(self, videos, factor, prompts, **_):
        return self.answer(self.asked[-1])

    def generate(self, prompts, seconds, **_):
        """Round and round for a minute: only stills go on from where they end."""
        made = self.answer(self.asked[-1])
        return [Video(np.concatenate([v.frames[:16]] * 31)[:481]) for v in made]


def recolored(clip, prompt):
    """The clip with its body in the colour that the prompt has."""
    body = clip.scene.bodies[0]
    color = "blue" if body.color != "blue" else "red"
    assert color in prompt
    scene = dataclasses.replace(clip.scene, bodies=(dataclasses.replace(body, color=color),))
    return FAMILIES[scene.family].render([scene], clip.video.shape[1:3])[0]


@pytest.fixture
def truth(monkeypatch):
    return Truth(monkeypatch)


@pytest.mark.parametrize("name", TASKS)
def test_the_world_itself_is_fine(truth, name):
    for what, (value, asked, aim) in TASKS[name](truth, COUNT).items():
        assert fine(value, asked), f"{what}: {value}"
        sign = asked.split()[0]
        assert fine(value, f"{sign} {aim * (0.99 if sign == '>=' else 1.01)}"), (
            f"{what}: {value} misses the aim"
        )


def backwards(video, scene):
    return video[::-1].copy()


def frozen(video, scene):
    video[len(video) // 2 :] = video[len(video) // 2]
    return video


def emptied(video, scene):
    video[len(video) // 2] = video[0, 0, 0]  # the ground alone, for a frame
    return video


def moved(video, scene):
    return np.roll(video, 4, axis=2)


def blurred(video, scene):
    return sum(np.roll(video // 9, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1))


@pytest.mark.parametrize(
    "name, spoil, what",
    [
        ("animate", moved, "first frame"),
        ("animate", backwards, "facts right"),
        ("extend forward", frozen, "velocity"),
        ("extend forward", backwards, "facts right"),
        ("extend forward", moved, "known part"),
        ("extend backward", backwards, "facts right"),
        ("extend backward", emptied, "velocity"),
        ("extend backward", moved, "known part"),
        ("connect", emptied, "no jump"),
        ("loop", moved, "seam"),
        ("edit", moved, "path"),
        ("edit", backwards, "all else"),
        ("edit", lambda v, s: s.video, "colour"),
        ("upscale", moved, "overlap"),
        ("upscale", backwards, "facts right"),
        ("upscale", blurred, "nearer"),
        ("a minute", lambda v, s: v * 0, "facts right at 2 "),
    ],
)
def test_what_is_spoilt_shows(truth, name, spoil, what):
    truth.spoil = spoil
    found = {key: fine(value, asked) for key, (value, asked, _) in TASKS[name](truth, COUNT).items()}
    (key,) = [key for key in found if what in key]
    assert not found[key]


def test_a_body_that_comes_and_goes_in_a_minute_shows(truth):
    truth.spoil = emptied
    value, asked, _ = TASKS["a minute"](truth, COUNT)["a minute: from nowhere, or vanished"]
    assert not fine(value, asked)

"""data_gen.persist: what comes from nowhere or vanishes, on truth, rough truth and planted faults."""

import numpy as np
import pytest

from data_gen import WorldError, apparitions, make_batch, make_clip
from data_gen.faults import FAULTS, plant
from data_gen.gallery import SHOWN
from data_gen.render import Sprite, draw
from data_gen.scene import PALETTE, Wall
from data_gen.verify import blurred

TIME = np.arange(17)


def body(color="red", x=0.3, y=0.5, radius=0.1, shown=None):
    """A circle; x: a number, or one for each frame."""
    place = np.stack([np.broadcast_to(x, 17), np.broadcast_to(y, 17)], -1)
    return Sprite("circle", PALETTE[color], place, radius, shown=shown)


def seen(*sprites, walls=()):
    return apparitions(draw([("plain", sprites, walls)], 17, (32, 32))[0])


@pytest.mark.parametrize("family", SHOWN)
@pytest.mark.parametrize("size, frames", [((32, 32), 17), ((24, 40), 17), ((32, 32), 33), ((32, 32), 5)])
def test_truth_persists_rough_or_not(family, size, frames):
    for i, video in enumerate(make_batch(family, range(4), size, frames, "test").video):
        assert apparitions(video) == ()
        assert apparitions(blurred(video, np.random.default_rng(i))) == ()


@pytest.mark.parametrize(
    "shown, what",
    [
        (TIME < 8, ("the red body vanishes without cause in frame 8",)),
        (TIME >= 8, ("the red body comes from nowhere in frame 8",)),
        (TIME != 8, ("the red body comes from nowhere in frame 9",)),
        (TIME == 8, ("the red body comes from nowhere in frame 8",)),
    ],
)
def test_what_is_shown_for_a_while_is_told(shown, what):
    assert seen(body(), body("blue", 0.75)) == ()
    told = seen(body(shown=shown), body("blue", 0.75))
    assert set(what) <= set(told) and all("red" in sentence for sentence in told)


def test_growing_from_nothing_is_told_and_growing_is_not():
    growing = np.clip((TIME - 4) * 0.02, 1e-3, 0.11)
    assert seen(body(radius=growing, shown=TIME > 4)) == ("the red body comes from nowhere in frame 6",)
    assert [s.split(" in ")[0] for s in seen(body(radius=growing[::-1].copy(), shown=TIME < 12))] == [
        "the red body vanishes without cause"
    ]
    assert seen(body(radius=0.1 + 0.005 * TIME)) == ()


def test_jumps_are_told_and_turns_are_not():
    assert seen(body(x=0.2 + 0.03 * TIME)) == ()
    assert seen(body(x=0.8 - 0.07 * np.abs(TIME - 8))) == ()  # to a wall and back
    assert seen(body(x=np.where(TIME < 8, 0.2, 0.294))) == ()  # an agent's step
    for far in (0.2, 0.5):
        assert seen(body(x=np.where(TIME < 8, 0.2, 0.2 + far))) == ("the red body jumps in frame 8",)


def test_a_doubled_body_is_told_whether_it_splits_or_comes_apart():
    drift = 0.3 + 0.04 * np.maximum(TIME - 3, 0)
    assert any("is doubled" in sentence for sentence in seen(body(), body(x=drift)))
    assert "the red body comes from nowhere in frame 8" in seen(body(), body(x=0.8, shown=TIME >= 8))


def test_only_a_cause_excuses():
    path = 0.05 + 0.055 * TIME
    wall = Wall(0.35, 0, 0.65, 1)
    assert seen(body(x=path), walls=(wall,)) == ()  # behind a wall
    assert seen(body(x=path), body("blue", 0.5, radius=0.19)) == ()  # behind a body
    assert seen(body(x=path - 0.4)) == ()  # through the edge
    hidden = (path < 0.3) | (path > 0.7)
    assert len(seen(body(x=path, shown=hidden))) == 2  # there is no wall
    # a body that is gone from where another stands was not hidden by it, nor was one that comes in its place
    for shown in (TIME < 8, TIME >= 8):
        assert seen(body("blue", 0.33, radius=0.15), body(shown=shown)) != ()


@pytest.mark.parametrize("fault", [name for name in FAULTS if name.split()[0] in ("vanished", "teleported")])
@pytest.mark.parametrize("family", ["shapes", "play"])
def test_planted_faults_are_told(family, fault):
    clips = [make_clip(family, seed, split="test") for seed in range(12)]
    planted = [plant(fault, clip, np.random.default_rng([9, i])) for i, clip in enumerate(clips)]
    assert sum(bool(apparitions(video)) for video, _ in planted) >= 11


def test_solids_that_vanish_are_told_and_those_that_stand_are_not():
    found = []
    for seed in range(8):
        clip = make_clip("camera", seed, split="test")
        planted = plant("vanished", clip, np.random.default_rng(seed))
        found += [apparitions(planted[0])] if planted else []
    assert len(found) > 2 and all("vanishes" in told[0] for told in found)
    assert apparitions(make_clip("camera", 16, split="test").video) == ()  # shaded as no flat body is


def test_a_short_clip_may_show_as_much_in_longer_steps():
    for seed in (4, 17, 27):
        assert apparitions(make_clip("shapes", seed, frames=5, split="test").video) == ()


def test_a_picture_has_nothing_to_tell_and_no_video_is_refused():
    assert apparitions(make_clip("shapes", 0, frames=1).video) == ()
    assert apparitions(np.full((5, 32, 32, 3), 20, np.uint8)) == ()
    with pytest.raises(WorldError, match="a video"):
        apparitions(np.zeros((3, 8, 8, 3)))

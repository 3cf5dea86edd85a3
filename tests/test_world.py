"""data_gen: scenes, physics, pixels, captions, splits."""

import dataclasses
import hashlib
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_gen import WorldError, check, describe, facts_of, make_batch, make_clip, parse, vocabulary
from data_gen.families import is_heldout
from data_gen.physics import trajectory
from data_gen.render import coverage, render
from data_gen.scene import BACKGROUND, DIRECTIONS, PALETTE, REACH, SHAPES, Body, Scene

SEEDS = st.integers(0, 2**40)
SIZES = st.tuples(st.sampled_from([24, 32, 40]), st.sampled_from([24, 32, 56]))


def test_uniform_motion_is_a_straight_line():
    scene = Scene((Body("circle", "red", 0.15, 0.3, 0.4, "right", 0.2),), (1.0, 1.0), 17)
    path = trajectory(scene)
    assert path.shape == (1, 17, 2)
    np.testing.assert_allclose(path[0, :, 0], 0.3 + 0.2 * np.arange(17) / 8)
    np.testing.assert_allclose(path[0, :, 1], 0.4)


@pytest.mark.parametrize(
    "word, way", [("left", (-1, 0)), ("right", (1, 0)), ("up", (0, -1)), ("down", (0, 1))]
)
def test_directions_are_the_viewers(word, way):
    video = render([Scene((Body("circle", "white", 0.15, 0.5, 0.5, word, 0.15),), (1.0, 1.0), 17)], (32, 40))[
        0
    ]
    ink = video[..., 0].astype(float) - BACKGROUND[0]
    rows, columns = np.mgrid[:32, :40]
    centre = np.stack([(ink * columns).sum((1, 2)), (ink * rows).sum((1, 2))], -1) / ink.sum((1, 2))[:, None]
    np.testing.assert_allclose((centre[-1] - centre[0]) / 32, 0.3 * np.array(way), atol=0.004)


@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_has_the_area_and_the_centre_it_should(shape):
    rng = np.random.default_rng(0)
    centers = 20 + rng.random((50, 2)) * 4
    cover = coverage(shape, centers, np.full(50, 9.0), (40, 48))
    assert cover.shape == (50, 40, 48) and cover.min() >= 0 and cover.max() == 1
    area = cover.sum((1, 2))
    np.testing.assert_allclose(area, np.pi * 81, rtol=0.015)
    rows, columns = np.mgrid[:40, :48] + 0.5
    seen = np.stack([(cover * columns).sum((1, 2)) / area, (cover * rows).sum((1, 2)) / area], -1)
    np.testing.assert_allclose(seen, centers, atol=0.05)


def test_square_coverage_is_exact():
    cover = coverage("square", np.array([4.3, 5.1]), np.array(2 * 2 / np.sqrt(np.pi)), (10, 12))
    np.testing.assert_allclose(cover[5, 2:7], [0.7, 1, 1, 1, 0.3], atol=1e-5)
    np.testing.assert_allclose(cover.sum(), 16, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_reach_is_where_the_shape_ends(shape):
    cover = coverage(shape, np.array([50.0, 50.0]), np.array(25.0), (100, 100)) > 0.5
    rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
    side, up, down = (25 * part for part in REACH[shape])
    np.testing.assert_allclose([rows[0], rows[-1] + 1], [50 - up, 50 + down], atol=1.1)
    np.testing.assert_allclose([columns[0], columns[-1] + 1], [50 - side, 50 + side], atol=1.6)


def test_later_bodies_are_in_front():
    bodies = tuple(Body("square", color, 0.2, 0.5, 0.5, "still", 0.0) for color in ("red", "blue"))
    video = render([Scene(bodies, (1.0, 1.0), 1)], (24, 24))
    assert tuple(video[0, 0, 12, 12]) == PALETTE["blue"] and tuple(video[0, 0, 0, 0]) == BACKGROUND


@settings(max_examples=40, deadline=None)
@given(SEEDS, SIZES, st.sampled_from([5, 17, 33]), st.sampled_from(["train", "test", "heldout"]))
def test_bodies_stay_inside_the_window(seed, size, frames, split):
    scene = make_clip("shapes", seed, size, frames, split).scene
    (body,), (path,) = scene.bodies, trajectory(scene)
    side, up, down = (body.radius * part for part in REACH[body.shape])
    height, width = scene.window
    assert min(height, width) == 1
    assert path[:, 0].min() >= side and path[:, 0].max() <= width - side
    assert path[:, 1].min() >= up and path[:, 1].max() <= height - down


def test_same_arguments_same_bytes():
    batch = make_batch("shapes", range(64))
    digest = hashlib.sha256(batch.video.tobytes() + "\n".join(batch.captions).encode()).hexdigest()
    assert digest == GOLDEN, "the world has changed: its clips are no longer those of the shipped weights"
    backwards = make_batch("shapes", range(63, -1, -1))
    assert np.array_equal(backwards.video[::-1], batch.video) and backwards.captions[::-1] == batch.captions
    clip = make_clip("shapes", 40)
    assert np.array_equal(clip.video, batch.video[40]) and clip.caption == batch.captions[40]


GOLDEN = "ebd79512ac0588ccdda6d4bfc216c0731cdf5d89398a00965b05ce4a94827c90"


def test_truth_tells_where_everything_is():
    clip = make_clip("shapes", 3, (24, 40), 9)
    (truth,) = clip.truth
    assert truth["position"].shape == (9, 2)
    np.testing.assert_allclose(
        np.diff(truth["position"], axis=0) * 8, np.tile(truth["velocity"], (8, 1)), atol=1e-9
    )
    assert truth["color"] in clip.caption


def test_splits_share_no_scene():
    scenes = {
        split: make_batch("shapes", range(1500), (24, 24), 5, split).scenes
        for split in ("train", "test", "heldout")
    }
    bits = {split: {int(scene.bodies[0].x * 2**16) % 2 for scene in scenes[split]} for split in scenes}
    assert bits == {"train": {0}, "test": {1}, "heldout": {1}}
    for split, part in scenes.items():
        combinations = {(s.bodies[0].shape, s.bodies[0].color, s.bodies[0].motion) for s in part}
        assert {is_heldout(*each) for each in combinations} == {split == "heldout"}
        assert len(combinations) == (12 if split == "heldout" else 108)


def test_heldout_holds_every_word_in_some_but_not_all():
    held = [c for c in product(SHAPES, PALETTE, DIRECTIONS) if is_heldout(*c)]
    for part, values in enumerate((SHAPES, PALETTE, DIRECTIONS)):
        assert {c[part] for c in held} == set(values)


@settings(max_examples=300, deadline=None)
@given(SEEDS, SEEDS, st.sampled_from([1, 17]))
def test_parse_reads_back_what_describe_writes(seed, wording, frames):
    scene = make_clip("shapes", seed, (24, 24), frames).scene
    caption = describe(scene, wording)
    assert parse(caption) == facts_of(scene)
    assert parse("  " + caption.upper() + ". ") == facts_of(scene)
    assert len(caption.split()) < 15
    assert set(re.findall(r"\w+", caption)) <= vocabulary()
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", caption)


def test_every_fact_has_several_wordings():
    scene = make_clip("shapes", 0).scene
    assert len({describe(scene, seed) for seed in range(200)}) > 20


@pytest.mark.parametrize("text", ["", "a dog runs", "a red circle moves left left", "red " * 1000])
def test_other_text_does_not_parse(text):
    with pytest.raises(WorldError, match=r"nearest that does is 'an? "):
        parse(text)


def test_an_image_is_judged_by_what_it_shows():
    clip = make_clip("shapes", 5, frames=1, split="test")
    assert parse(clip.caption).bodies[0].motion is None
    assert check(clip.video, clip.caption).ok
    assert not check(clip.video, make_clip("shapes", 5, split="test").caption).attributes["motion"]


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"family": "cats"}, "family"),
        ({"split": "dev"}, "split"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"size": (33, 32)}, "size"),
        ({"size": (16, 32)}, "size"),
        ({"size": (32,)}, "size"),
        ({"frames": 16}, "frames"),
        ({"frames": 0}, "frames"),
        ({"frames": 10**9 + 1}, "frames"),
    ],
)
def test_bad_arguments_are_refused(arguments, word):
    with pytest.raises(WorldError, match=word):
        make_clip(**{"family": "shapes", **arguments})


def altered(caption, **change):
    facts = parse(caption)
    return dataclasses.replace(facts, bodies=(dataclasses.replace(facts.bodies[0], **change),))


@pytest.mark.parametrize("size", [(24, 24), (32, 32), (32, 56), (64, 36 + 4)])
def test_rendered_truth_is_accepted(size):
    batch = make_batch("shapes", range(100), size, split="test")
    wrong = [
        (c, check(v, c).why) for v, c in zip(batch.video, batch.captions, strict=True) if not check(v, c).ok
    ]
    assert wrong == []


def planted(video, rng):
    """Faults: name -> a video that its caption no longer describes."""
    t, h, w, _ = video.shape
    ground = np.broadcast_to(np.array(BACKGROUND, np.uint8), video.shape)
    half = np.where(np.arange(t)[:, None, None, None] < t // 2, video, ground)
    recolored = video.copy()
    recolored[t // 2 :] = video[t // 2 :, :, :, [1, 2, 0]]
    teleported = video.copy()
    teleported[t // 2 :] = np.roll(video[t // 2 :], (h // 2, w // 2), (1, 2))
    wide = np.concatenate([video, np.roll(video, h // 2, 1)], 2)[:, :, : 2 * w]
    return {
        "blank": ground.copy(),
        "noise": rng.integers(0, 256, video.shape, dtype=np.uint8),
        "vanished": half,
        "recolored": recolored,
        "teleported": teleported,
        "added": wide,
        "flicker": np.where(np.arange(t)[:, None, None, None] % 5 == 2, ground, video),
    }


def test_planted_faults_are_rejected():
    batch, rng = make_batch("shapes", range(60), split="test"), np.random.default_rng(0)
    for video, caption in zip(batch.video, batch.captions, strict=True):
        for name, fault in planted(video, rng).items():
            if name == "recolored" and "white" in caption:
                continue  # white stays white
            report = check(fault, caption)
            assert not report.ok and report.why, (name, caption)
        motion = parse(caption).bodies[0].motion
        if motion != "still":
            assert not check(video[::-1], caption).attributes["motion"]
            assert not check(np.repeat(video[:1], 17, 0), caption).attributes["motion"]


def test_other_facts_are_rejected_in_words():
    batch = make_batch("shapes", range(40), split="test")
    for video, caption in zip(batch.video, batch.captions, strict=True):
        facts = parse(caption).bodies[0]
        for attribute, options in (("color", PALETTE), ("shape", SHAPES), ("motion", DIRECTIONS)):
            for other in set(options) - {getattr(facts, attribute)}:
                report = check(video, altered(caption, **{attribute: other}))
                wrong = [name for name, right in report.attributes.items() if not right]
                assert wrong == [attribute] and other in " ".join(report.why)


def test_slight_blur_and_noise_are_forgiven():
    batch, rng = make_batch("shapes", range(100), split="test"), np.random.default_rng(0)
    x = batch.video.astype(np.float32)
    blurred = sum(k * np.roll(x, i, 2) for i, k in ((-1, 0.107), (0, 0.786), (1, 0.107)))
    blurred = sum(k * np.roll(blurred, i, 3) for i, k in ((-1, 0.107), (0, 0.786), (1, 0.107)))
    noisy = np.clip(blurred + rng.normal(0, 255 * 10**-1.5, x.shape), 0, 255).astype(np.uint8)
    right = [check(v, c).ok for v, c in zip(noisy, batch.captions, strict=True)]
    assert np.mean(right) >= 0.97


def test_positions_are_found_to_a_hundredth_of_a_pixel():
    from data_gen import observe

    batch = make_batch("shapes", range(50), (64, 64), split="test")
    for video, scene in zip(batch.video, batch.scenes, strict=True):
        (track,) = observe(video).tracks
        off = (track.position - trajectory(scene)[0]) * 64
        assert np.abs(off - off.mean(0)).max() < 0.05 and np.abs(off).max() < 0.12


@pytest.mark.parametrize(
    "video",
    [np.zeros((3, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8), None, [1]],
)
def test_what_is_no_video_is_refused(video):
    with pytest.raises(WorldError, match="a video"):
        check(video, "a red circle moves left")

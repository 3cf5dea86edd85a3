"""The camera family: samples, the inverse of the renderer, captions."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest

from data_gen import solids
from data_gen.families import camera, shapes
from data_gen.scene import PALETTE, Body, Camera, Scene, WorldError, window_of
from data_gen.solids import SOLIDS


def scene_of(seed, size=(32, 40), frames=9, split="train"):
    return camera.sample(np.random.default_rng(seed), size, frames, split)


def film(scene, size=(32, 40)):
    return camera.render([scene], size)[0]


def accepted(video, told):
    seen, troubles = camera.see(video)
    return not troubles and all(seen.get(key) == value for key, value in told.items())


# The family


@pytest.mark.parametrize("size, frames, split", [((24, 40), 5, "train"), ((56, 32), 17, "heldout")])
def test_samples_keep_their_rules(size, frames, split):
    for seed in range(25):
        scene = scene_of(seed, size, frames, split)
        assert scene == scene_of(seed, size, frames, split)
        assert (scene.bodies[0].x * shapes.GRID % 2 == 1) == (split != "train")
        assert len({body.color for body in scene.bodies}) == len(scene.bodies) in (1, 2, 3)
        for body in scene.bodies:
            assert camera.is_heldout(body.shape, body.color, scene.camera.motion) == (split == "heldout")
            edges = solids.corners(body, camera.pose_of(scene), size)
            assert (edges > 0).all() and (edges < window_of(size)[::-1]).all()
        visible = np.array([row["visible"] for row in camera.truth(scene)["bodies"]])
        assert visible.min() > 0.5 and (np.median(visible, 1) > 0.6).all()
    assert scene_of(3, size, frames) != scene_of(4, size, frames)


def test_every_value_is_held_out_somewhere_and_a_tenth_in_all():
    every = [(s, c, m) for s in SOLIDS for c in PALETTE for m in camera.MOTIONS]
    held = [combination for combination in every if camera.is_heldout(*combination)]
    assert 0.07 < len(held) / len(every) < 0.13
    for i, values in enumerate((SOLIDS, PALETTE, camera.MOTIONS)):
        assert {combination[i] for combination in held} == set(values)


def test_truth_is_where_the_pixels_are():
    bodies = (Body("sphere", "red", 0.15, -0.2, 0.1), Body("cube", "cyan", 0.11, 0.25, -0.1))
    scene = Scene("camera", bodies, window_of((96, 128)), 5, camera=Camera("orbit left", 0.05))
    video, rows = film(scene, (96, 128)).astype(float), camera.truth(scene)["bodies"]
    red = np.maximum(video[..., 0] - video[..., 2], 0) > 30
    for index, axis in ((np.arange(128), 1), (np.arange(96), 2)):
        middle = (red.sum(axis) * (index + 0.5)).sum(-1) / red.sum((1, 2)) / 96
        np.testing.assert_allclose(rows[0]["position"][:, axis - 1], middle, atol=0.012)
    np.testing.assert_allclose(rows[0]["radius"] * 96, np.sqrt(red.sum((1, 2)) / pi), rtol=0.03)
    np.testing.assert_allclose(rows[0]["velocity"][1], (rows[0]["position"][2] - rows[0]["position"][0]) * 4)
    np.testing.assert_array_equal(rows[0]["visible"], np.ones(5))


@pytest.mark.parametrize("size, frames", [((24, 40), 17), ((56, 32), 5), ((64, 64), 9), ((32, 40), 1)])
def test_what_is_filmed_is_seen(size, frames):
    for seed in range(4):
        scene = scene_of((seed, frames), size, frames)
        told, (seen, troubles) = camera.facts(scene), camera.see(film(scene, size))
        assert troubles == [] and {key: seen.get(key) for key in told} == told
        assert not [key for key in seen if key not in told and key[1] != "place"]


def change(scene, which, **values):
    bodies = [replace(b, **values) if i == which else b for i, b in enumerate(scene.bodies)]
    return replace(scene, bodies=tuple(bodies))


PAIR = Scene(
    "camera",
    (Body("cube", "red", 0.11, -0.28, 0.0), Body("sphere", "cyan", 0.157, 0.18, 0.05)),
    window_of((32, 40)),
    9,
    camera=Camera("pan left", 0.0205),
)


@pytest.mark.parametrize(
    "fault, trouble",
    [
        (lambda v: v[::-1], None),
        (
            lambda v: film(replace(PAIR, camera=Camera("pan left", 0.0205 * 1.5))),
            "neither a little nor a lot",
        ),
        (lambda v: film(replace(PAIR, camera=Camera("orbit left", 0.064))), None),
        (lambda v: film(change(PAIR, 0, shape="cylinder")), None),
        (lambda v: film(change(change(PAIR, 0, shape="sphere"), 1, shape="cube")), None),
        (lambda v: film(change(PAIR, 1, color="green")), None),
        (lambda v: film(change(PAIR, 1, radius=0.11)), None),
        (lambda v: film(change(PAIR, 1, radius=0.132)), "neither small nor large"),
        (lambda v: np.concatenate([v[:5], film(change(PAIR, 0, y=-0.4))[5:]]), "frame"),
        (lambda v: np.concatenate([v[:5], film(change(PAIR, 0, color="green"))[5:]]), "green"),
        (lambda v: np.concatenate([v[:5], film(change(PAIR, 0, shape="cone"))[5:]]), "for a while"),
        (
            lambda v: np.concatenate([v[:4], film(replace(PAIR, bodies=PAIR.bodies[1:]))[4:5], v[5:]]),
            "in frame 4",
        ),
        (
            lambda v: np.concatenate([v[:6], v[6:7] // 5 * 3, v[7:]]),
            "frame 6 does not show what the others do",
        ),
        (lambda v: np.repeat(v[:1], 9, 0), "neither a little nor a lot"),
        (lambda v: np.full_like(v, 20), "nothing to see"),
        (lambda v: (np.random.default_rng(0).random(v.shape) * 256).astype(np.uint8), None),
    ],
)
def test_faults_are_seen(fault, trouble):
    video, told = film(PAIR), camera.facts(PAIR)
    assert accepted(video, told)
    wrong = fault(video)
    assert wrong.shape == video.shape and not accepted(wrong, told)
    assert trouble is None or any(trouble in words for words in camera.see(wrong)[1])


def test_the_camera_is_measured_to_a_few_percent():
    found = camera.refilm(film(PAIR), {"pan": 0.5, "zoom": 0.7, "orbit": 1.6})
    assert found.kind == "pan" and found.shapes == ("cube", "sphere")
    np.testing.assert_allclose(found.rate, 2 * pi * 0.0205, rtol=0.003)
    np.testing.assert_allclose(found.solids, [(b.x, b.y, b.radius) for b in PAIR.bodies], atol=0.001)


@pytest.mark.parametrize("video", [None, np.zeros((3, 24, 32, 3)), np.zeros((3, 24, 0, 3), np.uint8)])
def test_only_a_video_is_looked_at(video):
    with pytest.raises(WorldError, match="a video"):
        camera.see(video)


# Captions


def test_an_image_has_no_camera():
    scene = scene_of(1, (32, 40), 1)
    told, (row, *_) = camera.facts(scene), camera.truth(scene)["bodies"]
    assert not {"camera", "amount"} & {attribute for _, attribute in told}
    assert row["position"].shape == row["velocity"].shape == (1, 2) and not row["velocity"].any()

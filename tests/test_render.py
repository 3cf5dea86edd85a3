"""data_gen.render: areas, centres, edges, order, directions."""

import numpy as np
import pytest

from data_gen import make_clip
from data_gen.families import shapes
from data_gen.render import DARK, LIGHT, Sprite, cover, coverage, draw, ground
from data_gen.scene import GREY, PALETTE, REACH, SHAPES, Body, Scene, Wall


def film(*bodies, size=(32, 40), frames=17, background="plain", walls=()):
    window = (size[0] / min(size), size[1] / min(size))
    scene = Scene("shapes", bodies, window, frames, background, walls)
    return shapes.render([scene], size)[0]


def centre_of(video, color):
    shade = np.array(PALETTE[color], float) - DARK
    alpha = np.clip((video - np.array(DARK, float)) @ shade / (shade @ shade), 0, 1)
    rows, columns = np.mgrid[: video.shape[1], : video.shape[2]] + 0.5
    return (
        np.stack([(alpha * columns).sum((1, 2)), (alpha * rows).sum((1, 2))], -1) / alpha.sum((1, 2))[:, None]
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_has_the_area_and_the_centre_it_should(shape):
    rng = np.random.default_rng(0)
    centers = 20 + rng.random((50, 2)) * 4
    alpha = coverage(shape, centers, np.full(50, 9.0), (40, 48))
    assert alpha.shape == (50, 40, 48) and alpha.min() >= 0 and alpha.max() == 1
    area = alpha.sum((1, 2))
    np.testing.assert_allclose(area, np.pi * 81, rtol=0.015)
    rows, columns = np.mgrid[:40, :48] + 0.5
    seen = np.stack([(alpha * columns).sum((1, 2)) / area, (alpha * rows).sum((1, 2)) / area], -1)
    np.testing.assert_allclose(seen, centers, atol=0.05)


def test_square_coverage_is_exact():
    alpha = coverage("square", np.array([4.3, 5.1]), np.array(2 * 2 / np.sqrt(np.pi)), (10, 12))
    np.testing.assert_allclose(alpha[5, 2:7], [0.7, 1, 1, 1, 0.3], atol=1e-5)
    np.testing.assert_allclose(alpha.sum(), 16, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_reach_is_where_the_shape_ends(shape):
    alpha = coverage(shape, np.array([60.0, 60.0]), np.array(25.0), (120, 120)) > 0.5
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    side, up, down = (25 * part for part in REACH[shape])
    np.testing.assert_allclose([rows[0], rows[-1] + 1], [60 - up, 60 + down], atol=1.6)
    np.testing.assert_allclose([columns[0], columns[-1] + 1], [60 - side, 60 + side], atol=1.6)


def test_angles_turn_clockwise():
    corner = cover(
        "triangle",
        np.arange(41.0)[None] - 20,
        np.arange(41.0)[None] - 20,
        np.full(1, 10.0),
        np.full(1, np.pi / 2),
    )
    rows, columns = np.nonzero(corner[0] > 0.5)
    assert columns.max() == 35 and abs(rows[columns.argmax()] - 20) <= 1  # the apex points right


def test_polygon_and_capsule_have_their_areas():
    frames, place = 3, np.full((3, 2), 0.5)
    corners = np.array([(-0.2, -0.1), (0.2, -0.1), (0.2, 0.1), (-0.2, 0.1)])
    plate = Sprite("polygon", PALETTE["white"], place, 0.01, form=np.tile(corners, (frames, 1, 1)))
    trail = Sprite("capsule", PALETTE["white"], place, 0.1, form=np.tile((0.2, 0.1), (frames, 1)))
    for sprite, area in ((plate, 0.08), (trail, np.pi * 0.01 + 0.2 * np.hypot(0.2, 0.1))):
        video = draw([("plain", (sprite,), ())], frames, (80, 80))[0]
        alpha = (video[0, ..., 0] - 20.0) / (244 - 20)
        np.testing.assert_allclose(alpha.sum() / 80**2, area, rtol=0.02)


@pytest.mark.parametrize(
    "word, way", [("left", (-1, 0)), ("right", (1, 0)), ("up", (0, -1)), ("down", (0, 1))]
)
def test_directions_are_the_viewers(word, way):
    video = film(Body("circle", "white", 0.15, 0.5, 0.5, word, 0.3))
    path = centre_of(video, "white")
    np.testing.assert_allclose((path[-1] - path[0]) / 32, 0.3 * np.array(way), atol=0.004)


@pytest.mark.parametrize("turn, below", [("clockwise", True), ("counterclockwise", False)])
def test_circling_is_the_viewers(turn, below):
    video = film(Body("circle", "white", 0.1, 0.7, 0.5, f"circling {turn}", 0.25, phase=0.0), size=(40, 48))
    path = centre_of(video, "white")
    assert (path[-1, 1] > path[0, 1]) == below  # from the right of its circle, clockwise goes down
    np.testing.assert_allclose(np.linalg.norm(path / 40 - (0.54, 0.5), axis=1), 0.16, atol=0.01)


def test_later_bodies_are_in_front_and_walls_before_all():
    bodies = tuple(Body("square", color, 0.2, 0.5, 0.5) for color in ("red", "blue"))
    video = film(*bodies, size=(24, 24), frames=1, walls=(Wall(0.5, 0, 1, 1),))
    assert tuple(video[0, 12, 10]) == PALETTE["blue"] and tuple(video[0, 0, 0]) == DARK
    assert tuple(video[0, 12, 13]) == GREY


def test_grounds():
    assert np.allclose(ground("plain", (24, 32)), DARK)
    slope = ground("gradient", (24, 32))
    assert np.all(np.diff(slope[:, 0, 0]) > 0) and np.ptp(slope[5], axis=0).max() == 0
    checks = ground("checker", (24, 32))
    assert np.allclose(checks[3, 3], LIGHT) and np.allclose(checks[3, 9], DARK)  # cells of 6 px
    assert np.allclose(checks[9, 9], LIGHT)


def test_growing_bodies_grow_and_shrinking_ones_shrink():
    for word, ratio in (("growing", 1.8), ("shrinking", 1 / 1.8)):
        path, radius, _ = shapes.pose(Body("star", "red", 0.1, 0.5, 0.5, word), 9)
        assert radius[-1] / radius[0] == pytest.approx(ratio) and np.ptp(path) == 0


def test_what_is_hidden_is_told():
    clip = make_clip("occlusion", 0, (32, 56))
    visible = clip.truth["bodies"][0]["visible"]
    assert visible[0] == pytest.approx(1, abs=0.01) and visible.min() < 0.01
    assert abs((visible < 0.01).sum() - clip.facts["scene", "hidden"]) <= 1

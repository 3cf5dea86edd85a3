"""Solids and the camera: pictures against independent formulas of geometry and light."""

from dataclasses import replace
from math import cos, pi, radians, sin, tan

import numpy as np
import pytest

from data_gen import solids
from data_gen.scene import PALETTE, Body
from data_gen.solids import FOCAL, SOLIDS, TARGET, course, draw, layers, project, stand

HOME = stand(np.zeros(1), np.zeros(1), np.ones(1))
BODIES = (
    Body("cube", "red", 0.15, -0.3, 0.05),
    Body("sphere", "yellow", 0.16, 0.05, -0.2),
    Body("cone", "cyan", 0.11, 0.12, 0.2),
    Body("cylinder", "white", 0.11, 0.37, 0.0),
)


def turning(kind, rate, frames):
    return course(kind, rate, np.linspace(0, 1, frames))


def test_project_by_hand():
    # The unit of length is what the short side spans at the point looked at, which is in the middle.
    points = np.array([(0, 0, TARGET), (0.5, 0, TARGET), (0, 0, TARGET + 0.5), (0, 0.5, TARGET)])[:, None]
    place, depth = project(points, HOME, (30, 50))
    np.testing.assert_allclose(place[0, 0], (5 / 6, 1 / 2), atol=1e-12)
    np.testing.assert_allclose(place[1, 0], (5 / 6 + 1 / 2, 1 / 2), atol=1e-12)
    # cos 20 = 0.93969, sin 20 = 0.34202, 0.5 / tan 25 = 1.07225: above the middle and nearer by 0.17101
    np.testing.assert_allclose(place[2, 0], (5 / 6, 0.5 - 1.07225 * 0.46985 / 0.90124), atol=1e-4)
    # towards the viewer: lower in the picture, and nearer by 0.46985
    np.testing.assert_allclose(place[3, 0], (5 / 6, 0.5 + 1.07225 * 0.17101 / 0.60241), atol=1e-4)
    np.testing.assert_allclose(depth[:, 0], (1.07225, 1.07225, 0.90124, 0.60241), atol=1e-4)


@pytest.mark.parametrize("kind, rate", [("pan", 0.3), ("orbit", -1.2), ("zoom", 0.4)])
def test_axes_of_a_pose_are_square_and_of_unit_length(kind, rate):
    pose = turning(kind, rate, 7)
    axes = np.stack([pose.forward, pose.right, pose.up], 1)
    np.testing.assert_allclose(axes @ axes.swapaxes(1, 2), np.broadcast_to(np.eye(3), (7, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.cross(pose.right, pose.up), pose.forward, atol=1e-12)  # y is to the viewer


def hull_area(points):
    """Area of the convex hull of points (n, 2), by Andrew's monotone chain."""

    def turns_left(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0

    ring = []
    for run in (sorted(map(tuple, points)), sorted(map(tuple, points), reverse=True)):
        chain = []
        for point in run:
            while len(chain) > 1 and not turns_left(chain[-2], chain[-1], point):
                chain.pop()
            chain.append(point)
        ring += chain[:-1]
    x, y = np.array(ring).T
    return abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2


def surface(shape, n=120):
    """Points on a solid of radius 1 that has the volume of the unit ball; its silhouette is their hull."""
    angle = np.linspace(0, 2 * pi, n, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    if shape == "sphere":
        heights = np.linspace(-1, 1, n)[:, None, None]
        ball = circle * np.sqrt(1 - heights**2) + heights * (0, 0, 1)
        return ball.reshape(-1, 3) + np.array((0, 0, 1))
    if shape == "cube":
        edge = (4 * pi / 3) ** (1 / 3)
        square = circle[n // 8 :: n // 4] * edge / 2**0.5
        turn = np.array([(cos(solids.TURN), sin(solids.TURN), 0), (-sin(solids.TURN), cos(solids.TURN), 0)])
        flat = np.concatenate([square[:, :2] @ turn[:, :2], square[:, 2:]], 1)
        return np.concatenate([flat, flat + np.array((0, 0, edge))])
    if shape == "cone":
        base = 2 ** (1 / 3)
        return np.concatenate([circle * base, [(0, 0, 2 * base)]])
    base = (2 / 3) ** (1 / 3)
    return np.concatenate([circle * base, circle * base + np.array((0, 0, 2 * base))])


@pytest.mark.parametrize("shape", SOLIDS)
def test_a_silhouette_is_the_hull_of_the_projected_surface(shape):
    body, size = Body(shape, "red", 0.15, 0.21, -0.13), (120, 160)
    pose = turning("orbit", 0.8, 3)
    ((box, hit, seen, light),) = layers([body], pose, size)
    area = np.bincount(box // (120 * 160), hit, 3) / 120**2
    points = surface(shape) * body.radius + (body.x, body.y, 0)
    place, _ = project(points[:, None], pose, size)
    np.testing.assert_allclose(area, [hull_area(place[:, t]) for t in range(3)], rtol=0.01)
    row, column = np.divmod(box % (120 * 160), 160)
    frame = box // (120 * 160)
    for axis, index in enumerate((column, row)):
        low = [(index[(frame == t) & (hit > 0)].min()) / 120 for t in range(3)]
        np.testing.assert_allclose(low, place[..., axis].min(0), atol=1.1 / 120)
    np.testing.assert_array_equal(hit, seen)  # nothing is before it
    assert (light <= seen * 1.0001).all() and light[seen == 1].min() > 0.9 * solids.AMBIENT


def test_a_sphere_is_lit_as_lambert_says():
    body, size = Body("sphere", "red", 0.3, 0.0, 0.0), (150, 150)
    picture = draw([body], HOME, size, samples=1)[0]
    for row, column in ((60, 70), (80, 60), (75, 95)):
        ray = HOME.forward[0] + ((column + 0.5 - 75) * HOME.right[0] - (row + 0.5 - 75) * HOME.up[0]) / (
            150 * FOCAL
        )
        ray /= np.linalg.norm(ray)
        centre = np.array([0, 0, 0.3]) - HOME.position[0]
        along = centre @ ray
        point = along * ray - ray * np.sqrt(0.09 - (centre @ centre - along**2))
        lambert = max((point - centre) / 0.3 @ solids.SUN, 0)
        light = solids.AMBIENT + (1 - solids.AMBIENT) * lambert
        np.testing.assert_allclose(picture[row, column], np.array(PALETTE["red"]) * light, rtol=0.02)


def test_no_tip_shines_brighter_than_the_sun_makes_it():
    # Among so many rays some pass so near to a tip that rounding leaves no normal there.
    cones = [Body("cone", "white", 0.1, 0.1 * i - 0.6, 0.2 * j - 0.4) for i in range(13) for j in range(3)]
    picture = draw(cones, turning("orbit", 1.5, 40), (96, 128))
    assert picture.max() <= max(PALETTE["white"]) + 0.01


@pytest.mark.parametrize("shape", SOLIDS)
def test_a_shadow_is_the_hull_of_the_surface_moved_along_the_light(shape):
    body, step = Body(shape, "red", 0.2, 0.3, -0.1), 0.005
    points = surface(shape) * body.radius
    fallen = points[:, :2] - points[:, 2:] * np.array(solids.SUN[:2]) / solids.SUN[2]
    x, y = np.meshgrid(*(np.arange(-1, 1, step) for _ in range(2)))
    dark = solids._shade(body, x + body.x, y + body.y) < 0
    np.testing.assert_allclose(dark.sum() * step**2, hull_area(fallen), rtol=0.01)
    np.testing.assert_allclose(
        [x[dark].min(), y[dark].max()], [fallen[:, 0].min(), fallen[:, 1].max()], atol=0.006
    )


def test_the_nearer_body_hides_the_other_whatever_their_order():
    front, back = Body("cube", "red", 0.1, 0.0, 0.2), Body("cylinder", "blue", 0.15, 0.0, -0.1)
    one, two = draw([front, back], HOME, (48, 40)), draw([back, front], HOME, (48, 40))
    np.testing.assert_allclose(one, two, atol=1e-3)
    ((_, hit, seen, _), (_, whole, part, _)) = layers([front, back], HOME, (48, 40))
    assert seen.sum() == hit.sum() and 0.2 < part.sum() / whole.sum() < 0.8


def test_the_ground_is_checkered_up_to_the_horizon():
    height, width = 200, 240
    picture = draw((), HOME, (height, width))[0]
    horizon = height * (0.5 - FOCAL * tan(radians(20)))
    busy = picture.std(1).max(-1)
    assert busy[: int(horizon)].max() < 1e-3 and busy[int(horizon) : int(horizon) + 16].max() > 0.05
    rows, columns = np.mgrid[150:200, 0:width]
    x, y = (columns + 0.5 - width / 2) / height, (rows + 0.5 - height / 2) / height
    # A ray goes as far as the camera's height over the ray's slope.
    far = (0.1 + FOCAL * sin(radians(20))) / (sin(radians(20)) + y / FOCAL * cos(radians(20)))
    ground_x = x / FOCAL * far
    ground_y = FOCAL * cos(radians(20)) - far * (cos(radians(20)) - y / FOCAL * sin(radians(20)))
    light = (np.floor(ground_x / 0.3) + np.floor(ground_y / 0.3)) % 2 == 0
    inside = (np.abs(ground_x / 0.3 % 1 - 0.5) < 0.45) & (np.abs(ground_y / 0.3 % 1 - 0.5) < 0.45)
    blue = picture[150:200, :, 2]
    assert inside.mean() > 0.7
    assert blue[light & inside].min() > blue[~light & inside].max() + 20


def test_an_orbit_of_a_whole_turn_returns():
    there_and_back = draw(BODIES, turning("orbit", 2 * pi, 5), (24, 32))
    np.testing.assert_allclose(there_and_back[0], there_and_back[-1], atol=0.02)
    assert np.abs(there_and_back[0] - there_and_back[2]).mean() > 5


def test_an_orbit_is_a_turn_of_the_world_the_other_way():
    points = np.array([(0.3, 0.1, 0.2), (-0.2, 0.4, 0.0)])
    angle = 0.7
    x, y = points[:, 0], points[:, 1]
    turned = [x * cos(angle) + y * sin(angle), y * cos(angle) - x * sin(angle), points[:, 2]]
    orbited, _ = project(points[:, None], stand(np.full(1, angle), np.zeros(1), np.ones(1)), (24, 32))
    np.testing.assert_allclose(orbited, project(np.stack(turned, -1)[:, None], HOME, (24, 32))[0], atol=1e-12)


@pytest.mark.parametrize(
    "kind, near, far",
    [("pan", 1, 1), ("orbit", 1, -1)],  # to the left: a pan moves all to the right, an orbit what is near
)
def test_ways_are_the_viewers(kind, near, far):
    points = np.array([(0.0, 0.3, 0.1), (0.0, -0.3, 0.1)])
    for rate in (0.2, -0.2):
        place, _ = project(points[:, None], turning(kind, rate, 4), (24, 40))
        steps = np.sign(np.diff(place[..., 0], axis=1))
        np.testing.assert_array_equal(steps[0], np.sign(rate) * near)
        np.testing.assert_array_equal(steps[1], np.sign(rate) * far)


def test_a_pan_moves_the_picture_and_a_zoom_magnifies_it():
    video = draw([Body("sphere", "red", 0.12, 0, 0)], turning("pan", 0.25, 3), (40, 56))
    red = np.maximum(video[..., 0] - video[..., 2], 0)
    columns = (red * (np.arange(56) + 0.5)).sum((1, 2)) / red.sum((1, 2))
    np.testing.assert_allclose(columns[-1] - columns[0], 40 * FOCAL * tan(0.25) / cos(radians(20)), rtol=0.12)
    points = np.array([(0.2, 0.1, 0.05), (-0.3, -0.2, 0.2)])[:, None]
    place, _ = project(points, turning("zoom", 0.4, 5), (24, 40))
    away = place - np.array([40 / 24, 1]) / 2
    np.testing.assert_allclose(away / away[:, :1], np.exp(0.1 * np.arange(5))[None, :, None] + 0 * away)


def test_a_zoom_is_a_part_of_a_larger_picture():
    twice = draw(BODIES, stand(np.zeros(1), np.zeros(1), np.full(1, 2.0)), (48, 64))
    np.testing.assert_allclose(twice, draw(BODIES, HOME, (96, 128))[:, 24:72, 32:96], atol=0.05)


def test_a_mirrored_scene_gives_the_mirrored_picture(monkeypatch):
    straight = draw(BODIES, turning("orbit", 0.6, 3), (40, 48))
    monkeypatch.setattr(solids, "SUN", (-solids.SUN[0], *solids.SUN[1:]))
    monkeypatch.setattr(solids, "TURN", -solids.TURN)
    dark, light = solids.DARK, solids.LIGHT  # a mirrored tile is of the other shade
    monkeypatch.setattr(solids, "DARK", light)
    monkeypatch.setattr(solids, "LIGHT", dark)
    mirrored = draw([replace(b, x=-b.x) for b in BODIES], turning("orbit", -0.6, 3), (40, 48))
    off = np.abs(straight - mirrored[:, :, ::-1])
    assert off.mean() < 0.6 and np.median(off) < 0.01  # the rays within a pixel are not symmetric


@pytest.mark.parametrize("size", [(24, 40), (40, 24)])
def test_a_small_picture_is_a_large_one_averaged(size):
    pose = turning("orbit", 0.5, 3)
    large = draw(BODIES, pose, (4 * size[0], 4 * size[1])).reshape(3, size[0], 4, size[1], 4, 3).mean((2, 4))
    assert np.abs(large - draw(BODIES, pose, size)).mean() < 1.2


def test_a_long_clip_is_drawn_in_parts(monkeypatch):
    pose = turning("orbit", 0.5, 7)
    whole = draw(BODIES, pose, (24, 32))
    monkeypatch.setattr(solids, "CHUNK", 2 * 24 * 32)
    np.testing.assert_array_equal(whole, draw(BODIES, pose, (24, 32)))

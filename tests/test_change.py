"""change: what stays changed, against hand-computed cases, closed forms and planted faults."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from data_gen import events
from data_gen.check import compare
from data_gen.events import area, break_up, centroid, cut, fall_time, flights, shatter, way_round
from data_gen.families import change
from data_gen.scene import FPS, PALETTE

SQUARE = [-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j]


def scenes(count, size=(32, 40), frames=17, split="train", kind=None, seed=0):
    drawn = (change.sample(np.random.default_rng((seed, i)), size, frames, split) for i in range(40 * count))
    wanted = (scene for scene in drawn if kind in (None, scene.bodies[0].role))
    return [next(wanted) for _ in range(count)]


def verdict(scene, video):
    return compare(change.facts(scene), *change.see(video))


def film(scene, edit, size=(32, 40)):
    """The clip of a scene with edit(sprite) in place of each sprite, back to front."""
    sprites = tuple(edit(sprite) for sprite in change.sprites(scene))
    return change.draw([(scene.background, sprites, scene.walls)], scene.frames, size)[0]


# The rules, by hand.


def test_a_square_cut_in_the_middle_gives_two_halves():
    assert area(SQUARE) == 4
    left, right = cut(SQUARE, 0.5 + 0j, 1 + 0j)[::-1]
    assert (area(left), area(right)) == (3, 1)
    assert (centroid(left), centroid(right)) == (-0.25, 0.75)


def test_fragments_are_convex_and_have_the_area_of_the_pane():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        count = 4 + seed % 5
        parts = shatter(SQUARE, count, rng)
        assert len(parts) == count
        assert sum(map(area, parts)) == pytest.approx(4, abs=1e-9)
        for part in parts:
            ways = [b - a for a, b in zip(part, part[1:] + part[:1], strict=True)]
            assert all((a.conjugate() * b).imag > 0 for a, b in zip(ways, ways[1:] + ways[:1], strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_a_broken_pane_comes_to_rest_on_the_floor_side_by_side(seed):
    side, floor, width = 0.26, 0.9, 1.0
    fragments = break_up(0.3, side, floor, width, np.random.default_rng(seed))
    assert 4 <= len(fragments) <= 8
    assert sum(area(f.corners) for f in fragments) == pytest.approx(side**2, abs=1e-9)
    time = np.linspace(0, 2, 65)
    places, angles = flights(fragments, time, floor)
    rims = []
    for fragment, place, angle in zip(fragments, places, angles, strict=True):
        turned = np.array(fragment.corners)[:, None] * np.exp(1j * angle)
        points = turned + place @ (1, 1j)
        assert points.imag.max() < floor + 1e-9 and points.imag[:, -1].max() == pytest.approx(floor)
        assert np.allclose(points[:, 0], np.array(fragment.corners) + fragment.start)
        assert np.ptp(points[:, time > fragment.time], axis=1).max() == 0
        rims.append((points[:, -1].real.min(), points[:, -1].real.max()))
    assert all(b - a >= events.GAP - 1e-9 for (_, a), (b, _) in pairwise(rims))
    assert rims[0][0] >= 0 and rims[-1][1] <= width


def test_a_fall_takes_as_long_as_physics_says():
    assert fall_time(0.25) == pytest.approx(0.5)  # 2 * 0.25 / 2.0 is 0.5 squared
    assert events.fall(0.5) == pytest.approx(0.25)


def test_a_way_round_meets_its_sides_and_bounces_off():
    # From the left to a thing at the origin, met at distance 2, then to its top, round the corner (-2, -2).
    points, shares = way_round(0, 2, 2, ("left", "top"), -4 + 0j, 8)
    assert points == [-4, -2, -2 - 2j, -2j, -4j]
    assert shares == [0, 0.25, 0.5, 0.75, 1]
    aslant, _ = way_round(0, 1, 1, ("left",), -2 + 1j, 2 * 2**0.5)  # comes upwards, leaves upwards
    assert aslant[-1] == pytest.approx(-2 - 1j)
    assert np.allclose(events.along(points, shares, np.array([0.125, 0.625])), [(-3, 0), (-1, -2)])


# The films.


@pytest.mark.parametrize("kind", change.THINGS)
@pytest.mark.parametrize(("size", "frames"), [((32, 56), 17), ((40, 40), 9), ((48, 32), 33)])
def test_what_is_filmed_is_what_is_seen(kind, size, frames):
    for scene in scenes(3, size, frames, kind=kind):
        report = verdict(scene, change.render([scene], size)[0])
        assert report.ok, report.why


def test_a_picture_shows_what_is_there_before_anything_changes():
    for scene in scenes(8, frames=1):
        told = change.facts(scene)
        assert ("scene", "events") not in told and not any(name == "after" for _, name in told)
        assert verdict(scene, change.render([scene], (32, 40))[0]).ok


def test_events_happen_when_the_motion_brings_them():
    for scene in scenes(40):
        times = np.array([event.time for event in scene.events]) * FPS
        assert times[0] >= 3 - 1e-9 and times[-1] <= 13 + 1e-9 and (np.diff(times) >= 3 - 1e-9).all()
        mover, still = scene.bodies[-1], scene.bodies[0]
        fine = replace(scene, frames=16 * 60 + 1)  # the same way in finer steps
        path = change.path(fine, mover)
        for event in scene.events:
            kind = event.what.split()[0]
            away = np.hypot(*(path - (still.x, still.y)).T)
            at = away[round(event.time * FPS * 60)]
            if kind == "bites":
                assert at == pytest.approx(still.radius, abs=0.01)
            elif kind in ("lights", "darkens"):
                assert at == pytest.approx(still.radius * events.RIM + mover.radius, abs=0.01)
            elif kind == "shatters":
                assert events.fall(event.time) == pytest.approx(mover.extent)


def test_what_is_changed_stays_changed():
    def gone(sprite):  # of a cake, the share that is missing in each frame
        x, y = np.meshgrid(*[np.linspace(-1, 1, 41) * float(np.max(sprite.radius))] * 2)
        inside = np.hypot(x, y) < np.max(sprite.radius)
        bites = sprite.form[:, :, :, None, None]
        bitten = (np.hypot(x - bites[:, :, 0], y - bites[:, :, 1]) < bites[:, :, 2]).any(1)
        return (bitten & inside).sum((1, 2)) / inside.sum()

    for scene in scenes(20):
        sprites = change.sprites(scene)
        behind, bodies = sprites[: -len(scene.bodies)], sprites[-len(scene.bodies) :]
        after = np.arange(17) / FPS >= scene.events[0].time
        kind = scene.bodies[0].role
        if kind == "cake":
            share = gone(bodies[0])
            assert (np.diff(share) >= 0).all() and not share[~after].any() and (share[after] > 0.05).all()
        elif kind == "brush":
            length = np.hypot(*behind[0].form[after].T)
            assert (np.diff(length) > 0).all() and (behind[0].shown == after).all()
        elif kind == "pane":
            assert (bodies[0].shown == ~after).all() and all((f.shown == after).all() for f in behind)
        elif len(scene.events) == 1:
            assert (behind[0].shown == after).all()


# The words.


def test_only_a_lamp_that_goes_off_again_is_told_to_be_undone():
    for scene in scenes(60):
        off = any(event.what.startswith("darkens") for event in scene.events)
        assert change.facts(scene)[scene.bodies[0].color, "after"] == ("undone" if off else "stays")


def test_heldout_shows_what_train_never_shows():
    def pairs(split):
        return {(s.bodies[0].role, s.bodies[-1].shape, s.bodies[-1].color) for s in scenes(400, split=split)}

    train, held = pairs("train"), pairs("heldout")
    assert not train & held
    for split, bit in (("train", 0), ("test", 1), ("heldout", 1)):
        assert all(s.bodies[0].x * change.GRID % 2 == bit for s in scenes(20, split=split))
    assert {shape for _, shape, _ in held} == set(change.SHAPES) and {c for *_, c in held} == set(PALETTE)


# The faults.


@pytest.mark.parametrize("kind", change.THINGS)
def test_clips_that_are_not_so_are_refused(kind):
    for scene in scenes(3, kind=kind):
        video = change.render([scene], (32, 40))[0]
        color = scene.bodies[-1].color
        stranger = next(c for c in PALETTE if c not in str(scene))
        faults = {
            "reversed": video[::-1].copy(),
            "frozen": np.repeat(video[:1], 17, 0),
            "blank": film(scene, lambda s: replace(s, shown=np.zeros(17, bool))),
            "noise": np.random.default_rng(0).integers(0, 256, video.shape, np.uint8),
            "fast": video[np.minimum(np.arange(17) * 3 // 2, 16)],
            "recoloured": film(
                scene, lambda s, c=color, d=stranger: replace(s, ink=PALETTE[d]) if s.ink == PALETTE[c] else s
            ),
            "gone": film(
                scene, lambda s, c=color: replace(s, shown=np.arange(17) < 8) if s.ink == PALETTE[c] else s
            ),
        }
        for name, fault in faults.items():
            assert not verdict(scene, fault).ok, (name, scene)


def test_what_heals_fades_or_goes_off_by_itself_is_refused():
    late = np.arange(17) >= 14

    def undo(sprite):
        if sprite.shape == "bitten":
            form = sprite.form.copy()
            form[late] = 0
            return replace(sprite, form=form)
        if sprite.shape == "capsule" or (sprite.shape == "circle" and sprite.shown is not None):
            return replace(sprite, shown=sprite.shown & ~late)
        if sprite.shape == "polygon":
            return replace(sprite, shown=sprite.shown & ~late)
        if sprite.shape == "square" and sprite.shown is not None:
            return replace(sprite, shown=sprite.shown | late)
        return sprite

    for kind in change.THINGS:
        for scene in scenes(3, kind=kind, seed=3):
            if len(scene.events) == 1 and scene.events[0].time * FPS < 12:
                assert not verdict(scene, film(scene, undo)).ok, scene

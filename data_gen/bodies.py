"""What a track shows of a flat body: its shape, size, motion and course, and what is wrong with it."""

from math import pi

import numpy as np

from .motions import GROWTH, STEADY, extent_word, pose, seen_path, seen_turning
from .observe import PERIODS, misfits, settle
from .render import coverage
from .scene import PALETTE, SHAPES

RADII = {"small": (0.09, 0.10), "medium": (0.125, 0.14), "large": (0.175, 0.195)}
MISFIT = 0.3  # largest difference from the drawn shape, as a share of its area
FIXED = 0.025  # what is seen to go less far than this, short sides, may be growing
WELL = 0.15  # a shape with less of a misfit than this fits well, though something else be near
BREATH = 0.10  # largest change of radius from its course, as a share
GRAIN = 48  # samples in a short side, to tell what covers what
COVERED = 0.2  # a body passes in front of another when they share this much of the smaller
MOSTLY = 0.6  # what is seen in part is judged where this share of it can be seen
SWOLLEN = 1.35  # so many times what can be visible of a body is too much
HALF = 0.4  # a body is placed where this share of it can be seen
TWITCH = np.radians(15)  # a turning body's angle is no further than this from an even turn
CLEARLY = 0.05  # a shape, or a turn, is taken for another when that fits better by this share


def see_body(track, when, tau):
    """One body's facts, its troubles, and its course: (T, 2) places, (T,) radii, (T,) angles.

    when: the frames that show it clear of all else; tau: (T,), the clip's progress from 0 to 1.
    """
    facts, wrong, frames = {}, [], len(tau)
    radius, still = track.radius[when], np.zeros(frames)
    errors = misfits(track, when)[:, 0]  # (shapes, M)
    best = errors.mean(1).argmin()
    course, motion, extent, turned = np.full(frames, np.median(radius)), None, 0.0, still
    if len(when) >= 3 and np.ptp(track.position[when], axis=0).max() < FIXED:  # what goes away does not grow
        weights = np.polyfit(tau[when], np.log(radius), 1)
        if abs(weights[0]) > np.log(STEADY):
            course = np.exp(np.polyval(weights, tau))
    places, open_share, share = settle(track, np.arange(frames), SHAPES[best], course)
    places[when] = track.position[when]
    sure = np.flatnonzero(track.clear | (np.minimum(open_share, share) > HALF))
    path = places[[0]]
    if frames > 1:
        motion, extent, along = seen_path(tau[sure], places[sure])
        path = along(tau)
    if motion == "still" and len(when) >= 3 and errors[best].mean() > CLEARLY:
        best, motion, extent, uneven = see_spinning(track, when, tau, errors, best)
        turned = 2 * pi * extent * tau
        if uneven.max() > TWITCH:
            wrong.append(f"turns unevenly in frame {int(when[uneven.argmax()])}")
    growth = course[-1] / course[0]
    if motion == "still" and growth != 1:
        fits = abs(np.log(max(growth, 1 / growth) / GROWTH)) < 0.17
        motion = ("growing" if growth > 1 else "shrinking") if fits else None
    if motion not in ("growing", "shrinking"):
        facts["size"] = size_word(np.median(radius))
    wrong += reshaped(errors, best, when)
    if not turned.any():
        wrong += see_partly(track, best, places, course, (open_share, share))
    breath = np.abs(radius / course[when] - 1)
    if breath.max() > BREATH:
        wrong.append(f"changes size in frame {int(when[breath.argmax()])}")
    lost = np.flatnonzero(share < 0.5 * open_share)
    if len(lost):
        wrong.append(f"is in part not there in frame {int(lost[0])}")
    facts |= {"shape": SHAPES[best], "motion": motion}
    if motion:
        facts["extent"] = extent_word(motion, extent)
    return facts, wrong, (path, course, turned)


def reshaped(errors, best, when, slack=0.0):
    """Where a body does not keep its shape, in words: a list of one, or none.

    errors: (shapes, M), the misfits in the frames `when`, (M,), see observe.misfits; best: the number of its
    shape; slack: by how much more than CLEARLY it may fit worse than another, and than MISFIT at all.
    """
    least = errors.min(0)
    off = np.flatnonzero(errors[best] > np.minimum(least + CLEARLY, MISFIT) + slack)
    if not len(off):
        return []
    i = off[0]
    what = "is blurred, broken or doubled"
    if least[i] <= MISFIT + slack:
        what = f"looks like a {SHAPES[errors[:, i].argmin()]}"
    return [f"{what} in frame {int(when[i])}"]


def see_partly(track, best, places, radius, shares):
    """What is wrong in the frames that show most of an upright body, not all, in words: a list.

    best: the number of its shape; places (T, 2) and radius (T,), short sides; shares: how much of the drawn
    shape is visible and is seen, (T,) each, see observe.settle.
    """
    open_share, share = shares
    when = np.flatnonzero(~track.clear & (np.minimum(open_share, share) > MOSTLY))
    wrong = seen_reshaped(track, best, when, places[when], radius[when])
    large = when[share[when] > SWOLLEN * open_share[when]]
    return wrong + [f"changes size in frame {int(t)}" for t in large[:1]]


def seen_reshaped(track, best, when, place, radius):
    """reshaped, for frames `when`, (M,), that show a body in part, at place (M, 2), of radius (M,), short
    sides: those in which some shape fits well; what is near can spoil the others."""
    if not len(when):
        return []
    errors = misfits(track, when, place=place, radius=radius)[:, 0]
    sure = errors.min(0) < WELL
    return reshaped(errors[:, sure], best, when[sure], CLEARLY / 2) if sure.any() else []


def see_spinning(track, when, tau, errors, best):
    """Whether a still body spins: (number of its shape, motion, signed turns, how far each angle is from an
    even turn); errors take the turned fit."""
    motion, extent, uneven = "still", 0.0, np.zeros(len(when))
    for shape in PERIODS:
        turns, off, twitch = seen_turning(track, when, tau[when], shape)
        if off.mean() < errors[best].mean() - CLEARLY and abs(turns) > 0.05:
            best = SHAPES.index(shape)
            errors[best] = off
            motion, extent = f"spinning {'clockwise' if turns > 0 else 'counterclockwise'}", turns
            uneven = twitch
    return best, motion, extent, uneven


def size_word(radius):
    """The nearest of the sizes, or None between two."""
    word = min(RADII, key=lambda name: abs(np.log(radius / np.mean(RADII[name]))))
    return word if abs(np.log(radius / np.mean(RADII[word]))) < 0.16 else None


def seen_overlaps(view, poses, seen):
    """Which body is seen in front of which, where their courses cross: (front, back) colours, the back being
    what the front shares the largest area with in one frame."""
    size = view.labels.shape[1:]
    scale, names = min(size), [None, *PALETTE, "grey"]
    masks = {}
    for color, (path, radius, angle) in poses.items():
        turn = angle if angle.any() else None
        masks[color] = coverage(seen[color, "shape"], path * scale, radius * scale, size, turn) > 0.6
    found = {}
    for a in masks:
        for b in masks:
            shared = masks[a] & masks[b] if a < b else None
            if shared is None or not shared.any():
                continue
            votes = [int((view.labels[shared] == names.index(name)).sum()) for name in (a, b)]
            front, back = (a, b) if votes[0] > votes[1] else (b, a)
            if max(votes) and max(votes) >= 2 * min(votes):
                found[front] = max(found.get(front, (0, "")), (int(shared.sum((1, 2)).max()), back))
    return [(front, back) for front, (_, back) in found.items()]


def overlaps(scene):
    """Which body passes clearly in front of which: (front, back) colours, one a front body."""
    grid, poses = (int(GRAIN * scene.window[0]), int(GRAIN * scene.window[1])), []
    for body in scene.bodies:
        path, radius, angle = pose(body, scene.frames)
        radius, angle = np.broadcast_to(radius, scene.frames), np.broadcast_to(angle, scene.frames)
        poses.append((path, radius, angle))
    found = {}
    for j, front in enumerate(scene.bodies):
        for i, back in enumerate(scene.bodies[:j]):
            near = np.hypot(*(poses[i][0] - poses[j][0]).T) < poses[i][1] + poses[j][1]
            if near.any():
                masks = [
                    coverage(b.shape, p[near] * GRAIN, r[near] * GRAIN, grid, a[near])
                    for b, (p, r, a) in ((back, poses[i]), (front, poses[j]))
                ]
                shared = (masks[0] * masks[1]).sum((1, 2)).max() / GRAIN**2
                if shared > COVERED * pi * min(front.radius, back.radius) ** 2:
                    found[front.color] = max(found.get(front.color, (0, "")), (shared, back.color))
    return [(front, back) for front, (_, back) in found.items()]

"""How a body can move by itself, in closed form, and which of these motions a track shows.

`extent` is how far a motion goes in the clip, whatever the number of frames: in short sides along a
way, in whole turns around a circle or of the body itself.
"""

from functools import lru_cache
from math import pi, sqrt

import numpy as np

from .observe import PERIODS, misfits
from .scene import REACH

DIAGONAL = sqrt(0.5)
WAYS = {
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
    "up left": (-DIAGONAL, -DIAGONAL),
    "up right": (DIAGONAL, -DIAGONAL),
    "down left": (-DIAGONAL, DIAGONAL),
    "down right": (DIAGONAL, DIAGONAL),
}
ZIGZAGS = {f"zigzag {way}": WAYS[way] for way in ("left", "right", "up", "down")}
TURNS = {"clockwise": 1, "counterclockwise": -1}  # as the viewer sees it
MOTIONS = (
    "still",
    *WAYS,
    *(f"{what} {turn}" for what in ("circling", "spinning") for turn in TURNS),
    *ZIGZAGS,
    "growing",
    "shrinking",
)
# What `extent` may be, and the range of it that is still taken for the word: another 1.5 times as
# far is neither. Lines and zigzags in short sides, turns in whole turns.
EXTENTS = {"near": (0.24, 0.28), "far": (0.52, 0.60)}
EXTENTS_SEEN = {"near": (0.20, 0.33), "far": (0.45, 0.70)}
ARCS = {"half circle": 0.5, "full circle": 1.0}
SPINS = {"quarter turn": 0.25, "half turn": 0.5}
ORBIT = 0.16  # radius of circling, short sides
ZIGZAG = 0.09  # amplitude of a zigzag, short sides
GROWTH = 1.8  # how many times larger a growing body's radius ends
WIDEST = {shape: max(np.hypot(side, down), up) for shape, (side, up, down) in REACH.items()}
WIDEST |= {"circle": 1.0, "ring": 1.155, "star": 1.463, "cross": 1.254}  # turned any way, in radii


@lru_cache
def progress(frames):
    """From 0 to 1 over the clip: (T,)."""
    return np.arange(frames) / max(frames - 1, 1)


def wave(tau):
    """A zigzag's sideways share, of period 1/2: 0 at 0, 1 at 1/8, 0 at 1/4, -1 at 3/8."""
    return 1 - np.abs((8 * tau + 1) % 4 - 2)


def pose(body, frames):
    """Where a body is, how large, how turned: (T, 2), (T,) or a number, (T,) or a number."""
    tau, start, motion = progress(frames), (body.x, body.y), body.motion
    radius, angle = body.radius, 0.0
    way = WAYS.get(motion) or ZIGZAGS.get(motion) or (0.0, 0.0)
    path = np.empty((frames, 2))
    for axis in (0, 1):
        path[:, axis] = start[axis] + way[axis] * body.extent * tau
    if motion in ZIGZAGS:
        path += ZIGZAG * wave(tau)[:, None] * (way[1], way[0])
    elif motion in ("growing", "shrinking"):
        radius = body.radius * GROWTH ** (tau if motion == "growing" else -tau)
    elif way == (0.0, 0.0) and motion != "still":
        turn = TURNS[motion.split()[1]] * 2 * pi * body.extent * tau
        if motion.startswith("spinning"):
            angle = turn
        else:
            around = body.phase + turn
            path[:, 0] += ORBIT * (np.cos(around) - np.cos(body.phase))
            path[:, 1] += ORBIT * (np.sin(around) - np.sin(body.phase))
    return path, radius, angle


def spread(body):
    """How far a body's edge gets from its place at time 0: (left, right, up, down), short sides."""
    motion, radius = body.motion, body.radius * (GROWTH if body.motion == "growing" else 1)
    side, up, down = (radius * part for part in REACH[body.shape])
    if motion.startswith("spinning"):
        side = up = down = radius * WIDEST[body.shape]
    way = WAYS.get(motion) or ZIGZAGS.get(motion) or (0, 0)
    dx, dy = way[0] * body.extent, way[1] * body.extent
    if motion in ZIGZAGS:
        side, up, down = side + ZIGZAG * abs(way[1]), up + ZIGZAG * abs(way[0]), down + ZIGZAG * abs(way[0])
    left, right, above, below = side + max(-dx, 0), side + max(dx, 0), up + max(-dy, 0), down + max(dy, 0)
    if motion.startswith("circling"):
        cx, cy = ORBIT * np.cos(body.phase), ORBIT * np.sin(body.phase)
        left, right, above, below = (
            left + ORBIT + cx,
            right + ORBIT - cx,
            above + ORBIT + cy,
            below + ORBIT - cy,
        )
    return left, right, above, below


def extent_word(motion, extent):
    """The word for how far a motion goes, or None where it is no such distance or has none."""
    what, extent = motion.split()[0], abs(extent)
    if what == "circling":
        return next((w for w, turns in ARCS.items() if abs(extent / turns - 1) < 0.2), None)
    if what == "spinning":
        return next((w for w, turns in SPINS.items() if abs(extent / turns - 1) < 0.2), None)
    if motion in WAYS or motion in ZIGZAGS:
        return next((w for w, (low, high) in EXTENTS_SEEN.items() if low <= extent <= high), None)
    return None


WORDS = {
    "left": ("moves left", "moves to the left", "slides left", "drifts leftwards", "goes left"),
    "right": ("moves right", "moves to the right", "slides right", "drifts rightwards", "goes right"),
    "up": ("moves up", "rises", "slides up", "drifts upwards", "climbs"),
    "down": ("moves down", "sinks", "slides down", "drifts downwards", "descends"),
    "still": ("stays still", "does not move", "rests", "stays in place", "stands still"),
    "up left": ("moves up and left", "rises to the left", "climbs leftwards", "drifts up and left"),
    "up right": ("moves up and right", "rises to the right", "climbs rightwards", "drifts up and right"),
    "down left": ("moves down and left", "sinks to the left", "descends leftwards", "drifts down and left"),
    "down right": (
        "moves down and right",
        "sinks to the right",
        "descends rightwards",
        "drifts down and right",
    ),
    "circling clockwise": ("circles clockwise", "goes round clockwise", "follows a clockwise circle"),
    "circling counterclockwise": (
        "circles counterclockwise",
        "goes round counterclockwise",
        "follows a counterclockwise circle",
    ),
    "spinning clockwise": ("spins clockwise", "turns clockwise on the spot", "rotates clockwise"),
    "spinning counterclockwise": (
        "spins counterclockwise",
        "turns counterclockwise on the spot",
        "rotates counterclockwise",
    ),
    "zigzag left": ("zigzags left", "zigzags to the left", "weaves to the left"),
    "zigzag right": ("zigzags right", "zigzags to the right", "weaves to the right"),
    "zigzag up": ("zigzags up", "zigzags upwards", "weaves upwards"),
    "zigzag down": ("zigzags down", "zigzags downwards", "weaves downwards"),
    "growing": ("grows", "gets bigger", "swells"),
    "shrinking": ("shrinks", "gets smaller", "dwindles"),
}
EXTENT_WORDS = {
    "near": ("a short way", "a little way"),
    "far": ("a long way", "a good distance"),
    "half circle": ("through half a circle", "half way round"),
    "full circle": ("through a full circle", "all the way round"),
    "quarter turn": ("by a quarter turn", "through a right angle"),
    "half turn": ("by half a turn", "through two right angles"),
}
WOBBLE = 0.035  # largest distance from a path, short sides
STILL = 0.05  # a still body stays this close to its mean place, short sides
STEADY = 1.35  # a radius that changes by less than this factor does not grow
ASKEW = 12  # largest angle between a straight motion and its word's, degrees


def _least_squares(basis, values):
    """Fit values (M, d) by basis (M, k): (weights (k, d), largest distance of a row)."""
    weights = np.linalg.lstsq(basis, values, rcond=None)[0]
    return weights, np.linalg.norm(basis @ weights - values, axis=1).max()


def _straight(tau, place):
    """A line, with a zigzag across it or none: (motion, extent, path over tau) or None."""

    def basis(t):
        return np.stack([np.ones_like(t), t, wave(t)], -1)

    able = len(tau) >= 5 and np.ptp(wave(tau)) > 1
    weights, off = _least_squares(basis(tau)[:, : 3 if able else 2], place)
    velocity, across = weights[1], weights[2] if able else np.zeros(2)
    extent = np.hypot(*velocity)
    if off > WOBBLE or extent < WOBBLE:
        return None
    way = max(WAYS, key=lambda name: np.dot(WAYS[name], velocity))
    if np.dot(WAYS[way], velocity) < extent * np.cos(np.radians(ASKEW)):
        return None
    swing, motion = np.hypot(*across), way
    if swing > ZIGZAG / 3:
        motion = f"zigzag {way}"
        if (
            motion not in ZIGZAGS
            or abs(swing / ZIGZAG - 1) > 0.4
            or abs(np.dot(across, WAYS[way])) > swing / 3
        ):
            return None
    return motion, extent, lambda t: basis(t)[:, : len(weights)] @ weights


def _around(tau, place):
    """A circle at a constant rate: (motion, extent, path over tau) or None."""
    if len(tau) < 4:
        return None
    best = None
    for turns in np.arange(-1.75, 1.76, 0.125):
        c, s = np.cos(2 * pi * turns * tau), np.sin(2 * pi * turns * tau)
        zero, one = np.zeros_like(tau), np.ones_like(tau)
        # x = cx + a c - b s, y = cy + a s + b c: linear in cx, cy, a, b
        basis = np.concatenate([np.stack([one, zero, c, -s], -1), np.stack([zero, one, s, c], -1)])
        weights = np.linalg.lstsq(basis, place.T.reshape(-1), rcond=None)[0]
        off = np.abs(basis @ weights - place.T.reshape(-1)).max()
        if (
            abs(turns) > 0.2
            and abs(np.hypot(*weights[2:]) / ORBIT - 1) < 0.4
            and (best is None or off < best[0])
        ):
            best = off, turns, weights
    if best is None or best[0] > WOBBLE:
        return None
    _, turns, (cx, cy, a, b) = best

    def path(t):
        c, s = np.cos(2 * pi * turns * t), np.sin(2 * pi * turns * t)
        return np.stack([cx + a * c - b * s, cy + a * s + b * c], -1)

    return f"circling {'clockwise' if turns > 0 else 'counterclockwise'}", abs(turns), path


def seen_path(tau, place):
    """Which path a body takes: (motion, extent, path), path(tau) -> (M, 2); motion None for no such path.

    tau: (M,) in [0, 1]; place: (M, 2), short sides, where the body is clearly seen.
    """
    mean = place.mean(0)
    if np.linalg.norm(place - mean, axis=1).max() < STILL:
        return "still", 0.0, lambda t: np.broadcast_to(mean, (len(t), 2))
    found = _straight(tau, place) or _around(tau, place)
    return found or (None, 0.0, lambda t: np.stack([np.interp(t, tau, place[:, i]) for i in (0, 1)], -1))


def seen_turning(track, when, tau, shape):
    """How far a shape turns in the clip, from the angle that fits each frame: (signed turns, misfits, how
    far each angle is from an even turn, radians)."""
    period = PERIODS[shape]
    angles = np.arange(0, period, np.radians(6))
    errors = misfits(track, when, (shape,), angles)[0]
    phase = np.exp(2j * pi * angles[errors.argmin(0)] / period)
    turns = np.arange(-0.95, 0.951, 0.025)
    left = phase * np.exp(-2j * pi * (2 * pi / period) * turns[:, None] * tau)
    best = np.abs(left.mean(1)).argmax()
    uneven = np.abs(np.angle(left[best] / left[best].mean())) * period / (2 * pi)
    return turns[best], errors.min(0), uneven


def way_of(velocity):
    """The name in WAYS of a direction, or None further than ASKEW degrees from all."""
    speed = np.hypot(*velocity)
    way = max(WAYS, key=lambda name: np.dot(WAYS[name], velocity))
    return way if np.dot(WAYS[way], velocity) > speed * np.cos(np.radians(ASKEW)) else None


def seen_course(tau, sure, places, window):
    """How a body goes: (word or None, velocity over tau (2,), when it turns round or 0, path (T, 2))."""

    def fit(turn):
        bend = tau if not turn else turn - np.abs(tau - turn)
        basis = np.stack([np.ones_like(tau), bend], -1)
        weights = np.linalg.lstsq(basis[sure], places[sure], rcond=None)[0]
        return ((basis[sure] @ weights - places[sure]) ** 2).mean() ** 0.5, turn, weights[1], basis @ weights

    best = fit(0.0)
    if best[0] > WOBBLE / 4:
        coarse = min((fit(turn) for turn in np.arange(0.3, 0.71, 0.02)), key=lambda found: found[0])
        fine = (fit(coarse[1] + shift) for shift in np.arange(-0.02, 0.021, 0.002))
        bent = min(fine, key=lambda found: found[0])
        far = bent[3][0] + bent[2] * bent[1]
        if bent[0] < best[0] and ((far < 0) | (far > window[::-1])).any():  # it turns round out of sight
            best = bent
    _, turn, velocity, path = best
    if np.ptp(path, axis=0).max() < STILL:
        return "still", velocity, 0.0, path
    return way_of(velocity), velocity, turn, path

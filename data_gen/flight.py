"""Whether balls move as physics has it: the flight, simulated, that comes nearest to the places seen."""

from itertools import product
from math import hypot

import numpy as np

from .bodies import BREATH, reshaped, see_partly, size_word
from .motions import way_of
from .observe import misfits, observe, settle
from .physics import simulate, trajectory
from .scene import FPS, SHAPES, WorldError, window_of
from .words import place_of, word_of

STRETCH, STRIDE = 9, 4  # frames that are simulated at once, and from one stretch to the next
G = 1.0  # where there is gravity, short sides per second squared
DULL = 0.7  # the restitution of inelastic bounces
SPEEDS_SEEN = {"slow": (0.24, 0.38), "fast": (0.50, 0.80)}
TOLD = 3  # events that a caption tells
OFF = 0.03  # largest distance between the simulated place and the one seen, short sides
HOPELESS = 0.3  # so far off, no flight is looked for any more
SAME = 1.0 / FPS  # two stretches' events of one kind this near in time are one


def seen_gravity(places):
    """The downward pull that the places (n, T, 2) show, NaN where unseen: a median that no bounce moves."""
    bend = np.diff(places[..., 1], 2, axis=1)
    return float(np.nanmedian(bend) * FPS**2) if np.isfinite(bend).any() else 0.0


def _guesses(places, start, gravity):
    """States at a frame, (2, n, 2) each: from the velocity after it, before it, and a frame later."""
    drop = np.array([0, gravity]) / FPS / 2
    for here, there in ((start, start + 1), (start - 1, start), (start + 1, start + 2)):
        if here >= 0 and there < places.shape[1]:
            velocity = (places[:, there] - places[:, here]) * FPS + (2 * (start - here) - 1) * drop
            at = places[:, start] if here <= start else places[:, here] - (velocity + drop) / FPS
            yield np.nan_to_num(np.stack([at, velocity]), nan=0.5)


def _flight(places, start, end, radii, window, gravity, restitution):
    """The flight from frame `start` to before `end`: (distance (T',), events, velocities at start).

    Least squares over the places and velocities at the start, from the best combinations of each
    ball's guesses. None where no flight can be found.
    """
    there = np.flatnonzero(np.isfinite(places[:, start:end]).any(axis=(1, 2)))
    if len(there) < len(places):  # who is gone is met by nobody
        return _flight_of(there, places, start, end, radii, window, gravity, restitution)
    seconds, times, target = (end - start - 1) / FPS, np.arange(end - start) / FPS, places[:, start:end]
    known = np.isfinite(target)

    def fly(state):
        flights, events = simulate(*state, radii, seconds, window, gravity, restitution)
        return trajectory(flights, times)[0], events

    def miss(state):
        try:
            return np.where(known, fly(state)[0] - target, 0).ravel()
        except WorldError:
            return np.full(target.size, 1.0)

    options = list(_guesses(places, start, gravity))
    starts = []
    for choice in product(range(len(options)), repeat=len(radii)):
        state = np.stack([options[k][:, ball] for ball, k in enumerate(choice)], 1)
        starts.append((miss(state), state))
    starts.sort(key=lambda pair: (pair[0] ** 2).sum())
    best = np.inf, None
    for error, state in starts[:4]:
        if best[0] < OFF / 3:
            break
        best = min(best, _descend(miss, state, error), key=lambda pair: pair[0])
    try:
        path, events = fly(best[1])
    except WorldError:
        return None
    off = np.where(known, path - target, 0)
    return np.hypot(off[..., 0], off[..., 1]).max(0), events, best[1][1]


def _flight_of(there, places, start, end, radii, *world):
    """The same of some balls alone, by number; the velocities of the others are zero."""
    off, events, velocities = np.zeros(end - start), [], np.zeros((len(places), 2))
    if len(there):
        found = _flight(places[there], start, end, [radii[i] for i in there], *world)
        if found is None:
            return None
        off, happened, velocities[there] = found
        for time, what, i, other in happened:
            events.append((time, what, there[i], there[other] if what == "meets" else other))
    return off, events, velocities


def _descend(miss, state, error, damping=1e-3):
    """Least squares by damped steps (Levenberg 1944): (largest error, state)."""
    for _ in range(8):
        if np.abs(error).max() < OFF / 6:
            break
        tilt = np.empty((error.size, state.size))
        for k in range(state.size):
            moved = state.copy()
            moved.flat[k] += 1e-4
            tilt[:, k] = (miss(moved) - error) / 1e-4
        damped = np.concatenate([tilt, np.sqrt(damping) * np.eye(state.size)])
        change = np.linalg.lstsq(damped, np.concatenate([error, np.zeros(state.size)]), rcond=None)[0]
        trial = state - change.reshape(state.shape)
        tried = miss(trial)
        if (tried**2).sum() < (error**2).sum():
            state, error, damping = trial, tried, damping / 5
        else:
            damping *= 10
    return np.abs(error).max(), state


def replay(places, radii, window, gravity, restitution):
    """Simulate the places seen, (n, T, 2) with NaN where unseen, stretch by stretch.

    Returns (distance (T,) between simulated and seen, events in order, velocities (n, 2) at the start).
    """
    frames = places.shape[1]
    off, events, first = np.zeros(frames), [], None
    for start in range(0, max(frames - STRETCH + STRIDE, 1), STRIDE):
        end = min(start + STRETCH, frames)
        if end - start < 3 and start:
            break
        found = None
        for begin in (start, start - 1, start + 1):  # a bounce at the very start hides how it began
            if 0 <= begin < end - 2 and (begin <= start or start):
                trial = _flight(places, begin, end, radii, window, gravity, restitution)
                if trial and (found is None or trial[0].max() < found[1][0].max()):
                    found = begin, trial
                if found and found[1][0].max() < OFF / 2:
                    break
        if found is None or found[1][0].max() > HOPELESS:
            off[start:] = HOPELESS
            break
        begin, (distance, happened, velocities) = found
        off[begin:end] = np.maximum(off[begin:end], distance)
        first = velocities if first is None else first
        for time, *what in happened:
            time += begin / FPS
            if not any(what == other and abs(time - when) < SAME for when, *other in events):
                events.append((time, *what))
    return off, sorted(events, key=lambda event: event[0]), first


def in_words(events, colors):
    """The first events as facts: ("hits", colour, side) or ("meets", colour, colour) by alphabet."""
    told = []
    for _, what, i, other in events[:TOLD]:
        told.append(
            (what, colors[i], other) if what == "hits" else (what, *sorted((colors[i], colors[other])))
        )
    return tuple(told)


def see(video, pull=G, closed=True):
    """The facts seen in a video, uint8 (T, H, W, 3), and what is wrong with it, in words.

    pull: what gravity is where there is some; closed: whether the window's edge is a wall.
    """
    seen, trouble, view, frames = {("scene", "family"): "bounce"}, [], observe(video), len(video)
    window, colors = window_of(video.shape[1:3]), []
    trouble += view.strange()
    if view.dull_white():
        view.tracks.pop("grey")
    seen["scene", "count"], seen["scene", "background"] = len(view.tracks), view.background
    places, radii = [], []
    for color, track in view.tracks.items():
        when = np.flatnonzero(track.clear)
        if closed and not track.seen.all():
            trouble.append(f"the {color} ball is not there in frame {int(np.argmin(track.seen))}")
        if len(when) < max(1, 0.1 * track.seen.sum()):
            trouble.append(f"the {color} ball is hardly ever seen whole")
            continue
        errors = misfits(track, when)[:, 0]
        shape, radius = SHAPES[errors.mean(1).argmin()], float(np.median(track.radius[when]))
        trouble += [f"the {color} ball {what}" for what in reshaped(errors, SHAPES.index("circle"), when)]
        if np.abs(track.radius[when] / radius - 1).max() > BREATH:
            trouble.append(f"the {color} ball changes size")
        place, open_share, share = settle(track, np.arange(frames), "circle", np.full(frames, radius))
        wrong = see_partly(track, SHAPES.index("circle"), place, np.full(frames, radius), (open_share, share))
        trouble += [f"the {color} ball {what}" for what in wrong]
        if closed and (share < 0.5 * open_share).any():
            trouble.append(
                f"the {color} ball is in part not there in frame {int(np.argmax(share < 0.5 * open_share))}"
            )
        place[when] = track.position[when]
        place[~track.clear & (np.minimum(open_share, share) < 0.4)] = np.nan
        seen[color, "shape"] = "ball" if shape == "circle" else shape
        seen[color, "size"] = size_word(radius)
        seen[color, "place"] = place_of(*place[0], window, margin=0)
        colors.append(color)
        places.append(place)
        radii.append(radius)
    if frames > 1 and 0 < len(colors) <= 3 and not trouble:  # else there is no flight to look for
        trouble += _see_flight(seen, colors, np.array(places), radii, window if closed else None, pull)
    return seen, trouble


def _see_flight(seen, colors, places, radii, window, pull):
    """Add how the balls fly to what is seen; yields what physics would not do."""
    guess = pull if seen_gravity(places) > pull / 2 else 0.0
    best = None
    for gravity in (guess, pull - guess):
        for restitution in (1.0, DULL) if window else (1.0,):
            off, events, velocities = replay(places, radii, window, gravity, restitution)
            if best is None or (off**2).sum() < (best[0] ** 2).sum():
                best = off, events, velocities, gravity, restitution
            if not events:  # in which alone the two differ
                break
        if best[0].max() < OFF:
            break
    off, events, velocities, gravity, restitution = best
    seen["scene", "restitution"] = "elastic" if restitution == 1 else "inelastic"
    seen["scene", "gravity"] = "down" if gravity else "none"
    seen["scene", "events"] = in_words(events, colors)
    for color, velocity in zip(colors, velocities if velocities is not None else (), strict=False):
        seen[color, "heads"] = way_of((velocity[0], 0) if gravity else velocity)
        seen[color, "speed"] = word_of(hypot(*velocity), SPEEDS_SEEN)
    if off.max() > OFF:
        yield f"the balls do not move as physics has it near frame {int(off.argmax())}"

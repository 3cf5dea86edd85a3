"""How changes are seen: the way of what moves, and what it leaves behind, held against the rules of events.

`see` finds which kind of change there is; the function of a kind returns (facts, troubles, events).
"""

from math import pi, sqrt

import numpy as np

from .bodies import BREATH, CLEARLY, MISFIT, reshaped, seen_reshaped
from .events import GRAVITY, RIM, SIDES, TRAIL, fall_time, reaches
from .motions import way_of
from .observe import INKS, SMALLEST, dilate, misfits, observe
from .render import cover, coverage
from .scene import FPS, SHAPES, window_of
from .words import place_of, word_of

EXTENTS_SEEN = {"near": (0.29, 0.495), "far": (0.52, 0.84), "very far": (0.95, 1.55)}  # short sides
DROPS_SEEN = {"near": (0.20, 0.40), "far": (0.40, 0.70)}  # of a pane
DRIFT = 0.05  # how far a mover may be from where its even pace has it, short sides
TOUCH = 0.022  # how far from touching a visitor may be when something happens, short sides
MESS = 0.22  # how much of a thing may look otherwise than it should, as a share of its area
HEAVY = 0.3  # how far from the world's the acceleration of a fall may be, as a share


def _whole(tracks):
    """Troubles: what is not there in every frame."""
    return [
        f"the {color} body is not there in frame {int(np.argmin(track.seen))}"
        for color, track in tracks.items()
        if not track.seen.all()
    ]


def _see_shape(track, color):
    """(shape, troubles) of a body that keeps its shape, from where it is seen whole."""
    when = np.flatnonzero(track.clear)
    when = when if len(when) else np.arange(1)  # all are apart at the start
    errors = misfits(track, when)[:, 0]
    # Some pixels' worth may be wrong, where it meets another colour.
    slack = 4 / (pi * (np.median(track.radius[when]) * min(track.alpha.shape[1:])) ** 2)
    best = errors.mean(1).argmin()
    trouble = [f"the {color} body {what}" for what in reshaped(errors, best, when, slack / 2)]
    radius, rest = np.median(track.radius[when]), np.flatnonzero(track.seen & ~track.clear)
    wrong = seen_reshaped(track, best, rest, track.position[rest], np.full(len(rest), radius))
    trouble += [f"the {color} body {what}" for what in wrong]
    limit = np.where(track.clear, np.log(1 + BREATH), np.log(1.3 + slack) / 2)
    grown = np.abs(np.log(track.radius / radius)) > limit
    if grown.any():
        trouble.append(f"the {color} body changes size in frame {int(grown.argmax())}")
    return SHAPES[best], trouble


def _see_mover(track, color, turns):
    """Facts and troubles of a body that goes at one speed, with so many turns on its way."""
    shape, trouble = _see_shape(track, color)
    place = track.position[:: max((len(track.seen) - 1) // 16, 1)]
    steps = np.hypot(*np.diff(place, axis=0).T)
    pace = np.median(steps)
    ahead = np.cumsum(steps) - pace * np.arange(1, len(steps) + 1)
    # Between two frames around a turn it goes further than it gets.
    jump = np.hypot(*np.diff(track.position, axis=0).T).max() - 1.5 * pace
    if ahead.max() > DRIFT or ahead.min() < -DRIFT - pace * turns or jump > DRIFT:
        trouble.append(f"the {color} body does not move at one speed")
    first = place[max(1, min(3, len(steps) // 3))] - place[0]
    return {
        (color, "shape"): shape,
        (color, "motion"): way_of(first),
        (color, "extent"): word_of(pace * len(steps), EXTENTS_SEEN),
    }, trouble


def _see_paint(tracks, brush, paint, size):
    """A brush that leaves a trail: that of its centre, as wide as the world has it, for good."""
    scale, mover, trail = min(size), tracks[brush], tracks[paint]
    facts, trouble = _see_mover(mover, brush, 0)
    begun = int(trail.seen.argmax())
    tau, facts[brush, "thing"] = np.arange(len(mover.seen)), "brush"
    (start, step), off = _line(tau, mover.position)
    if off.max() > DRIFT:
        trouble.append(f"the {brush} brush leaves its straight way in frame {int(off.argmax())}")
    radius = TRAIL * np.median(mover.radius[:begun] if begun else mover.radius) * scale
    x, y = (np.arange(n, dtype=np.float32) + 0.5 for n in size[::-1])
    hidden, best = _behind(trail, mover), (np.inf,)
    unseen = 1.2 * np.median(mover.radius) / max(np.hypot(*step), 1e-3)  # it begins under the brush
    for first in np.linspace(begun - 1 - unseen, begun, 13):
        here = (start + step * first) * scale
        form = np.maximum(tau - first, 0)[:, None] * step * scale
        count = len(tau)
        drawn = (
            cover(
                "capsule",
                np.broadcast_to(x - here[0], (count, size[1])),
                np.broadcast_to(y - here[1], (count, size[0])),
                np.full(count, radius, np.float32),
                None,
                form.astype(np.float32),
            )
            * (tau >= first)[:, None, None]
        )
        error = (np.abs(trail.alpha - drawn) * ~hidden).sum((1, 2))
        error = (error - 2.5) / (
            (drawn * ~hidden).sum((1, 2)) + pi / 2 * radius**2
        )  # some pixels, where the two meet
        best = min(best, (error.max(), int(error.argmax())))
    if best[0] > MESS:
        trouble.append(f"the {paint} paint is not where the {brush} brush has been in frame {best[1]}")
    facts[brush, "after"] = "stays"
    return facts, trouble, (("paints", brush, paint),)


def _behind(track, mover):
    """Where what moves, or its rim, hides what another track's pixels are: (T, H, W) bool."""
    size = track.alpha.shape[1:]
    radius = np.full(len(mover.radius), 1.2 * np.median(mover.radius) * min(size), np.float32)
    return dilate(track.veil) | (coverage("circle", mover.position * min(size), radius, size) > 0)


def _line(tau, place):
    """The straight way at one speed nearest to places (M, 2): (start, step), distances (M,)."""
    basis = np.stack([np.ones(len(tau)), tau], -1)
    weights = np.linalg.lstsq(basis, place, rcond=None)[0]
    return weights, np.hypot(*(basis @ weights - place).T)


def _see_visits(tracks, thing, visitor, size):
    """A cake that is bitten or a lamp that is switched, and its visitor."""
    still, mover = tracks[thing], tracks[visitor]
    before = np.arange(max(1, int(np.argmin(still.clear)) if not still.clear.all() else 1))
    errors = misfits(still, before)[:, 0].mean(1)
    kind = {"circle": "cake", "ring": "lamp"}.get(SHAPES[errors.argmin()])
    center, radius = still.position[before].mean(0), np.median(still.radius[before])
    if kind is None or errors.min() > MISFIT:
        return {}, [f"the {thing} body is no cake and no lamp"], ()
    hidden = _behind(still, mover)
    contact, _ = reaches(kind, radius, np.median(mover.radius))
    if kind == "lamp":
        states, odd = _see_lamp(still, center, radius, ~hidden, size)
    else:
        states, odd = _see_cake(still, center, radius, contact, np.median(mover.radius), ~hidden, size)
    trouble, events = [], []
    if odd.any():
        trouble.append(f"the {thing} {kind} looks wrong in frame {int(odd.argmax())}")
    step = np.median(np.hypot(*np.diff(mover.position, axis=0).T))
    for side, known in states.items():
        frames = np.flatnonzero(~np.isnan(known))
        if not len(frames) or known[frames[0]] or (kind == "cake" and (np.diff(known[frames]) < 0).any()):
            trouble.append(f"the {thing} {kind} does not start whole, or heals")
            continue
        for i in np.flatnonzero(np.diff(known[frames])):
            a, b = frames[i], frames[i + 1]
            goal = (
                center + contact * np.array([complex(SIDES[side]).real, complex(SIDES[side]).imag])
                if side
                else center
            )
            away = np.hypot(*(mover.position[a : b + 1] - goal).T) - (0 if side else contact)
            if away.min() > TOUCH * (2 if side else 1) + step / 2:  # a bite is partly hidden
                trouble.append(f"the {thing} {kind} changes untouched in frame {int(b)}")
            name = "bites" if side else "lights" if known[b] else "darkens"
            # Hidden at the time, it happened when the visitor was nearest.
            events.append((a + int(away.argmin()), (name, visitor, thing, side) if side else (name, thing)))
    events.sort(key=lambda event: event[0])
    facts, wrong = _see_mover(mover, visitor, 2 * len(events))
    facts[thing, "thing"] = kind
    facts[thing, "after"] = "undone" if any(event[0] == "darkens" for _, event in events) else "stays"
    if kind == "cake":
        facts[thing, "bites"] = len(events)
    return facts, wrong + trouble, tuple(event for _, event in events)


def _see_lamp(still, center, radius, free, size):
    """({"": whether it is lit, by frame}, whether it looks wrong, by frame)."""
    area = pi * (radius * min(size)) ** 2
    off, on = (_messes(still, center, r, 1, free, size) / area for r in (radius, radius * RIM))
    dark, bright = off[SHAPES.index("ring")], on[SHAPES.index("circle")]
    lit = bright < dark
    mess = np.where(lit, bright, dark)
    odd = (mess - 2.5 / area > MESS) | (mess - np.where(lit, on, off).min(0) > CLEARLY)
    return {"": lit.astype(float)}, odd


def _see_cake(still, center, radius, contact, visitor, free, size):
    """({side: whether it is bitten there, by frame, NaN where hidden}, whether it looks wrong, by frame)."""
    scale, states, left, unsure = min(size), {}, np.ones(still.alpha.shape), ~free
    for side, way in SIDES.items():
        goal = center + contact * np.array([complex(way).real, complex(way).imag])
        bite = coverage("circle", goal * scale, np.float32(visitor * scale), size)
        part = bite * coverage("circle", center * scale, np.float32(radius * scale), size)
        seen = (part * free).sum((1, 2))
        gone = 1 - (part * still.alpha * free).sum((1, 2)) / np.maximum(seen, 1e-6)
        states[side] = np.where(seen > 0.3 * part.sum(), gone > 0.5, np.nan).astype(float)
        left *= 1 - bite * (states[side] == 1)[:, None, None]
        unsure |= np.isnan(states[side])[:, None, None] & (bite > 0)
    messes = _messes(still, center, radius, left, ~unsure, size) / (pi * (radius * scale) ** 2)
    mess = messes[SHAPES.index("circle")]
    return states, (mess > MESS) | (mess - messes.min(0) > CLEARLY)


def _messes(track, center, radius, left, free, size):
    """What area, in pixels, is not as each shape at center (2,), short sides, has it, by frame: (shapes, T).

    left: (T, H, W) or 1, the share of each pixel that is not bitten off; free: (T, H, W), what is judged.
    """
    scale = min(size)
    drawn = (coverage(shape, center * scale, np.float32(radius * scale), size) for shape in SHAPES)
    return np.stack([(np.abs(track.alpha - shape * left) * free).sum((1, 2)) for shape in drawn])


def _see_shatter(track, pane, floor, size):
    """A pane that falls to the floor (short sides from the top), breaks there and comes to rest in pieces."""
    scale, trouble = min(size), []
    track.alpha[:, round(floor * scale) :] = 0  # glass does not sink into the floor
    errors = misfits(track, np.arange(len(track.seen)), ("square",))[0, 0]
    broken = errors > MISFIT
    if broken[0] or not broken.any():
        return {}, [f"the {pane} body is no pane of glass that breaks"], ()
    when = int(broken.argmax())  # the first frame in which it is broken
    side = sqrt(pi) * np.median(track.radius[: max(when - 1, 1)])
    falling = np.arange(max(when - 1, 1)) / FPS
    place = track.position[: len(falling)]
    basis = np.stack([np.ones_like(falling), falling**2 / 2], -1)
    weights = np.linalg.lstsq(basis, place, rcond=None)[0]
    if np.abs(basis @ weights - place).max() > DRIFT / 2 or np.ptp(place[:, 0]) > DRIFT / 2:
        trouble.append(f"the {pane} pane does not fall freely")
    if len(falling) < 3 or abs(weights[1, 1] / GRAVITY - 1) > HEAVY:
        trouble.append(f"the {pane} pane falls too fast or too slowly")
    drop = floor - side / 2 - place[0, 1]
    landing = fall_time(max(drop, 0)) * FPS
    whole = np.arange(max(1, min(len(track.seen), int(np.ceil(landing - 0.05)))))  # it has not landed yet
    wrong = reshaped(misfits(track, whole)[:, 0], SHAPES.index("square"), whole)
    trouble += [f"the {pane} pane {what}" for what in wrong]
    if np.ptp(np.log(track.radius[whole])) > np.log(1 + BREATH):
        trouble.append(f"the {pane} pane changes size")
    if abs(landing + 0.5 - when) > 1.2:
        trouble.append(f"the {pane} pane does not break when it hits the floor")
    share = track.alpha.sum((1, 2)) / (side * scale) ** 2
    after = np.arange(when, len(share))
    rest = after[after >= when + 0.95 * FPS]  # by then all is at rest
    if (
        share.max() > 1.2
        or share[after].min() < 0.8
        or (len(rest) and (share[rest].min() < 0.93 or share[rest].max() > 1.12))
    ):
        trouble.append(f"the {pane} pieces are not together as much glass as the pane")
    count, hanging = _pieces(track, round(floor * scale))
    if not broken[after].all() or (count[rest] < 3).any() or count[-1] < 2:
        trouble.append(f"the {pane} pane is not in pieces after it broke")
    landed = np.array([[place[:, 0].mean(), floor - side / 2]])
    jumps = np.hypot(*np.diff(np.concatenate([landed, track.position[when:]]), axis=0).T)
    if jumps.max() > 3.5 * DRIFT or hanging[rest].any():
        trouble.append(f"the {pane} pieces do not come to rest on the floor")
    moved = np.abs(np.diff(track.alpha[when:], axis=0)).sum((1, 2)) / (side * scale) ** 2
    early, late = moved[:3], moved[rest[1:] - when - 1]
    if early.min(initial=1) < 1.5 * MESS or late.max(initial=0) > 1.5 * MESS:
        trouble.append(f"the {pane} pieces do not fly apart, or do not lie still in the end")
    facts = {(pane, "thing"): "pane", (pane, "after"): "stays", (pane, "extent"): word_of(drop, DROPS_SEEN)}
    return facts, trouble, (("shatters", pane),)


def _pieces(track, floor):
    """How many pieces stand side by side, by frame (T,), with gaps between columns of pixels; and whether
    any of them does not reach down to the floor, a row of pixels."""
    profile = track.alpha.sum(1)
    full = np.pad(profile > 0.35 * np.percentile(profile, 95, axis=1, keepdims=True), ((0, 0), (1, 0)))
    begins = full[:, 1:] & ~full[:, :-1]
    number = np.cumsum(begins, 1) * full[:, 1:]
    stands = track.alpha[:, floor - 2 : floor].max(1) > 0.4
    hanging = [set(n) - set(n[s]) - {0} for n, s in zip(number, stands, strict=True)]
    return begins.sum(1), np.array([bool(pieces) for pieces in hanging])


def _is_wall(view):
    """Whether what is grey is as large as a wall, and not the mixed edges of two bodies."""
    grey = (view.labels[0] == list(INKS).index("grey") + 1).sum()
    return grey > 2 * pi * (SMALLEST * min(view.labels.shape[1:])) ** 2


def see(video):
    """The facts seen in a video, uint8 (T, H, W, 3), and what is wrong with it, in words."""
    view, size = observe(video), video.shape[1:3]
    tracks, window = {c: t for c, t in view.tracks.items() if c != "grey"}, window_of(size)
    floored = "grey" in view.tracks and not view.dull_white()
    # Where brush and paint meet, their mix can look like a third colour; but it is less than a body.
    least = 0.4 * pi * (SMALLEST * min(size)) ** 2
    tracks = {
        color: track
        for color, track in tracks.items()
        if (view.labels == list(INKS).index(color) + 1).sum((1, 2)).max() > least
    }
    first = [color for color, track in tracks.items() if track.seen[0]]
    later = [color for color in tracks if color not in first]
    seen = {("scene", "family"): "change", ("scene", "count"): len(first)}
    seen["scene", "background"] = view.background
    for color in first:
        seen[color, "place"] = place_of(*tracks[color].position[0], window, margin=0)
    if len(video) == 1:
        trouble = view.strange()
        for color in first:
            seen[color, "shape"], wrong = _see_shape(tracks[color], color)
            trouble += wrong
        return seen, trouble
    kind = len(first), len(later)
    trouble = view.strange() + _whole({color: tracks[color] for color in first})
    if floored and kind != (1, 0) and _is_wall(view):
        trouble.append("there is a wall that nobody told of")
    if trouble or kind not in ((1, 1), (1, 0), (2, 0)):
        return seen, trouble or ["nothing that this world knows changes here"]
    if kind == (1, 1):
        facts, trouble, events = _see_paint(tracks, *first, *later, size)
    elif kind == (2, 0):
        first.sort(key=lambda color: np.ptp(tracks[color].position, axis=0).sum())
        facts, trouble, events = _see_visits(tracks, *first, size)
    else:
        grey = view.tracks["grey"].alpha.mean((0, 2)) if "grey" in view.tracks else np.zeros(size[0])
        grey = np.flatnonzero(grey > 0.5)
        floor = grey[0] / min(size) if len(grey) else window[0]
        facts, trouble, events = _see_shatter(tracks[first[0]], first[0], floor, size)
        facts[first[0], "onto"] = "floor" if len(grey) else "edge"
    return seen | facts | ({("scene", "events"): events} if events else {}), trouble

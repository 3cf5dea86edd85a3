"""occlusion: a body passes behind a wall, or leaves the frame and returns: what cannot be seen is
still there. A second body may stand by.

The mover keeps its speed, so the number of frames in which nothing of it is seen follows from where
it went, to about one; a frame may show a sliver of it. With fewer than nine frames there is no time to come
back, so the mover only goes its way in the open.
"""

from dataclasses import replace
from itertools import count

import numpy as np

from ..bodies import BREATH, RADII, reshaped, see_partly, size_word
from ..grammar import Grammar, pick
from ..motions import WAYS, WIDEST, WOBBLE, WORDS, progress, seen_course
from ..observe import misfits, observe, settle
from ..render import Sprite, coverage, draw
from ..scene import BACKGROUNDS, PALETTE, REACH, SHAPES, Body, Scene, Wall, window_of
from ..truth import body_truth
from ..words import FILLERS, TABLES, lengthen, place_of, shorten
from .shapes import FLAT_COUNTS, MARGIN, between, is_heldout, on_grid

HIDDEN = (2, 3, 4, 5, 6)  # for how many frames nothing of the mover is seen, more or less by EVEN
EVEN = 0.2
TRIES = 200  # movers drawn before a wall is given up
CLEAR = 1.3  # frames for which the mover is seen whole, before and after, at the least
ASTRAY = 0.25  # no frame shows so much more or less of a body than its path has
SURE = 0.5  # a body is placed where this share of it can be seen
STRAIGHT = ("left", "right", "up", "down")
SHORTEST = 9  # frames in which something can go and come back
STAY = 0.16  # how far a mover goes that has no time to hide, short sides


def course(body, frames):
    """Where the mover is: (T, 2). Behind a wall it goes on; an edge turns it round, out of sight.

    body.extent is the way it goes in the clip, in short sides; body.phase, where it is not 0, the
    share of the clip after which it turns round.
    """
    tau = progress(frames)
    if body.phase:
        tau = body.phase - np.abs(tau - body.phase)
    return np.array((body.x, body.y)) + body.extent * tau[:, None] * np.array(WAYS.get(body.motion, (0, 0)))


def sprites(scene):
    return [Sprite(b.shape, PALETTE[b.color], course(b, scene.frames), b.radius) for b in scene.bodies]


def _mover(rng, by, window, gap, frames, split):
    """A mover and its wall or none, or None where they do not go together."""
    shape, color, motion = pick(rng, SHAPES), pick(rng, tuple(PALETTE)), pick(rng, STRAIGHT)
    if is_heldout(shape, color, motion) != (split == "heldout"):
        return None
    axis, way = (0, WAYS[motion][0]) if motion in ("left", "right") else (1, WAYS[motion][1])
    length, across = (window[1], window[0]) if axis == 0 else (window[0], window[1])
    radius = between(
        rng, *RADII[pick(rng, ("small", "small", "medium") if length < 1.3 else ("small", "medium"))]
    )
    reach = radius * WIDEST[shape] + max(MARGIN, gap / 2)
    side = between(rng, reach, across - reach)
    front, width = radius * spans(shape, motion)[0], radius * sum(spans(shape, motion))
    steps, phase, walls = max(frames - 1, 1), 0.0, ()
    if frames < SHORTEST:
        extent, start = STAY, between(rng, reach, length - reach - STAY - (0.2 if by == "wall" else 0))
        if by == "wall":
            walls = (start + STAY + reach + 0.05, length)
    elif by == "wall":
        back = width - front + max(MARGIN, gap / 2)  # from its start to the edge behind it
        extent = min(length - width - 2 * max(MARGIN, gap / 2), between(rng, 0.9, 1.3))
        step = extent / steps
        clear = max(CLEAR * step, gap)
        room = (extent - 2 * width - 2 * clear) / step - EVEN  # frames for which it can be out of sight
        if room < HIDDEN[0]:
            return None
        thick = width + step * (pick(rng, [n for n in HIDDEN if n <= room]) + between(rng, -EVEN, EVEN))
        slack = extent - width - thick - 2 * clear
        start = back + between(rng, 0, length - extent - width - 2 * max(MARGIN, gap / 2))
        near = start + clear + between(rng, 0, slack) + front
        walls = (near, near + thick)
    else:
        step = between(rng, 0.045, 0.07) * 16 / steps
        away = between(rng, 0.35, 0.65) * steps  # steps until it turns round
        reaching = (
            width - front + step * (pick(rng, HIDDEN) + between(rng, -EVEN, EVEN)) / 2
        )  # of its centre, beyond the edge
        start = length + reaching - step * away
        extent, phase = step * steps, away / steps
        back = length + reaching - step * (steps - away)
        if start < reach or max(start, back) > length - front - max(CLEAR * step, gap) or back < reach:
            return None
    if way < 0:  # the same, seen from the other side
        start, walls = length - start, tuple(length - edge for edge in reversed(walls))
    x, y = (start, side) if axis == 0 else (side, start)
    body = Body(shape, color, radius, float(x), float(y), motion, extent, phase=phase, role="mover")
    if not walls:
        return body, ()
    low, high = walls
    return body, (Wall(low, 0, high, window[0]) if axis == 0 else Wall(0, low, window[1], high),)


def _bystander(rng, mover, walls, scene, split):
    """A second body that stays still in the open, or None."""
    shape, color = pick(rng, SHAPES), pick(rng, tuple(c for c in PALETTE if c != mover.color))
    if is_heldout(shape, color, "still") != (split == "heldout"):
        return None
    radius = between(rng, *RADII[pick(rng, ("small", "medium"))])
    reach, window = radius * WIDEST[shape], scene.window
    x, y = (between(rng, reach + MARGIN, side - reach - MARGIN) for side in (window[1], window[0]))
    free = reach + 0.1
    path = course(mover, scene.frames)
    clear = np.hypot(*(path - (x, y)).T).min() > mover.radius * WIDEST[mover.shape] + free
    apart = all(
        x + free < w.left or x - free > w.right or y + free < w.top or y - free > w.bottom for w in walls
    )
    return Body(shape, color, radius, x, y, role="bystander") if clear and apart else None


def sample(rng, size, frames, split):
    """A scene of the split: see data_gen.clips.make_batch."""
    window, gap = window_of(size), 2.5 / min(size)
    background, two = pick(rng, BACKGROUNDS), rng.random() < 0.5
    by = pick(rng, ("wall", "edge"))
    for attempt in count():
        if attempt == TRIES:
            by = "edge"  # in few frames, or a small square, there is hardly a wall that is wide enough
        drawn = _mover(rng, by, window, gap, frames, split)
        if drawn is None:
            continue
        mover, walls = drawn
        mover = replace(mover, x=on_grid(mover.x, split))
        scene = Scene("occlusion", (mover,), window, frames, background, walls)
        if two:
            other = _bystander(rng, mover, walls, scene, split)
            if other is None:
                continue
            scene = replace(scene, bodies=(mover, other))
        return scene


def render(scenes, size):
    """Draw scenes of equally many frames: uint8 (B, T, H, W, 3)."""
    return draw([(s.background, sprites(s), s.walls) for s in scenes], scenes[0].frames, size)


def truth(scene):
    """Every body's state per frame, and how much of it is visible."""
    return {"bodies": body_truth(scene, sprites(scene)), "camera": None, "events": ()}


def spans(shape, motion):
    """How far a shape reaches forwards and backwards along its motion, in radii."""
    side, up, down = REACH[shape]
    return {"left": (side, side), "right": (side, side), "up": (up, down), "down": (down, up)}[motion]


def out_of_sight(shape, radius, motion, step, thick=None, beyond=None):
    """For how many frames, a real number, nothing of a mover is seen that goes `step` in each.

    thick: of the wall that it passes behind; or beyond: how far past the edge its centre gets. Short sides.
    """
    front, back = (radius * part for part in spans(shape, motion))
    return (thick - front - back) / step if thick is not None else 2 * (beyond - back) / step


def _hidden(scene):
    """out_of_sight of the scene's mover."""
    mover, (height, width) = scene.bodies[0], scene.window
    known = mover.shape, mover.radius, mover.motion, mover.extent / (scene.frames - 1)
    if scene.walls:
        (wall,) = scene.walls
        return out_of_sight(*known, thick=min(wall.right - wall.left, wall.bottom - wall.top))
    (dx, dy), reached = WAYS[mover.motion], mover.extent * mover.phase
    ahead = {"left": mover.x, "right": width - mover.x, "up": mover.y, "down": height - mover.y}[mover.motion]
    return out_of_sight(*known, beyond=reached * abs(dx + dy) - ahead)


def facts(scene):
    """Everything that a long caption tells."""
    mover = scene.bodies[0]
    told = {("scene", "family"): "occlusion", ("scene", "count"): len(scene.bodies)}
    told["scene", "background"] = scene.background
    told["scene", "by"] = "wall" if scene.walls else "edge"
    for body in scene.bodies:
        told[body.color, "shape"] = body.shape
        told[body.color, "size"] = size_word(body.radius)
        if place := place_of(body.x, body.y, scene.window, margin=0.05):
            told[body.color, "place"] = place
        if scene.frames > 1:
            told[body.color, "motion"] = body.motion
    if scene.frames >= SHORTEST:
        told["scene", "hidden"] = round(_hidden(scene))
        told[mover.color, "fate"] = "behind the wall" if scene.walls else f"beyond the {EDGES[mover.motion]}"
    return told


EDGES = {"left": "left edge", "right": "right edge", "up": "top edge", "down": "bottom edge"}
FATES = {"behind the wall": ("behind the wall",)} | {
    f"beyond the {e}": (f"beyond the {e}", f"out over the {e}") for e in EDGES.values()
}
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
GRAMMAR = Grammar(
    "occlusion",
    TABLES
    | {
        "motion": WORDS,
        "count": FLAT_COUNTS,
        "fate": FATES,
        "hidden": {n: (f"about {word} frames", f"some {word} frames") for n, word in NUMBERS.items()},
        "by": {"wall": ("a grey wall", "a wall"), "edge": ("no wall",)},
    },
    {
        "short": (
            "a {color} {shape} {motion} and vanishes {fate} for {hidden}",
            "a {size} {color} {shape} {motion} and vanishes {fate}",
            "a {color} {shape} {motion} {fate} and is seen again",
            "a {size} {color} {shape} {motion} {fate} and is seen again",
            "a {size} {color} {shape} is gone {fate} for {hidden}",
            "{fate} goes a {size} {color} {shape}; it is gone for {hidden}",
            "the {shape} is {color}; it {motion} {fate} and is seen again",
        ),
        "short two": (
            "a {color2} {shape2}; a {color} {shape} {motion} {fate} and is seen again",
            "a {color} {shape} vanishes {fate}, a {color2} {shape2} {motion2}",
            "a {size} {color} {shape} vanishes {fate}; a {color2} {shape2} {motion2}",
            "a {color} {shape} is gone {fate} for {hidden}; a {color2} {shape2}",
        ),
        "open": (
            "{by}, and in the open a {size} {color} {shape} {motion}",
            "with {by} near it a {size} {color} {shape} {motion}",
        ),
        "open two": (
            "{by}, a {color2} {shape2}, and in the open a {color} {shape} {motion}",
            "{by}, a {color2} {shape2}, and a {size} {color} {shape} {motion}",
        ),
        "image": ("{by} and a {size} {color} {shape}", "a {color} {shape} {place}, with {by}"),
        "image two": ("{by}, a {color} {shape} and a {color2} {shape2}",),
        "opening": (
            "there is {by} in this scene; on a {background} ground we see {count} of some kind",
            "on a {background} ground, where there is {by}, we see {count} of some kind",
        ),
        "body": ("a {size} {color} {shape} is in it and {motion}", "in it a {size} {color} {shape} {motion}"),
        "body image": ("a {size} {color} {shape} is in it", "in it we find a {size} {color} {shape}"),
        "place": ("at the start it is {place}", "at first it can be seen {place}"),
        "fate": (
            "the {color} {shape} vanishes {fate} and comes into view again",
            "on its way the {color} {shape} goes {fate}, and then it is seen again",
        ),
        "hidden": ("nothing of it is seen for {hidden}", "it is wholly out of sight for {hidden}"),
        "filler": FILLERS,
    },
)


def tell(scene, rng, long):
    """The sentences of a caption, from the facts: at most 14 words, or 60 to 135 with every fact."""
    told, colors, write = facts(scene), [body.color for body in scene.bodies], GRAMMAR.write
    hides = ("scene", "hidden") in told
    kind = "short" if hides else "open" if scene.frames > 1 else "image"
    if not long:
        return shorten(lambda: write(kind + (" two" if len(colors) == 2 else ""), rng, told, *colors))
    sentences = [write("opening", rng, told)]
    for color in colors:
        sentences.append(write("body" if scene.frames > 1 else "body image", rng, told, color))
        if (color, "place") in told:
            sentences.append(write("place", rng, told, color))
    if hides:
        sentences += [write("fate", rng, told, colors[0]), write("hidden", rng, told)]
    return lengthen(sentences, GRAMMAR, rng)


def see(video):
    """The facts seen in a video, uint8 (T, H, W, 3), and what is wrong with it, in words."""
    seen, trouble, view = {("scene", "family"): "occlusion"}, [], observe(video)
    window, wall = window_of(video.shape[1:3]), view.tracks.get("grey")
    tracks = {color: track for color, track in view.tracks.items() if color != "grey"}
    trouble += view.strange()
    seen["scene", "count"], seen["scene", "background"] = len(tracks), view.background
    seen["scene", "by"] = "wall" if wall else "edge"
    if wall and not wall.seen.all():
        trouble.append("the wall is not always there")
    for color, track in tracks.items():
        when = np.flatnonzero(track.clear)
        if not len(when):
            trouble.append(f"the {color} body is never seen whole")
            continue
        told, wrong = _see_body(track, when, window, wall)
        if "hidden" in told:
            seen["scene", "hidden"] = told.pop("hidden")
        seen |= {(color, name): value for name, value in told.items()}
        trouble += [f"the {color} body {what}" for what in wrong]
    return seen, trouble


def _see_body(track, when, window, wall):
    """One body's facts and troubles."""
    frames, *size = track.alpha.shape
    tau, every, wrong, scale = progress(frames), np.arange(frames), [], min(size)
    errors = misfits(track, when)[:, 0]
    best, radius = errors.mean(1).argmin(), float(np.median(track.radius[when]))
    shape = SHAPES[best]
    wrong += reshaped(errors, best, when)
    if np.abs(track.radius[when] / radius - 1).max() > BREATH:
        wrong.append("changes size")
    places, open_share, share = settle(track, every, shape, np.full(frames, radius))
    wrong += see_partly(track, best, places, np.full(frames, radius), (open_share, share))
    places[when] = track.position[when]
    sure = np.flatnonzero(track.clear | (np.minimum(share, open_share) > SURE))
    told = {"shape": shape, "size": size_word(radius), "place": place_of(*places[0], window, margin=0)}
    if frames == 1:
        return told, wrong
    motion, velocity, turn, path = seen_course(tau, sure, places, window)
    off = np.hypot(*(path - places).T)[sure]
    if off.max() > WOBBLE:
        wrong.append(f"leaves its path in frame {int(sure[off.argmax()])}")
    drawn = coverage(shape, path * scale, np.full(frames, radius * scale), size) * ~track.veil
    expected = drawn.sum((1, 2)) / (np.pi * (radius * scale) ** 2)
    astray = (share < 0.5 * expected - ASTRAY) | (share > expected + ASTRAY)
    if astray.any():
        wrong.append(f"is not where it should be in frame {int(astray.argmax())}")
    told["motion"] = motion
    if motion in STRAIGHT and (expected < 0.1).any():
        known = shape, radius, motion, np.hypot(*velocity) / (frames - 1)
        if turn:
            far = path[0] + velocity * turn
            beyond = {"left": -far[0], "right": far[0] - window[1], "up": -far[1], "down": far[1] - window[0]}
            told["hidden"] = round(out_of_sight(*known, beyond=beyond[motion]))
            told["fate"] = f"beyond the {EDGES[motion]}"
        elif wall:
            thick = np.median(wall.alpha, 0).mean(0 if motion in ("left", "right") else 1).sum() / scale
            told["hidden"] = round(out_of_sight(*known, thick=thick))
            told["fate"] = "behind the wall"
    return told, wrong

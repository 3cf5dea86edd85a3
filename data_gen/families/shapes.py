"""shapes: one to four flat shapes, each with a motion of its own, in front of and behind each other.

What is not drawn because it cannot be seen: spinning of a circle or a ring, of a body of fewer than
four pixels' radius, and zigzag or spinning in fewer than nine frames. Four bodies, and bodies that
pass in front of each other, need a short side of 32 pixels.
"""

from dataclasses import replace
from functools import lru_cache
from math import pi

import numpy as np

from ..bodies import RADII, overlaps, see_body, seen_overlaps
from ..grammar import Grammar, pick, shuffle
from ..motions import (
    ARCS,
    EXTENT_WORDS,
    EXTENTS,
    MOTIONS,
    SPINS,
    WAYS,
    WIDEST,
    WORDS,
    ZIGZAGS,
    extent_word,
    pose,
    spread,
)
from ..observe import PERIODS, observe
from ..render import Sprite, draw
from ..scene import BACKGROUNDS, PALETTE, SHAPES, Body, Scene, window_of
from ..truth import body_truth
from ..words import FILLERS, TABLES, lengthen, place_of, shorten, word_of

GRID = 2**16  # of x of the first body, whose last bit tells train from test
MARGIN = 0.02  # between a body and the edge of the window, short sides
ROOM = {1: tuple(RADII), 2: tuple(RADII), 3: ("small", "medium"), 4: ("small",)}
CROWDED = 0.6  # the share of a clip in which a body may touch others


def is_heldout(shape, color, motion):
    """Whether a combination is kept from train and test: a tenth, every value in one or more."""
    index = 3 * SHAPES.index(shape) + list(PALETTE).index(color) + 2 * MOTIONS.index(motion)
    return index % 10 == 4


@lru_cache
def _choices(heldout, color):
    every = ((s, m) for s in SHAPES for m in MOTIONS if not (m[:4] == "spin" and s not in PERIODS))
    return tuple((s, m) for s, m in every if is_heldout(s, color, m) == heldout)


def between(rng, low, high):
    return low + (high - low) * rng.random()


def on_grid(x, split):
    """x of the first body as a multiple of 1/GRID, its last bit that of the split."""
    return (int(x * GRID / 2) * 2 + (split != "train")) / GRID


def _draw_body(rng, color, size, scale, frames, heldout):
    """A body without a place, or None where what was drawn cannot be seen."""
    shape, motion = pick(rng, _choices(heldout, color))
    radius, extent, phase = between(rng, *RADII[size]), 0.0, 0.0
    if frames == 1:
        motion = "still"
        if is_heldout(shape, color, motion) != heldout:
            return None
    what = motion.split()[0]
    if (what in ("zigzag", "spinning") and frames < 9) or (what == "spinning" and radius * scale < 4):
        return None
    if what == "circling":
        extent, phase = ARCS[pick(rng, tuple(ARCS))], 2 * pi * rng.random()
    elif what == "spinning":
        extent = SPINS[pick(rng, tuple(SPINS))]
    elif motion in WAYS or motion in ZIGZAGS:
        extent = between(rng, *EXTENTS[pick(rng, tuple(EXTENTS))])
    elif motion == "shrinking":
        radius = between(rng, *RADII["large"])
    elif motion == "growing":
        radius = between(rng, *RADII["small"])
    return Body(shape, color, radius, 0.0, 0.0, motion, extent, phase=phase)


def _girth(shape, crowd):
    """How far a shape reaches, in radii: on the whole, or at most where bodies may never touch."""
    return (1 + WIDEST[shape]) / 2 if crowd else WIDEST[shape]


def _place(rng, body, window, frames, gap, crowd, placed, tries=48):
    """Where a body can start, (x, y), or None: clear of each other body most of the time, never all hidden.

    placed: for each body before, its path (T, 2), reach (T,), radius (T,) and when another touches it (T,).
    """
    left, right, up, down = (part + max(MARGIN, gap / 2) for part in spread(body))
    free = np.array([window[1] - left - right, window[0] - up - down])
    if free.min() < 0:
        return None
    starts = (left, up) + free * rng.random((tries if placed else 1, 2))
    if not placed:
        return starts[0]
    path, radius, _ = pose(body, frames)
    paths, reaches, radii, touched = (np.array(part) for part in zip(*placed, strict=True))
    dx, dy = ((starts[:, i, None, None] + (path - paths)[..., i]) for i in (0, 1))  # (tries, bodies, T)
    apart = dx * dx + dy * dy
    touch = apart < (reaches + radius * _girth(body.shape, crowd) + gap) ** 2
    hidden = apart < (np.maximum(radii, radius) - 0.3 * np.minimum(radii, radius)) ** 2
    most = np.maximum(touch.any(1).sum(-1), (touch | touched).sum(-1).max(-1))
    good = np.flatnonzero((most <= crowd) & ~hidden.any((1, 2)))
    if not len(good):
        return None
    for row, hit in zip(placed, touch[good[0]], strict=True):
        row[3][:] |= hit
    return starts[good[0]]


def sample(rng, size, frames, split):
    """A scene of the split: see data_gen.clips.make_batch. Bodies stay inside the window."""
    window, scale, heldout = window_of(size), min(size), split == "heldout"
    count = 1 + int(rng.random() * (4 if scale >= 32 else 3))
    background, gap = pick(rng, BACKGROUNDS), 2.5 / scale
    sizes = ROOM[count]
    crowd = CROWDED * max(frames - 5, 0) if scale >= 32 else 0  # frames in which bodies may touch
    while True:
        colors, bodies, placed = list(PALETTE), [], []
        for _ in range(16 * count):
            body = _draw_body(rng, pick(rng, colors), pick(rng, sizes), scale, frames, heldout)
            start = body and _place(rng, body, window, frames, gap, crowd, placed)
            if start is None:
                continue
            x, y = start
            if not bodies:
                x = on_grid(x, split)
            body = replace(body, x=float(x), y=float(y))
            path, radius, _ = pose(body, frames)
            radii = np.broadcast_to(radius, frames)
            bodies.append(body)
            colors.remove(body.color)
            placed.append((path, radii * _girth(body.shape, crowd), radii, np.zeros(frames, bool)))
            if len(bodies) == count:
                return Scene("shapes", tuple(bodies), window, frames, background)


def sprites(scene):
    for body in scene.bodies:
        yield Sprite(body.shape, PALETTE[body.color], *pose(body, scene.frames))


def render(scenes, size):
    """Draw scenes of equally many frames: uint8 (B, T, H, W, 3)."""
    return draw([(s.background, tuple(sprites(s)), s.walls) for s in scenes], scenes[0].frames, size)


def truth(scene):
    """Every body's state per frame, in world units; visible is the share of it that nothing hides."""
    return {"bodies": body_truth(scene, tuple(sprites(scene))), "camera": None, "events": ()}


def facts(scene, over=True):
    """Everything that a long caption tells; over: or all but what passes in front of what."""
    told = {("scene", "family"): "shapes", ("scene", "count"): len(scene.bodies)}
    told["scene", "background"] = scene.background
    for body in scene.bodies:
        told[body.color, "shape"] = body.shape
        place = place_of(body.x, body.y, scene.window, margin=0.05)
        if place:
            told[body.color, "place"] = place
        if body.motion not in ("growing", "shrinking"):
            told[body.color, "size"] = word_of(body.radius, RADII)
        if scene.frames > 1:
            told[body.color, "motion"] = body.motion
            if extent := extent_word(body.motion, body.extent):
                told[body.color, "extent"] = extent
    for front, back in overlaps(scene) if over else ():
        told[front, "over"] = back
    return told


FLAT_COUNTS = {
    1: ("one shape", "a single shape"),
    2: ("two shapes", "a pair of shapes"),
    3: ("three shapes",),
    4: ("four shapes",),
}
GRAMMAR = Grammar(
    "shapes",
    TABLES
    | {
        "count": FLAT_COUNTS,
        "article": {None: ("a", "one")},
        "motion": WORDS,
        "extent": EXTENT_WORDS,
        "over": {c: (f"the {c} one", f"the {c} shape") for c in PALETTE},
    },
    {
        "short 1": (
            "a {color} {shape} {motion}",
            "a {size} {color} {shape} {motion}",
            "a {color} {shape} {motion} {extent}",
            "a {size} {color} {shape} {motion} {extent}",
            "a {color} {shape} that {motion}",
            "there is a {size} {color} {shape} that {motion}",
            "the {shape} is {size} and {color}; it {motion}",
            "the {shape} is {color} and {motion} {extent}",
            "a {color} {shape} {motion} on a {background} ground",
            "on a {background} ground a {size} {color} {shape} {motion}",
            "a {color} {shape} {place}; it {motion}",
            "{place}, a {size} {color} {shape}; it {motion} {extent}",
            "in this clip a {size} {color} {shape} {motion}",
        ),
        "short 2": (
            "a {color} {shape} {motion} and a {color2} {shape2} {motion2}",
            "a {color} {shape} {motion}, a {color2} {shape2} {motion2}",
            "the {color} {shape} {motion} while the {color2} {shape2} {motion2}",
            "a {size} {color} {shape} {motion}, a {color2} {shape2} {motion2}",
            "a {size} {color} {shape} and a {size2} {color2} {shape2}",
            "a {color} {shape} and a {color2} {shape2} on a {background} ground",
            "{count}; the {color} {shape} is in front of {over}",
        ),
        "short 3": (
            "a {color} {shape}, a {color2} {shape2} and a {color3} {shape3}",
            "{count}, of which the {color} {shape} {motion}",
            "{count} on a {background} ground; the {color} {shape} {motion}",
            "{count}; the {size} {color} {shape} {motion} {extent}",
            "{count}; the {color} {shape} {motion}, the {color2} {shape2} {motion2}",
        ),
        "short 4": (
            "a {color} {shape}, a {color2} {shape2}, a {color3} {shape3} and a {color4} {shape4}",
            "{count}, of which the {color} {shape} {motion}",
            "{count} on a {background} ground; the {color} {shape} {motion}",
            "{count}; the {size} {color} {shape} {motion} {extent}",
            "{count}; the {color} {shape} {motion}, the {color2} {shape2} {motion2}",
        ),
        "image 1": (
            "a {color} {shape}",
            "a picture of a {size} {color} {shape}",
            "the {shape} is {size} and {color}",
            "a {size} {color} {shape} {place}",
            "a {color} {shape} on a {background} ground",
        ),
        "image 2": (
            "a {color} {shape} and a {color2} {shape2}",
            "a picture of a {size} {color} {shape} and a {color2} {shape2}",
            "a {color} {shape} {place} and a {color2} {shape2}",
        ),
        "image 3": (
            "a {color} {shape}, a {color2} {shape2} and a {color3} {shape3}",
            "a picture of {count}; the {color} {shape} is {place}",
        ),
        "image 4": (
            "a {color} {shape}, a {color2} {shape2}, a {color3} {shape3} and a {color4} {shape4}",
            "a picture of {count}; the {color} {shape} is {place}",
        ),
        "simple": (
            "{article} {color} {shape} {motion}",
            "{article} {color} {shape} that {motion}",
            "there is {article} {color} {shape} that {motion}",
            "a video of {article} {color} {shape}; it {motion}",
            "the {shape} is {color} and {motion}",
        ),
        "simple image": (
            "{article} {color} {shape}",
            "a picture of {article} {color} {shape}",
            "the {shape} is {color}",
        ),
        "opening": (
            "on a {background} ground we see {count}",
            "we see {count} on a {background} ground",
            "there to be seen, on a {background} ground, is a scene of {count}",
        ),
        "body": (
            "a {size} {color} {shape} {motion} {extent}",
            "the {color} {shape} is {size} and {motion} {extent}",
            "there is a {size} {color} {shape} that {motion} {extent}",
        ),
        "body unmeasured": (
            "a {size} {color} {shape} {motion}",
            "the {color} {shape} is {size} and {motion}",
            "there is a {size} {color} {shape} that {motion}",
        ),
        "body unsized": ("a {color} {shape} {motion}", "there is a {color} {shape} that {motion}"),
        "body image": (
            "a {size} {color} {shape} is there",
            "the {color} {shape} is {size}",
            "there is a {size} {color} {shape}",
        ),
        "place": ("it starts {place}", "it is first seen {place}", "the clip begins with it {place}"),
        "place image": ("it is {place}", "its place is {place}"),
        "over": (
            "where they meet the {color} {shape} is in front of {over}",
            "the {color} {shape} hides part of {over} where they meet",
        ),
        "filler": FILLERS,
    },
)


def tell(scene, rng, long):
    """The sentences of a caption, from the facts: at most 14 words, or 60 to 135 with every fact."""
    told = facts(scene, over=long or len(scene.bodies) == 2)
    colors = [body.color for body in scene.bodies]
    write, moves = GRAMMAR.write, scene.frames > 1
    shuffle(rng, colors)  # a caption names them in any order
    if not long:
        return shorten(lambda: write(f"{'short' if moves else 'image'} {len(colors)}", rng, told, *colors))
    sentences = [write("opening", rng, told)]
    for color in colors:
        if not moves:
            sentences.append(write("body image", rng, told, color))
        elif (color, "size") not in told:
            sentences.append(write("body unsized", rng, told, color))
        else:
            measured = (color, "extent") in told
            sentences.append(write("body" if measured else "body unmeasured", rng, told, color))
        if (color, "place") in told:
            sentences.append(write("place" if moves else "place image", rng, told, color))
    for color in colors:
        if (color, "over") in told:
            sentences.append(write("over", rng, told, color))
    return lengthen(sentences, GRAMMAR, rng)


def see(video):
    """The facts seen in a video, uint8 (T, H, W, 3), and what is wrong with it, in words."""
    seen, trouble, poses = {("scene", "family"): "shapes"}, [], {}
    view, tau = observe(video), np.arange(len(video)) / max(len(video) - 1, 1)
    window = window_of(video.shape[1:3])
    if view.dull_white():
        view.tracks.pop("grey")
    trouble += view.strange()
    seen["scene", "count"], seen["scene", "background"] = len(view.tracks), view.background
    for color, track in view.tracks.items():
        when = np.flatnonzero(track.clear)
        if not track.seen.all():
            trouble.append(f"the {color} body is not there in frame {int(np.argmin(track.seen))}")
        if len(when) < max(1, 0.1 * len(video)):
            trouble.append(f"the {color} body is hardly ever seen whole")
            continue
        facts, wrong, poses[color] = see_body(track, when, tau)
        trouble += [f"the {color} body {what}" for what in wrong]
        facts["place"] = place_of(*poses[color][0][0], window, margin=0)
        seen |= {(color, name): value for name, value in facts.items()}
    seen |= {(front, "over"): back for front, back in seen_overlaps(view, poses, seen)}
    return seen, trouble

"""bounce: one to three balls in a closed box, with or without gravity, elastic or not.

The checker simulates: in every stretch of nine frames it looks for the state from which the exact
physics gives the places seen, so a clip is right only if its physics is. Which ball meets what, and
in which order, comes out of that simulation.

What is not drawn because it cannot be seen: an event in the first two frames or the last one, two
events within a frame of each other, or a touch too light to turn a ball, as long as the caption
tells of it (it tells of the first three). With fewer than nine frames nothing is hit and gravity is
not told.
"""

from dataclasses import replace
from math import hypot

import numpy as np

from ..bodies import RADII, size_word
from ..flight import DULL, SPEEDS_SEEN, STRETCH, TOLD, G, in_words, see
from ..grammar import Grammar, pick
from ..motions import WAYS
from ..physics import SIDES, film_events, simulate, trajectory
from ..render import Sprite, draw
from ..scene import BACKGROUNDS, FPS, PALETTE, Body, Scene, WorldError, window_of
from ..truth import body_truth
from ..words import FILLERS, TABLES, lengthen, place_of, shorten, word_of
from .shapes import MARGIN, between, on_grid

__all__ = ["GRAMMAR", "facts", "render", "sample", "see", "tell", "truth"]

SPEEDS = {"slow": (0.28, 0.32), "fast": (0.60, 0.68)}  # short sides per second; 1.5 times one is neither
APART = 1.2 / FPS  # told events are this far apart, seconds
FIRMLY = 0.15  # the least normal speed of a told event, short sides per second


def is_heldout(color, way, gravity):
    """Whether a combination is kept from train and test: a tenth."""
    return (list(PALETTE).index(color) + 2 * list(WAYS).index(way) + 3 * bool(gravity)) % 10 == 4


def _draw_ball(rng, color, size, window, gap, gravity, heldout):
    """A ball somewhere in the box on its way, or None where the split does not have it."""
    way = pick(rng, ("left", "right") if gravity else tuple(WAYS))
    if is_heldout(color, way, gravity) != heldout:
        return None
    radius = between(rng, *RADII[size])
    edge = radius + max(MARGIN, gap / 2)
    x, y = (between(rng, edge, side - edge) for side in (window[1], window[0]))
    if gravity:
        velocity = (WAYS[way][0] * between(rng, 0.2, 0.5), between(rng, -0.5, 0.0))
    else:
        speed, turn = between(rng, *SPEEDS[pick(rng, tuple(SPEEDS))]), between(rng, -0.1, 0.1)
        c, s, (dx, dy) = np.cos(turn), np.sin(turn), WAYS[way]
        velocity = (speed * float(dx * c - dy * s), speed * float(dx * s + dy * c))
    return Body("circle", color, radius, x, y, way, velocity=velocity)


def play(scene, longer=0.0, go_on=None):
    """The scene's flights and events, for so many seconds longer than it lasts: see physics.simulate."""
    places, velocities, radii = zip(*(((b.x, b.y), b.velocity, b.radius) for b in scene.bodies), strict=True)
    seconds = (scene.frames - 1) / FPS + longer
    box = scene.window if scene.family == "bounce" else None  # PhyWorld's scenes have no walls
    return simulate(places, velocities, radii, seconds, box, scene.gravity, scene.restitution, go_on)


def state(scene, times):
    """Places and velocities at times, seconds: (n, T, 2) each."""
    return trajectory(play(scene)[0], times)


def mirror(scene):
    """The scene seen in a mirror: left is right."""
    other = {"left": "right", "right": "left"}
    bodies = (
        Body(
            b.shape, b.color, b.radius, scene.window[1] - b.x, b.y,
            " ".join(other.get(word, word) for word in b.motion.split()),
            velocity=(-b.velocity[0], b.velocity[1]),
        )
        for b in scene.bodies
    )  # fmt: skip
    return replace(scene, bodies=tuple(bodies))


def _tellable(scene):
    """Whether the first events, which a caption tells, can be seen and told apart."""
    good = True

    def go_on(flights, events):
        nonlocal good
        before, after = flights[-2:]
        time, _, i, _ = events[-1]
        (a, b), (c, d) = before.velocity[i], after.velocity[i]
        fell = before.pull[i][1] * (after.time - before.time)
        last = events[-2][0] if len(events) > 1 else 2 / FPS - APART
        good = scene.frames >= STRETCH and time - last > APART and hypot(c - a, d - fell - b) > 2 * FIRMLY
        return good and len(events) <= TOLD

    try:
        _, events = play(scene, APART, go_on)
        if scene.frames < STRETCH:
            return not events
        end = (scene.frames - 1) / FPS
        if not good or not events or events[:TOLD][-1][0] > end - APART:
            return False
        if scene.gravity and scene.restitution < 1:
            play(scene)  # to the end, as balls may come to lie on one another
    except WorldError:
        return False
    return True


def sample(rng, size, frames, split):
    """A scene of the split: see data_gen.clips.make_batch."""
    window, gap, heldout = window_of(size), 2.5 / min(size), split == "heldout"
    count, background = 1 + int(rng.random() * 3), pick(rng, BACKGROUNDS)
    while True:
        gravity, restitution = pick(rng, (0.0, G)), pick(rng, (1.0, DULL))
        bodies, colors = [], list(PALETTE)
        for _ in range(8 * count):
            sizes = tuple(RADII)[: 3 if count < 3 else 2]
            ball = _draw_ball(rng, pick(rng, colors), pick(rng, sizes), window, gap, gravity, heldout)
            if ball is None:
                continue
            if not bodies:
                ball = replace(ball, x=on_grid(ball.x, split))
            if all(hypot(ball.x - b.x, ball.y - b.y) > ball.radius + b.radius + 1.5 * gap for b in bodies):
                bodies.append(ball)
                colors.remove(ball.color)
            if len(bodies) == count:
                break
        scene = Scene(
            "bounce", tuple(bodies), window, frames, background, gravity=gravity, restitution=restitution
        )
        if len(bodies) == count and _tellable(scene):
            return scene


def sprites(scene):
    places, _ = state(scene, np.arange(scene.frames) / FPS)
    return [
        Sprite(b.shape, PALETTE[b.color], path, b.radius)
        for b, path in zip(scene.bodies, places, strict=True)
    ]


def render(scenes, size):
    """Draw scenes of equally many frames: uint8 (B, T, H, W, 3)."""
    return draw([(s.background, sprites(s), ()) for s in scenes], scenes[0].frames, size)


def truth(scene):
    """Every ball's state per frame, and every event; velocities are exact."""
    flights, events = play(scene)
    _, velocities = trajectory(flights, np.arange(scene.frames) / FPS)
    bodies = body_truth(scene, sprites(scene))
    for row, velocity in zip(bodies, velocities, strict=True):
        row["velocity"] = velocity
    colors = [body.color for body in scene.bodies]
    return {"bodies": bodies, "camera": None, "events": film_events(events, colors)}


def facts(scene):
    """Everything that a long caption tells."""
    told = {("scene", "family"): scene.family, ("scene", "count"): len(scene.bodies)}
    told["scene", "background"] = scene.background
    for body in scene.bodies:
        told[body.color, "shape"] = "ball"
        told[body.color, "size"] = size_word(body.radius)
        if place := place_of(body.x, body.y, scene.window, margin=0.05):
            told[body.color, "place"] = place
        if scene.frames > 1:
            told[body.color, "heads"] = body.motion
            if not scene.gravity:
                told[body.color, "speed"] = word_of(hypot(*body.velocity), SPEEDS_SEEN)
    if scene.frames >= STRETCH:
        _, events = play(scene)
        told["scene", "gravity"] = "down" if scene.gravity else "none"
        if any(what == "hits" and time < (scene.frames - 4) / FPS for time, what, _, _ in events[:TOLD]):
            told["scene", "restitution"] = "elastic" if scene.restitution == 1 else "inelastic"
        told["scene", "events"] = in_words(events, [body.color for body in scene.bodies])
    return told


BALLS = {"ball": ("ball", "rubber ball")}
SPEED_WORDS = {"slow": ("slowly", "at a slow pace"), "fast": ("fast", "quickly", "at a fast pace")}
HEADS = {
    way: tuple(f"{verb} {' and '.join(way.split())}" for verb in ("heads", "sets off", "flies"))
    for way in WAYS
}
GRAVITY = {
    "down": ("there is gravity", "gravity pulls downwards", "everything falls"),
    "none": ("there is no gravity", "nothing falls", "everything floats"),
}
RESTITUTION = {
    "elastic": ("the bounces lose nothing", "every bounce is elastic", "no speed is lost in a bounce"),
    "inelastic": ("the bounces lose speed", "every bounce is inelastic", "some speed is lost in a bounce"),
}
SIDE_WORDS = {side: (f"the {side}",) for pair in SIDES for side in pair}
SIDE_WORDS |= {
    "floor": ("the floor", "the bottom of the box"),
    "ceiling": ("the ceiling", "the top of the box"),
}
BALL_COUNTS = {1: ("one ball", "a single ball"), 2: ("two balls", "a pair of balls"), 3: ("three balls",)}
GRAMMAR = Grammar(
    "bounce",
    TABLES
    | {
        "shape": BALLS,
        "count": BALL_COUNTS,
        "speed": SPEED_WORDS,
        "heads": HEADS,
        "gravity": GRAVITY,
        "restitution": RESTITUTION,
        "side": SIDE_WORDS,
    },
    {
        "short 1": (
            "a {color} {shape} {heads}; {gravity}",
            "a {size} {color} {shape} {heads}",
            "a {size} {color} {shape} {heads}; {restitution}",
            "a {size} {color} {shape} {heads}; {gravity}",
            "{place} a {size} {color} {shape}; {gravity}",
            "a {color} {shape} in a box {heads} {speed}",
            "a {size} {color} {shape} {heads} {speed}; {gravity}",
            "{gravity}: a {size} {color} {shape} {heads}",
            "a {size} {color} {shape} on a {background} ground; {gravity}",
        ),
        "short 2": (
            "a {color} {shape} and a {color2} {shape2}; {gravity}",
            "a {size} {color} {shape} and a {size2} {color2} {shape2}; {gravity}",
            "a {color} {shape} {heads}, a {color2} {shape2} {heads2}",
            "a {size} {color} {shape} {heads}, a {color2} {shape2} {heads2}",
            "{gravity}: a {color} {shape} {heads}, a {color2} {shape2} {heads2}",
            "{count}; the {size} {color} {shape} {heads}; {gravity}",
        ),
        "short 3": (
            "a {color} {shape}, a {color2} {shape2} and a {color3} {shape3}",
            "{count}; the {size} {color} {shape} {heads}; {gravity}",
            "{count} on a {background} ground; the {color} {shape} {heads}",
            "{count}; the {color} {shape} {heads}, the {color2} {shape2} {heads2}",
        ),
        "image": (
            "{count} in a box; the {color} {shape} is {size}",
            "{count} in a box; the {size} {color} {shape} is {place}",
            "a picture of {count}; the {color} {shape} is {place}",
            "{count} in a box on a {background} ground; the {color} {shape} is {size}",
        ),
        "opening": (
            "{count} in a closed box, on a {background} ground",
            "in a closed box on a {background} ground we see {count}",
        ),
        "gravity": ("in this box {gravity}", "one can tell that {gravity}"),
        "restitution": ("as for the walls, {restitution}", "it can be seen that {restitution}"),
        "ball": (
            "a {size} {color} {shape} {heads} {speed}",
            "there is a {size} {color} {shape} that {heads} {speed}",
        ),
        "ball in gravity": (
            "a {size} {color} {shape} {heads}",
            "there is a {size} {color} {shape} that {heads}",
        ),
        "ball image": ("a {size} {color} {shape} is in it", "there is a {size} {color} {shape} inside"),
        "place": ("its flight begins {place}", "the {shape} is released {place}"),
        "hits": ("the {color} {shape} hits {side}", "the {color} {shape} bounces off {side}"),
        "meets": (
            "the {color} {shape} and the {color2} {shape2} collide",
            "the {color} {shape} and the {color2} {shape2} bump into each other",
        ),
        "filler": FILLERS,
    },
    events={"hits": ("color", "side"), "meets": ("color", "color2")},
)


def tell(scene, rng, long):
    """The sentences of a caption, from the facts: at most 14 words, or 60 to 135 with every fact."""
    told, colors, write = facts(scene), [body.color for body in scene.bodies], GRAMMAR.write

    def short():
        first = int(rng.random() * len(colors))
        named = colors[first:] + colors[:first]
        return write(f"short {len(colors)}" if scene.frames > 1 else "image", rng, told, *named)

    if not long:
        return shorten(short)
    sentences = [write("opening", rng, told)]
    for color in colors:
        plan = "ball image" if scene.frames == 1 else "ball in gravity" if scene.gravity else "ball"
        if plan == "ball" and (color, "speed") not in told:
            plan = "ball in gravity"
        sentences.append(write(plan, rng, told, color))
        if (color, "place") in told:
            sentences.append(write("place", rng, told, color))
    for slot in ("gravity", "restitution"):
        if ("scene", slot) in told:
            sentences.append(write(slot, rng, told))
    order = ("first,", *(pick(rng, ("then", "next,", "after that,")) for _ in range(TOLD)))
    for word, (name, color, other) in zip(order, told.get(("scene", "events"), ()), strict=False):
        if name == "hits":
            sentences.append(f"{word} {write(name, rng, told, color, side=other)}")
        else:
            sentences.append(f"{word} {write(name, rng, told, color, other)}")
    return lengthen(sentences, GRAMMAR, rng)

"""change: what changes a thing for good. A brush leaves paint, a bite leaves a mark, glass shatters, a
lamp is switched on by a touch; only the lamp may be switched off again, and its caption says so.

What is not drawn because it cannot be seen: in 5 frames, breaking glass; in fewer than 17, a second
bite or touch; on fewer than 32 pixels, paint through a ring or a cross; paint in the complement of its
brush's colour. An event is 3 frames or more from the start, the end and other events, of 17 (and in
proportion of 13 and of more; a pane falls as fast in any clip); 3 of 9, 1 of 5.
"""

from math import pi, sqrt

import numpy as np

from ..events import RIM, SIDES, TRAIL, along, break_up, fall, fall_time, flights, reaches, way_round
from ..grammar import pick
from ..marks import see
from ..motions import DIAGONAL, WAYS, WIDEST, progress
from ..render import Sprite, draw
from ..scene import BACKGROUNDS, FPS, PALETTE, SHAPES, Body, Event, Scene, Wall, window_of
from ..truth import body_truth
from ..words import lengthen, place_of, shorten, word_of
from .change_words import GRAMMAR
from .shapes import GRID, MARGIN, between, on_grid

__all__ = ["GRAMMAR", "facts", "render", "sample", "see", "tell", "truth"]

THINGS = ("brush", "cake", "lamp", "pane")  # what a scene is about; a cake or a lamp has a visitor too
EXTENTS = {"near": (0.36, 0.42), "far": (0.60, 0.70), "very far": (1.08, 1.30)}  # ways in a clip, short sides
DROPS = {"near": (0.26, 0.33), "far": (0.48, 0.60)}  # of a pane
RADII = {"brush": (0.09, 0.11), "cake": (0.165, 0.18), "lamp": (0.12, 0.135), "visitor": (0.088, 0.095)}
PANE = (0.23, 0.28)  # its side
COMPLEMENTS = {"red": "cyan", "yellow": "blue", "magenta": "green"}  # mixed, at an edge, they are grey
COMPLEMENTS |= {b: a for a, b in COMPLEMENTS.items()}


def is_heldout(thing, shape, color):
    """Whether a combination is kept from train and test: a tenth, every value in one or more.

    shape and color: of what moves.
    """
    return (3 * SHAPES.index(shape) + list(PALETTE).index(color) + 2 * THINGS.index(thing)) % 10 == 4


def _drawn(rng, kinds, scale, split):
    while True:
        thing, color = pick(rng, kinds), pick(rng, tuple(PALETTE))
        shape = "square" if thing == "pane" else pick(rng, SHAPES)
        if thing == "brush" and shape in ("ring", "cross") and scale < 32:
            continue
        if is_heldout(thing, shape, color) == (split == "heldout"):
            return thing, shape, color


def share_of(frames):
    """How far an event is from the start, the end and other events, as a share of the clip."""
    return {1: 0.25, 5: 0.25, 9: 0.375}.get(frames, 0.1875)


def sample(rng, size, frames, split):
    """A scene of the split: see data_gen.clips.make_batch. Nothing leaves the window."""
    window, background = window_of(size), pick(rng, BACKGROUNDS)
    thing, shape, color = _drawn(rng, THINGS[: 3 if frames == 5 else 4], min(size), split)
    barred = {color, COMPLEMENTS.get(color)} if thing == "brush" else {color}
    other = pick(rng, tuple(c for c in PALETTE if c not in barred))
    walls = ()
    if thing == "pane":
        bodies, events, walls = _sample_pane(rng, color, window, min(size), frames, split)
    elif thing == "brush":
        bodies, events = _sample_brush(rng, shape, color, other, window, frames, split)
    else:
        times = 1 if frames < 17 else 1 + int(rng.random() * (3 if thing == "cake" else 2))
        made, tries = None, 0
        while made is None:
            made = _sample_visits(
                rng, thing, shape, color, other, max(times - tries // 32, 1), window, min(size), frames, split
            )
            tries += 1
        bodies, events = made
    events = events if frames > 1 else ()
    return Scene("change", bodies, window, frames, background, walls, events=events)


def _sample_pane(rng, color, window, scale, frames, split):
    side, drop = between(rng, *PANE), between(rng, *DROPS[pick(rng, tuple(DROPS)[: 1 if frames == 9 else 2])])
    floor, walls = window[0], ()
    if rng.random() < 0.5:
        floor = round((floor - between(rng, 0.07, 0.1)) * scale) / scale  # sharp, on the pixels' grid
        walls = (Wall(0.0, floor, window[1], window[0]),)
    edge = side / 2 + max(MARGIN, 1 / scale)
    x = on_grid(between(rng, edge, window[1] - edge), split)
    pane = Body("square", color, side / sqrt(pi), x, floor - side / 2 - drop, "down", drop, role="pane")
    return (pane,), (Event(fall_time(drop), "shatters", color),), walls


def _sample_brush(rng, shape, color, other, window, frames, split):
    radius, extent = between(rng, *RADII["brush"]), between(rng, *EXTENTS[pick(rng, ("near", "far"))])
    motion, begins = pick(rng, tuple(WAYS)), share_of(frames)
    begins = between(rng, begins, max(begins, 0.3)) * (frames - 1) / FPS
    x, y = (
        between(rng, edge - min(way * extent, 0), side - edge - max(way * extent, 0))
        for way, side in zip(WAYS[motion], window[::-1], strict=True)
        for edge in (radius * WIDEST[shape] + MARGIN,)
    )
    body = Body(shape, color, radius, on_grid(x, split), y, motion, extent, role="brush")
    return (body,), (Event(begins, "paints", color, other),)


def _sample_visits(rng, thing, shape, color, other, times, window, scale, frames, split):
    """A cake or a lamp, its visitor and what that does, or None where what was drawn has no room."""
    around, at, hand = tuple(SIDES), int(rng.random() * 4), pick(rng, (-1, 1))
    sides = tuple(around[(at + hand * i) % 4] for i in range(times))
    still = Body(
        "circle" if thing == "cake" else "ring", other, between(rng, *RADII[thing]), 0, 0, role=thing
    )
    radius = between(rng, *RADII["visitor"])
    extent = between(rng, *EXTENTS[pick(rng, tuple(EXTENTS)[: 2 if times == 1 else 3])])
    contact, corner = reaches(still.role, still.radius, radius)
    legs = (times - 1) * 2 * abs(contact - corner - corner * 1j)
    share = share_of(frames)
    # At the start there are some pixels between the two, so that both are seen whole.
    clear = still.radius * (1 if thing == "cake" else RIM) + radius * WIDEST[shape] + 3 / scale - contact
    first, last = (
        max(share * extent, clear),
        max(share * extent, 1.5 * radius + 1.5 / scale),
    )  # at last the mark is seen
    if first + last + legs > extent or (times > 1 and legs / (times - 1) < share * extent):
        return None
    # Straight or aslant, but not from where it will go: reversed, such a way would look the same.
    slant = pick(rng, (1, DIAGONAL * (1 - 1j * (hand if times > 1 else pick(rng, (1, -1))))))
    start = SIDES[sides[0]] * (contact + between(rng, first, extent - legs - last) * slant)
    if abs(start) < contact + clear:
        return None
    points, shares = way_round(0, contact, corner, sides, start, extent)
    reach, span = radius * WIDEST[shape], still.radius * RIM
    place = []
    for axis, side in ((0, window[1]), (1, window[0])):
        values = [(p.real, p.imag)[axis] for p in map(complex, points)]
        low, high = (
            max(span, reach - min(values)) + MARGIN,
            side - max(span, reach + max(values)) - MARGIN,
        )
        if low > high:
            return None
        place.append(between(rng, low, high))
    x, y = on_grid(place[0], split), float(place[1])
    motion = max(WAYS, key=lambda way: -(complex(*WAYS[way]) * (SIDES[sides[0]] * slant).conjugate()).real)
    visitor = Body(
        shape, color, radius, float(x + start.real), float(y + start.imag), motion, extent, role="visitor"
    )
    names = ["bites"] * 3 if thing == "cake" else ["lights", "darkens"]
    moments = [share * (frames - 1) / FPS for share in shares[1:-1:2]]
    events = (
        Event(time, f"{name} {side}", color, other)
        for time, name, side in zip(moments, names, sides, strict=False)
    )
    still = Body(still.shape, other, still.radius, x, y, role=thing)
    return (still, visitor), tuple(events)


def path(scene, body):
    """Where a body is in each frame, (T, 2); a pane: where its centre would be if it fell on."""
    tau, place = progress(scene.frames), np.array([body.x, body.y])
    if body.role == "pane":
        return place + fall(tau * (scene.frames - 1) / FPS)[:, None] * (0, 1)
    if body.role == "brush":
        return place + body.extent * tau[:, None] * WAYS[body.motion]
    if body.role == "visitor" and scene.events:
        still, sides = scene.bodies[0], [event.what.split()[1] for event in scene.events]
        center, start = complex(still.x, still.y), complex(body.x, body.y)
        return along(
            *way_round(center, *reaches(still.role, still.radius, body.radius), sides, start, body.extent),
            tau,
        )
    return np.repeat(place[None], scene.frames, 0)


def sprites(scene):
    """What is drawn, from back to front: what lies behind the bodies, then the bodies."""
    frames, behind, bodies = scene.frames, [], []
    time = np.arange(frames) / FPS
    for body in scene.bodies:
        ink, place, shown, form, shape = PALETTE[body.color], path(scene, body), None, None, body.shape
        happens = [time >= event.time for event in scene.events]
        if body.role == "brush" and scene.events:
            event = scene.events[0]
            share = event.time * FPS / (frames - 1)
            start = np.array([body.x, body.y]) + body.extent * share * np.array(WAYS[body.motion])
            trail = np.repeat(start[None], frames, 0)
            behind.append(
                Sprite(
                    "capsule", PALETTE[event.whom], trail, TRAIL * body.radius, 0.0, happens[0], place - start
                )
            )
        elif body.role == "cake":
            shape, form = "bitten", np.zeros((frames, 3, 3))
            contact, size = body.radius, scene.bodies[1].radius
            for i, event in enumerate(scene.events):
                side = complex(SIDES[event.what.split()[1]])
                form[:, i] = happens[i][:, None] * (contact * side.real, contact * side.imag, size)
        elif body.role == "lamp":
            lit = np.sum(happens, 0) % 2 == 1 if happens else np.zeros(frames, bool)
            behind.append(Sprite("circle", ink, place, RIM * body.radius, 0.0, lit))
        elif body.role == "pane" and scene.events:
            side, floor = sqrt(pi) * body.radius, scene.walls[0].top if scene.walls else scene.window[0]
            since = time - scene.events[0].time
            pieces = break_up(body.x, side, floor, scene.window[1], np.random.default_rng(int(body.x * GRID)))
            places, angles = flights(pieces, np.maximum(since, 0), floor)
            for piece, where, angle in zip(pieces, places, angles, strict=True):
                corners = np.array([(c.real, c.imag) for c in piece.corners])
                form = np.broadcast_to(corners, (frames, *corners.shape))
                behind.append(Sprite("polygon", ink, where, 0.0, angle, happens[0], form))
            shown, form = ~happens[0], None
            place = np.where(happens[0][:, None], (body.x, floor - side / 2), place)
        bodies.append(Sprite(shape, ink, place, body.radius, 0.0, shown, form))
    return [*behind, *bodies]


def render(scenes, size):
    """Draw scenes of equally many frames: uint8 (B, T, H, W, 3)."""
    return draw([(s.background, tuple(sprites(s)), s.walls) for s in scenes], scenes[0].frames, size)


def truth(scene):
    """Every body's state per frame, in world units: a pane stays where it broke, invisible."""
    bodies = body_truth(scene, sprites(scene)[-len(scene.bodies) :])
    return {"bodies": bodies, "camera": None, "events": scene.events}


def facts(scene):
    """Everything that a long caption tells; of a picture, what is there before anything changes."""
    told = {("scene", "family"): "change", ("scene", "count"): len(scene.bodies)}
    told["scene", "background"] = scene.background
    for body in scene.bodies:
        if place := place_of(body.x, body.y, scene.window, margin=0.05):
            told[body.color, "place"] = place
        if body.role in ("brush", "visitor") or scene.frames == 1:
            told[body.color, "shape"] = body.shape
        if scene.frames == 1:
            continue
        if body.role in ("brush", "visitor"):
            told[body.color, "motion"] = body.motion
        if body.extent:
            told[body.color, "extent"] = word_of(body.extent, DROPS if body.role == "pane" else EXTENTS)
        if body.role in THINGS:
            told[body.color, "thing"] = body.role
            undone = scene.events[-1].what.startswith("darkens")
            told[body.color, "after"] = "undone" if undone else "stays"
        if body.role == "cake":
            told[body.color, "bites"] = len(scene.events)
        if body.role == "pane":
            told[body.color, "onto"] = "floor" if scene.walls else "edge"
    if scene.events:
        told["scene", "events"] = tuple(_told(event) for event in scene.events)
    return told


def _told(event):
    what, *side = event.what.split()
    who = {"paints": (event.who, event.whom), "bites": (event.who, event.whom), "shatters": (event.who,)}
    return what, *who.get(what, (event.whom,)), *(side if what == "bites" else ())


def tell(scene, rng, long):
    """The sentences of a caption, from the facts: at most 14 words, or 60 to 135 with every fact."""
    told, write, thing = facts(scene), GRAMMAR.write, scene.bodies[0]
    colors = [body.color for body in reversed(scene.bodies)]  # who does it, and to whom
    happens = told.get(("scene", "events"), ())
    if not long:
        names = ["image " + str(len(colors))] if scene.frames == 1 else ["short " + thing.role]
        values = {}
        if len(happens) == 1:  # then an event's sentence can tell all that happens
            names.append(happens[0][0])
            values = _values(happens[0])
        return shorten(lambda: write(pick(rng, names), rng, told, *colors, **values))
    sentences = [write("opening", rng, told)]
    for body in scene.bodies:
        kinds = {
            "brush": ("brush", "brush course"),
            "visitor": ("visitor", "visitor course"),
            "pane": ("fall",),
        }
        names = kinds.get(body.role, ("thing",)) if scene.frames > 1 else ("image body",)
        for name in names:
            sentences.append(write(name, rng, told, body.color))
        if (body.color, "place") in told:
            sentences.append(write("place", rng, told, body.color))
    for event in happens:
        sentences.append(write(event[0], rng, told, *colors, motion=None, extent=None, **_values(event)))
    if thing.role == "cake" and happens:
        sentences.append(write("tally", rng, told, thing.color))
    if happens:
        sentences.append(write("after", rng, told, thing.color))
    return lengthen(sentences, GRAMMAR, rng)


def _values(event):
    """What an event's sentence tells beside the bodies' facts."""
    return {"bites": {"side": event[-1]}, "paints": {"paint": event[-1]}}.get(event[0], {})

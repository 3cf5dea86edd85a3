"""Clips that are nearly right, on purpose: what a checker that can be trusted must reject.

Each fault takes a clip and returns (video, facts): what is shown, and what the caption says. None
where the fault would not show in this clip, such as a frozen clip of things that stand still.
"""

from dataclasses import replace
from math import pi

import numpy as np

from .families import FAMILIES, bounce
from .grammar import pick
from .motions import way_of
from .render import Sprite, coverage, draw, ground
from .scene import BACKGROUNDS, FPS, PALETTE, SHAPES
from .solids import SOLIDS

VISIBLE = 0.3  # a fault shows when it changes this share of the smallest body's area in some frame
CLEARLY = 20  # levels
GROWN = 1.25  # by which factor a body changes its radius
JUMP = 0.2  # how far a teleported body goes, short sides


def _film(clip, scene):
    return FAMILIES[scene.family].render([scene], clip.video.shape[1:3])[0]


def _draw(clip, sprites):
    """The clip's scene with other sprites."""
    scene = clip.scene
    return draw([(scene.background, tuple(sprites), scene.walls)], scene.frames, clip.video.shape[1:3])[0]


def _sprites(clip):
    """All sprites, from back to front."""
    return list(FAMILIES[clip.scene.family].sprites(clip.scene))


def _late(clip):
    """(T,) bool: the second half of the clip."""
    return np.arange(clip.scene.frames) >= clip.scene.frames // 2


def _spare(clip, rng):
    """A colour that nothing in the scene has."""
    used = {b.color for b in clip.scene.bodies} | {e.whom for e in clip.scene.events}
    return pick(rng, [color for color in PALETTE if color not in used])


def _recolored(clip, colors):
    """The scene in other colours, {old: new}."""

    def new(name):
        return colors.get(name, name)

    scene = clip.scene
    return replace(
        scene,
        bodies=tuple(replace(b, color=new(b.color)) for b in scene.bodies),
        events=tuple(replace(e, who=new(e.who), whom=new(e.whom)) for e in scene.events),
    )


def _some_body(clip, rng):
    return pick(rng, clip.scene.bodies)


def _is(sprite, body):
    return tuple(np.atleast_2d(sprite.ink)[0]) == PALETTE[body.color]


def _with(scene, body, other):
    """The scene with another body in place of one, or none."""
    return replace(scene, bodies=tuple(b for old in scene.bodies if (b := other if old is body else old)))


def _edited(clip, body, edit):
    """The clip with a body's sprites changed by edit(sprite)."""
    return _draw(clip, [edit(s) if _is(s, body) else s for s in _sprites(clip)]), clip.facts


def wrong_color(clip, rng):
    return _film(clip, _recolored(clip, {_some_body(clip, rng).color: _spare(clip, rng)})), clip.facts


def wrong_shape(clip, rng):
    body, scene = _some_body(clip, rng), clip.scene
    if scene.family == "camera":
        other = replace(body, shape=pick(rng, [s for s in SOLIDS if s != body.shape]))
        return _film(clip, _with(scene, body, other)), clip.facts
    same = {body.shape, "circle"} if body.role == "lamp" else {body.shape}  # a disc is a lamp that is lit
    other = pick(rng, [s for s in SHAPES if s not in same])
    plain = [s.shape in SHAPES and _is(s, body) for s in _sprites(clip)]
    if not any(plain):
        return None
    changed = [replace(s, shape=other) if p else s for s, p in zip(_sprites(clip), plain, strict=True)]
    return _draw(clip, changed), clip.facts


def swapped(clip, rng):
    if len(clip.scene.bodies) < 2:
        return None
    first = int(rng.random() * len(clip.scene.bodies))
    a, b = clip.scene.bodies[first].color, clip.scene.bodies[first - 1].color
    scene = _recolored(clip, {a: b, b: a})
    return None if FAMILIES[scene.family].facts(scene) == clip.facts else (_film(clip, scene), clip.facts)


def reversed_motion(clip, rng):
    if clip.scene.family == "occlusion" and not clip.scene.walls:
        return None  # what leaves and returns does so backwards too
    if clip.scene.family == "bounce" and clip.scene.restitution == 1 and _backwards(clip.scene) == clip.facts:
        return None
    return clip.video[::-1].copy(), clip.facts


def _backwards(scene):
    """The facts of an elastic scene that runs backwards: its end, with all velocities turned round."""
    bodies, (places, velocities) = [], bounce.state(scene, [(scene.frames - 1) / FPS])
    for body, (place,), (velocity,) in zip(scene.bodies, places, velocities, strict=True):
        way = way_of((-velocity[0], 0) if scene.gravity else -velocity)
        bodies.append(replace(body, x=place[0], y=place[1], velocity=tuple(-velocity), motion=way))
    return bounce.facts(replace(scene, bodies=tuple(bodies)))


def sped_up(clip, rng):
    """The same motion at 1.5 times the speed."""
    scene = clip.scene
    if scene.family == "camera":
        camera = replace(scene.camera, extent=_further(scene.camera.extent, scene.camera.motion))
        return _film(clip, replace(scene, camera=camera)), clip.facts
    if scene.family == "bounce":
        bodies = (replace(b, velocity=(1.5 * b.velocity[0], 1.5 * b.velocity[1])) for b in scene.bodies)
        return _film(clip, replace(scene, bodies=tuple(bodies), gravity=2.25 * scene.gravity)), clip.facts
    if scene.family in ("shapes", "occlusion"):
        bodies = (
            replace(b, extent=1.5 * b.extent, phase=b.phase if scene.family == "shapes" else b.phase / 1.5)
            for b in scene.bodies
        )
        return _film(clip, replace(scene, bodies=tuple(bodies))), clip.facts
    time = 1.5 * np.arange(scene.frames)
    return _draw(clip, [_at(sprite, time) for sprite in _sprites(clip)]), clip.facts


def _further(extent, motion):
    return extent**1.5 if motion.startswith("zoom") else 1.5 * extent


def _at(sprite, time):
    """A sprite at other times, (T,) in frames; beyond the end it goes on as it last went."""
    last = len(sprite.position) - 1
    beyond = np.maximum(time - last, 0)[:, None] * (sprite.position[last] - sprite.position[last - 1])
    place = np.stack([np.interp(time, np.arange(last + 1), sprite.position[:, i]) for i in (0, 1)], -1)
    near = np.minimum(np.rint(time).astype(int), last)
    rest = {name: value[near] for name in ("shown", "form") if (value := getattr(sprite, name)) is not None}
    for name in ("radius", "angle", "ink"):
        value = getattr(sprite, name)
        rest[name] = value[near] if np.ndim(value) == 1 + (name == "ink") else value
    return replace(sprite, position=place + beyond, **rest)


def _half(clip, video):
    """The clip, from its middle on another video."""
    return np.where(_late(clip)[:, None, None, None], video, clip.video), clip.facts


def vanished(clip, rng):
    """A body is gone from the middle on."""
    body, scene = _some_body(clip, rng), clip.scene
    if scene.family == "camera":
        return _half(clip, _film(clip, _with(scene, body, None))) if len(scene.bodies) > 1 else None
    early = ~_late(clip)
    return _edited(clip, body, lambda s: replace(s, shown=early if s.shown is None else s.shown & early))


def added(clip, rng):
    """A body appears in the middle, in the open."""
    scene, color = clip.scene, _spare(clip, rng)
    if scene.family == "camera":
        body = replace(scene.bodies[0], color=color, x=-scene.bodies[0].x, y=-scene.bodies[0].y)
        return _half(clip, _film(clip, replace(scene, bodies=(*scene.bodies, body))))
    place = (0.15 + 0.7 * rng.random(2)) * scene.window[::-1]
    new = Sprite("circle", PALETTE[color], np.tile(place, (scene.frames, 1)), 0.11, shown=_late(clip))
    return _draw(clip, [*_sprites(clip), new]), clip.facts


def teleported(clip, rng):
    """A body jumps aside in the middle, and goes on from there."""
    body, scene = _some_body(clip, rng), clip.scene
    if scene.family == "camera":
        moved = replace(body, x=body.x * 0.3 + 0.25, y=body.y * 0.3 - 0.2)
        return _half(clip, _film(clip, _with(scene, body, moved)))
    jump = np.zeros((scene.frames, 2))
    own = [s for s in _sprites(clip) if _is(s, body)]
    centre = own[0].position[scene.frames // 2] if own else np.zeros(2)
    axis = int(rng.random() * 2)
    jump[_late(clip), axis] = JUMP if centre[axis] < scene.window[1 - axis] / 2 else -JUMP
    return _edited(clip, body, lambda s: replace(s, position=s.position + jump))


def recolored(clip, rng):
    """A body changes its colour in the middle."""
    return _half(clip, wrong_color(clip, rng)[0])


def reshaped(clip, rng):
    """A body changes its shape in the middle."""
    other = wrong_shape(clip, rng)
    return _half(clip, other[0]) if other else None


def resized(clip, rng):
    """A body is larger, or smaller, from the middle on."""
    body, scene, factor = _some_body(clip, rng), clip.scene, pick(rng, (GROWN, 1 / GROWN))
    if scene.family == "camera":
        return _half(clip, _film(clip, _with(scene, body, replace(body, radius=factor * body.radius))))
    return _half(clip, _edited(clip, body, lambda s: replace(s, radius=factor * s.radius))[0])


def frozen(clip, rng):
    return np.repeat(clip.video[:1], len(clip.video), 0), clip.facts


def blank(clip, rng):
    return np.zeros_like(clip.video) + clip.video[0, 0, 0], clip.facts


def noise(clip, rng):
    return (rng.random(clip.video.shape) * 256).astype(np.uint8), clip.facts


def stranger(clip, rng):
    """Something dull, of no colour that the world has, crosses the picture in front of all."""
    size, frames = clip.video.shape[1:3], clip.scene.frames
    ink = np.array(pick(rng, ((130, 80, 40), (90, 90, 90), (112, 114, 122))))
    center = np.stack(
        [np.linspace(0, size[1], frames), np.full(frames, (0.2 + 0.6 * rng.random()) * size[0])], -1
    )
    alpha = coverage("circle", center, np.full(frames, 0.12 * min(size)), size)[..., None]
    return (clip.video + alpha * (ink - clip.video.astype(float))).astype(np.uint8), clip.facts


def flashed(clip, rng):
    """One frame is brighter."""
    video = clip.video.copy()
    video[len(video) // 2] = np.minimum(video[len(video) // 2].astype(int) + 40, 255)
    return video, clip.facts


def other_ground(clip, rng):
    """The ground is another from the middle on."""
    if clip.scene.family == "camera":
        return None
    old = ground(clip.scene.background, clip.video.shape[1:3])
    new = ground(pick(rng, [b for b in BACKGROUNDS if b != clip.scene.background]), clip.video.shape[1:3])
    bare = np.abs(clip.video - old).max(-1, keepdims=True) < 2
    change = bare & _late(clip)[:, None, None, None]
    return np.where(change, np.rint(new).astype(np.uint8), clip.video), clip.facts


def undone(clip, rng):
    """What was changed for good is as before: the bite heals, the paint is gone, the lamp is out."""
    if clip.scene.family != "change":
        return None
    last = np.arange(clip.scene.frames) >= clip.scene.frames - 3

    def before(value):
        return np.where(last.reshape(-1, *[1] * (value.ndim - 1)), value[:1], value)

    def revert(sprite):
        values = {name: getattr(sprite, name) for name in ("shown", "form")}
        return replace(sprite, **{name: before(v) for name, v in values.items() if v is not None})

    return _draw(clip, [revert(sprite) for sprite in _sprites(clip)]), clip.facts


def wrong_order(clip, rng):
    """The caption tells the events in another order."""
    told, events = clip.facts, clip.facts.get(("scene", "events"), ())
    swapped = (events[1], events[0], *events[2:]) if len(events) > 1 else events
    return None if swapped == events else (clip.video, told | {("scene", "events"): swapped})


def other_camera(clip, rng):
    """The camera goes the other way."""
    if clip.scene.family != "camera":
        return None
    what, way = clip.scene.camera.motion.split()
    back = {"left": "right", "right": "left", "in": "out", "out": "in"}[way]
    return clip.video, clip.facts | {("scene", "camera"): f"{what} {back}"}


FAULTS = {
    "wrong colour": wrong_color,
    "wrong shape": wrong_shape,
    "two bodies swapped": swapped,
    "reversed": reversed_motion,
    "1.5 times as fast": sped_up,
    "vanished": vanished,
    "added": added,
    "teleported": teleported,
    "recoloured mid-clip": recolored,
    "reshaped mid-clip": reshaped,
    "resized mid-clip": resized,
    "frozen": frozen,
    "blank": blank,
    "noise": noise,
    "something strange": stranger,
    "flash": flashed,
    "another ground": other_ground,
    "change undone": undone,
    "order of events": wrong_order,
    "camera the other way": other_camera,
}


def plant(name, clip, rng):
    """A clip with a fault: (video, facts told), or None where the fault cannot be seen in it."""
    found = FAULTS[name](clip, rng)
    if found is None or found[1] != clip.facts:
        return found
    differs = (np.abs(found[0].astype(int) - clip.video).max(-1) > CLEARLY).sum((1, 2)).max()
    smallest = pi * (min(b.radius for b in clip.scene.bodies) * min(clip.video.shape[1:3])) ** 2
    return found if differs >= VISIBLE * smallest else None

"""camera: pans, zooms and orbits around one to three shaded solids on a checkered ground.

A body's x and y are its place on the ground, from the point under the one that the camera looks at, x to
the right and y towards the viewer; lengths, its radius among them, are in what the short side of the
picture spans at that point. Every camera starts at home and moves at a constant rate over the whole clip,
whatever its frames. A camera's extent is in turns for a pan and an orbit, in times (above 1) for a zoom.

What is not drawn because it cannot be seen: in pictures with a short side under 32 pixels small solids far
away, and if there is one frame only, any small ones; where a solid is, when it is near a third of the width.
"""

from math import log, pi

import numpy as np

from .. import solids
from ..grammar import Grammar, pick, shuffle
from ..refilm import refilm
from ..scene import FPS, PALETTE, Body, Camera, Scene, window_of
from ..solids import SOLIDS, corners, course, disc
from ..words import COLORS, SIZES, lengthen, shorten
from .shapes import between, on_grid

WAYS = {"pan": ("left", "right"), "zoom": ("in", "out"), "orbit": ("left", "right")}  # the first is positive
MOTIONS = tuple(f"{kind} {way}" for kind, ways in WAYS.items() for way in ways)
# What is drawn, as radians turned, radians travelled or the log of a zoom. Half as fast again is neither.
EXTENTS = {
    "pan": {"a little": (0.120, 0.135), "a lot": (0.250, 0.280)},
    "zoom": {"a little": (0.160, 0.180), "a lot": (0.340, 0.380)},
    "orbit": {"a little": (0.380, 0.430), "a lot": (0.800, 0.900)},
}
SLACK = 1.13  # what is seen may be this much more or less
RADII = {"small": (0.105, 0.115), "large": (0.150, 0.165)}
HIDDEN = (0.25, 0.55)  # the share of a solid's width that another may hide: mostly, and at worst
MARGIN = 0.02  # between a solid and the edge of the picture, short sides
THIRD = 1 / 6  # places change at this share of the width from the middle
CLEAR = 0.035  # nearer than this share of the width to a change, no place is told
GRAIN = 48  # pixels in a short side, to measure what is hidden


def is_heldout(shape, color, motion):
    """Whether a combination is kept from train and test: a tenth, every value in one or more."""
    index = 3 * list(SOLIDS).index(shape) + list(PALETTE).index(color)
    return (index + 2 * (MOTIONS.index(motion) if motion else 6)) % 10 == 4


def pose_of(scene, tau=None):
    """The pose of a scene's camera, at shares tau of the clip or in every frame."""
    tau = np.arange(scene.frames) / max(scene.frames - 1, 1) if tau is None else tau
    if scene.camera is None:
        return course("pan", 0.0, tau)
    kind, way = scene.camera.motion.split()
    rate = log(scene.camera.extent) if kind == "zoom" else 2 * pi * scene.camera.extent
    return course(kind, rate if way == WAYS[kind][0] else -rate, tau)


def _place(rng, shape, radius, view, size, placed, hidden):
    """Where a solid can stand whole in the picture: x, y and how much is hidden then, (T,); or None.

    placed: (x, y, reach on the ground, disc) for each solid before; hidden (T,): as shares of their widths.
    """
    room = rng.random((48, 2))
    y = -0.45 + 0.75 * room[:, 1] if min(size) >= 32 else -0.3 + 0.6 * room[:, 1]
    x = (room[:, 0] - 0.5) * 1.2 * min(window_of(size)[1], 1.5)
    body = Body(shape, "", radius, x, y)
    edges = corners(body, view, size)
    inside = (edges > MARGIN) & (edges < np.array(window_of(size)[::-1]) - MARGIN)
    good = inside.all((0, 2, 3))
    center, depth, girth = disc(body, view, size)
    for other_x, other_y, reach, (other, behind, spread) in placed:
        good &= np.hypot(x - other_x, y - other_y) > SOLIDS[shape][0] * radius * 1.2 + reach
        apart = np.hypot(*np.moveaxis(center - other, -1, 0))
        back = np.where(depth > behind, girth, spread)
        hidden = hidden + np.maximum(girth + spread - apart, 0) / (2 * back)  # (M, T)
    hidden = np.broadcast_to(hidden, girth.shape)
    good &= (hidden[:, 0] < HIDDEN[0]) & (hidden < HIDDEN[1]).all(1) & ((hidden > HIDDEN[0]).sum(1) <= 2)
    first = np.flatnonzero(good)[:1]
    return (float(x[first[0]]), float(y[first[0]]), hidden[first[0]]) if len(first) else None


def sample(rng, size, frames, split):
    """A scene of the split: see data_gen.clips.make_batch. All solids stay in the picture, and no two
    hide each other by more than a quarter of their width for more than a third of the clip."""
    sizes = tuple(RADII) if frames > 1 or min(size) >= 32 else ("large",)
    while True:
        motion = pick(rng, MOTIONS) if frames > 1 else None
        pairs = [(s, c) for s in SOLIDS for c in PALETTE if is_heldout(s, c, motion) == (split == "heldout")]
        count, camera, bodies, placed, hidden = 1 + int(rng.random() * 3), None, [], [], 0.0
        if motion:
            kind = motion.split()[0]
            extent = between(rng, *EXTENTS[kind][pick(rng, tuple(EXTENTS[kind]))])
            camera = Camera(motion, float(np.exp(extent)) if kind == "zoom" else extent / (2 * pi))
        view = pose_of(Scene("camera", (), window_of(size), frames, camera=camera), np.linspace(0, 1, 6))
        for _ in range(4 * count):
            shape, color = pick(rng, pairs)
            radius = between(rng, *RADII[pick(rng, sizes)])
            place = _place(rng, shape, radius, view, size, placed, hidden)
            if place is None:
                continue
            x, y, hidden = place
            if not bodies:
                x = on_grid(x, split)
            bodies.append(Body(shape, color, radius, x, y))
            placed.append((x, y, SOLIDS[shape][0] * radius * 1.2, disc(bodies[-1], view, size)))
            pairs = [pair for pair in pairs if pair[1] != color]
            if len(bodies) == count:
                return Scene("camera", tuple(bodies), window_of(size), frames, camera=camera)
            if not pairs:
                break


def render(scenes, size):
    """Film scenes of equally many frames: uint8 (B, T, H, W, 3)."""
    video = np.empty((len(scenes), scenes[0].frames, *size, 3), np.uint8)
    for row, scene in enumerate(scenes):
        video[row] = solids.draw(scene.bodies, pose_of(scene), size) + np.float32(0.5)
    return video


def truth(scene):
    """Every body's state per frame: position and radius are of its middle as the picture shows it, in
    short sides; visible is the share of it that no other hides. "camera" has the pose per frame."""
    view, size = pose_of(scene), tuple(round(GRAIN * side) for side in scene.window)
    rows = []
    for body, (box, hit, seen, _) in zip(scene.bodies, solids.layers(scene.bodies, view, size), strict=True):
        whole, part = (np.bincount(box // (size[0] * size[1]), n, scene.frames) for n in (hit, seen))
        center, _, radius = disc(body, view, size)
        rows.append({"shape": body.shape, "color": body.color, "radius": radius, "position": center})
        rows[-1]["velocity"] = np.gradient(center, 1 / FPS, axis=0) if scene.frames > 1 else 0 * center
        rows[-1]["visible"] = part / np.maximum(whole, 1e-9)
    return {"bodies": rows, "camera": view, "events": ()}


def _place_word(x, width, margin):
    share = x / width - 0.5
    if abs(abs(share) - THIRD) < margin:
        return None
    return "middle" if abs(share) < THIRD else "left" if share < 0 else "right"


def _word(table, value, slack):
    """The name of the range, a little widened, that the value is in, or None."""
    return next((w for w, (low, high) in table.items() if low / slack < value < high * slack), None)


def facts(scene):
    """Everything that a long caption tells; where a solid is in the first frame only if that is clear."""
    told = {("scene", "family"): "camera", ("scene", "count"): len(scene.bodies)}
    if scene.camera:
        kind, extent = scene.camera.motion.split()[0], scene.camera.extent
        rate = log(extent) if kind == "zoom" else 2 * pi * extent
        told["scene", "camera"] = scene.camera.motion
        told["scene", "amount"] = _word(EXTENTS[kind], rate, 1.001)
    for body in scene.bodies:
        told[body.color, "shape"] = body.shape
        told[body.color, "size"] = _word(RADII, body.radius, 1.001)
        center = disc(body, pose_of(scene, np.zeros(1)), scene.window)[0]
        if word := _place_word(center[0, 0], scene.window[1], CLEAR):
            told[body.color, "place"] = word
    return told


def _turned(verbs, way):
    """A verb of turning with its way, in three manners each."""
    return tuple(f"{verb} {manner}" for verb in verbs for manner in (way, f"to the {way}", f"{way}wards"))


GRAMMAR = Grammar(
    "camera",
    {
        "color": COLORS,
        "size": SIZES,
        "shape": {
            "cube": ("cube", "box"),
            "sphere": ("sphere", "ball"),
            "cone": ("cone", "pointed cone"),
            "cylinder": ("cylinder", "drum"),
        },
        "count": {
            1: ("one solid", "a single solid", "just one solid"),
            2: ("two solids", "a pair of solids", "a couple of solids"),
            3: ("three solids", "a group of three solids", "a trio of solids"),
        },
        "place": {
            "left": ("on the left", "at the left", "on the left side"),
            "middle": ("in the middle", "at the centre", "in the centre"),
            "right": ("on the right", "at the right", "on the right side"),
        },
        "camera": {
            **{f"pan {way}": _turned(("pans", "turns", "swings"), way) for way in WAYS["pan"]},
            "zoom in": ("zooms in", "zooms inwards", "narrows its view", "magnifies the view"),
            "zoom out": ("zooms out", "zooms outwards", "widens its view", "widens the view"),
            **{
                f"orbit {way}": (*_turned(("orbits", "circles"), way), f"travels {way} on a circle")
                for way in WAYS["orbit"]
            },
        },
        "amount": {
            "a little": ("a little", "slightly", "a bit", "by a small amount"),
            "a lot": ("a lot", "considerably", "a great deal", "by a large amount"),
        },
    },
    {
        "short 1": (
            "a {size} {color} {shape} stands still while the camera {camera}",
            "a {color} {shape} stands still while the camera {camera} {amount}",
            "as the camera {camera}, a {size} {color} {shape} stands still",
            "a camera that {camera} {amount} shows a {color} {shape}",
            "the camera {camera} and shows a {size} {color} {shape}",
            "a {color} {shape} {place} at first; the camera {camera}",
            "one {size} {color} {shape}; the camera {camera} {amount}",
        ),
        "short 2": (
            "a {size} {color} {shape} and a {size2} {color2} {shape2}; the camera {camera}",
            "a {color} {shape} and a {color2} {shape2}; the camera {camera} {amount}",
            "the camera {camera} and shows a {color} {shape} and a {color2} {shape2}",
            "the camera {camera} {amount} and shows {count}, one a {color} {shape}",
            "{count}, one a {size} {color} {shape}; the camera {camera} {amount}",
            "{count} stand still while the camera {camera} {amount}",
        ),
        "short 3": (
            "a {color} {shape}, a {color2} {shape2}, a {color3} {shape3}; the camera {camera}",
            "the camera {camera} {amount} and shows {count}, one a {color} {shape}",
            "{count}, one a {size} {color} {shape}; the camera {camera} {amount}",
            "{count}, among them a {color} {shape}; the camera {camera} {amount}",
            "{count} stand still while the camera {camera} {amount}",
        ),
        "image 1": (
            "a {size} {color} {shape} stands on a checkered ground",
            "a picture of a {color} {shape} that stands on a checkered ground",
            "a {size} {color} {shape} stands {place} on dark tiles",
        ),
        "image 2": (
            "a {size} {color} {shape} and a {size2} {color2} {shape2} stand on tiles",
            "a picture of {count}, a {color} {shape} and a {color2} {shape2}",
            "a {color} {shape} and a {color2} {shape2} stand on a checkered ground",
        ),
        "image 3": (
            "a {color} {shape}, a {color2} {shape2} and a {color3} {shape3} on tiles",
            "a picture of {count}, one a {size} {color} {shape}",
            "{count} stand on dark tiles, one a {color} {shape}",
        ),
        "opening": (
            "on a checkered ground under a dark sky {count} can be seen",
            "{count} can be seen on a checkered ground with a dark sky above",
            "the scene is a checkered ground with {count} on it and a dark sky above",
            "under a dark sky lies a checkered ground, and it carries {count}",
        ),
        "camera": (
            "all through the clip the camera {camera} {amount} at a steady rate",
            "from the first frame to the last the camera {camera} {amount}",
            "the camera {camera} {amount}, at the same pace from start to end",
            "nothing but the camera moves, which {camera} {amount}",
            "without a stop the camera {camera} {amount} while all else stands still",
        ),
        "body": (
            "there is a {size} {color} {shape} that stands on the tiles",
            "the {color} {shape} that stands on the tiles is {size}",
            "a {size} {color} {shape} stands upon the checkered ground",
            "upon the tiles stands a {size} {color} {shape}",
        ),
        "place": (
            "in the first frame it stands {place} of the picture",
            "when the clip starts it stands {place} of the view",
            "at the start it stands {place} of the frame",
        ),
        "place image": ("it stands {place} of the picture", "it stands {place} of the view"),
        "filler": (
            "a single sun gives every solid a bright side and a dark side",
            "far away the dark tiles fade into the haze below the sky",
            "soft shadows of the solids lie on the ground, away from the sun",
            "the camera looks down at the ground from not far above it",
            "no solid moves or turns or changes its colour by itself",
            "the tiles are of two dim shades of blue, one after the other",
        ),
    },
)


def tell(scene, rng, long):
    """The sentences of a caption, from the facts: at most 14 words, or 60 to 135 with every fact."""
    told, colors = facts(scene), [body.color for body in scene.bodies]
    write, moves = GRAMMAR.write, scene.camera is not None
    shuffle(rng, colors)  # a caption names them in any order
    if not long:
        return shorten(lambda: write(f"{'short' if moves else 'image'} {len(colors)}", rng, told, *colors))
    sentences = [write("opening", rng, told)]
    if moves:
        sentences.append(write("camera", rng, told))
    for color in colors:
        sentences.append(write("body", rng, told, color))
        if (color, "place") in told:
            sentences.append(write("place" if moves else "place image", rng, told, color))
    return lengthen(sentences, GRAMMAR, rng)


def see(video):
    """The facts seen in a video, uint8 (T, H, W, 3), and what is wrong with it, in words."""
    found = refilm(video, {kind: 1.75 * amounts["a lot"][1] for kind, amounts in EXTENTS.items()})
    seen = {("scene", "family"): "camera", ("scene", "count"): len(found.colors)}
    troubles, size = list(found.troubles), video.shape[1:3]
    if len(video) > 1 and found.kind:
        way = WAYS[found.kind][int(found.rate < 0)]
        seen["scene", "camera"] = f"{found.kind} {way}"
        seen["scene", "amount"] = _word(EXTENTS[found.kind], abs(found.rate), SLACK)
        if seen["scene", "amount"] is None:
            troubles.append("the camera moves neither a little nor a lot")
    for color, shape, (x, y, radius) in zip(found.colors, found.shapes, found.solids, strict=False):
        seen[color, "shape"], seen[color, "size"] = shape, _word(RADII, radius, SLACK)
        place = disc(Body(shape, color, radius, x, y), course("pan", 0.0, np.zeros(1)), size)[0]
        seen[color, "place"] = _place_word(place[0, 0], size[1] / min(size), 0)
        if seen[color, "size"] is None:
            troubles.append(f"the {color} {shape} is neither small nor large")
    return seen, troubles

"""Solids on a checkered ground, seen by a camera: a ray caster for a world of four convex bodies.

The world: x to the right, y towards the viewer and z up from the ground, as the camera stands at time 0.
One unit of length is what the short side of the picture spans at the point that the camera looks at,
`TARGET` above the origin. Bodies stand on the ground at their (x, y); all solids of one radius have the
volume of the ball of that radius. Everything is float32 and elementwise, so every machine draws the same.
"""

from dataclasses import dataclass
from math import cos, radians, sin, tan

import numpy as np

from .scene import PALETTE

# For each solid of radius 1: half its width (the cube's is half an edge) and its height.
SOLIDS = {"cube": (0.806, 1.612), "sphere": (1.0, 2.0), "cone": (1.26, 2.52), "cylinder": (0.874, 1.747)}
# How one looks: the height of its silhouette's centre, and the radius of a disc of the silhouette's area.
LOOKS = {"cube": (0.76, 1.14), "sphere": (1.0, 1.0), "cone": (0.57, 1.165), "cylinder": (0.83, 1.09)}
PITCH = radians(20)  # the camera looks down by this angle
FOCAL = 0.5 / tan(radians(25))  # short sides: the short side spans 50 degrees
TARGET = 0.1  # height of the point looked at
TURN = radians(33)  # cubes show two faces, of unlike width
SUN = (-0.6, 0.4, 0.693)  # the way to the sun, at the left behind the viewer; its length is 1
AMBIENT = 0.42  # the share of light that comes from everywhere
TILE = 0.3  # edge of a ground tile
DARK, LIGHT = np.float32((27, 29, 46)), np.float32((58, 62, 92))  # the tiles: dim, so no solid's colour
HAZE, ZENITH = np.float32((38, 40, 66)), np.float32((7, 8, 20))  # the sky at the horizon and 35 degrees up
SHADOW, PENUMBRA = 0.62, 0.04  # how dark a shadow is, and how wide its edge
SAMPLES = 8  # rays for a pixel of a solid; no multiple of 3
CHUNK = 2**19  # pixels to draw at once
FAR = 3.5  # half of the ground's light is lost in haze at this depth


@dataclass(frozen=True)
class Pose:
    """Where the camera is and which way it is turned, for T frames; axes are unit vectors."""

    position: np.ndarray  # (T, 3)
    forward: np.ndarray  # (T, 3)
    right: np.ndarray  # (T, 3)
    up: np.ndarray  # (T, 3)
    focal: np.ndarray  # (T,) short sides

    def __getitem__(self, frames):
        """The pose at some of the frames only."""
        return Pose(*(getattr(self, name)[frames] for name in self.__dataclass_fields__))


def stand(orbit, pan, zoom):
    """The Pose, from three arrays (T,): radians travelled and turned to the left, and the zoom in times.

    0, 0 and 1 is home. An orbit goes around the vertical through the origin and keeps looking at
    it; a pan turns the camera about the vertical through itself.
    """
    heading, flat = orbit - pan, np.zeros_like(orbit)
    ahead = np.stack([np.sin(heading), -np.cos(heading), flat], -1)
    rise = np.array([0, 0, 1.0])
    away = np.stack([-np.sin(orbit) * cos(PITCH), np.cos(orbit) * cos(PITCH), flat + sin(PITCH)], -1)
    return Pose(
        position=FOCAL * away + TARGET * rise,
        forward=ahead * cos(PITCH) - rise * sin(PITCH),
        right=np.stack([np.cos(heading), np.sin(heading), flat], -1),
        up=ahead * sin(PITCH) + rise * cos(PITCH),
        focal=FOCAL * zoom,
    )


def course(kind, rate, tau):
    """The pose at shares tau (T,) of a clip whose camera pans, orbits or zooms at a constant rate.

    rate: for the whole clip, radians to the left, or the log of the zoom.
    """
    moved = rate * tau
    orbit, pan, zoom = (moved if kind == name else np.zeros_like(moved) for name in ("orbit", "pan", "zoom"))
    return stand(orbit, pan, np.exp(zoom))


def project(points, pose, size):
    """Where points (..., T, 3) of the world are in the picture: x and y (..., T, 2) in short sides, from its
    upper left corner, and depth (..., T) along the camera's forward axis. size: (H, W), in any unit.
    """
    height, width = size[0] / min(size), size[1] / min(size)
    offset = points - pose.position
    depth = (offset * pose.forward).sum(-1)
    scale = pose.focal / depth
    x = width / 2 + scale * (offset * pose.right).sum(-1)
    y = height / 2 - scale * (offset * pose.up).sum(-1)
    return np.stack([x, y], -1), depth


def corners(body, pose, size):
    """The corners of the upright box around a body, in the picture: (8, T, 2); x and y may be arrays (M,)."""
    half, height = (part * body.radius for part in SOLIDS[body.shape])
    half *= abs(cos(TURN)) + abs(sin(TURN)) if body.shape == "cube" else 1
    i, j, k = np.indices((2, 2, 2)).reshape(3, 8)
    x, y = np.add.outer(half * (2 * i - 1), body.x), np.add.outer(half * (2 * j - 1), body.y)
    z = np.add.outer(height * k, 0 * np.asarray(body.x))
    return project(np.stack([x, y, z], -1)[..., None, :], pose, size)[0]


def disc(body, pose, size):
    """A body's silhouette as a disc: its centre (T, 2) in the picture, depth and radius (T,); x and y may be
    arrays (M,), which come first then."""
    height, girth = (part * body.radius for part in LOOKS[body.shape])
    middle = np.stack([body.x, body.y, height + 0 * body.x], -1)
    center, depth = project(middle[..., None, :], pose, size)
    return center, depth, pose.focal * girth / depth


# Solids of radius 1, each in its own frame, met by rays o + t d: t, whether it is a hit, the normal there.


def _hit_ball(o, d):
    x, y, z = o[0], o[1], o[2] - 1
    a = d[0] ** 2 + d[1] ** 2 + d[2] ** 2
    b = x * d[0] + y * d[1] + z * d[2]
    found = b**2 - a * (x**2 + y**2 + z**2 - 1)
    t = (-b - np.sqrt(np.maximum(found, 0))) / a
    return t, found > 0, (x + t * d[0], y + t * d[1], z + t * d[2])


def _hit_round(o, d, half, height, taper):
    """A cylinder (taper 0), or a cone whose radius falls by taper for each unit of height. No ray may be
    steeper than the cone's side: the camera stands too low for that."""
    start = half - taper * o[2]
    slope = -taper * d[2]
    a = d[0] ** 2 + d[1] ** 2 - slope**2
    b = o[0] * d[0] + o[1] * d[1] - start * slope
    found = b**2 - a * (o[0] ** 2 + o[1] ** 2 - start**2)
    root = np.sqrt(np.maximum(found, 0))
    side, back = (-b - root) / a, (-b + root) / a
    top = (height - o[2]) / d[2]  # the camera is above: a ray enters by the top or by the side
    top = np.where(top > 0, top, -np.inf)
    capped = top > side
    t = np.where(capped, top, side)
    z = o[2] + t * d[2]
    hit = (found > 0) & (z > 0) & (z < height * 1.0001) & (t < back)
    x, y = o[0] + t * d[0], o[1] + t * d[1]
    out = ~capped / (np.maximum(np.sqrt(x**2 + y**2), 1e-6) * np.sqrt(1 + taper**2))
    return t, hit, (x * out, y * out, np.where(capped, 1, taper / np.sqrt(1 + taper**2)))


def _hit_cube(o, d, half, height):
    near, far, axis = np.float32(-np.inf), np.float32(np.inf), 0
    for i, middle in enumerate((0, 0, height / 2)):
        slow = np.where(np.abs(d[i]) < 1e-9, np.float32(1e-9), d[i])
        centre, reach = (middle - o[i]) / slow, half / np.abs(slow)
        axis = np.where(centre - reach > near, i, axis)
        near, far = np.maximum(near, centre - reach), np.minimum(far, centre + reach)
    return near, near < far, tuple(np.where(axis == i, -np.sign(d[i]), 0) for i in range(3))


def _turned(vectors):
    """Vectors (..., 3) as seen from a frame that is turned by TURN about the vertical."""
    axes = np.array([(cos(TURN), -sin(TURN), 0), (sin(TURN), cos(TURN), 0), (0, 0, 1)])
    return (vectors[..., None] * axes).sum(-2)


def _cast(body, pose, frame, u, v):
    """Rays through the picture's points u, v (S, N) in frames (N,), to one body: depth (S, N), inf where
    they miss, and the light there, 0..1."""
    base = np.array([body.x, body.y, 0])
    eye = (_turned(pose.position - base) / body.radius).astype(np.float32)[frame]
    axes = (pose.forward, pose.right / pose.focal[:, None], -pose.up / pose.focal[:, None])
    ahead, right, down = ((_turned(a) / body.radius).astype(np.float32)[frame] for a in axes)
    d = [ahead[:, i] + u * right[:, i] + v * down[:, i] for i in range(3)]
    o = [eye[:, i] for i in range(3)]
    half, height = np.float32(SOLIDS[body.shape])
    if body.shape == "sphere":
        t, hit, normal = _hit_ball(o, d)
    elif body.shape == "cube":
        t, hit, normal = _hit_cube(o, d, half, height)
    else:
        taper = half / height if body.shape == "cone" else np.float32(0)
        t, hit, normal = _hit_round(o, d, half, height, taper)
    sun = _turned(np.array(SUN)).astype(np.float32)
    light = normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2]
    return np.where(hit & (t > 0), t, np.float32(np.inf)), AMBIENT + (1 - AMBIENT) * np.maximum(light, 0)


def _shade(body, x, y):
    """How far ground points are outside a body's shadow, negative inside, in units of length.

    A shadow is the union of the body's level cuts, each moved away from the sun by its height.
    """
    half, height = (part * body.radius for part in SOLIDS[body.shape])
    flat = (SUN[0] ** 2 + SUN[1] ** 2) ** 0.5
    length = height * flat / SUN[2]
    ax, ay = -SUN[0] / flat, -SUN[1] / flat
    x, y = x - np.float32(body.x), y - np.float32(body.y)
    along, across = x * ax + y * ay, np.abs(x * ay - y * ax)
    if body.shape == "sphere":
        return np.sqrt(((along - length / 2) * SUN[2]) ** 2 + across**2) - half
    if body.shape == "cube":
        i, j = cos(TURN), sin(TURN)
        bx, by = abs(ax * i + ay * j), abs(ay * i - ax * j)
        mx, my = x - length / 2 * ax, y - length / 2 * ay
        sides = np.abs(mx * i + my * j) - length / 2 * bx, np.abs(my * i - mx * j) - length / 2 * by
        return np.maximum(np.maximum(*sides) - half, across - half * (bx + by))
    shrink = half / length if body.shape == "cone" else 0.0
    cut = np.clip(along - across * (shrink / (1 - shrink**2) ** 0.5), 0, length)
    return np.sqrt((along - cut) ** 2 + across**2) - half + shrink * cut


def _square_wave(x, width):
    """The mean over width of a wave that is 1 and -1 on tiles in turn: exact box filtering."""

    def area(x):
        x = x * (0.5 / TILE)
        return np.abs((x - np.floor(x)) * 2 - 1)

    return (area(x + width / 2) - area(x - width / 2)) * (TILE / width)


def backdrop(bodies, pose, size):
    """Sky, ground and shadows, float32 (T, H, W, 3) levels, for a picture of (H, W) px.

    The camera never rolls, so depth on the ground is one number for each row of pixels.
    """
    short, (rows, columns) = min(size), size
    v = ((np.arange(rows) + 0.5) - rows / 2) / short / pose.focal[:, None]
    u = (((np.arange(columns) + 0.5) - columns / 2) / short).astype(np.float32)
    ray = pose.forward[:, None] - v[..., None] * pose.up[:, None]  # (T, H, 3)
    below = ray[..., 2] < -1e-3
    depth = np.where(below, -pose.position[:, None, 2] / np.where(below, ray[..., 2], -1), 1e3)
    pixel = depth / pose.focal[:, None] / short
    places, tiles = [], 1
    for i in (0, 1):
        step = (depth / pose.focal[:, None] * pose.right[:, None, i]).astype(np.float32)
        start = (pose.position[:, None, i] + depth * ray[..., i]).astype(np.float32)
        down = pose.up[:, None, i] - ray[..., i] * pose.up[:, None, 2] / np.where(below, ray[..., 2], -1)
        width = pixel * (np.abs(pose.right[:, None, i]) + np.abs(down))
        places.append(start[..., None] + step[..., None] * u)
        tiles = tiles * _square_wave(places[i], width.astype(np.float32)[..., None])
    clear = (below / (1 + (depth / FAR) ** 2)).astype(np.float32)[..., None]
    sky = HAZE + np.clip(ray[..., 2:], 0, 1).astype(np.float32) * (ZENITH - HAZE)  # (T, H, 3)
    lit = np.broadcast_to(clear, tiles.shape)
    for body in bodies:
        outside = np.clip(_shade(body, *places) * np.float32(1 / PENUMBRA) + np.float32(0.5), 0, 1)
        lit = lit * (1 - SHADOW + SHADOW * outside)
    tiled = lit * (0.5 + 0.5 * tiles)
    far = sky * (1 - clear)
    return far[:, :, None] + lit[..., None] * DARK + tiled[..., None] * (LIGHT - DARK)


def layers(bodies, pose, size, samples=SAMPLES):
    """What is seen of each body: a list of (box, hit, seen, light), one for each.

    box (N,) are flat indices into (T, H, W) of the pixels that it may touch; hit, seen and light (N,) are
    means over a pixel's rays: those that would meet it alone, those that meet it first, and their light.
    """
    short, (rows, columns), frames = min(size), size, len(pose.focal)
    boxes, touched = [], np.zeros((frames, rows, columns), bool)
    for body in bodies:
        points = corners(body, pose, size) * short
        low, high = np.floor(points.min(0))[..., None], np.ceil(points.max(0))[..., None]  # (T, 2, 1)
        across = (np.arange(columns) >= low[:, 0]) & (np.arange(columns) < high[:, 0])
        down = (np.arange(rows) >= low[:, 1]) & (np.arange(rows) < high[:, 1])
        inside = down[:, :, None] & across[:, None]
        touched |= inside
        boxes.append(np.flatnonzero(inside))
    place = np.cumsum(touched, dtype=np.int32) - 1  # a pixel's place among those touched
    near = np.full((samples, int(place[-1]) + 1), np.inf, np.float32)
    # A lattice with one ray in each row and each column of the pixel: edges have as many levels as rays.
    dx = ((np.arange(samples) + 0.5) / samples)[:, None].astype(np.float32)
    dy = ((np.arange(samples) * 3 % samples + 0.5) / samples)[:, None].astype(np.float32)
    cast = []
    for body, box in zip(bodies, boxes, strict=True):
        frame, pixel = np.divmod(box, rows * columns)
        row, column = np.divmod(pixel, columns)
        u = (column.astype(np.float32) + dx - np.float32(columns / 2)) / short
        v = (row.astype(np.float32) + dy - np.float32(rows / 2)) / short
        cast.append(_cast(body, pose, frame, u, v))
        near[:, place[box]] = np.minimum(near[:, place[box]], cast[-1][0])
    found = []
    for box, (depth, light) in zip(boxes, cast, strict=True):
        hit = depth < np.inf
        first = hit & (depth <= near[:, place[box]])
        sums = hit, first, np.where(first, light, 0)
        found.append((box, *(part.sum(0, dtype=np.float32) * np.float32(1 / samples) for part in sums)))
    return found


def draw(bodies, pose, size, samples=SAMPLES):
    """The picture, float32 (T, H, W, 3) levels, size (H, W) px; samples: rays for each pixel of a solid."""
    half = len(pose.focal) // 2
    if half and 2 * half * size[0] * size[1] > CHUNK:
        return np.concatenate([draw(bodies, part, size, samples) for part in (pose[:half], pose[half:])])
    picture = backdrop(bodies, pose, size)
    pixels, found = picture.reshape(-1, 3), layers(bodies, pose, size, samples)
    bare = np.ones((len(pixels), 1), np.float32)
    for box, _, seen, _ in found:
        bare[box, 0] -= seen
    pixels *= bare
    for body, (box, _, _, light) in zip(bodies, found, strict=True):
        pixels[box] += light[:, None] * np.float32(PALETTE[body.color])
    return picture

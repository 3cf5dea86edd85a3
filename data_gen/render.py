"""From sprites to pixels: an anti-aliased rasteriser built on distances to edges.

A pixel's coverage is clip(1/2 - d, 0, 1), where d is the signed distance in pixels from its centre
to the shape's edge, negative inside. It is exact along upright edges, off by up
to 0.043 along slanted ones, most at 45 degrees, and by more only at corners and where an edge bends within
a pixel.
"""

from dataclasses import dataclass
from math import cos, hypot, pi, sin, sqrt

import numpy as np

from .scene import GREY

CHUNK = 32  # clips drawn at once: few enough for the processor's cache, enough to hide Python
DARK, LIGHT = (20, 22, 30), (44, 50, 70)  # the two tones of every ground, darker than any body
CELL = 0.25  # of the checkered ground, short sides
FAR = 1.6  # no flat shape reaches further from its centre, in radii


@dataclass(frozen=True)
class Sprite:
    """One shape in one colour through time; lengths in short sides.

    ink: (3,) or (T, 3) levels; position: (T, 2), x then y; radius and angle (radians, clockwise for
    the viewer): (T,) or one number; shown: (T,) bool, or None for always; form: what a shape needs
    beside: a capsule's way to its other end (T, 2), a bitten disc's bites (T, n, 3) as x, y, radius
    from its centre, a polygon's corners (T, n, 2), convex and clockwise, from its position.
    """

    shape: str
    ink: tuple
    position: np.ndarray
    radius: np.ndarray | float
    angle: np.ndarray | float = 0.0
    shown: np.ndarray | None = None
    form: np.ndarray | None = None


# Signed distances in pixels. x: (..., 1, P), y: (..., P, 1), or both (..., P, P); r: (..., 1, 1).


def _circle(x, y, r, form):
    distance = np.sqrt(y * y + x * x)
    distance -= r
    return distance


def _square(x, y, r, form):
    return np.maximum(np.abs(x), np.abs(y)) - r * np.float32(sqrt(pi) / 2)


def _triangle(x, y, r, form):
    """Equilateral, apex up; every edge is `inner` away from the centroid."""
    inner = r * np.float32(sqrt(pi / sqrt(27)))
    slant = np.abs(x) * np.float32(sqrt(3) / 2) - inner
    distance = slant - y / 2
    np.maximum(distance, y - inner, out=distance)
    return distance


def _star(x, y, r, form):
    """Five points, apex up, notches half as far: fold the plane onto half a point, then one edge."""
    s, c = np.float32(sin(pi / 5)), np.float32(cos(pi / 5))
    x, y = np.abs(x), -y
    for side in (1, -1):  # mirror what is beyond 36 degrees from the apex's axis, on either side
        beyond = 2 * np.maximum(side * c * x - s * y, 0)
        x, y = x - side * c * beyond, y + s * beyond
    tip = r * np.float32(sqrt(pi / (2.5 * s)))
    edge = hypot(s / 2, c / 2 - 1)
    return (np.abs(x) * np.float32((1 - c / 2) / edge)) + (y - tip) * np.float32(s / 2 / edge)


def _ring(x, y, r, form):
    """The hole's radius is half of the ring's."""
    outer = r * np.float32(2 / sqrt(3))
    distance = np.sqrt(y * y + x * x) - 0.75 * outer
    return np.abs(distance) - 0.25 * outer


def _cross(x, y, r, form):
    """Two bars, three times as long as wide."""
    x, y, long = np.abs(x), np.abs(y), r * np.float32(sqrt(9 * pi / 5) / 2)
    return np.minimum(np.maximum(x - long, y - long / 3), np.maximum(x - long / 3, y - long))


def _capsule(x, y, r, form):
    """All points within r of the line from the centre to form."""
    dx, dy = form[..., 0, None, None], form[..., 1, None, None]
    along = np.clip((x * dx + y * dy) / np.maximum(dx * dx + dy * dy, 1e-9), 0, 1)
    return np.sqrt((x - along * dx) ** 2 + (y - along * dy) ** 2) - r


def _bitten(x, y, r, form):
    distance = np.sqrt(y * y + x * x) - r
    for bite in np.moveaxis(form, -2, 0):
        bx, by, br = (bite[..., i, None, None] for i in range(3))
        distance = np.where(
            br > 0, np.maximum(distance, br - np.sqrt((x - bx) ** 2 + (y - by) ** 2)), distance
        )
    return distance


def _polygon(x, y, r, form):
    distance = np.float32(-1e9)
    for here, there in zip(np.moveaxis(form, -2, 0), np.moveaxis(np.roll(form, -1, -2), -2, 0), strict=True):
        (px, py), (ex, ey) = np.moveaxis(here, -1, 0), np.moveaxis(there - here, -1, 0)
        length = np.maximum(np.sqrt(ex * ex + ey * ey), 1e-9)
        nx, ny, px, py = (v[..., None, None] for v in (ey / length, -ex / length, px, py))
        distance = np.maximum(distance, nx * (x - px) + ny * (y - py))
    return distance


DISTANCES = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "ring": _ring,
    "cross": _cross,
    "capsule": _capsule,
    "bitten": _bitten,
    "polygon": _polygon,
}


def cover(shape, x, y, radius, angle=None, form=None):
    """How much of each pixel a shape covers: float32 in [0, 1].

    x: (..., W) and y: (..., H), pixel centres minus the shape's centre, in pixels; radius: (...), in
    pixels, of the circle of equal area; angle: (...), radians clockwise. Returns (..., H, W).
    """
    if shape not in DISTANCES:
        raise ValueError(f"no such shape: {shape}")
    if shape == "square" and angle is None:
        half = radius[..., None] * np.float32(sqrt(pi) / 2) + np.float32(0.5)
        across, down = np.clip(half - np.abs(x), 0, 1), np.clip(half - np.abs(y), 0, 1)
        return down[..., :, None] * across[..., None, :]
    x, y, r = x[..., None, :], y[..., :, None], radius[..., None, None]
    if angle is not None:
        c, s = (np.float32(f(angle))[..., None, None] for f in (np.cos, np.sin))
        x, y = x * c + y * s, y * c - x * s
    distance = DISTANCES[shape](x, y, r, form)
    np.subtract(np.float32(0.5), distance, out=distance)
    return np.clip(distance, 0, 1, out=distance)


def coverage(shape, center, radius, size, angle=None):
    """cover() of whole frames: center (..., 2), x then y in pixels; radius (...); -> (..., H, W)."""
    center, radius = np.asarray(center, np.float32), np.asarray(radius, np.float32)
    x, y = (
        np.arange(n, dtype=np.float32) + 0.5 - center[..., i, None] for i, n in ((0, size[1]), (1, size[0]))
    )
    return cover(shape, x, y, radius, angle)


def ground(background, size):
    """A background, float32 (H, W, 3) levels."""
    height, width = size
    dark, light = np.array(DARK, np.float32), np.array(LIGHT, np.float32)
    if background == "plain":
        share = np.zeros(size, np.float32)
    elif background == "gradient":  # lighter downwards
        share = np.repeat((np.arange(height, dtype=np.float32) + 0.5)[:, None] / height, width, 1)
    else:
        share = checker(size)
    return dark + share[..., None] * (light - dark)


def checker(size):
    """The share of the light tone in each pixel of the checkered ground, float32 (H, W)."""
    cell = np.float32(CELL * min(size))

    def stripes(n):  # the mean over a pixel of a wave that is 1, then -1, a cell each
        edges = np.arange(n + 1, dtype=np.float32) / cell
        area = 1 - np.abs(edges % 2 - 1)
        return (area[1:] - area[:-1]) * cell

    return (1 + stripes(size[0])[:, None] * stripes(size[1])) / 2


def _blend(canvas, shape, items, size):
    """Draw sprites of one shape, none over another's pixels: items are (row, sprite), size (H, W)."""
    frames, scale = canvas.shape[1], min(size)
    when = [np.arange(frames) if s.shown is None else np.flatnonzero(s.shown) for _, s in items]

    def gather(name, dtype=np.float32, each=()):
        rows = [
            np.broadcast_to(getattr(s, name), (frames, *each))[t]
            for (_, s), t in zip(items, when, strict=True)
        ]
        return np.concatenate(rows).astype(dtype)

    first = np.concatenate([row * frames + t for (row, _), t in zip(items, when, strict=True)])
    center = (np.concatenate([s.position[t] for (_, s), t in zip(items, when, strict=True)]) * scale).astype(
        np.float32
    )
    radius, ink = (gather("radius", float) * scale).astype(np.float32), gather("ink", each=(3,))
    angle = gather("angle") if any(np.any(s.angle) for _, s in items) else None
    form = items[0][1].form
    if form is not None:
        form = gather("form", each=form.shape[1:]) * np.float32(scale)
    if not len(first):
        return
    reach = FAR * radius.max() + 1.5
    if shape in ("capsule", "polygon"):
        reach += np.sqrt((form**2).sum(-1)).max()
    patch = np.arange(-int(reach + 1), int(reach + 1) + 1)
    cell = np.floor(center).astype(np.int64)
    x, y = cell[:, :1] + patch, cell[:, 1:] + patch  # (M, P) whole pixels
    near = (
        (x.astype(np.float32) + np.float32(0.5)) - center[:, :1],
        (y.astype(np.float32) + np.float32(0.5)) - center[:, 1:],
    )
    alpha = cover(shape, *near, radius, angle, form)
    alpha *= ((y >= 0) & (y < size[0]))[:, :, None] & ((x >= 0) & (x < size[1]))[:, None, :]
    hit = np.flatnonzero(alpha)
    index = first[:, None, None] * (size[0] * size[1]) + y[:, :, None] * size[1] + x[:, None, :]
    flat, item = index.ravel().take(hit), hit // len(patch) ** 2
    pixels = canvas.reshape(-1, 3)
    under = pixels.take(flat, 0)
    pixels[flat] = under + alpha.ravel().take(hit)[:, None] * (ink.take(item, 0) - under)


def wall_cover(wall, size):
    """How much of each pixel a wall covers, float32 (H, W); exact."""
    scale = min(size)

    def share(low, high, n):
        edge = np.arange(n, dtype=np.float32)
        return np.clip(np.minimum(edge + 1, high * scale) - np.maximum(edge, low * scale), 0, 1)

    return share(wall.top, wall.bottom, size[0])[:, None] * share(wall.left, wall.right, size[1])


def _draw_chunk(rows, size, out):
    """rows: (background, sprites, walls) each; out: uint8 (n, T, H, W, 3)."""
    canvas = np.empty(out.shape, np.float32)
    for row, (background, _, _) in enumerate(rows):
        canvas[row] = ground(background, size)
    for layer in range(max(len(sprites) for _, sprites, _ in rows)):
        groups = {}
        for row, (_, sprites, _) in enumerate(rows):
            if layer < len(sprites):
                s = sprites[layer]
                form = None if s.form is None else s.form.shape[1:]
                kind = (s.shape, int(np.max(s.radius) * 12), form, bool(np.any(s.angle)))
                groups.setdefault(kind, []).append((row, s))
        for (shape, *_), items in groups.items():
            _blend(canvas, shape, items, size)
    for row, (_, _, walls) in enumerate(rows):
        for wall in walls:
            alpha = wall_cover(wall, size)[..., None]
            canvas[row] += alpha * (np.array(GREY, np.float32) - canvas[row])
    canvas += 0.5
    out[:] = canvas


def draw(rows, frames, size):
    """Draw many clips of one length at (H, W) pixels: uint8, (B, T, H, W, 3).

    rows: one (background, sprites from back to front, walls in front of all) for each clip.
    """
    out = np.empty((len(rows), frames, *size, 3), np.uint8)
    for start in range(0, len(rows), CHUNK):
        _draw_chunk(rows[start : start + CHUNK], size, out[start : start + CHUNK])
    return out

"""From trajectories to pixels: an anti-aliased rasteriser built on distances to edges.

A pixel's coverage is clip(1/2 - d, 0, 1), where d is the signed distance in pixels from its centre
to the shape's edge. The square's coverage is exact; the others' differ from it only at corners.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from math import pi, sqrt

import numpy as np

from .physics import trajectory
from .scene import BACKGROUND, PALETTE

CHUNK = 8  # clips drawn at once: few enough for the processor's cache, enough to hide Python


def coverage(shape, center, radius, size):
    """How much of each pixel a shape covers.

    shape: a name of SHAPES; center: (..., 2), x then y, in pixels; radius: (...), in pixels, of the
    circle of equal area; size: (H, W). Returns float32 in [0, 1], (..., H, W).
    """
    height, width = size
    center, radius = np.asarray(center, np.float32), np.asarray(radius, np.float32)
    x = (np.arange(width, dtype=np.float32) + 0.5) - center[..., 0, None]  # (..., W)
    y = (np.arange(height, dtype=np.float32) + 0.5) - center[..., 1, None]  # (..., H)
    radius = radius[..., None]
    if shape == "square":
        half = radius * np.float32(sqrt(pi) / 2)
        across = np.clip(half + 0.5 - np.abs(x), 0, 1)
        down = np.clip(half + 0.5 - np.abs(y), 0, 1)
        return down[..., :, None] * across[..., None, :]
    if shape == "circle":
        distance = np.sqrt((y * y)[..., :, None] + (x * x)[..., None, :])
        distance -= radius[..., None]
    elif shape == "triangle":  # equilateral, apex up; every edge is `inner` away from the centroid
        inner = radius * np.float32(sqrt(pi / sqrt(27)))
        slant = np.abs(x) * np.float32(sqrt(3) / 2) - inner
        distance = slant[..., None, :] - (y / 2)[..., :, None]
        np.maximum(distance, (y - inner)[..., :, None], out=distance)
    else:
        raise ValueError(f"no such shape: {shape}")
    np.subtract(np.float32(0.5), distance, out=distance)
    return np.clip(distance, 0, 1, out=distance)


def _render_chunk(scenes, size, out):
    """Draw scenes (of equally many bodies' layers) into out, uint8 (n, T, H, W, 3)."""
    scale = min(size)
    canvas = np.empty((3, *out.shape[:-1]), np.float32)
    canvas[:] = np.array(BACKGROUND, np.float32).reshape(3, 1, 1, 1, 1)
    paths = [trajectory(scene) * scale for scene in scenes]
    for layer in range(max(len(scene.bodies) for scene in scenes)):
        by_shape = {}
        for row, scene in enumerate(scenes):
            if layer < len(scene.bodies):
                by_shape.setdefault(scene.bodies[layer].shape, []).append(row)
        for shape, rows in by_shape.items():
            bodies = [scenes[row].bodies[layer] for row in rows]
            center = np.stack([paths[row][layer] for row in rows])
            radius = np.array([[body.radius * scale] for body in bodies])
            cover = coverage(shape, center, radius, size)
            for channel in range(3):
                ink = np.array([PALETTE[body.color][channel] for body in bodies], np.float32)
                under = canvas[channel, rows]
                canvas[channel, rows] = under + cover * (ink[:, None, None, None] - under)
    canvas += 0.5
    for channel in range(3):
        out[..., channel] = canvas[channel]


def render(scenes, size):
    """Draw scenes of equally many frames at (H, W) pixels: uint8, (B, T, H, W, 3)."""
    out = np.empty((len(scenes), scenes[0].frames, *size, 3), np.uint8)
    starts = range(0, len(scenes), CHUNK)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda i: _render_chunk(scenes[i : i + CHUNK], size, out[i : i + CHUNK]), starts))
    return out

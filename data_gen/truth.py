"""What is so in each frame, whatever can be seen of it."""

import numpy as np

from .render import cover, wall_cover
from .scene import FPS

GRAIN = 64  # samples in a short side, to measure what is hidden


def visibility(sprites, walls, window, frames):
    """The share of each sprite that neither a later sprite nor a wall nor the edge hides: (n, T)."""
    size = tuple(round(GRAIN * side) for side in window)
    x, y = (np.arange(-size[i], 2 * size[i]) + 0.5 for i in (1, 0))  # a window's width beyond each edge
    free = np.ones((frames, 3 * size[0], 3 * size[1]), np.float32)
    inside = np.zeros_like(free)
    inside[:, size[0] : 2 * size[0], size[1] : 2 * size[1]] = 1
    for wall in walls:
        inside[:, size[0] : 2 * size[0], size[1] : 2 * size[1]] *= 1 - wall_cover(wall, size)
    shares = np.zeros((len(sprites), frames))
    for i in reversed(range(len(sprites))):
        s = sprites[i]
        center = s.position * GRAIN
        radius = np.broadcast_to(s.radius, frames) * GRAIN
        angle = np.broadcast_to(np.asarray(s.angle, float), frames)
        form = None if s.form is None else s.form * GRAIN
        alpha = cover(s.shape, x - center[:, :1], y - center[:, 1:], radius, angle, form)
        if s.shown is not None:
            alpha = alpha * s.shown[:, None, None]
        whole = alpha.sum((1, 2))
        shares[i] = (alpha * free * inside).sum((1, 2)) / np.maximum(whole, 1e-9)
        free = free * (1 - alpha)
    return shares


def body_truth(scene, sprites):
    """A dictionary for each body: shape, color, radius (T,), position and velocity (T, 2), visible (T,).

    sprites: one for each body, in their order. Velocities are central differences.
    """
    visible = visibility(sprites, scene.walls, scene.window, scene.frames)
    rows = []
    for body, sprite, share in zip(scene.bodies, sprites, visible, strict=True):
        position = sprite.position
        velocity = np.gradient(position, 1 / FPS, axis=0) if scene.frames > 1 else np.zeros((1, 2))
        rows.append(
            {
                "shape": body.shape,
                "color": body.color,
                "radius": np.broadcast_to(sprite.radius, scene.frames).copy(),
                "position": position,
                "velocity": velocity,
                "visible": share,
            }
        )
    return rows

"""From a scene to its trajectory: closed form where there is one."""

import numpy as np

from .scene import DIRECTIONS, FPS


def velocity(body):
    """The body's (vx, vy) in short sides per second."""
    dx, dy = DIRECTIONS[body.motion]
    return dx * body.speed, dy * body.speed


def trajectory(scene):
    """Where every body is in every frame: (bodies, T, 2), x then y, in short sides."""
    time = np.arange(scene.frames) / FPS
    start = np.array([(body.x, body.y) for body in scene.bodies])
    rate = np.array([velocity(body) for body in scene.bodies])
    return start[:, None] + rate[:, None] * time[:, None]

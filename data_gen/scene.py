"""The words and units of the world: what a scene is, before anything moves or is drawn.

Lengths are in frame short sides (the short side of the window is 1), time in seconds, x to the
right, y down, the origin in the upper left corner. A clip has `FPS` frames per second.
"""

from dataclasses import dataclass

FPS = 8

# Chosen on a dark ground so that any two differ by at least 70 levels in some channel.
PALETTE = {
    "red": (226, 44, 44),
    "green": (44, 190, 76),
    "blue": (48, 92, 240),
    "yellow": (246, 214, 40),
    "cyan": (48, 214, 230),
    "magenta": (224, 56, 214),
    "orange": (246, 136, 28),
    "white": (244, 244, 244),
}
BACKGROUND = (20, 22, 30)
SHAPES = ("circle", "square", "triangle")
# How far each shape reaches from its centre of area to the side, up and down, in radii.
REACH = {"circle": (1.0, 1.0, 1.0), "square": (0.887, 0.887, 0.887), "triangle": (1.347, 1.556, 0.778)}
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "still": (0, 0)}
RADIUS_RANGE = (0.12, 0.16)


class WorldError(Exception):
    """A mistake in what was asked of the world; its text is one sentence for a person."""


@dataclass(frozen=True)
class Body:
    """One thing. All shapes of one radius have the area of the circle of that radius."""

    shape: str  # of SHAPES
    color: str  # of PALETTE
    radius: float  # short sides
    x: float  # centre of area at time 0, short sides
    y: float
    motion: str  # of DIRECTIONS
    speed: float  # short sides per second


@dataclass(frozen=True)
class Scene:
    """Everything that decides a clip but its size in pixels; bodies are drawn in their order."""

    bodies: tuple[Body, ...]
    window: tuple[float, float]  # height, width in short sides: one of them is 1
    frames: int


def window_of(size):
    """(H, W) in pixels -> the window's (height, width) in short sides."""
    short = min(size)
    return size[0] / short, size[1] / short

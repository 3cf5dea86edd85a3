"""The words and units of the world: what a scene is, before anything moves or is drawn.

Lengths are in frame short sides (the short side of the window is 1), time in seconds, x to the
right, y down, the origin in the upper left corner. A clip has `FPS` frames per second. No two
bodies of a scene share a colour, so a colour names a body, in captions and in the checker.
"""

from dataclasses import dataclass

FPS = 8

# Chosen on dark grounds so that any two differ by at least 70 levels in some channel.
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
GREY = (112, 114, 122)  # walls, which no body is as dull as
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
# How far each shape reaches from its centre of area to the side, up and down, in radii.
REACH = {
    "circle": (1.0, 1.0, 1.0),
    "square": (0.887, 0.887, 0.887),
    "triangle": (1.347, 1.556, 0.778),
    "star": (1.391, 1.463, 1.183),
    "ring": (1.155, 1.155, 1.155),
    "cross": (1.189, 1.189, 1.189),
}
BACKGROUNDS = ("plain", "gradient", "checker")
SPLITS = ("train", "test", "heldout")


class WorldError(Exception):
    """A mistake in what was asked of the world; its text is one sentence for a person."""


@dataclass(frozen=True)
class Body:
    """One thing. All flat shapes of one radius have the area of the circle of that radius."""

    shape: str  # of SHAPES, or of SOLIDS in the camera family
    color: str  # of PALETTE
    radius: float  # short sides
    x: float  # centre of area at time 0, short sides; of a solid, its place on the ground
    y: float
    motion: str = "still"  # a word of the family
    extent: float = 0.0  # how far it goes in the clip: short sides, turns or times, as the motion has it
    velocity: tuple[float, float] = (0.0, 0.0)  # at time 0, short sides per second, where physics moves it
    role: str = ""  # what it is for, where the family has roles
    phase: float = 0.0  # where on its circle it starts, radians clockwise from the right
    heavy: bool = False


@dataclass(frozen=True)
class Wall:
    """A grey rectangle, its edges in short sides."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Camera:
    """A camera that moves: the word for its motion, and how far it goes in the clip."""

    motion: str
    extent: float


@dataclass(frozen=True)
class Event:
    """Something that happens at a time, in seconds: what, to which body, and by or against what."""

    time: float
    what: str
    who: str
    whom: str = ""


@dataclass(frozen=True)
class Scene:
    """Everything that decides a clip but its size in pixels; bodies are drawn in their order."""

    family: str
    bodies: tuple[Body, ...]
    window: tuple[float, float]  # height, width in short sides: one of them is 1
    frames: int
    background: str = "plain"  # of BACKGROUNDS
    walls: tuple[Wall, ...] = ()
    camera: Camera | None = None
    gravity: float = 0.0  # short sides per second squared, downwards
    restitution: float = 1.0  # the share of normal speed that a bounce leaves
    events: tuple[Event, ...] = ()
    actions: tuple[str, ...] = ()  # one a frame but the first


def window_of(size):
    """(H, W) in pixels -> the window's (height, width) in short sides."""
    short = min(size)
    return size[0] / short, size[1] / short

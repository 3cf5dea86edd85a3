"""One sampler of scenes per family: random numbers in, a scene out."""

from .captions import pick
from .scene import DIRECTIONS, FPS, PALETTE, RADIUS_RANGE, REACH, SHAPES, Body, Scene

GRID = 2**16  # x at time 0 is a multiple of 1/GRID, and its last bit tells the split
MARGIN = 0.02  # between a body and the edge of the window, short sides
TRAVEL = (0.36, 0.50)  # how far a moving body goes in a clip, short sides


def is_heldout(shape, color, motion):
    """Whether a combination is kept from train and test: a tenth, every value in one or more."""
    index = 3 * SHAPES.index(shape) + list(PALETTE).index(color) + 2 * list(DIRECTIONS).index(motion)
    return index % 10 == 4


def _combinations(heldout):
    every = ((s, c, m) for s in SHAPES for c in PALETTE for m in DIRECTIONS)
    return tuple(combination for combination in every if is_heldout(*combination) == heldout)


_COMBINATIONS = {"train": _combinations(False), "test": _combinations(False), "heldout": _combinations(True)}
SPLITS = tuple(_COMBINATIONS)


def _between(rng, low, high):
    return low + (high - low) * rng.random()


def sample_shapes(rng, window, frames, split):
    """One body that keeps inside the window: a shape, a colour and a motion of the split.

    Train and test share no scene: the last bit of x is 0 in train and 1 in the others.
    """
    shape, color, motion = pick(rng, _COMBINATIONS[split])
    radius = _between(rng, *RADIUS_RANGE)
    duration = max(frames - 1, 1) / FPS
    travel = _between(rng, *TRAVEL)
    side, up, down = (radius * part + MARGIN for part in REACH[shape])
    dx, dy = (travel * part for part in DIRECTIONS[motion])
    x = _between(rng, side - min(dx, 0), window[1] - side - max(dx, 0))
    y = _between(rng, up - min(dy, 0), window[0] - down - max(dy, 0))
    x = (int(x * GRID / 2) * 2 + (split != "train")) / GRID
    speed = 0.0 if motion == "still" else travel / duration
    return Scene((Body(shape, color, radius, x, y, motion, speed),), window, frames)


FAMILIES = {"shapes": sample_shapes}

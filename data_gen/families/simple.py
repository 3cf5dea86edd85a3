"""shapes-simple: the easiest of shapes, for a first model. One body on the plain ground that stays
still or moves straight, its caption complete in one short sentence."""

from ..grammar import pick
from ..motions import WORDS
from ..scene import PALETTE, REACH, Body, Scene, window_of
from ..words import SHAPE_NOUNS
from .shapes import GRAMMAR, MARGIN, between, on_grid, render, see, sprites, truth

__all__ = ["facts", "render", "sample", "see", "shows", "sprites", "tell", "truth"]

SHAPES = ("circle", "square", "triangle")
MOTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "still": (0, 0)}
RADIUS_RANGE = (0.12, 0.16)
TRAVEL = (0.36, 0.50)  # how far a moving body goes in a clip, short sides


def is_heldout(shape, color, motion):
    """Whether a combination is kept from train and test: a tenth, every value in one or more."""
    index = 3 * SHAPES.index(shape) + list(PALETTE).index(color) + 2 * list(MOTIONS).index(motion)
    return index % 10 == 4


def shows(body):
    """Whether training shows such a body."""
    known = body.shape in SHAPES and body.motion in MOTIONS
    return known and not is_heldout(body.shape, body.color, body.motion)


def _combinations(heldout):
    every = ((s, c, m) for s in SHAPES for c in PALETTE for m in MOTIONS)
    return tuple(combination for combination in every if is_heldout(*combination) == heldout)


_COMBINATIONS = {"train": _combinations(False), "test": _combinations(False), "heldout": _combinations(True)}


def sample(rng, size, frames, split):
    """A scene of the split: see data_gen.clips.make_batch. The body keeps inside the window."""
    window = window_of(size)
    shape, color, motion = pick(rng, _COMBINATIONS[split])
    radius = between(rng, *RADIUS_RANGE)
    travel = between(rng, *TRAVEL)
    side, up, down = (radius * part + MARGIN for part in REACH[shape])
    dx, dy = (travel * part for part in MOTIONS[motion])
    x = between(rng, side - min(dx, 0), window[1] - side - max(dx, 0))
    y = between(rng, up - min(dy, 0), window[0] - down - max(dy, 0))
    x = on_grid(x, split)
    body = Body(shape, color, radius, x, y, motion, 0.0 if motion == "still" else travel)
    return Scene("shapes-simple", (body,), window, frames)


def facts(scene):
    """Everything that a caption tells."""
    (body,) = scene.bodies
    told = {("scene", "family"): "shapes", ("scene", "count"): 1, (body.color, "shape"): body.shape}
    return told | ({(body.color, "motion"): body.motion} if scene.frames > 1 else {})


def tell(scene, rng, long):
    """One short sentence; there is nothing to say at length."""
    (body,) = scene.bodies
    plan = pick(rng, GRAMMAR.plans["simple" if scene.frames > 1 else "simple image"])
    article = pick(rng, ("a", "one"))
    noun, verb = pick(rng, SHAPE_NOUNS[body.shape]), pick(rng, WORDS[body.motion])
    if article == "a" and body.color[0] in "aeiou":
        article = "an"
    return [plan.format(article=article, color=body.color, shape=noun, motion=verb)]

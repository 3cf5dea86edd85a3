"""What is said of a scene, and what a caption says: `describe` and `parse`, one grammar for both."""

import numpy as np

from .families import FAMILIES
from .grammar import Reader
from .scene import WorldError

READER = Reader([family.GRAMMAR for name, family in FAMILIES.items() if name != "shapes-simple"])


def facts_of(scene):
    """The facts of a scene, all that a long caption tells: {(subject, attribute): value}.

    The subject is a body's colour, or "scene".
    """
    return FAMILIES[scene.family].facts(scene)


def describe(scene, seed=0, long=False):
    """A caption of the scene: short, under 15 words, that may leave facts out, or long, 60 to 135
    words (of shapes-simple one sentence), with every fact. The seed chooses among its wordings."""
    sentences = FAMILIES[scene.family].tell(scene, np.random.default_rng(seed), long)
    if not long:
        return sentences[0]
    return " ".join(sentence[0].upper() + sentence[1:] + "." for sentence in sentences)


def parse(caption):
    """The facts of any caption that `describe` can write; case, spaces and a full stop do not count.

    Raises WorldError, with the nearest sentence that would parse, for any other text.
    """
    if not isinstance(caption, str):
        raise WorldError(f"a caption is a text, not {type(caption).__name__}")
    return READER.read(caption)

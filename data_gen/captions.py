"""One grammar, read in both directions: `describe` writes a scene's facts, `parse` reads them back.

A caption is a sentence plan whose slots are filled from word lists. `describe` draws the plan and
the words; `parse` turns the same plans into regular expressions, so neither can know a word that
the other does not.
"""

import difflib
import re
from dataclasses import dataclass

import numpy as np

from .scene import PALETTE, SHAPES, WorldError

NOUNS = {
    "circle": ("circle", "disc"),
    "square": ("square", "block"),
    "triangle": ("triangle",),
}
VERBS = {
    "left": ("moves left", "moves to the left", "slides left", "drifts leftwards", "goes left"),
    "right": ("moves right", "moves to the right", "slides right", "drifts rightwards", "goes right"),
    "up": ("moves up", "rises", "slides up", "drifts upwards", "climbs"),
    "down": ("moves down", "sinks", "slides down", "drifts downwards", "descends"),
    "still": ("stays still", "does not move", "rests", "stays in place", "stands still"),
}
ARTICLES = ("a", "one")
MOVING_PLANS = (
    "{article} {color} {noun} {verb}",
    "{article} {color} {noun} that {verb}",
    "there is {article} {color} {noun} that {verb}",
    "a video of {article} {color} {noun}; it {verb}",
    "the {noun} is {color} and {verb}",
)
IMAGE_PLANS = ("{article} {color} {noun}", "a picture of {article} {color} {noun}", "the {noun} is {color}")


@dataclass(frozen=True)
class BodyFacts:
    """What a caption says of one body; None where it says nothing."""

    shape: str
    color: str
    motion: str | None


@dataclass(frozen=True)
class Facts:
    """What a caption says."""

    bodies: tuple[BodyFacts, ...]


def facts_of(scene):
    """The facts that a caption of this scene tells; an image (one frame) shows no motion."""
    moves = scene.frames > 1
    return Facts(tuple(BodyFacts(b.shape, b.color, b.motion if moves else None) for b in scene.bodies))


def pick(rng, options):
    """One of options, through rng.random() alone: its stream is the same in every numpy."""
    return options[int(rng.random() * len(options))]


def describe(scene, seed=0):
    """A short caption of the scene, under 15 words; the seed chooses among its wordings."""
    rng = np.random.default_rng(seed)
    (body,) = facts_of(scene).bodies
    plan = pick(rng, IMAGE_PLANS if body.motion is None else MOVING_PLANS)
    article = pick(rng, ARTICLES)
    return plan.format(
        article="an" if article == "a" and body.color[0] in "aeiou" else article,
        color=body.color,
        noun=pick(rng, NOUNS[body.shape]),
        verb=pick(rng, VERBS.get(body.motion, ("",))),
    )


def _pattern(plan):
    slots = {
        "article": (*ARTICLES, "an"),
        "color": tuple(PALETTE),
        "noun": tuple(word for words in NOUNS.values() for word in words),
        "verb": tuple(word for words in VERBS.values() for word in words),
    }
    choices = {name: f"(?P<{name}>{'|'.join(words)})" for name, words in slots.items()}
    return re.compile(plan.format(**choices))


_PATTERNS = [_pattern(plan) for plan in MOVING_PLANS + IMAGE_PLANS]
_MEANING = {word: fact for table in (NOUNS, VERBS) for fact, words in table.items() for word in words}


def parse(caption):
    """The facts of any caption that `describe` can write; case, spaces and a full stop do not count.

    Raises WorldError, with the nearest caption that would parse, for any other text.
    """
    text = " ".join(caption.lower().split()).rstrip(" .")
    for pattern in _PATTERNS:
        if match := pattern.fullmatch(text):
            words = match.groupdict()
            motion = _MEANING.get(words.get("verb"))
            return Facts((BodyFacts(_MEANING[words["noun"]], words["color"], motion),))
    shown = caption if len(caption) <= 60 else caption[:57] + "..."
    raise WorldError(f"the caption {shown!r} does not parse; the nearest that does is {_nearest(text)!r}")


def _nearest(text):
    """A caption of the plainest form that shares the most with the text."""
    plain = [
        f"{'an' if c[0] in 'aeiou' else 'a'} {c} {s} {words[0]}"
        for c in PALETTE
        for s in SHAPES
        for words in VERBS.values()
    ]
    return difflib.get_close_matches(text[:200], plain, n=1, cutoff=0)[0]


def vocabulary():
    """Every word that a caption can hold, as a set of lower-case strings."""
    phrases = [*_MEANING, *PALETTE, *ARTICLES, "an"]
    phrases += [re.sub(r"{\w+}", " ", plan) for plan in MOVING_PLANS + IMAGE_PLANS]
    return {word for phrase in phrases for word in re.findall(r"\w+", phrase)}

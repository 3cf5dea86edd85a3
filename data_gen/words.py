"""The words that all families share, and how a long caption is filled to its length."""

from .scene import PALETTE

LONG_WORDS = (60, 135)
SHORT_WORDS = 14
COLORS = {name: (name,) for name in PALETTE}
SHAPE_NOUNS = {
    "circle": ("circle", "disc"),
    "square": ("square", "block"),
    "triangle": ("triangle",),
    "star": ("star",),
    "ring": ("ring", "hoop"),
    "cross": ("cross", "plus sign"),
}
SIZES = {"small": ("small", "little"), "medium": ("medium", "middle-sized"), "large": ("large", "big")}
COUNTS = {1: ("one",), 2: ("two",), 3: ("three",), 4: ("four",)}
PLACES = {
    "upper left": ("in the upper left", "at the top left", "up in the left corner"),
    "upper middle": ("in the upper middle", "at the top", "near the top edge"),
    "upper right": ("in the upper right", "at the top right", "up in the right corner"),
    "middle left": ("on the left side", "at the left", "near the left edge"),
    "middle": ("in the middle", "in the centre", "near the centre"),
    "middle right": ("on the right side", "at the right", "near the right edge"),
    "lower left": ("in the lower left", "at the bottom left", "down in the left corner"),
    "lower middle": ("in the lower middle", "at the bottom", "near the bottom edge"),
    "lower right": ("in the lower right", "at the bottom right", "down in the right corner"),
}
BACKGROUND_WORDS = {
    "plain": ("plain dark", "even dark", "black"),
    "gradient": ("shaded dark", "graded dark", "gently graded"),
    "checker": ("checkered dark", "checkerboard", "chequered"),
}
TABLES = {
    "color": COLORS,
    "shape": SHAPE_NOUNS,
    "size": SIZES,
    "count": COUNTS,
    "place": PLACES,
    "background": BACKGROUND_WORDS,
}
# Plans that say nothing that a checker needs, for captions too short to be long; true of every clip.
FILLERS = (
    "the edges are sharp and the colours are bright",
    "there is no writing and no number anywhere in the picture",
    "all that there is to know can be seen by looking closely",
    "it is a short and simple clip made for a careful viewer",
    "every colour stands out well against what lies behind it",
    "no person and no animal is to be seen in it",
)


def place_of(x, y, window, margin):
    """The word for a place in the window, or None within `margin` (a share of the window) of a boundary.

    None too for a place that is not known (NaN).
    """
    shares = (y / window[0], x / window[1])
    if not abs(x + y) < 1e9:
        return None
    if any(abs(share - third) < margin for share in shares for third in (1 / 3, 2 / 3)):
        return None
    row, column = (min(max(int(share * 3), 0), 2) for share in shares)
    words = (("upper", "middle", "lower")[row], ("left", "middle", "right")[column])
    return "middle" if words == ("middle", "middle") else " ".join(words)


def word_of(value, ranges):
    """The word for a number, or None where it is in none of the ranges."""
    return next((word for word, (low, high) in ranges.items() if low <= value <= high), None)


def count_words(sentences):
    return sum(len(sentence.split()) for sentence in sentences)


def shorten(write):
    """The caption of the one sentence that `write()` draws, drawn again until it is short enough."""
    while count_words([sentence := write()]) > SHORT_WORDS:
        pass
    return [sentence]


def lengthen(sentences, grammar, rng):
    """Add fillers, none twice, until a long caption is long enough."""
    fillers = list(grammar.plans["filler"])
    while count_words(sentences) < LONG_WORDS[0]:
        sentences.append(fillers.pop(int(rng.random() * len(fillers))))
    return sentences

"""The words of the change family. None of the sentences may begin with what grammar.ORDER can stand for."""

from ..grammar import Grammar
from ..motions import WAYS, WORDS
from ..words import COLORS, FILLERS, TABLES

GRAMMAR = Grammar(
    "change",
    TABLES
    | {
        "thing": {
            "brush": ("brush", "paintbrush"),
            "cake": ("cake", "cookie", "pie"),
            "lamp": ("lamp", "light"),
            "pane": ("pane of glass", "sheet of glass", "glass pane"),
        },
        "motion": {way: WORDS[way] for way in WAYS},
        "extent": {
            "near": ("a short way", "a small distance"),
            "far": ("a long way", "a good distance"),
            "very far": ("a very long way", "very far"),
        },
        "paint": COLORS,
        "side": {
            "left": ("left side", "left edge"),
            "right": ("right side", "right edge"),
            "top": ("top", "upper edge"),
            "bottom": ("bottom", "lower edge"),
        },
        "bites": {1: ("one bite", "a single bite"), 2: ("two bites", "a pair of bites"), 3: ("three bites",)},
        "onto": {
            "floor": ("on a grey floor", "on the grey floor"),
            "edge": ("on the bottom edge of the picture", "on the picture's bottom edge"),
        },
        "after": {
            "stays": ("the change lasts", "nothing undoes it", "it stays so"),
            "undone": ("the change does not last", "it is undone later", "a later touch undoes it"),
        },
    },
    {
        "short brush": (
            "a {color} {thing} paints on a {background} ground; it {motion}",
            "a {color} {thing} {place} paints as it {motion}",
            "painting: a {color} {shape} as a {thing} {motion} {extent}",
        ),
        "short cake": (
            "a {color} {shape} takes {bites2} out of a {color2} {thing2}",
            "a {color} {shape} {motion} and takes {bites2} from a {color2} {thing2}",
            "a {color2} {thing2} {place2} loses {bites2} to a {color} {shape}",
            "a {color} {shape} eats {bites2} of a {color2} {thing2}; {after2}",
        ),
        "short lamp": (
            "a {color} {shape} switches on a {color2} {thing2}; {after2}",
            "a {color} {shape} {motion} and lights a {color2} {thing2}; {after2}",
            "a {color2} {thing2} is lit by a {color} {shape} that {motion}; {after2}",
        ),
        "short pane": (
            "a {color} {thing} {place} falls {extent} and breaks",
            "a falling {color} {thing} on a {background} ground breaks {onto}",
        ),
        "image 1": (
            "before anything changes there is a {color} {shape}",
            "a {color} {shape} {place} before any change",
            "a {color} {shape} on a {background} ground before a change",
        ),
        "image 2": (
            "before anything changes there is a {color} {shape} and a {color2} {shape2}",
            "a {color} {shape} and a {color2} {shape2} before a change",
            "a {color} {shape} {place} and a {color2} {shape2} before a change",
            "before a change: a {color} {shape}, a {color2} {shape2}, a {background} ground",
        ),
        "opening": (
            "something will change here; on a {background} ground the things at the start number {count}",
            "this is about a change on a {background} ground; the things before it number {count}",
            "{count} is the number of things before the change, on a {background} ground",
        ),
        "brush": (
            "there is a {color} {thing} in the form of a {shape}",
            "the {color} {thing} has the outline of a {shape}",
            "a {color} {shape} serves as a {thing}",
        ),
        "thing": (
            "there is a {color} {thing} to be changed",
            "a {color} {thing} waits for what will happen",
            "what will change is a {color} {thing}",
        ),
        "visitor": (
            "a {color} {shape} comes along to change it",
            "the one that moves is a {color} {shape}",
            "all will be done by a {color} {shape}",
        ),
        "image body": (
            "before the change there is a {color} {shape}",
            "a {color} {shape} waits for the change",
            "among what is there before the change is a {color} {shape}",
        ),
        "brush course": (
            "the {color} {thing} {motion} {extent} at a steady pace",
            "at one speed the {color} {thing} {motion} {extent}",
        ),
        "visitor course": (
            "the {color} {shape} {motion} to begin with, {extent} in all",
            "to begin with the {color} {shape} {motion}; in all it goes {extent}",
        ),
        "fall": (
            "a {color} {thing} falls {extent}, faster and faster, and lands {onto}",
            "faster and faster the {color} {thing} falls {extent}, to land {onto}",
            "there is a {color} {thing}; it falls {extent} and comes down {onto}",
        ),
        "place": (
            "at the outset it is {place}",
            "it begins {place}",
            "before any change it is {place}",
        ),
        "tally": (
            "the {color} {thing} loses {bites} in all",
            "altogether the {color} {thing} loses {bites}",
        ),
        "after": (
            "as for the {color} {thing}, {after}",
            "about the {color} {thing}: {after}",
            "it holds for the {color} {thing} that {after}",
        ),
        "paints": (
            "the {color} {thing} leaves a {paint} trail behind it",
            "the {color} {thing} begins to paint a {paint} line",
            "a {paint} stripe of paint follows the {color} {thing}",
            "a {color} {thing} {motion} and leaves a {paint} trail",
            "a {color} {thing} {motion} {extent}, painting a {paint} line",
            "a {color} {shape} {motion}, as a {thing} that leaves {paint} paint",
            "a {color} {thing} like a {shape} {motion} and paints in {paint}",
            "{place} a {color} {thing} {motion}, leaving {paint} paint",
            "on a {background} ground a {color} {thing} {motion}, painting in {paint}",
        ),
        "bites": (
            "the {color} {shape} takes a bite out of the {side} of the {color2} {thing2}",
            "the {color} {shape} bites into the {side} of the {color2} {thing2}",
            "the {color} {shape} eats a piece of the {color2} {thing2} at its {side}",
            "a {color} {shape} {motion} and bites the {side} of a {color2} {thing2}",
        ),
        "lights": (
            "the {color} {shape} touches the {color2} {thing2}, which lights up",
            "at a touch of the {color} {shape} the {color2} {thing2} goes on",
            "the {color} {shape} knocks on the {color2} {thing2} and switches it on",
            "a {color} {shape} {motion}, touches a {color2} {thing2} and lights it",
        ),
        "darkens": (
            "the {color} {shape} touches the {color2} {thing2} again, which goes dark",
            "at a second touch of the {color} {shape} the {color2} {thing2} goes out",
            "the {color} {shape} knocks once more and the {color2} {thing2} is switched off",
        ),
        "shatters": (
            "a {color} {thing} hits the ground and shatters",
            "the {color} {thing} breaks into many pieces",
            "a {color} {thing} falls {extent} and shatters {onto}",
            "a {color} {thing} shatters {onto}",
            "{place} a {color} {thing} begins to fall; it shatters {onto}",
        ),
        "filler": FILLERS,
    },
    events={
        "paints": ("color", "paint"),
        "bites": ("color", "color2", "side"),
        "lights": ("color2",),
        "darkens": ("color2",),
        "shatters": ("color",),
    },
)

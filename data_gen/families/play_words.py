"""The words of the play family."""

from ..grammar import Grammar
from ..words import FILLERS, TABLES

WAY_WORDS = {
    "left": ("left", "to the left", "leftwards"),
    "right": ("right", "to the right", "rightwards"),
    "up": ("up", "upwards"),
    "down": ("down", "downwards"),
}
GRAMMAR = Grammar(
    "play",
    TABLES
    | {
        "role": {"agent": ("agent", "player", "robot")},
        "shape": {"square": ("box", "crate")},
        "size": {"small": ("small", "little"), "large": ("large", "big")},
        "weight": {"light": ("light", "empty"), "heavy": ("heavy", "full")},
        "motion": {"moves": ("walks about", "moves around"), "still": ("stays in place", "does not move")},
        "way": WAY_WORDS,
        "pushed": WAY_WORDS | {"about": ("about", "this way and that", "in several directions")},
        "end": TABLES["place"],
    },
    {
        "short 1": (
            "a {color} {role} and a {color2} {shape2}",
            "a {color} {role} and a {size2} {color2} {shape2} {place2}",
            "a {color} {role} pushes a {color2} {shape2} {pushed2}",
            "a {color} {role} pushes a {weight2} {color2} {shape2} {pushed2}",
            "a {color} {role} shoves a {weight2} {size2} {color2} {shape2} {pushed2}",
            "the {color2} {shape2} is {weight2}; a {color} {role} pushes it {pushed2}",
            "a {weight2} {color2} {shape2} is pushed {pushed2} by a {color} {role}",
            "a {color} {role} {motion} and a {size2} {color2} {shape2} {motion2}",
            "on a {background} ground a {color} {role} pushes a {color2} {shape2} {pushed2}",
        ),
        "short 2": (
            "a {color} {role}, a {color2} {shape2} and a {color3} {shape3}",
            "a {color} {role}, a {size2} {color2} {shape2}, a {size3} {color3} {shape3}",
            "a {color} {role}, a {weight2} {size2} {color2} {shape2}, a {size3} {color3} {shape3}",
            "a {color} {role} pushes a {color2} {shape2} {pushed2}; a {color3} {shape3} {motion3}",
            "a {color} {role} pushes a {weight2} {color2} {shape2} and a {weight3} {color3} {shape3}",
            "a {color} {role} and a {color3} {shape3}; a {color2} {shape2} is pushed {pushed2}",
            "of {count} bodies the {color} {role} pushes the {weight2} {color2} {shape2} {pushed2}",
        ),
        "short 3": (
            "a {color} {role}, a {color2} {shape2}, a {color3} {shape3}, a {color4} {shape4}",
            "a {color} {role}, a {size2} {color2} {shape2}, a {color3} {shape3}, a {color4} {shape4}",
            "a {color} {role}, a {weight2} {color2} {shape2}, a {color3} {shape3}, a {color4} {shape4}",
            "of {count} bodies the {color} {role} pushes the {color2} {shape2} {pushed2}",
            "of {count} bodies the {color} {role} pushes the {weight2} {color2} {shape2} {pushed2}",
            "{count} bodies; the {color} {role} {motion}, the {size2} {color2} {shape2} {motion2}",
            "{count} bodies on a {background} ground; the {color} {role} {motion}",
        ),
        "opening": (
            "on a {background} ground there are {count} bodies, the agent being one",
            "with the agent there are {count} bodies on a {background} ground",
        ),
        "agent": ("the {color} {role} {motion}", "there is a {color} {role} which {motion}"),
        "agent image": ("the {color} {role} is there", "there is a {color} {role}"),
        "place": ("it starts {place}", "at first it is {place}"),
        "end": ("it ends {end}", "at last it is {end}"),
        "pushes": ("it pushes the {color} {shape} {way}", "it shoves the {color} {shape} {way}"),
        "pushed": (
            "the {color} {shape} is {size} and goes {pushed}",
            "a {size} {color} {shape} is moved {pushed}",
        ),
        "still": ("the {size} {color} {shape} {motion}", "there is a {size} {color} {shape} which {motion}"),
        "box image": ("a {size} {color} {shape} stands there", "there stands a {size} {color} {shape}"),
        "weight": ("it is {weight}", "it turns out {weight}", "it proves {weight}"),
        "filler": FILLERS,
    },
    {"pushes": ("color", "way")},
)

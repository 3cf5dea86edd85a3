"""bounce-uniform, bounce-collision, bounce-parabola: PhyWorld's three scenarios (Kang et al. 2024),
presets of bounce without walls, with its ranges.

PhyWorld's world is 10 x 10 units and a frame is 0.1 s; here the short side is 10 units and a frame
keeps its 0.1 s, so a clip of 33 frames begins with PhyWorld's 32. train and test draw speeds and
radii from its training ranges, heldout from its ranges outside of them. Balls that fly out of the
frame are gone. A radius of 0.3 units is two pixels at a short side of 64; smaller pictures do not
show it well, and the observer takes balls below 0.38 units for dirt at any size, so a clip with one is not
judged right.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..flight import STRETCH, in_words, see
from ..grammar import Grammar, pick
from ..observe import observe
from ..scene import FPS, PALETTE, Body, Scene, window_of
from ..words import FILLERS, TABLES, lengthen, shorten
from . import bounce
from .shapes import between, on_grid

UNIT, FRAME = 0.1, 0.1  # a unit in short sides; PhyWorld's seconds in a frame
RATE = UNIT * FRAME * FPS  # short sides per second, for one unit per second
FALL = 2.5 * UNIT * (FRAME * FPS) ** 2  # its gravity, short sides per second squared
SPEED, SPEED_OUTSIDE = (1.0, 4.0), ((0.0, 0.8), (4.5, 6.0))  # units per second
RADIUS = {"uniform": (0.7, 1.4), "collision": (0.5, 1.5), "parabola": (0.7, 1.4)}  # units
RADIUS_OUTSIDE = ((0.3, 0.6), (1.5, 2.0))
FRAMES = 32  # of PhyWorld's clips
SHORT = {
    "uniform": (
        "a {color} {shape} {heads} through open space at one speed",
        "in open space a {color} {shape} {heads} and never slows down",
        "a {color} {shape} {heads} in uniform motion on a {background} ground",
    ),
    "collision": (
        "a {color} {shape} and a {color2} {shape2} are on a head-on course in open space",
        "head on, a {color} {shape} and a {color2} {shape2} fly at each other",
        "the {color} {shape} {heads}, the {color2} {shape2} {heads2}, head on",
    ),
    "parabola": (
        "a {color} {shape} {heads} through open space and falls on a parabola",
        "thrown level, a {color} {shape} {heads} and falls faster and faster",
        "a {color} {shape} {heads} and falls freely on a {background} ground",
    ),
}
TOLD = {
    "uniform": ("{gravity}, and as nothing stops it its speed is always the same",),
    "collision": ("{gravity}, and no speed is lost between them, each as heavy as it is large",),
    "parabola": ("it was thrown level, and {gravity}, which alone bends its way down",),
}


@dataclass(frozen=True)
class Scenario:
    """One of the three, as a family: see data_gen.families."""

    kind: str

    @property
    def name(self):
        return f"bounce-{self.kind}"

    @cached_property
    def GRAMMAR(self):
        kind = self.kind
        plans = {
            "short": SHORT[kind],
            "image": (f"the first picture of {kind} motion; a {{color}} {{shape}}",)
            if kind != "collision"
            else ("a picture before a collision; a {color} {shape} and a {color2} {shape2}",),
            "opening": (
                f"this is a clip of {kind} motion without walls on a {{background}} ground, with {{count}}",
            ),
            "ball": (f"in this {kind} motion the {{color}} {{shape}} {{heads}}",),
            "told": TOLD[kind],
            "meets": bounce.GRAMMAR.plans["meets"],
            "filler": FILLERS,
        }
        names = ("shape", "count", "heads", "gravity")
        tables = TABLES | {name: bounce.GRAMMAR.tables[name] for name in names}
        return Grammar(self.name, tables, plans, {"meets": ("color", "color2")})

    def _speed(self, rng, split):
        return between(rng, *(pick(rng, SPEED_OUTSIDE) if split == "heldout" else SPEED)) * RATE

    def sample(self, rng, size, frames, split):
        """A scene of the split: see data_gen.clips.make_batch."""
        window, colors = window_of(size), list(PALETTE)
        ways = ("right", "left") if self.kind == "collision" else (pick(rng, ("left", "right")),)
        y = between(rng, 0.25, 0.75) * window[0] if self.kind != "parabola" else between(rng, 0.2, 0.3)
        bodies = []
        for way in ways:
            radius = (
                between(rng, *(pick(rng, RADIUS_OUTSIDE) if split == "heldout" else RADIUS[self.kind])) * UNIT
            )
            x = between(rng, 0.2, 0.3)
            if way == "left":
                x = bodies[0].x + 0.5 if bodies else window[1] - x
            if not bodies:
                x = on_grid(x, split)
            speed = self._speed(rng, split) * (1 if way == "right" else -1)
            color = pick(rng, colors)
            colors.remove(color)
            bodies.append(Body("circle", color, radius, x, y, way, velocity=(speed, 0.0)))
        gravity = FALL if self.kind == "parabola" else 0.0
        return Scene(self.name, tuple(bodies), window, frames, "plain", gravity=gravity)

    sprites, render, truth = map(staticmethod, (bounce.sprites, bounce.render, bounce.truth))

    def facts(self, scene):
        """Everything that a caption tells."""
        told = {("scene", "family"): self.name, ("scene", "count"): len(scene.bodies)}
        told["scene", "background"] = scene.background
        for body in scene.bodies:
            told[body.color, "shape"] = "ball"
            if scene.frames > 1:
                told[body.color, "heads"] = body.motion
        if scene.frames >= STRETCH:
            told["scene", "gravity"] = "down" if scene.gravity else "none"
            end = (scene.frames - 1) / FPS
            events = [event for event in bounce.play(scene)[1] if 2 / FPS < event[0] < end - 2 / FPS]
            if events:
                told["scene", "events"] = in_words(events, [body.color for body in scene.bodies])
        return told

    def tell(self, scene, rng, long):
        """The sentences of a caption: at most 14 words, or 60 to 135 with every fact."""
        told, colors, grammar = self.facts(scene), [body.color for body in scene.bodies], self.GRAMMAR
        if not long:
            return shorten(
                lambda: grammar.write("short" if scene.frames > 1 else "image", rng, told, *colors)
            )
        if scene.frames == 1:
            sentences = [grammar.write("image", rng, told, *colors), grammar.write("opening", rng, told)]
            return lengthen(sentences, grammar, rng)
        sentences = [grammar.write("opening", rng, told)]
        sentences += [grammar.write("ball", rng, told, color) for color in colors]
        if ("scene", "gravity") in told:
            sentences.append(grammar.write("told", rng, told))
        for name, color, other in told.get(("scene", "events"), ()):
            sentences.append(grammar.write(name, rng, told, color, other))
        return lengthen(sentences, grammar, rng)

    def see(self, video):
        """The facts seen in a video, uint8 (T, H, W, 3), and what is wrong with it, in words."""
        seen, trouble = see(video, pull=FALL, closed=False)
        bends = []
        for track in observe(video).tracks.values():
            when = np.flatnonzero(track.clear)
            if len(when) > 4:
                bends.append(2 * np.polyfit(when / FPS, track.position[when, 1], 2)[0])
        seen["scene", "gravity"] = "down" if bends and np.mean(bends) > FALL / 2 else "none"
        return seen, trouble


UNIFORM, COLLISION, PARABOLA = Scenario("uniform"), Scenario("collision"), Scenario("parabola")


def velocity_errors(seen, place):
    """PhyWorld's two errors of velocity, in its units per second: (per frame, of the mean).

    seen and place: (T, 2), where a ball is seen and where it is, short sides. The first is the mean
    of |v - v_hat| over the frames, the second |mean v_hat - v_0|, v by differences between frames.
    """
    v_hat, v = (np.diff(p, axis=0) / UNIT / FRAME for p in (seen, place))
    return float(np.linalg.norm(v_hat - v, axis=1).mean()), float(np.linalg.norm(v_hat.mean(0) - v[0]))

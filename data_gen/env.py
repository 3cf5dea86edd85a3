"""The play family as an environment: `reset` it, then `step` by step."""

from dataclasses import replace

import numpy as np

from .board import ACTIONS, advance, in_sides, lay_out
from .captions import describe
from .clips import Clip, validate
from .families import NUMBERS, play
from .scene import SPLITS, WorldError


class Env:
    """The playable world: `reset` to a scene's start, then `step` by step; a frame is uint8 (H, W, 3).

    A seed starts as the clip of that seed and split does, and the frames are those of its render.
    """

    def __init__(self, size=(32, 32), split="train"):
        self.size, self.split, self.scene, self._frames = size, split, None, []

    def reset(self, seed):
        """The first frame. Raises WorldError for a seed, size or split that no clip has."""
        validate("play", [seed], self.size, 1, self.split)
        self.size = tuple(map(int, self.size))
        self._words = (NUMBERS["play"], SPLITS.index(self.split), int(seed), 1)
        self.scene = play.sample(np.random.default_rng(self._words[:3]), self.size, 1, self.split)
        self._board, self._state = lay_out(self.scene)
        self._frames = []
        return self._film()

    def step(self, action):
        """Do one of ACTIONS: (frame, info), info: "positions" by colour, (x, y) in short sides; "pushed",
        the colour of the box that the agent leans on, or None; "moved", whether that box moved.

        Raises WorldError.
        """
        if self.scene is None:
            raise WorldError("a world is reset before its first step")
        if action not in ACTIONS:
            raise WorldError(f"there is no action {action!r}; there are: {', '.join(ACTIONS)}")
        self._state, box, went, _ = advance(self._board, self._state, action)
        actions = (*self.scene.actions, action)
        self.scene = replace(self.scene, frames=len(actions) + 1, actions=actions)
        colors = [body.color for body in self.scene.bodies]
        positions = dict(zip(colors, in_sides(self._board, self._state), strict=True))
        pushed = colors[box] if box else None
        return self._film(), {"positions": positions, "pushed": pushed, "moved": bool(box and went)}

    def clip(self):
        """What has been filmed so far, a Clip."""
        if self.scene is None:
            raise WorldError("a world is reset before it has a clip")
        return Clip(np.stack(self._frames), describe(self.scene, self._words), self.scene, self._words)

    def _film(self):
        places = in_sides(self._board, self._state)
        bodies = (replace(b, x=x, y=y) for b, (x, y) in zip(self.scene.bodies, places, strict=True))
        still = replace(self.scene, bodies=tuple(bodies), frames=1, actions=())
        self._frames.append(play.render([still], self.size)[0, 0])
        return self._frames[-1].copy()

"""(family, seed, size, frames, split) -> Clip: the same arguments give the same bytes everywhere."""

from dataclasses import dataclass

import numpy as np

from .captions import describe
from .families import FAMILIES, SPLITS
from .physics import trajectory, velocity
from .render import render
from .scene import Scene, WorldError, window_of

SIZE_RANGE = (24, 512)  # pixels; below, shapes cannot be told apart
FRAMES_MAX = 4801  # ten minutes


@dataclass(frozen=True)
class Clip:
    """One clip: video uint8 (T, H, W, 3), its short caption, and the scene that it films."""

    video: np.ndarray
    caption: str
    scene: Scene

    @property
    def truth(self):
        """Every body's position (T, 2) and velocity in world units, radius, colour and shape."""
        paths = trajectory(self.scene)
        return [
            {
                "shape": body.shape,
                "color": body.color,
                "radius": body.radius,
                "position": path,
                "velocity": velocity(body),
            }
            for body, path in zip(self.scene.bodies, paths, strict=True)
        ]


@dataclass(frozen=True)
class Batch:
    """Many clips: video uint8 (B, T, H, W, 3), captions and scenes, each a tuple of B."""

    video: np.ndarray
    captions: tuple[str, ...]
    scenes: tuple[Scene, ...]


def _is_count(value, low, high):
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and low <= value <= high


def _validate(family, seeds, size, frames, split):
    if family not in FAMILIES:
        raise WorldError(f"there is no family {family!r}; there is: {', '.join(FAMILIES)}")
    if split not in SPLITS:
        raise WorldError(f"there is no split {split!r}; there are: {', '.join(SPLITS)}")
    for seed in seeds:
        if not _is_count(seed, 0, 2**63):
            raise WorldError(f"a seed is a whole number from 0, not {seed!r}")
    if len(size) != 2 or not all(_is_count(side, *SIZE_RANGE) and side % 8 == 0 for side in size):
        raise WorldError(f"a size is height x width, multiples of 8 from 24 to 512 pixels, not {size!r}")
    if not _is_count(frames, 1, FRAMES_MAX) or frames % 4 != 1:
        raise WorldError(f"a clip has 1 + 4n frames (1, 5, ..., 17, ..., {FRAMES_MAX}), not {frames!r}")


def make_batch(family, seeds, size=(32, 32), frames=17, split="train"):
    """Many clips in one call, the fast path: a Batch.

    family: a name of FAMILIES; seeds: whole numbers from 0, one a clip; size: (H, W) in pixels,
    multiples of 8; frames: 1 + 4n; split: train, test or heldout. Raises WorldError.
    """
    seeds = list(seeds)
    _validate(family, seeds, size, frames, split)
    stream = [list(FAMILIES).index(family), SPLITS.index(split)]
    sample, window = FAMILIES[family], window_of(size)
    scenes = [sample(np.random.default_rng([*stream, seed]), window, frames, split) for seed in seeds]
    captions = [describe(scene, [*stream, seed, 1]) for scene, seed in zip(scenes, seeds, strict=True)]
    return Batch(render(scenes, tuple(size)), tuple(captions), tuple(scenes))


def make_clip(family, seed=0, size=(32, 32), frames=17, split="train"):
    """One clip; arguments and errors as in make_batch."""
    batch = make_batch(family, [seed], size, frames, split)
    return Clip(batch.video[0], batch.captions[0], batch.scenes[0])

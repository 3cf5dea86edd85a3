"""(family, seed, size, frames, split) -> Clip: the same arguments give the same bytes everywhere."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from .captions import describe, facts_of
from .families import FAMILIES, NUMBERS
from .scene import SPLITS, Scene, WorldError

SIZE_RANGE = (24, 512)  # pixels; below, shapes cannot be told apart
FRAMES_MAX = 4801  # ten minutes


@dataclass(frozen=True)
class Clip:
    """One clip: video uint8 (T, H, W, 3), its short caption, and the scene that it films."""

    video: np.ndarray
    caption: str
    scene: Scene
    words: tuple[int, ...]  # the seed of its captions' wordings

    @property
    def long_caption(self):
        """60 to 135 words, of shapes-simple one sentence, with every fact."""
        return describe(self.scene, self.words, long=True)

    @property
    def actions(self):
        """What was done between each frame and the next, a tuple of T - 1; empty but for play."""
        return self.scene.actions

    @property
    def facts(self):
        """What the long caption tells, {(subject, attribute): value}."""
        return facts_of(self.scene)

    @cached_property
    def truth(self):
        """A dictionary: "bodies", one dictionary each with shape, color, radius (T,), position and
        velocity (T, 2) and the visible share (T,), in world units; "camera"; "events"."""
        return FAMILIES[self.scene.family].truth(self.scene)


@dataclass(frozen=True)
class Batch:
    """Many clips: video uint8 (B, T, H, W, 3), short captions and scenes, each a tuple of B.

    batch[i] is the i-th Clip.
    """

    video: np.ndarray
    captions: tuple[str, ...]
    scenes: tuple[Scene, ...]
    words: tuple[tuple[int, ...], ...]

    def __len__(self):
        return len(self.captions)

    def __getitem__(self, i):
        if not _is_count(i, -len(self), len(self) - 1):
            raise IndexError(f"{i!r} is not the number of one of {len(self)} clips")
        return Clip(self.video[i], self.captions[i], self.scenes[i], self.words[i])


@cache
def code_digest():
    """What the code of the world is, as text: other code may make other clips, and judge them otherwise."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _is_count(value, low, high):
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and low <= value <= high


def validate(family, seeds, size, frames, split):
    """Raises WorldError, in one sentence, for what no clip can be made of."""
    if not isinstance(family, str) or family not in FAMILIES:
        raise WorldError(f"there is no family {family!r}; there is: {', '.join(FAMILIES)}")
    if split not in SPLITS:
        raise WorldError(f"there is no split {split!r}; there are: {', '.join(SPLITS)}")
    for seed in seeds:
        if not _is_count(seed, 0, 2**63):
            raise WorldError(f"a seed is a whole number from 0, not {seed!r}")
    sides = tuple(size) if isinstance(size, Sequence) or getattr(size, "ndim", 0) == 1 else ()
    if len(sides) != 2 or not all(_is_count(side, *SIZE_RANGE) and side % 8 == 0 for side in sides):
        raise WorldError(f"a size is height x width, multiples of 8 from 24 to 512 pixels, not {size!r}")
    if not _is_count(frames, 1, FRAMES_MAX) or frames % 4 != 1:
        raise WorldError(f"a clip has 1 + 4n frames (1, 5, ..., 17, ..., {FRAMES_MAX}), not {frames!r}")


def make_batch(family, seeds, size=(32, 32), frames=17, split="train"):
    """Many clips in one call, the fast path: a Batch.

    family: a name of FAMILIES; seeds: whole numbers from 0, one a clip; size: (H, W) in pixels,
    multiples of 8; frames: 1 + 4n; split: train, test or heldout. Raises WorldError.
    """
    scenes, words = _scenes(family, seeds, size, frames, split)
    size = tuple(map(int, size))
    captions = tuple(map(describe, scenes, words))
    video = FAMILIES[family].render(scenes, size) if scenes else np.empty((0, frames, *size, 3), np.uint8)
    return Batch(video, captions, scenes, words)


def make_captions(family, seeds, size=(32, 32), frames=17, split="train"):
    """The short and the long caption of the same clips, [(short, long), ...], without filming them."""
    pairs = zip(*_scenes(family, seeds, size, frames, split), strict=True)
    return [(describe(scene, words), describe(scene, words, long=True)) for scene, words in pairs]


def _scenes(family, seeds, size, frames, split):
    """The scenes of some clips, and the seeds of their wordings, two tuples."""
    try:
        seeds = list(seeds)
    except TypeError:
        raise WorldError(f"seeds are whole numbers in a list, not {seeds!r}") from None
    validate(family, seeds, size, frames, split)
    streams = [(NUMBERS[family], SPLITS.index(split), int(seed)) for seed in seeds]
    sample, size = FAMILIES[family].sample, tuple(map(int, size))
    scenes = tuple(sample(np.random.default_rng(stream), size, frames, split) for stream in streams)
    return scenes, tuple((*stream, 1) for stream in streams)


def make_clip(family, seed=0, size=(32, 32), frames=17, split="train"):
    """One clip; arguments and errors as in make_batch."""
    return make_batch(family, [seed], size, frames, split)[0]

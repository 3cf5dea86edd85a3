"""From clips of the world to what training takes: pixels in [-1, 1], prompts, actions, many sizes.

Batch i is a function of the settings, the seed and i alone, so any process can make it, ahead of
time or again after a resume. All clips of a batch have one grid; another batch has another.
"""

import gc
import math
import multiprocessing
import os
import signal
import sys
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader
from tqdm import tqdm

from data_gen import FAMILIES, make_batch, make_captions
from data_gen.env import ACTIONS

from . import parallel
from .config import UserError, check_numbers, require
from .video import MAX_FRAMES

FAMILY_NAMES = tuple(FAMILIES)
WIDEST = 16 / 9


def to_pixels(video):
    """uint8 (B, T, H, W, 3) -> float32 (B, 3, T, H, W) in [-1, 1], on the device that a tensor is on."""
    x = video if isinstance(video, torch.Tensor) else torch.as_tensor(np.ascontiguousarray(video))
    return x.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def to_uint8(x):
    """The inverse: (B, 3, T, H, W) in [-1, 1] -> uint8 numpy (B, T, H, W, 3), rounded."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 4, 1).cpu().numpy()


def resized(x, size):
    """Videos (B, 3, T, H, W) in [-1, 1], resized to size, (H, W), by bicubic interpolation: uint8
    (B, T, *size, 3)."""
    how = {"size": tuple(size), "mode": "bicubic", "antialias": True}
    # One by one, as what is made sharp is far larger than what it is made from.
    return np.concatenate(
        [to_uint8(F.interpolate(video.transpose(0, 1), **how).transpose(0, 1)[None]) for video in x]
    )


def action_numbers(actions, frames):
    """What was done before each frame: a tuple of T - 1 actions or none -> int64 (T - 1,), 0 for none."""
    names = [ACTIONS.index(name) + 1 for name in actions] or [0] * (frames - 1)
    return np.array(names, np.int64)


def numbers_of(actions):
    """Actions of B videos, by name or as numbers, as a tensor of numbers (B, T - 1). Raises UserError."""
    try:
        if any(isinstance(row, tuple | list) and {*map(type, row)} == {str} for row in actions):
            actions = [[ACTIONS.index(name) + 1 for name in row] for row in actions]
        return torch.as_tensor(actions)
    except (TypeError, ValueError, RuntimeError):
        names = ", ".join(ACTIONS)
        raise UserError(f"actions are names ({names}) or whole numbers, as many for each video") from None


def read_actions(text):
    """Actions as text, right:8,stay,up:7 -> their names, one before each frame. Raises UserError."""
    names = []
    for part in text.split(","):
        name, _, times = part.strip().partition(":")
        fine = name in ACTIONS and (times or "1").isdecimal() and 1 <= int(times or 1) <= MAX_FRAMES
        known = ", ".join(ACTIONS)
        require(fine, f"{part.strip()!r} is no action; actions are {known}, or several: right:8,stay,up:7")
        names += [name] * int(times or 1)
    return names


@dataclass(frozen=True)
class DataConfig:
    """Which grids training is shown. An entry that stands twice in a list is drawn twice as often.

    sides: short sides in pixels; frames: lengths of clips, 1 is an image; wide: whether to take every
    aspect from 16:9 to 9:16 in steps of 8 pixels, or squares alone; squares: how often the square stands
    among the aspects of a side; long_prompts: the share of batches whose prompts have every fact; most: clips
    in a batch, however small they are; folder: of clips of one's own, to be learned instead of the world, at
    the model's own size (see folder.py).
    """

    sides: tuple[int, ...] = (32,)
    frames: tuple[int, ...] = (17,)
    wide: bool = False
    squares: int = 1
    long_prompts: float = 0.0
    most: int = 128
    folder: str = ""

    def __post_init__(self):
        require(self.sides and self.frames, "sides and frames need an entry each")
        counts = {"frames": (1, 4801), "squares": (1, 100), "most": (1, 4096)}
        check_numbers(self, sides=(24, 512), long_prompts=(0, 1), **counts)
        require(all(side % 8 == 0 for side in self.sides), f"sides are {self.sides}; multiples of 8 work")
        widest = max(map(self.other_side, self.sides))
        require(widest <= 512, f"sides are {self.sides}; a clip of {widest} pixels is too wide, 512 work")
        require(all(t % 4 == 1 for t in self.frames), f"frames are {self.frames}; numbers 1 + 4n work")

    def other_side(self, side):
        """The longest other side that a short side has."""
        return int(side * WIDEST) // 8 * 8 if self.wide else side

    def draw_grid(self, generator):
        """A number of frames and a size, drawn at random: T, (H, W)."""

        def pick(options):
            return options[int(torch.randint(len(options), (), generator=generator))]

        frames, side = pick(self.frames), pick(self.sides)
        size = (side, pick([side] * (self.squares - 1) + [*range(side, self.other_side(side) + 1, 8)]))
        return frames, size if pick((True, False)) else size[::-1]


def area(frames, size):
    """What a clip costs: H x W for each of its latent frames, which is about in proportion to its tokens."""
    return (1 + (frames - 1) // 4) * size[0] * size[1]


class Shots(NamedTuple):
    """A batch for training: its clips, uint8 (B, T, H, W, 3) or, encoded, latents (B, C, K, h, w);
    its prompts, in lower case; its actions, int64 (B, T - 1), 0 for none."""

    clips: torch.Tensor
    prompts: list[str]
    actions: torch.Tensor


class Stream:
    """Clips that never repeat: stream[i] is batch i, a Shots, and no two batches share a clip.

    families: of the world, each as often; area: of all clips of a batch together, about, whatever its
    grid, so that all batches cost the same; longest: of each clip only a stretch of so many frames is
    shown, if it has more. Captions are those of the whole clips.
    """

    def __init__(self, config, families, area, seed, longest=None):
        self.config, self.families, self.area, self.seed = config, families, area, seed
        self.longest = longest

    def _drawn(self, index):
        """What batch i is of: the arguments of the world for each family, the first frame that is shown and
        how many, and whether prompts are long."""
        generator = step_generator(self.seed, index)
        frames, size = self.config.draw_grid(generator)
        shown = min(frames, self.longest or frames)
        start = int(torch.randint(frames - shown + 1, (), generator=generator))
        count = round(self.area / area(shown, size))
        count = min(max(1, count), self.config.most)
        drawn = torch.randint(len(self.families), (count,), generator=generator)
        long = bool(torch.rand((), generator=generator) < self.config.long_prompts)
        asked, first = [], (self.seed << 40) + (index << 12)
        for family in dict.fromkeys(self.families):
            some = sum(self.families[i] == family for i in drawn)
            asked.append((family, range(first, first + some), size, frames))
            first += some
        return asked, start, shown, long

    def prompts(self, index):
        """The prompts of batch i, without its clips."""
        asked, *_, long = self._drawn(index)
        return [pair[long].lower() for args in asked for pair in make_captions(*args)]

    def __getitem__(self, index):
        asked, start, shown, long = self._drawn(index)
        made = [make_batch(*args) for args in asked]
        clips = [clip for batch in made for clip in map(batch.__getitem__, range(len(batch)))]
        prompts = [clip.long_caption if long else clip.caption for clip in clips]
        return Shots(
            torch.from_numpy(np.stack([clip.video[start : start + shown] for clip in clips])),
            [prompt.lower() for prompt in prompts],
            torch.from_numpy(np.stack([action_numbers(clip.actions, len(clip.video)) for clip in clips]))[
                :, start : start + shown - 1
            ],
        )


class Captions:
    """Pairs of captions that never repeat: captions[i] is batch i, the number of frames of all its clips and
    [(short, long), ...], in lower case, of as many scenes as are asked for, 4096 at most."""

    def __init__(self, config, families, count, seed):
        self.config, self.families, self.count, self.seed = config, families, count, seed

    def __getitem__(self, index):
        generator = step_generator(self.seed, index)
        frames, size = self.config.draw_grid(generator)
        drawn, pairs = torch.randint(len(self.families), (self.count,), generator=generator).tolist(), []
        for place, which in enumerate(drawn):
            seed = (self.seed << 40) + (index << 12) + place
            pairs += make_captions(self.families[which], [seed], size, frames)
        return frames, [(short.lower(), long.lower()) for short, long in pairs]

    def unseen(self, count, size, frames):
        """So many pairs of each family that training never shows."""
        told = [make_captions(name, range(count), size, frames, "test") for name in self.families]
        return [pair for pairs in told for pair in pairs]


def batches(data, indices, workers, ordered=True):
    """data[i] for each of some indices.

    workers: processes that make them ahead; 0, or where data is stored already, or in such a process: each
    is made here, when asked for. ordered: in the order of the indices, or else as they are done. Replayed
    and Course play an order of their own.
    """
    if isinstance(data, Replayed | Course):
        return data.play(indices, workers)
    workers = 0 if isinstance(data, Stored) or in_worker() else workers
    return DataLoader(
        data,
        None,
        sampler=indices,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,  # so that what they make need not be pickled
        prefetch_factor=(4 if ordered else 1) if workers else None,
        worker_init_fn=_apart,
        collate_fn=lambda batch: batch,  # as it is
        in_order=ordered,
    )


def step_generator(seed, step):
    """The source of all randomness of one step, or of one batch."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def in_worker():
    """Whether this process is one that another has started to make things ahead."""
    return multiprocessing.current_process().daemon


def _apart(worker):
    """Ctrl-C, and what torchrun ends a run with, go to a whole group; only the first is to answer. And
    only the first frees what it made before: what is on a GPU cannot be freed from here. When the first
    is gone, so are the others, and with them its lock on a run; told to end, they clean up."""
    os.setsid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    torch.multiprocessing._prctl_pr_set_pdeathsig(signal.SIGKILL)
    gc.freeze()


def copied(shots):
    """A batch to keep: one from a worker lies in memory that is shared, of which a process may have
    only so much, and only so many files."""
    return shots._replace(clips=shots.clips.clone(), actions=shots.actions.clone())


class Stored:
    """The first batches of a stream, made by every core when one is asked for, and shown again and again,
    each time round in another order; change: what becomes of each as it is stored, nothing by default.
    Of n processes each makes, and may ask for, its own alone, equally many: batches r, r + n and so on."""

    def __init__(self, stream, count, change=lambda shots: shots):
        self.stream, self.change = stream, change
        self.rank, self.ranks = parallel.place()
        self.share = math.ceil(count / self.ranks)

    @cached_property
    def batches(self):
        own = range(self.rank, self.share * self.ranks, self.ranks)
        made = batches(self.stream, own, math.ceil(cores() / self.ranks))
        hidden = self.rank > 0 or in_worker() or None  # None: shown on terminals alone
        made = tqdm(made, total=len(own), desc="clips", unit="batch", delay=2, leave=False, disable=hidden)
        return [self.change(copied(shots)) for shots in made]

    def __getitem__(self, index):
        turn, place = divmod(index // self.ranks, self.share)
        generator = step_generator(self.stream.seed, turn)
        return self.batches[torch.randperm(self.share, generator=generator)[place]]


class Replayed:
    """A stream whose batches are shown again while workers make new ones, for a GPU that is faster than
    they are: of so many steps, `shown`, the first has a new batch, and each other one of the newest, drawn
    at random, of which no more than `count` are kept. change: what becomes of each, once. Which are shown
    depends on the seed and the step alone; of n processes each makes, and shows again, its own."""

    def __init__(self, stream, count, shown, change=lambda shots: shots):
        self.stream, self.count, self.shown, self.change = stream, count, shown, change

    def play(self, indices, workers):
        """The batches of some steps that follow one another, as `batches` asks for them."""
        rank, ranks = parallel.place()
        turns = [index // ranks for index in indices]
        if not turns:
            return
        earlier = math.ceil(turns[0] / self.shown)  # of which a run that goes on makes the last again
        first, last = max(0, earlier - self.count), math.ceil((turns[-1] + 1) / self.shown)
        fresh = iter(batches(self.stream, [ranks * i + rank for i in range(first, last)], workers))
        newest = deque((self.change(copied(next(fresh))) for _ in range(first, earlier)), maxlen=self.count)
        for turn in turns:
            if turn % self.shown == 0:
                newest.append(self.change(copied(next(fresh))))
                yield newest[-1]
            else:
                generator = step_generator(self.stream.seed, turn)
                yield newest[int(torch.randint(len(newest), (), generator=generator))]


class Course:
    """Batches of one kind after another: so many of each of the parts, (count, batches), in their order."""

    def __init__(self, parts):
        self.parts = parts

    def play(self, indices, workers):
        """The batches of some steps, as `batches` asks for them."""
        start = 0
        for count, data in self.parts:
            own = [index - start for index in indices if start <= index < start + count]
            if own:
                yield from batches(data, own, workers)
            start += count

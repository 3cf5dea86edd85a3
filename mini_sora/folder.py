"""Clips of one's own in a directory, with captions, for training."""

import csv
import hashlib
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from .config import UserError, require
from .data import Shots, step_generator
from .media import MOVIES, PICTURES, read_video


class Folder:
    """Clips of one's own instead of the world's: a Stream of stretches of the videos in a directory.

    Each video has its caption in a .txt file of the same name beside it, or in captions.csv, whose lines
    are: file name, caption, and which comes first. Raises UserError that names every file that cannot be
    used.
    """

    def __init__(self, config, size, clips, seed, longest=None):
        self.config, self.size, self.clips, self.seed, self.longest = config, size, clips, seed, longest
        place = Path(config.folder)
        require(place.is_dir(), f"there is no directory {place}; check the name")
        self.shots = shots_of(place, size, tuple((p.name, p.lstat().st_mtime_ns) for p in place.iterdir()))
        longest = max(len(video) for video, _ in self.shots)
        self.frames = [frames for frames in config.frames if frames <= longest]
        least = min(config.frames)
        require(self.frames, f"no video in {place} has {least} frames; the longest has {longest}")

    def digest(self):
        """What the clips and captions are, as text: others have another."""
        made = hashlib.sha256()
        for video, prompt in self.shots:
            made.update(repr((video.shape, prompt)).encode())
            made.update(video.tobytes())
        return made.hexdigest()

    def __getitem__(self, index):
        generator = step_generator(self.seed, index)

        def draw(high):
            return int(torch.randint(high, (), generator=generator))

        frames = self.frames[draw(len(self.frames))]
        shown = min(frames, self.longest or frames)
        long_enough = [shot for shot in self.shots if len(shot[0]) >= frames]
        videos, prompts = [], []
        for video, prompt in (long_enough[draw(len(long_enough))] for _ in range(self.clips)):
            start = draw(len(video) - shown + 1)
            videos.append(video[start : start + shown])
            prompts.append(prompt)
        actions = torch.zeros(self.clips, shown - 1, dtype=torch.long)
        return Shots(torch.from_numpy(np.stack(videos)), prompts, actions)


@lru_cache(maxsize=1)
def shots_of(place, size, files):
    """[(video, caption)] of a directory, each brought to a size; read once as long as its files, with the
    time of their last change, are the same."""
    listed, shots, wrong = captions_of(place), [], []
    for path in sorted(path for path in place.iterdir() if path.suffix.lower() in (*PICTURES, *MOVIES)):
        try:
            require(listed.get(path.name, "").strip(), f"{path} has no caption")
            shots.append((read_video(path, size=size), " ".join(listed[path.name].lower().split())))
        except UserError as error:
            wrong.append(str(error))
    present = {name for name, _ in files}
    wrong += [f"there is no {name} in {place}" for name in listed if name not in present]
    require(not wrong, "; ".join(wrong[:20]) + (f"; and {len(wrong) - 20} more" if wrong[20:] else ""))
    require(shots, f"{place} has no videos; put {', '.join((*PICTURES, *MOVIES))} files there")
    return shots


def captions_of(place):
    """{file name: caption} of a directory, from its .txt files and its captions.csv, which comes first, as
    clips may be captioned anew."""
    words, listed, table = {}, {}, place / "captions.csv"
    for path in sorted(place.glob("*.txt")):
        with _readable(path):
            words[path.stem] = path.read_text(encoding="utf-8-sig")
    beside = [path for path in place.iterdir() if path.stem in words and path.suffix.lower() != ".txt"]
    listed |= {path.name: words[path.stem] for path in beside}
    if table.is_file():
        how = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
        with _readable(table), table.open(**how) as file:
            for number, row in enumerate(csv.reader(file), 1):
                require(len(row) in (0, 2), f"{table}, line {number}: not a name and a caption")
                if row:
                    row[1].encode()  # a caption is text, and a name need not be
                    listed[row[0].strip()] = row[1]
    return listed


@contextmanager
def _readable(path):
    try:
        yield
    except (UnicodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}); save it as UTF-8") from None

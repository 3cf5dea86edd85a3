"""Clips of one's own in a directory, with captions, for training."""

import csv
import hashlib
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from . import parallel
from .config import UserError, require
from .data import Shots, step_generator
from .media import MOVIES, PICTURES, read_video
from .viz import progress_bar

KINDS = (*PICTURES, *MOVIES)
MAX_HELD = 2**32  # bytes of all videos, which are held in memory


class Folder:
    """Clips of one's own instead of the world's: a Stream of stretches of the videos in a directory.

    Each video has its caption in a .txt file of the same name beside it, or in captions.csv, whose lines
    are: file name, caption, and which comes first; directories in it are not looked into. Raises UserError
    that names the files that cannot be used, twenty at most; those that are too short for every length, too.
    """

    def __init__(self, config, size, clips, seed, longest=None):
        self.config, self.size, self.clips, self.seed, self.longest = config, size, clips, seed, longest
        place = Path(config.folder)
        require(place.is_dir(), f"there is no directory {place}; check the name")
        files = tuple((p.name, p.lstat().st_mtime_ns) for p in place.iterdir())
        self.shots = shots_of(place, size, min(config.frames), files)
        longest = max(len(video) for video, _ in self.shots)
        self.frames = [frames for frames in config.frames if frames <= longest]

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
def shots_of(place, size, least, files):
    """[(video, caption)] of a directory, each brought to a size; read once as long as its files, with the
    time of their last change, are the same. least: how many frames each has."""
    captions, wrong = captions_of(place)
    paths = sorted(path for path in place.iterdir() if _is_video(path) and not path.is_dir())
    shots, held = [], 0
    with progress_bar("reading videos", hidden=parallel.place()[0] > 0) as progress:
        for i, path in enumerate(paths):
            progress(i, len(paths))
            caption = captions.get(path.name, "")
            if caption is None:  # which is named already
                continue
            try:
                require(caption.strip(), f"{path} has no caption")
                video = read_video(path, size=size)
                few = f"{path} has {len(video)} frames at 8 a second, and is to have {least} (data.frames)"
                require(len(video) >= least, few)
            except UserError as error:
                wrong.append(str(error))
                continue
            except OSError as error:
                wrong.append(f"{path} cannot be read: {error.strerror}")
                continue
            held += video.nbytes
            if held > MAX_HELD:
                wrong.append(f"{place} has more than {MAX_HELD >> 20} MiB of frames; take some videos away")
                break
            shots.append((video, " ".join(caption.lower().split())))
    require(not wrong, "; ".join(wrong[:20]) + (f"; and {len(wrong) - 20} more" if wrong[20:] else ""))
    require(shots, f"{place} has no videos; put {', '.join(KINDS)} files there")
    return shots


def captions_of(place):
    """({file name: caption, None where it cannot be used}, what is wrong, a list of sentences) of a
    directory's .txt files and its captions.csv, which comes first, as clips may be captioned anew."""
    texts, table = {path.stem: path for path in place.glob("*.txt")}, place / "captions.csv"
    files = sorted(path for path in place.iterdir() if path.is_file() and path != table)
    beside = [path for path in files if path.stem in texts and path.suffix.lower() != ".txt"]
    videos = {path.stem for path in beside if _is_video(path)}
    captions, wrong = {}, []
    listed = _listed(place, table, wrong) if table.is_file() else {}
    for path in beside:
        if path.stem not in videos:
            wrong.append(f"{path} has a caption, but is none of {', '.join(KINDS)}")
        elif _is_video(path) and path.name not in listed:
            try:
                captions[path.name] = texts[path.stem].read_text(encoding="utf-8-sig")
            except (UnicodeError, OSError) as error:
                captions[path.name] = None
                way = getattr(error, "strerror", None) or "save it as UTF-8"
                wrong.append(f"{texts[path.stem]} cannot be read: {way}")
    return captions | listed, wrong


def _listed(place, table, wrong):
    """As captions_of, of a table; what is wrong is added to a list. A name need not be text."""
    found = {}
    try:
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if row:
                    fault = _fault(place, row, found)
                    found[row[0].strip()] = None if fault else row[1]
                    wrong += [f"{table}, line {number}: {fault}"] if fault else []
    except (csv.Error, OSError) as error:
        raise UserError(f"{table} cannot be read ({error}); write it anew") from None
    return found


def _fault(place, row, found):
    """What is wrong with a line of a table, or nothing."""
    name = row[0].strip()
    if len(row) != 2:
        return "not a name and a caption"
    if name in found:
        return f"{name} has a caption already"
    if Path(name).name != name or not os.path.isfile(place / name):  # which no name is too long for
        return f"there is no file {name!r} in {place}"
    if not _is_video(place / name):
        return f"{name} is none of {', '.join(KINDS)}"
    try:
        row[1].encode()
    except UnicodeError:
        return "the caption cannot be read; save it as UTF-8"
    return ""


def _is_video(path):
    return path.suffix.lower() in KINDS

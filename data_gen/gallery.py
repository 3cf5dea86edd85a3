"""python -m data_gen --gallery DIR: what each family looks like, and what is said of it."""

import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .clips import make_clip

SHOWN = ("shapes", "bounce", "occlusion", "camera", "change", "play")
SIZE, SCALE, STEP = (48, 64), 2, 2  # pixels of a frame, how often each is repeated, frames between two
CLIPS, GAP, PAPER, INK = 3, 4, (250, 250, 250), (30, 30, 30)


def filmstrip(video):
    """Every other frame side by side, enlarged: uint8 (T, H, W, 3) -> (H', W', 3)."""
    frames = np.asarray(video[::STEP]).repeat(SCALE, 1).repeat(SCALE, 2)
    frames = np.pad(frames, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=PAPER[0])
    return np.concatenate(list(frames), 1)[:, :-GAP]


def page(family, seeds):
    """A picture of clips, one under the other, each with its short and its long caption: a PIL image."""
    font = ImageFont.load_default(14)
    blocks = []
    for seed in seeds:
        clip = make_clip(family, seed, SIZE)
        strip = filmstrip(clip.video)
        width = int(strip.shape[1] / (font.getlength(clip.long_caption) / len(clip.long_caption)) * 0.97)
        lines = [f"{family}, seed {seed}: {clip.caption}", *textwrap.wrap(clip.long_caption, width)]
        text = Image.new("RGB", (strip.shape[1], 19 * len(lines) + 12), PAPER)
        pen = ImageDraw.Draw(text)
        for row, line in enumerate(lines):
            pen.text((0, 4 + 19 * row), line, INK if row == 0 else (100, 100, 100), font=font)
        blocks += [strip, np.asarray(text)]
    sheet = np.pad(np.concatenate(blocks), ((8, 0), (8, 8), (0, 0)), constant_values=PAPER[0])
    return Image.fromarray(sheet)


def write(folder, seeds=range(CLIPS)):
    """Write FAMILY.png for every family into a directory; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for family in SHOWN:
        paths.append(folder / f"{family}.png")
        paths[-1].unlink(missing_ok=True)  # a link that stands there is replaced, not followed
        page(family, seeds).quantize(128).save(paths[-1], optimize=True)
    return paths

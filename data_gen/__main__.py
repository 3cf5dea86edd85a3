"""The command line: python -m data_gen shapes --seed 7 --count 16 -o clips/"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from .clips import make_batch
from .families import FAMILIES, SPLITS
from .observe import check
from .scene import FPS, WorldError


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise WorldError(message)


def _size(text):
    try:
        return tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        raise WorldError(f"--size is height x width, as in 32x56, not {text!r}") from None


def build_parser():
    parser = Parser(
        prog="data_gen",
        description="Film scenes: writes a .gif and a .txt with its caption for each clip.",
        epilog="example: python -m data_gen shapes --seed 7 --count 16 -o clips/",
    )
    parser.add_argument("family", help=f"one of: {', '.join(FAMILIES)}")
    parser.add_argument("-o", "--output", required=True, help="a directory, made if need be")
    parser.add_argument("--seed", type=int, default=0, help="of the first clip; the next has the next (0)")
    parser.add_argument("--count", type=int, default=1, help="how many clips (1)")
    parser.add_argument("--size", type=_size, default=(32, 32), help="height x width in pixels (32x32)")
    parser.add_argument("--frames", type=int, default=17, help="1 + 4n, at 8 a second (17)")
    parser.add_argument("--split", default="train", help=f"one of: {', '.join(SPLITS)} (train)")
    parser.add_argument("--scale", type=int, default=4, help="how often each pixel is repeated (4)")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    return parser


def run(args):
    for name, value in (("count", args.count), ("scale", args.scale)):
        if not 1 <= value <= 100_000:
            raise WorldError(f"--{name} is {value}; it must be from 1 to 100000")
    seeds, folder = range(args.seed, args.seed + args.count), Path(args.output)
    stems = [folder / f"{args.family}-{args.split}-{seed:06d}" for seed in seeds]
    standing = [
        path for stem in stems for end in (".gif", ".txt") if (path := stem.with_suffix(end)).exists()
    ]
    if standing and not args.force:
        raise WorldError(f"{standing[0]} exists; choose another directory, or --force to replace it")
    batch = make_batch(args.family, seeds, args.size, args.frames, args.split)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stem, video, caption in zip(stems, batch.video, batch.captions, strict=True):
            frames = np.asarray(video).repeat(args.scale, 1).repeat(args.scale, 2)
            first, *rest = [Image.fromarray(frame) for frame in frames]
            first.save(
                stem.with_suffix(".gif"), save_all=True, append_images=rest, duration=1000 // FPS, loop=0
            )
            stem.with_suffix(".txt").write_text(caption + "\n")
            print(f"{stem}.gif: {caption}  [{'right' if check(video, caption).ok else 'wrong'}]")
    except OSError as error:
        raise WorldError(f"{folder} could not be written: {error.strerror}") from error


def main(argv=None):
    """Run the command; returns the exit code: 0, or 2 with one sentence for a mistake."""
    try:
        run(build_parser().parse_args(argv))
    except WorldError as error:
        print(f"data_gen: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

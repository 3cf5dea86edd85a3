"""The command line: python -m data_gen shapes --seed 7 --count 16 -o clips/"""

import argparse
import difflib
import io
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from . import gallery, verify
from .check import check
from .clips import make_batch
from .families import FAMILIES
from .scene import FPS, SPLITS, WorldError


class Parser(argparse.ArgumentParser):
    def error(self, message):
        if message.startswith("unrecognized arguments: -"):
            flag = message.split(": ")[1].split()[0]
            near = difflib.get_close_matches(flag, self._option_string_actions, 1, 0)
            message = f"there is no flag {flag}; the closest is {near[0]}"
        raise WorldError(message)


def _size(text):
    try:
        return tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        raise WorldError(f"--size is height x width, as in 32x56, not {text!r}") from None


def build_parser():
    parser = Parser(
        prog="data_gen",
        description="Film scenes: writes a .gif and a .txt with its captions for each clip.",
        epilog="examples: python -m data_gen shapes --seed 7 --count 16 -o clips/   "
        "python -m data_gen --gallery pictures/   python -m data_gen verify --clips 50 --scenes 1000",
    )
    parser.add_argument("family", nargs="?", help=f"one of: {', '.join(FAMILIES)}; or verify")
    parser.add_argument("-o", "--output", help="a directory, made if need be")
    parser.add_argument("--gallery", metavar="DIR", help="write a filmstrip of each family there")
    parser.add_argument("--seed", type=int, default=0, help="of the first clip; the next has the next (0)")
    parser.add_argument("--count", type=int, default=1, help="how many clips (1)")
    parser.add_argument("--size", type=_size, default=(32, 32), help="height x width in pixels (32x32)")
    parser.add_argument("--frames", type=int, default=17, help="1 + 4n, at 8 a second (17)")
    parser.add_argument("--split", default="train", help=f"one of: {', '.join(SPLITS)} (train)")
    parser.add_argument("--scale", type=int, default=4, help="how often each pixel is repeated (4)")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument("--clips", type=int, default=200, help="verify: clips for each figure (200)")
    parser.add_argument("--scenes", type=int, default=100_000, help="verify: captions a family (100000)")
    parser.add_argument("--only", help="verify: families, as in shapes,bounce (all)")
    return parser


def write(path, data):
    """Write bytes to a file that is complete or absent; a link that stands there is replaced."""
    aside = path.with_name(f".aside-{os.getpid()}-{path.name}")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def film(args):
    """Write the clips that were asked for."""
    if not args.output:
        raise WorldError("say where to write the clips, as in -o clips/")
    seeds, folder = range(args.seed, args.seed + args.count), Path(args.output)
    stems = [folder / f"{args.family}-{args.split}-{seed:06d}" for seed in seeds]
    standing = [
        path for stem in stems for end in (".gif", ".txt") if os.path.lexists(path := stem.with_suffix(end))
    ]
    if standing and not args.force:
        raise WorldError(f"{standing[0]} exists; choose another directory, or --force to replace it")
    batch = make_batch(args.family, seeds, args.size, args.frames, args.split)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, clip in zip(stems, batch, strict=True):
        frames = np.asarray(clip.video).repeat(args.scale, 1).repeat(args.scale, 2)
        first, *rest = [Image.fromarray(frame) for frame in frames]
        made = io.BytesIO()
        ends = [10 * round(100 * i / FPS) for i in range(len(frames) + 1)]  # a GIF counts hundredths
        first.save(made, "gif", save_all=True, append_images=rest, duration=np.diff(ends).tolist(), loop=0)
        write(stem.with_suffix(".gif"), made.getvalue())
        write(stem.with_suffix(".txt"), f"{clip.caption}\n{clip.long_caption}\n".encode())
        verdict = "right" if check(clip.video, clip.facts, clip.actions).ok else "wrong"
        print(f"{stem}.gif: {clip.caption}  [{verdict}]")


def run(args):
    for name, most in (("count", 10_000), ("scale", 64), ("clips", 100_000), ("scenes", 1_000_000)):
        if not 1 <= getattr(args, name) <= most:
            raise WorldError(f"--{name} is {getattr(args, name)}; it must be from 1 to {most}")
    if args.gallery:
        standing = [path for path in Path(args.gallery).glob("*.png") if path.stem in gallery.SHOWN]
        if standing and not args.force:
            raise WorldError(f"{standing[0]} exists; choose another directory, or --force to replace it")
        for path in gallery.write(Path(args.gallery)):
            print(path)
    elif args.family == "verify":
        families = tuple(args.only.split(",")) if args.only else verify.MAIN
        if unknown := [name for name in families if name not in verify.MAIN]:
            raise WorldError(
                f"there is no family {unknown[0]!r} to verify; there is: {', '.join(verify.MAIN)}"
            )
        return 0 if verify.run(args.clips, args.scenes, families) else 1
    elif not args.family:
        raise WorldError(f"say which family to film, one of: {', '.join(FAMILIES)}; or verify")
    else:
        film(args)
    return 0


def main(argv=None):
    """Run the command; returns the exit code: 0, 1 where verify misses a figure, 2 with one sentence
    for a mistake, 130 where it was interrupted."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a path may hold what no terminal shows
    try:
        args = build_parser().parse_args(argv)
        return run(args)
    except KeyboardInterrupt:
        print("data_gen: stopped", file=sys.stderr)
        return 130
    except OSError as error:
        where = error.filename or args.output or args.gallery
        print(f"data_gen: {where} could not be written: {error.strerror}", file=sys.stderr)
    except MemoryError:
        print("data_gen: out of memory; try a smaller --size, --count or --frames", file=sys.stderr)
    except WorldError as error:
        print(f"data_gen: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

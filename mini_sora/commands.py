"""The commands that make videos: generate, animate, extend, connect, loop, edit and upscale; and caption."""

import csv
import io
import time
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import checkpoint
from .captioner import Captioner
from .config import from_dict, reader, require
from .data import read_actions
from .evaluate import judge, judgements, led, sheet, verdict
from .media import FITS, MOVIES, PICTURES, read_video
from .model import SamplerConfig, check_size
from .pipeline import warn_unknown
from .tasks import MiniSora
from .video import FORMATS, check_output, check_writable, encode
from .viz import progress_bar

# The flag of commands that a model may expand prompts for.
NO_EXPAND = {"dest": "expand", "action": "store_false", "help": "film short prompts as they are"}
FLAGS = {
    "frames": {
        "type": reader(int, "frames"),
        "help": "1 + 4n frames, at 8 a second (as trained); 1 is an image",
    },
    "seconds": {"type": reader(float, "seconds"), "help": "instead of --frames; 60 is a minute"},
    "more": {
        "dest": "frames",
        "type": reader(int, "more"),
        "help": "frames to add, a multiple of 4 (16)",
    },
    "between": {
        "dest": "frames",
        "type": reader(int, "between"),
        "help": "frames between, a multiple of 4, up to 32 (16)",
    },
    "size": {
        "type": reader(tuple[int, int], "size"),
        "help": "height x width, multiples of 8; else as trained, a file at nearly its aspect",
    },
    "strength": {
        "type": reader(float, "strength"),
        "help": "above 0, nearly as it is, to 1, make it all anew (edit 0.5, upscale 0.3)",
    },
    "factor": {"type": reader(float, "factor"), "help": "how much larger, both ways (2)"},
    "fit": {"choices": FITS, "help": f"a file of another aspect: {' or '.join(FITS)} (crop)"},
    "direction": {"help": "forward or backward (forward)"},
    "actions": {
        "type": read_actions,
        "help": "what an agent does before each frame but the first: right:8,stay,up:7 (weights: tiny)",
    },
    "no-expand": NO_EXPAND,
}


def add_sampling(sub):
    """The flags of every command that asks a model."""
    sub.add_argument("--weights", default="simple", help="a shipped preset or a run directory (simple)")
    sub.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    sub.add_argument("--seed", type=reader(int, "seed"), default=0, help="same seed, same video (0)")
    sub.add_argument("--sampler", help="ddpm (ancestral), ddim or euler; default: as trained")
    steps, guidance = reader(int, "steps"), reader(float, "guidance")
    sub.add_argument("--steps", type=steps, help="denoising steps: fewer is faster, more is finer")
    sub.add_argument(
        "--guidance", type=guidance, help="how strictly to follow what is asked; 1 is no guidance"
    )
    best_of = reader(int, "best-of")
    sub.add_argument(
        "--best-of",
        type=best_of,
        help="make so many and keep the best (1; tiny 4, pictures 16, but to extend, edit or upscale 1)",
    )


def _given(args, *names):
    """What was given of these, by name."""
    return {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}


def sampling_of(args):
    """The sampling flags that were given."""
    return _given(args, "seed", "sampler", "steps", "guidance", "best_of")


def add_ask(sub, name):
    """What a command that makes videos takes."""
    *_, inputs, flags = ASKS[name]
    several = name == "generate"
    for what, help in inputs.items():
        sub.add_argument(what, help=help, **({"nargs": "+"} if several else {}))
    kinds = ".gif, .webp, .png (filmstrip), .mp4"
    sub.add_argument("-o", "--output", required=True, help=kinds + ("; or a directory" if several else ""))
    sub.add_argument("--force", action="store_true", help="replace what is there")
    for flag in flags:
        sub.add_argument(f"--{flag}", **FLAGS[flag])
    add_sampling(sub)


def run_ask(args):
    """Make a video, or several, of a command and its flags."""
    # What is refused is refused before weights are loaded.
    from_dict(SamplerConfig, _given(args, "sampler", "steps", "guidance", "best_of"))
    if args.command == "loop":
        require(args.video or not args.fit, "--fit is for a file, and there is none; leave it out")
        require(not args.video or args.expand, "--no-expand is for a new video; leave it out, or --video")
    if args.command != "generate":
        return _film(args, args.prompt)
    return _film(args, args.prompt[0]) if len(args.prompt) == 1 else _film_all(args)


def _asked(args):
    """What was asked of the model, but for the prompt and files, and for how it samples."""
    asked = _given(args, "size", "frames", "seconds", "direction", "strength", "factor", "expand")
    if done := getattr(args, "actions", None):
        several = args.command == "generate" and len(args.prompt)
        asked["actions"] = [done] * (several or 1)
        if args.command in ("generate", "animate") and not asked.keys() & {"frames", "seconds"}:
            asked["frames"] = 1 + len(done)
    return asked


def _pieces(sora, args, prompt, **options):
    """What a command asks of the model, piece by piece as it is made: uint8 (T, H, W, 3) each."""
    asked = _asked(args)
    files = _given(args, "image", "video", "a", "b")
    for name, path in files.items():
        if args.size:
            check_size(args.size, 1)
        files[name] = read_video(path, min(sora.config.size), args.size, args.fit or "crop")
        args.size = files[name].shape[1:3]  # the second has that of the first
    if files:
        asked.pop("size", None)
    else:
        options["tell"] = partial(_tell, [prompt])
    if args.command == "generate":
        return (piece[0] for piece in sora.stream(prompt, **asked, **options))
    return [getattr(sora, args.command)(prompt=prompt, **files, **asked, **options).frames]


def _tell(prompts, filmed):
    """Show what became of short prompts when they were filmed."""
    for prompt, text in zip(prompts, filmed, strict=True):
        if text not in (prompt, prompt.lower()):
            tqdm.write(f"told at length: {text}")


def _loaded(args, *prompts):
    sora = MiniSora.from_pretrained(args.weights, device=args.device)
    for prompt in prompts:
        warn_unknown(sora, prompt)
    return sora


def _film(args, prompt):
    """Make one video, encoded piece by piece as it is made, and judge it."""
    path = check_output(args.output, args.force)
    sora = _loaded(args, prompt)
    began, made = time.perf_counter(), []
    with progress_bar("denoising") as progress:

        def frames():
            for piece in _pieces(sora, args, prompt, progress=progress, **sampling_of(args)):
                made.append(piece)
                yield from piece

        content = encode(frames(), path.suffix.lower())
    checkpoint.write_file(path, content)
    video = np.concatenate(made)
    ((said, _),) = judgements([video], [prompt], sora.config.frames)
    print(f"{path}: {prompt}  [{said}{_led(args, video)}]")
    print(f"{time.perf_counter() - began:.2f} s a clip")


def _led(args, video):
    return f"; {led(video, args.actions)}" if getattr(args, "actions", None) else ""


def _film_all(args):
    """Make a directory of videos, one for each prompt, and judge each."""
    output = Path(args.output)
    require(args.force or not output.exists(), f"{output} exists; choose another name, or --force")
    require(not output.is_file(), f"{output} is a file; several prompts need a directory")
    named = (
        f"{output} is a name for one video, but there are {len(args.prompt)} prompts; put a prompt in quotes"
    )
    require(output.suffix.lower() not in FORMATS, named)
    require(output.exists() or not output.is_symlink(), f"{output} leads nowhere; choose another name")
    check_writable(output / "sheet.png" if output.exists() else output, force=True)
    sora = _loaded(args, *args.prompt)
    began, told = time.perf_counter(), partial(_tell, args.prompt)
    with progress_bar("denoising") as progress:
        asked = {**_asked(args), **sampling_of(args)}
        videos = sora.generate(args.prompt, progress=progress, tell=told, **asked)
    seconds = time.perf_counter() - began
    frames, own = [video.frames for video in videos], sora.config.frames
    verdicts = judgements(frames, args.prompt, own)
    files = {f"{i:02d}.gif": video.to_bytes(".gif") for i, video in enumerate(videos)}
    files["sheet.png"] = sheet(frames, args.prompt, verdicts, len(frames))
    checkpoint.write_files(output, files)
    for name, video, (said, _) in zip(files, videos, verdicts, strict=False):
        print(f"{output / name}: {video.prompt}  [{said}{_led(args, video.frames)}]")
    known = [right for _, right in verdicts if right is not None]
    others = f", {len(videos) - len(known)} not judged" if len(known) < len(videos) else ""
    print(f"{output / 'sheet.png'}: {sum(known)} of {len(known)} right{others}")
    print(f"{seconds / len(videos):.2f} s a clip")


def add_caption(sub):
    """What the command takes that tells what videos show."""
    sub.add_argument("video", nargs="+", help=_FILE + ", or a picture; or a directory of them")
    sub.add_argument("-o", "--output", help="captions.csv, in the directory of the videos (see train --data)")
    sub.add_argument("--force", action="store_true", help="replace what is there")
    sub.add_argument("--short", action="store_true", help="in a few words, instead of all there is to tell")
    sub.add_argument(
        "--weights", default="captioner", help="a shipped captioner or a run directory (captioner)"
    )
    sub.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    sub.add_argument("--seed", type=reader(int, "seed"), default=0, help="same seed, same wording (0)")
    sub.add_argument("--fit", **FLAGS["fit"])


def run_caption(args):
    """Tell what videos show, and what the checker says of it."""
    paths, kinds = [], (*PICTURES, *MOVIES)
    for path in map(Path, args.video):
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in kinds) if path.is_dir() else [path]
        require(inside, f"{path} has no videos; put {', '.join(kinds)} files there")
        paths += [p for p in inside if p not in paths]
    if args.output is not None:
        output = Path(args.output)
        places = {path.parent.resolve() for path in paths}
        fine = output.name == "captions.csv" and places == {output.parent.resolve()}
        require(fine, f"{output} is not where captions are looked for: captions.csv beside the videos")
        check_writable(output, args.force)
    captioner = Captioner.from_pretrained(args.weights, args.device)
    videos, side, fit = [], min(captioner.config.size), args.fit or "crop"
    with progress_bar("reading") as progress:
        for i, path in enumerate(paths):
            progress(i, len(paths))
            videos.append(read_video(path, side, fit=fit))
    with progress_bar("captioning") as progress:
        captions = captioner.caption(videos, not args.short, args.seed, progress)
    for path, caption, report in zip(paths, captions, judge(videos, captions), strict=True):
        said = "as told" if report and report.ok else verdict(report)
        print(f"{path}: {caption or 'no words found'}  [checker: {said}]")
    if args.output is not None:
        rows = [(path.name, words) for path, words in zip(paths, captions, strict=True) if words]
        table = io.StringIO()
        csv.writer(table).writerows(rows)
        checkpoint.write_file(output, table.getvalue().encode("utf-8", "surrogateescape"))
        print(f"{output}: {len(rows)} captions")


_FILE = "a video: .gif, .webp, .mp4"
_PROMPT = "what the whole video shows"
# name: (what it does, an example, {what it is made from: what that is}, its flags)
ASKS = {
    "generate": (
        "turn prompts into videos, and judge each",
        'generate "a red circle moves left" -o circle.gif --seed 0',
        {"prompt": "what to film; several prompts give a directory of videos"},
        ("size", "frames", "seconds", "actions", "no-expand"),
    ),
    "animate": (
        "turn a picture into a video that begins with it",
        'animate picture.png "a red circle moves left" -o circle.gif',
        {"image": "a picture: .png, .jpg, .webp, .gif", "prompt": "what happens"},
        ("frames", "actions", "size", "fit"),
    ),
    "extend": (
        "add frames after a video, or before it",
        'extend circle.gif "a red circle moves left" --direction backward -o longer.gif',
        {"video": _FILE, "prompt": _PROMPT},
        ("more", "direction", "actions", "size", "fit"),
    ),
    "connect": (
        "lead from one video over to another",
        'connect a.gif b.gif "a red circle moves left" -o both.gif',
        {"a": _FILE, "b": "another, to end with", "prompt": _PROMPT},
        ("between", "size", "fit"),
    ),
    "loop": (
        "make a video that can be played round and round",
        'loop "a red circle moves left" -o loop.gif',
        {"prompt": _PROMPT, "--video": "one to close, instead of a new one"},
        ("between", "size", "fit", "no-expand"),
    ),
    "edit": (
        "make a video again to fit another prompt",
        'edit circle.gif "a blue circle moves left" -o blue.gif',
        {"video": _FILE, "prompt": "what it is to show"},
        ("strength", "actions", "size", "fit"),
    ),
    "upscale": (
        "make a draft larger, and sharp",
        'upscale circle.gif "a red circle moves left" --factor 2 -o large.gif',
        {"video": _FILE, "prompt": _PROMPT},
        ("factor", "strength", "size", "fit"),
    ),
}

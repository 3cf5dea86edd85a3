"""The commands that make videos: generate, animate, extend, connect, loop, edit and upscale."""

import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import checkpoint
from .config import UserError, require
from .evaluate import judge, judgement, sheet, verdict
from .media import FITS, read_video
from .model import check_size
from .pipeline import warn_unknown
from .tasks import MiniSora
from .video import FORMATS, Video, check_output, check_writable, encode

# The flag of commands that a model may expand prompts for.
NO_EXPAND = {"action": "store_true", "help": "film short prompts as they are"}


def parse_size(text):
    """'32x56' -> (32, 56), height first."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise UserError(f"--size is height x width, as in 32x56, not {text!r}") from None
    return height, width


def whole(text):
    """A whole number of the command line."""
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{text!r} is not a whole number") from None


def number(text):
    """A number of the command line."""
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{text!r} is not a number") from None


def fit(text):
    """How a file of another aspect comes to a size, on the command line."""
    require(text in FITS, f"--fit is {text!r}; it is one of {', '.join(FITS)}")
    return text


def add_sampling(sub):
    """The flags of every command that asks a model."""
    sub.add_argument("--weights", default="simple", help="a shipped preset or a run directory (simple)")
    sub.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    sub.add_argument("--seed", type=whole, default=0, help="same seed, same video (0)")
    sub.add_argument("--sampler", help="ddpm (ancestral), ddim or euler; default: as trained")
    sub.add_argument("--steps", type=whole, help="denoising steps: fewer is faster, more is finer")
    sub.add_argument("--guidance", type=number, help="how strictly to follow the prompt; 1 is no guidance")


def sampling_of(args):
    """The sampling flags that were given."""
    names = ("seed", "sampler", "steps", "guidance")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _add(sub, *flags, several=False):
    """The flags of a command that makes a video, after what it is made from."""
    kinds = ".gif, .webp, .png (filmstrip), .mp4"
    sub.add_argument("-o", "--output", required=True, help=kinds + ("; or a directory" if several else ""))
    sub.add_argument("--force", action="store_true", help="replace what is there")
    known = {
        "frames": {"type": whole, "help": "1 + 4n frames, at 8 a second (as trained); 1 is an image"},
        "seconds": {"type": number, "help": "instead of --frames; 60 is a minute"},
        "more": {"type": whole, "help": "frames to add, a multiple of 4 (16)"},
        "between": {"type": whole, "help": "frames between, a multiple of 4 (16)"},
        "size": {
            "type": parse_size,
            "help": "height x width, multiples of 8; else as trained, a file at nearly its aspect",
        },
        "strength": {"type": number, "help": "above 0, nearly as it is, to 1, make it all anew"},
        "factor": {"type": number, "help": "how much larger, both ways (2)"},
        "fit": {"type": fit, "help": f"a file of another aspect: {' or '.join(FITS)} (crop)"},
        "direction": {"help": "forward or backward (forward)"},
        "no-expand": NO_EXPAND,
    }
    for flag in flags:
        sub.add_argument(f"--{flag}", **known[flag])
    add_sampling(sub)


def _given(args, **names):
    """The flags that were given, under the names that a task has for them."""
    return {
        name: getattr(args, flag) for name, flag in names.items() if getattr(args, flag, None) is not None
    }


def _read(sora, args, path):
    """A file at the model's own short side, or at --size."""
    if args.size:
        check_size(args.size, 1)
    return read_video(path, min(sora.config.size), args.size, args.fit or "crop")


def add_generate(sub):
    sub.add_argument("prompt", nargs="+", help="what to film; several prompts give a directory of videos")
    _add(sub, "size", "frames", "seconds", "no-expand", several=True)


def run_generate(args):
    output, several = Path(args.output), len(args.prompt) > 1
    if not several:
        return _film(args, args.prompt[0], _generate)
    require(args.force or not output.exists(), f"{output} exists; choose another name, or --force")
    require(not output.is_file(), f"{output} is a file; several prompts need a directory")
    named = (
        f"{output} is a name for one video, but there are {len(args.prompt)} prompts; put a prompt in quotes"
    )
    require(output.suffix.lower() not in FORMATS, named)
    check_writable((output if output.exists() else output.parent) / "sheet.png", force=True)
    sora = _loaded(args, *args.prompt)
    _tell(sora, args, args.prompt)
    began = time.perf_counter()
    with progress_bar("denoising") as progress:
        asked = _asked(args)
        videos = sora.generate(args.prompt, progress=progress, **asked, **sampling_of(args))
    seconds = time.perf_counter() - began
    reports = judge([video.frames for video in videos], args.prompt)
    output.mkdir(exist_ok=True)
    for i, (video, report) in enumerate(zip(videos, reports, strict=True)):
        path = output / f"{i:02d}.gif"
        video.save(path, force=args.force)
        print(f"{path}: {video.prompt}  [{verdict(report)}]")
    frames = [video.frames for video in videos]
    checkpoint.write_file(output / "sheet.png", sheet(frames, args.prompt, reports, len(frames)))
    judged = [report.ok for report in reports if report]
    others = f", {len(videos) - len(judged)} not judged" if len(judged) < len(videos) else ""
    print(f"{output / 'sheet.png'}: {sum(judged)} of {len(judged)} right{others}")
    print(f"{seconds / len(videos):.2f} s a clip")


def _loaded(args, *prompts):
    sora = MiniSora.from_pretrained(args.weights, device=args.device)
    for prompt in prompts:
        warn_unknown(sora, prompt)
    return sora


@contextmanager
def progress_bar(name=""):
    """A bar with the time left, for what takes longer than a second: called with (done, all), and the name
    of what is being done, if it changes."""
    left = "{desc} {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left"
    with tqdm(delay=1, leave=False, bar_format=left) as bar:

        def progress(done, all, name=name):
            bar.total = all
            bar.set_description_str(name)
            bar.update(done - bar.n)

        yield progress


def _film(args, prompt, make):
    """Make one video, write it piece by piece as it is made, and judge it."""
    path = check_output(args.output, args.force)
    sora = _loaded(args, prompt)
    began, made = time.perf_counter(), []
    with progress_bar("denoising") as progress:

        def frames():
            for piece in make(sora, args, progress=progress, **sampling_of(args)):
                made.append(piece)
                yield from piece

        content = encode(frames(), path.suffix.lower())
    checkpoint.write_file(path, content)
    print(f"{path}: {prompt}  [{judgement(np.concatenate(made), prompt, sora.config.frames)[0]}]")
    print(f"{time.perf_counter() - began:.2f} s a clip")


def _asked(args):
    return {**_given(args, size="size", frames="frames", seconds="seconds"), "expand": not args.no_expand}


def _generate(sora, args, **options):
    _tell(sora, args, args.prompt)
    return (piece[0] for piece in sora.stream(args.prompt[0], **_asked(args), **options))


def _tell(sora, args, prompts):
    """Show what becomes of short prompts before they are filmed."""
    frames = getattr(args, "frames", None)
    expansions = prompts if args.no_expand else sora.expand(prompts, frames, args.seed)
    for prompt, expansion in zip(prompts, expansions, strict=True):
        if expansion not in (prompt, prompt.lower()):
            print(f"told at length: {expansion}")


def _animate(sora, args, **options):
    picture = _read(sora, args, args.image)
    return [sora.animate(picture, args.prompt, **_given(args, frames="frames"), **options).frames]


def _extend(sora, args, **options):
    asked = _given(args, frames="more", direction="direction")
    return [sora.extend(_read(sora, args, args.video), args.prompt, **asked, **options).frames]


def _connect(sora, args, **options):
    a = _read(sora, args, args.a)
    args.size = a.shape[1:3]
    asked = _given(args, frames="between")
    return [sora.connect(a, _read(sora, args, args.b), args.prompt, **asked, **options).frames]


def _loop(sora, args, **options):
    asked = _given(args, frames="between")
    if args.video:
        return [sora.loop(args.prompt, _read(sora, args, args.video), **asked, **options).frames]
    _tell(sora, args, [args.prompt])
    return [sora.loop(args.prompt, **_asked(args) | asked, **options).frames]


def _edit(sora, args, **options):
    video = _read(sora, args, args.video)
    return [sora.edit(video, args.prompt, **_given(args, strength="strength"), **options).frames]


def _upscale(sora, args, **options):
    video = Video(_read(sora, args, args.video), args.prompt)
    return [sora.upscale(video, **_given(args, factor="factor", strength="strength"), **options).frames]


def _task(make, flags, **inputs):
    """How a command that takes files and one prompt is added, and how it is run."""

    def add(sub):
        for name, help in inputs.items():
            sub.add_argument(*([f"--{name[:-1]}"] if name.endswith("_") else [name]), help=help)
        _add(sub, *flags)

    return add, lambda args: _film(args, args.prompt, make)


_FILE = "a video: .gif, .webp, .mp4"
_PROMPT = "what the whole video shows"
# name: (what it does, an example, (how to add its flags, how to run it))
ASKS = {
    "generate": (
        "turn prompts into videos, and judge each",
        'generate "a red circle moves left" -o circle.gif --seed 0',
        (add_generate, run_generate),
    ),
    "animate": (
        "turn a picture into a video that begins with it",
        'animate picture.png "a red circle moves left" -o circle.gif',
        _task(
            _animate,
            ("frames", "size", "fit"),
            image="a picture: .png, .jpg, .webp, .gif",
            prompt="what happens",
        ),
    ),
    "extend": (
        "add frames after a video, or before it",
        'extend circle.gif "a red circle moves left" --direction backward -o longer.gif',
        _task(_extend, ("more", "direction", "size", "fit"), video=_FILE, prompt=_PROMPT),
    ),
    "connect": (
        "lead from one video over to another",
        'connect a.gif b.gif "a red circle moves left" -o both.gif',
        _task(_connect, ("between", "size", "fit"), a=_FILE, b="another, to end with", prompt=_PROMPT),
    ),
    "loop": (
        "make a video that can be played round and round",
        'loop "a red circle moves left" -o loop.gif',
        _task(
            _loop,
            ("between", "size", "fit", "no-expand"),
            prompt=_PROMPT,
            video_="one to close, instead of a new one",
        ),
    ),
    "edit": (
        "make a video again to fit another prompt",
        'edit circle.gif "a blue circle moves left" -o blue.gif',
        _task(_edit, ("strength", "size", "fit"), video=_FILE, prompt="what it is to show"),
    ),
    "upscale": (
        "make a draft larger, and sharp",
        'upscale circle.gif "a red circle moves left" --factor 2 -o large.gif',
        _task(_upscale, ("factor", "strength", "size", "fit"), video=_FILE, prompt=_PROMPT),
    ),
}

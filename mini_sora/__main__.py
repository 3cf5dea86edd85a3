"""The command line: python -m mini_sora COMMAND. Mistakes are one sentence and exit code 2."""

import os
import platform
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from data_gen import WorldError

from . import bench, checkpoint, sweep
from .captioner import Captioner
from .commands import (
    ASKS,
    NO_EXPAND,
    add_ask,
    add_caption,
    add_sampling,
    run_ask,
    run_caption,
    sampling_of,
)
from .config import Parser, UserError, add_flags, reader, require, to_dict, with_flags
from .data import cores
from .fit import compute_dtype
from .gallery import gallery
from .presets import CAPTIONERS, PRESETS
from .pretrained import WEIGHTS, check_device, is_captioner
from .recaption import CaptionerStages, evaluate_captions, table_of_captions
from .report import digest, evaluate, evaluate_prompts, kept, table, table_of_prompts
from .tasks import MiniSora
from .train import Stages, train
from .video import check_writable
from .viz import progress_bar


def build_parser():
    """All commands, with help that teaches. Returns (parser, {command: its parser})."""
    parser = Parser(
        prog="mini-sora", description="A small, complete Sora: text to video, trained from scratch."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made = {}

    def command(name, help, example):
        made[name] = commands.add_parser(
            name,
            help=help,
            description=help + ".",
            epilog=f"example: python -m mini_sora {example}",
        )
        made[name].add_argument("--debug", action="store_true", help="show a traceback where something fails")
        return made[name]

    for name, (help, example, *_) in ASKS.items():
        add_ask(command(name, help, example), name)

    add_caption(
        command(
            "caption",
            "tell what videos show, and check it",
            "caption circle.gif blue.gif -o captions.csv",
        )
    )

    sub = command(
        "train",
        "train a model from scratch: data, VAE, text encoder and DiT, verdict",
        "train --preset quick --out runs/quick",
    )
    known = ", ".join({**PRESETS, **CAPTIONERS})
    sub.add_argument("--preset", default="quick", help=f"sets everything: {known} (quick)")
    sub.add_argument("--out", required=True, help="the directory of the run; from_pretrained loads it")
    sub.add_argument(
        "--resume", action="store_true", help="go on where the run in --out stopped, bit for bit"
    )
    sub.add_argument("--force", action="store_true", help="delete the run in --out and start afresh")
    sub.add_argument(
        "--allow-inexact-resume",
        action="store_true",
        help="resume on another machine, or with other code of the world, too",
    )
    sub.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    own = (
        "learn the videos in this directory, each beside a .txt with its caption, or all with a captions.csv"
    )
    sub.add_argument("--data", dest="data.folder", metavar="DIR", help=own)
    add_flags(sub, PRESETS["quick"], "quick")
    add_flags(sub, CAPTIONERS["captioner"], "captioner")

    sub = command(
        "evaluate",
        "measure a model on unseen scenes, beside the ceiling and the truth",
        "evaluate --weights quick --count 256 -o report",
    )
    sub.add_argument("--count", type=reader(int, "count"), help="clips to judge for each row (256)")
    sub.add_argument("--rows", default="", help="only the rows of the report with this text in their names")
    sub.add_argument("--prompts", metavar="FILE", help="judge these prompts instead, one a line")
    sub.add_argument("-o", "--output", help="a directory for report.json, and pictures of what went wrong")
    sub.add_argument("--resume", action="store_true", help="go on with the report there, row by row")
    sub.add_argument("--force", action="store_true", help="replace what is there")
    add_sampling(sub)
    sub.add_argument("--no-expand", **NO_EXPAND)

    sub = command(
        "gallery",
        "make one page that shows everything a model can be asked",
        "gallery -o page.html --weights simple",
    )
    sub.add_argument("-o", "--output", required=True, help="the page: a name that ends in .html")
    sub.add_argument("--weights", default="simple", help="a shipped preset or a run directory (simple)")
    sub.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    sub.add_argument("--force", action="store_true", help="replace what is there")

    sub = command("bench", "measure how fast a preset trains and samples here", "bench --preset tiny")
    sub.add_argument("--preset", default="tiny", help=f"whose shape: {', '.join(PRESETS)} (tiny)")
    sub.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")

    sub = command("sweep", "train and judge every choice that quick is made of", "sweep -o runs/sweep")
    sub.add_argument("--seeds", type=reader(int, "seeds"), default=3, help="runs of each variant (3)")
    sub.add_argument("--count", type=reader(int, "count"), default=256, help="clips to judge a run (256)")
    sub.add_argument("-o", "--output", required=True, help="a directory; what is there is not done again")

    command("doctor", "show versions, device, precision, weights and write access", "doctor")
    return parser, made


def preset(name, known=PRESETS):
    """A preset by its name. Raises UserError where none of those known has it."""
    require(name in known, f"there is no preset {name!r} for this; there are: {', '.join(known)}")
    return known[name]


# Flags of train that mean nothing beside another: a start keeps its VAE, and own clips have their grid.
UNUSED = {
    "start": ("vae.",),
    "data": (
        *("dit.course", "data.sides", "data.wide", "data.squares", "data.long_prompts", "data.most"),
        *("expander.", "judged"),
    ),
}


def run_train(args):
    base = preset(args.preset, PRESETS | CAPTIONERS)
    flags = {name: value for name, value in vars(args).items() if value is not None}
    settings, *others = (_paths(to_dict(c)) for c in (base, PRESETS["quick"], CAPTIONERS["captioner"]))
    foreign = [name for name in flags if name in set().union(*others) - settings]
    require(not foreign, f"the preset {args.preset} has no --{''.join(foreign[:1])}; leave it out")
    config = with_flags(base, {name: text for name, text in flags.items() if name in settings})
    for given, value in (("start", config.start), ("data", config.data.folder)):
        idle = [name for name in flags if value and name.startswith(UNUSED[given])]
        require(not idle, f"--{''.join(idle[:1])} means nothing with --{given} {value}; leave it out")
    require(args.out, "--out is empty; name a directory for the run")
    out = Path(args.out)
    captions = args.preset in CAPTIONERS
    how = {"inexact": args.allow_inexact_resume, "stages": CaptionerStages if captions else Stages}
    _, report = train(config, out, args.resume, args.force, args.device, **how)
    if report:  # which of several processes the first alone has
        told = "caption clips with it by" if captions else "generate from them with"
        print(f"\n{out}/report shows its clips; {told} --weights {out}")


def _paths(values, where=""):
    """The dotted names of all settings in a nested table."""
    found = set()
    for key, value in values.items():
        found |= _paths(value, f"{where}{key}.") if isinstance(value, dict) else {where + key}
    return found


def run_evaluate(args):
    count = 256 if args.count is None else args.count
    require(1 <= count <= 10_000, f"--count is {count}; it must be from 1 to 10000")
    folder = None if args.output is None else Path(args.output)
    require(folder or not args.resume, "--resume goes on with a report; name its directory with -o")
    require(not (args.resume and args.force), "--resume and --force exclude one another; choose one")
    if folder:
        fine = args.resume or args.force or not folder.exists()
        require(fine, f"{folder} exists; choose another name, go on with --resume, or --force")
        require(not folder.is_file(), f"{folder} is a file; a report needs a directory")
        check_writable((folder if folder.exists() else folder.parent) / "report.json", force=True)
    alone = not args.prompts or (args.count is None and not (args.rows or args.resume))
    require(alone, "--prompts goes with none of --count, --rows and --resume; leave them out")
    prompts = read_prompts(args.prompts) if args.prompts else []
    if is_captioner(args.weights):
        how = sampling_of(args)
        foreign = args.prompts or args.resume or args.rows or not args.expand or how.keys() - {"seed"}
        require(not foreign, f"{args.weights} is a captioner; it takes --count, --seed, -o and --force alone")
        captioner = Captioner.from_pretrained(args.weights, args.device)
        with progress_bar() as progress:
            found = table_of_captions(evaluate_captions(captioner, count, folder, progress, **how))
        return _print_report(found, folder)
    sora = MiniSora.from_pretrained(args.weights, device=args.device)
    if not args.expand:
        sora = MiniSora(sora.config, sora.vae, sora.sora, sora.tokenizer, sora.words)
    how = {"folder": folder, **sampling_of(args)}
    with progress_bar("denoising" if prompts else "rows") as progress:
        if prompts:
            found = table_of_prompts(evaluate_prompts(sora, prompts, progress=progress, **how))
        else:
            how |= {"resume": args.resume, "progress": progress}
            found = table(evaluate(sora, count, args.rows, **how))
    _print_report(found, folder)


def _print_report(found, folder):
    print(found)
    if folder:
        print(f"\n{folder} shows its clips, and those that went wrong; its report.json has every figure")


def read_prompts(path):
    """The lines of a file that are not empty. Raises UserError where there are none."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text; save it as UTF-8, one prompt a line") from None
    prompts = [line.strip() for line in lines if line.strip()]
    require(1 <= len(prompts) <= 10_000, f"{path} has {len(prompts)} prompts; it must have from 1 to 10000")
    return prompts


def run_gallery(args):
    path = Path(args.output)
    require(path.suffix == ".html", f"{path} ends in {path.suffix!r}; a page is saved as .html")
    check_writable(path, args.force)
    sora = MiniSora.from_pretrained(args.weights, device=args.device)
    places = [Path(args.weights) / "report", WEIGHTS / args.weights]
    fitting = (
        found for found in map(kept, places) if "rows" in found and found.get("digest") == digest(sora)
    )
    report = next(fitting, None)
    with progress_bar() as progress:
        page = gallery(sora, str(args.weights), report, progress)
    checkpoint.write_file(path, page.encode())
    print(f"{path}: {len(page) / 1e6:.1f} MB; open it in a browser")


def run_bench(args):
    with progress_bar() as progress:
        for line in bench.report(preset(args.preset), args.device, progress):
            tqdm.write(line)


def run_sweep(args):
    require(1 <= args.count <= 10_000, f"--count is {args.count}; it must be from 1 to 10000")
    require(1 <= args.seeds <= 1000, f"--seeds is {args.seeds}; it must be from 1 to 1000")
    with checkpoint.locked(args.output), progress_bar() as progress:
        results = sweep.sweep(args.output, args.seeds, args.count, tqdm.write, progress)
    print(f"\n{sweep.table(results)}")


def run_doctor(args):
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    rows = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": f"{cores()} cores, torch uses {torch.get_num_threads()} threads",
        "GPU": gpu,
        "precision": str(compute_dtype("auto")).removeprefix("torch."),
        "writable here": "yes" if os.access(".", os.W_OK) else "no: change to another directory",
    }
    for name, value in rows.items():
        print(f"{name:14}{value}")
    for place in sorted(WEIGHTS.glob("*/manifest.json")):
        try:
            checkpoint.load(place.parent)
            verdict = "intact"
        except UserError as error:
            verdict = str(error)
        print(f"{'weights':14}{place.parent.name}: {verdict}")


def explain(error):
    """The sentence for a mistake of the user's or the machine's limits; None for a mistake of ours."""
    if isinstance(error, UserError | WorldError):
        return str(error)
    # A worker that needs too much is killed for it; one that is wrong has a traceback of its own.
    short = ("can't allocate memory", "out of memory", "is killed by signal", "exited unexpectedly")
    if isinstance(error, MemoryError) or any(words in str(error) for words in short):
        return "out of memory; try a smaller --size, fewer --frames, a smaller --best-of, --preset or batch"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'} could not be used: {error.strerror or error}"
    return None


def main(argv=None):
    """Run one command; returns the exit code."""
    parser, _ = build_parser()
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    commands = {
        **dict.fromkeys(ASKS, run_ask),
        "caption": run_caption,
        "train": run_train,
        "evaluate": run_evaluate,
        "gallery": run_gallery,
        "bench": run_bench,
        "sweep": run_sweep,
        "doctor": run_doctor,
    }
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a prompt may hold what no terminal shows
    try:
        args = parser.parse_args(argv)
        if "device" in args and args.command != "train":  # which one of several processes has its own
            check_device(args.device)
        commands[args.command](args)
    except KeyboardInterrupt:
        print("mini-sora: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        sentence = explain(error)
        if debug or not sentence:
            raise
        print(f"mini-sora: {sentence}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

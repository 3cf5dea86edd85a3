"""The report: how good a model is, in numbers, beside what is possible.

Each row asks for many clips of one kind, judges them, and stands beside its ceiling, which is the
same clips of the world through the VAE, and beside the truth itself.
"""

import json
import math
import re
import time
from pathlib import Path

import numpy as np

from data_gen import apparitions, displacements

from .checkpoint import write_file
from .config import require, to_dict
from .data import on_all_cores
from .evaluate import interval, judge, scores, sheet, through_vae
from .measures import TASKS
from .rows import film, rows_of


def measure(sora, row, count, seed=0, **sampling):
    """One row: (a table of its figures, [(video, prompt, report)] of what the model made)."""
    clips = row.clips(count)
    prompts, actions = [row.prompt(clip) for clip in clips], [clip.actions for clip in clips]
    truth = np.stack([clip.video for clip in clips])
    rebuilt, psnr = through_vae(sora.vae, truth)
    videos = film(sora, row, clips, seed, **sampling)
    reports = judge(videos, prompts, actions)
    figures = {
        "family": row.family,
        "clips": count,
        "model": scores(reports),
        "ceiling": scores(judge(rebuilt, prompts, actions)),
        "truth": scores(judge(truth, prompts, actions)),
        "psnr": float(psnr.mean()),
        "unexplained": float(np.mean([bool(found) for found in on_all_cores(apparitions, videos)])),
    }
    if row.family == "play":
        moves = on_all_cores(displacements, videos, [clip.actions for clip in clips])
        figures["moves"] = float(np.mean(moves))
    figures["counted"] = row.counted
    figures["interval"] = interval(figures["model"][row.counted], count)
    return figures, list(zip(videos, prompts, reports, strict=True))


def evaluate(sora, count=256, only="", seed=0, progress=None, **sampling):
    """Ask a model for every row of its report and every task, or those with a text in their names.

    count: clips a row; progress: called with (done, all, name) before each. Returns (report,
    examples): report = {"rows": {name: figures}, "figures": [(name, value, asked, aim)], "tasks": the
    same}, examples = {name: [(video, prompt, report)]}. Same seed, same figures, but for the seconds.
    """
    rows = [row for row in rows_of(sora.config) if only in row.name]
    asked = TASKS if sora.config.versatile else {}  # which no model can do that was never shown known frames
    tasks = {name: task for name, task in asked.items() if only in name}
    require(rows or tasks, f"no row of the report has {only!r} in its name")
    results, examples, figures = {}, {}, []
    for i, row in enumerate(rows):
        if progress:
            progress(i, len(rows) + len(tasks), row.name)
        results[row.name], examples[row.name] = measure(sora, row, count, seed, **sampling)
        least, aim = row.least, row.aim
        if row.beside in results:
            least = results[row.beside]["model"]["all"] - 0.05
            aim = least + 0.03
        results[row.name] |= {"least": least, "aim": aim}
    for i, (name, task) in enumerate(tasks.items(), len(rows)):
        if progress:
            progress(i, len(rows) + len(tasks), name)
        found = task(sora, count, seed=seed, **sampling)
        figures += [[what, *figure] for what, figure in found.items()]
    report = {
        "weights": to_dict(sora.config),
        "seed": seed,
        "clips": count,
        "rows": results,
        "tasks": figures,
    }
    report["figures"] = summary(sora, results, **sampling) if rows else []
    return report, examples


def summary(sora, results, **sampling):
    """What is said of all rows together: [(name, value, what is asked, aim)]; asked as text."""
    config = sora.config
    shape = config.latent_shape(config.size, config.frames)
    pixels = 3 * config.frames * config.size[0] * config.size[1]
    worst = min(results.values(), key=lambda r: r["psnr"])
    ceiling = min(results.values(), key=lambda r: r["ceiling"]["all"])
    seconds = []
    for seed in range(5):
        began = time.perf_counter()
        sora.generate("a red circle moves left", seed=seed, **sampling)
        seconds.append(time.perf_counter() - began)
    found = [
        ("VAE: PSNR, worst row, dB", worst["psnr"], ">= 34", 38),
        ("VAE: truth through it accepted, worst row", ceiling["ceiling"]["all"], ">= 0.97", 0.99),
        ("numbers per clip, pixels to latents", pixels / math.prod(shape), ">= 20", 20),
        (
            "from nowhere, or vanished",
            float(np.mean([r["unexplained"] for r in results.values()])),
            "<= 0.03",
            0.005,
        ),
        ("seconds for one clip, batch 1", float(np.median(seconds)), "<= 1.5", 0.3),
    ]
    moves = [r["moves"] for r in results.values() if "moves" in r]
    if moves:
        found.append(("play: displacements right", moves[0], ">= 0.95", 0.99))
    return [list(row) for row in found]


def fine(value, asked):
    """Whether a value is as asked: '>= 34' or '<= 1.5'."""
    sign, limit = asked.split()
    return value >= float(limit) if sign == ">=" else value <= float(limit)


def table(report):
    """The report as text for a terminal."""
    heads = f"{'right':>8}{'facts':>8}{'95% interval':>17}{'ceiling':>9}{'truth':>8}{'least':>8}{'aim':>7}"
    lines = [f"{'':24}{'clips':>6}" + heads]
    for name, row in report["rows"].items():
        model, counted, (low, high) = row["model"], row["counted"], row["interval"]
        beside = "".join(f"{row[kind][counted]:{width}.1%}" for kind, width in (("ceiling", 9), ("truth", 8)))
        short = "" if model[counted] >= row["least"] else "  falls short"
        between = f"{low:.1%} to {high:.1%}"
        lines.append(
            f"{name:24}{row['clips']:6}{model['all']:8.1%}{model['facts']:8.1%}{between:>17}{beside}"
            f"{row['least']:8.1%}{row['aim']:7.0%}{short}"
        )
    lines.append("")
    for name, value, asked, aim in [*report["figures"], *report["tasks"]]:
        short = "" if fine(value, asked) else "  falls short"
        lines.append(f"{name:58}{value:8.3f}  asked {asked}, aim {aim:g}{short}")
    return "\n".join(lines)


def write(folder, report, examples):
    """Leave a report in a folder: report.json, clips.png with the first clips of the rows, and
    failures/, where each row has a picture of the first clips that are not as asked."""
    folder = Path(folder)
    (folder / "failures").mkdir(parents=True, exist_ok=True)
    few = max(1, 24 // max(1, len(examples)))
    first = [example for made in examples.values() for example in made[:few]]
    if first:
        write_file(folder / "clips.png", sheet(*zip(*first, strict=True)))
    for name, made in examples.items():
        failures = [(video, prompt, report) for video, prompt, report in made if report and not report.ok]
        if failures:
            path = folder / "failures" / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.png"
            write_file(path, sheet(*zip(*failures[:12], strict=True)))
    write_file(folder / "report.json", json.dumps(report, indent=1).encode())

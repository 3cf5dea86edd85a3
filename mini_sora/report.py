"""The report: how good a model is, in numbers, beside what is possible.

Each row asks for many clips of one kind, judges them, and stands beside its ceiling, which is the
same clips of the world through the VAE, and beside the truth itself.
"""

import json
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_gen import apparitions, displacements, make_batch

from .checkpoint import write_file
from .config import require, to_dict
from .data import action_numbers, on_all_cores
from .evaluate import interval, judge, scores, sheet, through_vae

BATCH = 64  # clips made at a time


@dataclass(frozen=True)
class Row:
    """One kind of clip to ask for.

    bodies: how many the scene may have, any where empty; words: fewest and most of a long prompt, the
    short one is asked where empty; given: whether the first frame is known; least, aim: the share
    right that is asked and hoped for; counted: which share, all or facts (see scores); beside:
    another row, which it may fall short of by 5 points.
    """

    name: str
    family: str
    split: str = "test"
    size: tuple[int, int] = (32, 32)
    frames: int = 17
    bodies: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
    given: bool = False
    least: float = 0.0
    aim: float = 1.0
    counted: str = "all"
    beside: str = ""

    def prompt(self, clip):
        """What is asked for, to have this clip."""
        return clip.long_caption if self.words else clip.caption

    def fits(self, clip):
        """Whether a clip is of this kind."""
        fine = not self.bodies or len(clip.scene.bodies) in self.bodies
        return fine and (not self.words or self.words[0] <= len(clip.long_caption.split()) <= self.words[1])

    def clips(self, count, first=0):
        """The first so many clips of this kind, by their seeds, from one on."""
        found = []
        while len(found) < count:
            batch = make_batch(self.family, range(first, first + 256), self.size, self.frames, self.split)
            found += [batch[i] for i in range(256) if self.fits(batch[i])]
            first += 256
        return found[:count]


def rows_of(config):
    """What a model is asked, by the families that it learned, at its own size and others: Rows."""
    side, whole = min(config.size), {"size": config.size, "frames": config.frames}
    told = {**whole, "counted": "facts"}
    rows = []
    if "shapes" in config.families:
        rows = [
            Row("shapes, one body", "shapes", bodies=(1,), least=0.95, aim=0.99, **whole),
            Row("shapes, two bodies", "shapes", bodies=(2,), least=0.88, aim=0.96, **whole),
            Row("shapes, three and four", "shapes", bodies=(3, 4), least=0.7, aim=0.9, **whole),
            Row("heldout, one and two", "shapes", "heldout", bodies=(1, 2), least=0.8, aim=0.95, **whole),
            Row("long prompts", "shapes", bodies=(4,), words=(100, 135), least=0.6, aim=0.85, **told),
        ]
    for family in dict.fromkeys(config.families):
        if family not in ("shapes", "play"):
            rows.append(Row(family, family, least=0.85, aim=0.95, **told))
    if "shapes-simple" in config.families:
        rows.append(Row("heldout", "shapes-simple", "heldout", least=0.8, aim=0.95, **whole))
    if "play" in config.families:
        rows.append(Row("play, with its actions", "play", **whole))
    if "shapes" in config.families:
        rows += [
            Row("images", "shapes", size=config.size, frames=1, least=0.95, aim=0.99),
            Row("first frame known", "shapes", given=True, least=0.9, aim=0.97, **whole),
            Row("square", "shapes", **whole),
        ]
        longer = [side * n // 4 for n in (5, 6, 7)]  # of a short side of 4, up to 16:9
        for height, width in [(side, n) for n in longer] + [(n, side) for n in longer]:
            name = f"{height}x{width}"
            rows.append(Row(name, "shapes", size=(height, width), frames=config.frames, beside="square"))
        for n in (side * 5 // 4, side * 7 // 4):
            rows.append(Row(f"{n}x{n}", "shapes", size=(n, n), frames=config.frames, beside="square"))
        for frames in (13, 21, 29):
            name = f"{frames} frames"
            rows.append(Row(name, "shapes", size=config.size, frames=frames, beside="square"))
    return rows


def film(sora, row, clips, seed=0, **sampling):
    """What a model makes of the prompts, actions and first frames of clips: uint8 (T, H, W, 3) each."""
    videos = []
    for i in range(0, len(clips), BATCH):
        part = clips[i : i + BATCH]
        prompts = [row.prompt(clip) for clip in part]
        asked = {"frames": row.frames, "seed": seed + i, **sampling}
        if row.family == "play" and sora.config.dit.actions:
            asked["actions"] = np.stack([action_numbers(clip.actions, row.frames) for clip in part])
        if row.given:
            made = sora.animate([clip.video[0] for clip in part], prompts, **asked)
        else:
            made = sora.generate(prompts, row.size, **asked)
        videos += [video.frames for video in made]
    return videos


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
    """Ask a model for every row of its report, or those with a text in their names.

    count: clips a row; progress: called with the name of each row before it. Returns (report,
    examples): report = {"rows": {name: figures}, "figures": [(name, value, asked, aim, fine)]},
    examples = {name: [(video, prompt, report)]}. Same seed, same figures, but for the seconds.
    """
    rows = [row for row in rows_of(sora.config) if only in row.name]
    require(rows, f"no row of the report has {only!r} in its name")
    results, examples = {}, {}
    for row in rows:
        if progress:
            progress(row.name)
        results[row.name], examples[row.name] = measure(sora, row, count, seed, **sampling)
        least, aim = row.least, row.aim
        if row.beside in results:
            least = results[row.beside]["model"]["all"] - 0.05
            aim = least + 0.03
        results[row.name] |= {"least": least, "aim": aim}
    report = {"weights": to_dict(sora.config), "seed": seed, "rows": results}
    report["figures"] = summary(sora, results, **sampling)
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
    for name, value, asked, aim in report["figures"]:
        short = "" if fine(value, asked) else "  falls short"
        lines.append(f"{name:44}{value:8.3f}  asked {asked}, aim {aim:g}{short}")
    return "\n".join(lines)


def write(folder, report, examples):
    """Leave a report in a folder: report.json, clips.png with the first clips of the rows, and
    failures/, where each row has a picture of the first clips that are not as asked."""
    folder = Path(folder)
    (folder / "failures").mkdir(parents=True, exist_ok=True)
    few = max(1, 24 // len(examples))
    first = [example for made in examples.values() for example in made[:few]]
    write_file(folder / "clips.png", sheet(*zip(*first, strict=True)))
    for name, made in examples.items():
        failures = [(video, prompt, report) for video, prompt, report in made if report and not report.ok]
        if failures:
            path = folder / "failures" / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.png"
            write_file(path, sheet(*zip(*failures[:12], strict=True)))
    write_file(folder / "report.json", json.dumps(report, indent=1).encode())

"""The report: how good a model is, in numbers, beside what is possible.

Each row asks for many clips of one kind, judges them, and stands beside its ceiling, which is the
same clips of the world through the VAE, and beside the truth itself.
"""

import hashlib
import json
import math
import re
import time
from collections import Counter
from functools import partial
from multiprocessing.sharedctypes import RawArray
from pathlib import Path

import numpy as np

from data_gen import apparitions, code_digest, displacements

from .checkpoint import write_file
from .config import require, to_dict
from .evaluate import fine, interval, judge, judged, scores, sheet, spread, through_vae
from .measures import TASKS
from .pipeline import JUDGED_AT, LOSS_COUNTS
from .rows import film, rows_of
from .sharing import on_all_cores, share_out
from .viz import every_second


def measure(sora, row, count, seed=0, **sampling):
    """One row: (a table of its figures, [(video, prompt, report)] of what the model made, and of the truth
    through the VAE).

    Truth, ceiling and model each have their scores; unexplained: the share of clips in which something
    comes from nowhere or vanishes; moves: of actions that lead where they may. The intervals are the model's.
    Of the truth through the VAE every fact of the scene is judged, told or not.
    """
    clips = row.clips(count)
    prompts, actions = [row.prompt(clip) for clip in clips], [clip.actions for clip in clips]
    truth = np.stack([clip.video for clip in clips])
    rebuilt, psnr = through_vae(sora.vae, truth)
    videos = film(sora, row, clips, seed, **sampling)
    figures = {"family": row.family, "frames": row.frames, "clips": count, "counted": row.counted}
    figures["psnr"] = float(psnr.mean())
    for kind, shown in (("truth", truth), ("ceiling", rebuilt), ("model", videos)):
        reports = judge(shown, prompts, actions)
        figures[kind] = scores(reports)
        strange = on_all_cores(apparitions, list(shown))
        figures[kind]["unexplained"] = float(np.mean([bool(found) for found in strange]))
        if row.family == "play" and row.frames > 1:
            moves = np.mean(on_all_cores(displacements, list(shown), actions), axis=1)
            figures[kind]["moves"], figures["interval of moves"] = float(moves.mean()), spread(moves)
    whole = judge(rebuilt, [clip.facts for clip in clips], actions)
    figures["interval"] = interval(figures["model"][row.counted], count)
    made, best = (videos, prompts, reports), (rebuilt, prompts, whole)
    return figures, list(zip(*made, strict=True)), list(zip(*best, strict=True))


def evaluate(sora, count=256, only="", seed=0, folder=None, resume=False, progress=None, **sampling):
    """Ask a model for every row of its report and every task, or those with a text in their names.

    count: clips a row, and a task; folder: where report.json is kept, written anew after each of them, with
    the first clips of each, and the first that are not as asked, in clips/ and failures/; resume: what is in
    the report there, of however many clips, is not measured again; progress: called each second, on another
    thread, and at both ends, with (rows done, all), some of them in part. Returns the report:
    {"rows": {name: figures}, "tasks": {name: [(what, value, asked, aim, ceiling, 95% interval, clips)]},
    "figures": [the same], ...}. Same seed, same figures, but for seconds and memory. Raises UserError where
    nothing has such a name, or the report is of another model or by other code of the world.
    """
    every = rows_of(sora.config)
    rows = [row for row in every if only in row.name]
    beside = {row.beside for row in rows}
    rows = [row for row in every if row in rows or row.name in beside]
    # Tasks are asked of models that were shown known frames, on scenes of bodies that move by themselves.
    able = sora.config.versatile and sora.config.frames > 1
    asked = TASKS if able and {"shapes", "shapes-simple"} & {*sora.config.families} else {}
    tasks = {name: task for name, task in asked.items() if only in name}
    require(rows or tasks, f"no row of the report has {only!r} in its name")
    about = about_of(sora, seed, **sampling)
    report = about | {"rows": {}, "tasks": {}, "figures": []}
    if resume:
        report = kept(folder)
        require(report, f"{folder} has no report to go on with; replace it with --force")
        same = about.items() <= report.items()
        other = "of other weights, settings or code of the world"
        require(same, f"the report in {folder} is {other}; choose another directory")
    elif folder:
        clear(folder)
    calls = {row.name: partial(measure, sora, row, count, seed, **sampling) for row in rows}
    calls |= {name: partial(task, sora, count, seed=seed, **sampling) for name, task in tasks.items()}
    # Those left, from the last one on, as that is the longest: a minute of video.
    names = [name for name in reversed(calls) if name not in report["rows"] | report["tasks"]]
    shares = RawArray("d", len(names))  # how much of each is done, which the processes write
    most = None if sora.device.type == "cpu" else 0  # a process that was forked cannot use a GPU

    def run(place):
        def heard(done, all):
            shares[place] = 0.9 * done / all  # as what is made is then to be judged

        return calls[names[place]](progress=heard)

    def tell():
        if progress and names:
            progress(sum(shares), len(names))

    tell()
    with every_second(tell):
        for place, found in share_out([partial(run, place) for place in range(len(names))], most):
            name, (figures, *shown) = names[place], found
            if name in tasks:
                report["tasks"][name] = [[what, *figure] for what, figure in figures.items()]
            else:
                report["rows"][name] = figures
            if folder:
                for kind, examples in zip(("", "VAE, "), shown, strict=False):
                    show(folder, kind + name, examples)
                keep(folder, report)
            shares[place] = 1
    report["rows"] = asked_of(every, report["rows"])
    report["tasks"] = {name: report["tasks"][name] for name in TASKS if name in report["tasks"]}
    report["figures"] = summary(sora, report["rows"], **sampling) if report["rows"] else []
    if folder:
        keep(folder, report)
    tell()
    return report


def evaluate_prompts(sora, prompts, folder=None, progress=None, seed=0, **sampling):
    """Ask for prompts of one's own. folder, seed: as in evaluate; progress: called with (done, all).

    Returns {"prompts": [[prompt, verdict, whether it is right, None where it cannot be judged]], "right":
    share of those judged, "interval": its 95% interval, ...}.
    """
    videos = [video.frames for video in sora.generate(prompts, seed=seed, progress=progress, **sampling)]
    reports = judge(videos, prompts)
    told = [[prompt, *judged(found)] for prompt, found in zip(prompts, reports, strict=True)]
    known = [right for _, _, right in told if right is not None]
    report = {"digest": digest(sora), "seed": seed, "sampling": sampling, "prompts": told}
    right = float(np.mean(known)) if known else None
    report |= {"right": right, "interval": interval(right, len(known)) if known else None}
    if folder:
        clear(folder)
        show(folder, "prompts", list(zip(videos, prompts, reports, strict=True)))
        keep(folder, report)
    return report


def table_of_prompts(report):
    """The same as text for a terminal."""
    lines = [f"{prompt}  [{said}]" for prompt, said, _ in report["prompts"]]
    judged = [right for *_, right in report["prompts"] if right is not None]
    if judged:
        low, high = report["interval"]
        lines.append(f"{sum(judged)} of {len(judged)} right, {low:.1%} to {high:.1%}")
    return "\n".join(lines)


def kept(folder):
    """The report that was kept in a folder, an empty one where there is none."""
    try:
        report = json.loads((Path(folder) / "report.json").read_text())
    except (OSError, ValueError):
        report = None
    return report if isinstance(report, dict) else {}


def about_of(sora, seed=0, **sampling):
    """What a report is of: the model, how it is sampled, and what chooses among its videos."""
    about = {"config": to_dict(sora.config), "digest": digest(sora), "seed": seed}
    about["world"] = code_digest()[:16]  # which films what is asked, and judges it
    if sampling.get("best_of", sora.config.sampling.best_of) > 1:
        about |= {"captioner": digest(sora.captioner), "fitness": [JUDGED_AT, LOSS_COUNTS]}
    return json.loads(json.dumps(about | {"sampling": sampling}))


def digest(model):
    """What the weights of a model, a captioner or one network are, as text: others have another."""
    made = hashlib.sha256()
    for part in getattr(model, "networks", [model]):
        for value in part.state_dict().values():
            made.update(value.cpu().numpy().tobytes())
    return made.hexdigest()


def asked_of(rows, results):
    """The figures of rows in their order, each with what is asked, least, and hoped for, aim."""
    found = {}
    for row in rows:
        if row.name in results:
            least, aim = row.least, row.aim
            if row.beside in results:
                least = max(0.0, results[row.beside]["model"]["all"] - 0.05)
                aim = least + 0.03
            found[row.name] = results[row.name] | {"least": least, "aim": aim}
    return found


def summary(sora, results, **sampling):
    """What is said of all rows together: [(name, value, what is asked, aim, ceiling, 95% interval, clips)];
    asked as text, what follows aim None where there is none."""
    config = sora.config
    shape = config.latent_shape(config.size, config.frames)
    pixels = 3 * config.frames * config.size[0] * config.size[1]
    families = {}
    for row in rows_of(config):
        usual = row.split == "test" and (row.size, row.frames) == (config.size, config.frames)
        if usual and not (row.words or row.given) and row.name in results:
            families.setdefault(row.family, []).append(results[row.name])
    found = []
    if families:
        psnr = min(float(np.mean([row["psnr"] for row in rows])) for rows in families.values())
        share, true, clips = min(map(accepted, families.values()))
        between = interval(share, clips)
        found = [
            ("VAE: PSNR, worst family, dB", psnr, ">= 34", 38, *3 * [None]),
            ("VAE: truth through it accepted, worst family", share, ">= 0.97", 0.99, true, between, clips),
        ]
    seconds = []
    for seed in range(5):
        began = time.perf_counter()
        sora.generate("a red circle moves left", seed=seed, **sampling)
        seconds.append(time.perf_counter() - began)
    found += [
        ("numbers per clip, pixels to latents", pixels / math.prod(shape), ">= 20", 20, *3 * [None]),
        ("seconds for one clip, batch 1", float(np.median(seconds)), "<= 1.5", 0.3, *3 * [None]),
    ]
    moving = [row for row in results.values() if row["frames"] > 1]  # in an image nothing can come or go
    if moving:
        share, name, clips = strangest(moving, "model")
        least = strangest([row for row in moving if row["family"] == name], "ceiling")[0]
        between = interval(share, clips)
        found.append((f"from nowhere, or vanished: {name}", share, "<= 0.03", 0.005, least, between, clips))
    for row in moving:
        if "moves" in row["model"]:
            model, ceiling = (row[kind]["moves"] for kind in ("model", "ceiling"))
            between, asked = (row["interval of moves"], row["clips"]), (">= 0.95", 0.99)
            found.append(("play: displacements right", model, *asked, ceiling, *between))
    return [list(row) for row in found]


def accepted(rows):
    """Of the truth in rows of a family: (the share that the checker accepts through the VAE, and that it
    accepts as it is, of how many clips)."""
    clips = [row["clips"] for row in rows]
    shares = (np.average([row[kind]["all"] for row in rows], weights=clips) for kind in ("ceiling", "truth"))
    return *map(float, shares), max(clips)  # rows share scenes: not more


def strangest(rows, kind):
    """Of all families that in whose clips most often something comes from nowhere or vanishes:
    (share, family, of how many clips)."""
    clips, strange = Counter(), Counter()
    for row in rows:
        clips[row["family"]] += row["clips"]
        strange[row["family"]] += row["clips"] * row[kind]["unexplained"]
    worst = max(clips, key=lambda name: strange[name] / clips[name])
    share = strange[worst] / clips[worst]
    alone = max(row["clips"] for row in rows if row["family"] == worst)  # rows share scenes: not more
    return share, worst, alone


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
    told = [figure for figures in report["tasks"].values() for figure in figures]
    heads = f"{'value':>8}{'95% interval':>19}{'ceiling':>9}{'asked':>9}{'aim':>7}"
    lines += ["", f"{'':61}{'clips':>6}" + heads]
    for name, value, asked, aim, ceiling, between, clips in [*report["figures"], *told]:
        beside = "" if ceiling is None else f"{ceiling:.3f}"
        between = "{:.3f} to {:.3f}".format(*between) if between else ""
        short = "" if fine(value, asked) else "  falls short"
        lines.append(
            f"{name:61}{clips or '':>6}{value:8.3f}{between:>19}{beside:>9}{asked:>9}{aim:7g}{short}"
        )
    return "\n".join(lines)


def keep(folder, report):
    """Write a report into a folder, as report.json."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_file(Path(folder) / "report.json", json.dumps(report, indent=1).encode())


def clear(folder):
    """Remove the report that a folder has, and its pictures, as another is to take its place."""
    report = kept(folder)
    tables = [report[key] for key in ("rows", "tasks") if isinstance(report.get(key), dict)]
    for name in ["prompts", *(name for table in tables for name in table)] if report else []:
        for path in (*pictures(folder, name), *pictures(folder, "VAE, " + name)):
            path.unlink(missing_ok=True)
    (Path(folder) / "report.json").unlink(missing_ok=True)


def pictures(folder, name):
    """Where the pictures of a row are kept: of its first clips, and of its failures."""
    places = [Path(folder) / kind for kind in ("clips", "failures")]
    for place in places:
        require(not place.is_symlink(), f"{place} is a link to elsewhere; remove it")
    return [place / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.png" for place in places]


def show(folder, name, examples):
    """Leave pictures of a row's clips, [(video, prompt, report)], in a folder: the first ones in clips/, and
    the first that are not as asked in failures/."""
    wrong = [example for example in examples if example[2] and not example[2].ok]
    for path, some in zip(pictures(folder, name), (examples[:12], wrong[:12]), strict=True):
        path.unlink(missing_ok=True)
        if some:
            path.parent.mkdir(parents=True, exist_ok=True)
            videos, prompts, reports = zip(*some, strict=True)
            write_file(path, sheet(videos, prompts, map(judged, reports)))

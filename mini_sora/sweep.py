"""Choices by experiment: what each setting of the quick preset is worth, seed by seed.

Every variant is quick with half the steps of its DiT, so that none has reached the top, and with a
few flags changed. All film the same unseen scenes; those of one seed share a VAE where they can.
"""

import json
import shutil
import statistics
import time
from functools import partial
from pathlib import Path

import torch

from data_gen import code_digest

from .checkpoint import write_file
from .config import UserError, require, with_flags
from .data import cores
from .evaluate import judge, scores
from .presets import PRESETS
from .rows import Row, film
from .sharing import share_out
from .train import Stages, prepare

BASE = {
    "dit.fit.steps": str(PRESETS["quick"].dit.fit.steps // 2),
    "dit.fit.preview_every": "10000",
    "model.sampling.sampler": "euler",  # which draws no noise: one thing less in which variants differ
}
COSINE = {"model.sampling.schedule": "cosine", "model.sampling.shift": "1", "dit.time.kind": "uniform"}
TRAININGS = {
    "quick: linear, v": {},
    "linear, x": {"model.sampling.target": "x"},
    "linear, eps": {"model.sampling.target": "eps"},
    "cosine, v": COSINE,
    "cosine, x": {**COSINE, "model.sampling.target": "x"},
    "cosine, eps": {**COSINE, "model.sampling.target": "eps"},
    "t uniform": {"dit.time.kind": "uniform"},
    "t logit-normal, not shifted": {"dit.time.mean": "0"},
    "one t for all frames": {"dit.own_times": "0"},
    "AdamW alone": {"dit.fit.muon_rate": "0"},
    "AdamW alone, half the rate": {"dit.fit.muon_rate": "0", "dit.fit.adam_rate": "2e-3"},
    "no average of weights": {"dit.fit.ema": "0"},
    "cross-attention alone": {"model.dit.pooled": "false"},
    "patch 1, a quarter of the steps": {
        "model.dit.patch": "1x1x1",
        "dit.fit.steps": str(int(BASE["dit.fit.steps"]) // 4),
    },
    "VAE half as wide": {"model.vae.frame_width": "16", "model.vae.width": "48"},
    "VAE twice as wide": {"model.vae.frame_width": "64", "model.vae.width": "192"},
}
SAMPLINGS = {
    f"{sampler}, {steps} steps": {"sampler": sampler, "steps": steps}
    for sampler, counts in (("euler", (5, 10, 20, 50)), ("ddim", (20,)), ("ddpm", (20, 50, 100)))
    for steps in counts
}
SAMPLINGS |= {f"guidance {scale:g}": {"guidance": scale} for scale in (1.0, 1.5, 2.0, 3.0, 5.0)}
SAMPLINGS |= {
    "guidance 2 below t = 0.9": {"guide_to": 0.9},
    "guidance 2 above t = 0.3": {"guide_from": 0.3},
    "steps not shifted": {"shift": 1.0},
}


encoded = {}  # what the variants of a seed that share a VAE are all shown, made once in each process


def settings(flags, seed):
    """The settings of a variant."""
    return with_flags(PRESETS["quick"], {**BASE, **flags, "seed": str(seed)})


def trained(flags, seed, out, shared=None):
    """A variant's model, trained into a directory or found there; shared: a run whose VAE to take."""
    config = settings(flags, seed)
    out.mkdir(parents=True, exist_ok=True)
    prepare(config, out, force=False)
    if shared and not (out / "vae").exists():
        shutil.copytree(shared / "vae", out / "copy", dirs_exist_ok=True)
        (out / "copy").rename(out / "vae")
    stages = Stages(config, out, resume=True, device="cpu", inexact=False, quiet=True)
    of = shared, config.dit.fit.steps
    stages.shown = encoded.get(of) if shared else None
    sora = stages.train_dit(stages.train_vae()[0])[0]
    if shared:
        encoded.clear()  # of one seed at a time
        encoded[of] = stages.shown
    return sora


def variant(name, seed, folder, count):
    """(the share of clips that are as asked, seconds) of one variant; the seconds are those of its
    training, by its median steps, as other work can slow some, or where it is the first model, sampled
    otherwise, those of one clip."""
    flags, sampling = TRAININGS.get(name, {}), SAMPLINGS.get(name, {})
    index, base = list(TRAININGS).index(name) if name in TRAININGS else 0, folder / seed / "00"
    torch.set_num_threads(1)  # one to a core, and so also where there are more cores than variants
    own = index == 0 or any(flag.startswith("model.vae") for flag in flags)
    out = folder / seed / f"{index:02d}"
    sora = trained(flags, seed, out, None if own else base)
    model = PRESETS["quick"].model
    row = Row("test", model.families[0], size=model.size, frames=model.frames)
    clips = row.clips(count, first=1 << 21)  # not those of the report: by these, settings are chosen
    began = time.perf_counter()
    videos = film(sora, row, clips, **sampling)
    seconds = (time.perf_counter() - began) / count
    if name in TRAININGS:
        logs = [(out / part / "metrics.jsonl").read_text().splitlines() for part in ("vae", "dit")]
        steps = [[row["seconds"] for row in map(json.loads, log) if "seconds" in row] for log in logs]
        seconds = sum(len(each) * statistics.median(each) for each in steps)
    return scores(judge(videos, [clip.caption for clip in clips]))["all"], seconds


def sweep(folder, seeds, count, say, progress):
    """All variants and seeds into a folder, one to a core; what is there already is not done again.

    say: called with a line about each that is done; progress: with (done, all, its name).
    Returns {name: {seed: [right, seconds]}}, the seconds of training, or of one clip, on one core.
    """
    folder = Path(folder)
    kept = folder / "sweep.json"
    try:
        fresh = {"clips": count, "world": code_digest()[:16], "results": {}}
        saved = json.loads(kept.read_text()) if kept.exists() else fresh
        judged, results = saved["clips"], saved["results"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{kept} is damaged; delete it to judge again what is trained there") from None
    require(judged == count, f"{kept} was judged by {judged} clips, not by {count}; ask for as many")
    same = saved.get("world") == fresh["world"]
    require(same, f"{kept} was made by other code of the world; choose another directory")
    first, *others = TRAININGS
    rounds = [
        [(n, s) for s in map(str, range(seeds)) for n in names if s not in results.get(n, {})]
        for names in ([first], [*others, *SAMPLINGS])  # which take the VAE of the first, or all of it
    ]
    done, every = 0, sum(map(len, rounds))
    for left in rounds:
        jobs = [partial(variant, *job, folder, count) for job in left]
        for place, (share, seconds) in share_out(jobs, min(cores(), len(jobs))):
            name, seed = left[place]
            results.setdefault(name, {})[seed] = [share, seconds]
            write_file(kept, json.dumps(saved, indent=1).encode())
            say(f"seed {seed}, {name}: {share:.1%} right, {seconds:.2f} s")
            done += 1
            progress(done, every, name)
    return results


def table(results):
    """The sweep as text for a terminal: of each variant the medians of its seeds, and each of them; of
    trainings also how much is right for each minute of them."""
    lines = []
    for title, names, unit, digits in (
        (f"trained for half of quick, {BASE['dit.fit.steps']} steps", TRAININGS, "training", 0),
        ("the first model, sampled", SAMPLINGS, "a clip", 3),
    ):
        training = names is TRAININGS
        a_minute = f"{'right a minute':>16}" if training else ""
        lines.append(f"{title:40}{'right':>8}{'by seed':>24}{'seconds ' + unit:>18}{a_minute}")
        for name in filter(results.get, names):
            shares, seconds = zip(
                *(results[name][seed] for seed in sorted(results[name], key=int)), strict=True
            )
            each = " ".join(f"{share:.1%}" for share in shares)
            right, took = statistics.median(shares), statistics.median(seconds)
            a_minute = f"{60 * right / took:16.1%}" if training else ""
            lines.append(f"{name:40}{right:8.1%}{each:>24}{took:18.{digits}f}{a_minute}")
        lines.append("")
    return "\n".join(lines[:-1])

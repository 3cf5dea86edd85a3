"""The stages that turn settings into a model: VAE, latents, text encoder and DiT, verdict."""

import json
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from data_gen import code_digest

from . import checkpoint, parallel
from .config import difference, require, to_dict
from .data import Captions, cores, to_pixels
from .evaluate import faithful, judge, judged, scores, sheet, spread, through_vae
from .fit import check_means, fit, read_metrics
from .model import Sora
from .objectives import course, dit_objective, expander_objective, reused, stream, to_latents, vae_objective
from .pretrained import check_device
from .prompts import Writer
from .report import about_of, digest, evaluate, keep, kept, show, table
from .rows import Row, film, rows_of
from .tasks import MiniSora
from .text import Tokenizer, tokenize, words_of
from .vae import VAE
from .viz import progress_bar

NETWORKS = ("vae", "dit", "expander", "network")  # each one's training leaves a directory of its name
MOST = 1e9  # parameters
# What a run leaves in --out, its settings last.
LEAVES = (*NETWORKS, "model", "report", "training.txt", "config.json")


def train(config, out, resume=False, force=False, device="cpu", inexact=False, quiet=False, stages=None):
    """Run every stage into a directory and leave a model there that from_pretrained loads.

    config: a TrainConfig, or a CaptionerTraining; stages: what runs it, Stages unless said; resume: go on
    with the run that is there; force: delete it and start afresh; device: cpu, cuda or cuda:N; inexact:
    resume on another machine, or with other code of the world, too; quiet: no bars of training. Prints a
    table at the end. Returns (model, report); of several processes (torchrun) the first alone has a report.
    Raises UserError.
    """
    device = parallel.own_device(device)
    check_device(device)
    parallel.begin(device)
    out, leads = Path(out), parallel.place()[0] == 0
    settings = out / "config.json"
    if leads:
        require(not (resume and force), "--resume and --force exclude one another; choose one")
        require(settings.is_file() or not resume, f"there is no run to resume in {out}; check the path")
        advice = "go on with --resume, replace it with --force, or choose another --out"
        require(resume or force or not settings.exists(), f"{out} holds an earlier run; {advice}")
        other = settings.exists() and ("network" in read_settings(settings)) != ("network" in to_dict(config))
        require(
            force or not other, f"{out} holds a run of another kind of model; choose another --out or preset"
        )
        whole = all(checkpoint.steps_of(out / name / "checkpoints") for name in config.trained)
        lost = resume and (out / "model").is_dir() and not whole
        require(not lost, f"{out} has a model, but not the checkpoints to go on from; start with --force")
    run = (stages or Stages)(config, out, resume, device, inexact, quiet)  # which refuses before it writes
    with checkpoint.locked(out) if leads else nullcontext():
        if leads:
            prepare(config, out, force)
        parallel.wait()
        return run.run()


def prepare(config, out, force):
    """Leave a run's directory ready, with its config.json; with force, without an earlier run."""
    settings = out / "config.json"
    others = [name for name in LEAVES if (out / name).exists() and not settings.exists()]
    require(not others, f"{out} holds {', '.join(others)} of something else; choose another --out")
    if settings.exists():
        earlier = read_settings(settings)
        changed = difference(earlier, json.loads(json.dumps(to_dict(config))))
        require(force or not changed, f"the run in {out} has other settings: {'; '.join(changed)}")
    if force:
        for name in LEAVES:  # the settings last, so that what is left of a run is known as one
            path = out / name
            checkpoint.remove(path)
    checkpoint.write_file(settings, json.dumps(to_dict(config), indent=1).encode())


def read_settings(path):
    """The settings of an earlier run, a table. Raises UserError if the file is no run's."""
    try:
        settings = json.loads(path.read_text())
    except (OSError, ValueError):
        settings = None
    ours = isinstance(settings, dict) and {"data", "model", "judged", "seed"} <= set(settings)
    require(ours, f"{path} is not the config of a run; choose another --out")
    return settings


class Run:
    """What all runs have: each stage is a method, and leaves its line in the table."""

    def __init__(self, config, out, resume, device, inexact, quiet):
        self.config, self.out, self.device, self.quiet = config, out, device, quiet
        self.options = {"resume": resume, "inexact": inexact, "quiet": quiet, "seed": config.seed}
        if not config.data.folder:
            self.options["place"] = {"world": code_digest()[:16]}  # which films what is learned
        self.rows = []
        for name in config.trained:
            check_means(getattr(config, name).fit, device)
        self.start = self.load_start() if config.start else None

    def timed(self, name, stage, *inputs):
        """Run a stage and note its seconds, loss and figure. Of what was done before a resume, the steps
        alone count: what was made ready for them is made again."""
        steps = read_metrics(self.out / name) if self.options["resume"] else []
        earlier, began = sum(row.get("seconds", 0) for row in steps), time.perf_counter()
        result, loss, figure = stage(*inputs)
        self.rows.append((name, earlier + time.perf_counter() - began, loss, figure))
        return result

    def table(self):
        lines = [f"{'stage':10}{'seconds':>8}{'loss':>9}  figure"]
        for name, seconds, loss, figure in self.rows:
            lines.append(f"{name:10}{seconds:8.1f}{loss:>9}  {figure}")
        lines.append(f"{'total':10}{sum(row[1] for row in self.rows):8.1f}")
        return "\n".join(lines)

    def log(self):
        """How the run went, as text: on what, its stages, and the course of each training, 60 lines each."""
        on = f"{cores()} cores, {torch.backends.cpu.get_cpu_capability()}"
        found = [
            f"torch {torch.__version__}, {self.device}, {on}, seed {self.config.seed}",
            "",
            self.table(),
        ]
        for name in NETWORKS:
            rows = read_metrics(self.out / name)
            if not rows:  # a stage that this run left out
                continue
            steps, looks = [r for r in rows if "loss" in r], [r for r in rows if "loss" not in r]
            found += ["", f"{name}{'step':>9}{'loss':>9}{'gradient':>10}{'s a step':>10}{'waited':>8}"]
            span = max(1, len(steps) // 60)
            for i in range(0, len(steps), span):
                part = steps[i : i + span]
                mean = {key: sum(row[key] for row in part) / len(part) for key in part[0]}
                share = mean["waited"] / mean["seconds"]
                found.append(
                    f"{part[-1]['step'] + 1:12}{mean['loss']:9.4f}{mean['gradient']:10.3f}"
                    f"{mean['seconds']:10.3f}{share:8.1%}"
                )
            found += [", ".join(f"{key} {value:.4g}" for key, value in row.items()) for row in looks]
        return "\n".join(found) + "\n"


class Stages(Run):
    """The run of a model of videos: VAE, DiT, expander, verdict."""

    shown = None

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.check()

    def load_start(self):
        """The model to learn on from. Raises UserError unless it has the networks of these settings."""
        start = MiniSora.from_pretrained(self.config.start, self.device)
        models = [to_dict(sora) for sora in (start.config, self.config.model)]
        parts = [{key: model[key] for key in ("vae", "text", "dit")} for model in models]
        for part, model in zip(parts, models, strict=True):  # what the DiT predicts, and of what noise
            part["sampling"] = {key: model["sampling"][key] for key in ("schedule", "target")}
        other = "; ".join(difference(*parts))
        require(not other, f"{self.config.start} is another model than these settings make: {other}")
        return start

    def check(self):
        """Read the prompts, and raise UserError for what would be found only when much is trained."""
        c, model = self.config, self.config.model
        with torch.device("meta"):
            parameters = sum(p.numel() for part in (VAE(model.vae), Sora(model)) for p in part.parameters())
        many = f"the networks have {parameters:.1e} parameters, at most {MOST:.0e}"
        require(parameters <= MOST, f"{many}: choose a smaller width, fewer layers or blocks")
        asked = {(model.size, model.frames), *((row.size, row.frames) for row in rows_of(model))}
        if c.data.folder:
            asked = {(model.size, max(stream(c, 1).frames))}
        elif model.versatile:  # which is asked to upscale, too
            asked.add((tuple(2 * side for side in model.size), model.frames))
        for size, frames in asked:
            model.latent_shape(size, frames)
        shown = stream(c, 32)
        own = [prompt for _, prompt in shown.shots] if c.data.folder else []
        few = own or [prompt for i in range(64) for prompt in shown.prompts(i)]
        more = [] if own else [prompt for i in range(64, 256) for prompt in shown.prompts(i)]
        self.words = words_of(" ".join([*few, *more]))  # some of which are rare
        self.tokenizer = self.start.tokenizer if self.start else Tokenizer.train(few, model.text.merges)
        tokenize(self.tokenizer, few, model.text.max_tokens)

    def run(self):
        vae = self.timed("vae", self.train_vae)
        sora = self.timed("dit", self.train_dit, vae)
        if self.config.expands:
            sora = self.timed("expander", self.train_expander, sora)
        if parallel.place()[0] > 0:
            return sora, None
        sora.save_pretrained(self.out / "model", force=True, train=to_dict(self.config))
        sora = MiniSora.from_pretrained(self.out / "model", self.device)  # what is judged is what is kept
        report = self.timed("verdict", self.judge, sora)
        print(self.table(), table(report), sep="\n\n")
        checkpoint.write_file(self.out / "training.txt", self.log().encode())
        return sora, report

    def samples(self, count):
        """What to show and judge the model by on its way: [(row, so many clips)], at its own size, a row
        for each family, or one of the first clips of a folder."""
        c = self.config
        if c.data.folder:
            own = stream(c, 1)
            row = Row("own clips", "", size=c.model.size, frames=max(own.frames))
            shots = [shot for shot in own.shots if len(shot[0]) >= row.frames][:count]
            return [(row, [SimpleNamespace(video=v[: row.frames], caption=p, actions=()) for v, p in shots])]
        names = dict.fromkeys(c.model.families)
        rows = [Row(name, name, size=c.model.size, frames=c.model.frames) for name in names]
        return [(row, row.clips(count)) for row in rows]

    def given(self):
        """What the settings only name, as text that is another where it has changed: the weights that a run
        starts from, the clips of a folder."""
        weights = digest(self.start) if self.start else ""
        return weights + (stream(self.config, 1).digest() if self.config.data.folder else "")

    def train_vae(self):
        if self.start:
            return self.start.vae, "", f"that of {self.config.start}"
        c, how = self.config, self.config.vae
        torch.manual_seed(c.seed)
        vae = VAE(c.model.vae).to(self.device, memory_format=torch.channels_last)
        fresh = stream(c, how.fit.batch, how.frames, how.families)
        steps = how.fit.steps * parallel.place()[1]
        data = reused(how, fresh, steps, lambda shots: shots._replace(clips=shots.clips.to(self.device)))
        few = stream(c, 8, how.frames, how.families)  # enough to measure the latents, whatever the batch
        sample = [to_pixels(few[i].clips.to(self.device)) for i in range(32)]

        clips = [clip for _, some in self.samples(32) for clip in some]
        prompts, actions = [clip.caption for clip in clips], [clip.actions for clip in clips]
        truth = np.stack([clip.video for clip in clips])

        def preview(model):
            model.measure_latents(sample)
            rebuilt, psnr = through_vae(model, truth)
            reports = judge(rebuilt, prompts, actions)
            right = {"right": scores(reports)["all"]} if any(reports) else {}
            shown = sheet(rebuilt[::8], prompts[::8], map(judged, reports[::8]))
            return {"psnr": psnr.mean().item(), **right}, shown

        setup = {"model": to_dict(c.model.vae), "vae": to_dict(how), "given": self.given()}
        out = self.out / "vae"
        loss = vae_objective(c, self.device)
        vae, value = fit(vae, loss, data, how.fit, out, preview=preview, setup=setup, **self.options)
        vae.measure_latents(sample)
        _, psnr = through_vae(vae, truth)
        return vae.eval(), f"{value:.4f}", f"{psnr.mean():.1f} dB"

    def train_dit(self, vae):
        c, how = self.config, self.config.dit
        torch.manual_seed(c.seed + 1)
        network = self.start.sora if self.start else Sora(c.model).to(self.device)
        known = self.start.words if self.start else frozenset()
        model, tokenizer = c.model, self.tokenizer
        if c.data.folder:  # of clips that the captioner knows nothing of
            model = replace(model, sampling=replace(model.sampling, best_of=1))
        sora = MiniSora(model, vae, network, tokenizer, known.union(self.words))
        if self.start and not how.fit.steps:
            return sora, "", f"that of {c.start}"

        encode = to_latents(vae, how.fit.precision)
        store = partial(reused, how, change=encode)
        data = self.shown = self.shown or course(c, how.fit.batch, store)
        loss = dit_objective(c, tokenizer, self.device, None if how.stored else encode)
        clips = self.samples(16)
        prompts = [clip.caption for _, some in clips for clip in some]
        actions = [clip.actions for _, some in clips for clip in some]

        def preview(_):
            videos = [video for row, some in clips for video in film(sora, row, some, best_of=1)]
            reports = judge(videos, prompts, actions)
            few = slice(0, None, len(clips))
            right = {"right": scores(reports)["all"]} if any(reports) else {}
            return right, sheet(videos[few], prompts[few], map(judged, reports[few]))

        setup = {"model": to_dict(c.model), "dit": to_dict(how), "given": self.given()}
        out = self.out / "dit"
        _, value = fit(network, loss, data, how.fit, out, preview=preview, setup=setup, **self.options)
        return sora, f"{value:.4f}", f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f}M parameters"

    def train_expander(self, sora):
        c, how = self.config, self.config.expander
        torch.manual_seed(c.seed + 2)
        expander = Writer(c.model.expander, sora.tokenizer.size, c.model.text.width).to(self.device)
        own = self.start and replace(self.start.config.expander, temperature=c.model.expander.temperature)
        if own == c.model.expander:
            expander.load_state_dict(self.start.expander.state_dict())
        reads = digest(sora.sora.text)
        sora = MiniSora(c.model, sora.vae, sora.sora, sora.tokenizer, sora.words, expander)
        data = Captions(c.data, how.families, how.fit.batch, c.seed + (3 << 20))
        prompts = [brief for brief, _ in data.unseen(32, c.model.size, c.model.frames)]

        def preview(_):
            long = sora.expand(prompts)
            text = "\n\n".join(f"{prompt}\n    {told}" for prompt, told in zip(prompts, long, strict=True))
            return {"faithful": faithful(prompts, long).mean()}, text

        setup = {"model": to_dict(c.model), "expander": to_dict(how), "reads": reads}
        loss, out = expander_objective(sora), self.out / "expander"
        _, value = fit(expander, loss, data, how.fit, out, preview=preview, setup=setup, **self.options)
        return sora, f"{value:.4f}", f"{faithful(prompts, sora.expand(prompts)).mean():.1%} of prompts kept"

    def judge(self, sora):
        if self.config.data.folder:
            return self.look(sora)
        folder = self.out / "report"
        begun = self.options["resume"] and about_of(sora).items() <= kept(folder).items()
        with progress_bar("rows", self.quiet) as progress:
            report = evaluate(sora, self.config.judged, folder=folder, resume=begun, progress=progress)
        right = [(name, row["model"]["all"], row["ceiling"]["all"]) for name, row in report["rows"].items()]
        return report, "", f"{right[0][0]}: {right[0][1]:.1%} right, ceiling {right[0][2]:.1%}"

    def look(self, sora):
        """Where no checker knows the clips, they can only be looked at."""
        (row, clips), *_ = self.samples(24)
        prompts = [clip.caption for clip in clips]
        _, psnr = through_vae(sora.vae, np.stack([clip.video for clip in clips]))
        examples = list(zip(film(sora, row, clips), prompts, [None] * len(clips), strict=True))
        figures = [["VAE: PSNR, dB", float(psnr.mean()), ">= 34", 38, None, spread(psnr), len(clips)]]
        report = {"config": to_dict(sora.config), "rows": {}, "tasks": {}, "figures": figures}
        folder = self.out / "report"
        show(folder, "own clips", examples)
        keep(folder, report)
        return report, "", f"{len(clips)} clips to look at in {folder / 'clips'}"

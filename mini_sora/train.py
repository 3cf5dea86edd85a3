"""The presets, and the stages that turn one into a model: data, VAE, latents, text + DiT, verdict."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from . import checkpoint
from .config import check_numbers, difference, require, to_dict
from .data import FAMILY_NAMES, Clips, encode_all, to_pixels
from .diffusion import SCHEDULES, TimeSampling, diffusion_loss
from .dit import DiTConfig
from .evaluate import evaluate, judge, scores, sheet, table, through_vae
from .fit import FitConfig, fit
from .pipeline import MiniSora, ModelConfig, SamplerConfig, Sora, check_device, words_of
from .text import TextConfig, Tokenizer, tokenize
from .vae import VAE, VAEConfig, vae_loss


@dataclass(frozen=True)
class VAETraining:
    """frames: of the stretches that a batch is made of; weights: of the loss, see vae_loss."""

    frames: int = 5
    kl_weight: float = 4e-3
    body_weight: float = 8.0
    fit: FitConfig = FitConfig(steps=1400, batch=16, adam_rate=3e-3, muon_rate=0.02, preview_every=1400)

    def __post_init__(self):
        check_numbers(self, kl_weight=(0, 1e3), body_weight=(0, 1e3))


@dataclass(frozen=True)
class DiTTraining:
    """drop_prompt: how often the prompt is left out, for guidance; time: how t is drawn;
    own_times: the share of clips in which each latent frame has a noise time of its own (Chen et
    al. 2024, Diffusion Forcing): the clear frames teach what the noisy ones have to agree with."""

    drop_prompt: float = 0.1
    own_times: float = 0.5
    time: TimeSampling = TimeSampling("logit-normal", 1.0)
    fit: FitConfig = FitConfig(steps=1500, batch=32, adam_rate=4e-3, muon_rate=0.03, preview_every=750)

    def __post_init__(self):
        check_numbers(self, drop_prompt=(0, 1), own_times=(0, 1))


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run: clips to make, the model, and its two trainings."""

    family: str = "shapes-simple"
    clips: int = 8192
    judged: int = 256
    seed: int = 0
    model: ModelConfig = ModelConfig()
    vae: VAETraining = VAETraining()
    dit: DiTTraining = DiTTraining()

    def __post_init__(self):
        check_numbers(self, low=1, high=1e7, seed=(0, 2**40))
        names = ", ".join(FAMILY_NAMES)
        require(self.family in FAMILY_NAMES, f"there is no family {self.family!r}; there is: {names}")
        frames = self.vae.frames
        require(frames <= self.model.frames, f"vae.frames is {frames}; a clip has {self.model.frames}")
        self.model.latent_shape(self.model.size, frames)
        fine = min(self.model.size) >= 24
        require(fine, f"model.size is {self.model.size}; the world is drawn from 24 pixels upwards")


LEAVES = ("config.json", "vae", "dit", "model", "report.json", "sheet.png")  # what a run leaves in --out
_SMOKE_FIT = FitConfig(steps=4, batch=4, warmup=1, save_every=2, preview_every=4)
PRESETS = {
    "quick": TrainConfig(),
    "smoke": TrainConfig(
        clips=32,
        judged=4,
        model=ModelConfig(
            vae=VAEConfig(channels=4, encoder_width=16, decoder_width=16),
            text=TextConfig(width=32, layers=1, merges=40),
            dit=DiTConfig(width=48, layers=2, heads=2),
            sampling=SamplerConfig(steps=4),
        ),
        vae=VAETraining(fit=_SMOKE_FIT),
        dit=DiTTraining(fit=_SMOKE_FIT),
    ),
}


def train(config, out, resume=False, force=False, device="cpu", inexact=False, quiet=False):
    """Run every stage into a directory and leave a model there that from_pretrained loads.

    resume: go on with the run that is there; force: delete it and start afresh; inexact: resume on
    another machine too. Prints a table at the end. Returns (model, report). Raises UserError.
    """
    check_device(device)
    out = Path(out)
    settings = out / "config.json"
    require(not (resume and force), "--resume and --force exclude one another; choose one")
    require(settings.is_file() or not resume, f"there is no run to resume in {out}; check the path")
    advice = "go on with --resume, replace it with --force, or choose another --out"
    require(resume or force or not settings.exists(), f"{out} holds an earlier run; {advice}")
    with checkpoint.locked(out):
        if settings.exists():
            earlier = read_settings(settings)
            changed = difference(earlier, json.loads(json.dumps(to_dict(config))))
            require(force or not changed, f"the run in {out} has other settings: {'; '.join(changed)}")
        if force:
            for name in LEAVES:
                path = out / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        checkpoint.write_file(settings, json.dumps(to_dict(config), indent=1).encode())
        return Stages(config, out, resume, device, inexact, quiet).run()


def read_settings(path):
    """The settings of an earlier run, a table. Raises UserError if the file is no run's."""
    try:
        settings = json.loads(path.read_text())
    except (OSError, ValueError):
        settings = None
    ours = isinstance(settings, dict) and {"family", "model", "vae", "dit"} <= set(settings)
    require(ours, f"{path} is not the config of a run; choose another --out")
    return settings


class Stages:
    """One run: each stage is a method, and leaves its line in the table."""

    def __init__(self, config, out, resume, device, inexact, quiet):
        self.config, self.out, self.device, self.quiet = config, out, device, quiet
        self.options = {"resume": resume, "inexact": inexact, "quiet": quiet, "seed": config.seed}
        self.rows = []

    def run(self):
        clips = self.timed("data", self.make_clips)
        vae = self.timed("vae", self.train_vae, clips)
        latents = self.timed("latents", self.make_latents, vae, clips)
        sora = self.timed("dit", self.train_dit, vae, latents, clips.captions)
        report = self.timed("verdict", self.judge, sora)
        print(self.table(), table(report), sep="\n\n")
        return sora, report

    def timed(self, name, stage, *inputs):
        """Run a stage and note its seconds, loss and figure."""
        began = time.perf_counter()
        result, loss, figure = stage(*inputs)
        self.rows.append((name, time.perf_counter() - began, loss, figure))
        return result

    def table(self):
        lines = [f"{'stage':10}{'seconds':>8}{'loss':>9}  figure"]
        for name, seconds, loss, figure in self.rows:
            lines.append(f"{name:10}{seconds:8.1f}{loss:>9}  {figure}")
        lines.append(f"{'total':10}{sum(row[1] for row in self.rows):8.1f}")
        return "\n".join(lines)

    def make_clips(self):
        c = self.config
        clips = Clips.make(c.family, c.clips, c.model.size, c.model.frames)
        return clips, "", f"{c.clips} clips of {c.family}"

    def train_vae(self, clips):
        c, how = self.config, self.config.vae
        torch.manual_seed(c.seed)
        vae = VAE(c.model.vae).to(self.device, memory_format=torch.channels_last)

        def loss(forward, generator):
            x = clips.draw(how.fit.batch, how.frames, generator)
            shape = (len(x), *c.model.latent_shape(c.model.size, how.frames))
            noise = torch.randn(shape, generator=generator)
            return vae_loss(forward, x.to(self.device), noise.to(self.device), how.kl_weight, how.body_weight)

        test = Clips.make(c.family, 64, c.model.size, c.model.frames, "test")

        def preview(model):
            model.measure_latents(clips_sample(clips, self.device))
            rebuilt, psnr = through_vae(model, test.video)
            reports = judge(rebuilt, test.captions)
            return {"psnr": psnr, "right": scores(reports)["all"]}, sheet(rebuilt, test.captions, reports)

        setup = {"model": to_dict(c.model.vae), "vae": to_dict(how)}
        vae, value = fit(vae, loss, how.fit, self.out / "vae", preview=preview, setup=setup, **self.options)
        vae.measure_latents(clips_sample(clips, self.device))
        _, psnr = through_vae(vae, test.video)
        return vae.eval(), f"{value:.4f}", f"{psnr:.1f} dB"

    def make_latents(self, vae, clips):
        latents = encode_all(vae, clips.video)
        ratio = clips.video[0].size / latents[0].numel()
        return latents, "", f"{ratio:.1f} times fewer numbers than pixels"

    def train_dit(self, vae, latents, captions):
        c, how = self.config, self.config.dit
        torch.manual_seed(c.seed + 1)
        tokenizer = Tokenizer.train(captions[:2000], c.model.text.merges)
        network = Sora(c.model).to(self.device)
        words = {word for caption in captions for word in words_of(caption)}
        sora = MiniSora(c.model, vae, network, tokenizer, words)
        schedule, kind = SCHEDULES[c.model.sampling.schedule](), c.model.sampling.target
        tokens, mask = tokenize(tokenizer, ["", *captions], c.model.text.max_tokens)

        def loss(forward, generator):
            rows = torch.randint(len(latents), (how.fit.batch,), generator=generator)
            dropped = torch.rand(len(rows), generator=generator) < how.drop_prompt
            text = torch.where(dropped, 0, rows + 1)
            length = int(mask[text].sum(1).max())
            words, shown = tokens[text, :length].to(self.device), mask[text, :length].to(self.device)
            z_0 = latents[rows]
            t = how.time((len(rows), z_0.shape[2]), generator)
            shared = torch.rand(len(rows), 1, generator=generator) >= how.own_times
            t = torch.where(shared, t[:, :1], t)  # (B, K)
            z_0, t, eps = (x.to(self.device) for x in (z_0, t, torch.randn(z_0.shape, generator=generator)))
            return diffusion_loss(lambda z_t, t: forward(z_t, t, words, shown), schedule, kind, z_0, t, eps)

        test = Clips.make(c.family, 16, c.model.size, c.model.frames, "test")

        def preview(_):
            videos = [video.frames for video in sora.generate(list(test.captions))]
            reports = judge(videos, test.captions)
            return {"right": scores(reports)["all"]}, sheet(videos, test.captions, reports)

        setup = {"model": to_dict(c.model), "dit": to_dict(how)}
        _, value = fit(network, loss, how.fit, self.out / "dit", preview=preview, setup=setup, **self.options)
        sora.save_pretrained(self.out / "model", force=True, train=to_dict(c))
        return sora, f"{value:.4f}", f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f}M parameters"

    def judge(self, sora):
        report, examples = evaluate(sora, self.config.judged)
        videos, captions, reports = zip(*examples, strict=True)
        checkpoint.write_file(self.out / "sheet.png", sheet(videos, captions, reports))
        checkpoint.write_file(self.out / "report.json", json.dumps(report, indent=1).encode())
        return report, "", f"{report['model']['all']:.1%} right, ceiling {report['ceiling']['all']:.1%}"


def clips_sample(clips, device):
    """Enough clips to measure latents on."""
    return to_pixels(clips.video[:256]).to(device)

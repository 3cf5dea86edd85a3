"""How good a model is, in numbers: its clips against their prompts, beside what is possible."""

import math
import time

import numpy as np
import torch

from data_gen import WorldError, check, make_batch

from .data import to_pixels, to_uint8
from .viz import contact_sheet


def interval(rate, n):
    """The 95% interval of a rate seen in n trials (Wilson 1927): (low, high)."""
    z = 1.96
    middle, half = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def judge(videos, captions):
    """The checker's reports on videos, uint8 (T, H, W, 3) each; None where a caption does not parse."""

    def one(video, caption):
        try:
            return check(video, caption)
        except WorldError:
            return None

    return [one(video, caption) for video, caption in zip(videos, captions, strict=True)]


def scores(reports):
    """Shares right over reports, {"all": share, attribute: share, ...}; None does not count."""
    rows = [report for report in reports if report]
    if not rows:
        return {}
    names = list(dict.fromkeys(name for report in rows for name in report.attributes))
    table = {"all": [report.ok for report in rows]}
    for name in names:
        table[name] = [report.attributes[name] for report in rows if name in report.attributes]
    return {name: float(np.mean(values)) for name, values in table.items()}


def verdict(report):
    """A report in words; None is a prompt whose facts the checker cannot read."""
    if report is None:
        return "not judged"
    return "as asked" if report.ok else "; ".join(report.why)


def sheet(videos, captions, reports, count=24):
    """A contact sheet of the first clips, each under its caption and verdict, as PNG bytes."""
    rows = list(zip(captions, reports, strict=True))[:count]
    titles = [(f"{caption}  [{verdict(report)}]", report.ok if report else None) for caption, report in rows]
    return contact_sheet(list(videos[:count]), titles)


@torch.no_grad()
def through_vae(vae, video):
    """Truth through the VAE, the best that any latent model can do: uint8 to uint8, and its PSNR in dB."""
    x, device = to_pixels(video), vae.latent_mean.device
    rebuilt = torch.cat([vae.decode(vae.encode(part.to(device))).cpu() for part in x.split(64)])
    error = ((rebuilt - x) / 2).pow(2).mean((1, 2, 3, 4))
    return to_uint8(rebuilt), float((-10 * error.log10()).mean())


def evaluate(sora, count=256, split="test", family="shapes-simple", seed=0, **sampling):
    """Judge a model on the captions of unseen scenes.

    Returns (report, examples): report has, for model, ceiling (truth through the VAE) and truth,
    the share of clips with each attribute right, with the 95% interval of "all", the VAE's PSNR and
    the seconds a clip; examples are (video, caption, verdict) of the model. Same seed, same figures.
    """
    config = sora.config
    truth = make_batch(family, range(count), config.size, config.frames, split)
    rebuilt, psnr = through_vae(sora.vae, truth.video)
    began = time.perf_counter()
    made = sora.generate(list(truth.captions), seed=seed, **sampling)
    seconds = (time.perf_counter() - began) / count
    videos = [video.frames for video in made]
    judged = {
        "model": judge(videos, truth.captions),
        "ceiling": judge(rebuilt, truth.captions),
        "truth": judge(truth.video, truth.captions),
    }
    report = {"clips": count, "split": split, "family": family, "psnr": psnr, "seconds_per_clip": seconds}
    for name, reports in judged.items():
        report[name] = scores(reports)
        report[name]["interval"] = interval(report[name]["all"], count)
    return report, list(zip(videos, truth.captions, judged["model"], strict=True))


def table(report):
    """The report as text for a terminal."""
    rows = [f"{report['clips']} clips of {report['family']}, split {report['split']}; the VAE alone: "]
    rows[0] += f"{report['psnr']:.1f} dB"
    names = [name for name in report["model"] if name != "interval"]
    rows.append(f"{'':14}{'model':>8}{'ceiling':>10}{'truth':>8}")
    for name in names:
        shown = "all right" if name == "all" else name
        values = [report[who].get(name, float("nan")) for who in ("model", "ceiling", "truth")]
        rows.append(f"{shown:14}{values[0]:8.1%}{values[1]:10.1%}{values[2]:8.1%}")
    low, high = report["model"]["interval"]
    rows.append(
        f"all right, 95% interval: {low:.1%} to {high:.1%}; {report['seconds_per_clip']:.2f} s a clip"
    )
    return "\n".join(rows)

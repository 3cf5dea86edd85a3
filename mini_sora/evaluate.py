"""Whether a clip is what was asked for, and how good a clip of this VAE can be."""

import math
import textwrap

import numpy as np
import torch

from data_gen import WorldError, check, displacements, parse

from .data import to_pixels, to_uint8
from .model import at_once
from .prompts import is_long
from .sharing import on_all_cores
from .video import FPS
from .viz import contact_sheet


def interval(rate, n):
    """The 95% interval of a rate seen in n trials (Wilson 1927): (low, high)."""
    z = 1.96
    middle, half = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def spread(values, over=np.mean):
    """The 95% interval of the mean, or of another figure over clips, of each clip's value, (B,): (low, high).
    Where these are true or false Wilson's, else that of a thousand draws of clips (Efron 1979), always the
    same ones."""
    if values.dtype == bool:
        return interval(values.mean(), len(values))
    drawn = np.random.default_rng(0).integers(len(values), size=(1000, len(values)))
    return tuple(np.quantile(over(values[drawn], axis=1), (0.025, 0.975)).tolist())


def fine(value, asked):
    """Whether a value is as asked: '>= 34' or '<= 1.5'."""
    sign, limit = asked.split()
    return value >= float(limit) if sign == ">=" else value <= float(limit)


def judge(videos, prompts, actions=None):
    """The checker's reports on videos, uint8 (T, H, W, 3) each; None where a prompt does not parse."""

    def one(video, prompt, taken):
        try:
            return check(video, prompt, taken or None)
        except WorldError:
            return None

    actions = actions or [()] * len(videos)
    return on_all_cores(one, videos, prompts, actions)


def facts_right(reports):
    """Whether all that was told is right, whether or not something flickers, comes or goes besides: bool
    (B,)."""
    told = [[v for name, v in report.attributes.items() if name != "steady"] for report in reports]
    return np.array([all(values) for values in told])


def scores(reports):
    """Shares right over reports, {"all": share, "facts": share, attribute: share, ...}; None does not
    count. facts: see facts_right."""
    rows = [report for report in reports if report]
    if not rows:
        return {}
    names = list(dict.fromkeys(name for report in rows for name in report.attributes))
    table = {"all": [report.ok for report in rows], "facts": facts_right(rows)}
    for name in names:
        table[name] = [report.attributes[name] for report in rows if name in report.attributes]
    return {name: float(np.mean(values)) for name, values in table.items()}


def faithful(prompts, expansions):
    """Whether each prompt is told at length by its expansion and says the same there: bool, of those that
    the world can read."""
    kept = []
    for prompt, expansion in zip(prompts, expansions, strict=True):
        try:
            asked = parse(prompt)
        except WorldError:
            continue
        try:
            same = asked.items() <= parse(expansion).items()
            kept.append(same and is_long(expansion))
        except WorldError:
            kept.append(False)
    return np.array(kept, bool)


def verdict(report):
    """A report in words, its first two reasons; None is a prompt that the checker cannot read."""
    if report is None:
        return "not judged"
    return "as asked" if report.ok else "; ".join(report.why[:2])


def judged(report):
    """(a report in words, whether it is a good one or None)."""
    return verdict(report), report and report.ok


def judgements(videos, prompts, own):
    """As judged, of videos of one length. Those of three times the model's own length or more are judged
    piece by piece, as they were made: each so long must be as the prompt says."""
    if len(videos[0]) < 3 * own:
        return [*map(judged, judge(videos, prompts))]
    return [_in_pieces(video, prompt, own) for video, prompt in zip(videos, prompts, strict=True)]


def _in_pieces(video, prompt, own):
    starts = [*range(0, len(video) - own, max(1, own - 1)), len(video) - own]
    pieces = [video[i : i + own] for i in starts]
    reports = judge(pieces, [prompt] * len(pieces))
    if None in reports:  # which they all are, as the prompt is one that the checker cannot read
        return judged(None)
    right = sum(report.ok for report in reports)
    return f"as asked in {right} of {len(pieces)} pieces of {own / FPS:.0f} seconds", right == len(pieces)


def led(video, actions):
    """How many of the actions a video follows, in words."""
    right = displacements(video, actions)
    return f"{right.sum()} of {len(right)} actions lead where they may"


def sheet(videos, prompts, verdicts, count=24):
    """A contact sheet of the first clips, each under its prompt and verdict (see judged), as PNG bytes."""
    titles = []
    for prompt, (words, right) in list(zip(prompts, verdicts, strict=True))[:count]:
        titles.append((f"{textwrap.shorten(prompt, 110)}  [{textwrap.shorten(words, 110)}]", right))
    return contact_sheet(list(videos[:count]), titles)


@torch.no_grad()
def through_vae(vae, video):
    """Truth through the VAE, the best that any latent model can do: uint8 to uint8 (B, T, H, W, 3),
    and the PSNR of each clip in dB, (B,)."""
    x, device, (t, h, w) = to_pixels(video), vae.latent_mean.device, video.shape[1:4]
    parts = x.split(at_once((1 + (t - 1) // 4) * h * w // 64))
    rebuilt = torch.cat([vae.decode(vae.encode(part.to(device))).cpu() for part in parts])
    error = ((rebuilt - x) / 2).pow(2).mean((1, 2, 3, 4))
    return to_uint8(rebuilt), (-10 * error.log10()).numpy()

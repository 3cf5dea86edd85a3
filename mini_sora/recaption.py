"""How the captioner is trained, and measured: its captions against what is true of the scenes."""

from dataclasses import replace

import numpy as np
import torch

from data_gen import WorldError, code_digest, compare, parse

from . import checkpoint, parallel
from .captioner import Captioner, CaptionNetwork
from .config import difference, require, to_dict
from .data import Captions, Course, Stream, area, to_pixels
from .evaluate import interval
from .fit import fit
from .objectives import reused
from .prompts import next_token_loss
from .report import clear, digest, keep, show
from .rows import Row
from .text import Tokenizer, encoded, tokenize
from .train import Run
from .viz import progress_bar

FAMILY = ("scene", "family")  # what words it is told in, so no fact that counts


def captions_course(config):
    """What the network is shown, easy things first (see Captioning): a Course."""
    how, ranks = config.network, parallel.place()[1]
    whole = how.fit.batch * area(config.model.frames, config.model.size)
    short = replace(config.data, long_prompts=0.0)
    pictures = replace(short, frames=(1,))
    squares = replace(pictures, sides=(min(config.model.size),), wide=False)
    kinds = [
        (squares, (how.single,)),
        (pictures, (how.several,)),
        (short, (how.single,)),
        (short, (how.several,)),
        (config.data, config.model.families),
    ]
    counts = [*how.course, how.fit.steps - sum(how.course)]
    # Seeds keep the parts apart: no scene comes in two of them.
    parts = [
        (steps * ranks, Stream(data, families, whole, config.seed + (place << 20)))
        for place, (steps, (data, families)) in enumerate(zip(counts, kinds, strict=True))
    ]
    return Course([(steps, reused(how, data, steps)) for steps, data in parts if steps])


def captioner_objective(writer, tokenizer, most):
    """What the network is trained on: the loss that fit takes, of a batch of clips, but for those whose
    captions have more tokens than `most`. writer: the decoder, for what stands before the first token."""

    def loss(forward, shots, generator):
        device = writer.embedding.weight.device
        fitting = [i for i, caption in enumerate(shots.prompts) if len(encoded(tokenizer, caption)) <= most]
        require(fitting, f"no caption has as few as model.max_tokens, {most}; set it higher")
        captions = [shots.prompts[i] for i in fitting]
        tokens, filled = (x.to(device) for x in tokenize(tokenizer, captions, most))
        start = writer.starts(captions)
        return next_token_loss(forward, start, tokens, filled, to_pixels(shots.clips[fitting].to(device)))

    return loss


def told_by(caption):
    """The facts that a caption tells, none where it cannot be read."""
    try:
        return {key: value for key, value in parse(caption).items() if key != FAMILY}
    except WorldError:
        return {}


def is_true(told, clip):
    """Whether something is told of a clip, and all of it is so: the facts of a short caption."""
    return bool(told) and told.items() <= clip.facts.items()


def tells_all(told, clip):
    """The Report on whether every fact of a clip is told, and no body, event or camera that is not there. (Of
    a body that is there, more may be told: what lies between two words is no fact of the scene.)"""
    known = {subject for subject, _ in clip.facts if subject != "scene"}
    extra = [key for key in told if key not in clip.facts and key[0] not in known]
    return compare(clip.facts, told, [f"there is no {what} of {whom} to tell" for whom, what in extra])


def asked_of(config):
    """What a captioner is asked for in its report, by its CaptionerConfig: Rows."""
    whole = {"size": config.size, "frames": config.frames}
    rows = []
    if "shapes" in config.families:
        bodies = {"one body": (1,), "two bodies": (2,), "three and four": (3, 4)}
        rows = [Row(f"shapes, {name}", "shapes", bodies=some, **whole) for name, some in bodies.items()]
        held = "shapes-simple" if "shapes-simple" in config.families else ""
        rows.append(Row("shapes, heldout", "shapes", "heldout", unlike=held, **whole))
        rows.append(Row("shapes, images", "shapes", size=config.size, frames=1))
    others = [name for name in dict.fromkeys(config.families) if name not in ("shapes", "shapes-simple")]
    return rows + [Row(name, name, **whole) for name in others]


def caption_figures(captioner, clips, seed=0):
    """How good a captioner's captions of some clips are: (a table of figures, [(long caption, Report)]).

    short: the share of short captions of which everything is true; long: of long ones that tell every fact
    of the scene, see tells_all; facts: of the facts of all scenes, those that the long ones tell; chance: the
    same for the captions of other clips, of each the one before; attributes: the facts by their kinds.
    """
    videos = [clip.video for clip in clips]
    short, long = (captioner.caption(videos, long=long, seed=seed) for long in (False, True))
    told = [told_by(caption) for caption in long]
    reports = [tells_all(*pair) for pair in zip(told, clips, strict=True)]
    attributes, chance = {}, []
    for own, other, clip in zip(told, [told[-1], *told[:-1]], clips, strict=True):
        for key, value in clip.facts.items():
            if key != FAMILY:
                attributes.setdefault(key[1], []).append(own.get(key) == value)
                chance.append(other.get(key) == value)
    figures = {
        "short": [is_true(told_by(caption), clip) for caption, clip in zip(short, clips, strict=True)],
        "long": [report.ok for report in reports],
        "facts": [fine for some in attributes.values() for fine in some],
        "chance": chance,
    }
    figures = {name: float(np.mean(some)) for name, some in figures.items()}
    figures["attributes"] = {name: float(np.mean(some)) for name, some in attributes.items()}
    return figures, list(zip(long, reports, strict=True))


def evaluate_captions(captioner, count, folder=None, progress=None, seed=0):
    """Measure a captioner on unseen scenes: {"digest": what its weights are, "rows": {name: figures}}.

    folder: where report.json is kept, with the first clips of each row in clips/, and the first whose
    captions are not right in failures/; progress: called with (done, all, name) before the first, with its
    name, and after each; seed: of the wordings.
    """
    rows = asked_of(captioner.config)
    about = {"digest": digest(captioner), "world": code_digest()[:16]}
    report = about | {"clips": count, "seed": seed, "rows": {}}
    if folder:
        clear(folder)
    if progress:
        progress(0, len(rows), rows[0].name)
    for done, row in enumerate(rows, 1):
        clips = row.clips(count)
        figures, told = caption_figures(captioner, clips, seed)
        report["rows"][row.name] = figures | {"clips": count, "interval": interval(figures["long"], count)}
        if folder:
            keep(folder, report)
            show(folder, row.name, [(clip.video, *some) for clip, some in zip(clips, told, strict=True)])
        if progress:
            progress(done, len(rows), row.name)
    return report


def table_of_captions(report):
    """The report as text for a terminal."""
    heads = f"{'short':>8}{'long':>8}{'95% interval':>17}{'facts':>8}{'of another':>12}"
    lines = [f"{'captions right':24}{'clips':>6}{heads}"]
    for name, row in report["rows"].items():
        between = "{:.1%} to {:.1%}".format(*row["interval"])
        lines.append(
            f"{name:24}{row['clips']:6}{row['short']:8.1%}{row['long']:8.1%}{between:>17}"
            f"{row['facts']:8.1%}{row['chance']:12.1%}"
        )
    return "\n".join(lines)


class CaptionerStages(Run):
    """The run of a captioner: its network, verdict."""

    def load_start(self):
        """The captioner to learn on from. Raises UserError unless it has the network of these settings."""
        start = Captioner.from_pretrained(self.config.start, self.device)
        judged = {key: getattr(self.config.model, key) for key in ("families", "size", "frames")}
        other = "; ".join(difference(to_dict(replace(start.config, **judged)), to_dict(self.config.model)))
        require(not other, f"{self.config.start} is another captioner than these settings make: {other}")
        return start

    def run(self):
        captioner = self.timed("network", self.train_network)
        if parallel.place()[0] > 0:
            return captioner, None
        captioner.save_pretrained(self.out / "model", force=True, train=to_dict(self.config))
        captioner = Captioner.from_pretrained(self.out / "model", self.device)  # judged is what is kept
        report = self.timed("verdict", self.judge, captioner)
        print(self.table(), table_of_captions(report), sep="\n\n")
        checkpoint.write_file(self.out / "training.txt", self.log().encode())
        return captioner, report

    def train_network(self):
        c, how = self.config, self.config.network
        torch.manual_seed(c.seed)
        if self.start:
            network, tokenizer = self.start.network, self.start.tokenizer
        else:
            pairs = Captions(c.data, tuple(dict.fromkeys(c.model.families)), 128, c.seed + (5 << 20))
            texts = [text for i in range(16) for pair in pairs[i][1] for text in pair]  # of several lengths
            tokenizer = Tokenizer.train(texts, c.model.merges)
            network = CaptionNetwork(c.model, tokenizer.size).to(self.device)
        captioner = Captioner(c.model, network, tokenizer)
        clips = [clip for row in asked_of(c.model) for clip in row.clips(8)]

        def preview(_):
            figures, told = caption_figures(captioner, clips)
            del figures["attributes"]
            few = zip(clips[::4], told[::4], strict=True)
            return figures, "\n\n".join(f"{clip.long_caption}\n    {said}" for clip, (said, _) in few)

        setup = {"model": to_dict(c.model), "data": to_dict(c.data), "network": to_dict(how)}
        setup |= {"given": digest(self.start) if self.start else ""}
        loss, data = captioner_objective(network.writer, tokenizer, c.model.max_tokens), captions_course(c)
        out = self.out / "network"
        _, value = fit(network, loss, data, how.fit, out, preview=preview, setup=setup, **self.options)
        size = sum(p.numel() for p in network.parameters()) / 1e6
        return captioner, f"{value:.4f}", f"{size:.1f}M parameters"

    def judge(self, captioner):
        with progress_bar(hidden=self.quiet) as progress:
            report = evaluate_captions(captioner, self.config.judged, self.out / "report", progress)
        name, row = next(iter(report["rows"].items()))
        return report, "", f"{name}: {row['long']:.1%} of long captions right"

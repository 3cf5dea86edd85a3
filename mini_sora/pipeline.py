"""The trained parts together: from prompts, noise and what is known to videos."""

import functools
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from . import checkpoint
from .config import closest, from_dict, require, to_dict
from .data import to_pixels, to_uint8
from .diffusion import SCHEDULES, add_noise, guide
from .model import ModelConfig, SamplerConfig, Sora, check_size
from .prompts import BRIEF, Expander
from .samplers import draw_noise, sample
from .text import Tokenizer, tokenize, words_of
from .vae import VAE

WEIGHTS = Path(__file__).parent / "weights"
BATCH = 64  # clips made at a time
# What a call may change of the sampler's settings; the others are the training's.
ASKABLE = ("sampler", "steps", "guidance", "guide_from", "guide_to", "shift")


class Pipeline:
    """A trained model, loaded: apart from MiniSora, which is all that can be asked of it, as loading and
    denoising are a page of their own.

    vae, sora: networks on one device; tokenizer: of the prompts; words: those that training knew; expander:
    the network that tells short prompts at length, if the model has one.
    """

    def __init__(self, config, vae, sora, tokenizer, words=(), expander=None):
        if not expander:  # as its settings are to say
            config = replace(config, expander=replace(config.expander, layers=0))
        self.config, self.vae, self.sora, self.tokenizer = config, vae.eval(), sora.eval(), tokenizer
        self.words, self.expander = frozenset(words), expander and expander.eval()

    @classmethod
    def from_pretrained(cls, name, device="cpu"):
        """Load a shipped preset by name, or a directory that train or save_pretrained left.

        Raises UserError where there is none, where a file is damaged, or where a device is absent.
        """
        check_device(device)
        tensors, meta, place = load_pretrained(name, "config")
        config = from_dict(ModelConfig, meta["config"])
        parts, tokenizer = {"vae": VAE(config.vae), "sora": Sora(config)}, Tokenizer(meta["merges"])
        if config.expander.layers:
            parts["expander"] = Expander(config.expander, tokenizer.size, config.text.width)
        for name, part in parts.items():
            checkpoint.load_weights(part, tensors.get(name, {}), place)
            part.to(device)
        return cls(config, **parts, tokenizer=tokenizer, words=meta["words"])

    def save_pretrained(self, directory, force=False, **notes):
        """Write everything that from_pretrained needs, in one step; notes are kept beside it.
        Weights are rounded to float16.

        Raises UserError if the directory exists (without force) or cannot be written.
        """
        directory = Path(directory)
        require(force or not directory.exists(), f"{directory} exists; choose another, or force")
        tensors = {
            name: {key: value.half() for key, value in part.state_dict().items()}
            for name, part in (("vae", self.vae), ("sora", self.sora), ("expander", self.expander))
            if part is not None
        }
        meta = {"config": to_dict(self.config), "merges": self.tokenizer.merges, "words": sorted(self.words)}
        checkpoint.save(directory, tensors, {**meta, **notes})

    def unknown_words(self, prompt):
        """The words of a prompt that training never saw, in their order."""
        return [word for word in words_of(prompt) if word not in self.words]

    @torch.no_grad()
    def expand(self, prompt, frames=None, seed=0):
        """A short prompt told at length, as the world's long captions are; what it leaves open is chosen.

        prompt: a string, or a list of B; frames: of the video that is meant, 1 is an image; seed: of the
        first, the next has the next. As they are, but in lower case, come back prompts of BRIEF words or
        more, those with words that training never showed, and all where the model has no expander. Raises
        UserError.
        """
        prompts = [text.lower() for text in prompts_of(prompt)]
        brief = [len(text.split()) < BRIEF and not self.unknown_words(text) for text in prompts]
        places = [i for i, short in enumerate(brief) if short and self.expander]
        frames = self.config.frames if frames is None else frames
        check_size(self.config.size, frames)
        # Of their own, so that the words and the noise of a video have nothing to do with one another.
        sources = [g.manual_seed(2**62 + g.initial_seed()) for g in sources_of(seed, len(prompts))]
        for part in (places[i : i + BATCH] for i in range(0, len(places), BATCH)):
            tokens, mask = self.tokenize([prompts[i] for i in part])
            text, most = self.sora.text(tokens, mask), self.config.text.max_tokens
            written = self.expander.write(frames > 1, text, mask, most, [sources[i] for i in part])
            for i, row in zip(part, written, strict=True):
                prompts[i] = self._spelled(row or []) or prompts[i]
        return prompts[0] if isinstance(prompt, str) else prompts

    def _spelled(self, tokens):
        """The prompt that tokens spell, or none, where they spell no text, or one that is too long."""
        text = self.tokenizer.written(tokens)
        return text if len(self.tokenizer.encode(text)) <= self.config.text.max_tokens else ""

    @property
    def networks(self):
        """All that has weights."""
        return [part for part in (self.vae, self.sora, self.expander) if part]

    @property
    def device(self):
        return self.vae.latent_mean.device

    @torch.no_grad()
    def encode(self, video):
        """uint8 (B, T, H, W, 3) -> latents (B, C, K, h, w)."""
        return torch.cat([self.vae.encode(part.to(self.device)) for part in to_pixels(video).split(BATCH)])

    @torch.no_grad()
    def decode(self, z):
        """Latents (B, C, K, h, w) -> uint8 numpy (B, T, H, W, 3)."""
        return np.concatenate([to_uint8(self.vae.decode(part)) for part in z.split(BATCH)])

    @torch.no_grad()
    def _film(
        self,
        prompts,
        sources,
        shape,
        given=None,
        known=None,
        start=1.0,
        actions=None,
        progress=None,
        watch=None,
        **sampling,
    ):
        """Noise, and what is given, to latents, guided by the prompts; all public ways end here.

        prompts: B; sources: as many generators; shape: (C, K, h, w); given: latents (B, *shape);
        known: which latent frames of them stay, (K,) bool, by default none; start: the noise time that
        the others begin at; actions: (B, T - 1); progress: called with (done, all) steps; watch: with
        (done, guess of z_0), for each part of the batch. Returns (B, *shape).
        """
        for name in sampling:
            require(name in ASKABLE, f"there is no option {name!r}{closest(name, ASKABLE)}")
        how = from_dict(SamplerConfig, {**to_dict(self.config.sampling), **sampling})
        schedule, kind = SCHEDULES[how.schedule](), how.target
        known = torch.zeros(shape[1], dtype=torch.bool) if known is None else known
        made, parts = [], math.ceil(len(prompts) / BATCH)

        def tell(part, done, z_0):
            if progress:
                progress(part * how.steps + done, parts * how.steps)
            if watch:
                watch(done, z_0)

        for i in range(0, len(prompts), BATCH):
            part = slice(i, i + BATCH)
            z = draw_noise(shape, sources[part], self.device)
            mask = known.expand(len(z), -1).to(self.device)
            if given is not None:
                t = torch.where(mask, 0.0, start)
                z = add_noise(schedule, given[part], z, t)
            done = None if actions is None else actions[part].to(self.device)
            # Both are told the actions: what guidance goes past is the prompt alone.
            conditional, unconditional = (self._reader(texts, done) for texts in (prompts[part], [""]))
            denoiser = guide(conditional, unconditional, how.guidance, how.guide_from, how.guide_to)
            told = {"generators": sources[part], "watch": functools.partial(tell, i // BATCH)}
            made.append(
                sample(denoiser, schedule, kind, z, how.sampler, how.steps, mask, start, how.shift, **told)
            )
        return torch.cat(made)

    def tokenize(self, texts):
        """Prompts as the networks read them, in lower case: (tokens, mask), (B, L) each."""
        texts = [text.lower() for text in texts]
        return [x.to(self.device) for x in tokenize(self.tokenizer, texts, self.config.text.max_tokens)]

    def _reader(self, texts, actions):
        """A denoiser that has read some prompts, B or one for all."""
        tokens, mask = self.tokenize(texts)
        text = self.sora.text(tokens, mask)
        return lambda z_t, t: self.sora.dit(
            z_t, t, text.expand(len(z_t), -1, -1), mask.expand(len(z_t), -1), actions
        )


KINDS = {"config": "a model of videos", "captioner": "a captioner"}  # of model, by a key in its meta


def located(name):
    """Where a shipped preset is, or a model that train or save_pretrained left. Raises UserError."""
    places = [Path(name), Path(name) / "model", WEIGHTS / str(name)]
    found = [place for place in places if (place / "manifest.json").is_file()]
    begun = (places[0] / "config.json").is_file() and not {*places[:2]} & {*found}
    require(not begun, f"the run in {name} has no model yet; go on with train --resume")
    shipped = ", ".join(sorted(p.name for p in WEIGHTS.glob("*") if p.is_dir())) or "none"
    hint = f"give a directory that train made, or a shipped preset ({shipped})"
    require(found, f"there are no weights {str(name)!r}; {hint}")
    return found[0]


def load_pretrained(name, kind):
    """Weights by name: (tensors, meta, directory), see checkpoint.load. kind: of KINDS, what they must be
    of. Raises UserError."""
    place = located(name)
    tensors, meta = checkpoint.load(place)
    what = next((KINDS[key] for key in KINDS if key in meta), "a training checkpoint")
    require(kind in meta, f"{place} is {what}, not {KINDS[kind]}; give other weights")
    return tensors, meta, place


def is_captioner(name):
    """Whether these weights are a captioner's. Raises UserError where there are none."""
    return "captioner" in checkpoint.read_meta(located(name))


def prompts_of(prompt):
    """A prompt or several, as a list. Raises UserError for one that says nothing."""
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    require(prompts, "there is no prompt; give at least one")
    for text in prompts:
        require(text.strip(), 'the prompt is empty; describe a clip: "a red circle moves left"')
    return prompts


def sources_of(seed, count):
    """A source of randomness for each video: the first has this seed, the next the next."""
    fine = isinstance(seed, int | np.integer) and 0 <= seed < 2**62
    require(fine, f"the seed {seed} must be a whole number from 0")
    return [torch.Generator().manual_seed(int(seed) + i) for i in range(count)]


def check_device(device):
    """Raise UserError unless torch can compute on this device."""
    try:
        torch.zeros(1, device=device).cpu()  # which the device "meta" cannot do
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        absent = "cuda" in str(device) and not torch.cuda.is_available()
        reason = "there is no CUDA GPU here" if absent else str(error).splitlines()[0]
        require(False, f"the device {str(device)!r} cannot be used: {reason}; use --device cpu")


def warn_unknown(sora, prompt):
    """Say which words of a prompt the model never saw; it will guess what they mean."""
    if unknown := sora.unknown_words(prompt):
        names = ", ".join(repr(word) for word in dict.fromkeys(unknown[:8]))
        print(f"warning: training never showed {names}; the video may ignore it", file=sys.stderr)

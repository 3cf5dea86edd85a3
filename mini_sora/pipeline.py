"""The trained parts together: from prompts, noise and what is known to videos."""

import functools
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from . import checkpoint
from .captioner import Captioner, batch_of
from .config import closest, from_dict, require, to_dict
from .data import resized, to_pixels, to_uint8
from .diffusion import SCHEDULES, add_noise, guide, squared_error, unaware
from .model import BATCH, SHARPEN, ModelConfig, SamplerConfig, Sora, at_once, check_size
from .pretrained import WEIGHTS, check_device, load_pretrained
from .prompts import Writer, is_long
from .samplers import SEEDS, draw_noise, others, sample, sources_of
from .text import Tokenizer, tokenize, words_of
from .vae import VAE

# What a call may change of the sampler's settings; the others are the training's.
ASKABLE = ("sampler", "steps", "guidance", "guide_from", "guide_to", "shift", "best_of")
# Of fitness: the noise time of the DiT's loss, and how many nats one that is e times as high costs.
JUDGED_AT, LOSS_COUNTS = 0.6, 6.0


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
            parts["expander"] = Writer(config.expander, tokenizer.size, config.text.width)
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
        more, those with words that training never showed, and all where the model has no expander. Of
        best_of videos the first is made of this, each other of another (see MiniSora.generate). Raises
        UserError.
        """
        prompts, frames = prompts_of(prompt), self.config.frames if frames is None else frames
        check_size(self.config.size, frames)
        texts = self._at_length(prompts, frames > 1, sources_of(seed, len(prompts)))
        return texts[0] if isinstance(prompt, str) else texts

    def _at_length(self, prompts, moving, sources):
        """Prompts as expand tells them. moving: whether of videos; sources: as many generators, left as they
        are."""
        prompts = [text.lower() for text in prompts]
        brief = [not is_long(text) and not self.unknown_words(text) for text in prompts]
        places = [i for i, short in enumerate(brief) if short and self.expander]
        # Of their own, so that the words and the noise of a video have nothing to do with one another.
        sources = [torch.Generator().manual_seed(SEEDS + g.initial_seed()) for g in sources]
        for part in (places[i : i + BATCH] for i in range(0, len(places), BATCH)):
            tokens, mask = self.tokenize([prompts[i] for i in part])
            text, most = self.sora.text(tokens, mask), self.config.text.max_tokens
            written = self.expander.write(moving, text, mask, most, [sources[i] for i in part])
            for i, row in zip(part, written, strict=True):
                prompts[i] = self._spelled(row or []) or prompts[i]
        return prompts

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
        chunk, side = self.config.vae.time_stride, self.config.vae.space_stride
        frames, height, width = video.shape[1:4]
        n = self._batch((0, 1 + (frames - 1) // chunk, height // side, width // side))
        parts = (to_pixels(video[i : i + n]) for i in range(0, len(video), n))
        return torch.cat([self.vae.encode(part.to(self.device)) for part in parts])

    @torch.no_grad()
    def decode(self, z):
        """Latents (B, C, K, h, w) -> uint8 numpy (B, T, H, W, 3)."""
        return np.concatenate([to_uint8(self.vae.decode(part)) for part in z.split(self._batch(z.shape[1:]))])

    def _batch(self, shape):
        """How many latents of a shape (C, K, h, w) go through a network at a time."""
        return at_once(math.ceil(math.prod(shape[1:]) / math.prod(self.config.dit.patch)))

    @torch.no_grad()
    def _film(
        self,
        prompts,
        sources,
        shape,
        given=None,
        known=None,
        start=1.0,
        lengthen=False,
        /,
        actions=None,
        tell=None,
        progress=None,
        watch=None,
        **sampling,
    ):
        """Noise, and what is given, to latents, guided by the prompts and what is known; all public ways end
        here. What begins as noise, and has a longer short side than the model's own, is filmed as a draft
        first, which is enlarged and taken back to a noise time of SHARPEN: far tokens plan apart.

        prompts: B; sources: as many generators; shape: (C, K, h, w); given: latents (B, *shape);
        known: which latent frames of them stay, (K,) bool, by default none; start: the noise time that
        the others begin at; lengthen: whether short prompts are told at length first. What follows may be
        among a user's options: actions: (B, T - 1); tell: called with the B texts that were filmed; progress:
        with (done, all) of the work; watch: with (done, guess of z_0), for each part of the batch, but not
        of drafts. Returns (B, *shape).

        Of best_of videos of each prompt, each of other noise and another expansion, the fittest is kept (see
        fitness).
        """
        for name in sampling:
            require(name in ASKABLE, f"there is no option {name!r}{closest(name, ASKABLE)}")
        how = from_dict(SamplerConfig, {**to_dict(self.config.sampling), **sampling})
        small = self.config.draft_shape(shape)
        if start == 1 and small != tuple(shape):
            work = how.best_of * math.prod(small), math.prod(shape)
            told = {"tell": tell, "progress": part(progress, 0, work[0], sum(work))}
            stays = None if known is None else known[:, None, None].to(given.device)
            z = None if known is None else self._resized(given, small)
            z = self._film(
                prompts, sources, small, z, known, 1.0, lengthen, actions=actions, **told, **sampling
            )
            z = self._resized(z, shape)
            given = z if known is None else given.where(stays, z)
            how, start, lengthen, tell = replace(how, best_of=1), SHARPEN, False, None
            progress = part(progress, *work, sum(work))
        n, count = how.best_of, len(prompts)
        if n > 1:  # what is refused is refused before the work
            chunk, side = self.config.vae.time_stride, self.config.vae.space_stride
            batch_of(1 + chunk * (shape[1] - 1), shape[2] * side, shape[3] * side)
        prompts, sources = prompts * n, sum(others(sources, n - 1), sources)
        texts = self._at_length(prompts, shape[1] > 1, sources) if lengthen else prompts
        self.tokenize(texts)  # what is refused is refused before the work
        given, actions = (x if x is None else x.repeat(n, *x[0].ndim * [1]) for x in (given, actions))
        z = self._denoise(how, texts, sources, shape, given, known, start, actions, progress, watch)
        chosen = torch.arange(count)
        if n > 1:
            chosen += count * self.fitness(z, prompts, actions).view(n, count).argmax(0).cpu()
        if tell:
            tell([texts[i] for i in chosen])
        return z[chosen.to(z.device)]

    def _resized(self, z, shape):
        """Latents of videos -> of the same, resized to a shape (C, K, h, w)."""
        size = [self.config.vae.space_stride * side for side in shape[2:]]
        return self.encode(resized(to_pixels(self.decode(z)), size))

    @torch.no_grad()
    def fitness(self, z, prompts, actions=None):
        """How well videos show what was asked, and look like what the DiT has learned: of those of a prompt,
        the highest is the best. The captioner says how likely it would be to tell each in the words of the
        prompt. The DiT's loss on each, at one noise time, is high where something flickers or comes from
        nowhere; alone it would choose what is plain.

        z: latents (B, C, K, h, w), those that were given too; prompts: a list of B; actions: (B, T - 1).
        Returns log-likelihoods, in nats, less LOSS_COUNTS times the logarithms of the losses: (B,).
        """
        how, found, batch = self.config.sampling, [], self._batch(z.shape[1:])
        # The same for all, and that which none was made from.
        noise = draw_noise(z.shape[1:], [torch.Generator().manual_seed(2 * SEEDS - 1)], self.device)
        for i in range(0, len(z), batch):
            part = slice(i, i + batch)
            z_0, taken = z[part], None if actions is None else actions[part].to(self.device)
            t = z_0.new_full((len(z_0), z_0.shape[2]), JUDGED_AT)
            denoiser = self._reader(prompts[part], taken)
            error = squared_error(denoiser, SCHEDULES[how.schedule](), how.target, z_0, t, noise)
            likelihood = self.captioner.likelihood(self.decode(z_0), prompts[part])
            found.append(likelihood - LOSS_COUNTS * error.mean((1, 2, 3, 4)).log())
        return torch.cat(found)

    @functools.cached_property
    def captioner(self):
        """The one that is shipped, which helps to choose among videos."""
        return Captioner.from_pretrained(WEIGHTS / "captioner", self.device)

    def _denoise(self, how, prompts, sources, shape, given, known, start, actions, progress, watch):
        """As _film, where each prompt is filmed once, as it is. how: a SamplerConfig."""
        schedule, kind = SCHEDULES[how.schedule](), how.target
        known = torch.zeros(shape[1], dtype=torch.bool) if known is None else known
        made, batch = [], self._batch(shape)
        parts = math.ceil(len(prompts) / batch)

        def after_step(index, done, z_0):
            if progress:
                progress(index * how.steps + done, parts * how.steps)
            if watch:
                watch(done, z_0)

        for i in range(0, len(prompts), batch):
            part = slice(i, i + batch)
            z = noise = draw_noise(shape, sources[part], self.device)
            mask = known.expand(len(z), -1).to(self.device)
            if given is not None:
                t = torch.where(mask, 0.0, start)
                z = add_noise(schedule, given[part], noise, t)
            taken = None if actions is None else actions[part].to(self.device)
            # Both are told the actions: guidance goes towards the prompt, and what is known, alone.
            conditional, unconditional = (self._reader(texts, taken) for texts in (prompts[part], [""]))
            if known.any():
                unconditional = unaware(unconditional, schedule, mask, noise)
            denoiser = guide(conditional, unconditional, how.guidance, how.guide_from, how.guide_to)
            watched = functools.partial(after_step, i // batch)
            where = (how.sampler, how.steps, mask, start, how.shift)
            made.append(sample(denoiser, schedule, kind, z, *where, sources[part], watched))
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


def part(progress, before, share, whole):
    """Progress for one part of the work, which tells how much of the whole is done."""
    return progress and (lambda done, all: progress(before + share * done / all, whole))


def prompts_of(prompt):
    """A prompt or several, as a list. Raises UserError for one that says nothing."""
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    require(prompts, "there is no prompt; give at least one")
    for text in prompts:
        require(text.strip(), 'the prompt is empty; describe a clip: "a red circle moves left"')
    return prompts


def warn_unknown(sora, prompt):
    """Say which words of a prompt the model never saw; it will guess what they mean."""
    if unknown := sora.unknown_words(prompt):
        names = ", ".join(repr(word[:40]) for word in dict.fromkeys(unknown[:8]))
        print(f"warning: training never showed {names}; the video may ignore it", file=sys.stderr)

"""What each network is trained on: the batches that it is shown, and the loss of one.

The losses are what `fit` takes: (forward, batch, generator) -> a scalar tensor.
"""

import copy
from dataclasses import replace

import torch

from . import parallel
from .config import require
from .data import Course, Replayed, Stored, Stream, area, to_pixels
from .diffusion import SCHEDULES, diffusion_loss, draw_known
from .fit import compute_dtype, unit_noise
from .folder import Folder
from .prompts import next_token_loss
from .text import encoded, tokenize
from .vae import vae_loss


def stream(config, clips, longest=None, families=()):
    """Batches of about so many clips of the model's own size and length, or of stretches of them."""
    model = config.model
    if config.data.folder:
        return Folder(config.data, model.size, clips, config.seed, longest)
    whole = clips * area(min(model.frames, longest or model.frames), model.size)
    return Stream(config.data, families or model.families, whole, config.seed, longest)


def course(config, clips, store=lambda data, count: data):
    """What the DiT is shown, easy things first (see DiTTraining): the batches of a run, a Course.
    store: (batches, how many are asked for) -> what they are kept in."""
    model, (alone, plain) = config.model, config.dit.course
    square = replace(config.data, sides=(min(model.size),), frames=(model.frames,), wide=False)
    short = replace(square, long_prompts=0.0)
    whole, parts = clips * area(model.frames, model.size), [(config.dit.fit.steps, stream(config, clips))]
    if not config.data.folder:  # whose seeds keep the parts apart: no scene comes in two of them
        parts.insert(0, (plain, Stream(square, model.families, whole, config.seed + (1 << 20))))
        parts.insert(0, (alone, Stream(short, ("shapes-simple",), whole, config.seed + (2 << 20))))
    ranks = parallel.place()[1]
    return Course([(steps * ranks, store(data, steps * ranks)) for steps, data in parts if steps])


def vae_objective(config, device):
    """What the VAE is trained on: the loss that fit takes, of a batch of clips."""

    def loss(forward, shots, generator):
        x = to_pixels(shots.clips.to(device))
        shape = (len(x), *config.model.latent_shape(x.shape[3:], x.shape[2]))
        noise = unit_noise(shape, generator, device)
        return vae_loss(forward, x, noise, config.vae.kl_weight, config.vae.body_weight)

    return loss


def dit_objective(config, tokenizer, device, encode=None):
    """What the text encoder and the DiT are trained on: the loss that fit takes. encode: from a batch
    of clips to one of latents, where the batches are not latents already."""
    how, model = config.dit, config.model
    schedule, kind = SCHEDULES[model.sampling.schedule](), model.sampling.target

    def loss(forward, shots, generator):
        z_0, prompts, actions = encode(shots) if encode else shots
        batch, frames = len(z_0), z_0.shape[2]
        dropped = torch.rand(batch, generator=generator) < how.drop_prompt
        prompts = ["" if drop else prompt for prompt, drop in zip(prompts, dropped.tolist(), strict=True)]
        multiple = 64 if how.fit.graphs else 1  # so that few lengths have to be recorded
        tokens, mask = tokenize(tokenizer, prompts, model.text.max_tokens, multiple)
        unsaid = torch.rand(batch, 1, generator=generator) < how.drop_prompt
        actions = actions.masked_fill(unsaid, 0)
        t = how.time((batch, frames), generator)
        shared = torch.rand(batch, 1, generator=generator) >= how.own_times
        t = torch.where(shared, t[:, :1], t)  # (B, K)
        known = draw_known(batch, frames, how.known, generator)
        history = how.history * (2 * torch.rand(batch, 1, generator=generator) - 1).clamp(min=0)
        eps = unit_noise(z_0.shape, generator, device)
        z_0, t, known, history, tokens, mask, actions = (
            x.to(device) for x in (z_0, t, known, history, tokens, mask, actions)
        )
        asked = (tokens, mask, actions) if model.dit.actions else (tokens, mask)
        return diffusion_loss(
            lambda z_t, t: forward(z_t, t, *asked), schedule, kind, z_0, t, eps, known, history
        )

    return loss


def expander_objective(sora):
    """What the expander is trained on: the loss that fit takes, of a batch of Captions, but for those that
    are too long."""
    most = sora.config.text.max_tokens

    def loss(forward, captions, generator):
        frames, pairs = captions
        fitting = [pair for pair in pairs if len(encoded(sora.tokenizer, pair[1])) <= most]
        require(fitting, f"no long caption has as few as text.max_tokens, {most}; set it higher")
        brief, long = zip(*fitting, strict=True)
        tokens, mask = sora.tokenize(brief)
        with torch.no_grad():  # the DiT is to understand the text as before
            text = sora.sora.text(tokens, mask)
        start = sora.expander.start(frames > 1, len(fitting))
        return next_token_loss(forward, start, *sora.tokenize(long), text, mask)

    return loss


def to_latents(vae, precision):
    """What makes a batch of clips one of latents, encoded in a training's precision."""
    vae, device = copy.deepcopy(vae), vae.latent_mean.device
    vae.encoder.to(compute_dtype(precision, device))

    @torch.no_grad()
    def encode(shots):
        return shots._replace(clips=vae.encode(to_pixels(shots.clips.to(device))))

    return encode


def reused(how, data, steps, change=lambda shots: shots):
    """Batches for so many steps, of all processes together, as a training shows them: each once, or again
    while new ones are made, or again and again, all made before."""
    if not how.stored:
        return data
    if how.shown:
        return Replayed(data, how.stored, how.shown, change)
    return Stored(data, min(how.stored, steps), change)

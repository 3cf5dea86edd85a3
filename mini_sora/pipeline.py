"""MiniSora: the trained parts together, and what can be asked of them."""

import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from . import checkpoint
from .config import check_numbers, closest, from_dict, require, to_dict
from .data import FAMILY_NAMES, to_pixels, to_uint8
from .diffusion import SCHEDULES, TARGETS, guide
from .dit import DiT, DiTConfig
from .samplers import STEPS, draw_noise, sample
from .text import TextConfig, TextEncoder, Tokenizer, tokenize
from .vae import VAE, VAEConfig
from .video import Video

WEIGHTS = Path(__file__).parent / "weights"
MAX_SIDE, MAX_FRAMES, MAX_TOKENS, BATCH = 512, 4801, 8192, 64
# What a call may change of the sampler's settings; the others are the training's.
ASKABLE = ("sampler", "steps", "guidance", "guide_from", "guide_to", "shift")


@dataclass(frozen=True)
class SamplerConfig:
    """How noise becomes latents: schedule and target are the training's, the rest can be asked for.
    guidance: how far to go past the prompt's prediction, at noise times between guide_from and guide_to."""

    schedule: str = "linear"
    target: str = "v"
    sampler: str = "euler"
    steps: int = 20
    guidance: float = 2.0
    guide_from: float = 0.0
    guide_to: float = 1.0
    shift: float = 3.0

    def __post_init__(self):
        choices = {"schedule": SCHEDULES, "target": TARGETS, "sampler": STEPS}
        for name, options in choices.items():
            value = getattr(self, name)
            require(value in options, f"{name} is {value!r}; it is one of {', '.join(options)}")
        check_numbers(self, high=1, steps=(1, 10_000), guidance=(0, 100), shift=(0.01, 100))


@dataclass(frozen=True)
class ModelConfig:
    """All that must be known to rebuild a model from its weights; the families of the world that it
    learned (one that stands there twice was shown twice as often); its own size and length."""

    vae: VAEConfig = VAEConfig()
    text: TextConfig = TextConfig()
    dit: DiTConfig = DiTConfig()
    sampling: SamplerConfig = SamplerConfig()
    families: tuple[str, ...] = ("shapes-simple",)
    size: tuple[int, int] = (32, 32)
    frames: int = 17

    def __post_init__(self):
        require(self.families, "families needs an entry")
        for name in self.families:
            known = f"there is: {', '.join(FAMILY_NAMES)}"
            require(name in FAMILY_NAMES, f"there is no family {name!r}; {known}")
        self.latent_shape(self.size, self.frames)

    def latent_shape(self, size, frames):
        """(C, K, h, w) of the latents of such a clip. Raises UserError for one that cannot be made."""
        check_size(size, frames)
        st, ss = self.vae.time_stride, self.vae.space_stride
        grid = (1 + (frames - 1) // st, size[0] // ss, size[1] // ss)
        fits = (frames - 1) % st == 0 and size[0] % ss == 0 and size[1] % ss == 0
        fits = fits and all(n % p == 0 for n, p in zip(grid, self.dit.patch, strict=True))
        shown = f"{frames} frames of {size[0]}x{size[1]}"
        require(fits, f"size: {shown} do not divide into the model's patches; choose others")
        tokens = math.prod(grid) // math.prod(self.dit.patch)
        require(tokens <= MAX_TOKENS, f"{shown} are {tokens} patches, at most {MAX_TOKENS}: choose fewer")
        return self.vae.channels, *grid


def words_of(text):
    """The words of a text, in lower case."""
    return re.findall(r"\w+", text.lower())


def check_size(size, frames):
    """Raise UserError unless the size is a multiple of 8 each way and frames is 1 + 4n."""
    for side in size:
        fine = isinstance(side, int) and 8 <= side <= MAX_SIDE and side % 8 == 0
        require(fine, f"the side {side} does not work: sides are multiples of 8 from 8 to {MAX_SIDE} pixels")
    fine = isinstance(frames, int) and 1 <= frames <= MAX_FRAMES and frames % 4 == 1
    near = max(1, round((frames - 1) / 4) * 4 + 1) if abs(frames) < 1e6 else 17
    require(
        fine, f"{frames} frames do not work: a clip has 1 + 4n of them (1, 5, 9, 13, 17, ...); try {near}"
    )


class Sora(nn.Module):
    """The text encoder and the DiT, trained as one."""

    def __init__(self, config):  # a ModelConfig
        super().__init__()
        self.text = TextEncoder(config.text)
        self.dit = DiT(config.dit, config.vae.channels, config.text.width, config.vae.time_stride)

    def forward(self, z, t, tokens, mask, actions=None):
        """z: (B, C, K, h, w); t: (B, K); tokens, mask: (B, L); actions: (B, T - 1) -> like z."""
        return self.dit(z, t, self.text(tokens, mask), mask, actions)


class MiniSora:
    """A trained Mini-Sora: text to video.

    vae, sora: networks on one device; tokenizer: of the prompts; words: those that training knew.
    """

    def __init__(self, config, vae, sora, tokenizer, words=()):
        self.config, self.vae, self.sora, self.tokenizer = config, vae.eval(), sora.eval(), tokenizer
        self.words = frozenset(words)

    @classmethod
    def from_pretrained(cls, name, device="cpu"):
        """Load a shipped preset by name, or a directory that train or save_pretrained left.

        Raises UserError where there is none, where a file is damaged, or where a device is absent.
        """
        check_device(device)
        places = [Path(name), Path(name) / "model", WEIGHTS / str(name)]
        found = [place for place in places if (place / "manifest.json").is_file()]
        shipped = ", ".join(sorted(p.name for p in WEIGHTS.glob("*") if p.is_dir())) or "none"
        hint = f"give a directory that train made, or a shipped preset ({shipped})"
        require(found, f"there are no weights {str(name)!r}; {hint}")
        tensors, meta = checkpoint.load(found[0])
        require("config" in meta, f"{found[0]} is a training checkpoint, not a model; {hint}")
        config = from_dict(ModelConfig, meta["config"])
        vae, sora = VAE(config.vae), Sora(config)
        for part, table in ((vae, tensors.get("vae", {})), (sora, tensors.get("sora", {}))):
            checkpoint.load_weights(part, table, found[0])
            part.to(device)
        return cls(config, vae, sora, Tokenizer(meta["merges"]), meta["words"])

    def save_pretrained(self, directory, force=False, **notes):
        """Write everything that from_pretrained needs, in one step; notes are kept beside it.
        Weights are rounded to float16.

        Raises UserError if the directory exists (without force) or cannot be written.
        """
        directory = Path(directory)
        require(force or not directory.exists(), f"{directory} exists; choose another, or force")
        tensors = {
            name: {key: value.half() for key, value in part.state_dict().items()}
            for name, part in (("vae", self.vae), ("sora", self.sora))
        }
        meta = {"config": to_dict(self.config), "merges": self.tokenizer.merges, "words": sorted(self.words)}
        checkpoint.save(directory, tensors, {**meta, **notes})

    def unknown_words(self, prompt):
        """The words of a prompt that training never saw, in their order."""
        return [word for word in words_of(prompt) if word not in self.words]

    def generate(
        self, prompt, size=None, frames=None, seed=0, actions=None, first=None, progress=None, **sampling
    ):
        """Text to video.

        prompt: a string, or a list of B for a list of videos; size: (H, W), multiples of 8; frames:
        T = 1 + 4n; seed: of the first video, the next has the next; actions: whole numbers
        (B, T - 1), what is done before each frame but the first, 0 for none, for a model that knows
        actions; first: uint8 (B, H, W, 3), first frames to go on from; progress: a callable given
        (done, all) steps; sampling: sampler, steps, guidance (see SamplerConfig). The same seed
        and arguments give the same video. Raises UserError.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        size = self.config.size if size is None else tuple(size)
        frames = self.config.frames if frames is None else frames
        shape = self.config.latent_shape(size, frames)
        require(isinstance(seed, int) and 0 <= seed < 2**62, f"the seed {seed} must be a whole number from 0")
        for text in prompts:
            require(text.strip(), 'the prompt is empty; describe a clip: "a red circle moves left"')
        videos = []
        for i in range(0, len(prompts), BATCH):
            part = slice(i, i + BATCH)
            asked = prompts[part]
            sources = [torch.Generator().manual_seed(seed + i + j) for j in range(len(asked))]
            z = draw_noise(shape, sources, self.device)
            known = torch.zeros(len(asked), shape[1], dtype=torch.bool, device=self.device)
            if first is not None:
                z[:, :, :1], known[:, 0] = self.encode(first[part, None]), True
            done = None if actions is None else torch.as_tensor(actions[part])
            z = self._sample(asked, z, sources, known, done, progress=progress, **sampling)
            videos += [Video(v, p) for v, p in zip(self.decode(z), asked, strict=True)]
        return videos[0] if isinstance(prompt, str) else videos

    @property
    def device(self):
        return self.vae.latent_mean.device

    @torch.no_grad()
    def encode(self, video):
        """uint8 (B, T, H, W, 3) -> latents (B, C, K, h, w) of unit variance."""
        return self.vae.encode(to_pixels(video).to(self.device))

    @torch.no_grad()
    def decode(self, z):
        """Latents (B, C, K, h, w) -> uint8 numpy (B, T, H, W, 3)."""
        return to_uint8(self.vae.decode(z))

    @torch.no_grad()
    def _sample(self, prompts, z, sources, known=None, actions=None, start=1.0, progress=None, **sampling):
        """Noise (and known frames) to latents, guided by the prompts; all public ways end here."""
        for name in sampling:
            require(name in ASKABLE, f"there is no option {name!r}{closest(name, ASKABLE)}")
        how = from_dict(SamplerConfig, {**to_dict(self.config.sampling), **sampling})
        dit, encoder, length = self.sora.dit, self.sora.text, self.config.text.max_tokens
        require(actions is None or self.config.dit.actions, "this model knows no actions; leave them out")
        if actions is not None:
            actions = actions.to(self.device)

        def reader(texts):
            tokens, mask = tokenize(self.tokenizer, [text.lower() for text in texts], length)
            tokens, mask = tokens.to(self.device), mask.to(self.device)
            text = encoder(tokens, mask)
            return lambda z_t, t: dit(
                z_t, t, text.expand(len(z_t), -1, -1), mask.expand(len(z_t), -1), actions
            )

        denoiser = guide(reader(prompts), reader([""]), how.guidance, how.guide_from, how.guide_to)
        return sample(
            denoiser,
            SCHEDULES[how.schedule](),
            how.target,
            z,
            how.sampler,
            how.steps,
            known=known,
            start=start,
            shift=how.shift,
            generators=sources,
            progress=progress,
        )


def check_device(device):
    """Raise UserError unless torch can compute on this device."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        absent = "cuda" in str(device) and not torch.cuda.is_available()
        reason = "there is no CUDA GPU here" if absent else str(error).splitlines()[0]
        require(False, f"the device {str(device)!r} cannot be used: {reason}; use --device cpu")


def warn_unknown(sora, prompt):
    """Say which words of a prompt the model never saw; it will guess what they mean."""
    if unknown := sora.unknown_words(prompt):
        names = ", ".join(repr(word) for word in dict.fromkeys(unknown[:8]))
        print(f"warning: training never showed {names}; the video may ignore it", file=sys.stderr)

"""The settings of a whole model, and its network: the text encoder and the DiT as one."""

import math
from dataclasses import dataclass

import numpy as np
from torch import nn

from .config import check_numbers, require
from .data import FAMILY_NAMES
from .diffusion import SCHEDULES, TARGETS
from .dit import DiT, DiTConfig
from .prompts import WriterConfig
from .samplers import STEPS
from .text import TextConfig, TextEncoder
from .vae import VAEConfig
from .video import MAX_FRAMES

MAX_SIDE, MAX_TOKENS = 512, 8192
BATCH = 64  # clips that go through a network at a time, or fewer where they are large
SHARPEN = 0.3  # the noise time that what was enlarged is taken back to


@dataclass(frozen=True)
class SamplerConfig:
    """How noise becomes latents: schedule and target are the training's, the rest can be asked for.
    sampler, steps: see samplers.py; shift: above 1, more of the steps are near the noise (sampling_times);
    guidance: how far to go past the prediction without the prompt and without the frames that are known, at
    noise times between guide_from and guide_to; best_of: how many videos to make, of which the
    fittest is kept (see Pipeline.fitness); unless asked for there, 1 to extend and to edit, and for a
    picture, which is soon made, four times as many, if it is not 1."""

    schedule: str = "linear"
    target: str = "v"
    sampler: str = "ddpm"
    steps: int = 20
    guidance: float = 2.0
    guide_from: float = 0.0
    guide_to: float = 1.0
    shift: float = 3.0
    best_of: int = 1

    def __post_init__(self):
        choices = {"schedule": SCHEDULES, "target": TARGETS, "sampler": STEPS}
        for name, options in choices.items():
            value = getattr(self, name)
            require(value in options, f"{name} is {value!r}; it is one of {', '.join(options)}")
        check_numbers(
            self, high=1, steps=(1, 10_000), guidance=(0, 100), shift=(0.01, 100), best_of=(1, 1000)
        )


@dataclass(frozen=True)
class ModelConfig:
    """All that must be known to rebuild a model from its weights; the families of the world that it
    learned (one that stands there twice was shown twice as often); its own size and length; versatile:
    whether it was shown other sizes and lengths too, and known frames, so that its report asks for these."""

    vae: VAEConfig = VAEConfig()
    text: TextConfig = TextConfig()
    dit: DiTConfig = DiTConfig()
    expander: WriterConfig = WriterConfig()
    sampling: SamplerConfig = SamplerConfig()
    families: tuple[str, ...] = ("shapes-simple",)
    size: tuple[int, int] = (32, 32)
    frames: int = 17
    versatile: bool = False

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
        grid = self._grid(size, frames)
        fits = (frames - 1) % st == 0 and size[0] % ss == 0 and size[1] % ss == 0
        fits = fits and all(n % p == 0 for n, p in zip(grid, self.dit.patch, strict=True))
        shown = f"{frames} frames of {size[0]}x{size[1]}"
        require(fits, f"size: {shown} do not divide into the model's patches; choose others")
        tokens = self.tokens(size, frames)
        require(tokens <= MAX_TOKENS, f"{shown} are {tokens} patches, at most {MAX_TOKENS}: choose fewer")
        return self.vae.channels, *grid

    def tokens(self, size, frames):
        """How many patches such a clip has; those above MAX_TOKENS are too many."""
        return math.prod(self._grid(size, frames)) // math.prod(self.dit.patch)

    def _grid(self, size, frames):
        stride = self.vae.space_stride
        return 1 + (frames - 1) // self.vae.time_stride, size[0] // stride, size[1] // stride

    def draft_shape(self, shape):
        """(C, K, h, w) of a video's latents -> of those that are made first: of a draft that has the model's
        own short side, and the video's aspect but for what makes whole patches; or the same, where the video
        has no longer short side than that."""
        short, own = min(shape[2:]), min(self.size) // self.vae.space_stride
        if short <= own:
            return tuple(shape)
        sides = zip(shape[2:], self.dit.patch[1:], strict=True)
        return *shape[:2], *(round(side * own / short / patch) * patch for side, patch in sides)


def at_once(tokens):
    """How many clips of so many patches each go through a network at a time: together they hold no more
    patches than four of the longest clips, and no more pairs, which attention compares, than one of these."""
    return max(1, min(BATCH, 4 * MAX_TOKENS // tokens, (MAX_TOKENS // tokens) ** 2))


def check_size(size, frames):
    """Raise UserError unless each side is a multiple of 8 from 8 to 512, and frames 1 + 4n, up to 4801."""
    pair = isinstance(size, list | tuple) and len(size) == 2
    require(pair, f"the size {size} does not work: it is two sides, height and width")
    for side in size:
        fine = isinstance(side, int | np.integer) and 8 <= side <= MAX_SIDE and side % 8 == 0
        require(fine, f"the side {side} does not work: sides are multiples of 8 from 8 to {MAX_SIDE} pixels")
    fine = isinstance(frames, int | np.integer) and 1 <= frames <= MAX_FRAMES and frames % 4 == 1
    number = isinstance(frames, int | float) and abs(frames) < 1e6
    near = min(MAX_FRAMES, max(1, round((frames - 1) / 4) * 4 + 1)) if number else 17
    those = f"1 + 4n of them (1, 5, 9, 13, 17, ...), at most {MAX_FRAMES}"
    require(fine, f"{frames} frames do not work: a clip has {those}; try {near}")


class Sora(nn.Module):
    """The text encoder and the DiT, trained as one."""

    def __init__(self, config):  # a ModelConfig
        super().__init__()
        self.text = TextEncoder(config.text)
        self.dit = DiT(config.dit, config.vae.channels, config.text.width, config.vae.time_stride)

    def forward(self, z, t, tokens, mask, actions=None):
        """z: (B, C, K, h, w); t: (B, K); tokens, mask: (B, L); actions: (B, T - 1) -> like z."""
        return self.dit(z, t, self.text(tokens, mask), mask, actions)

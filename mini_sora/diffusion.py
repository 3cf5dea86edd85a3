"""Noise schedules, prediction targets, the training loss, and guidance. No network is known here.

Time: t = 0 is data, t = 1 is noise.   z_t = alpha(t) z_0 + sigma(t) eps
Velocity: v = dz_t/dt = alpha'(t) z_0 + sigma'(t) eps, so it points from data to noise.
A noise time is given per latent frame: t is (B, K), latents are (B, C, K, h, w). A schedule's functions
take t of any shape, and return the same; alpha(t)^2 is the alpha-bar of Ho et al. 2020.
"""

import math
from dataclasses import dataclass

import torch

from .config import check_numbers, require

TARGETS = ("eps", "v", "x")


class Linear:
    """Rectified flow (Liu et al. 2022; Lipman et al. 2022): a straight line from data to noise."""

    def alpha(self, t):
        return 1 - t

    def sigma(self, t):
        return t

    def alpha_dot(self, t):
        return -torch.ones_like(t)

    def sigma_dot(self, t):
        return torch.ones_like(t)


class Cosine:
    """Variance preserving, a quarter circle (Nichol & Dhariwal 2021, eq. 17 with s = 0).

    Its v is pi / 2 times the v of Salimans & Ho 2022, which is the derivative by the angle.
    """

    def alpha(self, t):
        return torch.cos(t * math.pi / 2)

    def sigma(self, t):
        return torch.sin(t * math.pi / 2)

    def alpha_dot(self, t):
        return -math.pi / 2 * self.sigma(t)

    def sigma_dot(self, t):
        return math.pi / 2 * self.alpha(t)


class DDPM:
    """The original 1000 betas (Ho et al. 2020, section 4), 1e-4 to 0.02.

    Their cumulative product is known at t = i / steps; log(alpha^2) is linear in between:

        step i      0        1         2        ...   1000
        t           0        0.001     0.002    ...   1
        alpha^2     1        0.9999    0.99978  ...   0.00004
    """

    def __init__(self, steps=1000, beta_start=1e-4, beta_end=0.02):
        self.steps = steps
        beta = torch.linspace(beta_start, beta_end, steps, dtype=torch.float64)
        self.log_alpha2 = torch.cat([beta.new_zeros(1), torch.log1p(-beta).cumsum(0)])

    def _log_alpha2(self, t):
        """log(alpha^2) at t and its derivative there."""
        table = self.log_alpha2.to(t.device)
        place = (t.double() * self.steps).clamp(0, self.steps)
        low = place.floor().long().clamp(max=self.steps - 1)
        slope = table[low + 1] - table[low]
        return table[low] + (place - low) * slope, slope * self.steps

    def alpha(self, t):
        return torch.exp(self._log_alpha2(t)[0] / 2).to(t.dtype)

    def sigma(self, t):
        return torch.sqrt(-torch.expm1(self._log_alpha2(t)[0])).to(t.dtype)

    def alpha_dot(self, t):
        value, slope = self._log_alpha2(t)
        return (torch.exp(value / 2) * slope / 2).to(t.dtype)

    def sigma_dot(self, t):
        # From alpha^2 + sigma^2 = 1: sigma sigma' = -alpha alpha'. Infinite at t = 0, so kept away.
        return -self.alpha(t) * self.alpha_dot(t) / self.sigma(t).clamp(min=1e-4)


SCHEDULES = {"linear": Linear, "cosine": Cosine, "ddpm": DDPM}


def per_frame(value, z):
    """Let a number per latent frame (B, K) multiply latents (B, C, K, h, w)."""
    return value[:, None, :, None, None].to(z.dtype)


def add_noise(schedule, z_0, eps, t):
    """q(z_t | z_0): z_t = alpha z_0 + sigma eps (Ho et al. 2020, eq. 4). t: (B, K)."""
    return per_frame(schedule.alpha(t), z_0) * z_0 + per_frame(schedule.sigma(t), z_0) * eps


def check_target(kind):
    """Raise UserError for a kind of prediction that there is not."""
    require(kind in TARGETS, f"the target is {kind!r}; it is one of {', '.join(TARGETS)}")


def target_of(schedule, kind, z_0, eps, t):
    """What a network of this kind is asked to predict, shaped like z_0."""
    if kind == "x":
        return z_0
    if kind == "eps":
        return eps
    check_target(kind)
    return per_frame(schedule.alpha_dot(t), z_0) * z_0 + per_frame(schedule.sigma_dot(t), z_0) * eps


def guesses(schedule, kind, prediction, z_t, t):
    """A prediction of any kind -> its guesses of z_0 and eps, both shaped like z_t.

    Where the noise hides the data (alpha near 0) or the data hides the noise (sigma near 0), the
    divisor is kept at 1e-4 or more.
    """
    alpha, sigma = per_frame(schedule.alpha(t), z_t), per_frame(schedule.sigma(t), z_t)
    if kind == "x":
        return prediction, (z_t - alpha * prediction) / sigma.clamp(min=1e-4)
    if kind == "eps":
        return (z_t - sigma * prediction) / alpha.clamp(min=1e-4), prediction
    check_target(kind)
    alpha_dot, sigma_dot = per_frame(schedule.alpha_dot(t), z_t), per_frame(schedule.sigma_dot(t), z_t)
    scale = alpha * sigma_dot - sigma * alpha_dot
    z_0 = (sigma_dot * z_t - sigma * prediction) / scale
    return z_0, (alpha * prediction - alpha_dot * z_t) / scale


@dataclass(frozen=True)
class TimeSampling:
    """How training draws t: uniform, or logit-normal (Esser et al. 2024, eq. 19) with a mean; one above 0
    draws more noise than data."""

    kind: str = "uniform"
    mean: float = 0.0

    def __post_init__(self):
        kinds = ("uniform", "logit-normal")
        require(self.kind in kinds, f"kind is {self.kind!r}; it is one of {', '.join(kinds)}")
        check_numbers(self, low=-10, high=10)

    def __call__(self, shape, generator=None):  # -> t of this shape, in (0, 1)
        if self.kind == "uniform":
            return torch.rand(shape, generator=generator).clamp(min=1e-4)
        return torch.sigmoid(self.mean + torch.randn(shape, generator=generator)).clamp(min=1e-4)


def draw_known(batch, frames, share, generator=None):
    """Which latent frames are given in training, as each task has it: (batch, frames) bool.

    In this share of clips a prefix (an image, the clip so far), a suffix, both ends, or frames here
    and there are known, each kind as often; at least one frame is always left to make. (Of two, both ends
    would be all, so a quarter of these clips have none.) With 4:

        prefix  1 0 0 0     suffix  0 0 1 1     ends  1 0 0 1     anywhere  0 1 0 1
    """

    def draw(high):  # whole numbers from 1 to high, one for each clip
        return 1 + torch.randint(max(high, 1), (batch, 1), generator=generator)

    k = torch.arange(frames)
    length, first, last = draw(frames - 1), draw((frames - 1) // 2), draw((frames - 1) // 2)
    anywhere = torch.rand(batch, frames, generator=generator).argsort(1) < length
    kinds = [k < length, k >= frames - length, (k < first) | (k >= frames - last), anywhere]
    kind = torch.randint(len(kinds), (batch, 1), generator=generator)
    known = sum((kind == i) & mask for i, mask in enumerate(kinds)) > 0
    given = (torch.rand(batch, 1, generator=generator) < share) & ~known.all(1, keepdim=True)
    return known & given


def squared_error(denoiser, schedule, kind, z_0, t, eps):
    """Of a denoiser's prediction of any target, where z_0 is noised by eps to t: shaped like z_0."""
    z_t = add_noise(schedule, z_0, eps, t)
    return (denoiser(z_t, t) - target_of(schedule, kind, z_0, eps, t)).pow(2)


def diffusion_loss(denoiser, schedule, kind, z_0, t, eps, known=None, history=0.0):
    """Mean squared error of a denoiser's prediction (Ho et al. 2020, eq. 14, for any target).

    denoiser: (z_t, t) -> prediction; z_0, eps: (B, C, K, h, w); t: (B, K); known: (B, K) bool,
    frames that are given and do not count: they enter at the noise time `history`, a number or
    (B, 1), 0 for exactly as they are. Returns a number.
    """
    known = torch.zeros_like(t, dtype=torch.bool) if known is None else known
    t = torch.where(known, history, t)
    error = squared_error(denoiser, schedule, kind, z_0, t, eps)
    counts = per_frame(~known, error).expand_as(error)
    return (error * counts).sum() / counts.sum()


def guide(conditional, unconditional, scale, low=0.0, high=1.0):
    """Classifier-free guidance (Ho & Salimans 2022, eq. 6, with scale = 1 + w).

    Both arguments are denoisers (z_t, t) -> prediction; so is the result. Scale 0 is the
    unconditional one, 1 the conditional one, more goes further the same way. Where the highest noise
    time is not from low to high, there is no guidance (Kynkäänniemi et al. 2024).
    """
    if scale == 1:
        return conditional

    def guided(z_t, t):
        if not low <= t.max() <= high:
            return conditional(z_t, t)
        base = unconditional(z_t, t)
        return base + scale * (conditional(z_t, t) - base)

    return guided


def unaware(denoiser, schedule, known, noise):
    """A denoiser that is not told what is known: those frames are noised like the others. To guide past its
    prediction is to guide towards them (Song et al. 2025, history guidance).

    denoiser: (z_t, t) -> prediction, and so is the result; known: (B, K) bool, frames that are data, at
    t = 0; noise: (B, C, K, h, w).
    """

    def forgetful(z_t, t):
        same = t.amax(1, keepdim=True).expand_as(t)
        noised = add_noise(schedule, z_t, noise, same)
        return denoiser(torch.where(per_frame(known, z_t).bool(), noised, z_t), same)

    return forgetful

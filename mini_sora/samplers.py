"""From noise to data: one step of DDPM, DDIM and Euler, and the loop over steps.

Every step goes from noise time t to s < t, given the guesses of z_0 and eps at t; t and s are
(B, K), one per latent frame. All three work with every schedule.
"""

import numpy as np
import torch

from .config import require
from .diffusion import add_noise, guesses, per_frame, target_of

# So many for videos: PyTorch's generators read 32 bits of a seed, and as many are for what goes with a video.
SEEDS = 2**31


def ddpm_step(schedule, z_t, z_0, eps, t, s, noise):
    """Ancestral sampling: draw from q(z_s | z_t, z_0) (Ho et al. 2020, eq. 6 and 7).

    In their letters alpha_ts^2 is alpha_t, and sigma2_ts is beta_t.
    """
    alpha_s, sigma_s = schedule.alpha(s), schedule.sigma(s)
    sigma2_t = schedule.sigma(t).pow(2).clamp(min=1e-12)
    alpha_ts = schedule.alpha(t) / alpha_s  # z_t = alpha_ts z_s + sqrt(sigma2_ts) noise
    sigma2_ts = (sigma2_t - alpha_ts.pow(2) * sigma_s.pow(2)).clamp(min=0)
    mean = (
        per_frame(alpha_ts * sigma_s.pow(2) / sigma2_t, z_t) * z_t
        + per_frame(alpha_s * sigma2_ts / sigma2_t, z_t) * z_0
    )
    return mean + per_frame((sigma2_ts / sigma2_t).sqrt() * sigma_s, z_t) * noise


def ddim_step(schedule, z_t, z_0, eps, t, s, noise=None):
    """Noise the guess of z_0 again by the guess of eps, up to s only (Song et al. 2020, eq. 12, sigma 0)."""
    return add_noise(schedule, z_0, eps, s)


def euler_step(schedule, z_t, z_0, eps, t, s, noise=None):
    """One Euler step along the velocity; on the linear schedule it is the DDIM step."""
    return z_t + per_frame(s - t, z_t) * target_of(schedule, "v", z_0, eps, t)


STEPS = {"ddpm": ddpm_step, "ddim": ddim_step, "euler": euler_step}


def sampling_times(steps, start=1.0, shift=1.0):
    """steps + 1 noise times from start down to 0: (steps + 1,). A shift above 1 stays longer where
    the noise is high, where the plan of the clip is made (Esser et al. 2024, eq. 23): four steps are
    1, 0.75, 0.5, 0.25, 0, and with a shift of 3 they are 1, 0.9, 0.75, 0.5, 0."""
    start = start / (shift - (shift - 1) * start)  # what the shift takes to start
    t = torch.linspace(start, 0, steps + 1, dtype=torch.float64)
    return (shift * t / (1 + (shift - 1) * t)).float()


@torch.no_grad()
def sample(
    denoiser,
    schedule,
    kind,
    z,
    sampler="ddim",
    steps=32,
    known=None,
    start=1.0,
    shift=1.0,
    generators=None,
    watch=None,
):
    """Denoise z from noise time `start` to 0: the whole of generation.

    denoiser: (z_t, t) -> prediction of this kind; z: (B, C, K, h, w), noise where unknown and
    data where known; known: (B, K) bool, frames that stay as they are, at t = 0; generators: one
    for each of the B clips, for the noise that ddpm alone needs; watch: called after each step with how
    many are done and the guess of z_0 that it was made from. Returns (B, C, K, h, w).

    Where t = 1 is noise alone, eps tells nothing of z_0, so what predicts eps starts a little later.
    """
    if kind == "eps" and schedule.alpha(torch.ones(1)) < 1e-3:
        start = min(start, 0.99)
    unknown = torch.ones(z.shape[0], z.shape[2], device=z.device) if known is None else (~known).float()
    times = sampling_times(steps, start, shift).tolist()
    for i in range(steps):
        t, s = times[i] * unknown, times[i + 1] * unknown
        z_0, eps = guesses(schedule, kind, denoiser(z, t), z, t)
        noise = draw_noise(z.shape[1:], generators, z.device) if sampler == "ddpm" else None
        step = STEPS[sampler](schedule, z, z_0, eps, t, s, noise)
        z = torch.where(per_frame(unknown, z).bool(), step, z)
        if watch:
            watch(i + 1, z_0)
    return z


def sources_of(seed, count):
    """A source of randomness for each video: the first has this seed, the next the next."""
    fine = isinstance(seed, int | np.integer) and 0 <= seed < SEEDS
    require(fine, f"the seed {seed} must be a whole number from 0 to {SEEDS - 1}")
    return [torch.Generator().manual_seed(int(seed) + i) for i in range(count)]


def others(sources, count):
    """So many more sources for each, which follow from it and leave it as it is: count lists."""
    seeds = [torch.randint(SEEDS, (count,), generator=g.clone_state()).tolist() for g in sources]
    return [[torch.Generator().manual_seed(each[i]) for each in seeds] for i in range(count)]


def draw_noise(shape, generators, device=None):
    """Unit Gaussian noise (B, *shape), each clip's from its own CPU generator."""
    return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(device)

"""From noise to data: one step of DDPM, DDIM and Euler, and the loop over steps.

Every step goes from noise time t to s < t, given the guesses of z_0 and eps at t; t and s are
(B, K), one per latent frame. All three work with every schedule.
"""

import torch

from .diffusion import guesses, per_frame


def ddpm_step(schedule, z_t, z_0, eps, t, s, noise):
    """Ancestral sampling: draw from q(z_s | z_t, z_0) (Ho et al. 2020, eq. 6 and 7)."""
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
    """Deterministic: the same guesses, less noise (Song et al. 2020, eq. 12 with sigma = 0)."""
    return per_frame(schedule.alpha(s), z_0) * z_0 + per_frame(schedule.sigma(s), z_0) * eps


def euler_step(schedule, z_t, z_0, eps, t, s, noise=None):
    """One Euler step along the velocity; on the linear schedule it is the DDIM step."""
    v = per_frame(schedule.alpha_dot(t), z_0) * z_0 + per_frame(schedule.sigma_dot(t), z_0) * eps
    return z_t + per_frame(s - t, z_t) * v


STEPS = {"ddpm": ddpm_step, "ddim": ddim_step, "euler": euler_step}


def sampling_times(steps, start=1.0, shift=1.0):
    """steps + 1 noise times from start down to 0: (steps + 1,). A shift above 1 stays longer where
    the noise is high, where the plan of the clip is made (Esser et al. 2024, eq. 23)."""
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
    for each of the B clips, for the noise of ancestral sampling; watch: called after each step with how
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


def draw_noise(shape, generators, device=None):
    """Unit Gaussian noise (B, *shape), each clip's from its own CPU generator."""
    return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(device)

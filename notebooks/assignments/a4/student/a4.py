"""A4: noise, and how to take it away: schedules, targets, DDPM, DDIM, Euler, and guidance.

Numbers: t is a noise time in [0, 1], 0 is data. z and eps are (B, C, K, h, w); t and s are (B, K), one time for each
latent frame, so alpha(t) has to reach every latent of its frame: `frames` brings it into shape.
"""

import math
from itertools import pairwise

import torch


def frames(value, z):
    """Let a number for each latent frame, (B, K), multiply latents (B, C, K, h, w): (B, 1, K, 1, 1)."""
    raise NotImplementedError("your turn")


def alpha_sigma(t):
    """The cosine schedule: (alpha, sigma), shaped like t, with alpha^2 + sigma^2 = 1, alpha(0) = 1, sigma(1) = 1."""
    raise NotImplementedError("your turn")


def add_noise(z_0, eps, t):
    """q(z_t | z_0) (Ho et al. 2020, eq. 4): z_t."""
    raise NotImplementedError("your turn")


def velocity(z_0, eps, t):
    """dz_t / dt on the cosine schedule, with the derivative of pi t / 2 and all: what v-prediction learns."""
    raise NotImplementedError("your turn")


def guess_from_velocity(v, z_t, t):
    """From a prediction of the velocity and z_t: (z_0, eps)."""
    raise NotImplementedError("your turn")


def loss(denoiser, z_0, eps, t, known):
    """The training loss of v-prediction: the mean squared error over the frames that are not known.

    denoiser: (z_t, t) -> v; known: bool (B, K): such a frame enters as it is, with t = 0, and does not count.
    Returns a number.
    """
    raise NotImplementedError("your turn")


def ddpm_step(z_t, z_0, t, s, noise):
    """Draw z_s from q(z_s | z_t, z_0), s < t (Ho et al. 2020, eq. 6 and 7, for any times). noise: unit Gaussian."""
    raise NotImplementedError("your turn")


def ddim_step(z_0, eps, s):
    """The same guesses, less noise (Song et al. 2020, eq. 12 with sigma = 0): z_s."""
    raise NotImplementedError("your turn")


def euler_step(z_t, v, t, s):
    """One step along the velocity: z_s."""
    raise NotImplementedError("your turn")


def guided(conditional, unconditional, scale):
    """Classifier-free guidance: two denoisers (z_t, t) -> v, and a scale, to one denoiser. Scale 0 is the
    unconditional one, 1 the conditional one, 2 goes as far again."""
    raise NotImplementedError("your turn")


def sample(denoiser, z, steps):
    """DDIM from t = 1 to 0 in equal steps: z is noise (B, C, K, h, w), denoiser (z_t, t) -> v, t (B, K).

    Returns z_0. The last step ends at t = 0 exactly, and the denoiser is asked `steps` times, first at t = 1.
    """
    raise NotImplementedError("your turn")

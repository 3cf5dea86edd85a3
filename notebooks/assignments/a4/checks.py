"""The points of A4. Each frame has a time of its own, so that a time in the wrong place shows."""

import torch

from mini_sora.diffusion import Cosine, diffusion_loss, target_of
from mini_sora.diffusion import add_noise as true_noise
from mini_sora.samplers import ddim_step as true_ddim
from mini_sora.samplers import ddpm_step as true_ddpm
from mini_sora.samplers import euler_step as true_euler
from notebooks.assignments.a3.checks import draw, same
from notebooks.grade import Point

ALLOWED = ()
Z_0, EPS, NOISE = draw(2, 3, 4, 5, 6), draw(2, 3, 4, 5, 6, seed=1), draw(2, 3, 4, 5, 6, seed=2)
T = torch.tensor([[0.9, 0.5, 0.7, 0.3], [0.2, 0.6, 0.95, 0.4]])
S = T - torch.tensor([[0.1, 0.3, 0.05, 0.3], [0.1, 0.2, 0.5, 0.01]])
Z_T = true_noise(Cosine(), Z_0, EPS, T)
V = target_of(Cosine(), "v", Z_0, EPS, T)


def check_schedule(function):
    alpha, sigma = function(T)
    assert alpha.shape == T.shape, f"alpha has the shape {tuple(alpha.shape)}, not {tuple(T.shape)}"
    ends = function(torch.tensor([[0.0, 1.0]]))
    assert abs(ends[0][0, 0] - 1) < 1e-5, f"alpha(0) is {ends[0][0, 0]:.3f}, not 1: t = 0 is data"
    assert abs(ends[1][0, 1] - 1) < 1e-5, f"sigma(1) is {ends[1][0, 1]:.3f}, not 1: t = 1 is noise"
    off = (alpha**2 + sigma**2 - 1).abs().max()
    assert off < 1e-5, f"alpha^2 + sigma^2 is off 1 by up to {off:.3g}"
    same(alpha, Cosine().alpha(T), "alpha")


def check_noise(function):
    found = function(Z_0, EPS, T)
    assert torch.allclose(function(Z_0, EPS, torch.zeros(2, 4)), Z_0, atol=1e-5), "at t = 0 z_t must be z_0"
    assert not torch.allclose(found, true_noise(Cosine(), Z_0, EPS, 1 - T), atol=1e-4), (
        "time runs the wrong way"
    )
    same(found, Z_T, "z_t")


def check_velocity(function):
    found = function(Z_0, EPS, T)
    h = 1e-3
    ahead, back = (true_noise(Cosine(), Z_0, EPS, T + d) for d in (h, -h))
    slope = (ahead - back) / (2 * h)
    assert not torch.allclose(found, -slope, atol=1e-2), "the sign is wrong: v points from data to noise"
    scaled = torch.allclose(found * torch.pi / 2, slope, atol=1e-2)
    assert not scaled, "pi / 2 is missing: the derivative of cos(pi t / 2) is by t"
    same(found, slope, "v, against (z(t + h) - z(t - h)) / 2h,", 1e-2)


def check_guess(function):
    z_0, eps = function(V, Z_T, T)
    exchanged = torch.allclose(eps, Z_0, atol=1e-4)
    assert not exchanged, "z_0 and eps are exchanged"
    same(z_0, Z_0, "z_0", 1e-4)
    same(eps, EPS, "eps", 1e-4)


def check_loss(function):
    known = torch.tensor([[True, False, False, True], [False, False, True, False]])
    seen = []

    def denoiser(z_t, t):
        seen.append((z_t, t))
        return 0.5 * z_t + t[:, None, :, None, None]

    found = function(denoiser, Z_0, EPS, T, known)
    assert len(seen) == 1, f"the denoiser was asked {len(seen)} times, not once"
    z_t, t = seen[0]
    assert (t[known] == 0).all(), "a known frame enters with t = 0"
    assert torch.equal(t[~known], T[~known]), "a frame that is not known keeps its own time"
    kept = torch.allclose(z_t.transpose(1, 2)[known], Z_0.transpose(1, 2)[known], atol=1e-5)
    assert kept, "a known frame enters as it is, without noise"
    wanted = diffusion_loss(denoiser, Cosine(), "v", Z_0, T, EPS, known)
    everything = diffusion_loss(denoiser, Cosine(), "v", Z_0, torch.where(known, 0.0, T), EPS)
    assert torch.as_tensor(found).ndim == 0, "the loss is one number"
    assert abs(found - everything) > 1e-4 * everything, "known frames must not count"
    share = (~known).float().mean()
    assert abs(found - wanted * share) > 1e-3 * wanted, "the mean is over the frames that count, not over all"
    same(torch.as_tensor(found), wanted, "the loss", 1e-4)


def check_ddpm(function):
    found = function(Z_T, Z_0, T, S, NOISE)
    wanted = true_ddpm(Cosine(), Z_T, Z_0, EPS, T, S, NOISE)
    mean = true_ddpm(Cosine(), Z_T, Z_0, EPS, T, S, 0 * NOISE)
    same(function(Z_T, Z_0, T, S, 0 * NOISE), mean, "the mean", 1e-4)
    size = (found - mean).abs().mean() / (wanted - mean).abs().mean()
    assert abs(size - 1) < 1e-3, (
        f"the noise is {size:.3g} times as strong as it must be: deviation, not variance"
    )
    same(found, wanted, "z_s", 1e-4)


def check_ddim(function):
    same(function(Z_0, EPS, S), true_ddim(Cosine(), Z_T, Z_0, EPS, T, S), "z_s", 1e-5)


def check_euler(function):
    found, wanted = function(Z_T, V, T, S), true_euler(Cosine(), Z_T, Z_0, EPS, T, S)
    backwards = torch.allclose(found, 2 * Z_T - wanted, atol=1e-4)
    assert not backwards, "it goes towards the noise: s is smaller than t"
    same(found, wanted, "z_s", 1e-4)


def check_guidance(function):
    def one(z_t, t):
        return z_t + 1

    def base(z_t, t):
        return 2 * z_t + t[:, None, :, None, None]

    for scale in (0.0, 1.0, 2.5):
        found = function(one, base, scale)(Z_T, T)
        wanted = base(Z_T, T) + scale * (one(Z_T, T) - base(Z_T, T))
        assert torch.allclose(found, wanted, atol=1e-5), (
            f"scale {scale:g} is not as it must be (0: unconditional, 1: conditional, 2: as far again)"
        )


def check_sample(function):
    asked = []

    def denoiser(z_t, t):
        """Knows the one clip that there is."""
        asked.append(t.clone())
        alpha, sigma = (v[:, None, :, None, None] for v in (Cosine().alpha(t), Cosine().sigma(t)))
        eps = (z_t - alpha * Z_0) / sigma.clamp(min=1e-6)
        return torch.pi / 2 * (alpha * eps - sigma * Z_0)

    found = function(denoiser, NOISE, 7)
    assert len(asked) == 7, f"the denoiser was asked {len(asked)} times for 7 steps"
    assert asked[0].shape == (2, 4), f"t has the shape {tuple(asked[0].shape)}, not (B, K)"
    times = [t.mean().item() for t in asked]
    assert abs(times[0] - 1) < 1e-6, f"the first time is {times[0]:.3f}, not 1"
    assert all(abs(t - (1 - i / 7)) < 1e-4 for i, t in enumerate(times)), "the steps are not equal"
    same(found, Z_0, "with a perfect denoiser the sample", 1e-3)


POINTS = [
    Point("alpha_sigma", 5, "the cosine schedule", check_schedule),
    Point("add_noise", 5, "the forward process", check_noise),
    Point("velocity", 10, "the velocity", check_velocity),
    Point("guess_from_velocity", 10, "z_0 and eps from the velocity", check_guess),
    Point("loss", 20, "the loss, with known frames", check_loss),
    Point("ddpm_step", 20, "a step of DDPM", check_ddpm),
    Point("ddim_step", 5, "a step of DDIM", check_ddim),
    Point("euler_step", 5, "a step of Euler", check_euler),
    Point("guided", 10, "guidance", check_guidance),
    Point("sample", 10, "the sampler", check_sample),
]

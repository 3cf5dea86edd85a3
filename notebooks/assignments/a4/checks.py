"""The points of A4. Each frame has a time of its own, so that a time in the wrong place shows."""

import torch

from mini_sora.diffusion import Cosine, diffusion_loss, target_of
from mini_sora.diffusion import add_noise as true_noise
from mini_sora.samplers import ddpm_step as true_ddpm
from mini_sora.samplers import euler_step as true_euler
from notebooks.assignments.measure import Numbers, Point, close, same, shaped


class Case:
    """Latents, noise, and two times for each latent frame, s before t, with what is true of them."""

    def __init__(self, seed):
        numbers = Numbers(seed)
        self.z_0, self.eps, self.noise = (numbers(2, 3, 4, 5, 6) for _ in range(3))
        self.t = torch.tensor([[0.9, 0.5, 0.7, 0.3], [0.2, 0.6, 0.95, 0.4]]) - 0.05 * numbers.number(0, 1)
        self.s = self.t * torch.tensor([[0.9, 0.4, 0.95, 0.1], [0.5, 0.7, 0.5, 0.98]])
        self.z_t = true_noise(Cosine(), self.z_0, self.eps, self.t)
        self.v = target_of(Cosine(), "v", self.z_0, self.eps, self.t)


def spread(value):
    """(B, K) to (B, 1, K, 1, 1)."""
    return value.unsqueeze(1)[..., None, None]


def check_schedule(function, seed):
    case = Case(seed)
    alpha, sigma = function(case.t)
    shaped(alpha, case.t.shape, "alpha has the shape")
    ends = function(torch.tensor([[0.0, 1.0]]))
    assert abs(ends[0][0, 0] - 1) < 1e-5, f"alpha(0) is {ends[0][0, 0]:.3f}, not 1: t = 0 is data"
    assert abs(ends[1][0, 1] - 1) < 1e-5, f"sigma(1) is {ends[1][0, 1]:.3f}, not 1: t = 1 is noise"
    off = (alpha**2 + sigma**2 - 1).abs().max()
    assert off < 1e-5, f"alpha^2 + sigma^2 is off 1 by up to {off:.3g}: a quarter of a circle"
    same(alpha, Cosine().alpha(case.t), "alpha")


def check_noise(function, seed):
    case = Case(seed)
    z_0, eps, t = case.z_0, case.eps, case.t
    found = function(z_0, eps, t)
    shaped(found, z_0.shape)
    assert not close(found, true_noise(Cosine(), z_0, eps, 1 - t)), (
        "time runs the wrong way, or alpha is sigma"
    )
    assert close(function(z_0, eps, torch.zeros(2, 4)), z_0), "at t = 0 z_t must be z_0"
    assert close(function(z_0, eps, torch.ones(2, 4)), eps), "at t = 1 z_t must be eps, as it is"
    times = torch.where(torch.arange(4) == 2, t, 0.0)
    alone = close(function(z_0, eps, times)[:, :, :2], z_0[:, :, :2])
    assert alone, "a latent frame at t = 0 must stay as it is, whatever the times of the others"
    moved = not close(function(z_0, eps, times)[:, :, 2], z_0[:, :, 2])
    assert moved, "each latent frame has a time of its own, and yours all have that of the first"
    off = (found - case.z_t).abs().max()
    assert off < 1e-5, f"off by up to {off:.2g}: alpha z_0 + sigma eps, with a plus, and no more"


def check_velocity(function, seed):
    case = Case(seed)
    found, h = function(case.z_0, case.eps, case.t), 1e-3
    ahead, back = (true_noise(Cosine(), case.z_0, case.eps, case.t + d) for d in (h, -h))
    slope = (ahead - back) / (2 * h)
    shaped(found, slope.shape)
    assert not close(found, -slope, 1e-2), "the sign is wrong: v points from data to noise"
    scaled = close(found * torch.pi / 2, slope, 1e-2)
    assert not scaled, "pi / 2 is missing: the derivative of cos(pi t / 2) is by t"
    assert not close(found, case.eps - case.z_0), (
        "that is the velocity of the straight line, not of the cosine schedule"
    )
    off = (found - slope).abs().max()
    why = f"off by up to {off:.2g} from (z(t + h) - z(t - h)) / 2h: derive alpha z_0 + sigma eps by t, signs and all"
    assert off < 1e-2, why


def check_guess(function, seed):
    case = Case(seed)
    z_0, eps = function(case.v, case.z_t, case.t)
    shaped(z_0, case.z_0.shape)
    exchanged = close(eps, case.z_0, 1e-3) and close(z_0, case.eps, 1e-3)
    assert not exchanged, "z_0 and eps are exchanged: z_0 is the first"
    u = case.v * torch.pi / 2
    alpha, sigma = (spread(f(case.t)) for f in (Cosine().alpha, Cosine().sigma))
    for wide, why in ((case.v, "missing"), (u, "the wrong way up")):
        assert not close(z_0, alpha * case.z_t - sigma * wide), (
            f"2 / pi is {why}: v holds the derivative of the angle"
        )
    for name, found, wanted in (("z_0", z_0, case.z_0), ("eps", eps, case.eps)):
        off = (found - wanted).abs().max()
        assert off < 1e-4, (
            f"{name} is off by up to {off:.2g}: solve z_t and v for z_0 and eps; mind the signs"
        )


def check_loss(function, seed):
    case = Case(seed)
    z_0, eps, times = case.z_0, case.eps, case.t
    known = torch.tensor([[True, False, False, True], [False, False, True, False]])
    seen = []

    def denoiser(z_t, t):
        seen.append((z_t, t))
        return 0.5 * z_t + spread(t)

    found = torch.as_tensor(function(denoiser, z_0, eps, times, known))
    assert found.ndim == 0, "the loss is one number"
    assert len(seen) == 1, f"the denoiser was asked {len(seen)} times, not once"
    z_t, t = seen[0]
    assert (t[known] == 0).all(), "a known frame enters with t = 0"
    assert torch.equal(t[~known], times[~known]), "a frame that is not known keeps its own time"
    kept = close(z_t.transpose(1, 2)[known], z_0.transpose(1, 2)[known])
    assert kept, "a known frame enters as it is, without noise"
    wanted = diffusion_loss(denoiser, Cosine(), "v", z_0, times, eps, known)
    if abs(found - wanted) < 1e-4 * wanted:
        return
    at = torch.where(known, 0.0, times)
    error = denoiser(z_t, t) - target_of(Cosine(), "v", z_0, eps, at)
    counts = spread((~known).float()).expand_as(error)
    toward_eps = (((denoiser(z_t, t) - eps) ** 2) * counts).sum() / counts.sum()
    for other, why in (
        ((error**2).mean(), "known frames must not count"),
        (
            (error**2 * (1 - counts)).sum() / (1 - counts).sum(),
            "the mask is inverted: the known frames count",
        ),
        ((error**2 * (1 - counts)).sum() / counts.sum(), "the mask is inverted: the known frames count"),
        ((error**2 * counts).mean(), "the mean is over the numbers that count, not over all"),
        ((error**2 * counts).sum(), "that is a sum; the loss is a mean"),
        ((error.abs() * counts).sum() / counts.sum(), "the error is to be squared"),
        (toward_eps, "what is to be predicted is the velocity, not the noise"),
    ):
        assert abs(found - other) > 1e-3 * abs(other), why
    raise AssertionError(f"{found:.4f}, not {wanted:.4f}: the mean squared error of the velocity")


def check_ddpm(function, seed):
    case = Case(seed)
    z_t, z_0, t, s, noise = case.z_t, case.z_0, case.t, case.s, case.noise
    mean, found = (function(z_t, z_0, t, s, n) for n in (0 * noise, noise))
    right_mean, right = (true_ddpm(Cosine(), z_t, z_0, case.eps, t, s, n) for n in (0 * noise, noise))
    shaped(found, z_t.shape)
    for given, name in ((z_t, "z_t"), (z_0, "z_0")):
        zero = torch.zeros_like(given)
        pair = (given, zero) if name == "z_t" else (zero, given)
        part = function(*pair, t, s, zero)
        off = (part - true_ddpm(Cosine(), *pair, case.eps, t, s, zero)).abs().max()
        assert off < 1e-4, (
            f"in the mean, the factor of {name} is wrong (by up to {off:.2g}): derive it once more"
        )
    same(mean, right_mean, "the mean", 1e-4)
    assert not close(found, mean), "no noise is added: a step of DDPM draws"
    size = (found - mean).abs().mean() / (right - right_mean).abs().mean()
    assert abs(size - 1) < 1e-3, (
        f"the noise is {size:.3g} times as strong as it must be: the posterior's deviation, not its variance, nor that of "
        "the forward step"
    )
    same(found, right, "z_s", 1e-4)


def check_ddim(function, seed):
    case = Case(seed)
    found, wanted = function(case.z_0, case.eps, case.s), true_noise(Cosine(), case.z_0, case.eps, case.s)
    shaped(found, wanted.shape)
    assert not close(found, case.z_0), "that is the guess itself; z_s still has some noise"
    for other in (
        true_noise(Cosine(), case.eps, case.z_0, case.s),
        true_noise(Cosine(), case.z_0, case.eps, 1 - case.s),
    ):
        assert not close(found, other), "z_0 and eps, or alpha and sigma, are exchanged"
    off = (found - wanted).abs().max()
    assert off < 1e-4, (
        f"off by up to {off:.2g}: as the forward process makes z_t, from this z_0 and this eps, at time s"
    )


def check_euler(function, seed):
    case = Case(seed)
    found = function(case.z_t, case.v, case.t, case.s)
    wanted = true_euler(Cosine(), case.z_t, case.z_0, case.eps, case.t, case.s)
    shaped(found, wanted.shape)
    assert not close(found, 2 * case.z_t - wanted), "it goes towards the noise: s is smaller than t"
    off = (found - wanted).abs().max()
    assert off < 1e-4, (
        f"off by up to {off:.2g}: from z_t, (s - t) times along v, which is already the derivative by t"
    )


def check_guidance(function, seed):
    case = Case(seed)

    def one(z_t, t):
        return z_t + 1

    def base(z_t, t):
        return 2 * z_t + spread(t)

    for scale, why in (
        (0.0, "scale 0 must give the unconditional one"),
        (1.0, "scale 1 must give the conditional one"),
        (2.5, "scale 2.5 goes two and a half times from the unconditional one to the conditional one"),
    ):
        found = function(one, base, scale)(case.z_t, case.t)
        wanted = base(case.z_t, case.t) + scale * (one(case.z_t, case.t) - base(case.z_t, case.t))
        assert close(found, wanted), why


def check_sample(function, seed):
    case, asked, shown = Case(seed), [], []

    def denoiser(z_t, t):
        """Knows the one clip that there is."""
        asked.append(t.clone()), shown.append(z_t.clone())
        assert tuple(t.shape) == (2, 4), f"t has the shape {tuple(t.shape)}, not (B, K): (2, 4)"
        alpha, sigma = (spread(f(t)) for f in (Cosine().alpha, Cosine().sigma))
        eps = (z_t - alpha * case.z_0) / sigma.clamp(min=1e-6)
        return torch.pi / 2 * (alpha * eps - sigma * case.z_0)

    found = function(denoiser, case.noise, 7)
    assert len(asked) == 7, (
        f"the denoiser was asked {len(asked)} times for 7 steps: there is one more time than steps"
    )
    times = [t.mean().item() for t in asked]
    assert abs(times[0] - 1) < 1e-6, f"the first time is {times[0]:.3f}, not 1: it begins with noise"
    equal = all(abs(t - (1 - i / 7)) < 1e-4 for i, t in enumerate(times))
    assert equal, f"the times are {[round(t, 2) for t in times]}, not equal steps from 1 that would end at 0"
    shaped(found, case.z_0.shape)
    off = (found - case.z_0).abs().max()
    assert off < 1e-3, (
        f"with a perfect denoiser the sample is off by up to {off:.2g}: each step goes from t to s, with the guesses of "
        "z_0 and eps in this order, and the last s is 0"
    )
    for z_t, t in zip(shown, asked, strict=True):
        alpha, sigma = (spread(f(t)) for f in (Cosine().alpha, Cosine().sigma))
        assert close(z_t, alpha * case.z_0 + sigma * case.noise, 1e-3), (
            "each step of DDIM keeps the guessed eps: z stays on the curve from the noise to the clip"
        )


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

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler

from mini_sora.diffusion import DDPM, SCHEDULES, TARGETS, Linear, guesses, per_frame, target_of
from mini_sora.samplers import STEPS, ddim_step, ddpm_step, draw_noise, euler_step, sample, sampling_times

SHAPE = (2, 3, 4, 5, 6)


def draw(seed=0, n=3):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(SHAPE, generator=g) for _ in range(n)]


def times(t, s):
    return torch.full((2, 4), t), torch.full((2, 4), s)


@pytest.mark.parametrize("steps", [1000, 50])
@pytest.mark.parametrize("index", [0, 40, 500, 980])
def test_ddpm_step_agrees_with_diffusers(index, steps):
    z_t, eps, _ = draw()
    theirs = DDPMScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, clip_sample=False)
    theirs.set_timesteps(steps)
    expected = theirs.step(eps, index, z_t, generator=torch.Generator().manual_seed(7)).prev_sample
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    schedule, (t, s) = DDPM(), times((index + 1) / 1000, max(index + 1 - 1000 // steps, 0) / 1000)
    z_0, eps = guesses(schedule, "eps", eps, z_t, t)
    torch.testing.assert_close(
        ddpm_step(schedule, z_t, z_0, eps, t, s, noise), expected, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("index", [0, 40, 500, 980])
def test_ddim_step_agrees_with_diffusers(index):
    z_t, eps, _ = draw()
    theirs = DDIMScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, clip_sample=False)
    theirs.set_timesteps(50)
    expected = theirs.step(eps, index, z_t).prev_sample
    schedule, (t, s) = DDPM(), times((index + 1) / 1000, max(index + 1 - 20, 0) / 1000)
    z_0, eps = guesses(schedule, "eps", eps, z_t, t)
    torch.testing.assert_close(ddim_step(schedule, z_t, z_0, eps, t, s), expected, atol=1e-5, rtol=1e-5)


def test_euler_step_agrees_with_diffusers():
    z_t, v, _ = draw()
    theirs = FlowMatchEulerDiscreteScheduler()
    theirs.set_timesteps(sigmas=[0.8, 0.55, 0.3])
    expected = theirs.step(v, theirs.timesteps[0], z_t).prev_sample
    t, s = times(0.8, 0.55)
    z_0, eps = guesses(Linear(), "v", v, z_t, t)
    torch.testing.assert_close(euler_step(Linear(), z_t, z_0, eps, t, s), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_ancestral_step_draws_from_the_bayesian_posterior(name):
    schedule = SCHEDULES[name]()
    z_t, z_0, _ = (x.double() for x in draw())
    t, s = (x.double() for x in times(0.7, 0.4))
    a_t, s_t, a_s, s_s = schedule.alpha(t), schedule.sigma(t), schedule.alpha(s), schedule.sigma(s)
    # Two Gaussian facts about z_s: z_t = ratio z_s + spread noise, and z_s = a_s z_0 + s_s noise.
    ratio = a_t / a_s
    spread2 = s_t**2 - ratio**2 * s_s**2
    precision = ratio**2 / spread2 + 1 / s_s**2
    mean = (per_frame(ratio / spread2, z_t) * z_t + per_frame(a_s / s_s**2, z_t) * z_0) / per_frame(
        precision, z_t
    )
    zero, one = torch.zeros_like(z_t), torch.ones_like(z_t)
    got = ddpm_step(schedule, z_t, z_0, None, t, s, zero)
    torch.testing.assert_close(got, mean)
    torch.testing.assert_close(
        ddpm_step(schedule, z_t, z_0, None, t, s, one) - got, per_frame(precision.rsqrt(), z_t).expand_as(z_t)
    )


def test_ddim_and_euler_are_one_on_straight_lines():
    z_t, z_0, eps = draw()
    z_t = 0.3 * z_0 + 0.7 * eps
    t, s = times(0.7, 0.2)
    one, other = (step(Linear(), z_t, z_0, eps, t, s) for step in (ddim_step, euler_step))
    torch.testing.assert_close(one, other)


def mixture_denoiser(schedule, kind, means, weights, std):
    """The exact answer where z_0 is a mixture of Gaussians in each number on its own."""

    def denoiser(z_t, t):
        alpha, sigma = per_frame(schedule.alpha(t), z_t), per_frame(schedule.sigma(t), z_t)
        variance = alpha**2 * std**2 + sigma**2
        logs = torch.stack(
            [w.log() - (z_t - alpha * m) ** 2 / (2 * variance) for m, w in zip(means, weights, strict=False)]
        )
        gain = alpha * std**2 / variance
        each = torch.stack([m + gain * (z_t - alpha * m) for m in means])
        z_0 = (logs.softmax(0) * each).sum(0)
        eps = (z_t - alpha * z_0) / sigma.clamp(min=1e-4)
        return target_of(schedule, kind, z_0, eps, t)

    return denoiser


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("sampler", STEPS)
def test_samplers_recover_a_gaussian_mixture(sampler, name):
    schedule = SCHEDULES[name]()
    means, weights, std = torch.tensor([-1.5, 1.0]), torch.tensor([0.3, 0.7]), 0.3
    kind = {"linear": "v", "cosine": "x", "ddpm": "eps"}[name]
    denoiser = mixture_denoiser(schedule, kind, means, weights, std)
    sources = [torch.Generator().manual_seed(i) for i in range(2)]
    z = sample(
        denoiser,
        schedule,
        kind,
        draw_noise((1, 1, 50, 200), sources),
        sampler,
        steps=200,
        generators=sources,
    ).flatten()
    low = z[z < -0.4]
    assert abs(len(low) / len(z) - 0.3) < 0.02
    for part, mean in ((low, -1.5), (z[z >= -0.4], 1.0)):
        assert abs(part.mean() - mean) < 0.02 and abs(part.std() - std) < 0.02


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("sampler", STEPS)
def test_small_errors_stay_small(sampler, name, kind):
    """A denoiser that is off by 2%, whatever it predicts: z_0 has a standard deviation of half."""
    schedule = SCHEDULES[name]()
    exact = mixture_denoiser(schedule, kind, [torch.tensor(0.0)], [torch.tensor(1.0)], 0.5)
    off = torch.Generator().manual_seed(9)

    def denoiser(z_t, t):
        return exact(z_t, t) + 0.02 * torch.randn(z_t.shape, generator=off)

    sources = [torch.Generator().manual_seed(i) for i in range(2)]
    noise = draw_noise((1, 1, 50, 100), sources)
    z = sample(denoiser, schedule, kind, noise, sampler, steps=20, generators=sources)
    assert 0.35 < z.std() < 0.65


@pytest.mark.parametrize("sampler", STEPS)
def test_known_frames_come_back_unchanged(sampler):
    z, _, _ = draw()
    known = torch.tensor([[True, False, False, True], [False, True, False, False]])
    seen = []

    def denoiser(z_t, t):
        seen.append(t)
        return z_t * 0.5 + 1

    sources = [torch.Generator().manual_seed(i) for i in range(2)]
    out = sample(denoiser, Linear(), "v", z, sampler, steps=3, known=known, generators=sources)
    assert torch.equal(out.transpose(1, 2)[known], z.transpose(1, 2)[known])
    assert not torch.isclose(out.transpose(1, 2)[~known], z.transpose(1, 2)[~known]).any()
    assert all((t[known] == 0).all() and (t[~known] > 0).all() for t in seen)


def test_sampling_times():
    torch.testing.assert_close(sampling_times(4), torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]))
    late = sampling_times(4, start=0.8, shift=3.0)
    assert late[0] == pytest.approx(0.8) and late[-1] == 0 and (late.diff() < 0).all()
    assert late[2] > sampling_times(4, start=0.8)[2]


def test_each_clip_has_its_own_noise():
    def sources(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    both = draw_noise((2, 3), sources(4, 5))
    assert torch.equal(both[1:], draw_noise((2, 3), sources(5)))
    assert not torch.equal(both[0], both[1])

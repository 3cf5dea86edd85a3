import math

import pytest
import torch
from diffusers import DDPMScheduler

from mini_sora.config import UserError
from mini_sora.diffusion import (
    DDPM,
    SCHEDULES,
    TARGETS,
    Cosine,
    TimeSampling,
    add_noise,
    diffusion_loss,
    draw_known,
    guesses,
    guide,
    per_frame,
    target_of,
    unaware,
)

SHAPE = (2, 3, 4, 5, 6)
ALL = [cls() for cls in SCHEDULES.values()]


def draw(seed=0):
    g = torch.Generator().manual_seed(seed)
    z_0, eps = torch.randn(SHAPE, generator=g), torch.randn(SHAPE, generator=g)
    return z_0, eps, 0.05 + 0.9 * torch.rand(2, 4, generator=g)


@pytest.mark.parametrize("schedule", ALL, ids=SCHEDULES)
def test_time_runs_from_data_to_noise(schedule):
    ends = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(schedule.alpha(ends), torch.tensor([1.0, 0.0]), atol=7e-3, rtol=0)
    torch.testing.assert_close(schedule.sigma(ends), torch.tensor([0.0, 1.0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("schedule", ALL, ids=SCHEDULES)
def test_derivatives_are_those_of_the_curves(schedule):
    t = torch.linspace(0.1005, 0.9005, 9, dtype=torch.float64)  # between the steps of DDPM
    h = 1e-5
    for curve, slope in ((schedule.alpha, schedule.alpha_dot), (schedule.sigma, schedule.sigma_dot)):
        torch.testing.assert_close(slope(t), (curve(t + h) - curve(t - h)) / (2 * h), atol=1e-5, rtol=1e-5)


def test_ddpm_agrees_with_diffusers():
    theirs = DDPMScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02)
    t = torch.arange(1, 1001) / 1000
    torch.testing.assert_close(DDPM().alpha(t).pow(2), theirs.alphas_cumprod, atol=1e-5, rtol=0)
    z_0, eps, _ = draw()
    i = torch.tensor([70, 640])
    ours = add_noise(DDPM(), z_0, eps, ((i + 1) / 1000)[:, None].expand(2, 4))
    torch.testing.assert_close(ours, theirs.add_noise(z_0, eps, i), atol=1e-5, rtol=0)


def test_cosine_v_is_the_angular_velocity_of_salimans_and_ho():
    schedule = Cosine()
    z_0, eps, t = draw()
    expected = per_frame(schedule.alpha(t), z_0) * eps - per_frame(schedule.sigma(t), z_0) * z_0
    torch.testing.assert_close(target_of(schedule, "v", z_0, eps, t), expected * math.pi / 2)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("schedule", ALL, ids=SCHEDULES)
def test_targets_are_conversions_of_one_another(schedule, kind):
    z_0, eps, t = draw()
    z_t = add_noise(schedule, z_0, eps, t)
    got = guesses(schedule, kind, target_of(schedule, kind, z_0, eps, t), z_t, t)
    torch.testing.assert_close(got[0], z_0, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(got[1], eps, atol=2e-4, rtol=1e-3)


def test_a_target_that_there_is_not_is_refused():
    z_0, eps, t = draw()
    for function in (target_of, guesses):
        with pytest.raises(UserError, match="'epsilon'; it is one of eps, v, x"):
            function(Cosine(), "epsilon", z_0, eps, t)


def test_noise_time_is_per_frame():
    z_0, eps, _ = draw()
    t = torch.tensor([[0.0, 1.0, 0.0, 0.5]]).expand(2, 4)
    z_t = add_noise(SCHEDULES["linear"](), z_0, eps, t)
    assert torch.equal(z_t[:, :, 0], z_0[:, :, 0]) and torch.equal(z_t[:, :, 1], eps[:, :, 1])
    torch.testing.assert_close(z_t[:, :, 3], (z_0 + eps)[:, :, 3] / 2)


def test_loss_is_the_mean_squared_error_over_unknown_frames():
    z_0, eps, t = draw()
    known = torch.tensor([[True, False, False, True], [False, False, True, False]])
    seen = {}

    def denoiser(z_t, t):
        seen.update(z_t=z_t, t=t)
        return torch.zeros_like(z_t)

    loss = diffusion_loss(denoiser, SCHEDULES["linear"](), "v", z_0, t, eps, known)
    error = (eps - z_0).pow(2).transpose(1, 2)[~known]
    torch.testing.assert_close(loss, error.mean())
    assert torch.equal(seen["z_t"].transpose(1, 2)[known], z_0.transpose(1, 2)[known])
    assert (seen["t"][known] == 0).all() and torch.equal(seen["t"][~known], t[~known])


def test_loss_ignores_known_frames():
    z_0, eps, t = draw()
    known = torch.tensor([[True, False, False, False]]).expand(2, 4)
    wrong = torch.zeros(SHAPE)
    wrong[:, :, 0] = 1e3
    schedule = SCHEDULES["cosine"]()
    fine = diffusion_loss(lambda z, t: torch.zeros_like(z), schedule, "x", z_0, t, eps, known)
    assert torch.equal(fine, diffusion_loss(lambda z, t: wrong, schedule, "x", z_0, t, eps, known))


def test_a_perfect_denoiser_has_no_loss():
    z_0, eps, t = draw()
    for name, make in SCHEDULES.items():
        for kind in TARGETS:
            answer = target_of(make(), kind, z_0, eps, t)
            assert diffusion_loss(lambda z, t, a=answer: a, make(), kind, z_0, t, eps) == 0, (name, kind)


def test_guidance():
    z, t = torch.zeros(SHAPE), torch.zeros(2, 4)
    yes, no = (lambda z, t: z + 3), (lambda z, t: z + 1)
    for scale, value in ((0, 1.0), (1, 3.0), (2, 5.0)):
        assert torch.equal(guide(yes, no, scale)(z, t), torch.full(SHAPE, value))
    assert guide(yes, no, 1) is yes
    for time, value in ((0.2, 3.0), (0.5, 5.0), (0.8, 3.0)):
        t = torch.tensor([[0.0, time]])  # a known frame does not count
        assert torch.equal(guide(yes, no, 2, 0.4, 0.6)(z, t), torch.full(SHAPE, value)), time


def test_time_sampling():
    g = torch.Generator().manual_seed(0)
    uniform = TimeSampling("uniform")((500_000,), g)
    assert abs(uniform.mean() - 0.5) < 0.01 and 1e-4 <= uniform.min() < 2e-4 and uniform.max() <= 1
    late = TimeSampling("logit-normal", 1.0)((20_000,), g)
    torch.testing.assert_close(torch.logit(late).mean(), torch.tensor(1.0), atol=0.03, rtol=0)
    torch.testing.assert_close(torch.logit(late).std(), torch.tensor(1.0), atol=0.03, rtol=0)
    assert TimeSampling("logit-normal", -10.0)((9,), g).min() >= 1e-4


def test_known_frames_are_drawn_as_the_tasks_have_them():
    known = draw_known(4000, 4, 0.6, torch.Generator().manual_seed(0))
    assert known.shape == (4000, 4) and known.dtype == torch.bool and not known.all(1).any()
    given = known[known.any(1)]
    assert abs(len(given) / 4000 - 0.6) < 0.05
    kinds = {"".join(str(int(k)) for k in row) for row in given.tolist()}
    assert kinds == {f"{n:04b}" for n in range(1, 15)}, "any set of frames can be known"
    prefix, suffix = (given[:, 0] & ~given[:, 3]).float().mean(), (~given[:, 0] & given[:, 3]).float().mean()
    assert prefix > 0.25 and suffix > 0.25 and (given[:, 0] & given[:, 3]).float().mean() > 0.2


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips_always_have_a_frame_to_make(frames):
    known = draw_known(500, frames, 1.0, torch.Generator().manual_seed(0))
    assert not known.all(1).any() and known.any().item() == (frames > 1)


def test_history_is_noised_as_told_and_does_not_count():
    z_0, eps, known = torch.zeros(2, 3, 4, 2, 2), torch.ones(2, 3, 4, 2, 2), torch.zeros(2, 4).bool()
    known[:, :2] = True
    seen = []

    def denoiser(z_t, t):
        seen.append((z_t, t))
        prediction = torch.ones_like(z_t)
        prediction[:, :, :2] = 100  # a wrong answer where frames are given
        return prediction

    history = torch.tensor([[0.0], [0.1]])
    loss = diffusion_loss(
        denoiser, SCHEDULES["linear"](), "eps", z_0, torch.full((2, 4), 0.7), eps, known, history
    )
    (z_t, t), *_ = seen
    torch.testing.assert_close(t, torch.tensor([[0.0, 0.0, 0.7, 0.7], [0.1, 0.1, 0.7, 0.7]]))
    torch.testing.assert_close(z_t[:, 0, :, 0, 0], t)
    assert loss == 0


def test_unaware_is_not_told_what_is_known():
    z, noise, _ = draw()
    schedule, seen = SCHEDULES["linear"](), []
    known = torch.tensor([[True, False, False, True], [False, True, True, False]])
    t = torch.where(known, 0.0, torch.tensor([[0.8], [0.3]]))
    answer = unaware(lambda z, t: seen.append((z, t)) or z + 1, schedule, known, noise)(z, t)
    ((shown, times),) = seen
    assert torch.equal(times, torch.tensor([[0.8], [0.3]]).expand(2, 4)), "no frame stands out by its time"
    noised = add_noise(schedule, z, noise, times)
    for clip, frame in known.nonzero().tolist():
        assert torch.equal(shown[clip, :, frame], noised[clip, :, frame]), "what is known is noised as much"
    for clip, frame in (~known).nonzero().tolist():
        assert torch.equal(shown[clip, :, frame], z[clip, :, frame]), "the others have their noise already"
    assert torch.equal(answer, shown + 1)

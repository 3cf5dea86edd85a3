# %% [markdown]
# # 04 · Noise: how to make something by taking noise away
#
# **You will be able to** write the forward process of DDPM from memory, derive its posterior, sample from a model
# with DDPM, DDIM and Euler, and say when they agree.
#
# **You need** lesson 00, the normal distribution, and derivatives.
#
# **Time** It runs in 2 minutes on two laptop cores.
#
# We begin where everything can be drawn: data with two numbers each.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from lesson import check, clips, clock, pick, shapes, slide, strip
from torch import nn

from mini_sora.diffusion import Cosine, Linear, add_noise, diffusion_loss, guesses, target_of
from mini_sora.samplers import ddim_step, ddpm_step, euler_step, sample, sampling_times

torch.manual_seed(0)


def draw_data(count, generator=None):
    """Points on two half moons: (count, 2)."""
    angle = torch.pi * torch.rand(count, generator=generator)
    side = torch.randint(2, (count,), generator=generator)
    x = torch.where(side == 0, angle.cos(), 1 - angle.cos()) - 0.5
    y = torch.where(side == 0, angle.sin(), 0.5 - angle.sin()) - 0.25
    return torch.stack([x, y], 1) * 1.5 + 0.04 * torch.randn(count, 2, generator=generator)


data = draw_data(2000)
shapes(data=data)

# %% [markdown]
# ## The way in: adding noise
#
# The forward process mixes data and noise: `z_t = alpha(t) z_0 + sigma(t) eps`, with t from 0 (data) to 1 (noise).
# A *schedule* is a choice of alpha and sigma. Two are drawn here: the straight line (*flow matching* is to learn the
# velocity along it), and the quarter circle, whose variance stays one.
#
# In the files of this project z is (B, C, K, h, w) and t is (B, K), a noise time for each latent frame. A point is a
# clip with two channels, one frame and one pixel.

# %%
z_0 = data[:, :, None, None, None]  # (B, 2, 1, 1, 1)
eps = torch.randn(z_0.shape)
times = (0.0, 0.25, 0.5, 0.75, 1.0)
figure, axes = plt.subplots(2, 5, figsize=(10, 4.2), sharex=True, sharey=True)
for row, schedule in zip(axes, (Linear(), Cosine()), strict=True):
    for axis, t in zip(row, times, strict=True):
        z_t = add_noise(schedule, z_0, eps, torch.full((len(z_0), 1), t)).flatten(1)
        axis.scatter(*z_t.T, s=1)
        axis.set_title(f"{type(schedule).__name__.lower()}, t = {t}", fontsize=9)
figure.tight_layout()
plt.show()

# %% [markdown]
# **Predict.** At t = 0.5 the cloud of the linear schedule is narrower than that of the cosine. Why?
# (What is the variance of `alpha z_0 + sigma eps` when z_0 has variance one?)

# %%
for name, schedule in (("linear", Linear()), ("cosine", Cosine())):
    t = torch.tensor(0.5)
    alpha, sigma = schedule.alpha(t).item(), schedule.sigma(t).item()
    print(f"{name:8} alpha {alpha:.3f}  sigma {sigma:.3f}  variance {alpha**2 + sigma**2:.3f}")

# %% [markdown]
# ## What a network learns
#
# It sees z_t and t, and is asked for one of three things: the noise `eps`, the data `x`, or the velocity
# `v = dz_t/dt`. Any of them gives the others, by two linear equations. The loss is the mean squared error, so
# what it learns is an *average*: the mean of all answers that fit what it sees.


# %%
class Net(nn.Module):
    """Two numbers and a time in, two numbers out."""

    def __init__(self, width=128):
        super().__init__()
        sizes = pairwise((2 + 16, width, width, width))
        hidden = [layer for a, b in sizes for layer in (nn.Linear(a, b), nn.SiLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, 2))

    def forward(self, z, t):  # (B, 2, 1, 1, 1), (B, 1) -> like z
        angle = t * torch.arange(1, 9) * torch.pi / 2  # a time must be told apart from its neighbours
        told = torch.cat([z.flatten(1), angle.sin(), angle.cos()], 1)
        return self.layers(told).view(z.shape)


def train(schedule, kind):
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses, steps = [], pick(3000, 100)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, 2 * (1 - step / steps))
        z_0 = draw_data(256)[:, :, None, None, None]
        loss = diffusion_loss(net, schedule, kind, z_0, torch.rand(256, 1), torch.randn(z_0.shape))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return net.eval(), losses


with clock("two networks"):
    nets = {kind: train(Cosine(), kind) for kind in ("eps", "v")}


def floor(kind, count=400):
    """The loss of the best possible guess: the mean of all points that fit, each weighted by how well."""
    points, found = draw_data(6000), []
    for t in torch.linspace(0.025, 0.975, 20):
        alpha, sigma = Cosine().alpha(t), Cosine().sigma(t)
        eps = torch.randn(count, 2)
        z = alpha * draw_data(count) + sigma * eps
        guess = (-(torch.cdist(z, alpha * points) ** 2) / (2 * sigma**2)).softmax(1) @ points
        error = ((z - alpha * guess) / sigma - eps) ** 2
        found.append((error * ((torch.pi / 2 / alpha) ** 2 if kind == "v" else 1)).mean())
    return torch.stack(found).mean().item()


for color, (kind, (_, losses)) in zip(("C0", "C1"), nets.items(), strict=True):
    plt.plot(np.convolve(losses, np.ones(50) / 50, "valid"), color, label=kind)
    plt.axhline(floor(kind), color=color, linestyle=":", label=f"{kind}, the best possible")
plt.xlabel("step"), plt.ylabel("loss"), plt.legend(), plt.ylim(0)
plt.show()

# %% [markdown]
# **Explain.** Both end far above zero, and nothing is wrong: they come close to the dotted lines, the best that anybody could
# do. What the noise hides no training can tell; the best answer is the average, and the rest of the loss stays. For eps most of
# it is at low and middle noise, where nobody can say how far along the moon a point was pushed; for v it is everywhere, and
# most where noise is high, where nobody can say which point of the moons it was.
#
# Nor is v learned worse because its loss is larger. For one guess of z_0 the error in v is (pi / 2) / alpha times that in
# eps. Squared, that is (pi / 2)^2, about 2.5, and more where noise is high. Losses of two targets cannot be compared.
#
# ## The way out: one step of DDPM
#
# Take two times, s < t. What do we know about z_s if we know z_t *and* z_0? By Bayes' rule it is as likely as z_s given
# z_0, times z_t given z_s. Both are normal, and so is their product (add the exponents, and complete the square in z_s):
#
# $$q(z_s \mid z_t, z_0) = \mathcal N\!\left(\frac{\alpha_{t|s}\sigma_s^2}{\sigma_t^2} z_t +
# \frac{\alpha_s \sigma_{t|s}^2}{\sigma_t^2} z_0,\; \frac{\sigma_{t|s}^2 \sigma_s^2}{\sigma_t^2}\right),
# \qquad \alpha_{t|s} = \frac{\alpha_t}{\alpha_s},\quad \sigma_{t|s}^2 = \sigma_t^2 - \alpha_{t|s}^2\sigma_s^2$$
#
# DDPM's trick: we do not know z_0, but the network has a guess of it. Put the guess in, and draw. **Check it by
# counting**: draw many pairs (z_s, z_t) of one z_0, look at those with z_t near one value.

# %%
schedule, s, t, x = Cosine(), 0.4, 0.6, 0.8
generator = torch.Generator().manual_seed(1)
value = {name: getattr(schedule, f)(torch.tensor(u)).item() for u, tag in ((s, "s"), (t, "t"))
         for f in ("alpha", "sigma") for name in [f"{f}_{tag}"]}  # fmt: skip
z_s = value["alpha_s"] * x + value["sigma_s"] * torch.randn(2_000_000, generator=generator)
ratio = value["alpha_t"] / value["alpha_s"]
spread = (value["sigma_t"] ** 2 - ratio**2 * value["sigma_s"] ** 2) ** 0.5
z_t = ratio * z_s + spread * torch.randn(len(z_s), generator=generator)
near = z_s[(z_t - 1.0).abs() < 0.01]
mean = (ratio * value["sigma_s"] ** 2 * 1.0 + value["alpha_s"] * spread**2 * x) / value["sigma_t"] ** 2
deviation = spread * value["sigma_s"] / value["sigma_t"]
print(f"counted  mean {near.mean():.3f}  deviation {near.std():.3f}   ({len(near)} pairs)")
print(f"formula  mean {mean:.3f}  deviation {deviation:.3f}")

# %% [markdown]
# The same lines are `ddpm_step` in `mini_sora/samplers.py`. Here it is, and with it the steps of two other samplers.

# %%
import inspect

print(inspect.getsource(ddpm_step))
print(inspect.getsource(ddim_step))
print(inspect.getsource(euler_step))

# %% [markdown]
# ## Three samplers, one model
#
# DDPM draws from the posterior. DDIM keeps the noise that it has guessed, so it draws nothing. Euler follows the
# velocity. **Predict:** with few steps, which gets the moons best? With many?


# %%
def moons(kind, sampler, steps, count=1000):
    sources = [torch.Generator().manual_seed(i) for i in range(count)]
    noise = torch.stack([torch.randn((2, 1, 1, 1), generator=g) for g in sources])
    return sample(nets[kind][0], Cosine(), kind, noise, sampler, steps, generators=sources).flatten(1)


SAMPLERS, STEPS = ("ddpm", "ddim", "euler"), (4, 10, 30, 100)
made = {(sampler, steps): moons("v", sampler, steps) for sampler in SAMPLERS for steps in STEPS}
figure, axes = plt.subplots(3, 4, figsize=(9, 6.6), sharex=True, sharey=True)
for axis, ((sampler, steps), points) in zip(axes.flat, made.items(), strict=True):
    axis.scatter(*data[:1000].T, s=1, color="lightgrey")
    axis.scatter(*points.T, s=1)
    axis.set_title(f"{sampler}, {steps} steps", fontsize=9)
figure.tight_layout()
plt.show()


# %%
def distance(a, b):
    """How unlike two clouds are: the energy distance, 0 for the same distribution."""
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


print(f"{'steps':>8}" + "".join(f"{name:>9}" for name in SAMPLERS))
for steps in STEPS:
    print(f"{steps:8}" + "".join(f"{distance(made[name, steps], data):9.4f}" for name in SAMPLERS))
print(f"{'data':>8}{distance(draw_data(1000), data):9.4f}")

# %% [markdown]
# **Explain.** With many steps all three are about as good; what is left, the points between the moons, the network has not
# learned. With few, DDPM and DDIM fall short: their last step ends at the guess of z_0, and a guess from far away is an
# average, which lies inside of the moons. Euler is not more exact. On this schedule it goes along the tangent of DDIM's circle:
# it turns a little less, by arctan(pi / 2 dt) and not pi / 2 dt, and ends further out, by the root of 1 + (pi / 2 dt)^2, which
# is 7% with 4 steps; here that happens to make up for the averages. For other
# data and schedules the order may be another. So samplers are compared with the same number of steps, and not by a rule.
#
# ## Who agrees with whom
#
# With the same network and fine steps DDIM and Euler end at the same point from the same noise: both follow
# one curve, that of dz/dt = v with the network's v (the *probability flow*). On the *linear* schedule a single Euler step *is* a DDIM step. DDPM agrees with
# them only as a distribution. Let us see the curves, each from the noise at its circle to its end at the dot.


# %%
def curve(sampler, steps, seed):
    z = torch.randn((1, 2, 1, 1, 1), generator=torch.Generator().manual_seed(seed))
    places, generator = [z.flatten()], torch.Generator().manual_seed(seed + 100)
    times = sampling_times(steps).tolist()
    with torch.no_grad():
        for t, s in pairwise(times):
            t, s = torch.full((1, 1), t), torch.full((1, 1), s)
            z_0, eps = guesses(Cosine(), "v", nets["v"][0](z, t), z, t)
            step = {"ddpm": ddpm_step, "ddim": ddim_step, "euler": euler_step}[sampler]
            z = step(Cosine(), z, z_0, eps, t, s, torch.randn(z.shape, generator=generator))
            places.append(z.flatten())
    return torch.stack(places)


figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True)
for axis, samplers in zip(axes, (("ddim", "euler"), ("ddpm",)), strict=True):
    axis.scatter(*data[:1000].T, s=1, color="lightgrey")
    for sampler in samplers:
        style = {"linewidth": 6, "alpha": 0.3} if sampler == "ddim" else {"linewidth": 0.8}
        style["linestyle"] = "--" if sampler == "euler" else "-"
        for i, seed in enumerate((6, 7, 9)):
            points, label = curve(sampler, 60, seed), None if i else sampler
            axis.plot(*points.T, color=f"C{i}", label=label, **style)
            axis.plot(*points[0], "o", color=f"C{i}", markerfacecolor="white")
            axis.plot(*points[-1], "o", color=f"C{i}")
    axis.set_title(" and ".join(samplers), fontsize=9)
    axis.legend()
figure.tight_layout()
plt.show()

# %% [markdown]
# ## On video latents: the same code
#
# Nothing in the samplers knew that the data had two numbers. Here is the way in for the latents of a clip, as the VAE's
# decoder sees it. **Predict:** up to which t can you still tell what it shows?

# %%
from data_gen import make_clip
from mini_sora import MiniSora

sora = MiniSora.from_pretrained("quick")
clip = make_clip("shapes-simple", seed=5)
latents = sora.encode(clip.video[None])
noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))


def noisy(t):
    """The clip with noise up to a time t, as pixels."""
    strip(sora.decode(add_noise(Linear(), latents, noise, torch.full((1, 5), t)))[0], labels=[clip.caption])


slide(noisy, [i / 20 for i in range(21)], "t", still=(0.0, 0.25, 0.5, 0.75, 1.0))

# %% [markdown]
# **Explain.** At 0.5 you can still tell what it is and where it goes, at 0.75 hardly more than that there is something. The
# noise is another in each latent frame, and takes the colour first; what many latents share, and so tell all together,
# can be told the longest. So on the way out the plan of the clip comes first, and its details last. The
# colour is the exception: the prompt tells it, so the model need not see it, and it is in the first guess (lesson 00).
#
# And here is the way out, with `quick`'s transformer, which learned on the linear schedule. **Predict:** which two rows
# will be alike?

# %%
for sampler in ("ddpm", "ddim", "euler"):
    clips(*[sora.generate("a yellow square rises", sampler=sampler, steps=steps) for steps in (2, 5, 20)],
          labels=[f"{sampler}, {steps} steps" for steps in (2, 5, 20)], height=96)  # fmt: skip

# %% [markdown]
# **Explain.** DDIM and Euler, with any number of steps: on the linear schedule v is `eps - z_0`, so Euler's
# `z_t + (s - t) v` is `(1 - s) z_0 + s eps`, DDIM's step. Exercise 3 asks you to show it. DDPM makes another clip.
#
# ## Exercises
#
# **1.** From a prediction of v on the cosine schedule, compute z_0. (Two equations: `z_t = alpha z_0 + sigma eps`
# and `v = alpha' z_0 + sigma' eps`. Solve for z_0.)


# %% tags=["exercise"]
def z_0_of(schedule, v, z_t, t):
    """z_0 from the velocity. alpha, sigma and their derivatives are schedule.alpha(t), .sigma, .alpha_dot, .sigma_dot."""
    ### BEGIN SOLUTION
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    alpha_dot, sigma_dot = schedule.alpha_dot(t), schedule.sigma_dot(t)
    return (sigma_dot * z_t - sigma * v) / (alpha * sigma_dot - sigma * alpha_dot)
    ### END SOLUTION


# %% tags=["check"]
t = torch.tensor(0.3)
z_t = add_noise(Cosine(), z_0, eps, torch.full((len(z_0), 1), 0.3))
v = target_of(Cosine(), "v", z_0, eps, torch.full((len(z_0), 1), 0.3))
check(
    lambda: torch.allclose(z_0_of(Cosine(), v, z_t, t), z_0, atol=1e-4),
    "not z_0 yet: multiply the first equation by sigma', the second by sigma, and subtract",
    "that is z_0",
)

# %% [markdown]
# **2.** One step of DDIM, from its idea: *the same guesses, less noise*. Write it without looking.


# %% tags=["exercise"]
def my_ddim(schedule, z_0, eps, s):
    """z_s from the guesses of z_0 and eps: numbers schedule.alpha(s) and schedule.sigma(s), s a number."""
    ### BEGIN SOLUTION
    return schedule.alpha(s) * z_0 + schedule.sigma(s) * eps
    ### END SOLUTION


# %% tags=["check"]
late = torch.full((len(z_0), 1), 0.2)
check(
    lambda: torch.allclose(
        my_ddim(Cosine(), z_0, eps, torch.tensor(0.2)),
        ddim_step(Cosine(), z_t, z_0, eps, None, late),
        atol=1e-5,
    ),
    "not DDIM's step: z_s is made as z_t was, by the forward process, with s in the place of t",
    "that is DDIM",
)

# %% [markdown]
# **3.** On the linear schedule one Euler step from t to s is that same DDIM step. Show it: give back both.


# %% tags=["exercise"]
def both_steps(z_0, eps, t, s):
    """(Euler's z_s, DDIM's z_s) on the linear schedule, t and s numbers; z_t is (1 - t) z_0 + t eps."""
    ### BEGIN SOLUTION
    z_t = (1 - t) * z_0 + t * eps
    return z_t + (s - t) * (eps - z_0), (1 - s) * z_0 + s * eps
    ### END SOLUTION


# %% tags=["check"]
def equal_steps():
    euler, ddim = both_steps(z_0, eps, 0.6, 0.5)
    late = torch.full((len(z_0), 1), 0.5)
    wanted = ddim_step(Linear(), None, z_0, eps, None, late)
    return torch.allclose(ddim, wanted, atol=1e-5) and torch.allclose(euler, wanted, atol=1e-5)


check(equal_steps, "they differ: the velocity is eps - z_0, and Euler goes (s - t) times as far", "one step")

# %% [markdown]
# ## Looking back
#
# - With 4 and 10 steps DDPM is behind DDIM, with 30 and more it is not. What does the noise that it adds cost with few steps,
#   and what may it mend with many?
# - The posterior's variance is smaller than that of the forward step. Where did the rest of the uncertainty go?
#
# ## References
#
# - J. Ho, A. Jain, P. Abbeel, *Denoising diffusion probabilistic models*, 2020: eq. 4 (forward), 6 and 7 (posterior), 14 (loss).
# - J. Song, C. Meng, S. Ermon, *Denoising diffusion implicit models*, 2020: eq. 12.
# - T. Salimans, J. Ho, *Progressive distillation*, 2022, appendix D: v.
# - X. Liu et al., *Flow straight and fast*, 2022; Y. Lipman et al., *Flow matching*, 2022: the linear schedule.

# %% [markdown]
# # 07 · Training the whole, and breaking it on purpose
#
# **You will be able to** train with `fit`, read a loss that falls early while the clips come right late, and look for the
# mistakes of which no error message tells.
#
# **You need** lessons 02, 04 and 05.
#
# **Time** It runs in 5 minutes on two laptop cores.

# %%
import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import torch
from lesson import check, clips, clock, pick, strip

import mini_sora.dit as dit
import mini_sora.samplers as samplers
from mini_sora import MiniSora
from mini_sora.data import Stored
from mini_sora.evaluate import interval, scores
from mini_sora.evaluate import judge as judge_all
from mini_sora.fit import fit, step_generator
from mini_sora.model import Sora
from mini_sora.objectives import dit_objective, stream, to_latents
from mini_sora.presets import PRESETS
from mini_sora.rows import Row, film

# %% [markdown]
# ## One loop
#
# `fit` trains every network of this project. Its heart is a dozen lines: a batch, a loss, a gradient, a step of two
# optimizers, and a running average of the weights. Everything that is random in step i comes from a generator that is
# seeded with i, so a run that is stopped and resumed equals one that was not, bit for bit.
#
# Of the two optimizers AdamW scales each number of a gradient by itself. Muon takes the averaged gradient of a whole matrix and
# makes all its singular values about 1 (`orthogonalize` in `mini_sora/muon.py`), so that a direction in which the gradient is
# small is learned as fast as one in which it is large. It is for the matrices inside blocks; all else goes to AdamW.
#
# Which noise times a batch gets matters, too: at t near 0 there is nothing to learn, at t near 1 little to see. `quick` draws
# t = sigmoid(n), n normal with mean 1, mostly between 0.5 and 0.9, where the plan of the clip is made; and when it films it takes
# more of its steps there (`shift`).
#
# The whole of `quick` takes four to eight minutes. Here we keep its VAE and train DiTs for some seconds each.

# %%
quick, config = MiniSora.from_pretrained("quick"), PRESETS["quick"]
data = stream(config, 32)
with clock("clips and their latents"):
    stored = Stored(data, pick(48, 4), to_latents(quick.vae, "auto"))
    unseen = [to_latents(quick.vae, "auto")(data[1000 + i]) for i in range(pick(8, 1))]
    print(f"{len(stored.batches)} batches to train on, {len(unseen)} to measure the loss on")
row = Row("", "shapes-simple")
tests = row.clips(pick(48, 4))
objective = dit_objective(config, quick.tokenizer, "cpu")


def train(network, steps, latents=stored, **settings):
    """Train a network on; returns (the model with it, the loss of each step)."""
    how = replace(config.dit.fit, steps=steps, preview_every=10**6, save_every=10**6, **settings)
    sora = MiniSora(config.model, quick.vae, network, quick.tokenizer, quick.words)
    with TemporaryDirectory() as place:
        fit(network, objective, latents, how, Path(place), quiet=True)
        lines = [json.loads(line) for line in (Path(place) / "metrics.jsonl").open()]
    network.eval()
    return sora, [line["loss"] for line in lines if "loss" in line]


def right(sora, **sampling):
    """(what it films, the checker's figures)."""
    videos = film(sora, row, tests, **sampling)
    return videos, scores(judge_all(videos, [clip.caption for clip in tests]))


names = ("all", "count", "color", "shape", "motion", "steady")


def tell(name, figures):
    low, high = interval(figures["all"], len(tests))
    print(
        f"{name:26} "
        + "  ".join(f"{key} {figures[key]:4.0%}" for key in names)
        + f"   all: {low:.0%} to {high:.0%}"
    )


# %% [markdown]
# ## The loss falls early, the clips come right late
#
# Three models: one that was trained for a few steps, one for four times as many, and `quick`, for 1300. The loss is that of
# clips that none of them has seen. **Predict:** how much of the fall of the loss lies between the first two, how much between
# the last two? And of the clips that are right?


# %%
@torch.no_grad()
def loss_of(sora):
    return np.mean(
        [objective(sora.sora, shots, step_generator(1, i)).item() for i, shots in enumerate(unseen)]
    )


measured = {}
for steps in (pick(50, 2), pick(200, 4), 1300):
    sora = quick
    if steps < 1300:
        torch.manual_seed(1)
        with clock(f"{steps} steps"):
            sora, _ = train(Sora(config.model), steps)
    videos, figures = right(sora)
    strip(*videos[:2], labels=[f"after {steps} steps: {clip.caption}" for clip in tests[:2]])
    measured[steps] = loss_of(sora), figures["all"]
    tell(f"loss {measured[steps][0]:.3f}", figures)

figure, axes = plt.subplots(1, 2, figsize=(8, 2.4))
for axis, values, name in zip(
    axes, zip(*measured.values(), strict=True), ("loss", "share right"), strict=True
):
    axis.plot(measured.keys(), values, "o-")
    axis.set(xlabel="steps", ylabel=name, ylim=(0, None))
figure.tight_layout()
plt.show()

# %% [markdown]
# **Explain.** The loss falls further between the first two, in 150 steps, than between the last two, in 1100: step by step, the
# rest is about a twelfth as fast. But there lie nearly all the clips that are right. Much of the loss is what nobody can know:
# what the noise hides. A small part decides whether a shape is a square or a circle, and which way it goes, and that part is
# learned late. So never judge by the loss alone. (Sora's report shows the same clip at a base amount of training, at 4 and at 32
# times as much; here it is 1, 4 and 26.)
#
# ## Breaking what works
#
# A mistake is best seen beside what works. So from here on every run begins with the weights of `quick`, and trains on for the
# same number of steps, with the same batches and rates; the first has no mistake. The rate is high and stays so, unlike in
# `quick` itself, which ended with a rate of zero: so even without a mistake the loss rises once the rate is up, and stays higher,
# as such a restart undoes what the falling rate had polished. Compare with this run, not with `quick`.

# %%
STEPS = pick(90, 4)
HOW = {"decay": 0.0}


def go_on(**settings):
    """Train a copy of quick's network on."""
    return train(copy.deepcopy(quick.sora), STEPS, **{**HOW, **settings})


print(
    *stored.batches[0].prompts[:3], sep="\n"
)  # what a batch holds: clips, here latents, prompts and actions


def smooth(values):
    return np.convolve(values, np.ones(15) / 15, "valid") if len(values) > 15 else values


def show(name, sora, losses):
    """What a run has come to, beside the one without a mistake; returns the share that is right."""
    plt.figure(figsize=(5, 2.2))
    plt.plot(smooth(good_losses), label="no mistake", color="grey")
    plt.plot(smooth(losses), label=name)
    plt.xlabel("step"), plt.ylabel("loss"), plt.ylim(0, None), plt.legend()
    plt.show()
    videos, figures = right(sora)
    clips(*videos[:3], labels=[clip.caption for clip in tests[:3]], height=64)
    tell("no mistake", good_figures)
    tell(name, figures)
    return figures["all"]


good, good_losses = go_on()
good_figures = right(good)[1]
tell("no mistake", good_figures)

# %% [markdown]
# ## Mistake 1: the wrong scale of time
#
# t is put into the sines as it is, in [0, 1], instead of 0 to 1000. There is no error message. **Predict:** what will the
# loss do, and what the clips?

# %%
true_embedding = dit.time_embedding
try:
    dit.time_embedding = lambda t, width: true_embedding(t / 1000, width)
    _ = show("t not scaled", *go_on())
finally:
    dit.time_embedding = true_embedding

# %% [markdown]
# **Explain.** At first the loss is high, as the network no longer hears the time that it knew. Then it learns to guess the time
# from what it sees, and the curve comes back down; the clips may come back, too, as the noise of a whole clip is easy to see
# (Sun et al. 2025). This is how a mistake lives in a program for years: it costs little, and nothing tells of it but a test of
# the embedding itself.
#
# ## Mistake 2: no average of the weights
#
# While the rate is high, the last batches throw the weights about; their average stands still. **Predict:** the losses of
# the two runs are the same to the last digit. Are the clips?

# %%
_ = show("no average", *go_on(ema=0.0))

# %% [markdown]
# **Explain.** The loss of a step is measured before the average is taken, so the two curves are one: whatever the average is
# worth, no curve can show it. Compare the shares that are right, and those that are steady; and look at the intervals before
# you believe them: with 48 clips this is a hint. With a rate that falls to zero, as in `quick`, it is worth less.
#
# ## Mistake 3: latents of the wrong scale
#
# The noise has variance one. If the latents have a tenth of their deviation, the picture is hidden at almost every t.
# **Predict:** will the loss be higher or lower?


# %%
class Listed(list):
    """Batches again and again, in their order."""

    def __getitem__(self, i):
        return list.__getitem__(self, i % len(self))


tenth = Listed(shots._replace(clips=shots.clips / 10) for shots in stored.batches)
sora, losses = go_on(latents=tenth)
true_decode = quick.vae.decode
try:
    quick.vae.decode = lambda z: true_decode(z * 10)
    _ = show("latents a tenth as wide", sora, losses)
finally:
    quick.vae.decode = true_decode

# %% [markdown]
# **Explain.** The loss ends *lower*: where everything is noise, the answer is easy. A loss can only be compared with one of
# the same data, scale and target.
#
# ## Mistake 4: a wrong sign
#
# Euler goes against the velocity: `z - (s - t) v`. Training knows nothing of it.

# %%
true_step = samplers.STEPS["euler"]
try:
    samplers.STEPS["euler"] = lambda schedule, z_t, z_0, eps, t, s, noise=None: (
        2 * z_t - true_step(schedule, z_t, z_0, eps, t, s)
    )
    videos, figures = right(quick, sampler="euler")
finally:
    samplers.STEPS["euler"] = true_step
clips(*videos[:3], labels=[clip.caption for clip in tests[:3]], height=64)
tell("against the velocity", figures)

# %% [markdown]
# **Explain.** Each step makes the noise larger, so nothing is left but noise. This is the kindest of the mistakes: nobody can
# overlook it. The weights are `quick`'s own, so when a good model films noise, look at the sampler first.
#
# ## Mistake 5: yours
#
# **1.** Break something in training so that there is no error message, the loss looks fine, and the clips are wrong. Say
# what a person should have looked at to find it. (A few ideas: the prompts of a batch one place off; the last word of
# each left out; colours exchanged, or directions. Mistake 3 shows how to change batches: `_replace(prompts=...)`.)


# %% tags=["exercise"]
def break_it():
    """(model, losses) of a run of go_on with a silent mistake of yours."""
    ### BEGIN SOLUTION
    other = {"left": "right", "right": "left"}

    def exchange(prompt):
        return re.sub("left|right", lambda found: other[found[0]], prompt)

    changed = [shots._replace(prompts=[exchange(p) for p in shots.prompts]) for shots in stored.batches]
    return go_on(latents=Listed(changed))
    ### END SOLUTION


# %% tags=["check"]
def it_is_silent():
    sora, losses = break_it()
    assert len(losses) == len(good_losses), f"train for {STEPS} steps, as the others: use go_on"
    end, usual = np.mean(losses[-20:]), np.mean(good_losses[-20:])
    assert end < 1.5 * usual or STEPS < 10, (
        f"the loss gives it away: it ends at {end:.3f}, without a mistake at {usual:.3f}"
    )
    share = show("my mistake", sora, losses)
    return share < good_figures["all"] - 0.1 or STEPS < 10  # a fast run is too short for either


check(it_is_silent, "the clips are still right, or nearly as often as without it", "silent, and wrong")

# %% [markdown]
# ## Looking back
#
# - Of the five mistakes, which would the loss have shown? Which the pictures? Which only the checker?
# - Why does resuming need no stored random state here?
#
# ## References
#
# - J. Ho et al., *DDPM*, 2020, appendix B: the average of the weights.
# - K. Jordan et al., *Muon*, 2024: the optimizer of the hidden matrices.
# - Q. Sun et al., *Is noise conditioning necessary for denoising generative models?*, 2025: models that guess the time.
# - P. Esser et al., *Scaling rectified flow transformers*, 2024, section 3.1: where to train in t.

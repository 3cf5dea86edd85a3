# %% [markdown]
# # 07 · Training the whole, and breaking it on purpose
#
# **You will be able to** start and resume a run, read a loss that goes flat while the pictures still get better, and
# recognise five silent mistakes by what they do.
#
# **You need** lessons 02, 04 and 05.
#
# **Time** It runs in five minutes on two laptop cores.

# %%
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import torch
from lesson import check, clock, pick, strip

import mini_sora.dit as dit
from mini_sora import MiniSora
from mini_sora.data import Stored
from mini_sora.evaluate import judge as judge_all
from mini_sora.evaluate import scores
from mini_sora.fit import fit
from mini_sora.model import Sora
from mini_sora.presets import PRESETS
from mini_sora.rows import Row, film
from mini_sora.train import dit_objective, stream, to_latents

# %% [markdown]
# ## One loop
#
# `fit` trains every network of this project. Its heart is a dozen lines: a batch, a loss, a gradient, a step of two
# optimizers, and a running average of the weights. Everything that is random in step i comes from a generator that is
# seeded with i, so a run that is stopped and resumed equals one that was not, bit for bit.
#
# The whole of `quick` takes five minutes. Here we keep its VAE and train its DiT for a minute at a time.

# %%
quick, config = MiniSora.from_pretrained("quick"), PRESETS["quick"]
data = stream(config, 32)
with clock("clips and their latents"):
    stored = Stored(data, pick(64, 4), to_latents(quick.vae, "auto"))
row = Row("", "shapes-simple")
tests = row.clips(pick(32, 4))


def train(steps=None, change=lambda config: config, latents=None, target="v", **settings):
    """Train a DiT for some steps; returns (the model, its losses)."""
    steps = steps or pick(300, 4)
    how = change(replace(config, dit=replace(config.dit, stored=1, fit=replace(
        config.dit.fit, steps=steps, preview_every=10**6, save_every=10**6, **settings))))  # fmt: skip
    torch.manual_seed(1)
    network = Sora(how.model)
    sora = MiniSora(how.model, quick.vae, network, quick.tokenizer, quick.words)
    loss = dit_objective(how, quick.tokenizer, "cpu")
    with TemporaryDirectory() as place:
        fit(network, loss, latents or stored, how.dit.fit, Path(place), quiet=True)
        lines = [json.loads(line) for line in (Path(place) / "metrics.jsonl").open()]
    network.eval()
    return sora, [line["loss"] for line in lines if "loss" in line]


def right(sora):
    """(what it films, the checker's figures)."""
    videos = film(sora, row, tests)
    return videos, scores(judge_all(videos, [clip.caption for clip in tests]))


# %% [markdown]
# ## A loss that goes flat
#
# **Predict:** train four times as long. How much lower will the loss be? How many more clips will be right?

# %%
table = []
for steps in (pick(75, 4), pick(300, 4)):
    with clock(f"{steps} steps"):
        sora, losses = train(steps)
    videos, figures = right(sora)
    table.append((steps, np.mean(losses[-20:]), figures))
    strip(videos[0], videos[1], labels=[f"after {steps} steps: {clip.caption}" for clip in tests[:2]])
good, good_losses = sora, losses
names = ("all", "count", "color", "shape", "motion", "steady")
print(f"{'steps':>6}{'loss':>8}" + "".join(f"{name:>8}" for name in names))
for steps, loss, figures in table:
    print(f"{steps:6}{loss:8.3f}" + "".join(f"{figures[name]:8.0%}" for name in names))

# %% [markdown]
# **Explain.** Most of the loss is what nobody can know: what the noise hides. A small part decides whether a shape is a
# square or a circle, and that part still falls when the curve looks flat. So never judge by the loss alone. The longer of these
# runs is the one that the broken ones below, which are as long, have to be compared with.
#
# ## Mistake 1: the wrong scale of time
#
# t is put into the sines as it is, in [0, 1], instead of 0 to 1000. There is no error message. **Predict** what the
# model will do wrong, then compare the losses.


# %%
def smooth(values):
    return np.convolve(values, np.ones(20) / 20, "valid") if len(values) > 20 else values


def show(name, sora, losses):
    plt.figure(figsize=(5, 2.4))
    plt.semilogy(smooth(good_losses), label="as it should be", color="grey")
    plt.semilogy(smooth(losses), label=name)
    plt.xlabel("step"), plt.ylabel("loss"), plt.legend()
    plt.show()
    videos, figures = right(sora)
    strip(videos[0], videos[1], labels=[clip.caption for clip in tests[:2]])
    for what, found in (("as it should be", table[-1][2]), (name, figures)):
        print(f"{what:30}" + "  ".join(f"{key} {found[key]:4.0%}" for key in names))


true_embedding = dit.time_embedding
try:
    dit.time_embedding = lambda t, width: true_embedding(t / 1000, width)
    sora, losses = train()
    show("t not scaled", sora, losses)
finally:
    dit.time_embedding = true_embedding

# %% [markdown]
# **Explain.** The network can still tell much noise from little by looking, so it learns, and the loss falls. What it cannot
# do is take away just as much as there is. If you see a difference in the figures only, remember it: no curve warns you.
#
# ## Mistake 2: no average of the weights
#
# The last step's weights are thrown about by the last batches; their average is not. **Predict:** here the learning rate falls
# to zero in the end. Does the average still matter?

# %%
sora, losses = train(ema=0.0)
show("no average", sora, losses)

# %% [markdown]
# **Explain.** The loss of a step is measured before the average is taken, so the two curves are one: whatever the average is
# worth, no curve can show it. With a rate that stays high it is worth much, with one that falls to zero less.
#
# ## Mistake 3: latents of the wrong scale
#
# The noise has variance one. If the latents have a tenth of that deviation, the picture is hidden at almost every t.
# **Predict:** will the loss be higher or lower?

# %%
tenth = [shots._replace(clips=shots.clips / 10) for shots in stored.batches]


class Listed(list):
    def __getitem__(self, i):
        return list.__getitem__(self, i % len(self))


sora, losses = train(latents=Listed(tenth))
true_decode = quick.vae.decode
try:
    quick.vae.decode = lambda z: true_decode(z * 10)
    show("latents ten times too small", sora, losses)
finally:
    quick.vae.decode = true_decode

# %% [markdown]
# **Explain.** The loss is *lower*: where everything is noise, the answer is easy. A loss can only be compared with one of the
# same data, scale and target.
#
# ## Mistake 4: a wrong sign
#
# The sampler goes against the velocity: `z - (s - t) v`. Training knows nothing of it.

# %%
import mini_sora.samplers as samplers

true_step = samplers.STEPS["euler"]
try:
    samplers.STEPS["euler"] = lambda schedule, z_t, z_0, eps, t, s, noise=None: (
        2 * z_t - true_step(schedule, z_t, z_0, eps, t, s)
    )
    videos, figures = right(good)
finally:
    samplers.STEPS["euler"] = true_step
strip(videos[0], videos[1], labels=[clip.caption for clip in tests[:2]])

# %% [markdown]
# **Explain.** Each step makes the noise larger, so nothing is left but noise. This is the kindest of the mistakes: nobody can
# overlook it. It is the same weights as above, so look at the sampler first when a model that was good films noise.
#
# ## Mistake 5: yours
#
# **1.** Break something in training or sampling so that there is no error message, the loss looks fine, and
# the clips are wrong. Say what a person should have looked at to find it. (A few ideas: the prompts of a batch one place
# off; guidance with its two predictions exchanged; the mask of the text inverted.)


# %% tags=["exercise"]
def break_it():
    """Returns (model, losses) of a run with a silent mistake of yours."""
    ### BEGIN SOLUTION
    shifted = [shots._replace(prompts=shots.prompts[1:] + shots.prompts[:1]) for shots in stored.batches]
    return train(latents=Listed(shifted))
    ### END SOLUTION


# %% tags=["check"]
def it_is_silent():
    sora, losses = break_it()
    show("my mistake", sora, losses)
    figures = right(sora)[1]
    return figures["all"] < right(good)[1]["all"] / 2 + 1e-9 and losses[-1] < 2 * losses[len(losses) // 2]


check(it_is_silent, "either the clips are still right, or the loss gives it away", "silent, and wrong")

# %% [markdown]
# ## Looking back
#
# - Of the five mistakes, which would the loss have shown? Which the pictures? Which only the checker?
# - Why does resuming need no stored random state here?
#
# ## References
#
# - J. Ho et al., *DDPM*, 2020, section 4: the average of the weights.
# - K. Jordan et al., *Muon*, 2024: the optimizer of the hidden matrices.
# - P. Esser et al., *Scaling rectified flow transformers*, 2024, section 3.1: where to train in t.

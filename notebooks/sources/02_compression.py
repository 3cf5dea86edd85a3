# %% [markdown]
# # 02 · Compression: a VAE that turns clips into latents
#
# **You will be able to** train a small video VAE, say what its two losses pull at, draw its curve of rate against
# distortion, and find what a latent frame has seen.
#
# **You need** lesson 01, and what a convolution, a gradient and a normal distribution are.
#
# **Time** It runs in 3 minutes on two laptop cores.
#
# A clip of 17 frames of 32 x 32 pixels is 52,224 numbers. Most of them can be told from their neighbours. Diffusion
# on all of them would have to make more than fifty times as many numbers as on a good summary; so the first thing that Sora's
# report describes is a network that compresses, in space *and* in time.

# %%
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
from lesson import check, clips, clock, flow, pick, seeded, shapes

from data_gen import check as judge
from data_gen import make_batch
from mini_sora.data import to_pixels, to_uint8
from mini_sora.evaluate import interval
from mini_sora.muon import Muon
from mini_sora.vae import VAE, VAEConfig, to_chunks, vae_loss

# %% [markdown]
# ## Chunks
#
# Frame 0 is taken alone, then each four frames together. **Predict:** into how many chunks is a clip of 17 frames cut?

# %%
clip = to_pixels(make_batch("shapes-simple", [0], frames=17).video)  # (B, 3, T, H, W) in [-1, 1]
shapes(clip=clip, chunks=to_chunks(clip, 4))

# %% [markdown]
# **Explain.** Into five: frame 0, and four times four frames. The chunk of frame 0 has four frames too, all of them
# frame 0, so that one network takes every chunk; of the four that the decoder makes of it the last is kept.
#
# Every chunk goes through the encoder by itself. So any stretch of a clip can be encoded without the rest: later, when
# a clip is to be extended *backwards*, the known end must be encoded before the beginning exists.
#
# ## Two losses
#
# The encoder gives for each latent a mean and a variance; a latent is drawn, as mean + deviation times noise, so that
# gradients reach both; the decoder makes pixels of it.
#
# - **Reconstruction**: the pixels should come back. Alone, it makes the variances zero and the means far apart.
# - **KL divergence** to the unit Gaussian: the latents should be simple. (It is the mean, over draws of a latent, of the
#   logarithm of how much likelier it is by its own Gaussian than by the unit one; 0 where both are the same.) Alone, it makes
#   all clips the same.
#
# Train one, for a minute. What differs from the ground counts up to nine times as much in the reconstruction
# (`body_weight=8`): bodies are a small part of the picture, and what is asked about. Muon makes all directions of a hidden
# matrix learn at one speed (lesson 07). `channels_last` is the order of the numbers in memory that convolutions like best.


# %%
x = to_pixels(make_batch("shapes-simple", range(512), frames=9).video)


def train(kl_weight=3e-4, channels=3, steps=None, start=None):
    """(A small VAE, its losses): trained on 512 clips of nine frames, from scratch or from a VAE."""
    torch.manual_seed(0)
    vae = copy.deepcopy(start) or VAE(VAEConfig(channels=channels, frame_width=16, width=32))
    vae = vae.to(memory_format=torch.channels_last).train()
    hidden = [p for name, p in vae.named_parameters() if "blocks." in name and p.ndim > 1]
    rest = [p for p in vae.parameters() if not any(p is other for other in hidden)]
    optimizers = {torch.optim.Adam(rest): 3e-3, Muon(hidden, lr=0.02): 0.02}  # two, as `fit` has in lesson 07
    steps, losses = steps or pick(400, 8), []
    for step in range(steps):
        part = x[torch.randint(len(x), (8,))]
        noise = torch.randn(8, vae.config.channels, 3, 8, 8)
        loss = vae_loss(vae, part, noise, kl_weight, body_weight=8.0)
        loss.backward()
        for optimizer, rate in optimizers.items():
            optimizer.param_groups[0]["lr"] = rate * min(1, (steps - step) / (0.6 * steps))
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    return vae.eval(), losses


with clock("training"):
    vae, losses = train()
plt.semilogy(losses)
plt.xlabel("step"), plt.ylabel("loss")
plt.show()

# %% [markdown]
# How good is it? PSNR is 10 log10 of 255², the square of full scale, by the mean squared error, in decibels (dB): at 20 dB
# the error is a tenth of full scale, at 40 dB a hundredth. `posterior` gives mean and log variance; we decode the mean.

# %%
unseen = make_batch("shapes-simple", range(64), frames=9, split="test")


@torch.no_grad()
def through(vae):
    """Unseen clips through a VAE: (frames, PSNR in dB, share that the checker accepts)."""
    truth = to_pixels(unseen.video)
    rebuilt = to_uint8(vae.decode_raw(vae.posterior(truth)[0]).clamp(-1, 1))
    error = ((rebuilt.astype(float) - unseen.video) / 255) ** 2
    right = [judge(video, caption).ok for video, caption in zip(rebuilt, unseen.captions, strict=True)]
    return rebuilt, -10 * np.log10(error.mean((1, 2, 3, 4))).mean(), np.mean(right)


rebuilt, psnr, right = through(vae)
low, high = interval(right, len(unseen))
print(f"{psnr:.1f} dB, {right:.0%} of the clips are what their captions say ({low:.0%} to {high:.0%} at 95%)")
clips(unseen.video[0], rebuilt[0], unseen.video[1], rebuilt[1], labels=["truth", "through the VAE"] * 2)

# %% [markdown]
# **Explain.** The second number is the *ceiling*: what a model would get that made exactly the latents of these clips. A
# model makes latents of its own, which may decode a little better; in practice hardly more can be hoped for. That is why
# the reports of this project (`evaluate`) show it beside each figure of a model. And here is what became of what on the way:

# %%
with torch.no_grad():
    latents, _ = vae.posterior(clip)
    flow(video=clip, chunks=to_chunks(clip, 4), latents=latents, video_again=vae.decode_raw(latents))
print(f"{clip.numel():,} numbers became {latents.numel():,}")

# %% [markdown]
# ## Rate against distortion
#
# The weight of the KL divergence says how much a latent may tell. The divergence itself is the *rate*: how many
# bits the latents carry. **Predict** the curve: what happens to the PSNR as the rate falls? (Each point is the VAE from
# above, trained a little further: with the weight that it had, 3e-4, or with another.)

# %%
points = []
for kl_weight in (1e-4, 3e-4, 1e-3, 1e-2, 1e-1):
    other, _ = train(kl_weight, steps=pick(100, 4), start=vae)
    with torch.no_grad():
        mean, logvar = other.posterior(to_pixels(unseen.video))
    rate = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum((1, 2, 3, 4)).mean().item() / np.log(2)
    _, decibels, share = through(other)
    low, high = interval(share, len(unseen))
    points.append((kl_weight, rate, decibels))
    print(f"KL weight {kl_weight:7.0e}  {rate:6.0f} bits a clip  {decibels:.1f} dB  "
          f"{share:4.0%} right ({low:.0%} to {high:.0%})")  # fmt: skip
plt.plot([p[1] for p in points], [p[2] for p in points], "o-")
for kl_weight, rate, decibels in points:
    plt.annotate(f" {kl_weight:.0e}", (rate, decibels))
plt.xlabel("rate, bits a clip"), plt.ylabel("PSNR, dB")
plt.show()

# %% [markdown]
# **Explain.** The first bits buy much, the last ones nothing. From 1e-4 to 1e-3 a good part of them goes, and nothing is
# lost: they told the decoder what it does not need, or has not yet learned to use. (All five are below the VAE from above, the
# one with the same weight, too: for these 100 steps the learning rate goes up again, and they are too few to come back. So compare the
# five with one another. And 64 clips do not tell shares apart whose
# intervals overlap as much as these.) Simpler latents are not free for long: at 1e-2, the bend, they cost nearly 1 dB,
# and perhaps clips; at 1e-1 it is 3 dB: shapes blur, and the ceiling falls. This project takes 3e-4, where there are bits to spare.
#
# ## What does a latent frame see?
#
# Change one frame of a clip and look which latent frames change. The encoder must not look across chunks.

# %%
with torch.no_grad():
    clip = x[:1]
    base = vae.posterior(clip)[0]
    print("changed frame -> latent frames that change")
    for frame in range(9):
        changed = clip.clone()
        changed[:, :, frame] = -changed[:, :, frame]
        moved = (vae.posterior(changed)[0] - base).abs().amax((0, 1, 3, 4)) > 1e-6
        print(f"    frame {frame}: " + " ".join("#" if m else "." for m in moved))

# %% [markdown]
# And the other way: which frames of the video change with a latent frame? The decoder may look back, by one.

# %%
with torch.no_grad():
    video = vae.decode_raw(base)
    for k in range(3):
        changed = base.clone()
        changed[:, :, k] += 1
        moved = (vae.decode_raw(changed) - video).abs().amax((0, 1, 3, 4)) > 1e-6
        print(f"    latent frame {k}: " + " ".join("#" if m else "." for m in moved))

# %% [markdown]
# ## The scale of the latents
#
# Diffusion adds noise of variance one, so latents should have about that variance too. But not each channel alone:
# some channels say what is where, others only sharpen an edge. If all are made equally wide, the same noise hides the
# important one as soon as the others. So each is made as wide as what it *does to the pixels*.

# %%
vae.measure_latents([x[:64], x[64:128]])
with torch.no_grad():
    z = vae.encode(x[:64])
print("deviation of each channel:", z.std((0, 2, 3, 4)).numpy().round(2))

# %% [markdown]
# ## Exercises
#
# **1.** The KL divergence of a Gaussian with mean m and a log variance to the unit Gaussian: the mean, over draws from the
# first, of log(first / second), in nats, as the logarithm is natural. Write it.


# %% tags=["exercise"]
def kl(m, logvar):
    """Elementwise, in nats."""
    ### BEGIN SOLUTION
    return 0.5 * (m**2 + logvar.exp() - 1 - logvar)
    ### END SOLUTION


# %% tags=["check"]
def kl_is_right():
    ours, theirs = torch.distributions.Normal, torch.distributions.kl_divergence
    m, logvar = torch.randn(100), torch.randn(100)
    return torch.allclose(kl(m, logvar), theirs(ours(m, (logvar / 2).exp()), ours(0.0, 1.0)), atol=1e-5)


check(
    kl_is_right, "not the divergence: it is zero where both are zero, and logvar is the log of the *variance*"
)

# %% [markdown]
# **2.** The rate is a sum of such divergences. How many bits does one clip of the test set cost through `vae`?
# (A nat is 1 / ln 2 bits; a latent that says nothing costs nothing.)


# %% tags=["exercise"]
def bits(vae, video):
    """The mean rate of clips, in bits: uint8 (B, T, H, W, 3) to a number."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        mean, logvar = vae.posterior(to_pixels(video))
    nats = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum((1, 2, 3, 4))
    return nats.mean().item() / np.log(2)
    ### END SOLUTION


# %% tags=["check"]
def bits_are_right():
    some = make_batch("shapes-simple", range(seeded(0), seeded(0) + 16), frames=9, split="test").video
    with torch.no_grad():
        mean, logvar = vae.posterior(to_pixels(some))
    unit = torch.distributions.Normal(0.0, 1.0)
    true = torch.distributions.kl_divergence(torch.distributions.Normal(mean, (logvar / 2).exp()), unit)
    found, nats = float(bits(vae, some)), true.sum().item() / len(some)
    print(f"yours {found:.0f}, true {nats / np.log(2):.0f}")
    assert abs(found / nats - 1) > 1e-3, "that is in nats: a nat is 1 / ln 2 bits"
    assert abs(found * np.log(2) / nats / len(some) - 1) > 1e-3, "that is of all clips together"
    return abs(found * np.log(2) / nats - 1) < 1e-3


check(bits_are_right, "not the rate: add up the divergence over channels, frames, rows and columns of a clip")

# %% [markdown]
# **3.** Give the VAE eight channels instead of three, and train it from scratch as the first one was. Before you run it:
# will the PSNR be higher? Will the diffusion model like it?


# %% tags=["exercise"]
def more_channels():
    """A VAE of eight channels."""
    ### BEGIN SOLUTION
    return train(channels=8)[0]
    ### END SOLUTION


# %% tags=["check"]
def eight():
    wide = more_channels()
    channels, found = wide.config.channels, through(wide)[1]
    assert channels == 8, f"it has {channels} channels"
    print(f"eight channels {found:.1f} dB, three channels {psnr:.1f} dB")
    assert found > psnr - 2, "it is not trained, or not for as long as the first one was"
    return True


check(
    eight,
    "train(channels=8) gives (vae, losses)",
    "but now diffusion has more to learn, too",
)

# %% [markdown]
# **Explain.** Hardly higher: after so short a training the limit is what the network has learned, not how many numbers it
# may pass on. And the diffusion model has eight numbers to make where it had three. In this project's own experiments
# more channels brought little, and fewer clips were right in the same time (the README, *What did not work*).
#
# ## Looking back
#
# - A VAE for still pictures could encode every frame alone. What is lost, and what would be easier?
# - PSNR and the checker disagree at times. Which of them should decide how long to train, and why?
#
# ## References
#
# - D. Kingma, M. Welling, *Auto-encoding variational Bayes*, 2013, section 2 and appendix B.
# - R. Rombach et al., *Latent diffusion models*, 2022, section 3.1.
# - L. Yu et al., *MAGVIT-v2*, 2023: frame 0 by itself, later ones causally; our encoder does not even look back.

# %% [markdown]
# # 05 · The diffusion transformer, block by block
#
# **You will be able to** write a DiT block with adaLN-Zero, say why its gates start at zero, and follow a clip
# through the network with the shape of every tensor.
#
# **You need** lessons 03 and 04, and attention.
#
# **Time** It runs in 1 minute on two laptop cores.

# %%
import inspect

import matplotlib.pyplot as plt
import torch
from lesson import check, clips, flow, pick, shapes, slide
from torch import nn

from mini_sora import MiniSora, layers
from mini_sora.dit import DiT, DiTBlock, DiTConfig
from mini_sora.layers import attention, rotary_angles, time_embedding

torch.manual_seed(0)
sora = MiniSora.from_pretrained("quick")

# %% [markdown]
# ## Attention is four lines
#
# (Before them the library normalises q and k, so that no score grows without bound.)

# %%
print(inspect.getsource(attention))

# %% [markdown]
# ## Time must be heard
#
# The network has to know how noisy its input is. One number among hundreds is easily drowned out, so t becomes a row of
# sines and cosines of many frequencies. **Predict:** the sines were made for whole numbers up to 1000. What happens if
# t in [0, 1] is put in as it is?

# %%
t = torch.linspace(0, 1, 200)
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8))
for axis, scale, title in ((axes[0], 1, "t scaled to 0..1000"), (axes[1], 1 / 1000, "t as it is")):
    rows, where = time_embedding(t * scale, 64).T, {"aspect": "auto", "extent": (0, 1, 64, 0)}
    image = axis.imshow(rows, cmap="coolwarm", vmin=-1, vmax=1, **where)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("t")
axes[0].set_ylabel("feature"), figure.colorbar(image, ax=axes[1])
figure.tight_layout()
plt.show()
for scale, name in ((1, "scaled"), (1 / 1000, "as it is")):
    e = time_embedding(t * scale, 64)
    print(
        f"{name:9} largest change over the whole range: {(e - e[0]).abs().amax(0).median():.3f} (median over features)"
    )

# %% [markdown]
# **Explain.** As it is, most features hardly move from t = 0 to t = 1: the network hardly hears the time, and has to guess
# it from what it sees. It trains without an error. This is one of the common silent mistakes; lesson 07 makes it.
#
# ## One block
#
# x goes through three parts, each with a shortcut: attention to the clip, attention to the words, a feed-forward
# network. The *condition* (the time, the mean of the prompt's vectors, the frame's place in the clip) does not enter as a token. It
# sets, for every part, a shift, a scale and a gate: adaptive layer norm.

# %%
print(inspect.getsource(DiTBlock.forward))

# %%
block = DiTBlock(96, 3, text_width=64)
x = torch.randn(2, 5, 16, 96)  # (B, K, P, D)
condition, text = torch.randn(2, 5, 96), torch.randn(2, 7, 64)
mask = torch.ones(2, 7, dtype=torch.bool)
places = torch.stack(torch.meshgrid(torch.arange(5), torch.arange(4), torch.arange(4), indexing="ij"), -1)
angles = rotary_angles(places.flatten(0, 2).float(), 32)
y = block(x, condition, text, mask, angles)
shapes(x=x, condition=condition, text=text, angles=angles, y=y)

# %% [markdown]
# ## Why zero
#
# In `DiT.init_weights` the layers that give the gates start at zero, and so does the head. **Predict** the output of an
# untrained DiT.

# %%
config = DiTConfig(width=96, layers=4, heads=3)
torch.manual_seed(0)
dit = DiT(config, channels=3, text_width=64)
z = torch.randn(2, 3, 5, 8, 8)
with torch.no_grad():
    out = dit(z, torch.full((2, 5), 0.5), text, mask)
print("largest output of an untrained DiT:", out.abs().max().item())

# %% [markdown]
# What is it good for? Train a deep one twice, with and without, and look. The task is small: one clip, always the same.


# %%
def learn(zero, layers, rate):
    torch.manual_seed(0)
    net = DiT(DiTConfig(width=64, layers=layers, heads=2), channels=3, text_width=64)
    if not zero:
        for module in net.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    z_0, losses = torch.randn(1, 3, 2, 4, 4), []
    generator = torch.Generator().manual_seed(0)
    for _ in range(pick(60, 3)):
        t, eps = torch.rand(16, 1, generator=generator), torch.randn(16, 3, 2, 4, 4, generator=generator)
        u = t[:, :, None, None, None]
        v = net(
            (1 - u) * z_0 + u * eps, t.expand(16, 2), text[:1].expand(16, -1, -1), mask[:1].expand(16, -1)
        )
        loss = (v - (eps - z_0)).pow(2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for axis, (depth, rate) in zip(axes, ((24, 4e-3), (8, 1e-3)), strict=True):
    for zero in (True, False):
        name = "gates and head start at zero" if zero else "all start at random"
        axis.semilogy(learn(zero, depth, rate), label=name)
    axis.set_title(f"{depth} blocks, rate {rate}", fontsize=9), axis.set_xlabel("step")
axes[0].set_ylabel("loss"), axes[0].legend()
figure.tight_layout()
plt.show()

# %% [markdown]
# **Explain.** With closed gates every block begins as the identity, so a deep network begins as a shallow one, and each
# block opens its gates as far as it helps. At random, what 24 blocks add must first be unlearned. Zero matters where a network
# is deep and learns fast: on the right, with 8 blocks and a quarter of the rate, nothing is gained.
#
# ## A clip on its way through the network
#
# A trained one now. Each part is asked what it gave: `register_forward_hook` calls us with it.

# %%
from mini_sora.patches import patchify

prompt = "a red circle moves left"
video = sora.generate(prompt, seed=0)
clips(video)
z = sora.encode(video.frames[None])  # (B, C, K, h, w)
noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
tokens = torch.tensor([sora.tokenizer.encode(prompt)])  # (B, L)
mask = torch.ones_like(tokens, dtype=torch.bool)


@torch.no_grad()
def predict(t):
    """What the network says of the clip at noise time t, z_t = (1 - t) z_0 + t eps."""
    return sora.sora((1 - t) * z + t * noise, torch.full((1, z.shape[2]), t), tokens, mask)


net, gave = sora.sora.dit, {}
parts = {"embedded": net.embed, "condition": net.condition, "block_1": net.blocks[0], "head": net.head}
hooks = [
    part.register_forward_hook(lambda part, given, out, name=name: gave.setdefault(name, out))
    for name, part in {"words": sora.sora.text, **parts}.items()
]
v = predict(0.5)
for hook in hooks:
    hook.remove()

print("the clip")
flow(
    video=video.frames, noisy_latents=z, patches=patchify(z, sora.config.dit.patch), embedded=gave["embedded"]
)
print("through the blocks")
flow(through_each_block=gave["block_1"], head=gave["head"], prediction_v=v)
print("the prompt, and the condition")
flow(tokens=tokens, words=gave["words"])
flow(time_prompt_and_place=gave["condition"], nine_vectors=(*gave["condition"].shape[:2], 9, 96))

# %% [markdown]
# **Explain.** The first row becomes the second: what enters the blocks is what was embedded, latent frame by latent frame
# (K = 5), 16 tokens in each. The third row is what cross-attention reads in every block; the fourth sets the shifts, scales
# and gates, one set for each latent frame, and each block makes its own nine vectors of it.
#
# ## What the trained network looks at
#
# For one token at the edge of the moving circle, the white square: how much does each block attend to every other token?
# **Predict:** where was the circle in the frames before, and where will it be? Will the maps know?

# %%
original = attention
corner = z[0].abs().amax(0)[2].unfold(0, 2, 2).unfold(1, 2, 2).amax((-2, -1)).argmax().item()
where = 2 * 16 + corner  # in the latent frame k = 2


def attended(t):
    """Attention weights over all tokens, of the token at `where`, for each block: (80,) each."""
    maps = []

    def watched(q, k, v, mask=None):
        if mask is None:  # the clip's own; the prompt has a mask
            maps.append((q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1).mean(1)[0, where])
        return original(q, k, v, mask)

    try:
        layers.attention = watched
        predict(t)
    finally:
        layers.attention = original
    return maps


def show_attention(t):
    found = attended(t)
    figure, axes = plt.subplots(1 + len(found), 5, figsize=(7, 1.4 * (1 + len(found))))
    for k in range(5):
        axes[0, k].imshow(video.frames[4 * k], extent=(-0.5, 3.5, 3.5, -0.5))
        axes[0, k].set_title(f"frame {4 * k}, k = {k}", fontsize=8)
        for row, weights in enumerate(found, 1):
            axes[row, k].imshow(weights.view(5, 4, 4)[k], vmin=0, vmax=weights.max(), cmap="magma")
    for row, name in enumerate(["clip", *(f"block {i + 1}" for i in range(len(found)))]):
        axes[row, 0].set_ylabel(name, fontsize=8)
        x, y = corner % 4 - 0.5, corner // 4 - 0.5
        axes[row, 2].add_patch(plt.Rectangle((x, y), 1, 1, fill=False, edgecolor="white", linewidth=1.5))
    for axis in axes.flat:
        axis.set_xticks([]), axis.set_yticks([])
    figure.tight_layout()
    plt.show()


slide(show_attention, (0.1, 0.3, 0.5, 0.7, 0.9), "t", still=(0.5,))

# %% [markdown]
# **Explain.** Much goes to the token's own neighbourhood, and to where the circle was and will be: in the frames before
# further to the right, in those after further to the left. So a thing stays the same thing from frame to frame; nothing else
# in the network joins the frames. Not all blocks do the same: some look near, some far in time.
#
# ## Exercises
#
# **1.** Write adaptive layer norm: normalise x, scale by (1 + scale), shift, put it through f, gate it, and add it to x.


# %% tags=["exercise"]
def adaptive(x, f, shift, scale, gate):
    """x: (B, N, D); shift, scale, gate: (B, 1, D); f: (B, N, D) -> (B, N, D)."""
    ### BEGIN SOLUTION
    return x + gate * f(nn.functional.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift)
    ### END SOLUTION


# %% tags=["check"]
def adaptive_is_right():
    x, shift, scale, gate = torch.randn(2, 5, 64), *torch.randn(3, 2, 1, 64)
    if not torch.equal(adaptive(x, torch.sin, shift, scale, 0 * gate), x):
        print("with a closed gate the block must be the identity")
        return False
    wanted = x + gate * torch.sin(nn.functional.layer_norm(x, (64,)) * (1 + scale) + shift)
    return torch.allclose(adaptive(x, torch.sin, shift, scale, gate), wanted, atol=1e-3)


check(adaptive_is_right, "not yet: norm first, then (1 + scale) and shift, then f; the gate is outside of f")

# %% [markdown]
# **2.** How many parameters has a block of width D, without biases and small norms? (Cross-attention reads text of
# width D too.) Give a number for D = 96.


# %% tags=["exercise"]
def parameters(width):
    ### BEGIN SOLUTION
    attention, cross, feed_forward, modulation = 4, 4, 8, 9
    return (attention + cross + feed_forward + modulation) * width**2
    ### END SOLUTION


# %% tags=["check"]
def count_is_right():
    true = sum(p.numel() for p in DiTBlock(96, 3, 96).parameters() if p.ndim > 1)
    print(f"yours {parameters(96)}, true {true}")
    return parameters(96) == true


check(
    count_is_right,
    "count q, k, v, out twice, up and down (four times as wide), and nine vectors of the condition",
)

# %% [markdown]
# ## Looking back
#
# - Time could be a token of its own. What would a block then have to do to know it?
# - Here each latent frame has a time of its own. What can be asked of such a network that a single time would forbid?
#
# ## References
#
# - W. Peebles, S. Xie, *Scalable diffusion models with transformers*, 2022, section 3.2 (adaLN-Zero) and figure 5.
# - A. Vaswani et al., *Attention is all you need*, 2017, eq. 1 and section 3.5.
# - M. Dehghani et al., *ViT-22B*, 2023: normalised queries and keys.

# %% [markdown]
# # 03 · Spacetime patches: any length, any shape
#
# **You will be able to** turn latents of any size into tokens and back, give every token a place, and say why one
# transformer can then take a square, a wide picture and a clip of two seconds.
#
# **You need** lesson 02 (latents), and what a matrix product is.
#
# **Time** It runs in 20 seconds on two laptop cores.

# %%
import matplotlib.pyplot as plt
import torch
from lesson import check, clips, flow, shapes

from data_gen import make_clip
from mini_sora import MiniSora
from mini_sora.layers import rotary_angles, rotate
from mini_sora.patches import coordinates, patchify, unpatchify

sora = MiniSora.from_pretrained("quick")
clip = make_clip("shapes", seed=12, size=(32, 48))
z = sora.encode(clip.video[None])
shapes(video=clip.video, z=z)

# %% [markdown]
# ## A video as a sequence
#
# A patch is a block of latents: one latent frame, two rows, two columns. Its numbers, in one row, are a token. With
# C channels a token has 4 C numbers; a transformer's first layer makes of them as many as it likes.

# %%
patch = (1, 2, 2)
tokens = patchify(z, patch)
places = coordinates(patch, z.shape[2:])
flow(latents=z, tokens=tokens, latents_again=unpatchify(tokens, patch, z.shape[2:]))
shapes(places=places)
print(f"{z.shape[2]} x {z.shape[3] // 2} x {z.shape[4] // 2} = {tokens.shape[1]} tokens")

# %% [markdown]
# Here they are, drawn into the frame that each latent frame ends with. **Predict:** by how much does the number of the
# token in one place grow from each latent frame to the next?

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 2.6))
for axis, k in zip(axes, (0, 1, 4), strict=True):
    axis.imshow(clip.video[4 * k], extent=(0, 48, 32, 0))
    for number, (_, y, x) in enumerate(places[places[:, 0] == k].tolist()):
        axis.text(
            24 + 4 * x, 16 + 4 * y, k * 24 + number, color="white", fontsize=7, ha="center", va="center"
        )
    axis.set_xticks(range(0, 49, 8)), axis.set_yticks(range(0, 33, 8))
    axis.grid(color="white", linewidth=0.5)
    axis.set_title(f"latent frame k = {k}, frame {4 * k}", fontsize=9)
figure.tight_layout()
plt.show()

# %% [markdown]
# **Explain.** By 24: a latent frame has 4 rows of 6 tokens. Under a body that rests it would grow by 72 from k = 1 to k = 4.
# The middle of this one goes from 32 to 109, by 77: it is also one row further down (6) and one column to the left (-1).

# %%
import inspect

print(inspect.getsource(patchify))

# %% [markdown]
# **Predict.** How many tokens has a picture (one frame) of 64 x 64? A clip of 33 frames of 32 x 56?

# %%
for frames, size in ((17, (32, 32)), (1, (64, 64)), (33, (32, 56)), (17, (56, 32))):
    k, h, w = sora.config.latent_shape(size, frames)[1:]
    print(f"{frames:3} frames of {size[0]}x{size[1]}: {k} x {h // 2} x {w // 2} = {k * h * w // 4} tokens")

# %% [markdown]
# Nothing in a transformer asks how many tokens there are. A square crop throws away what lies beyond it; tokens of
# the whole picture throw away nothing. That is how Sora learned to frame its subjects (its report, "sampling
# flexibility" and "improved framing").
#
# ## Where is a token?
#
# Attention does not know the order of what it sees. So each token brings its place: (k, y, x), where k counts from the
# first latent frame, and y and x from the middle of the picture. `mini_sora/dit.py` tells it in two ways:
#
# - *where from each other*: by rotary angles. Pairs of numbers of a query and a key are turned by an angle that grows with
#   the place. The product of two turned vectors depends only on the *difference* of their angles, that is, of their places;
# - *where in the picture*: by sines and cosines of the place, y and x in eighths of the short side, of which `place`, a
#   linear layer, makes what is added to each token. Differences alone cannot say what is left of the middle, or at the edge.
#
# And each latent frame is told how far it is from the first and the last, and how large the picture is (`clip_waves`).
# Here are the angles:

# %%
angles = rotary_angles(places, 24)
shapes(angles=angles)
q, k = torch.randn(2, 24)
at = {tuple(place): i for i, place in enumerate(places.int().tolist())}


def product(a, b):
    """The score of a query at one place with a key at another."""
    turned = rotate(q[None], angles[at[a]][None]), rotate(k[None], angles[at[b]][None])
    return (turned[0] @ turned[1].T).item()


pairs = (
    ((0, -3, -5), (0, -1, -3)),
    ((0, 1, 1), (0, 3, 3)),
    ((3, -1, 3), (3, 1, 5)),
    ((0, -3, -5), (0, -1, -1)),
)
for a, b in pairs:
    apart = ", ".join(str(j - i) for i, j in zip(a, b, strict=True))
    print(f"{a!s:12} with {b!s:12} ({apart}) apart: score {product(a, b):.4f}")

# %% [markdown]
# **Explain.** The first three pairs have the same difference and the same score, anywhere in the clip. As far as the angles
# go, a model that has learned to look "two to the right, one frame back" can do so everywhere, in frames of any size. Where
# in the picture a token is, and how large that is, it has learned only for the sizes that it has seen (lesson 08).
#
# Here is how the score of a vector with itself falls off with distance along each axis.

# %%
grid = torch.arange(0, 17)
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True)
for axis, name, i in zip(axes, "kyx", range(3), strict=True):
    line = torch.zeros(len(grid), 3)
    line[:, i] = grid
    turn = rotary_angles(line, 32)
    one = torch.ones(1, 32)
    scores = [(rotate(one, turn[:1]) @ rotate(one, turn[j : j + 1]).T).item() / 32 for j in range(len(grid))]
    axis.plot(grid, scores, "o-", markersize=3)
    axis.set_title(f"along {name}", fontsize=9)
    axis.set_xlabel("latents apart")
figure.tight_layout()
plt.show()

# %% [markdown]
# **Explain.** What is near is most alike. The curve swings, as it is a sum of cosines, one for each frequency: the fast ones
# tell neighbours apart, the slow ones near from far. About two thirds of the pairs belong to the other two axes and do not
# turn: they give two thirds at any distance. The third that turns adds another third where things are near. Its fast pairs
# swing about zero, but its slow ones have hardly turned 16 latents away, so here the curve stays mostly above two thirds; only
# much further away would it swing about that. Less than about one third it can never be.
#
# ## What if the places are wrong?
#
# Swap y and x in the places that the model is told, for the angles and for what is added, and nothing else. **Predict**
# what "moves left" becomes.

# %%
import mini_sora.dit as dit

true_places = dit.coordinates
try:
    dit.coordinates = lambda *a: true_places(*a)[:, [0, 2, 1]]
    swapped = [sora.generate("a red circle moves left", seed=seed) for seed in range(3)]
finally:
    dit.coordinates = true_places
clips(*swapped, labels=["places swapped"] * 3)

# %% [markdown]
# **Explain.** The model puts "left" where it believes left to be. The tokens are transposed, and so is the motion: to the
# eye it goes up. What is *within* a token is not transposed with it, so the circle is torn where tokens meet. No number in
# the network has changed.
#
# ## Exercises
#
# **1.** Write patchify for one frame: latents (B, C, h, w) to tokens (B, N, C p p), the first token top left, the second
# to its right; within a token the channel changes slowest.


# %% tags=["exercise"]
def my_patchify(z, p):
    """(B, C, h, w) -> (B, N, C p p)."""
    ### BEGIN SOLUTION
    b, c, h, w = z.shape
    z = z.reshape(b, c, h // p, p, w // p, p)  # (B, C, h', p, w', p)
    return z.permute(0, 2, 4, 1, 3, 5).reshape(b, h // p * (w // p), c * p * p)
    ### END SOLUTION


# %% tags=["check"]
def same():
    z = torch.randn(2, 3, 4, 6)
    mine, theirs = my_patchify(z, 2), patchify(z[:, :, None], (1, 2, 2))
    assert mine.shape == theirs.shape, f"the shape is {tuple(mine.shape)}, not {tuple(theirs.shape)}"
    right = torch.equal(mine, theirs)
    each = torch.equal(mine.sort(2)[0], theirs.sort(2)[0])
    assert right or not each, "each token has its numbers, but in another order: channel, y, x"
    all_of = torch.equal(mine.flatten(1).sort(1)[0], theirs.flatten(1).sort(1)[0])
    assert right or not all_of, (
        "the numbers are in other tokens: cut h into (h / p, p) and w into (w / p, p), bring both p to the end, "
        "and do not exchange rows and columns"
    )
    return right


check(same, "not the same tokens: cut h into (h / p, p) and w into (w / p, p), then bring both p to the end")

# %% [markdown]
# **2.** And back: tokens to latents. `unpatchify(patchify(z))` must be z, for any grid.


# %% tags=["exercise"]
def my_unpatchify(tokens, p, h, w):
    """(B, N, C p p) -> (B, C, h, w)."""
    ### BEGIN SOLUTION
    b, c = len(tokens), tokens.shape[2] // (p * p)
    z = tokens.reshape(b, h // p, w // p, c, p, p).permute(0, 3, 1, 4, 2, 5)
    return z.reshape(b, c, h, w)
    ### END SOLUTION


# %% tags=["check"]
def there_and_back():
    for p, (b, c, h, w) in ((2, (2, 3, 4, 6)), (1, (1, 4, 3, 5)), (3, (3, 2, 9, 6))):
        z = torch.randn(b, c, h, w)
        found = my_unpatchify(patchify(z[:, :, None], (1, p, p)), p, h, w)
        assert found.shape == z.shape, f"p = {p}: the shape is {tuple(found.shape)}, not {tuple(z.shape)}"
        if not torch.equal(found, z):
            return False
    return True


check(there_and_back, "not z again: it is the same steps as before, from the last to the first")

# %% [markdown]
# ## Looking back
#
# - Patches of 4 x 4 latents would make a quarter of the tokens. What would be gained, what lost?
# - A learned table of positions works too, for the sizes in the table. What happens at another size?
#
# ## References
#
# - A. Dosovitskiy et al., *An image is worth 16x16 words*, 2020: patches.
# - J. Su et al., *RoFormer*, 2021, section 3.2 and eq. 15: rotary positions.
# - M. Dehghani et al., *Patch n' Pack: NaViT*, 2023: native sizes.

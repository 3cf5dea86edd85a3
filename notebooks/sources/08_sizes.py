# %% [markdown]
# # 08 · One model, every size
#
# **You will be able to** say how one model learns from pictures and clips of many sizes, batch them so that each costs the
# same, and measure what square crops lose.
#
# **You need** lessons 03 and 07.
#
# **Time** It runs in 3 minutes on two laptop cores.

# %%
import numpy as np
from lesson import check, clips, pick, strip

from data_gen import check as judge
from data_gen import make_batch
from mini_sora import MiniSora
from mini_sora.data import DataConfig, Stream, area
from mini_sora.evaluate import interval

sora = MiniSora.from_pretrained("simple")

# %% [markdown]
# ## The same weights, any grid
#
# `simple` is `quick`, trained on for some minutes with pictures and clips up to 33 frames, short sides of 24 to 64 pixels, and
# every aspect from 16:9 to 9:16. **Predict:** from the same noise seed, will the clips of two sizes show the same?

# %%
prompt = "a red circle moves right"
sizes = ((32, 56), (32, 40), (32, 32), (40, 32), (56, 32))
clips(
    *[sora.generate(prompt, size=size, seed=1) for size in sizes],
    labels=[f"{h} x {w}" for h, w in sizes],
    height=96,
)
clips(*[sora.generate(prompt, frames=frames, seed=1) for frames in (1, 9, 17, 33)],
      labels=[f"{frames} frames" for frames in (1, 9, 17, 33)], height=96)  # fmt: skip

# %% [markdown]
# **Explain.** The noise has another shape for another grid, so another video is drawn, even from the same seed. The weights
# are the same in all of them: attention takes as many tokens as there are, and a place is a number.

# %% [markdown]
# ## Batches that cost the same
#
# All clips of a batch have one grid here; else they would have to be padded, or packed one after the other under a mask
# (NaViT). So batch i draws a grid first, and then takes
# as many clips of it as fill the same area of latents. **Predict:** how many pictures of 24 x 24 cost as much as 48 clips
# of 17 frames of 32 x 32?

# %%
config = DataConfig(sides=(24, 32, 48, 64), frames=(1, 5, 9, 17, 25, 33), wide=True)
data = Stream(config, ("shapes",), area=48 * area(17, (32, 32)), seed=0)
for i in range(8):
    shots = data[i]
    b, t, h, w, _ = shots.clips.shape
    print(
        f"batch {i}: {b:4} clips of {t:2} frames of {h} x {w}: {b * area(t, (h, w)) / area(17, (32, 32)):.0f} times the usual clip's cost"
    )
print("24 x 24 pictures:", round(48 * area(17, (32, 32)) / area(1, (24, 24))), "and at most", config.most)

# %% [markdown]
# **Explain.** 48 · 5 · 32² / 24² = 427; but no batch has more than 128 clips, so batches of the smallest pictures are cheaper.
#
# ## What a crop loses
#
# The usual way to train is on squares: everything is cropped. Let us measure what a square crop of a wide clip has lost:
# how often is what the caption says still to be seen?

# %%
count = pick(200, 20)
wide = make_batch("shapes", range(count), size=(32, 56), split="test")
whole = [judge(video, caption).ok for video, caption in zip(wide.video, wide.captions, strict=True)]
cropped = [
    judge(video[:, :, 12:44].copy(), caption).ok
    for video, caption in zip(wide.video, wide.captions, strict=True)
]
for name, found in (("native", whole), ("cropped to a square", cropped)):
    low, high = interval(np.mean(found), count)
    print(f"{name:20} the caption is true of {np.mean(found):4.0%} ({low:.0%} to {high:.0%})")
worst = next(i for i in range(count) if whole[i] and not cropped[i])
strip(wide.video[worst], wide.video[worst][:, :, 12:44], labels=[wide.captions[worst], "its square crop"])

# %% [markdown]
# **Explain.** A model that is trained on crops learns from captions that are false, and films what stands half outside
# the picture. OpenAI saw the same: their model trained on squares "sometimes generates videos where the subject is only
# partially in view".
#
# ## Native against square, in a model
#
# How well does `simple` do at each aspect? And `quick`, which has seen squares alone, at a wide one? **Predict** which
# of the two loses more from the first row to the third. (Counted is a clip with one body of the right shape.)


# %%
def rate(model, family, size, count):
    batch = make_batch(family, range(count), size=size, split="test")
    made = model.generate(list(batch.captions), size=size)
    seen = [judge(v.frames, c).attributes for v, c in zip(made, batch.captions, strict=True)]
    return np.mean([facts["count"] and facts["shape"] for facts in seen])


squares = MiniSora.from_pretrained("quick")
count = pick(48, 4)
print(f"{'size':>8}{'all sizes, 95% interval':>30}{'squares alone, 95% interval':>34}")
for size in ((32, 32), (32, 40), (32, 56), (56, 32)):
    row = f"{size[0]:4}x{size[1]:<3}"
    for model, width in ((sora, 14), (squares, 18)):
        share = rate(model, "shapes-simple", size, count)
        low, high = interval(share, count)
        row += f"{share:{width}.0%} {f'{low:.0%} to {high:.0%}':>15}"
    print(row)

# %% [markdown]
# **Explain.** Read each column from top to bottom: what a model loses on the way to a size that it has never met is the price
# of training on squares. (Is that fair? `simple` was trained for longer, too. But at 32 x 32 the two are about alike, so the
# longer training did not make the difference.)

# %% [markdown]
# ## Exercises
#
# **1.** How many tokens has a clip? Patches are 2 x 2 latents, latents 4 x 4 pixels, and chunks one frame and then four each.


# %% tags=["exercise"]
def token_count(frames, height, width):
    ### BEGIN SOLUTION
    return (1 + (frames - 1) // 4) * (height // 8) * (width // 8)
    ### END SOLUTION


# %% tags=["check"]
def counts():
    cases = [(17, 32, 32), (1, 64, 64), (33, 24, 40), (9, 32, 56)]
    wanted = [np.prod(sora.config.latent_shape((h, w), t)[1:]) // 4 for t, h, w in cases]
    found = [token_count(*case) for case in cases]
    print("yours", found, "wanted", [int(n) for n in wanted])
    return found == wanted


check(counts, "not the tokens: frame 0 is a chunk of its own")

# %% [markdown]
# **2.** How many clips of a grid make a batch of about `tokens` tokens, rounded to the nearest? At least one.


# %% tags=["exercise"]
def clips_of_a_batch(tokens, frames, height, width):
    ### BEGIN SOLUTION
    return max(1, round(tokens / ((1 + (frames - 1) // 4) * (height // 8) * (width // 8))))
    ### END SOLUTION


# %% tags=["check"]
def clips_fit():
    wanted = {(17, 32, 32): 48, (1, 32, 32): 240, (33, 32, 32): 27, (17, 24, 40): 51, (481, 64, 64): 1}
    for grid, count in wanted.items():
        found = clips_of_a_batch(3840, *grid)
        assert found == count, (
            f"{grid}: {found} clips, wanted {count}: divide by the tokens of one, and round to the nearest"
        )
    return True


check(clips_fit, "not the clips: divide by the tokens of one, round, and never give none")

# %% [markdown]
# ## Looking back
#
# - A batch has one grid. Does the model forget the others in the meantime? How would you find out?
# - No batch has more than 33 frames. What would you expect of clips of 49?
#
# ## References
#
# - T. Brooks et al., *Video generation models as world simulators*, 2024: "variable durations, resolutions, aspect ratios".
# - M. Dehghani et al., *NaViT*, 2023: many sizes in one batch.

# %% [markdown]
# # 09 · One mechanism, every task
#
# **You will be able to** animate a picture, extend a clip both ways, connect two, close a loop, edit and upscale, all
# with one sampler; and say where a minute of video goes wrong.
#
# **You need** lessons 04 and 05, and 06 for exercise 3.
#
# **Time** It runs in 2 minutes on two laptop cores.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from lesson import check, clips, clock, pick, strip

from data_gen import check as judge
from data_gen import observe
from mini_sora import MiniSora
from mini_sora.diffusion import SCHEDULES, draw_known, unaware
from mini_sora.measures import scenes_of

sora = MiniSora.from_pretrained("simple")

# %% [markdown]
# ## A noise time for each frame
#
# The DiT takes t of shape (B, K): each latent frame has its own. A frame at t = 0 is a frame that is *known*. In
# training some frames are given, and the loss counts the others. (`simple` sees known frames in four clips of ten; and in half
# of all clips each latent frame has a noise time of its own. That is *diffusion forcing*: the clear frames teach what the noisy
# ones have to agree with.)

# %%
known = draw_known(12, 5, 1.0, torch.Generator().manual_seed(0))
for row in known.int().tolist():
    print(" ".join("1" if k else "?" for k in row))

# %% [markdown]
# **Predict** which of these rows is the task "animate a picture", which "extend", which "connect two clips". That is nearly
# all: from animate to loop, what follows differs only in which frames are known; edit and upscale in what the noise is added
# to.
#
# ## Animate: the first frame is known
#
# (`1 ? ? ? ?` animates a picture; `1 1 ? ? ?` and `? ? ? 1 1` extend; `1 1 ? 1 1` connects.)

# %%
scene = scenes_of(sora, 1, 17, ("right",))[0]
print(scene.caption)
video = sora.animate(scene.video[0], scene.caption, seed=0)
strip(scene.video[:1].repeat(9, 0), video, labels=["given: one frame", "made"])

# %% [markdown]
# **Predict.** The same picture with another prompt: what if it is told to go up?

# %%
body = scene.scene.bodies[0]
other = f"a {body.color} {body.shape} moves up"
clips(video, sora.animate(scene.video[0], other, seed=0), labels=[scene.caption, other])

# %% [markdown]
# **Explain.** Told to go up, it does: the picture says what is there, the prompt what happens.
#
# ## Extend: forwards and backwards
#
# A window slides: the end of what is there is known, the rest is made. Backwards the *beginning* is known. The encoder
# saw each chunk alone, so a clip's beginning can be encoded before there is anything in front of it. One thing is in the way:
# in the longer clip, frame 0 of the old one is the last of a chunk whose other three frames are still to be made, so that chunk
# is not known. The library lets every window begin with one frame more, which is dropped, so that the old clip falls into whole
# chunks (`_go_back` in `windows.py`).

# %%
scene = scenes_of(sora, 1, 33, ("left",))[0]
start, end = scene.video[:17], scene.video[16:]
forward = sora.extend(start, scene.caption, 16)
backward = [sora.extend(end, scene.caption, 16, direction="backward", seed=seed) for seed in range(3)]
strip(
    scene.video,
    forward,
    *backward,
    labels=["the truth", "from its first half", *["to its second half"] * 3],
    count=11,
)


# %%
def path(video, color):
    return observe(video).tracks[color].position[:, 0]


color = scene.scene.bodies[0].color
plt.figure(figsize=(6, 2.6))
plt.plot(path(scene.video, color), "k", label="truth")
for made, style, name in ((forward, "C0--", "forward"), (backward[0], "C1--", "backward")):
    try:
        plt.plot(path(made.frames, color), style, label=name)
    except KeyError:
        print("the body's colour is lost")
plt.axvline(16, color="grey", linewidth=0.5)
plt.xlabel("frame"), plt.ylabel("x, short sides"), plt.legend()
plt.show()

# %% [markdown]
# **Explain.** The grey line is the seam. A jump there would mean that the model does not know where the body was; a corner,
# that it does not know how fast it went. One known frame could tell only the first; a known stretch tells both, and a model
# of this size still takes its corners. Look at both lines: where do they leave the truth? Backwards there are many pasts that
# lead to the same present, so the three may differ; where the prompt tells how the body moves, they hardly can.
#
# ## Connect and loop: both ends are known
#
# The first 17 frames of a clip and its last 16 are given; 16 are missing between. **Predict** the path: a straight line, or
# will the model have to hurry at the end? (Sora's report joins videos of quite different things; a model of single bodies can
# only fill a gap.)

# %%
scene = scenes_of(sora, 1, 49, ("left",))[0]
color = scene.scene.bodies[0].color
between = sora.connect(scene.video[:17], scene.video[33:], scene.caption, 16)
strip(scene.video, between, labels=["the truth", "a, 16 frames made, b"], count=12)
plt.figure(figsize=(6, 2.6))
plt.plot(path(scene.video, color), "k", label="truth")
plt.plot(path(between.frames, color), "C0--", label="connected")
plt.axvspan(16.5, 32.5, color="grey", alpha=0.15)
plt.xlabel("frame"), plt.ylabel("x, short sides"), plt.legend()
plt.show()

# %% [markdown]
# **Explain.** It arrives where it must, as that is given. On its way it first hangs back a little, then is faster than this
# clip, which is slower than any that it was trained on; so it goes half a pixel too far, and comes back in the last step: a
# corner in the line.
#
# To close a loop is the same with one clip: it leads from its own end to its own beginning. **Predict:** can a clip become a
# loop that "moves left"?

# %%
loops = []
for motion in ("still", "left"):
    scene = scenes_of(sora, 1, 17, (motion,))[0]
    loops.append(sora.loop(scene.caption, scene.video, 16, seed=1))
    there = observe(np.concatenate([loops[-1].frames, loops[-1].frames[:1]]))
    track = there.tracks.get(scene.scene.bodies[0].color)
    if track is not None:
        step = np.hypot(*np.diff(track.position, axis=0).T) * 32
        print(
            f"{scene.caption}: the largest step is {np.nanmax(step):.1f} pixels, from frame {np.nanargmax(step)} on"
        )
clips(*loops)

# %% [markdown]
# **Explain.** What stays still closes well. What moves left cannot come back by moving left: the prompt and the two ends ask
# for what is not possible, and something has to give. Here it is the number: a second block comes in at the right while the
# first goes out at the left, and the largest step is that of their common centre.

# %% [markdown]
# ## Edit: nothing is known, but the noise is not all there is
#
# Add noise up to a time `strength`, and take it away under another prompt. **Predict:** what is left at 0.2? at 0.8?

# %%
scene = scenes_of(sora, 1, 17, ("right",))[0]
body = scene.scene.bodies[0]
new = "blue" if body.color != "blue" else "red"
prompt = scene.caption.replace(body.color, new)
strengths = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)
edited = [sora.edit(scene.video, prompt, strength=strength) for strength in strengths]
strip(scene.video, *edited, labels=[scene.caption, *[f"strength {s}: {prompt}" for s in strengths]])
before = observe(scene.video).tracks[body.color].position
for strength, video in zip(strengths, edited, strict=True):
    tracks = observe(video.frames).tracks
    seen = next((color for color in (new, body.color) if color in tracks), None)
    if seen:
        off = np.nanmean(np.hypot(*(tracks[seen].position - before).T)) * 32
        print(f"strength {strength:4}: {seen}, {off:.1f} pixels from its old path")

# %% [markdown]
# **Explain.** Noise hides the small things first and the large ones last; what it has hidden, the prompt decides. Read from top
# to bottom: from which strength on is the body of the new colour? From which on is it in another place, or goes another way?
# Between the two lies what an editor wants, and where that is must be found by trying.
#
# ## Upscale: the same, from a draft
#
# A small draft is quick to make, and to throw away. It is enlarged, some noise is added, and the model takes it away at the
# larger size; every task but `edit` and `upscale` begins with such a draft by itself, where the short side is longer than the model's own. **Predict:** what can be sharper than the
# enlargement, and what can be true of it that was not in the draft?

# %%
from mini_sora.data import resized, to_pixels

draft = sora.generate(scene.caption, size=(32, 32), seed=4)
plain = resized(to_pixels(draft.frames[None]), (64, 64))[0]
large = sora.upscale(draft, 2)
clips(draft, plain, large, labels=["the draft, 32 x 32", "enlarged only, 64 x 64", "upscaled, 64 x 64"])

# %% [markdown]
# **Explain.** The model sharpens the edges, and tears some: look at the tips in the second frame of each four. Measured along
# the true edges, `simple` is no better than plain enlargement (the figure is in the README): what it may add is detail that
# the draft did not have, and here there is none. Sora's report goes another way: try at a small size, then film again at full
# size with the same model.
#
# ## A minute
#
# A window after a window; each knows the end of the one before. Small mistakes add up: that is *drift*. Where does it
# begin?

# %%
still = scenes_of(sora, 1, 17, ("still",))[0]
with clock("a minute"):
    minute = sora.generate(still.caption, seconds=pick(60, 6), seed=1)
print(minute)
strip(minute, labels=[still.caption], count=12)
for first in range(0, len(minute.frames) - 16, max(16, len(minute.frames) // 6)):
    report = judge(minute.frames[first : first + 17], still.caption)
    print(f"second {first / 8:4.0f}: {'as asked' if report.ok else '; '.join(report.why)}")
report = judge(minute.frames, still.caption)
print(f"all of it:   {'as asked' if report.ok else '; '.join(report.why[:3])}")

# %%
track = observe(minute.frames).tracks.get(still.scene.bodies[0].color)
if track is not None:
    seconds = np.arange(len(minute.frames)) / 8
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.6))
    axes[0].plot(seconds, track.position, label=["x", "y"])
    axes[0].set(ylabel="place, short sides", xlabel="second"), axes[0].legend()
    axes[1].plot(seconds, track.alpha.sum((1, 2)), "C2")
    axes[1].set(ylabel="area, pixels", xlabel="second", ylim=(0, None))
    figure.tight_layout()
    plt.show()

# %% [markdown]
# **Explain.** No window sees further back than its known frames. What has left them is forgotten, and a mistake in them is
# the truth of the next window: a hair down, and a hair down again; a hair smaller, and later larger and larger. (The checker
# says "down": it names the nearest motion that it knows.) So each window may be as asked while
# the whole is not, and whoever judges window by window never finds out. That is why Sora's minute was news.

# %% [markdown]
# ## Exercises
#
# **1.** Which latent frames are known? Write the mask of each task for K latent frames, n of them given at an end.


# %% tags=["exercise"]
def mask(task, K, n):
    """bool (K,), True where known. task: animate, forward, backward, connect (n at each end)."""
    ### BEGIN SOLUTION
    k = torch.arange(K)
    return {
        "animate": k < 1,
        "forward": k < n,
        "backward": k >= K - n,
        "connect": (k < n) | (k >= K - n),
    }[task]
    ### END SOLUTION


# %% tags=["check"]
def masks():
    wanted = {"animate": "1????", "forward": "11???", "backward": "???11", "connect": "11?11"}
    found = {task: "".join("1" if k else "?" for k in mask(task, 5, 2)) for task in wanted}
    for task in wanted:
        if found[task] != wanted[task]:
            print(f"{task}: {found[task]}, wanted {wanted[task]}")
    return found == wanted


check(masks, "not the masks: True is known, and there are K of them")

# %% [markdown]
# **2.** The noise times of a step: t where a frame is to be made, 0 where it is known.


# %% tags=["exercise"]
def times(t, known):
    """t: a number; known: bool (B, K) -> (B, K)."""
    ### BEGIN SOLUTION
    return t * (~known).float()
    ### END SOLUTION


# %% tags=["check"]
check(
    lambda: torch.equal(times(0.7, known[:3]), torch.where(known[:3], 0.0, 0.7)),
    "not the times: is the mask the right way round?",
)

# %% [markdown]
# **3.** Guidance goes past the prediction of a network that is told less (lesson 06). Where frames are known, it is told neither
# the prompt nor these: they are noised like the others. So the video is led towards the frames, too: that is *history
# guidance*. Of 128 first frames that `tiny` was given, 55% became videos that are right, without it 42%. Write what this
# network is shown, on the linear schedule, `z_t = (1 - t) z_0 + t noise`.


# %% tags=["exercise"]
def shown(z_t, t, known, noise):
    """z_t, noise: (B, C, K, h, w); t: (B, K), 0 where known; known: bool (B, K) -> what takes the place of (z_t, t)."""
    ### BEGIN SOLUTION
    same = t.max(1, keepdim=True).values.expand_as(t)
    place = known[:, None, :, None, None]
    share = same[:, None, :, None, None]
    return torch.where(place, (1 - share) * z_t + share * noise, z_t), same
    ### END SOLUTION


# %% tags=["check"]
def is_told_nothing():
    z, noise = torch.randn(2, 12, 3, 5, 2, 2, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0.2, 0.9, 12)[:, None] * (~known).float()
    ours = unaware(lambda z, t: (z, t), SCHEDULES["linear"](), known, noise)(z, t)
    return all(
        torch.allclose(mine, wanted, atol=1e-5)
        for mine, wanted in zip(shown(z, t, known, noise), ours, strict=True)
    )


check(
    is_told_nothing,
    "not that: every frame has the clip's highest t, and the known ones the noise that belongs to it",
)

# %% [markdown]
# ## Looking back
#
# - An upscaler starts from a small clip's enlargement and noise. Why must the strength be neither small nor large?
# - Which of the tasks would a model with *one* time for the whole clip be able to do, and how?
#
# ## References
#
# - B. Chen et al., *Diffusion forcing*, 2024: a noise time for each frame.
# - K. Song et al., *History-guided video diffusion*, 2025: guidance towards the frames that are known.
# - C. Meng et al., *SDEdit*, 2021: editing by noise.
# - T. Brooks et al., *Video generation models as world simulators*, 2024: "prompting with images and videos".

# %% [markdown]
# # 01 · The world: scenes, physics, captions, and a checker
#
# **You will be able to** make clips of any family with their truth, read a caption as facts, measure a video without
# knowing how it was made, and say how far a measurement can be trusted.
#
# **You need** lesson 00.
#
# **Time** It runs in 3 minutes on two laptop cores.
#
# A world model is as good as what we can say about it. Here everything can be said: the world is a program, so each
# clip comes with the truth, and a second program, which sees only pixels, must find it again.

# %%
import numpy as np
from lesson import check, clips, pick, seeded, strip

from data_gen import check as judge
from data_gen import make_batch, make_clip, observe, parse
from mini_sora.evaluate import interval

# %% [markdown]
# ## A scene is a few numbers

# %%
clip = make_clip("shapes", seed=12, size=(48, 64))
for body in clip.scene.bodies:
    place = f"from ({body.x:.3f}, {body.y:.3f}), {body.motion} by {body.extent:.3f}"
    print(f"{body.color} {body.shape}, radius {body.radius:.3f}, {place}")
print(clip.caption)
strip(clip.video)

# %% [markdown]
# Lengths are in *short sides*: the shorter side of the picture is 1, so a scene has the same numbers at any size, nearly.
# The same seed gives the same bytes on every machine.
#
# **Predict.** What will differ between the same seed at 24, 48 and 96 pixels? Run, and look at the first body's
# place in the truth.

# %%
sizes = [make_clip("shapes", seed=12, size=(side, side)) for side in (24, 48, 96)]
clips(*[clip.video for clip in sizes], labels=[f"{clip.video.shape[1]} pixels" for clip in sizes])
for clip in sizes:
    print(clip.video.shape, clip.truth["bodies"][0]["position"][0].round(3))

# %% [markdown]
# **Explain.** x differs by a hundredth, and y by a hair: how near a body may come to the edge is counted in pixels, so at
# another size there is a little more room or less. Radius, way and distance are the same.
#
# ## Six families, six ideas
#
# Each family is there for one thing that a video model must learn: that things keep their look (`shapes`), that
# they obey laws (`bounce`), that they are there when they cannot be seen (`occlusion`), that the camera is not the
# world (`camera`), that what is done stays done (`change`), and that actions have effects (`play`).

# %%
for family in ("shapes", "bounce", "occlusion", "camera", "change", "play"):
    batch = make_batch(family, range(3))
    print(family.upper())
    clips(*batch.video, labels=batch.captions, height=96)

# %% [markdown]
# ## Captions, in both directions
#
# One grammar writes captions and reads them. A short caption tells some of the facts, a long one all of them. What a
# caption does not tell is free, and a model may choose it.

# %%
clip = make_clip("occlusion", seed=3)
print("short:", clip.caption)
print("long: ", clip.long_caption)
print("told by the short one:")
for (who, what), value in parse(clip.caption).items():
    print(f"    {who:10} {what:10} {value}")

# %% [markdown]
# ## From pixels alone
#
# `observe` sees a video and nothing else. It finds each colour, its centre in each frame, its area. How exact is it?
# The centre is weighted by how much of each pixel is covered, so it can be far better than a pixel.


# %%
def errors(weighted):
    """How far the centre that is seen is from the true one, in pixels, over many clips with one body."""
    found = []
    for clip in batch_of_ones:
        color, truth = clip.scene.bodies[0].color, clip.truth["bodies"][0]["position"]
        track = observe(clip.video).tracks[color]
        place = track.position
        if not weighted:  # each pixel counts fully or not at all
            alpha = track.alpha > 0.5
            rows, columns = (np.arange(n) + 0.5 for n in alpha.shape[1:])
            mass = alpha.sum((1, 2))
            place = np.stack([alpha.sum(1) @ columns / mass, alpha.sum(2) @ rows / mass], 1) / 32
        found.append(np.hypot(*(place - truth).T) * 32)
    return np.concatenate(found)


some = make_batch("shapes-simple", range(pick(200, 20)))
batch_of_ones = [some[i] for i in range(len(some))]
for weighted in (True, False):
    found = errors(weighted)
    print(
        f"{'weighted by coverage' if weighted else 'a threshold':22} median error {np.nanmedian(found):.4f} pixels"
    )

# %% [markdown]
# **Explain.** A threshold throws away what the grey pixels at the edge know: how far the body reaches into them.
# That costs more than a factor of ten. It is the same with motion: how fast something goes is a difference of two places.
#
# ## The checker, and its mistakes
#
# `check` compares facts that are told with facts that are seen. Like any measuring instrument it has two kinds of
# mistakes: to refuse what is right, and to accept what is wrong. Both must be known before it may judge a model.
# In brackets stands a 95% interval (Wilson's): of intervals that are made so, 95 in 100 hold the true share.

# %%
families = ("shapes", "bounce", "occlusion", "change")
count = pick(50, 8)
for family in families:
    batch = make_batch(family, range(count), split="test")
    right = [judge(batch[i].video, batch[i].caption).ok for i in range(count)]
    backwards = [judge(batch[i].video[::-1].copy(), batch[i].caption).ok for i in range(count)]
    other = [judge(batch[i].video, batch[i - 1].caption).ok for i in range(count)]
    low, high = interval(np.mean(right), count)
    print(f"{family:10} truth accepted {np.mean(right):4.0%} ({low:.0%} to {high:.0%} at 95%)   "
          f"backwards {np.mean(backwards):4.0%}   another's caption {np.mean(other):4.0%}")  # fmt: skip

# %% [markdown]
# **Explain.** Some clips look the same backwards: what stays still does, and what leaves and comes back, and so most of
# `occlusion`. So does much of `bounce`: the laws of motion are the same backwards, so only a caption that says where a ball
# begins, or how it sets off, can tell. That is not a mistake. (`camera` and `play` are slower to judge.) `python -m data_gen verify` measures all of this with thousands of clips.
#
# ## Exercises
#
# **1.** Write a caption that is true of this clip and that the checker accepts, in other words than its own.

# %%
clip = make_clip("shapes-simple", seed=seeded(77))
strip(clip.video)


# %% tags=["exercise"]
def my_caption():
    """A caption of the clip above, in words of your own."""
    ### BEGIN SOLUTION
    body = clip.scene.bodies[0]
    verbs = {
        "left": "moves left",
        "right": "moves right",
        "up": "rises",
        "down": "sinks",
        "still": "stays still",
    }
    return f"the {body.shape} is {body.color} and {verbs[body.motion]}"
    ### END SOLUTION


# %% tags=["check"]
def it_is_true():
    own, yours = (" ".join(text.lower().split()).strip(" .") for text in (clip.caption, my_caption()))
    assert yours != own, "that is its own caption: say it in other words"
    report = judge(clip.video, my_caption())
    assert report.ok, "; ".join(report.why)
    return True


check(it_is_true, "give a sentence as the captions above are", "the checker sees what you see")

# %% [markdown]
# **2.** Plant a fault: change the video, in as few pixels as you can and 200 at most, so that the checker says no.


# %% tags=["exercise"]
def spoil(video):
    """A changed copy of a video, uint8 (T, H, W, 3)."""
    ### BEGIN SOLUTION
    video = video.copy()
    video[8] = video[0, 0, 0]
    return video
    ### END SOLUTION


# %% tags=["check"]
def spoilt():
    given = clip.video.copy()
    changed = spoil(given)
    assert np.array_equal(given, clip.video), "the clip itself was changed: begin with video.copy()"
    count = (changed != clip.video).any(-1).sum()
    print(f"{count} of {clip.video[..., 0].size} pixels changed")
    report = judge(changed, clip.caption)
    print(*report.why, sep="\n")
    assert count <= 200 or report.ok, f"refused, but {count} pixels are many: 200 are enough"
    return not report.ok


check(spoilt, "the checker still accepts it: take more pixels, or others", "refused")

# %% [markdown]
# **3.** How fast is the body? From `observe` alone, in short sides a second. (A clip has 8 frames a second.)


# %% tags=["exercise"]
def speed(video, color):
    """The mean speed of the body of this colour."""
    ### BEGIN SOLUTION
    place = observe(video).tracks[color].position
    return np.hypot(*np.diff(place, axis=0).T).mean() * 8
    ### END SOLUTION


# %% tags=["check"]
def speed_is_right():
    for clip in (make_clip("shapes-simple", seed=seeded(seed)) for seed in range(4, 12)):
        body, true = clip.scene.bodies[0], clip.truth["bodies"][0]["velocity"]
        found, wanted = speed(clip.video, body.color), np.hypot(*true.T).mean()
        print(f"{clip.caption:50} yours {found:.3f}, true {wanted:.3f}")
        assert abs(found * 8 - wanted) > 0.02 or wanted < 0.1, (
            "that is per frame, and there are 8 frames a second"
        )
        assert abs(found * 17 / 16 - wanted) > 0.003 or wanted < 0.1, "17 frames are 16 steps"
        if abs(found - wanted) > 0.005:
            return False
    return True


check(
    speed_is_right,
    "not the speed: average the lengths of the steps",
)

# %% [markdown]
# ## Looking back
#
# - For a real video, which of the facts here could a program find? Which could only a person?
# - A checker that accepts everything accepts all truth. Why is the table above not enough without its last columns?
#
# ## References
#
# - B. Kang et al., *How far is video generation from world model: a physical law perspective*, 2024: the scenarios of `bounce-*`.
# - T. Brooks et al., *Video generation models as world simulators*, 2024: "emerging simulation capabilities" and the known failures.
# - E. B. Wilson, *Probable inference*, 1927: the interval.

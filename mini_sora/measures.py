"""How well a model does what goes beyond text to video: each figure of the tasks, beside its floor.

Every function asks for a task on scenes whose truth is known, and gives its figures as
{name: (value, what is asked, aim)}. Lengths are in short sides.
"""

from functools import partial

import numpy as np

from data_gen import apparitions, observe

from .data import on_all_cores, to_pixels
from .evaluate import judge, scores, through_vae
from .rows import Row
from .tasks import resized

MOVING = ("left", "right", "up", "down")
LASTING = ("still", "circling clockwise", "circling counterclockwise")  # what can go on for a minute


def psnr(a, b):
    """Of each clip or picture of two batches, uint8, in dB, at most 80: (B,)."""
    error = (np.asarray(a, float) - np.asarray(b, float)) / 255
    return -10 * np.log10(np.maximum((error**2).mean(axis=tuple(range(1, error.ndim))), 1e-8))


def scenes_of(sora, count, frames, motions=(), bodies=(1,), size=None):
    """So many clips of unseen scenes, whose first body moves as asked."""
    family = "shapes" if "shapes" in sora.config.families else sora.config.families[0]
    row = Row("", family, size=size or sora.config.size, frames=frames, bodies=bodies)
    found, first = [], 0
    while len(found) < count:
        some = row.clips(64, first)
        found += [clip for clip in some if not motions or clip.scene.bodies[0].motion in motions]
        first += 4096
    return found[:count]


def told(clips):
    return [clip.caption for clip in clips]


def frames_of(videos):
    return np.stack([video.frames for video in videos])


def path(video, color):
    """Where the body of a colour is seen: (T, 2), NaN where it is not."""
    track = observe(video).tracks.get(color)
    return np.full((len(video), 2), np.nan) if track is None else track.position


def paths(videos, clips):
    """The same of a batch, of each scene's first body: (B, T, 2)."""
    return np.stack(on_all_cores(path, list(videos), [clip.scene.bodies[0].color for clip in clips]))


def steps(places):
    """How far a body goes from frame to frame: (B, T, 2) -> (B, T - 1)."""
    return np.hypot(*np.moveaxis(np.diff(places, axis=1), -1, 0))


def unseen_is_far(lengths):
    """Lengths, in which NaN stands for what is not seen, with the most that there can be in its place."""
    return np.nan_to_num(lengths, nan=2.0)


def animate(sora, count, seed=0, **sampling):
    clips = scenes_of(sora, count, sora.config.frames, bodies=(1, 2))
    truth = np.stack([clip.video for clip in clips])
    made = frames_of(sora.animate(list(truth[:, 0]), told(clips), seed=seed, **sampling))
    rebuilt = through_vae(sora.vae, truth[:, :1])[0]
    kept = np.median(psnr(made[:, 0], truth[:, 0]) - psnr(rebuilt[:, 0], truth[:, 0]))
    right = scores(judge(list(made), told(clips)))["facts"]
    return {
        "animate: first frame, dB above the VAE's": (kept, ">= -1", -0.3),
        "animate: facts right": (right, ">= 0.9", 0.97),
    }


def extend(sora, count, direction, seed=0, **sampling):
    own = sora.config.frames
    clips = scenes_of(sora, count, 2 * own - 1, MOVING)
    truth = np.stack([clip.video for clip in clips])
    ahead = direction == "forward"
    given = truth[:, :own] if ahead else truth[:, own - 1 :]
    made = frames_of(sora.extend(list(given), told(clips), own - 1, direction, seed=seed, **sampling))
    part = slice(0, own) if ahead else slice(own - 1, None)
    rebuilt = through_vae(sora.vae, truth)[0]
    kept = np.median(psnr(made[:, part], given) - psnr(rebuilt[:, part], given))
    seam = own - 1 if ahead else own - 2  # the step that leads out of what is given, or into it
    places = [paths(videos, clips)[:, seam : seam + 2] for videos in (made, rebuilt, truth)]
    step, floor, true = (np.diff(place, axis=1)[:, 0] for place in places)
    off, least = (np.median(unseen_is_far(np.hypot(*(found - true).T))) for found in (step, floor))
    right = scores(judge(list(made), told(clips)))["facts"]
    found = {
        f"extend {direction}: known part, dB above the VAE's": (kept, ">= -1", -0.3),
        f"extend {direction}: facts right over the whole": (right, ">= 0.88", 0.96),
        f"extend {direction}: velocity at the seam, error in floors": (off / least, "<= 2", 1.2),
    }
    if not ahead:
        several = [
            frames_of(sora.extend(list(given), told(clips), own - 1, direction, seed=other, **sampling))
            for other in (seed + 10_000, seed + 20_000)
        ]
        apart = [psnr(made[:, 0], other[:, 0]) < 40 for other in several]
        differ = float(np.all(apart, axis=0).mean())
        found["extend backward: three beginnings differ"] = (differ, ">= 0.5", 0.9)
    return found


def connect(sora, count, seed=0, **sampling):
    own = sora.config.frames
    clips = scenes_of(sora, count, 3 * own - 2, MOVING)
    truth = np.stack([clip.video for clip in clips])
    a, b = truth[:, :own], truth[:, 2 * own - 2 :]
    made = frames_of(sora.connect(list(a), list(b), told(clips), own - 2, seed=seed, **sampling))
    step = unseen_is_far(steps(paths(made, clips)))
    smooth = step.max(1) <= np.maximum(1.5 * np.median(step, axis=1), 2 / min(made.shape[2:4]))
    same = [not found for found in on_all_cores(apparitions, list(made))]
    return {"connect: ends kept, no jump, count right": (float((smooth & same).mean()), ">= 0.85", 0.95)}


def loop(sora, count, seed=0, **sampling):
    clips = scenes_of(sora, count, sora.config.frames, MOVING)
    made = frames_of(sora.loop(told(clips), [clip.video for clip in clips], seed=seed, **sampling))
    around = steps(paths(np.concatenate([made, made[:, :1]], axis=1), clips))
    seams = unseen_is_far(around[:, [sora.config.frames - 1, -1]]).max(1)
    ratio = np.median(seams / np.nanmedian(around, axis=1))
    return {"loop: step at the seam, in median steps": (float(ratio), "<= 1.3", 1.0)}


def edit(sora, count, seed=0, **sampling):
    clips = scenes_of(sora, count, sora.config.frames)
    colors = [clip.scene.bodies[0].color for clip in clips]
    others = ["blue" if color != "blue" else "red" for color in colors]
    prompts = [clip.caption.replace(c, o) for clip, c, o in zip(clips, colors, others, strict=True)]
    truth = [clip.video for clip in clips]
    made = frames_of(sora.edit(truth, prompts, seed=seed, **sampling))
    reports = judge(list(made), prompts)
    changed = np.array([report.attributes["color"] and report.attributes["count"] for report in reports])
    apart = ("color", "count", "steady")
    rest = [all(v for k, v in report.attributes.items() if k not in apart) for report in reports]
    places = np.stack(on_all_cores(path, list(made), others)), paths(truth, clips)
    off = np.median(unseen_is_far(np.hypot(*np.moveaxis(places[0] - places[1], -1, 0))), axis=1)
    return {
        "edit: colour changed as asked": (float(changed.mean()), ">= 0.85", 0.95),
        "edit: path kept within a pixel of 32": (float((off <= 1 / 32).mean()), ">= 0.9", 0.95),
        "edit: all else kept": (float(np.mean(rest)), ">= 0.9", 0.95),
    }


def upscale(sora, count, seed=0, **sampling):
    small, large = sora.config.size, tuple(2 * side for side in sora.config.size)
    frames = sora.config.frames
    drafts, truth = (scenes_of(sora, count, frames, bodies=(1, 2), size=size) for size in (small, large))
    given, real = (np.stack([clip.video for clip in clips]) for clips in (drafts, truth))
    made = frames_of(sora.upscale(list(given), 2, told(drafts), seed=seed, **sampling))
    plain = resized(to_pixels(given), 2)
    back = resized(to_pixels(made), 0.5)
    kept = np.mean(on_all_cores(overlap, list(back), list(given)))
    right = scores(judge(list(made), told(drafts)))["facts"]
    sharper = np.mean(psnr(made, real) > psnr(plain, real))
    return {
        "upscale x2: overlap with the draft": (float(kept), ">= 0.85", 0.95),
        "upscale x2: facts right": (right, ">= 0.9", 0.97),
        "upscale x2: nearer to the truth than bicubic": (float(sharper), ">= 0.5", 1.0),
    }


def overlap(a, b):
    """Of what is seen in two clips, colour by colour: intersection over union."""
    a, b = (observe(video).labels for video in (a, b))
    union = ((a > 0) | (b > 0)).sum()
    return ((a == b) & (a > 0)).sum() / union if union else 1.0


def minute(sora, count, seed=0, **sampling):
    own = sora.config.frames
    clips = scenes_of(sora, count, own, LASTING)
    videos = [video.frames for video in sora.generate(told(clips), seconds=60, seed=seed, **sampling)]
    found = {}
    for times, asked in zip((2, 4, 8, 16, 28), (0.9, 0.85, 0.8, 0.75, 0.7), strict=True):
        last = [video[(own - 1) * times - own + 1 : (own - 1) * times + 1] for video in videos]
        right = scores(judge(last, told(clips)))["facts"]
        found[f"a minute: facts right at {times} times the length"] = (right, f">= {asked}", 0.95)
    strange = np.mean([bool(said) for said in on_all_cores(apparitions, videos)])
    found["a minute: from nowhere, or vanished"] = (float(strange), "<= 0.1", 0.01)
    return found


TASKS = {
    "animate": animate,
    "extend forward": partial(extend, direction="forward"),
    "extend backward": partial(extend, direction="backward"),
    "connect": connect,
    "loop": loop,
    "edit": edit,
    "upscale": upscale,
    "a minute": minute,
}

"""How well a model does what goes beyond text to video: each figure of the tasks, beside its floor.

Every function asks for a task on scenes whose truth is known, and gives its figures as
{name: (value, what is asked, aim)}. Lengths are in short sides. What a perfect model of latents would
give is the truth, through the VAE where it is made and as it is where it is given.
"""

import itertools
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from data_gen import FAMILIES, apparitions, describe, observe

from .config import require
from .data import on_all_cores, to_pixels
from .evaluate import judge, scores, through_vae, verdict
from .rows import Row
from .tasks import resized
from .video import FPS

MOVING = ("left", "right", "up", "down")
LASTING = ("still", "circling clockwise", "circling counterclockwise")  # what can go on for a minute
FAR = 0.45  # short sides: of a shorter way, single steps are less than what the VAE leaves unsure
PIXEL = 1 / 32  # short sides


def psnr(a, b):
    """Of each clip or picture of two batches, uint8, in dB, at most 80: (B,)."""
    error = (np.asarray(a, float) - np.asarray(b, float)) / 255
    return -10 * np.log10(np.maximum((error**2).mean(axis=tuple(range(1, error.ndim))), 1e-8))


def scenes_of(sora, count, frames, motions=(), bodies=(1,), least=0.0, family="", first=0):
    """So many clips of unseen scenes, from a seed on, whose first body moves as asked, and so far at
    least. family: if the model knows it; or else shapes. Raises UserError where there are none."""
    family = next(name for name in (family, "shapes", *sora.config.families) if name in sora.config.families)
    row = Row("", family, size=sora.config.size, frames=frames, bodies=bodies)
    found = []
    for seed in itertools.count(first, 4096):
        for clip in row.clips(64, seed):
            body = clip.scene.bodies[0]
            if (not motions or body.motion in motions) and body.extent >= least:
                found.append(clip)
        if len(found) >= count:
            return found[:count]
        require(found or seed < first + 2**17, f"{family} has no scenes of this kind: {', '.join(motions)}")


def recolored(clip):
    """A clip's scene, its first body in another colour, and the caption that it then has."""
    body, *others = clip.scene.bodies
    body = replace(body, color="blue" if body.color != "blue" else "red")
    scene = replace(clip.scene, bodies=(body, *others))
    return scene, describe(scene, clip.words)


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


def in_median_steps(lengths, which):
    """Of the steps of bodies (B, T - 1), the largest of some, in median steps: (B,). What is not seen has
    gone far, and does not count as a step of usual length."""
    return unseen_is_far(lengths[:, which]).max(1) / np.median(np.nan_to_num(lengths), axis=1).clip(1e-6)


def largest_step(places):
    """Of paths (B, T, 2), the largest step in median steps: (B,)."""
    return in_median_steps(steps(places), slice(None))


def part_ways(places, seam):
    """Whether three videos of one ending begin differently, and whether all run into it without a jump.

    places: (3, B, T, 2), of one body; seam: the first frame of the ending. They differ if no two are
    within a pixel in the first frame; a jump is a pixel longer than every step of the ending. (B,) bool each.
    """
    first = [np.hypot(*(a - b).T) for a, b in itertools.combinations(places[:, :, 0], 2)]
    step = unseen_is_far(np.stack([steps(place) for place in places]))  # (3, B, T - 1)
    into, ending = step[:, :, seam - 1], step[0, :, seam:]
    return np.nan_to_num(np.min(first, axis=0)) > PIXEL, into.max(0) <= ending.max(1) + PIXEL


def edge_error(videos, truth):
    """How far the slopes of brightness are from the truth's, along the truth's edges: uint8 (B, T, H, W, 3)
    each -> (B,), levels a pixel. What is blurred, and what is sharp at the wrong place, is far."""

    def slopes(x):
        grey = np.asarray(x, np.float32).mean(-1)
        return np.stack(np.gradient(grey, axis=(2, 3)))  # (2, B, T, H, W)

    true = slopes(truth)
    height = np.hypot(*true)
    edge = height > 0.25 * height.max(axis=(1, 2, 3), keepdims=True)
    off = np.hypot(*(slopes(videos) - true))
    return (off * edge).sum((1, 2, 3)) / edge.sum((1, 2, 3)).clip(1)


def animate(sora, count, seed=0, **sampling):
    clips = scenes_of(sora, count, sora.config.frames, bodies=(1, 2))
    truth = np.stack([clip.video for clip in clips])
    made = frames_of(sora.animate(list(truth[:, 0]), told(clips), seed=seed, **sampling))
    rebuilt = through_vae(sora.vae, truth[:, :1])[0]
    kept = np.mean(psnr(made[:, 0], truth[:, 0]) - psnr(rebuilt[:, 0], truth[:, 0]))
    right = scores(judge(list(made), told(clips)))["facts"]
    return {
        "animate: first frame, dB above the VAE's": (kept, ">= -1", -0.3),
        "animate: facts right": (right, ">= 0.9", 0.97),
    }


def extend(sora, count, direction, seed=0, **sampling):
    own, ahead = sora.config.frames, direction == "forward"
    clips = scenes_of(sora, count, 2 * own - 1, MOVING)
    truth = np.stack([clip.video for clip in clips])
    part = slice(0, own) if ahead else slice(own - 1, None)
    given = truth[:, part]
    made = frames_of(sora.extend(list(given), told(clips), own - 1, direction, seed=seed, **sampling))
    rebuilt = through_vae(sora.vae, truth)[0]
    kept = np.mean(psnr(made[:, part], given) - psnr(rebuilt[:, part], given))
    perfect = rebuilt.copy()
    perfect[:, part] = given
    seam = own - 1 if ahead else own - 2  # the step that leads out of what is given, or into it
    places = [paths(videos, clips)[:, seam : seam + 2] for videos in (made, perfect, truth)]
    step, floor, true = (np.diff(place, axis=1)[:, 0] for place in places)
    off, least = (np.median(unseen_is_far(np.hypot(*(found - true).T))) for found in (step, floor))
    right = scores(judge(list(made), told(clips)))["facts"]
    return {
        f"extend {direction}: known part, dB above the VAE's": (kept, ">= -1", -0.3),
        f"extend {direction}: facts right over the whole": (right, ">= 0.88", 0.96),
        f"extend {direction}: velocity at the seam, error in floors": (off / least, "<= 2", 1.2),
    }


def beginnings(sora, count, seed=0, **sampling):
    """Of one ending, where the past is open: where an agent came from."""
    own = sora.config.frames
    clips = scenes_of(sora, count, own, bodies=(), family="play")
    given = [clip.video for clip in clips]
    made = [
        frames_of(sora.extend(given, told(clips), own - 1, "backward", seed=other, **sampling))
        for other in (seed, seed + 10_000, seed + 20_000)
    ]
    differ, agree = part_ways(np.stack([paths(videos, clips) for videos in made]), own - 1)
    same = [all(np.array_equal(videos[i, own - 1 :], given[i]) for videos in made) for i in range(count)]
    return {
        "extend backward: three beginnings of one ending differ": (float(differ.mean()), ">= 0.88", 0.96),
        "extend backward: and all lead into it": (float((agree & same).mean()), ">= 0.88", 0.96),
    }


def connect(sora, count, seed=0, **sampling):
    half = 1 + sora.config.frames // 2  # frames of each end
    gap = 2 * (half - 1)
    clips = scenes_of(sora, count, 4 * half + 1, MOVING, least=FAR)
    truth = np.stack([clip.video for clip in clips])
    a, b = truth[:, :half], truth[:, half + gap : 2 * half + gap]
    made = frames_of(sora.connect(list(a), list(b), told(clips), gap, seed=seed, **sampling))
    between = through_vae(sora.vae, truth)[0][:, half : half + gap]

    def share(videos):
        smooth = largest_step(paths(videos, clips)) <= 1.5
        kept = psnr(videos[:, :half], a) + psnr(videos[:, half + gap :], b) == 160
        same = [not found for found in on_all_cores(apparitions, list(videos))]
        counted = [report.attributes["count"] for report in judge(list(videos), told(clips))]
        return float((smooth & kept & same & counted).mean())

    return {
        "connect: ends kept, no jump, count right": (share(made), ">= 0.85", 0.95),
        "connect: the same of the truth through the VAE": (
            share(np.concatenate([a, between, b], axis=1)),
            ">= 0.85",
            0.95,
        ),
    }


def loop(sora, count, seed=0, **sampling):
    own = sora.config.frames
    clips = scenes_of(sora, count, own, MOVING)
    made = frames_of(sora.loop(told(clips), [clip.video for clip in clips], seed=seed, **sampling))
    around = steps(paths(np.concatenate([made, made[:, :1]], axis=1), clips))
    seams = [own - 1, -1]  # out of what was there, and from the last frame to the first
    ratio = np.median(in_median_steps(around, seams))
    return {"loop: step at the seam, in median steps": (float(ratio), "<= 1.3", 1.0)}


def edit(sora, count, seed=0, **sampling):
    clips = scenes_of(sora, count, sora.config.frames)
    scenes, prompts = zip(*map(recolored, clips), strict=True)
    others = [scene.bodies[0].color for scene in scenes]
    truth = [clip.video for clip in clips]
    made = frames_of(sora.edit(truth, list(prompts), seed=seed, **sampling))
    reports = judge(list(made), prompts)
    changed = np.array([report.attributes["color"] and report.attributes["count"] for report in reports])
    apart = ("color", "count", "steady")
    rest = [all(v for k, v in report.attributes.items() if k not in apart) for report in reports]
    places = np.stack(on_all_cores(path, list(made), others)), paths(truth, clips)
    off = unseen_is_far(np.hypot(*np.moveaxis(places[0] - places[1], -1, 0))).max(1)
    return {
        "edit: colour changed as asked": (float(changed.mean()), ">= 0.85", 0.95),
        "edit: path kept within a pixel of 32": (float((off <= PIXEL).mean()), ">= 0.9", 0.95),
        "edit: all else kept": (float(np.mean(rest)), ">= 0.9", 0.95),
    }


def upscale(sora, count, seed=0, **sampling):
    drafts = scenes_of(sora, count, sora.config.frames, bodies=(1, 2))
    scenes = [clip.scene for clip in drafts]
    large = tuple(2 * side for side in sora.config.size)
    given, real = np.stack([clip.video for clip in drafts]), FAMILIES[scenes[0].family].render(scenes, large)
    made = frames_of(sora.upscale(list(given), 2, told(drafts), seed=seed, **sampling))
    plain, back = resized(to_pixels(given), 2), resized(to_pixels(made), 0.5)
    kept = np.mean(on_all_cores(overlap, list(back), list(given)))
    right = scores(judge(list(made), told(drafts)))["facts"]
    sharper = np.median(edge_error(made, real) / edge_error(plain, real))
    return {
        "upscale x2: overlap with the draft": (float(kept), ">= 0.85", 0.95),
        "upscale x2: facts right": (right, ">= 0.9", 0.97),
        "upscale x2: edge error, in those of bicubic": (float(sharper), "<= 1", 0.8),
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
        end = (own - 1) * times + 1
        if end > len(videos[0]):  # of a model whose own length is so many times in no minute
            break
        last = [video[end - own : end] for video in videos]
        right = scores(judge(last, told(clips)))["facts"]
        found[f"a minute: facts right at {times} times the length"] = (right, f">= {asked}", 0.95)
    strange = np.mean([bool(said) for said in on_all_cores(apparitions, videos)])
    found["a minute: from nowhere, or vanished"] = (float(strange), "<= 0.1", 0.01)
    return found


def memory(sora, count, seed=0, **sampling):
    """What one process needs at most for a minute, in those needed for two seconds, each to a file."""
    script = "from mini_sora.__main__ import main; import sys; main(sys.argv[1:]); print(); "
    script += "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"  # the peak, kB
    with tempfile.TemporaryDirectory() as place:
        sora.save_pretrained(Path(place) / "model")
        asked = ["generate", "a red circle stays still", "--weights", f"{place}/model", "--steps", "1"]
        peaks = []
        for seconds in ("2", "60"):
            words = [*asked, "--seconds", seconds, "-o", f"{place}/{seconds}.gif"]
            done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, check=True)
            peaks.append(int(done.stdout.split()[-1]))
    return {"a minute: memory, in those of two seconds": (peaks[1] / peaks[0], "<= 1.2", 1.0)}


def judgement(video, prompt, own):
    """(a verdict in words, whether it is a good one or None). A video of twice the model's own length or
    more is judged piece by piece, as it was made: each so long must be as the prompt says."""
    if len(video) < 2 * own:
        (report,) = judge([video], [prompt])
        return verdict(report), report and report.ok
    pieces = [video[i : i + own] for i in range(0, len(video) - own + 1, own - 1)]
    right = sum(bool(report and report.ok) for report in judge(pieces, [prompt] * len(pieces)))
    return f"as asked in {right} of {len(pieces)} pieces of {own / FPS:.0f} seconds", right == len(pieces)


TASKS = {
    "animate": animate,
    "extend forward": partial(extend, direction="forward"),
    "extend backward": partial(extend, direction="backward"),
    "extend backward, three times": beginnings,
    "connect": connect,
    "loop": loop,
    "edit": edit,
    "upscale": upscale,
    "a minute": minute,
    "a minute, memory": memory,
}

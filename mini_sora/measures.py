"""How well a model does what goes beyond text to video: each figure of the tasks, beside its ceiling.

Every function asks for a task on scenes whose truth is known, and gives its figures as {name: (value, what
is asked, aim, ceiling, 95% interval, clips)}, and examples of what was made, [(video, prompt, report)], whose
reports say which figures that video misses. Lengths are in short sides. The ceiling is what a perfect model
of latents would have: its videos are the truth, through the VAE where it is made and as it is where it is
given; None where there is no such thing.
"""

import itertools
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from data_gen import FAMILIES, Report, apparitions, describe

from .compare import (
    PIXEL,
    edge_error,
    in_median_steps,
    largest_step,
    overlap,
    part_ways,
    path,
    paths,
    psnr,
    steps,
    unseen_is_far,
)
from .config import require
from .data import resized, to_pixels
from .evaluate import facts_right, faithful, fine, judge, spread, through_vae
from .pipeline import part
from .rows import Row
from .sharing import on_all_cores

MOVING = ("left", "right", "up", "down")
LASTING = ("still", "circling clockwise", "circling counterclockwise")  # what can go on for a minute
SHOWN = 12  # examples of a task, and of what went wrong in it
FAR = 0.45  # short sides: of a shorter way, single steps are less than what the VAE leaves unsure


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


def stated(limits, values, ceilings, videos=(), prompts=()):
    """A task's (figures, examples).

    limits: {name: (what is asked, aim)}, and a third where the figure is not the mean over clips; values,
    ceilings: of each of them, what each clip of the model, and of the best there can be, has: (B,), bool or
    numbers, or None for no ceiling; videos, prompts: of the model's clips.
    """
    figures, misses = {}, [[] for _ in videos]
    for (name, (asked, aim, *over)), value, best in zip(limits.items(), values, ceilings, strict=True):
        (over,), value = over or [np.mean], np.asarray(value)
        ceiling = None if best is None else float(over(best))
        figures[name] = (float(over(value)), asked, aim, ceiling, spread(value, over), len(value))
        for missed, one in zip(misses, value, strict=False):
            if not (fine(one, asked) if value.dtype != bool else one == asked.startswith(">=")):
                missed.append("not as asked: " + name.split(": ")[-1])
    examples = [
        (video, prompt, Report(dict.fromkeys(missed, False), tuple(missed)))
        for video, prompt, missed in zip(videos, prompts, misses, strict=True)
    ]
    shown = [i for i, missed in enumerate(misses) if i < SHOWN or missed][: 2 * SHOWN]
    return figures, [examples[i] for i in shown]


def expand(sora, count, seed=0, **sampling):
    """Whether prompts, of each family as many, still say the same when they are told at length."""
    if not sora.expander:
        return {}, []
    names = dict.fromkeys(name for name in sora.config.families if name != "shapes-simple")  # never at length
    rows = [Row("", name, size=sora.config.size, frames=sora.config.frames) for name in names]
    clips = [clip for row in rows for clip in row.clips(count)]
    expansions, best = sora.expand(told(clips), seed=seed), [clip.long_caption for clip in clips]
    limits = {"expand: all that was asked is told": (">= 0.95", 0.99)}
    return stated(limits, [faithful(told(clips), expansions)], [faithful(told(clips), best)])


def animate(sora, count, seed=0, **sampling):
    clips = scenes_of(sora, count, sora.config.frames, bodies=(1, 2))
    truth = np.stack([clip.video for clip in clips])
    made = frames_of(sora.animate(list(truth[:, 0]), told(clips), seed=seed, **sampling))
    rebuilt = through_vae(sora.vae, truth)[0]
    best = np.concatenate([truth[:, :1], rebuilt[:, 1:]], axis=1)

    def of_each(videos):
        yield psnr(videos[:, 0], truth[:, 0]) - psnr(rebuilt[:, 0], truth[:, 0])
        yield facts_right(judge(list(videos), told(clips)))

    limits = {
        "animate: first frame, dB above the VAE's": (">= -1", -0.3),
        "animate: facts right": (">= 0.9", 0.97),
    }
    return stated(limits, of_each(made), of_each(best), made, told(clips))


def extend(sora, count, direction, seed=0, **sampling):
    own, ahead = sora.config.frames, direction == "forward"
    clips = scenes_of(sora, count, 2 * own - 1, MOVING)
    truth = np.stack([clip.video for clip in clips])
    part = slice(0, own) if ahead else slice(own - 1, None)
    given = truth[:, part]
    made = frames_of(sora.extend(list(given), told(clips), own - 1, direction, seed=seed, **sampling))
    rebuilt = through_vae(sora.vae, truth)[0]
    best = rebuilt.copy()
    best[:, part] = given
    seam = own - 1 if ahead else own - 2  # the step that leads out of what is given, or into it

    def off(videos):
        """How far the step at the seam is from the truth's."""
        step, true = (np.diff(paths(v, clips)[:, seam : seam + 2], axis=1)[:, 0] for v in (videos, truth))
        return unseen_is_far(np.hypot(*(step - true).T))

    floor = np.median(off(best))

    def of_each(videos):
        yield psnr(videos[:, part], given) - psnr(rebuilt[:, part], given)
        yield facts_right(judge(list(videos), told(clips)))
        yield off(videos) / floor

    limits = {
        f"extend {direction}: known part, dB above the VAE's": (">= -1", -0.3),
        f"extend {direction}: facts right over the whole": (">= 0.88", 0.96),
        f"extend {direction}: velocity at the seam, error in floors": ("<= 2", 1.2, np.median),
    }
    return stated(limits, of_each(made), of_each(best), made, told(clips))


def beginnings(sora, count, seed=0, progress=None, **sampling):
    """Of one ending, where the past is open: where an agent came from; a model that knows no agents is not
    asked. The ceiling of the second figure is of a beginning of one frame; in the world each ending has one
    beginning, so the first one has none."""
    if "play" not in sora.config.families:
        return {}, []
    own = sora.config.frames
    clips = scenes_of(sora, count, own, bodies=(), family="play")
    given = np.stack([clip.video for clip in clips])
    made, asked = [], (list(given), told(clips), own - 1, "backward")
    for nth in range(3):
        how = {"seed": seed + 10_000 * nth, "progress": part(progress, nth, 1, 3), **sampling}
        made.append(frames_of(sora.extend(*asked, **how)))
    differ, agree = part_ways(np.stack([paths(videos, clips) for videos in made]), own - 1)
    same = np.all([(videos[:, own - 1 :] == given).all((1, 2, 3, 4)) for videos in made], axis=0)
    best = np.concatenate([through_vae(sora.vae, given[:, :1])[0], given[:, 1:]], axis=1)
    _, ceiling = part_ways(np.stack([paths(best, clips)] * 3), 1)
    limits = {
        "extend backward: three beginnings of one ending differ": (">= 0.88", 0.96),
        "extend backward: and all lead into it": (">= 0.88", 0.96),
    }
    three = np.concatenate(made, axis=3)  # side by side
    return stated(limits, [differ, agree & same], [None, ceiling], three, told(clips))


def connect(sora, count, seed=0, **sampling):
    half = 1 + max(4, sora.config.frames // 2)  # frames of each end
    gap = 2 * (half - 1)
    clips = scenes_of(sora, count, 4 * half + 1, MOVING, least=FAR)
    truth = np.stack([clip.video for clip in clips])
    a, b = truth[:, :half], truth[:, half + gap : 2 * half + gap]
    made = frames_of(sora.connect(list(a), list(b), told(clips), gap, seed=seed, **sampling))
    between = through_vae(sora.vae, truth)[0][:, half : half + gap]
    best = np.concatenate([a, between, b], axis=1)

    def of_each(videos):
        smooth = largest_step(paths(videos, clips)) <= 1.5
        ends = np.concatenate([videos[:, :half] == a, videos[:, half + gap :] == b], axis=1)
        same = [not found for found in on_all_cores(apparitions, list(videos))]
        counted = [report.attributes["count"] for report in judge(list(videos), told(clips))]
        yield smooth & ends.all((1, 2, 3, 4)) & same & counted

    limits = {"connect: ends kept, no jump, count right": (">= 0.85", 0.95)}
    return stated(limits, of_each(made), of_each(best), made, told(clips))


def loop(sora, count, seed=0, **sampling):
    """Its best is there and back again, which has no seam."""
    own = sora.config.frames
    clips = scenes_of(sora, count, own, MOVING)
    truth = np.stack([clip.video for clip in clips])
    made = frames_of(sora.loop(told(clips), list(truth), seed=seed, **sampling))
    best = np.concatenate([truth, through_vae(sora.vae, truth)[0][:, -2:0:-1]], axis=1)

    def of_each(videos):
        around = steps(paths(np.concatenate([videos, videos[:, :1]], axis=1), clips))
        yield in_median_steps(around, [own - 1, -1])  # out of what was there, and into it again

    limits = {"loop: step at the seam, in median steps": ("<= 1.3", 1.0, np.median)}
    return stated(limits, of_each(made), of_each(best), made, told(clips))


def edit(sora, count, seed=0, **sampling):
    clips = scenes_of(sora, count, sora.config.frames)
    scenes, prompts = zip(*map(recolored, clips), strict=True)
    others = [scene.bodies[0].color for scene in scenes]
    given = [clip.video for clip in clips]
    made = frames_of(sora.edit(given, list(prompts), seed=seed, **sampling))
    best = through_vae(sora.vae, FAMILIES[scenes[0].family].render(scenes, sora.config.size))[0]

    def of_each(videos):
        reports = [report.attributes for report in judge(list(videos), prompts)]
        apart = ("color", "count", "steady")
        places = np.stack(on_all_cores(path, list(videos), others)), paths(given, clips)
        off = unseen_is_far(np.hypot(*np.moveaxis(places[0] - places[1], -1, 0))).max(1)
        yield [report["color"] and report["count"] for report in reports]
        yield off <= PIXEL
        yield [all(v for k, v in report.items() if k not in apart) for report in reports]

    limits = {
        "edit: colour changed as asked": (">= 0.85", 0.95),
        "edit: path kept within a pixel of 32": (">= 0.9", 0.95),
        "edit: all else kept": (">= 0.9", 0.95),
    }
    return stated(limits, of_each(made), of_each(best), made, prompts)


def upscale(sora, count, seed=0, **sampling):
    drafts = scenes_of(sora, count, sora.config.frames, bodies=(1, 2))
    scenes = [clip.scene for clip in drafts]
    large = tuple(2 * side for side in sora.config.size)
    given, real = np.stack([clip.video for clip in drafts]), FAMILIES[scenes[0].family].render(scenes, large)
    made = frames_of(sora.upscale(list(given), 2, told(drafts), seed=seed, **sampling))
    best, plain = through_vae(sora.vae, real)[0], edge_error(resized(to_pixels(given), large), real)

    def of_each(videos):
        back = resized(to_pixels(videos), sora.config.size)
        yield on_all_cores(overlap, list(back), list(given))
        yield facts_right(judge(list(videos), told(drafts)))
        yield edge_error(videos, real) / plain

    limits = {
        "upscale x2: overlap with the draft": (">= 0.85", 0.95),
        "upscale x2: facts right": (">= 0.9", 0.97),
        "upscale x2: edge error, in those of bicubic": ("<= 1", 0.8, np.median),
    }
    return stated(limits, of_each(made), of_each(best), made, told(drafts))


def minute(sora, count, seed=0, **sampling):
    """Its ceilings are of the model's own length, as the world has no clip of a minute that stays in view."""
    own = sora.config.frames
    clips = scenes_of(sora, count, own, LASTING)
    videos = [video.frames for video in sora.generate(told(clips), seconds=60, seed=seed, **sampling)]
    best = through_vae(sora.vae, np.stack([clip.video for clip in clips]))[0]

    def right(shown):
        return facts_right(judge(list(shown), told(clips)))

    def strange(shown):
        return np.array([bool(said) for said in on_all_cores(apparitions, list(shown))])

    limits, values = {}, []
    for times, least in zip((2, 4, 8, 16, 28), (0.9, 0.85, 0.8, 0.75, 0.7), strict=True):
        end = (own - 1) * times + 1
        if end > len(videos[0]):  # of a model whose own length is so many times in no minute
            break
        limits[f"a minute: facts right at {times} times the length"] = f">= {least}", 0.95
        values.append(right([video[end - own : end] for video in videos]))
    ceilings = [right(best)] * len(values)
    limits["a minute: from nowhere, or vanished"] = "<= 0.1", 0.01
    return stated(limits, [*values, strange(videos)], [*ceilings, strange(best)], videos, told(clips))


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
    figure = peaks[1] / peaks[0], "<= 1.2", 1.0, None, None, None
    return {"a minute: memory, in those of two seconds": figure}, []


TASKS = {
    "expand": expand,
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

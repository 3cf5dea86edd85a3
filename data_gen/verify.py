"""python -m data_gen verify: every claim about the world, measured and printed with its number of clips."""

import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from math import prod

import numpy as np
from PIL import Image, ImageDraw

from .captions import describe, parse
from .check import check
from .clips import make_batch, make_clip
from .families import FAMILIES, NUMBERS, bounce, shapes
from .families.phyworld import FRAMES, velocity_errors
from .faults import FAULTS, plant
from .gallery import SHOWN
from .grammar import SLOT
from .observe import observe, settle
from .physics import energy, simulate, trajectory
from .render import ground
from .scene import PALETTE
from .words import LONG_WORDS

MAIN = SHOWN
SIDES = {  # short side: 16:9, 1:1 and 9:16
    24: ((24, 40), (24, 24), (40, 24)),
    32: ((32, 56), (32, 32), (56, 32)),
    48: ((48, 88), (48, 48), (88, 48)),
    64: ((64, 112), (64, 64), (112, 64)),
    128: ((128, 224), (128, 128), (224, 128)),
}
NOISE = 255 * 10 ** (-30 / 20)  # levels: the noise that leaves 30 dB
BLUR = 0.5  # pixels


def judged(clip, video, facts):
    return check(video, facts, clip.actions).ok


def blurred(video, rng):
    """A video after a Gaussian of half a pixel and 30 dB of noise: uint8."""
    reach = np.arange(-2, 3)
    kernel = np.exp(-(reach**2) / (2 * BLUR**2))
    kernel /= kernel.sum()
    soft = video.astype(np.float32)
    for axis in (1, 2):
        wide = np.pad(soft, [(2, 2) if i == axis else (0, 0) for i in range(4)], mode="edge")
        n = soft.shape[axis]
        soft = sum(k * wide.take(range(i, i + n), axis) for i, k in enumerate(kernel))
    noise = rng.standard_normal(video.shape, np.float32) * NOISE
    return np.clip(np.rint(soft + noise), 0, 255).astype(np.uint8)


def accepted(family, size, seeds, rough=False):
    """How many rendered truths the checker accepts, as they are or blurred and noisy: (right, all)."""
    batch = make_batch(family, seeds, size, 17, "test")
    right = 0
    for seed, clip in zip(seeds, (batch[i] for i in range(len(batch))), strict=True):
        video = blurred(clip.video, np.random.default_rng(seed)) if rough else clip.video
        right += judged(clip, video, clip.facts)
    return right, len(batch)


def rejected(family, fault, seeds):
    """How many clips with a fault the checker rejects at 32 x 32: (rejected, all where it shows)."""
    hits = total = 0
    for seed in seeds:
        clip = make_clip(family, seed, (32, 32), 17, "test")
        planted = plant(fault, clip, np.random.default_rng([9, seed]))
        if planted is not None:
            hits += not judged(clip, *planted)
            total += 1
    return hits, total


def crossed(family, seeds):
    """Clips judged against the caption of the scene before: (accepted, all that could be by chance, all)."""
    batch = make_batch(family, seeds, (32, 32), 17, "test")
    right = chance = 0
    for i in range(len(batch)):
        told, facts = parse(batch.captions[i - 1]), batch[i].facts
        right += judged(batch[i], batch[i].video, told)
        chance += all(facts.get(key) == value for key, value in told.items())
    return right, chance, len(batch)


def captions(family, seeds):
    """Captions written and read back: (long ones right, short ones right, all, the short ones counted)."""
    module, right, texts = FAMILIES[family], [0, 0], Counter()
    for seed in seeds:
        size = pick_size(seed)
        scene = module.sample(np.random.default_rng((NUMBERS[family], 1, seed)), size, 17, "test")
        facts = module.facts(scene)
        long, short = describe(scene, seed, long=True), describe(scene, seed)
        words = len(long.split())
        right[0] += parse(long) == facts and LONG_WORDS[0] <= words <= LONG_WORDS[1]
        told = parse(short)
        right[1] += all(facts.get(key) == value for key, value in told.items()) and len(short.split()) < 15
        texts[short] += 1
    return right[0], right[1], len(seeds), texts


def writable(family):
    """How many short captions the grammar of a family can write: plans times phrases, an upper bound."""
    grammar, total = FAMILIES[family].GRAMMAR, 0
    alone = tuple(grammar.events) if family == "change" else ()  # one event can be all that a caption tells
    for name, plans in grammar.plans.items():
        for plan in plans if name.startswith(("short", *alone)) else ():
            slots = [slot for slot, _ in SLOT.findall(plan)]
            colors = prod(range(len(PALETTE), len(PALETTE) - slots.count("color"), -1))
            words = (sum(map(len, grammar.tables[slot].values())) for slot in slots if slot != "color")
            total += colors * prod(words)
    return total


def pick_size(seed):
    sizes = [size for sides in SIDES.values() for size in sides]
    return sizes[seed % len(sizes)]


def floors(seeds):
    """Velocity errors of the observer on PhyWorld's uniform motion at 64 px: ((frame, mean), clips)."""
    errors = []
    for seed in seeds:
        clip = make_clip("bounce-uniform", seed, (64, 64), 33, "test")
        (track,) = observe(clip.video).tracks.values()
        (body,) = clip.truth["bodies"]
        whole = np.flatnonzero(track.clear[:FRAMES] & (body["visible"][:FRAMES] > 0.9999))
        if len(whole) > 2:
            radius = np.full(len(whole), np.median(track.radius[whole]))
            place, _, _ = settle(track, whole, "circle", radius)
            errors.append(velocity_errors(place, body["position"][whole]))
    return np.mean(errors, 0), len(errors)


def physics(seeds):
    """Elastic scenes over a minute: the largest change of energy, relative to it, and of momentum where
    nothing but balls is met, relative to the balls' mass."""
    worst = np.zeros(2)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        radii = 0.06 + 0.06 * rng.random(3)
        places = np.array([(0.25, 0.25), (0.7, 0.3), (0.45, 0.7)]) + 0.05 * rng.random((3, 2))
        velocities = rng.random((3, 2)) - 0.5
        times = np.arange(0, 60, 1 / 8)
        for gravity in (0.0, 1.0):
            flights, _ = simulate(places, velocities, radii, 60, (1.0, 1.0), gravity)
            total = energy(*trajectory(flights, times), radii, gravity)
            worst[0] = max(worst[0], np.abs(total / total[0] - 1).max())
        toward = np.array([(0.5, 0.5)]) - places
        flights, events = simulate(places, toward * 0.2, radii, 60)
        momentum = (radii[:, None, None] ** 2 * trajectory(flights, times)[1]).sum(0)
        worst[1] = max(worst[1], np.abs(momentum - momentum[0]).max() / np.abs(radii**2).sum())
        assert events, "these balls meet"
    return worst


def mirrored(seeds):
    """The largest difference, in levels, between the clip of a mirrored bounce and the mirrored clip."""
    worst = 0
    for seed in seeds:
        clip = make_clip("bounce", seed, (32, 40), 17)
        other = bounce.render([bounce.mirror(clip.scene)], (32, 40))[0]
        worst = max(worst, int(np.abs(other.astype(int) - clip.video[:, :, ::-1]).max()))
    return worst


def drawn_by_pillow(scenes, size):
    """Scenes of shapes drawn with Pillow, as a course would: supersampled, then made small."""
    frames, samples = [], 4
    wide = (size[1] * samples, size[0] * samples)
    for scene in scenes:
        paths = [(body, *shapes.pose(body, scene.frames)) for body in scene.bodies]
        back = Image.fromarray(np.rint(ground(scene.background, wide[::-1])).astype(np.uint8))
        for t in range(scene.frames):
            image = back.copy()
            pen = ImageDraw.Draw(image)
            for body, path, radius, _ in paths:
                x, y = path[t] * min(wide)
                r = np.broadcast_to(radius, scene.frames)[t] * min(wide)
                pen.ellipse((x - r, y - r, x + r, y + r), fill=PALETTE[body.color])
            frames.append(np.asarray(image.resize(size[::-1], Image.Resampling.BOX)))
    return np.stack(frames).reshape(len(scenes), -1, *size, 3)


def film(family, seeds):
    """Make a batch, to see how long it takes."""
    make_batch(family, seeds)


def _parts(seeds, by):
    """A range cut into pieces of at most `by`."""
    return [seeds[i : i + by] for i in range(0, len(seeds), by)]


def _line(text):
    print(text, flush=True)


def run(count=200, scenes=100_000, families=MAIN):
    """Measure everything and print it; count: clips a figure; scenes: for the captions of each family.

    Returns whether every figure is as good as it must be.
    """
    good, workers = [], 2

    def verdict(text, ok):
        good.append(ok)
        _line(f"{text}  {'' if ok else 'MISSED'}".rstrip())

    with ProcessPoolExecutor(workers) as pool:

        def gather(jobs):
            """Sums of the results of jobs, {key: [(function, arguments), ...]}."""
            futures = {key: [pool.submit(f, *a) for f, *a in calls] for key, calls in jobs.items()}
            return {key: [f.result() for f in waiting] for key, waiting in futures.items()}

        _line("Rendered truth accepted, 17 frames, 16:9, 1:1 and 9:16 (99.5% asked of a family)")
        _line(f"{'short side':12}" + "".join(f"{side:>8}" for side in SIDES) + f"{'all':>10}")
        for family in families:
            jobs = {}
            for side, sizes in SIDES.items():
                each = range(-(-count // 3))
                jobs[side] = [(accepted, family, size, part) for size in sizes for part in _parts(each, 17)]
            table = {side: np.sum(found, 0) for side, found in gather(jobs).items()}
            right, every = np.sum(list(table.values()), 0)
            row = "".join(f"{r / n:8.1%}" for r, n in table.values())
            verdict(f"{family:12}{row}{right / every:10.2%} of {every}", right >= 0.995 * every)

        _line("\nTruth after a blur of half a pixel and 30 dB of noise, accepted (97% asked)")
        for family in families:
            jobs = {
                side: [
                    (accepted, family, size, part, True)
                    for size in SIDES[side]
                    for part in _parts(range(-(-count // 3)), 17)
                ]
                for side in (32, 64)
            }
            for side, found in gather(jobs).items():
                right, every = np.sum(found, 0)
                verdict(f"{family:12}{side:4} px{right / every:9.1%} of {every}", right >= 0.97 * every)

        _line(
            f"\nPlanted faults rejected at 32 x 32 (up to {count} clips, where it shows; 99% asked of a kind)"
        )
        totals = defaultdict(lambda: np.zeros(2, int))
        for family in families:
            jobs = {
                fault: [(rejected, family, fault, part) for part in _parts(range(count), 25)]
                for fault in FAULTS
            }
            for fault, found in gather(jobs).items():
                hits = np.sum(found, 0)
                totals[fault] += hits
                if hits[1]:
                    _line(f"{family:12}{fault:24}{hits[0] / hits[1]:9.1%} of {hits[1]}")
        for fault, (hits, every) in totals.items():
            if every:
                verdict(f"{'all':12}{fault:24}{hits / every:9.1%} of {every}", hits >= 0.99 * every)

        _line("\nJudged against another scene's short caption: accepted, and what chance allows")
        for family in families:
            found = np.sum(gather({0: [(crossed, family, part) for part in _parts(range(count), 25)]})[0], 0)
            verdict(
                f"{family:12}{found[0]:6} accepted, {found[1]} by chance, of {found[2]}", found[0] <= found[1]
            )

        _line(f"\nCaptions written and read back ({scenes} scenes of each family)")
        for family in families:
            found = gather({0: [(captions, family, part) for part in _parts(range(scenes), 2500)]})[0]
            texts = sum((part[3] for part in found), Counter())
            long, short, every = (sum(part[i] for part in found) for i in range(3))
            verdict(
                f"{family:12}long {long / every:8.2%}  short {short / every:8.2%}  distinct short ones seen"
                f" {len(texts)}, of at most {writable(family):,}",
                long == short == every,
            )

    _line("\nPhysics")
    worst = physics(range(min(8, count)))
    verdict(f"energy of elastic scenes over 60 s, largest relative change   {worst[0]:.1e}", worst[0] <= 1e-9)
    verdict(
        f"momentum in free collisions over 60 s, largest relative change {worst[1]:.1e}", worst[1] <= 1e-9
    )
    levels = mirrored(range(-(-count // 2)))
    verdict(f"mirrored scene against mirrored clip, largest difference       {levels} levels", levels <= 1)
    (per_frame, mean), clips = floors(range(count))
    text = f"velocity floors at 64 px, PhyWorld's units, {clips} clips: {per_frame:.4f} and {mean:.5f}"
    verdict(text, per_frame <= 0.009 and mean <= 0.0005)

    _line(f"\nSpeed, 17 x 32 x 32, clips a second on {workers} processes, short captions included")
    for family in ("shapes-simple", *families):
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(film, [family] * workers, [range(8)] * workers))  # started and warm
            began = time.perf_counter()
            n = (2 if family == "camera" else 10) * count
            list(pool.map(film, [family] * workers, [range(k * n, (k + 1) * n) for k in range(workers)]))
            rate = workers * n / (time.perf_counter() - began)
        need = {"shapes": 2000, "shapes-simple": 2000, "camera": 200}.get(family, 1000)
        verdict(f"{family:14}{rate:8.0f}  ({need} asked)", rate >= need)
    if "shapes" in families:
        batch = make_batch("shapes", range(3 * count))
        ours, theirs = [], []
        for _ in range(3):
            began = time.perf_counter()
            shapes.render(list(batch.scenes), (32, 32))
            ours.append(time.perf_counter() - began)
            began = time.perf_counter()
            drawn_by_pillow(batch.scenes, (32, 32))
            theirs.append(time.perf_counter() - began)
        ratio = np.median(theirs) / np.median(ours)
        _line(
            f"Pillow at 4 x 4 samples a pixel, all shapes as circles: {ratio:.1f} times as long, on one core"
        )
    _line(f"\n{sum(good)} of {len(good)} figures are as good as they must be")
    return all(good)

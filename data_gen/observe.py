"""The inverse of render: from a video to tracks, and from tracks to a verdict.

`observe` sees only pixels. Positions are centroids weighted by coverage, so anti-aliased edges
count by their share; sizes come from the covered area; shapes are told apart by drawing each
candidate at the place and size found, and comparing.
"""

from dataclasses import dataclass
from math import pi

import numpy as np

from .captions import Facts, parse
from .render import coverage
from .scene import FPS, PALETTE, RADIUS_RANGE, SHAPES, WorldError

SALIENT = 0.2  # a pixel belongs to a body when it differs from the ground by this share of full scale
SPECK = 0.2  # blobs below this share of the smallest body's area are dirt, not bodies
WOBBLE = 0.035  # largest distance from a straight path at constant speed, short sides
BREATH = 0.10  # largest change of radius from the clip's median, as a share
STILL = 0.05  # a still body stays this close to its mean place, short sides
MOVED = 0.18  # a moving body goes at least this far in the clip, short sides
SLANT = 0.2  # largest sideways share of a straight motion
CLEARLY = 0.05  # a frame shows another shape than its clip when that fits better by this share of the area
MISFIT = 0.25  # largest difference from the drawn shape, as a share of its area


@dataclass(frozen=True)
class Track:
    """One body through time; lengths in short sides."""

    position: np.ndarray  # (T, 2), x then y
    radius: np.ndarray  # (T,), of the circle of equal area
    color: tuple[str, ...]  # T names of PALETTE
    shape: tuple[str, ...]  # T names of SHAPES
    misfit: np.ndarray  # (T,), difference from the drawn shape as a share of its area


@dataclass(frozen=True)
class Observation:
    """What is seen: the number of bodies per frame and, where it never changes, their tracks."""

    counts: np.ndarray  # (T,)
    tracks: tuple[Track, ...]


@dataclass(frozen=True)
class Report:
    """A verdict: each attribute right or wrong, and why in words where wrong."""

    attributes: dict[str, bool]
    why: tuple[str, ...]

    @property
    def ok(self):
        return all(self.attributes.values())


def label(mask):
    """Number the 8-connected components of each frame: (T, H, W) bool -> int, 0 where not mask."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        before = labels
        for axis in (1, 2):
            pad = [(0, 0)] * 3
            pad[axis] = (1, 1)
            wide = np.pad(labels, pad)
            n = labels.shape[axis]
            shifted = [wide.take(range(i, i + n), axis) for i in range(3)]
            labels = np.maximum.reduce(shifted)
        labels = np.where(mask, labels, 0)
        if np.array_equal(labels, before):
            return labels


def _validate(video):
    if not isinstance(video, np.ndarray) or video.dtype != np.uint8:
        raise WorldError(f"a video is a uint8 array, not {getattr(video, 'dtype', type(video).__name__)}")
    if video.ndim != 4 or video.shape[3] != 3 or 0 in video.shape:
        raise WorldError(f"a video has the shape (T, H, W, 3), not {video.shape}")


def _tracks(video, ground, labels, blobs):
    """Follow n blobs per frame, each to the nearest in the next frame. blobs: T lists of n labels."""
    frames, size = video.shape[0], video.shape[1:3]
    scale, n = min(size), len(blobs[0])
    names = list(PALETTE)
    inks = np.array([PALETTE[name] for name in names], np.float32)
    shades = inks - ground
    grid = np.stack(np.meshgrid(np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5), -1)  # (H, W, 2)
    place, area = np.empty((n, frames, 2)), np.empty((n, frames))
    cover = np.empty((n, frames, *size), np.float32)
    color = [[""] * frames for _ in range(n)]
    for t in range(frames):
        found = []
        for blob in blobs[t]:
            # The blob and its faint edge: every pixel within one of it.
            near = np.pad(labels[t] == blob, 1)
            near = near[:-2] | near[1:-1] | near[2:]
            near = near[:, :-2] | near[:, 1:-1] | near[:, 2:]
            shade = (video[t] - ground) * near[..., None]
            strength = np.abs(shade).max(-1)
            core = shade[strength >= 0.8 * strength.max()].mean(0)
            ink = int(np.argmin(((core - shades) ** 2).sum(-1)))
            alpha = np.clip(shade @ core / (core @ core), 0, 1)
            mass = alpha.sum()
            found.append(((alpha[..., None] * grid).sum((0, 1)) / mass, mass, alpha, names[ink]))
        for i in range(n):
            last = place[i, t - 1] if t else found[0][0]
            nearest = min(range(len(found)), key=lambda j: np.linalg.norm(found[j][0] - last))
            place[i, t], area[i, t], cover[i, t], color[i][t] = found.pop(nearest)
    radius = np.sqrt(area / pi)
    tracks = []
    for i in range(n):
        errors = np.stack(
            [np.abs(cover[i] - coverage(s, place[i], radius[i], size)).sum((1, 2)) / area[i] for s in SHAPES]
        )  # (shapes, T), as shares of the area
        best = errors.mean(1).argmin()
        changed = errors.min(0) < errors[best] - CLEARLY
        shape = tuple(SHAPES[j] for j in np.where(changed, errors.argmin(0), best))
        misfit = np.where(changed, errors.min(0), errors[best])
        tracks.append(Track(place[i] / scale, radius[i] / scale, tuple(color[i]), shape, misfit))
    return tuple(tracks)


def observe(video):
    """See what is in a video, uint8 (T, H, W, 3): an Observation. Raises WorldError."""
    _validate(video)
    scale = min(video.shape[1:3])
    pixels = video.astype(np.float32)
    ground = np.median(pixels.reshape(-1, 3), axis=0)
    labels = label(np.abs(pixels - ground).max(-1) > SALIENT * 255)
    speck = SPECK * pi * (RADIUS_RANGE[0] * scale) ** 2
    blobs = []
    for frame in labels:
        numbers, areas = np.unique(frame[frame > 0], return_counts=True)
        blobs.append([number for number, area in zip(numbers, areas, strict=True) if area >= speck])
    counts = np.array([len(frame) for frame in blobs])
    steady = counts[0] > 0 and (counts == counts[0]).all()
    return Observation(counts, _tracks(pixels, ground, labels, blobs) if steady else ())


def _most(names):
    return max(sorted(set(names)), key=names.count)


def _seen_motion(position):
    """The motion seen in a path (T, 2): a word of DIRECTIONS, or None where it is no such motion."""
    if len(position) < 2:
        return None
    if np.linalg.norm(position - position.mean(0), axis=1).max() < STILL:
        return "still"
    slope = np.polyfit(np.arange(len(position)), position, 1)[0]
    moved = slope * (len(position) - 1)
    along = int(np.argmax(np.abs(moved)))
    if abs(moved[along]) < MOVED or abs(moved[1 - along]) > SLANT * abs(moved[along]):
        return None
    sign = 1 if moved[along] > 0 else -1
    return {(-1, 0): "left", (1, 0): "right", (-1, 1): "up", (1, 1): "down"}[sign, along]


def check(video, caption):
    """Compare what is seen with what a caption (or Facts) says: a Report, attribute by attribute.

    video: uint8 (T, H, W, 3). A clip that is nearly right is not right. Raises WorldError for a
    video or a caption that cannot be read.
    """
    facts = caption if isinstance(caption, Facts) else parse(caption)
    seen = observe(video)
    (wanted,) = facts.bodies
    names = ["count", "color", "shape", "steady"] + (["motion"] if wanted.motion else [])
    if len(seen.tracks) != 1:
        counts = sorted({int(n) for n in seen.counts})
        many = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
        return Report(dict.fromkeys(names, False), (f"there are {many} bodies, not 1",))
    (track,) = seen.tracks
    color, shape = _most(track.color), _most(track.shape)
    attributes, why = {"count": True, "color": color == wanted.color, "shape": shape == wanted.shape}, []
    if color != wanted.color:
        why.append(f"the body is {color}, not {wanted.color}")
    if shape != wanted.shape:
        why.append(f"the body is a {shape}, not a {wanted.shape}")
    trouble = list(_unsteady(track))
    attributes["steady"] = not trouble
    if wanted.motion:
        motion = _seen_motion(track.position)
        attributes["motion"] = motion == wanted.motion
        if motion != wanted.motion:
            seen_words = {"still": "stays still", None: "moves askew or too little"}
            asked = "stay still" if wanted.motion == "still" else f"move {wanted.motion}"
            why.append(f"the body {seen_words.get(motion, f'moves {motion}')}; it should {asked}")
    return Report(attributes, tuple(why + trouble))


def _unsteady(track):
    """What flickers or wobbles in a track, in words."""
    time = np.arange(len(track.position)) / FPS
    if len(set(track.color)) > 1:
        yield f"the body changes colour ({', '.join(sorted(set(track.color)))})"
    if len(set(track.shape)) > 1:
        yield f"the body changes shape ({', '.join(sorted(set(track.shape)))})"
    if track.misfit.max() > MISFIT:
        yield f"the shape is blurred or broken in frame {int(track.misfit.argmax())}"
    change = np.abs(track.radius / np.median(track.radius) - 1)
    if change.max() > BREATH:
        yield f"the body changes size in frame {int(change.argmax())}"
    if len(time) > 2:
        fit = np.polynomial.polynomial.polyfit(time, track.position, 1)
        path = fit[0] + time[:, None] * fit[1]
        off = np.linalg.norm(track.position - path, axis=1)
        if off.max() > WOBBLE:
            yield f"the body leaves its path in frame {int(off.argmax())}"

"""How videos differ, and the paths of what is seen in them. Lengths are in short sides."""

import itertools

import numpy as np

from data_gen import observe

from .sharing import on_all_cores

PIXEL = 1 / 32  # short sides


def psnr(a, b):
    """Of each clip or picture of two batches, uint8, in dB, at most 80: (B,)."""
    error = (np.asarray(a, float) - np.asarray(b, float)) / 255
    return -10 * np.log10(np.maximum((error**2).mean(axis=tuple(range(1, error.ndim))), 1e-8))


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
    gone far, and counts as 0 in the median."""
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


def overlap(a, b):
    """Of what is seen in two clips, colour by colour: intersection over union."""
    a, b = (observe(video).labels for video in (a, b))
    union = ((a > 0) | (b > 0)).sum()
    return ((a == b) & (a > 0)).sum() / union if union else 1.0

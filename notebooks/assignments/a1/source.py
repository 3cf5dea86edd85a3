"""A1: the world and its measurement. Lengths are in short sides: the shorter side of the picture is 1."""

import math

import numpy as np

FPS = 8


def disc(x, y, radius, size, samples=4):
    """How much of each pixel a disc covers: float (H, W) from 0 to 1.

    x, y, radius: in short sides, x to the right, y downwards; size: (H, W). Each pixel is asked at samples x samples
    points, evenly spaced, the first half a space from its edge.
    """
    ### BEGIN SOLUTION
    height, width = size
    short = min(size)
    rows = (np.arange(height * samples) + 0.5) / samples / short
    columns = (np.arange(width * samples) + 0.5) / samples / short
    inside = (columns - x) ** 2 + (rows[:, None] - y) ** 2 <= radius**2
    return inside.reshape(height, samples, width, samples).mean((1, 3))
    ### END SOLUTION


def centroid(coverage):
    """Where a body is, from how much of each pixel it covers: (x, y) in short sides; pixel i has its centre at
    (i + 0.5) / short side."""
    ### BEGIN SOLUTION
    height, width = coverage.shape
    short, mass = min(height, width), coverage.sum()
    x = (coverage.sum(0) * (np.arange(width) + 0.5)).sum() / mass / short
    y = (coverage.sum(1) * (np.arange(height) + 0.5)).sum() / mass / short
    return x, y
    ### END SOLUTION


def velocity(path):
    """The mean velocity of a path (T, 2), one place a frame: (2,), in short sides a second."""
    ### BEGIN SOLUTION
    return (path[-1] - path[0]) / (len(path) - 1) * FPS
    ### END SOLUTION


def direction(path, least=0.1):
    """Which way a path (T, 2) goes: left, right, up or down; still if it goes less than `least` in all. y is downwards."""
    ### BEGIN SOLUTION
    dx, dy = path[-1] - path[0]
    if math.hypot(dx, dy) < least:
        return "still"
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"
    ### END SOLUTION


def bounce(place, speed, time, low, high):
    """Where a point is that goes to and fro between two walls without loss: a number.

    It is at `place`, from low to high, at time 0, with this speed (a sign says which way). Exact for any time.
    """
    ### BEGIN SOLUTION
    span = high - low
    along = (place - low + speed * time) % (2 * span)
    return low + (along if along <= span else 2 * span - along)
    ### END SOLUTION


def facts(caption):
    """A caption such as "a red circle moves left" to {"color": "red", "shape": "circle", "motion": "left"}.

    Colours are red, green, blue, yellow, cyan, magenta, orange and white; shapes circle, square and triangle; motions
    left, right, up, down and still, and "rises" and "sinks" are up and down, "stays" is still. The words "a", "the",
    "moves", "is", "and" and "that" may stand anywhere and tell nothing. Capitals are as small letters, and the order of
    the facts is free. A fact that is not told is not there. Raises ValueError for a caption with any other word.
    """
    ### BEGIN SOLUTION
    words = {
        name: ("color", name)
        for name in ("red", "green", "blue", "yellow", "cyan", "magenta", "orange", "white")
    }
    words |= {name: ("shape", name) for name in ("circle", "square", "triangle")}
    words |= {name: ("motion", name) for name in ("left", "right", "up", "down", "still")}
    words |= {"rises": ("motion", "up"), "sinks": ("motion", "down"), "stays": ("motion", "still")}
    found = {}
    for word in caption.lower().split():
        if word in words:
            found.update([words[word]])
        elif word not in ("a", "the", "moves", "is", "and", "that"):
            raise ValueError(f"{word!r} has no meaning here")
    return found
    ### END SOLUTION


def interval(right, count):
    """The 95% interval of a rate, seen `right` times of `count` (Wilson 1927), z = 1.96: (low, high)."""
    ### BEGIN SOLUTION
    z, rate = 1.96, right / count
    middle = rate + z**2 / (2 * count)
    half = z * math.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    return (middle - half) / (1 + z**2 / count), (middle + half) / (1 + z**2 / count)
    ### END SOLUTION

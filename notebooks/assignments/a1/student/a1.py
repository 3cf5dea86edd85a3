"""A1: the world and its measurement. Lengths are in short sides: the shorter side of the picture is 1."""

import math

import numpy as np

FPS = 8


def disc(x, y, radius, size, samples=4):
    """How much of each pixel a disc covers: float (H, W) from 0 to 1.

    x, y, radius: in short sides, x to the right, y downwards; size: (H, W). Each pixel is asked at samples x samples
    points, evenly spaced, the first half a space from its edge.
    """
    raise NotImplementedError("your turn")


def centroid(coverage):
    """Where a body is, from how much of each pixel it covers: (x, y) in short sides; pixel i has its centre at
    (i + 0.5) / short side."""
    raise NotImplementedError("your turn")


def velocity(path):
    """The mean velocity of a path (T, 2), one place a frame: (2,), in short sides a second."""
    raise NotImplementedError("your turn")


def direction(path, least=0.1):
    """Which way a path (T, 2) goes: left, right, up or down; still if it goes less than `least` in all. y is downwards."""
    raise NotImplementedError("your turn")


def bounce(place, speed, time, low, high):
    """Where a point is that goes to and fro between two walls without loss: a number.

    It is at `place`, from low to high, at time 0, with this speed (a sign says which way). Exact for any time.
    """
    raise NotImplementedError("your turn")


def facts(caption):
    """A caption such as "a red circle moves left" to {"color": "red", "shape": "circle", "motion": "left"}.

    Colours are red, green, blue, yellow, cyan, magenta, orange and white; shapes circle, square and triangle; motions
    left, right, up, down and still, and "rises" and "sinks" are up and down, "stays" is still. The words "a", "the",
    "moves", "is", "and" and "that" may stand anywhere and tell nothing. Capitals are as small letters, and the order of
    the facts is free. A fact that is not told is not there. Raises ValueError for a caption with any other word.
    """
    raise NotImplementedError("your turn")


def interval(right, count):
    """The 95% interval of a rate, seen `right` times of `count` (Wilson 1927), z = 1.96: (low, high)."""
    raise NotImplementedError("your turn")

"""The points of A1. Heights and widths differ, so that an axis in the wrong place shows."""

import math

import numpy as np

from mini_sora.evaluate import interval as true_interval
from notebooks.grade import Point

ALLOWED = ()


def truth(x, y, radius, size, samples=16):
    height, width = size
    rows = (np.arange(height * samples) + 0.5) / samples / min(size)
    columns = (np.arange(width * samples) + 0.5) / samples / min(size)
    inside = (columns - x) ** 2 + (rows[:, None] - y) ** 2 <= radius**2
    return inside.reshape(height, samples, width, samples).mean((1, 3))


def check_disc(function):
    for x, y, radius, size in (
        (0.4, 0.6, 0.2, (24, 40)),
        (1.1, 0.3, 0.15, (32, 48)),
        (0.5, 1.2, 0.3, (40, 24)),
    ):
        found = np.asarray(function(x, y, radius, size), float)
        assert found.shape == size, f"the shape is {found.shape}, not {size}"
        assert found.min() >= 0 and found.max() <= 1, (
            f"coverage is from 0 to 1, not {found.min():.2f} to {found.max():.2f}"
        )
        assert ((found > 0) & (found < 1)).any(), (
            "each pixel is covered fully or not at all: the edge has no greys"
        )
        area = found.sum() / min(size) ** 2
        wanted = truth(x, y, radius, size).sum() / min(size) ** 2
        assert abs(area - wanted) < 0.03 * wanted, (
            f"the area is {area:.4f}, not {wanted:.4f} square short sides"
        )
        turned = found.shape == size and abs(found - truth(y, x, radius, size)).max() < 0.3 and x != y
        assert not turned, "x and y are exchanged: x is along the columns"
        off = abs(found - truth(x, y, radius, size)).max()
        assert off < 0.2, f"a pixel is off by {off:.2f}: pixel centres are at (i + 0.5) / n"


def check_centroid(function):
    for x, y, size in ((0.41, 0.63, (24, 40)), (1.137, 0.3, (32, 48)), (0.52, 1.2, (40, 24))):
        coverage = truth(x, y, 0.17, size)
        found = tuple(function(coverage))
        exchanged = abs(found[0] - y) < 0.01 and abs(found[1] - x) < 0.01
        assert not exchanged, "x and y are exchanged"
        off = math.hypot(found[0] - x, found[1] - y)
        assert abs(off - math.hypot(0.5, 0.5) / min(size)) > 2e-3, (
            "off by half a pixel: centres are at (i + 0.5) / n"
        )
        assert off < 2e-3, (
            f"({found[0]:.3f}, {found[1]:.3f}) is {off:.3f} from the truth ({x}, {y}): weigh by coverage"
        )
        twice = tuple(function(coverage * 0.5))
        assert math.hypot(twice[0] - x, twice[1] - y) < 2e-3, (
            "half the coverage everywhere is at the same place"
        )


def check_velocity(function):
    time = np.arange(17)[:, None] / 8
    path = np.array([[0.2, 0.7]]) + time * np.array([[0.3, -0.1]])
    found = np.asarray(function(path), float)
    assert found.shape == (2,), f"the shape is {found.shape}, not (2,)"
    per_frame = np.allclose(found, [0.3 / 8, -0.1 / 8])
    assert not per_frame, "that is per frame; there are 8 frames a second"
    assert np.allclose(found, [0.3, -0.1]), f"{found} is not [0.3, -0.1]: 17 frames are 16 steps"


def check_direction(function):
    line = np.linspace(0, 1, 9)[:, None]
    for way, step in (
        ("right", (1, 0.1)),
        ("left", (-1, 0.2)),
        ("down", (0.1, 1)),
        ("up", (0, -1)),
        ("still", (0.01, 0)),
    ):
        found = function(0.5 + 0.4 * line * np.array(step))
        assert found == way, f"a path that goes {way} is said to go {found}; y is downwards"
    assert function(np.array([[0, 0], [0.08, 0.08]])) != "still", "it has gone 0.113 in all, more than 0.1"


def check_bounce(function):
    for place, speed, time in (
        (0.3, 0.5, 0.4),
        (0.3, 0.5, 1.5),
        (0.3, -0.7, 2.0),
        (0.5, 0.31, 100.0),
        (0.9, -0.2, 0.0),
    ):
        low, high = 0.2, 0.9
        phase = (place - low + speed * time) / (high - low)  # how many spans it has gone, from the low wall
        lap = math.floor(phase)
        inside = phase - lap
        wanted = low + (high - low) * (inside if lap % 2 == 0 else 1 - inside)
        found = function(place, speed, time, low, high)
        assert low - 1e-9 <= found <= high + 1e-9, f"at time {time} it is at {found:.3f}, beyond the walls"
        assert abs(found - wanted) < 1e-6, f"at time {time} it is at {found:.4f}, not {wanted:.4f}"


def check_facts(function):
    cases = {
        "a red circle moves left": {"color": "red", "shape": "circle", "motion": "left"},
        "The triangle is GREEN and rises": {"color": "green", "shape": "triangle", "motion": "up"},
        "a square that stays": {"shape": "square", "motion": "still"},
        "white": {"color": "white"},
        "a cyan square sinks": {"color": "cyan", "shape": "square", "motion": "down"},
    }
    for caption, wanted in cases.items():
        found = function(caption)
        assert found == wanted, f"{caption!r} tells {wanted}, not {found}"
    try:
        found = function("a red dog moves left")
    except ValueError:
        return
    raise AssertionError(f"'dog' has no meaning here, but no ValueError is raised: {found}")


def check_interval(function):
    for right, count in ((90, 100), (256, 256), (0, 10), (1, 3)):
        low, high = function(right, count)
        wanted = true_interval(right / count, count)
        wald = 1.96 * math.sqrt(right / count * (1 - right / count) / count)
        simple = abs(low - (right / count - wald)) < 1e-6
        assert right in (0, count) or not simple, (
            "that is the simple interval, which is empty at 0 and 1: take Wilson's"
        )
        assert abs(low - wanted[0]) < 1e-3 and abs(high - wanted[1]) < 1e-3, (
            f"{right} of {count}: {low:.3f} to {high:.3f}, not {wanted[0]:.3f} to {wanted[1]:.3f}"
        )


POINTS = [
    Point("disc", 20, "a disc, anti-aliased", check_disc),
    Point("centroid", 20, "where it is, to a hundredth of a pixel", check_centroid),
    Point("velocity", 10, "how fast it goes", check_velocity),
    Point("direction", 10, "which way it goes", check_direction),
    Point("bounce", 15, "walls, exactly", check_bounce),
    Point("facts", 15, "a caption as facts", check_facts),
    Point("interval", 10, "how sure a rate is", check_interval),
]

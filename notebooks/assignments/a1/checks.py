"""The points of A1. Heights and widths differ, so that an axis in the wrong place shows."""

import math
from itertools import product

import numpy as np

from mini_sora.evaluate import interval as true_interval
from notebooks.assignments.measure import Numbers, Point

SIZES = ((24, 40), (32, 48), (40, 24))
COLORS = ("red", "green", "blue", "yellow", "cyan", "magenta", "orange", "white")
SHAPES = ("circle", "square", "triangle")
MOTIONS = {
    **{f"moves {way}": way for way in ("left", "right", "up", "down")},
    **{"rises": "up", "sinks": "down", "stays": "still", "stays still": "still", "is still": "still"},
}


def truth(x, y, radius, size, samples=16):
    height, width = size
    rows = (np.arange(height * samples) + 0.5) / samples / min(size)
    columns = (np.arange(width * samples) + 0.5) / samples / min(size)
    inside = (columns - x) ** 2 + (rows[:, None] - y) ** 2 <= radius**2
    return inside.reshape(height, samples, width, samples).mean((1, 3))


def places(seed):
    """(x, y, radius, size) of discs that are seen whole, also with x and y exchanged."""
    numbers = Numbers(seed)
    for size in SIZES:
        x, y = numbers.number(0.25, 0.45), numbers.number(0.55, 0.75)
        x, y = (x, y) if size[0] < size[1] else (y, x)
        yield x, y, numbers.number(0.15, 0.22), size


def check_disc(function, seed):
    for x, y, radius, size in places(seed):
        found, wanted = np.asarray(function(x, y, radius, size), float), truth(x, y, radius, size, 4)
        assert found.shape == size, f"the shape is {found.shape}, not {size}"
        low, high = found.min(), found.max()
        assert low >= 0 and high <= 1, (
            f"coverage is from 0 to 1, not {low:.2f} to {high:.2f}: a mean, not a sum"
        )
        greys = ((found > 0) & (found < 1)).any()
        assert greys, "each pixel is covered fully or not at all: the edge has no greys"
        turned = abs(found - truth(y, x, radius, size)).max() < 0.3
        assert not turned, "x and y are exchanged: x is along the columns"
        longer = abs(found - truth(*(n * max(size) / min(size) for n in (x, y, radius)), size)).max()
        assert longer > 0.3, "lengths are in the shorter side, and you take the longer"
        area, right = found.sum() / min(size) ** 2, wanted.sum() / min(size) ** 2
        wide = f"the area is {area:.4f}, not {right:.4f}: is it the square of the radius, and the mean of the samples?"
        assert abs(area - right) < 0.03 * right, wide
        off = abs(found - wanted).max()
        assert off < 0.07, (
            f"a pixel is off by {off:.2f}: sample i of n lies at (i + 0.5) / n, in a pixel and in all"
        )
        coarse = np.asarray(function(x, y, radius, size, 2), float)
        off = abs(coarse - truth(x, y, radius, size, 2)).max()
        assert off < 0.01, "with samples=2 a pixel is the mean of 2 x 2 places, and yours is not"


def check_centroid(function, seed):
    for x, y, radius, size in places(seed):
        coverage = truth(x, y, radius, size, 32)
        found = tuple(float(number) for number in function(coverage))
        assert len(found) == 2, f"a place is (x, y), not {len(found)} numbers"
        assert math.dist(found, (y, x)) > 0.01, "x and y are exchanged"
        half = [n - 0.5 / min(size) for n in (x, y)]
        shifted = min(abs(found[0] - half[0]), abs(found[1] - half[1])) < 1e-3
        assert not shifted, "off by half a pixel: centres are at (i + 0.5) / n"
        longer = [n * min(size) / max(size) for n in (x, y)]
        scaled = min(abs(found[0] - longer[0]), abs(found[1] - longer[1])) < 1e-3
        assert not scaled, "places are in the shorter side, and you take the longer"
        twice = tuple(function(coverage * 0.5))
        assert math.dist(twice, found) < 2e-3, (
            "with half the coverage everywhere it must be at the same place: weigh by the coverage as it is, without a "
            "threshold, and divide by its sum"
        )
        off = math.dist(found, (x, y))
        why = f"({found[0]:.4f}, {found[1]:.4f}) is {off:.4f} from the truth, ({x:.4f}, {y:.4f}): weigh by coverage"
        assert off < 3e-4, why


def check_velocity(function, seed):
    numbers, time = Numbers(seed), np.arange(17)[:, None] / 8
    wanted = np.array([numbers.number(0.2, 0.4), -numbers.number(0.05, 0.15)])
    path = np.array([[numbers.number(0.1, 0.3), numbers.number(0.6, 0.8)]]) + time * wanted
    found = np.asarray(function(path), float)
    assert found.shape == (2,), f"the shape is {found.shape}, not (2,)"
    assert not np.allclose(found, -wanted), "it goes backwards: from the first place to the last"
    for speed in (wanted / 8, wanted / 64):
        assert not np.allclose(found, speed), "that is not per second: there are 8 frames a second"
    assert not np.allclose(found, wanted * 16 / 17), "17 frames are 16 steps"
    assert np.allclose(found, wanted), (
        f"{found.round(4)} is not {wanted.round(4)}, how far it goes by the time it takes"
    )
    bent = path[:9].copy()
    bent[1:4] += 0.05
    assert np.allclose(function(bent), wanted), (
        "from the first place to the last, whatever is between, and however many places there are"
    )


def check_direction(function, seed):
    numbers, line = Numbers(seed), np.linspace(0, 1, 9)[:, None]
    slow = np.cumsum([[0, 0]] + [[0.02, 0.001]] * 8, axis=0)
    assert function(slow) != "still", "small steps add up: it is the whole way that counts"
    for way, step in (
        ("right", (1, 0.1)),
        ("left", (-1, 0.2)),
        ("down", (0.1, 1)),
        ("up", (0, -1)),
        ("still", (0.1, 0)),
    ):
        start, far = np.array([numbers.number(0.4, 0.6), numbers.number(0.4, 0.6)]), numbers.number(0.3, 0.4)
        found = function(start + far * line * np.array(step))
        assert found == way, (
            f"a path that goes {way} is said to go {found}: the way that is longer counts, whatever its sign; x is to the "
            "right, y is downwards"
        )
    assert function(np.array([[0, 0], [0.08, 0.08]])) != "still", "it has gone 0.113 in all, more than 0.1"
    assert function(np.array([[0, 0], [0.06, 0.06]])) == "still", "it has gone 0.085 in all, less than 0.1"
    assert function(np.array([[0, 0], [0.15, 0]]), 0.2) == "still", "with least=0.2 a way of 0.15 is still"


def check_bounce(function, seed):
    numbers = Numbers(seed)
    cases = [
        (0.3, 0.5, 0.0, 0.2, 0.9),
        (0.3, 0.5, 0.4, 0.2, 0.9),
        (0.6, -0.5, 0.4, 0.2, 0.9),
        (0.3, 0.5, 1.5, 0.2, 0.9),
        (0.3, -0.7, 2.0, 0.2, 0.9),
        (0.5, 0.31, 100.0, 0.2, 0.9),
        (0.9, -0.2, 0.0, 0.2, 0.9),
    ]
    for _ in range(8):
        low, high = numbers.number(-0.3, 0.3), numbers.number(0.6, 1.2)
        cases.append((numbers.number(low, high), numbers.number(-0.9, 0.9), numbers.number(0, 9), low, high))
    for place, speed, time, low, high in cases:
        phase = (place - low + speed * time) / (high - low)  # how many spans it has gone, from the low wall
        lap = math.floor(phase)
        inside = phase - lap
        wanted = low + (high - low) * (inside if lap % 2 == 0 else 1 - inside)
        found = function(place, speed, time, low, high)
        case = f"from {place:.3g} with speed {speed:.3g}, after {time:.3g} seconds,"
        assert low - 1e-9 <= found <= high + 1e-9, (
            f"{case} it is at {found:.3f}, beyond the walls {low:.3g} and {high:.3g}"
        )
        why = "to and fro is twice the span, and one half is backwards"
        if lap == 0:
            why = "no wall is met yet: count from the low wall, and mind the sign of the speed"
        assert abs(found - wanted) < 1e-6, f"{case} it is at {found:.4f}, not {wanted:.4f}: {why}"


def check_facts(function, seed):
    cases = {"the left circle is that": {"shape": "circle", "motion": "left"}, "moves": {}}
    for color, shape, (words, motion) in product(COLORS, SHAPES, MOTIONS.items()):
        facts = {"color": color, "shape": shape, "motion": motion}
        cases[f"a {color} {shape} {words}"] = facts
        cases[f"The {shape} is {color.upper()} and {words}"] = facts
        cases[f"a {shape} that {words}"] = {"shape": shape, "motion": motion}
        cases[color] = {"color": color}
    for caption, wanted in cases.items():
        try:
            found = function(caption)
        except ValueError as error:
            raise AssertionError(f"{caption!r} is refused: {error}") from None
        assert found == wanted, f"{caption!r} tells {wanted}, not {found}"
    color, shape = (names[Numbers(seed).whole(0, len(names) - 1)] for names in (COLORS, SHAPES))
    for word in ("dog", "purple", "jumps", "reddish"):
        try:
            found = function(f"a {color} {shape} {word}")
        except ValueError:
            continue
        raise AssertionError(f"{word!r} has no meaning here, but no ValueError is raised: {found}")


def check_interval(function, seed):
    numbers, z = Numbers(seed), 1.96
    count = numbers.whole(50, 200)
    for right, of in ((90, 100), (256, 256), (0, 10), (1, 3), (numbers.whole(1, count - 1), count)):
        low, high = function(right, of)
        wanted, rate = true_interval(right / of, of), right / of
        simple = abs(low - (rate - z * math.sqrt(rate * (1 - rate) / of))) < 1e-6
        assert not simple or right in (0, of), (
            "that is the simple interval, which is empty at 0 and 1: take Wilson's"
        )
        case = f"{right} of {of}: {low:.3f} to {high:.3f}, not {wanted[0]:.3f} to {wanted[1]:.3f}"
        assert abs(low + high - sum(wanted)) < 1e-3, (
            f"{case}: the middle is (rate + z^2 / 2n) / (1 + z^2 / n), with z = 1.96"
        )
        assert abs(low - wanted[0]) < 1e-3, (
            f"{case}: the middle is right, and half the width is "
            "z sqrt(rate (1 - rate) / n + z^2 / 4n^2) / (1 + z^2 / n), with z = 1.96"
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

"""What changes a thing for good: when it happens, in closed form from the motion, and what it leaves.

Lengths in short sides, times in seconds, y down. A point is a complex number, x + iy, so that to turn it
is to multiply. A polygon is a list of its corners, clockwise for the viewer; all are convex.
"""

from dataclasses import dataclass
from math import atan2, cos, sin, sqrt

import numpy as np

GRAVITY = 2.0  # of whatever falls in this family, short sides per second squared: a constant of the world
SIDES = {"left": -1, "top": -1j, "right": 1, "bottom": 1j}  # clockwise, each with its outward normal
PIECES = (4, 8)  # how many fragments a pane breaks into: from, to
CORNERS = 8  # that every fragment is given; those too many lie on its edges
GAP = 0.02  # at least so much between fragments at rest
TRAIL = 0.75  # half of a trail's width, in radii of its brush
RIM = 2 / sqrt(3)  # outer radius of a ring, in radii: a lamp that is off is a ring, one that is on a disc


def reaches(thing, radius, visitor):
    """How far from a thing's centre its visitor's is when they meet, and how far out, to either side, the
    visitor's way bends between two sides. radius: the thing's; visitor: the visitor's; short sides."""
    whole = radius if thing == "cake" else RIM * radius
    contact = whole if thing == "cake" else whole + visitor  # it bites to its own middle, and just touches
    return contact, max(0.8 * contact, (whole + visitor + 0.01) * sqrt(0.5))


def way_round(center, contact, corner, sides, start, extent):
    """A way that visits a thing from its sides: its vertices, and where each lies as a share of the way.

    center, start: complex; contact, corner: see reaches; sides: each the neighbour of the one before.
    The visitor leaves as a ball bounces off: at the angle at which it came, to the other hand. extent:
    the length of the way.
    """
    points = [start]
    for last, side in zip((None, *sides), sides, strict=False):
        if last:
            points.append(center + corner * (SIDES[last] + SIDES[side]))
        points.append(center + contact * SIDES[side])
    came = (start - points[1]) / abs(start - points[1]) / SIDES[sides[0]]
    shares = [0.0]
    for i, point in enumerate(points[1:]):
        shares.append(shares[-1] + abs(point - points[i]) / extent)
    points.append(points[-1] + (1 - shares[-1]) * extent * SIDES[sides[-1]] * came.conjugate())
    return points, [*shares, 1.0]


def along(points, shares, tau):
    """The place (T, 2) on a way, gone at one speed, at the shares tau (T,) of it."""
    place = np.interp(tau, shares, points)
    return np.stack([place.real, place.imag], -1)


def fall_time(drop):
    """How long a fall from rest takes."""
    return sqrt(2 * drop / GRAVITY)


def fall(time):
    """How far a fall from rest has come after a time."""
    return GRAVITY / 2 * time**2


def area(polygon):
    """The shoelace formula; positive for a clockwise polygon."""
    return sum((a.conjugate() * b).imag for a, b in _edges(polygon)) / 2


def centroid(polygon):
    """The centre of area."""
    return sum((a + b) * (a.conjugate() * b).imag for a, b in _edges(polygon)) / (6 * area(polygon))


def _edges(polygon):
    return zip(polygon, polygon[1:] + polygon[:1], strict=True)


def cut(polygon, point, normal):
    """The two parts of a polygon on either side of the line through point, across normal."""
    parts = [], []
    for here, there in _edges(polygon):
        height, other = (((p - point) * normal.conjugate()).real for p in (here, there))
        if height >= 0:
            parts[0].append(here)
        if height <= 0:
            parts[1].append(here)
        if height * other < 0:
            crossing = here + height / (height - other) * (there - here)
            parts[0].append(crossing)
            parts[1].append(crossing)
    return parts


def shatter(polygon, count, rng):
    """So many convex fragments, of the polygon's area together: the largest is cut through its middle,
    about across its longest way, until there are enough."""
    parts = [polygon]
    while len(parts) < count:
        largest = parts.pop(max(range(len(parts)), key=lambda i: area(parts[i])))
        middle = centroid(largest)
        turn = rng.random() - 0.5
        normal = max((corner - middle for corner in largest), key=abs) * complex(cos(turn), sin(turn))
        parts += cut(largest, middle, normal)
    return parts


def filled(polygon):
    """The same polygon with CORNERS corners: each one more halves the longest edge."""
    polygon = list(polygon)
    while len(polygon) < CORNERS:
        i, (here, there) = max(enumerate(_edges(polygon)), key=lambda item: abs(item[1][1] - item[1][0]))
        polygon.insert(i + 1, (here + there) / 2)
    return polygon


@dataclass(frozen=True)
class Fragment:
    """A piece of glass: where it is when the pane breaks, and where and how turned it comes to rest."""

    corners: list  # CORNERS, from its centre of area
    start: complex
    rest: complex
    turn: float  # radians clockwise, from start to rest
    time: float  # from start to rest, seconds
    upward: float  # its speed at the start


def flights(fragments, time, floor):
    """Places (n, T, 2) and angles (n, T) of fragments at times (T,) after the break: parabolas, tumbling,
    never below the floor."""
    fields = ("start", "rest", "turn", "time", "upward")
    start, rest, turn, last, upward = (np.array([[getattr(f, name)] for f in fragments]) for name in fields)
    share = np.clip(time / last, 0, 1)
    angle = turn * share
    corners = np.array([f.corners for f in fragments])[:, :, None]
    lowest = (corners * np.exp(1j * angle)[:, None]).imag.max(1)
    y = np.minimum(start.imag - upward * time + fall(time), floor - lowest)
    x = start.real + share * (rest - start).real
    return np.stack([x, np.where(share < 1, y, rest.imag)], -1), angle


def _lie(polygon):
    """How to turn a polygon about its centre so that it stands safely on an edge and is narrow: the
    angle, its height (centre to floor), and how far it then reaches to the left and to the right."""
    best = None
    for here, there in _edges(polygon):
        turn = -((there - here) / abs(there - here)).conjugate()  # the lowest edge of all goes left
        across = [(p * turn).real for p in polygon]
        left, right = -min(across), max(across)
        safe = (there * turn).real < 0 < (here * turn).real
        if safe and (best is None or left + right < best[2] + best[3]):
            best = atan2(turn.imag, turn.real), (here * turn).imag, left, right
    return best


def break_up(x, side, floor, width, rng):
    """The Fragments of a square pane of a side that hits the floor at x; width: the window's.

    As many as draw and room allow, at rest side by side in one row.
    """
    pane = [side / 2 * corner for corner in (-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j)]
    count, room = PIECES[0] + int(rng.random() * (1 + PIECES[1] - PIECES[0])), width - 2 * GAP
    while True:
        parts = sorted(((centroid(p), p) for p in shatter(pane, count, rng)), key=lambda part: part[0].real)
        parts = [(center, [corner - center for corner in p]) for center, p in parts]
        lies = [_lie(p) for _, p in parts]
        spare = room - sum(left + right for _, _, left, right in lies)
        gap = min(spare / (count - 1), 3 * GAP)
        if gap >= GAP and all(len(p) <= CORNERS for _, p in parts):
            break
        count = max(count - 1, PIECES[0])
    total = room - spare + gap * (count - 1)
    edge = min(max(x - total / 2, GAP), width - GAP - total)
    fragments = []
    for (center, p), (turn, low, left, right) in zip(parts, lies, strict=True):
        start, upward = center + complex(x, floor - side / 2), 0.3 + 0.25 * rng.random()
        drop = floor - low - start.imag
        time = (upward + sqrt(max(upward**2 + 2 * GRAVITY * drop, 0))) / GRAVITY
        rest = complex(edge + left, floor - low)
        fragments.append(Fragment(filled(p), start, rest, turn, time, upward))
        edge += left + right + gap
    return fragments

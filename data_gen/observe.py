"""The inverse of render, from pixels alone: the ground, and a track for every colour on it.

Positions are centroids weighted by coverage, so that anti-aliased edges count by their share (a
hard threshold costs a factor of ten); sizes come from the covered area; shapes are told apart by
drawing each candidate at the place and size found, and comparing.
"""

from dataclasses import dataclass
from math import pi

import numpy as np

from .render import checker, cover, coverage
from .scene import GREY, PALETTE, SHAPES, WorldError

INKS = {**PALETTE, "grey": GREY}  # walls are grey
BEFORE_WALL = 60  # levels by which what hides a wall differs from it
SHIFT = 7  # levels by which a part of the ground may differ in a frame
STRANGE = 26  # levels: further from the ground than this, and of no known colour, is something else
SALIENT = 0.5  # a pixel has a body's colour when the body covers this share of it
OFF = 0.35  # largest distance from the mix of ground and ink, as a share of the ink's in the mix
PALE = 0.6  # less of white than this is taken for the grey of a wall
STANDING = 0.7  # the share of the frames that show a wall where it is, noise or not
SPECK = 0.2  # less than this share of the smallest body's area is dirt
SMALLEST = 0.085  # a body's radius, short sides
DIM = 100  # levels: no body is as dark as the ground
PERIODS = {"square": pi / 2, "triangle": 2 * pi / 3, "star": 2 * pi / 5, "cross": pi / 2}  # of turning


@dataclass(frozen=True)
class Track:
    """One colour through time; lengths in short sides, NaN where it is not seen."""

    position: np.ndarray  # (T, 2), x then y: the centroid of what is seen
    radius: np.ndarray  # (T,), of the circle of the area seen
    seen: np.ndarray  # (T,) bool: more than a speck
    clear: np.ndarray  # (T,) bool: seen, apart from every other colour and from the edge
    alpha: np.ndarray  # (T, H, W), the share of each pixel that it covers
    veil: np.ndarray  # (T, H, W) bool: another colour is there


@dataclass(frozen=True)
class Observation:
    """What is seen in a video, uint8 (T, H, W, 3)."""

    background: str | None  # of BACKGROUNDS, or None for no such ground
    tracks: dict[str, Track]  # by colour
    labels: np.ndarray  # (T, H, W): the number in INKS, from 1, of the colour of each pixel, 0 for ground
    ground: np.ndarray  # (H, W, 3) levels
    stray: np.ndarray  # (T,) bool: something that is neither a colour of the world nor this ground

    def strange(self):
        """What is wrong whatever the family, in words: a list of one sentence, or none."""
        if not self.stray.any():
            return []
        return [f"there is something else, or another ground, in frame {int(self.stray.argmax())}"]

    def dull_white(self):
        """Whether all that is grey is but an edge of something white."""
        grey, white = (list(INKS).index(name) + 1 for name in ("grey", "white"))
        near = dilate(self.labels == white, 2).any(0)
        return "grey" in self.tracks and not ((self.labels == grey) & ~near).any()


def check_video(video):
    """Raise WorldError unless this is a video, uint8 (T, H, W, 3)."""
    if not isinstance(video, np.ndarray) or video.dtype != np.uint8:
        raise WorldError(f"a video is a uint8 array, not {getattr(video, 'dtype', type(video).__name__)}")
    if video.ndim != 4 or video.shape[3] != 3 or 0 in video.shape:
        raise WorldError(f"a video has the shape (T, H, W, 3), not {video.shape}")


def fit_ground(pixels):
    """The ground under a video (T, H, W, 3): its kind, its colours (H, W, 3), and whether each frame, (T,),
    has another, by least squares.

    Every ground is a constant, a slope downwards and a checker; the sizes of the three tell the kind.
    """
    height, width = pixels.shape[1:3]
    down = np.repeat((np.arange(height) + 0.5)[:, None] / height, width, 1)
    basis = np.stack([np.ones_like(down), down, checker((height, width))], -1).reshape(-1, 3)
    dark = ~dilate(pixels.max(-1) >= DIM).reshape(len(pixels), -1)  # nor the edge of what is not dark
    values, weights = pixels.reshape(len(pixels), -1, 3), dark
    for _ in range(3):
        count = weights.sum(0)
        total = (values * weights[..., None]).sum(0)
        normal = (basis * count[:, None]).T @ basis + 1e-3 * np.eye(3)
        weight = np.linalg.solve(normal, basis.T @ total)
        flat = (basis @ weight).astype(np.float32)
        weights = dark & (np.abs(values - flat).max(-1) < 25)
    slope, check = weight[1:].mean(1)
    kinds = {(False, False): "plain", (True, False): "gradient", (False, True): "checker"}
    left = (values - flat) * dark[..., None]
    other = np.zeros(len(pixels), bool)
    for t in range(len(pixels)):
        normal = (basis * dark[t, :, None]).T @ basis + 1e-3 * np.eye(3)
        other[t] = np.abs(np.linalg.solve(normal, basis.T @ left[t]).mean(1)).max() > SHIFT
    return kinds.get((abs(slope) > 12, abs(check) > 12)), flat.reshape(height, width, 3), other


def dilate(mask, by=1):
    """Grow a mask (..., H, W) by so many pixels, diagonals included."""
    for _ in range(by):
        wide = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(1, 1), (0, 0)])
        mask = wide[..., :-2, :] | wide[..., 1:-1, :] | wide[..., 2:, :]
        wide = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(1, 1)])
        mask = wide[..., :-2] | wide[..., 1:-1] | wide[..., 2:]
    return mask


def patches(mask):
    """The connected parts of a mask (H, W), diagonals included: a mask each."""
    left = mask.copy()
    while left.any():
        patch = np.zeros_like(left)
        patch[np.unravel_index(left.argmax(), left.shape)] = True
        while (grown := dilate(patch) & left).sum() > patch.sum():
            patch = grown
        left &= ~patch
        yield patch


def _label(pixels, flat):
    """The colour of each pixel: the ink whose mix with the ground is nearest, where it is most of it."""
    difference = pixels - flat
    power = (difference**2).sum(-1)
    white, grey = (list(INKS).index(name) + 1 for name in ("white", "grey"))
    best, labels = np.full(power.shape, np.inf, np.float32), np.zeros(power.shape, np.int8)
    for number, ink in enumerate(INKS.values(), 1):
        shade = np.array(ink, np.float32) - flat
        size = (shade**2).sum(-1)
        share = np.einsum("thwc,hwc->thw", difference, shade) / size
        clipped = np.minimum(share, 1.1)
        off = power - clipped * (2 * share - clipped) * size
        if number == white:
            off = np.where(share > PALE, off, np.inf)  # half white is grey
        sure = (share > SALIENT) & (off < OFF**2 * clipped**2 * size)
        labels = np.where(off < best, np.where(sure, number, 0).astype(np.int8), labels)
        best = np.minimum(best, off)
    stands = (labels == grey).mean(0) > STANDING  # walls stand; the dull edges of what moves do not
    labels[labels == grey] = 0
    labels[:, stands] = grey
    labels[(labels == grey) & dilate(labels == white)] = 0  # the edge of white is as grey as a wall
    wall = dilate(labels == grey)
    for number in range(1, grey) if wall.any() else ():  # and a mere sliver beside a wall can have any colour
        mine = labels == number
        labels[mine & wall & ~dilate(mine & ~wall)] = 0
    return labels


def observe(video):
    """See what is in a video, uint8 (T, H, W, 3): an Observation. Raises WorldError."""
    check_video(video)
    frames, size = len(video), video.shape[1:3]
    scale = min(size)
    pixels = video.astype(np.float32)
    kind, flat, other_ground = fit_ground(pixels)
    labels = _label(pixels, flat)
    speck = SPECK * pi * (SMALLEST * scale) ** 2
    number_of = {number: name for number, name in enumerate(INKS, 1)}
    near = {n: dilate(labels == n) for n in number_of if (labels == n).sum((1, 2)).max() >= speck}
    # Where two bodies meet, their mix can look like a third: a label between two others is none.
    crowd = sum(area.astype(np.int8) for area in near.values()) if near else 0
    wide = dict(near)
    for n, area in wide.items():
        mixed = (labels == n) & (crowd - area >= 2)
        if mixed.any():
            labels[mixed] = 0
            if (labels == n).sum((1, 2)).max() < speck:
                del near[n]
            else:
                near[n] = dilate(labels == n)
    far = (np.abs(pixels - flat).max(-1) > STRANGE) & ~dilate(labels > 0)
    wall = labels == list(INKS).index("grey") + 1
    far |= wall & (np.abs(pixels - np.array(GREY, np.float32)).max(-1) > BEFORE_WALL)
    wider = np.pad(far.astype(np.int8), ((0, 0), (1, 1), (1, 1)))
    around = sum(wider[:, i : i + size[0], j : j + size[1]] for i in range(3) for j in range(3))
    stray = other_ground | ((around >= 7).sum((1, 2)) > speck)
    rows, columns = (np.arange(n) + 0.5 for n in size)
    tracks = {}
    for n, area in near.items():
        shade = np.array(INKS[number_of[n]], np.float32) - flat
        alpha = np.einsum("thwc,hwc->thw", pixels - flat, shade) / (shade**2).sum(-1)
        alpha = np.clip(alpha, 0, 1) * area
        for other in near:
            if other != n:
                alpha[labels == other] = 0
        mass = alpha.sum((1, 2))
        seen = (labels == n).sum((1, 2)) >= speck
        mine = labels == n
        cut = mine[:, [0, -1]].any((1, 2)) | mine[:, :, [0, -1]].any((1, 2))
        touched = np.zeros(frames, bool)
        for other in near:
            if other != n:
                touched |= (wide[other] & wide[n]).any((1, 2))
        weight = np.where(seen & (mass > 0), mass, np.nan)
        place = np.stack([alpha.sum(1) @ columns / weight, alpha.sum(2) @ rows / weight], -1)
        tracks[number_of[n]] = Track(
            place / scale,
            np.sqrt(weight / pi) / scale,
            seen,
            seen & ~touched & ~cut,
            alpha,
            (labels > 0) & ~mine,
        )
    return Observation(kind, tracks, labels, flat, stray)


def crops(track, when, half, place):
    """A track in the frames `when` around places (M, 2), short sides: its alpha, (M, P, P); what can be told
    of it there, (M, P, P) bool, inside the frame and, unless it is clear, where no other colour is near; and
    the pixels' x and y from the place, (M, P) each."""
    height, width = track.alpha.shape[1:]
    center = place * min(height, width)
    reach = np.arange(-half, half + 1)
    cell = np.floor(center).astype(int)
    x, y = cell[:, :1] + reach, cell[:, 1:] + reach
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    near = dilate(track.veil[when]) & ~track.clear[when][:, None, None]
    here = when[:, None, None], y.clip(0, height - 1)[:, :, None], x.clip(0, width - 1)[:, None, :]
    return (
        track.alpha[here] * inside,
        inside & ~near[(np.arange(len(when))[:, None, None], *here[1:])],
        (x + 0.5 - center[:, :1]).astype(np.float32),
        (y + 0.5 - center[:, 1:]).astype(np.float32),
    )


def misfits(track, when, shapes=SHAPES, angles=(None,), place=None, radius=None):
    """How badly each shape fits: (shapes, angles, M), 0 is perfect.

    when: M frames; angles: radians, or None for upright; place (M, 2) and radius (M,): where it is drawn,
    as seen if not given. The misfit is the area that differs, where that can be told, as a share of the
    body's; a second body of the same colour is all misfit.
    """
    scale = min(track.alpha.shape[1:])
    place = track.position[when] if place is None else place
    radius = ((track.radius[when] if radius is None else radius) * scale).astype(np.float32)
    part, free, x, y = crops(track, when, int(1.7 * radius.max()) + 2, place)
    outside = track.alpha[when].sum((1, 2)) - part.sum((1, 2))
    area = pi * radius**2
    errors = np.empty((len(shapes), len(angles), len(when)))
    for i, shape in enumerate(shapes):
        for j, angle in enumerate(angles):
            turn = None if angle is None else np.full(len(when), angle, np.float32)
            errors[i, j] = (
                (np.abs(part - cover(shape, x, y, radius, turn)) * free).sum((1, 2)) + outside
            ) / area
    return errors


def settle(track, when, shape, radius):
    """Where a body of known shape is in the frames `when`, (M, 2), though part of it be hidden.

    radius: (M,), short sides. The drawn shape is moved until its visible part has the centroid that
    is seen. Also returns how much of the drawn shape is visible, and how much of it is seen, as
    shares of the whole: (M,) each.
    """
    size = track.alpha.shape[1:]
    scale, radius = min(size), np.asarray(radius, np.float32)
    free = ~track.veil[when]
    rows, columns = (np.arange(n) + 0.5 for n in size)

    def centroid(alpha):
        mass = np.maximum(alpha.sum((1, 2)), 1e-6)
        return np.stack([alpha.sum(1) @ columns, alpha.sum(2) @ rows], -1) / mass[:, None], mass

    seen, mass = centroid(track.alpha[when] * free)
    center = seen.copy()
    for _ in range(12):
        drawn, open_mass = centroid(coverage(shape, center, radius * scale, size) * free)
        center += seen - drawn
    whole = pi * (radius * scale) ** 2
    return center / scale, open_mass / whole, mass / whole

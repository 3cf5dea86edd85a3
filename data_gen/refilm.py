"""The inverse of solids, from pixels alone: how the camera moved and what stands where.

The ground, which is known, tells the camera's course. Then each colour is one solid: its place and size
come from the track of its pixels, and are refined by drawing it and comparing (Gauss-Newton on pixels,
with slopes by finite differences); its shape is the one of the four that then fits best. At last the
whole clip is drawn again, and whatever it does not explain is a trouble.
"""

from dataclasses import dataclass
from math import pi

import numpy as np

from . import solids
from .observe import check_video
from .scene import PALETTE, Body
from .solids import LOOKS, SOLIDS, course, disc

FINE = 32  # short side, px: pixels of larger videos are averaged to no less than this
SPECK = 0.6  # fewer pixels than a disc of this share of the smallest radius are dirt
SMALLEST = 0.105  # a solid's radius, short sides
NEAR = 0.02  # a track that is further off, short sides, is of a solid in part hidden
STEPS = (0.02, 0.06, 0.015)  # of x, y and radius, for slopes: about half a pixel
BOUNDS = ((-1.5, -1.5, 0.04), (1.5, 0.6, 0.3))  # of x, y and radius
CLIP = 90  # levels: more is no misfit of an edge but something that is not there
OFF = 42  # levels that a mean of 3 x 3 pixels may be off
STRAY = 0.035  # short sides that a solid may be away from its place, as a mean over three frames
SURE = 1.5  # a shape is sure if the next fits worse by this factor
GROWTH = 0.15  # largest step in a solid's size against the scene's: of the mean logarithm, before and after
BETTER = 0.95  # another shape that leaves less than this share of the misfit in a half is what is there
CHANGED = 0.6  # another shape that leaves less than this share of the misfit is what is there


@dataclass(frozen=True)
class Found:
    """What a video shows. Lengths in units of the ground; rate as in solids.course, 0 for one frame."""

    colors: tuple[str, ...]
    shapes: tuple[str, ...]
    solids: np.ndarray  # (K, 3): x, y, radius
    kind: str
    rate: float
    troubles: tuple[str, ...]


def _shrink(video):
    """Average whole pixels until the short side is FINE, or up to twice that: float32 (T, H, W, 3)."""
    check_video(video)
    frames, height, width, _ = video.shape
    by = max(1, min(height, width) // FINE)
    while height % by or width % by:
        by -= 1
    if by == 1:
        return video.astype(np.float32)
    return video.reshape(frames, height // by, by, width // by, by, 3).mean((2, 4), dtype=np.float32)


def _some(frames, most):
    """At most so many of the frames, evenly, the first and the last among them."""
    return np.unique(np.linspace(0, frames - 1, min(frames, most)).astype(int))


def box(values):
    """The sum over each pixel's 3 x 3, edges repeated: (T, H, W, ...) to the same."""
    tall = np.concatenate([values[:, :1], values, values[:, -1:]], 1)
    values = tall[:, :-2] + tall[:, 1:-1] + tall[:, 2:]
    wide = np.concatenate([values[:, :, :1], values, values[:, :, -1:]], 2)
    return wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]


def _soft(pixels):
    """Means over 3 x 3: a solid that is a pixel off still pulls, and noise weighs less."""
    return box(pixels) * np.float32(1 / 9)


def label(pixels):
    """Each pixel's colour, whatever its shade: 0 for ground and sky, then 1 for the first of PALETTE, ..."""
    inks = np.float32([solids.LIGHT, *PALETTE.values()])
    power, dot = (inks**2).sum(-1), pixels @ inks.T
    shade = np.clip(dot / power, np.float32([0.0] + [0.9 * solids.AMBIENT] * len(PALETTE)), 1.1)
    return (shade * (shade * power - 2 * dot)).argmin(-1).astype(np.int8)


def _tracks(labels):
    """{colour: (T, 3)}, the middle (x, y) and the radius, as of a disc, of each colour's pixels, in short
    sides; NaN where it is not seen. Thin lines, where two colours mix, are nothing."""
    size, found = labels.shape[1:], {}
    short, (row, column) = min(size), np.indices(size, np.float32) + 0.5
    speck = pi * (SPECK * SMALLEST * short) ** 2
    for number, color in enumerate(PALETTE, 1):
        mask = labels == number
        if mask.sum() < speck:
            continue
        around = box(mask.astype(np.int8))
        if (mask & (around > 4)).sum((1, 2)).mean() < speck / 4:
            continue
        mask &= around > 3
        count = mask.sum((1, 2))
        area = np.where(count > speck / 2, count, np.nan)
        middle = [(mask * place).sum((1, 2)) / area / short for place in (column, row)]
        found[color] = np.stack([*middle, np.sqrt(area / pi) / short], -1)
    return found


def _find_course(pixels, labels, tau, reach):
    """The (kind, rate) under which the bare ground fits best; reach: {kind: the highest rate to try}."""
    size, when = labels.shape[1:], np.unique([len(tau) // 2, len(tau) - 1])
    bare = (box((labels[when] > 0).astype(np.int8)) == 0)[..., None]

    def trial(kind, rates):
        view = course(kind, np.repeat(rates, len(when)), np.tile(tau[when], len(rates)))
        ground = solids.backdrop((), view, size).reshape(len(rates), *pixels[when].shape)
        miss = (np.abs(ground - pixels[when]) * bare).sum((1, 2, 3, 4))
        return miss.min(), kind, rates[miss.argmin()]

    _, kind, rate = min(trial(kind, top * np.linspace(-1, 1, 18)) for kind, top in reach.items())
    return trial(kind, rate + reach[kind] * np.linspace(-0.06, 0.06, 9))[1:]


def _settle(tracks, view, size, shape):
    """Solids (K, 3) whose silhouettes, as discs, are nearest to tracks (K, T, 3), by robust least squares."""
    mid, girth = LOOKS[shape]
    solid = np.tile([0.0, 0.0, 0.12], (len(tracks), 1))
    seen = ~np.isnan(tracks[..., :1])
    target = np.where(seen, tracks, 0)

    def predict(solid):
        middle = np.stack([solid[:, 0], solid[:, 1], mid * solid[:, 2]], -1)[:, None]
        place, depth = solids.project(middle, view, size)
        return np.concatenate([place, (view.focal * girth * solid[:, 2:] / depth)[..., None]], -1)

    for step in range(7):
        now = predict(solid)
        off = target - now
        weight = seen / (1 + (off**2).sum(-1, keepdims=True) / (NEAR if step > 2 else 10 * NEAR) ** 2)
        slopes = np.stack([(predict(solid + 1e-4 * unit) - now) * 1e4 for unit in np.eye(3)], -1)
        normal = np.einsum("kto,ktoi,ktoj->kij", weight + 0 * off, slopes, slopes) + 1e-4 * np.eye(3)
        pull = np.einsum("kto,ktoi->ki", weight * off, slopes)
        solid = solid + np.clip(np.linalg.solve(normal, pull[..., None])[..., 0], -0.2, 0.2)
        solid = np.clip(solid, *BOUNDS)
    return solid


def _newton(slopes, off):
    """The change of parameters that removes most of what is off; slopes (P, n), off (n,)."""
    normal = slopes @ slopes.T
    normal += np.diag(np.diag(normal) * 1e-3 + 1)
    return np.clip(np.linalg.solve(normal, slopes @ np.clip(off, -CLIP, CLIP)), -0.1, 0.1)


def _bodies(colors, shapes, solid):
    return [Body(s, c, r, x, y) for s, c, (x, y, r) in zip(shapes, colors, solid, strict=True)]


def _fit_alone(body, view, target, ground, free, steps):
    """Fit one solid where no other is seen: (solid, what is off per frame (T,)).

    target, ground: softened video and what is behind, (T, H, W, 3); free: (T, H, W, 1), 0 where another is.
    """
    ink, size = np.float32(PALETTE[body.color]), target.shape[1:3]

    def draw(x, y, radius):
        ((box, _, seen, light),) = solids.layers([Body(body.shape, "", radius, x, y)], view, size)
        picture = ground.copy()
        flat = picture.reshape(-1, 3)
        flat[box] = flat[box] * (1 - seen[:, None]) + light[:, None] * ink
        return _soft(picture) * free

    solid = np.array([body.x, body.y, body.radius])
    for _ in range(steps):
        base = draw(*solid)
        slopes = np.stack([((draw(*(solid + unit)) - base) / unit.sum()).ravel() for unit in np.diag(STEPS)])
        solid = np.clip(solid + _newton(slopes, (target * free - base).ravel()), *BOUNDS)
    return solid, ((draw(*solid) - target * free) ** 2).sum((1, 2, 3))


def _fit_together(colors, shapes, solid, kind, rate, tau, target):
    """One Gauss-Newton step of all solids and, unless there is one frame, of the rate."""
    size = target.shape[1:3]

    def draw(solid, rate):
        return _soft(solids.draw(_bodies(colors, shapes, solid), course(kind, rate, tau), size))

    row, column = (np.indices(size) + 0.5) / min(size)
    discs = [disc(body, course(kind, rate, tau), size) for body in _bodies(colors, shapes, solid)]
    away = np.array(
        [np.hypot(column - c[:, :1, None], row - c[:, 1:, None]) / r[:, None, None] for c, _, r in discs]
    )
    # Each pixel is a matter of the solid that it is nearest to, so one picture gives the slopes of them all.
    mine = ((away == away.min(0)) & (away < 2.2))[..., None]
    base = draw(solid, rate)
    slopes = [(draw(solid + unit, rate) - base) / unit.sum() for unit in np.diag(STEPS)]
    columns = [slope * own for own in mine for slope in slopes]
    if len(tau) > 1:
        columns.append((draw(solid, rate + 0.01) - base) * 100)
    change = _newton(np.stack([column.ravel() for column in columns]), (target - base).ravel())
    solid = np.clip(solid + change[: solid.size].reshape(-1, 3), *BOUNDS)
    return solid, rate + (change[-1] if len(tau) > 1 else 0)


def _find_shape(color, starts, view, target, ground, free):
    """(shape, solid, trouble or None) of one colour; starts: {shape: where to begin}.

    Four frames tell, as a rule; where two shapes fit nearly as well, all frames that are given do.
    """

    def fit(shape, place, when, steps):
        (body,) = _bodies([color], [shape], [place])
        return _fit_alone(body, view[when], target[when], ground[when], free[when], steps)

    few, fits = _some(len(target), 4), {}
    for shape, start in starts.items():
        fits[shape] = fit(shape, start, few, 1)
    best, second = sorted(fits, key=lambda s: fits[s][1].sum())[:2]
    wrong = None
    for when, steps in ((few, 2), (slice(None), 1)):
        for shape in (best, second):
            fits[shape] = fit(shape, fits[shape][0], when, steps)
        best, second = sorted((best, second), key=lambda s: fits[s][1].sum())
        if when is few and len(few) > 2:
            pairs = {shape: off[1:] + off[:-1] for shape, (_, off) in fits.items()}  # frames in a row
            gain = {shape: (CHANGED * pairs[best] - pairs[shape]).max() for shape in pairs}
            other = max(gain, key=gain.get)
            if gain[other] > 0:
                wrong = f"the {color} {best} looks like a {other} for a while"
        if fits[second][1].sum() > SURE * fits[best][1].sum():
            break
    if not wrong and len(target) > 1:
        every = {shape: fit(shape, place, slice(None), 0)[1] for shape, (place, _) in fits.items()}
        for half in np.array_split(np.arange(len(target)), 2):
            other = min(every, key=lambda s: every[s][half].sum())
            if every[other][half].sum() < BETTER * every[best][half].sum():
                wrong = f"the {color} {best} looks like a {other} for half of the time"
    return best, fits[best][0], wrong


def _misfits(pixels, bodies, view):
    """What the scene does not explain, in words."""
    drawn = _soft(solids.draw(bodies, view, pixels.shape[1:3]))
    seen, troubles = _soft(pixels), []
    labels, expected = label(seen), label(drawn)
    for number, color in enumerate(PALETTE, 1):
        here, there = labels == number, expected == number
        name = next((f"{color} {body.shape}" for body in bodies if body.color == color), color)
        for one, other, words in (
            (here, there, f"something {color} appears"),
            (there, here, f"the {name} is not there"),
        ):
            lone = one & (box(one.astype(np.int8)) > 4) & (box(other.astype(np.int8)) == 0)
            count = lone.sum((1, 2))
            if count.max() > 1:
                troubles.append(f"{words} in frame {int(count.argmax())}")
    here, there = _tracks(labels), _tracks(expected)
    for body in bodies:
        if len(pixels) > 2 and body.color in here and body.color in there:
            stray = (here[body.color] - there[body.color])[:, :2]
            stray = np.hypot(*(stray[2:] + stray[1:-1] + stray[:-2]).T / 3)
            when = _largest_step(np.log(here[body.color][:, 2] / there[body.color][:, 2]))
            if when is not None:
                troubles.append(f"the {body.color} {body.shape} changes size in frame {when}")
            if np.nanmax(stray, initial=0) > STRAY:
                troubles.append(
                    f"the {body.color} {body.shape} is out of place in frame {np.nanargmax(stray) + 1}"
                )
    off = np.abs(drawn - seen).max((1, 2, 3))
    if not troubles and off.max() > OFF:
        troubles.append(f"frame {int(off.argmax())} does not show what the others do")
    return troubles


def _largest_step(sizes):
    """The frame from which on logarithms of sizes, (T,), NaN where unseen, are others on average, or None."""
    few, steps = min(4, len(sizes) // 2), {}
    for t in range(few, len(sizes) - few + 1):
        parts = [part[np.isfinite(part)] for part in (sizes[:t], sizes[t:])]
        if all(2 * len(part) > few for part in parts):
            steps[t] = abs(parts[1].mean() - parts[0].mean())
    when = max(steps, key=steps.get, default=None)
    return when if steps and steps[when] > GROWTH else None


def refilm(video, reach):
    """Find the scene of a video, uint8 (T, H, W, 3): Found. reach: {kind: the highest rate to try}.

    Raises WorldError for what is no video. One to four colours are taken for solids; none or more are not.
    """
    pixels = _shrink(video)
    labels = label(pixels)
    tracks = _tracks(labels)
    if not 0 < len(tracks) < 5:
        trouble = "there are colours all over" if tracks else "there is nothing to see"
        return Found(tuple(tracks), (), np.zeros((0, 3)), "", 0.0, (trouble,))
    frames, size, colors = len(pixels), pixels.shape[1:3], tuple(tracks)
    tau, kind, rate = np.arange(frames) / max(frames - 1, 1), "pan", 0.0
    if frames > 1:
        kind, rate = _find_course(pixels, labels, tau, reach)
    spots, many = np.array(list(tracks.values())), _some(frames, 33)
    starts = {shape: _settle(spots, course(kind, rate, tau), size, shape) for shape in SOLIDS}
    view, target, labels = course(kind, rate, tau[many]), _soft(pixels[many]), labels[many]
    ground = solids.backdrop(_bodies(colors, ["cylinder"] * len(colors), starts["cylinder"]), view, size)
    shapes, solid, troubles = [], [], []
    for i, color in enumerate(colors):
        others = (labels > 0) & (labels != 1 + list(PALETTE).index(color))
        free = (box(others.astype(np.int8)) == 0)[..., None]
        mine = {shape: starts[shape][i] for shape in SOLIDS}
        shape, place, wrong = _find_shape(color, mine, view, target, ground, free)
        shapes.append(shape)
        solid.append(place)
        troubles += [wrong] * bool(wrong)
    solid, few = np.array(solid), _some(len(many), 5)
    for _ in range(2):
        solid, rate = _fit_together(colors, shapes, solid, kind, rate, tau[many][few], target[few])
    troubles += _misfits(pixels, _bodies(colors, shapes, solid), course(kind, rate, tau))
    return Found(colors, tuple(shapes), solid, kind, float(rate), tuple(troubles))

"""Whether things persist: what comes from nowhere or vanishes in any clip, whatever its caption.

Whatever is seen of a body was, a frame before, within a step of where the body was seen, of what hid it or
of the edge of the picture; and what is seen no more has gone there. What no such step explains has no cause.
How long a step is, the frames around it tell.
"""

from dataclasses import dataclass
from math import pi

import numpy as np

from .observe import SMALLEST, dilate, fit_ground, observe, patches
from .refilm import box, label
from .scene import PALETTE

WORTH = pi * SMALLEST**2  # area of the smallest body, square short sides
PART, MOST = 0.3, 0.6  # shares of it that are something, and as good as a body
NOTHING = 0.1  # share of it that is dirt
STEP = 0.03  # anything may go so far in a frame, and a pixel; short sides
FASTER = 1.25  # a step may be longer than those around it by this factor
FURTHEST = 0.25  # and no step is longer than this, short sides
LEAP = 0.1  # a step so far from those around it is a jump, short sides
LEAP_SOLID = 0.05  # the same of solids, which only the camera moves
UNSURE = 0.02  # more is one of a body that is not seen clear of all else
STAYS = 0.7  # a body that keeps this share of its area is there before and after
UNHURRIED = 10  # steps; clips of fewer show as much in less time
TWICE = 1.5  # so much more of a colour, in two places, is a body doubled
TILED = 4.3  # levels by which a ground is off every flat one: the tiles and the sky of solids


@dataclass(frozen=True)
class Film:
    """One colour through time, (T, H, W) bool each."""

    mine: np.ndarray  # where it is, without dirt
    source: np.ndarray  # the same with dirt
    veil: np.ndarray  # what else is there: what may hide it

    def backwards(self):
        """In reverse, where what went comes."""
        return Film(self.mine[::-1], self.source[::-1], self.veil[::-1])


def _is_tiled(pixels):
    """Whether the ground of a video (T, H, W, 3) is that of the solids, by its median over time."""
    median = np.median(pixels, 0)
    bare = ~dilate(median.max(-1) >= 100)
    off = (median - fit_ground(pixels)[1])[..., 2] * bare  # tiles and sky differ most in their blue
    mean = box(off[None])[0] / np.maximum(box(bare[None].astype(np.float32))[0], 1)
    return bool(np.abs(mean[bare]).mean() > TILED) if bare.any() else False


def _spread(mask, most):
    """How far each pixel is from a mask (T, H, W), diagonals counting as one, at most `most`: pixels."""
    far = np.zeros(mask.shape, np.int16)
    for _ in range(most):
        far += ~mask
        mask = dilate(mask)
    return far


def _unhidden(lone, veil, step):
    """How many of the pixels `lone` no shift of them all by up to `step` pixels brings under the veil, both
    (H, W); all beyond the edge is veil."""
    reach = int(step)
    wide = np.pad(veil, reach, constant_values=True)
    rows, columns = np.nonzero(lone)
    shifts = np.indices((2 * reach + 1,) * 2).reshape(2, -1).T
    shifts = shifts[np.hypot(*(shifts - reach).T) <= step + 0.5]
    hidden = wide[rows[:, None] + shifts[:, 0], columns[:, None] + shifts[:, 1]]
    return len(rows) - hidden.sum(0).max()


def _comings(film, allowed, least, near):
    """In which frames but the first there is a blob that came from nowhere: (T - 1,) bool.

    allowed: (T - 1,), its longest steps; least: pixels that are something; near: pixels. A veil that is not
    near where it is later was not over the blob but is now covered by it.
    """
    veil = film.veil[:-1] & (_spread(film.veil, int(near) + 1)[1:] <= near)
    far = _spread(film.source, int(allowed.max()) + 1)[:-1]
    lone, found = film.mine[1:] & (far > allowed[:, None, None]), np.zeros(len(allowed), bool)
    for t in np.flatnonzero(lone.sum((1, 2)) > least):
        parts = [lone[t] & blob for blob in patches(film.mine[t + 1])]
        found[t] = any(part.sum() > least < _unhidden(part, veil[t], allowed[t]) for part in parts)
    return found


def _growths(film, scale):
    """In which frames but the first something begins that grows in the open to a body: (T - 1,) bool."""
    area, found = film.mine.sum((1, 2)) / (WORTH * scale**2), np.zeros(len(film.mine) - 1, bool)
    rim = np.pad(np.zeros_like(film.mine[:, 1:-1, 1:-1]), ((0, 0), (1, 1), (1, 1)), constant_values=True)
    open_air = ~(film.mine & (dilate(film.veil, 2) | rim)).any((1, 2))
    for t in np.flatnonzero(area[:-1] < NOTHING):
        end = t + 1
        while end < len(area) - 1 and NOTHING <= area[end] < MOST and open_air[end]:
            end += 1
        found[t] = area[end] >= MOST and open_air[end]
    return found


def _doubled(film, scale):
    """The first frame that shows a colour in two places, and much more of it than in one; or None.

    What lies between two parts of a body, and hides it, joins them.
    """
    area, body = film.mine.sum((1, 2)), MOST * WORTH * scale**2
    one = area[0] if len([b for b in patches(film.mine[0]) if b.sum() > body]) == 1 else np.inf
    for t in np.flatnonzero(area > TWICE * one):
        parts = patches(film.mine[t] | dilate(film.veil[t]))
        if sum((part & film.mine[t]).sum() > body for part in parts) > 1:
            return int(t)
    return None


def _needs(film, dirt, most):
    """The smallest step, at most `most`, that leaves no more than `dirt` pixels of each frame but the first
    without a place to come from: (T - 1,), pixels."""
    source = np.pad(film.source | film.veil, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    far = _spread(source, most)[:-1, 1:-1, 1:-1] * film.mine[1:]
    return np.sort(far.reshape(len(far), -1), 1)[:, -1 - int(dirt)]


def _around(t, values):
    """The two before and the two after the t-th of values, so many as there are: a list of lists."""
    return [part for part in (values[max(t - 2, 0) : t], values[t + 1 : t + 3]) if len(part)]


def _allowed(needs, scale):
    """The longest step that is no jump, (T - 1,) pixels: not much longer than those before and after it."""
    allowed = np.full(len(needs), FURTHEST * scale)
    for t in range(len(needs)):
        if around := _around(t, needs):
            longest = max(part.min() for part in around)
            allowed[t] = min(max(STEP * scale, FASTER * longest) + 1, FURTHEST * scale)
    return allowed


def _strangeness(steps):
    """How far each step (T - 1, 2) is from all between rest and those around it: (T - 1,)."""
    found = np.zeros(len(steps))
    for t, step in enumerate(steps):
        near = [s for part in _around(t, steps) for s in part if np.isfinite(s).all()]
        if not near or not np.isfinite(step).all():
            continue
        if t in (0, len(steps) - 1):  # a bounce may have turned all that is known
            found[t] = np.hypot(*step) - np.hypot(*np.transpose(near)).max()
        else:
            low, high = np.min([*near, (0, 0)], 0), np.max([*near, (0, 0)], 0)
            found[t] = np.hypot(*(np.clip(step, low, high) - step))
    return found


def _jumps(film, track, scale, pace):
    """Which steps of a body that stays in sight are jumps: (T - 1,) bool. track: None for a solid's."""
    area, (rows, columns) = film.mine.sum((1, 2)), (np.arange(n) + 0.5 for n in film.mine.shape[1:])
    if track is None:
        sums = np.stack([film.mine.sum(1) @ columns, film.mine.sum(2) @ rows], -1)
        return _strangeness(np.diff(sums / np.maximum(area, 1)[:, None] / scale, axis=0)) > LEAP_SOLID * pace
    unsure = ~(track.clear[1:] & track.clear[:-1])
    return _strangeness(np.diff(track.position, axis=0)) > (LEAP + UNSURE * unsure) * pace


def apparitions(video):
    """What comes from nowhere, jumps or vanishes without cause in a video of any family, uint8 (T, H, W, 3).

    A sentence for each colour and kind, with the first frame that shows it; () if all persists, and for one
    frame. Causes are the edge of the picture, a wall, or another body that hides it. A body that was there
    twice from the start has not come from anywhere. Raises WorldError.
    """
    view = observe(video)
    if len(video) == 1:
        return ()
    pixels, found, scale = video.astype(np.float32), [], min(video.shape[1:3])
    tiled = _is_tiled(pixels)
    labels, grey = label(pixels) if tiled else view.labels, len(PALETTE) + 1
    labels = np.where((labels == 0) & dilate(labels == grey), grey, labels)  # no label is sure beside a wall
    pace, unit = max(1, UNHURRIED / (len(video) - 1)), WORTH * scale**2
    for n, color in enumerate(PALETTE, 1):
        source = labels == n
        around = box(source.astype(np.int8))
        mine = source & (dilate(around > 6) if tiled else around > 3)
        area = mine.sum((1, 2))
        if area.max() <= PART * unit:
            continue
        film = Film(mine, source, (labels > 0) & ~source)
        back, near = film.backwards(), STEP * scale * pace + 1
        most = int(FURTHEST * scale)
        needs = np.maximum(_needs(film, NOTHING * unit, most), _needs(back, NOTHING * unit, most)[::-1])
        allowed, low, high = _allowed(needs, scale), *np.sort([area[1:], area[:-1]], 0)
        stays = low > np.maximum(STAYS * high, 2 * PART * unit)
        come = (_comings(film, allowed, PART * unit, near) & ~stays) | _growths(film, scale)
        go = (_comings(back, allowed[::-1], PART * unit, near)[::-1] & ~stays) | _growths(back, scale)[::-1]
        jump = _jumps(film, None if tiled else view.tracks.get(color), scale, pace) & stays
        kinds = {"jumps": jump | (come & go), "comes from nowhere": come & ~go}
        for what, when in (kinds | {"vanishes without cause": go & ~come}).items():
            if when.any():
                found.append(f"the {color} body {what} in frame {int(when.argmax()) + 1}")
        if (double := _doubled(film, scale)) is not None:
            found.append(f"the {color} body is doubled in frame {double}")
    return tuple(found)

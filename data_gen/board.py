"""The playable board: its rules, those who play it in clips, and how it is read from a frame.

All lengths here are whole units of 1/32 short side, so that every place and every contact is exact.
An action moves the agent by three units, or by the fewer that are left before what stands in its way.
Against a box that it touches, the agent pushes: a light box goes along at the agent's full step, a
heavy one holds it to a third. A box stops at walls, at the edge of the board and at other boxes, and
then stops the agent; two boxes at once do not move. The agent counts as its bounding square.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import floor, pi, sqrt

import numpy as np

from .grammar import pick
from .observe import patches
from .scene import WorldError, window_of

UNITS = 32  # in a short side
STEPS = {False: 3, True: 1}  # of the agent in a frame, by whether what it pushes is heavy; units
WAYS = {"stay": (0, 0), "left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
ACTIONS = tuple(WAYS)
BACK = {"left": "right", "right": "left", "up": "down", "down": "up"}
AGENT = 3  # half of the agent's width, units
HALVES = {"small": 3, "large": 4}  # of a box's width, units
LARGE = 0.123  # radius of a box that is larger than small, short sides
WALL = 3  # thickness of a wall, units
LENGTHS = (8, 14)  # of walls, units
SIDE = 2 / sqrt(pi)  # a square's radius, in halves of its side
DETOUR = 12  # what it costs to walk around a box, about, units


@dataclass(frozen=True)
class Board:
    """What does not change in a scene, in units from the board's upper left corner. Body 0 is the agent."""

    cells: tuple[int, int]  # width, height
    origin: tuple[float, float]  # the corner, short sides
    halves: tuple[int, ...]  # of the bodies' widths
    heavy: tuple[bool, ...]
    walls: tuple[tuple[int, int, int, int], ...]  # left, top, right, bottom


@dataclass(frozen=True)
class Push:
    """One frame in which a box was pushed along."""

    step: int  # from 1: the frame that shows it
    box: int  # number of the body
    way: str
    went: int  # units
    room: int  # units that a light box would have gone


def field(window):
    """The board of a window: width and height in units, and its corner in short sides, centred."""
    cells = tuple(floor(side * UNITS + 1e-9) - 1 for side in window[::-1])
    return cells, tuple((side - n / UNITS) / 2 for side, n in zip(window[::-1], cells, strict=True))


def lay_out(scene):
    """A scene's Board and first state, the bodies' (x, y) in units, the nearest where they are not whole."""
    cells, corner = field(scene.window)

    def units(x, y, base=corner):
        return tuple(round((v - b) * UNITS) for v, b in zip((x, y), base, strict=True))

    state = tuple(units(body.x, body.y) for body in scene.bodies)
    agent = scene.bodies[0]
    origin = tuple(v - n / UNITS for v, n in zip((agent.x, agent.y), state[0], strict=True))
    halves = [round(b.radius * UNITS / (SIDE if b.shape == "square" else 1)) for b in scene.bodies]
    walls = ((*units(w.left, w.top, origin), *units(w.right, w.bottom, origin)) for w in scene.walls)
    return Board(cells, origin, tuple(halves), tuple(b.heavy for b in scene.bodies), tuple(walls)), state


def blocked(board, state, i, x, y, skip=-1, gap=0):
    """Whether body i cannot be at (x, y): beyond the edge, or in a wall or a body (but skip)."""
    h, (width, height) = board.halves[i], board.cells
    if x < h or y < h or x > width - h or y > height - h:
        return True
    h += gap
    for left, top, right, bottom in board.walls:
        if left - h < x < right + h and top - h < y < bottom + h:
            return True
    for j, (u, v) in enumerate(state):
        if j not in (i, skip) and max(abs(x - u), abs(y - v)) < h + board.halves[j]:
            return True
    return False


def _room(board, state, i, way, skip=-1):
    """How far body i can go in a frame, in units; no obstacle is narrow enough to be stepped over."""
    (x, y), (dx, dy) = state[i], way
    for far in range(STEPS[False], 0, -1):
        if not blocked(board, state, i, x + far * dx, y + far * dy, skip):
            return far
    return 0


def advance(board, state, action, heavy=None):
    """One frame: (the next state, the box pushed or None, how far it went, how far a light one had).

    heavy: in place of the board's own, whether every box is.
    """
    way = dx, dy = WAYS[action]
    if action == "stay":
        return state, None, 0, 0
    x, y = state[0]
    went, box, room = _room(board, state, 0, way), None, 0
    if not went:
        reach = [AGENT + half for half in board.halves]
        against = [
            j
            for j, (u, v) in enumerate(state)
            if j and abs(x + dx - u) < reach[j] and abs(y + dy - v) < reach[j]
        ]
        if len(against) == 1:
            box = against[0]
            room = min(_room(board, state, 0, way, box), _room(board, state, box, way, 0))
            went = min(room, STEPS[board.heavy[box] if heavy is None else heavy])
    moved = tuple(
        (u + went * dx, v + went * dy) if j in (0, box) else (u, v) for j, (u, v) in enumerate(state)
    )
    return moved, box, went if box else 0, room


def outcomes(board, state, step):
    """What frame `step` can show after this state, whatever boxes weigh: {state: (Push or None, actions)}."""
    found = {}
    for action in ACTIONS:
        for heavy in (False, True):
            after, box, went, room = advance(board, state, action, heavy)
            push = Push(step, box, action, went, room) if box and went else None
            found.setdefault(after, (push, []))[1].append(action)
    return found


@lru_cache(1024)
def replay(scene):
    """What a scene's actions do: its Board, its states (T, bodies, 2) and the pushes that moved a box.

    Raises WorldError for actions that are none, or are not one to each frame but the first.
    """
    if len(scene.actions) != scene.frames - 1:
        raise WorldError(f"{scene.frames} frames take {scene.frames - 1} actions, not {len(scene.actions)}")
    board, state = lay_out(scene)
    states, pushes = [state], []
    for step, action in enumerate(scene.actions, 1):
        if action not in WAYS:
            raise WorldError(f"there is no action {action!r}; there are: {', '.join(ACTIONS)}")
        state, box, went, room = advance(board, state, action)
        states.append(state)
        if went and box:
            pushes.append(Push(step, box, action, went, room))
    return board, np.array(states), tuple(pushes)


def in_sides(board, state):
    """The bodies' places in short sides, exactly: a list of (x, y)."""
    return [tuple(o + n / UNITS for o, n in zip(board.origin, place, strict=True)) for place in state]


def lay_walls(rng, cells, count):
    """As many walls, or fewer, with room for the agent between them: (left, top, right, bottom) each."""
    walls = []
    for _ in range(count):
        long = LENGTHS[0] + int(rng.random() * (LENGTHS[1] - LENGTHS[0] + 1))
        width, height = (WALL, long) if rng.random() < 0.5 else (long, WALL)
        left, top = (int(rng.random() * (n - s + 1)) for n, s in zip(cells, (width, height), strict=True))
        new = left, top, left + width, top + height
        if all(max(new[0] - w[2], w[0] - new[2], new[1] - w[3], w[1] - new[3]) > 2 * AGENT for w in walls):
            walls.append(new)
    return tuple(walls)


def play_out(rng, board, state, count, policy):
    """So many actions of an agent: random runs, or pushes of box after box, which scripted counts and steps
    back from."""
    actions, queue, goal, left = [], [], None, 0
    while len(actions) < count:
        if not queue and policy == "random":
            queue = [pick(rng, ACTIONS)] * (1 + int(4 * rng.random()))
        elif not queue and not goal:
            goal = _goal(rng, board, state, first=not actions)
            left = 2 if policy == "scripted" else 3 + int(4 * rng.random())
        action = queue.pop() if queue else _toward(board, state, *goal)
        actions.append(action)
        before = state
        state, box, went, _ = advance(board, state, action)
        if goal and not queue:
            left -= bool(went and box == goal[0])
            if state == before:  # something is in the way: look for another
                queue, goal = [pick(rng, ACTIONS[1:])] * 2, None
            elif not left:
                queue, goal = [BACK[action]] * (policy == "scripted"), None
    return tuple(actions)


def _goal(rng, board, state, first):
    """A box that can be pushed, and the way: nearly the quickest to come to, at first more nearly."""
    goals = []
    for j in range(1, len(state)):
        dx, dy = state[j][0] - state[0][0], state[j][1] - state[0][1]
        for action in ACTIONS[1:]:
            wx, wy = WAYS[action]
            ahead = dx * wx + dy * wy - AGENT - board.halves[j]
            if _room(board, state, j, (wx, wy), 0) == STEPS[False]:
                walk = abs(dx) + abs(dy) + (0 if ahead >= 0 else DETOUR)
                goals.append((walk + (DETOUR if first else 3 * DETOUR) * rng.random(), j, action))
    return min(goals)[1:] if goals else (1, "right")


def _toward(board, state, box, way):
    """The agent's next action to push a box a way: get behind it, in line with it, and on."""
    (dx, dy), (wx, wy) = (state[box][i] - state[0][i] for i in (0, 1)), WAYS[way]
    reach = AGENT + board.halves[box]
    across, side = (dy, ("up", "down")) if wx else (dx, ("left", "right"))
    if dx * wx + dy * wy >= reach:
        return way if abs(across) <= 1 else side[across > 0]
    return BACK[way] if abs(across) >= reach else side[across <= 0]


def read_actions(actions):
    """Actions as a list, or None where they are no list of ACTIONS."""
    try:
        taken = list(actions)
    except TypeError:
        return None
    return taken if all(isinstance(action, str) and action in ACTIONS for action in taken) else None


def set_up(view, places, halves):
    """The board and the state that a frame shows; places (bodies, 2), short sides, the agent's first."""
    size = view.labels.shape[1:]
    cells, corner = field(window_of(size))
    units = (places - corner) * UNITS
    shift = np.angle(np.exp(2j * pi * units).mean(0)) / (2 * pi)  # of the board, in a unit
    origin = tuple(corner + shift / UNITS)
    state = tuple(tuple(int(n) for n in row) for row in np.rint(units - shift))
    return Board(cells, origin, halves, (False,) * len(halves), _seen_walls(view, origin)), state


def box_size(track):
    """Whether the box of a track of one frame is small or large."""
    return "large" if track.radius[0] > LARGE else "small"


def in_one_piece(track):
    """A track of one frame without the specks that noise makes elsewhere."""
    (alpha,), size = track.alpha, track.alpha.shape[1:]
    alpha = alpha * max(patches(alpha > 0), key=lambda patch: alpha[patch].sum())
    place = np.array([alpha.sum(0) @ (np.arange(size[1]) + 0.5), alpha.sum(1) @ (np.arange(size[0]) + 0.5)])
    place, radius = place / alpha.sum() / min(size), np.sqrt(alpha.sum() / pi) / min(size)
    return replace(track, alpha=alpha[None], position=place[None], radius=radius[None])


def _seen_walls(view, origin):
    """The walls of a frame, in units: (left, top, right, bottom) each. Of each patch of grey, the area over
    the known thickness is the length, which is more precise than its edges are."""
    if "grey" not in view.tracks:
        return ()
    grey, walls, unit = view.tracks["grey"].alpha[0], [], min(view.labels.shape[1:]) / UNITS
    for patch in patches(grey > 0):
        rows, columns = np.nonzero(patch)
        share, wide = grey[patch], np.ptp(columns) > np.ptp(rows)
        long = share.sum() / unit**2 / WALL
        if not -1.5 < (np.ptp(columns) if wide else np.ptp(rows)) / unit - long < 5 or long < LENGTHS[0] - 2:
            continue  # the dull edge of something white
        middle = [
            share @ (n + 0.5) / share.sum() / unit - o * UNITS
            for n, o in zip((columns, rows), origin, strict=True)
        ]
        span = (long, WALL) if wide else (WALL, long)
        walls.append(
            tuple(round(m + way * n / 2) for way in (-1, 1) for m, n in zip(middle, span, strict=True))
        )
    return tuple(walls)

"""play: an agent that walks by actions, grey walls, and boxes that it pushes, by the rules of board.py.

Full boxes are heavy and empty ones light. Nothing in one picture tells which; only a push shows it.
"""

from functools import lru_cache
from math import ceil

import numpy as np

from ..board import (
    AGENT,
    HALVES,
    SIDE,
    UNITS,
    Board,
    blocked,
    box_size,
    field,
    in_one_piece,
    in_sides,
    lay_walls,
    outcomes,
    play_out,
    replay,
    set_up,
)
from ..bodies import reshaped
from ..grammar import ORDER, pick, shuffle
from ..observe import dilate, misfits, observe
from ..render import Sprite, coverage, draw, wall_cover
from ..scene import BACKGROUNDS, FPS, GREY, PALETTE, SHAPES, Body, Event, Scene, Wall, window_of
from ..truth import body_truth
from ..words import lengthen, place_of, shorten
from .play_words import GRAMMAR
from .shapes import GRID

POLICIES = ("purposeful", "purposeful", "purposeful", "scripted", "scripted", "random")
NEAR = 14  # of the agent to a box at first, so that it has time to push, units
PUSHES_TOLD = 4
MARGIN = 0.05  # a place nearer to a boundary between two names has none, share of the window
SNUG = 0.24  # largest difference from its shape, where nothing else is near, as a share of its area
MISFIT = 0.5  # largest difference of a body from its replay, as a share of its area
TINGE = 40  # largest difference of a body's mean colour from its ink, levels
SPECK = 0.006  # area that may be strange in a frame, square short sides
STRANGE = 90  # pixels further than this from the replay show something else, levels


def is_heldout(agent, color, size, heavy):
    """Whether a box beside this agent is kept from train and test: a tenth, every value in some."""
    colors = list(PALETTE)
    return (3 * colors.index(agent) + colors.index(color) + 2 * (size == "large") + 5 * heavy) % 10 == 4


@lru_cache
def _choices(heldout, agent):
    every = ((c, s, w) for c in PALETTE if c != agent for s in HALVES for w in (False, True))
    return tuple(choice for choice in every if is_heldout(agent, *choice) == heldout)


def sample(rng, size, frames, split):
    """A scene of the split: see data_gen.clips.make_batch. How it starts does not depend on frames."""
    window = window_of(size)
    board, state, colors, background = _start(rng, window, ceil(2.5 * UNITS / min(size)), split)
    policy, bodies = pick(rng, POLICIES), []
    for j, place in enumerate(in_sides(board, state)):
        radius = board.halves[j] / UNITS * (SIDE if j else 1)
        shape, role = ("square", "box") if j else ("circle", "agent")
        bodies.append(Body(shape, colors[j], radius, *place, role=role, heavy=board.heavy[j]))
    walls = tuple(_wall(board, wall) for wall in board.walls)
    for _ in range(3):  # a player who means to push is given three tries at it
        actions = play_out(rng, board, state, frames - 1, policy)
        scene = Scene("play", tuple(bodies), window, frames, background, walls, actions=actions)
        if policy == "random" or len(replay(scene)[2]) > 1:
            break
    return scene


def _wall(board, edges):
    return Wall(*(n / UNITS + start for n, start in zip(edges, board.origin * 2, strict=True)))


def _start(rng, window, gap, split):
    """A Board, the first state, the bodies' colours and the background.

    All stand `gap` units apart, to be seen one by one, and no two boxes in places of one name.
    """
    cells, corner = field(window)
    x, y = (int((c + (rng.random() - 0.5) / (2 * UNITS)) * GRID / 2) * 2 for c in corner)
    origin = (x + (split != "train")) / GRID, y / GRID
    while True:
        background, walls = pick(rng, BACKGROUNDS), lay_walls(rng, cells, int(rng.random() * 3))
        colors, boxes = [pick(rng, tuple(PALETTE))], []
        for _ in range(1 + int(rng.random() * 3)):
            fits = [c for c in _choices(split == "heldout", colors[0]) if c[0] not in colors]
            if fits:
                boxes.append(pick(rng, fits))
                colors.append(boxes[-1][0])
        if not boxes:
            continue
        halves = (AGENT, *(HALVES[size] for _, size, _ in boxes))
        board = Board(cells, origin, halves, (False, *(heavy for *_, heavy in boxes)), walls)
        state, names = [(-99, -99)], set()  # the agent comes last
        for j in (*range(1, len(halves)), 0):
            for _ in range(24):
                x, y = (halves[j] + int(rng.random() * (n - 2 * halves[j] + 1)) for n in cells)
                if blocked(board, state, j, x, y, gap=gap):
                    continue
                if j == 0 and min(max(abs(x - u), abs(y - v)) for u, v in state[1:]) > NEAR:
                    continue
                name = place_of(origin[0] + x / UNITS, origin[1] + y / UNITS, window, MARGIN)
                if j == 0:
                    return board, ((x, y), *state[1:]), colors, background
                if name and name not in names:
                    names.add(name)
                    state.append((x, y))
                    break
            else:
                break


def sprites(scene):
    board, states, _ = replay(scene)
    paths = states.swapaxes(0, 1) / UNITS + board.origin
    for body, path in zip(scene.bodies, paths, strict=True):
        yield Sprite(body.shape, PALETTE[body.color], path, body.radius)


def render(scenes, size):
    """Draw scenes of equally many frames: uint8 (B, T, H, W, 3)."""
    return draw([(s.background, tuple(sprites(s)), s.walls) for s in scenes], scenes[0].frames, size)


def truth(scene):
    """Every body's state per frame, in world units, whether it is heavy, and the pushes that moved a box."""
    rows, (_, _, pushes) = body_truth(scene, tuple(sprites(scene))), replay(scene)
    for row, body in zip(rows, scene.bodies, strict=True):
        row |= {"role": body.role, "heavy": body.heavy}
    who = [body.color for body in scene.bodies]
    events = tuple(Event(p.step / FPS, f"pushes {p.way}", who[0], who[p.box]) for p in pushes)
    return {"bodies": rows, "camera": None, "events": events}


def facts(scene):
    """Everything that a long caption tells."""
    board, states, pushes = replay(scene)
    told = {("scene", "family"): "play", ("scene", "count"): len(scene.bodies)}
    told["scene", "background"] = scene.background
    for body, half in zip(scene.bodies, board.halves, strict=True):
        if body.role == "agent":
            told[body.color, "role"] = "agent"
        else:
            told[body.color, "shape"] = body.shape
            told[body.color, "size"] = next(word for word, h in HALVES.items() if h == half)
    return told | happenings(board, states, pushes, [b.color for b in scene.bodies], scene.window)


def happenings(board, states, pushes, colors, window, margin=MARGIN):
    """The facts of what is where, and moves whither; what pushes told of weights too."""
    told = {}
    first, last = (in_sides(board, states[i]) for i in (0, -1))
    told |= {(c, "place"): place_of(*at, window, margin) for c, at in zip(colors, first, strict=True)}
    if len(states) > 1:
        told[colors[0], "end"] = place_of(*last[0], window, margin)
        told[colors[0], "motion"] = "still" if (states[:, 0] == states[0, 0]).all() else "moves"
        for j, color in enumerate(colors[1:], 1):
            ways = {p.way for p in pushes if p.box == j}
            told[color, "pushed"] = None if not ways else ways.pop() if len(ways) == 1 else "about"
            told[color, "motion"] = None if told[color, "pushed"] else "still"
            weights = {p.went == 1 for p in pushes if p.box == j and p.room > 1}
            told[color, "weight"] = ("heavy" if weights.pop() else "light") if len(weights) == 1 else None
        runs = [
            ("pushes", colors[p.box], p.way)
            for p, before in zip(pushes, (None, *pushes), strict=False)
            if not before or (before.step + 1, before.box, before.way) != (p.step, p.box, p.way)
        ]
        told["scene", "events"] = tuple(runs[:PUSHES_TOLD]) or None
    return {key: value for key, value in told.items() if value is not None}


def tell(scene, rng, long):
    """The sentences of a caption, from the facts: at most 14 words, or 60 to 135 with every fact."""
    told, (agent, *boxes), write = facts(scene), [b.color for b in scene.bodies], GRAMMAR.write
    shuffle(rng, boxes)  # a caption names them in any order
    if not long:
        return shorten(lambda: write(f"short {len(boxes)}", rng, told, agent, *boxes))
    sentences = [write("opening", rng, told)]
    sentences.append(write("agent" if scene.frames > 1 else "agent image", rng, told, agent))
    sentences += [write(name, rng, told, agent) for name in ("place", "end") if (agent, name) in told]
    for i, (name, color, way) in enumerate(told.get(("scene", "events"), ())):
        order = pick(rng, ORDER[1:]) if i else ORDER[0]
        sentences.append(f"{order} {write(name, rng, told, color, way=way)}")
    for color in boxes:
        name = "pushed" if (color, "pushed") in told else "still" if scene.frames > 1 else "box image"
        sentences.append(write(name, rng, told, color))
        sentences += [write(name, rng, told, color) for name in ("place", "weight") if (color, name) in told]
    return lengthen(sentences, GRAMMAR, rng)


def see(video, actions=None):
    """The facts seen in a video, uint8 (T, H, W, 3), and what is wrong with it, in words.

    The bodies of the first frame are set on a board, and the board is played: of all that an action
    can lead to, the nearest to the next frame. Where that is not near, something is wrong. actions:
    the T - 1 that were taken, if known.
    """
    view = observe(video[:1] if isinstance(video, np.ndarray) else video)  # which refuses what is no video
    seen, size = {("scene", "family"): "play"}, video.shape[1:3]
    tracks = {c: in_one_piece(t) for c, t in view.tracks.items() if c != "grey"}
    seen["scene", "count"], seen["scene", "background"] = len(tracks), view.background
    agents, whole = [], observe(video)
    trouble = whole.strange()
    for color, track in tracks.items():
        shape = SHAPES[misfits(track, np.array([0]))[:, 0, 0].argmin()]
        if shape == "circle":
            agents.append(color)
            seen[color, "role"] = "agent"
        else:
            seen[color, "shape"] = shape
            seen[color, "size"] = box_size(track)
    if len(agents) != 1:
        return seen, [f"there are {len(agents)} agents"]
    if actions is not None and len(actions) != len(video) - 1:
        return seen, [f"there are {len(actions)} actions to {len(video)} frames"]
    colors = sorted(tracks, key=lambda color: color != agents[0])
    halves = (AGENT, *(HALVES[seen[color, "size"]] for color in colors[1:]))
    still = observe(np.median(video, 0, keepdims=True).astype(np.uint8))  # less noisy, for the walls
    board, state = set_up(still, np.stack([tracks[c].position[0] for c in colors]), halves)
    states, pushes = [state], []
    trouble += _compare(video[0], *_paint(view.ground, board, colors, [state], size), colors, 0)
    for step in range(1, len(video)):
        possible = outcomes(board, states[-1], step)
        options = list(possible)
        frames, shares = _paint(view.ground, board, colors, options, size)
        best = np.abs(frames - video[step]).sum((1, 2, 3)).argmin()
        push, names = possible[options[best]]
        if actions is not None and actions[step - 1] not in names:
            trouble.append(f"frame {step} is not what {actions[step - 1]!r} leads to")
        trouble += _compare(video[step], frames[[best]], shares[:, [best]], colors, step)
        pushes += [push] if push else []
        states.append(options[best])
    weights = {(p.box, p.went == 1) for p in pushes if p.room > 1}
    paths = np.array([in_sides(board, state) for state in states])
    for j, color in enumerate(colors):
        if color in whole.tracks and whole.tracks[color].seen.any():
            when = np.flatnonzero(whole.tracks[color].seen)
            radius = board.halves[j] / UNITS * (SIDE if j else 1)
            errors = misfits(
                whole.tracks[color], when, place=paths[when, j], radius=np.full(len(when), radius)
            )[:, 0]
            shape = SHAPES.index(seen.get((color, "shape"), "circle"))
            trouble += [f"the {color} body {what}" for what in reshaped(errors, shape, when)]
            if errors[shape].max() > SNUG:
                worst = when[errors[shape].argmax()]
                trouble.append(f"the {color} body is blurred, or of another size, in frame {worst}")
        if {(j, True), (j, False)} <= weights:
            trouble.append(f"the {color} box is now heavy, now light")
    return seen | happenings(board, np.array(states), pushes, colors, window_of(size), margin=0), trouble[:9]


def _paint(ground, board, colors, states, size):
    """Pictures of states (n, H, W, 3), and how much of each pixel each body covers (bodies, n, H, W)."""
    scale, frames, shares = min(size), np.repeat(ground[None], len(states), 0), []
    for j, color in enumerate(colors):
        places = np.array([in_sides(board, state)[j] for state in states])
        radius = np.full(len(states), board.halves[j] / UNITS * (SIDE if j else 1) * scale)
        shares.append(coverage("square" if j else "circle", places * scale, radius, size))
        frames += shares[-1][..., None] * (np.array(PALETTE[color], np.float32) - frames)
    for wall in board.walls:
        share = wall_cover(_wall(board, wall), size)[..., None]
        frames += share * (np.array(GREY, np.float32) - frames)
    return frames, np.stack(shares)


def _compare(frame, replay, shares, colors, step):
    """What is wrong with a frame (H, W, 3) that should look like replay (1, H, W, 3), in words."""
    difference, trouble = frame - replay[0], []
    off, strange = np.linalg.norm(difference, axis=-1), np.ones(frame.shape[:2], bool)
    for color, (share,) in zip(colors, shares, strict=True):
        around, core = dilate(share > 0), share > 0.95
        strange &= ~around
        contrast = np.linalg.norm(PALETTE[color])
        if off[around].sum() > MISFIT * contrast * share.sum():
            trouble.append(f"the {color} body is not where an action leads it, or not whole, in frame {step}")
        elif np.linalg.norm(difference[core].mean(0)) > TINGE:
            trouble.append(f"the {color} body is of another colour in frame {step}")
    if (strange & (off > STRANGE)).sum() > SPECK * min(frame.shape[:2]) ** 2:
        trouble.append(f"there is something else in frame {step}")
    return trouble

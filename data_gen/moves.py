"""Whether actions lead where the rules of the board say, each judged from what the frame before it shows."""

import numpy as np

from .board import (
    ACTIONS,
    AGENT,
    HALVES,
    UNITS,
    box_size,
    in_one_piece,
    in_sides,
    outcomes,
    read_actions,
    set_up,
)
from .observe import check_video, misfits, observe
from .scene import SHAPES, WorldError

OFF = 1.5  # largest error of a place: half of the agent's step, units


def _look(frame):
    """The bodies of a frame (1, H, W, 3): {colour: (place, whether round, half of its width)}."""
    bodies = {}
    for color, track in observe(frame).tracks.items():
        if color != "grey":
            track = in_one_piece(track)
            round_ = SHAPES[misfits(track, np.array([0]))[:, 0, 0].argmin()] == "circle"
            bodies[color] = track.position[0], round_, HALVES[box_size(track)]
    return bodies


def displacements(video, actions):
    """Whether the agent goes where each action may lead it: uint8 (T, H, W, 3) -> bool (T - 1,).

    One mistake does not make all later ones wrong. A box may be heavy or light, so what either allows is
    right. Where no agent is seen before or after an action, it is wrong; the agent is what is round in the
    first frame that has one round thing. actions: T - 1 of ACTIONS.
    Raises WorldError for other ones.
    """
    check_video(video)
    actions = read_actions(actions)
    if actions is None or len(actions) != len(video) - 1:
        raise WorldError(f"{len(video)} frames have {len(video) - 1} actions between them, of {ACTIONS}")
    looks = [_look(video[t : t + 1]) for t in range(len(video))]
    still = observe(np.median(video, 0, keepdims=True).astype(np.uint8))  # for the walls
    rounds = ([color for color, (_, is_round, _) in look.items() if is_round] for look in looks)
    agent = next((names[0] for names in rounds if len(names) == 1), None)
    right = np.zeros(len(actions), bool)
    for t, action in enumerate(actions):
        here, there = looks[t], looks[t + 1]
        if agent not in here or agent not in there:
            continue
        boxes = [color for color in here if color != agent]
        places = np.stack([here[color][0] for color in (agent, *boxes)])
        board, state = set_up(still, places, (AGENT, *(here[color][2] for color in boxes)))
        ends = [
            in_sides(board, s)[0] for s, (_, names) in outcomes(board, state, 1).items() if action in names
        ]
        right[t] = np.abs(ends - there[agent][0]).max(1).min() <= OFF / UNITS
    return right

"""The playable world: its rules by hand-computed cases, the environment and the checker."""

from dataclasses import replace

import numpy as np
import pytest

from data_gen import board as rules
from data_gen.board import Board, advance
from data_gen.check import compare
from data_gen.env import Env
from data_gen.families import NUMBERS, play
from data_gen.scene import PALETTE, Body, Scene, Wall, WorldError


def start(seed, size=(32, 32), frames=17, split="test"):
    return play.sample(np.random.default_rng((seed, 7)), size, frames, split)


def film(scene, size=(32, 32)):
    return play.render([scene], size)[0]


def judge(scene, video, actions=None):
    return compare(play.facts(scene), *play.see(video, actions))


def board(heavy=False, walls=(), boxes=1):
    return Board((31, 31), (0.0, 0.0), (3, *[4] * boxes), (False, *[heavy] * boxes), walls)


@pytest.mark.parametrize(
    "action, agent, box, wall, after",
    [
        # on free ground, and to a wall, a box or the edge that is less than a step away
        ("right", (5, 5), (20, 20), None, ((8, 5), (20, 20))),
        ("up", (5, 5), (20, 20), None, ((5, 3), (20, 20))),
        ("stay", (5, 5), (20, 20), None, ((5, 5), (20, 20))),
        ("left", (13, 5), (20, 20), (7, 0, 9, 9), ((12, 5), (20, 20))),
        ("right", (5, 5), (20, 20), (10, 0, 12, 9), ((7, 5), (20, 20))),
        ("left", (13, 5), (20, 20), (7, 8, 9, 12), ((10, 5), (20, 20))),  # passes along the wall's corner
        ("down", (20, 11), (20, 20), None, ((20, 13), (20, 20))),
        # against a box: all the way, to the edge, to a wall, and not at all
        ("down", (20, 13), (20, 20), None, ((20, 16), (20, 23))),
        ("down", (14, 13), (20, 20), None, ((14, 16), (20, 23))),  # by its corner
        ("down", (13, 13), (20, 20), None, ((13, 16), (20, 20))),  # past its corner
        ("down", (20, 18), (20, 25), None, ((20, 20), (20, 27))),
        ("down", (20, 13), (20, 20), (0, 25, 20, 28), ((20, 14), (20, 21))),
        ("down", (20, 20), (20, 27), None, ((20, 20), (20, 27))),
    ],
)
def test_a_step_by_hand(action, agent, box, wall, after):
    assert advance(board(walls=(wall,) if wall else ()), (agent, box), action)[0] == after


def test_a_heavy_box_goes_at_a_third_and_only_a_push_shows_it():
    state, slow = ((10, 13), (10, 20)), ((10, 14), (10, 21))
    assert advance(board(heavy=True), state, "down") == (slow, 1, 1, 3)
    assert advance(board(heavy=False), state, "down") == (((10, 16), (10, 23)), 1, 3, 3)
    for action in ("stay", "left", "right", "up"):
        assert advance(board(heavy=True), state, action)[0] == advance(board(heavy=False), state, action)[0]


def test_a_box_stops_at_a_box_and_two_at_once_do_not_move():
    row = ((10, 10), (17, 10), (26, 10))  # two units between the boxes, then none
    after = advance(board(boxes=2), row, "right")
    assert after == (((11, 10), (18, 10), (26, 10)), 1, 1, 1)
    assert advance(board(boxes=2), after[0], "right") == (after[0], 1, 0, 0)
    pair = ((10, 10), (17, 5), (17, 14))
    assert advance(board(boxes=2), pair, "right") == (pair, None, 0, 0)


def test_nothing_overlaps_or_leaves_whatever_is_done():
    rng = np.random.default_rng(0)
    for seed in range(40):
        size = ((24, 24), (32, 56), (40, 48))[seed % 3]
        scene = start(seed, size, 5)
        scene = replace(scene, frames=81, actions=tuple(rng.choice(rules.ACTIONS, 80).tolist()))
        truth = play.truth(replace(scene, frames=9, actions=scene.actions[:8]))["bodies"]
        assert (
            min(row["visible"].min() for row in truth) > 0.95
        )  # touching bodies share the pixels between them
        paths = [sprite.position for sprite in play.sprites(scene)]
        half = [b.radius if b.role == "agent" else b.radius / rules.SIDE for b in scene.bodies]
        for i, path in enumerate(paths):
            assert path.min() > half[i] and (path < np.array(scene.window[::-1]) - half[i]).all()
            for j in range(i):
                assert (np.abs(path - paths[j]).max(1) >= half[i] + half[j] - 1e-9).all()
            for w in scene.walls:
                off = np.stack(
                    [w.left - path[:, 0], path[:, 0] - w.right, w.top - path[:, 1], path[:, 1] - w.bottom]
                )
                assert (off.max(0) >= half[i] - 1e-9).all()


def hand_made(heavy, actions, x=6):
    """A white agent two units left of a red box, on a board whose corner is half a unit from the window's."""
    at = (1 / 64 + np.array([[x, 12], [x + 9, 12]]) / 32).tolist()
    bodies = (
        Body("circle", "white", 3 / 32, *at[0], role="agent"),
        Body("square", "red", 4 / 32 * rules.SIDE, *at[1], role="box", heavy=heavy),
    )
    wall = (Wall(1 / 64, 1 / 64 + 24 / 32, 1 / 64 + 12 / 32, 1 / 64 + 27 / 32),)
    return Scene("play", bodies, (1.0, 1.0), len(actions) + 1, walls=wall, actions=actions)


def test_facts_by_hand():
    actions = ("right", "right", "right", "left", "stay", "right", "right", "up")
    light, heavy = (play.facts(hand_made(weight, actions)) for weight in (False, True))
    once, twice = (("pushes", "red", "right"),), (("pushes", "red", "right"),) * 2
    assert light["scene", "events"] == heavy["scene", "events"] == twice
    assert (light["red", "weight"], heavy["red", "weight"]) == ("light", "heavy")
    assert light["red", "pushed"] == "right" and ("red", "motion") not in light
    still = play.facts(hand_made(True, ("up", "left", "down", "stay")))
    assert still["red", "motion"] == "still" and still["white", "motion"] == "moves"
    assert not {("red", "weight"), ("red", "pushed"), ("scene", "events")} & set(still)
    assert play.facts(hand_made(True, ("right", "right")))["scene", "events"] == once
    for weight in (False, True):
        short = play.facts(hand_made(weight, ("right", "right"), x=17))  # one unit to the edge: no telling
        assert short["red", "pushed"] == "right" and ("red", "weight") not in short
        scene = hand_made(weight, actions)
        assert judge(scene, film(scene), actions).ok


def test_env_films_what_render_does():
    world = Env((24, 40), "test")
    first = world.reset(3)
    start_of_clip = play.sample(np.random.default_rng((NUMBERS["play"], 1, 3)), (24, 40), 9, "test")
    assert replace(start_of_clip, frames=1, actions=()) == world.scene
    frames, rng = [first], np.random.default_rng(0)
    for _ in range(48):
        frame, info = world.step(str(rng.choice(rules.ACTIONS)))
        frames.append(frame)
    clip = world.clip()
    assert clip.scene == world.scene and len(clip.scene.actions) == 48
    assert np.array_equal(clip.video, np.stack(frames))
    assert np.array_equal(clip.video, film(world.scene, (24, 40)))
    for body, sprite in zip(world.scene.bodies, play.sprites(world.scene), strict=True):
        assert info["positions"][body.color] == tuple(sprite.position[-1])


def test_env_tells_what_is_pushed_and_whether_it_moves():
    world, told = Env(), []
    for seed in range(12):
        world.reset(seed)
        actions = play.sample(
            np.random.default_rng((NUMBERS["play"], 0, seed)), (32, 32), 33, "train"
        ).actions
        told += [world.step(action)[1] for action in actions]
        pushes = rules.replay(world.scene)[2]
        named = [info["pushed"] for info in told[-32:] if info["moved"]]
        assert named == [world.scene.bodies[push.box].color for push in pushes]
    assert {(info["pushed"] is not None, info["moved"]) for info in told} == {
        (False, False),
        (True, False),
        (True, True),
    }


def test_mistakes_are_told_in_a_sentence():
    with pytest.raises(WorldError, match="reset"):
        Env().step("left")
    world = Env()
    world.reset(0)
    with pytest.raises(WorldError, match="no action 'jump'"):
        world.step("jump")
    with pytest.raises(WorldError, match="seed"):
        world.reset(-1)
    with pytest.raises(WorldError, match="size"):
        Env(32).reset(0)
    scene = start(1)
    assert "there are 15 actions to 17 frames" in play.see(film(scene), scene.actions[:-1])[1]
    with pytest.raises(WorldError, match="4 frames take 3 actions"):
        play.facts(replace(hand_made(False, ("up",)), frames=4))
    with pytest.raises(WorldError, match="no action 'jump'"):
        play.facts(hand_made(False, ("jump",)))


def test_same_seed_same_scene_and_splits_share_none():
    assert start(5) == start(5) and np.array_equal(film(start(5)), film(start(5)))
    long = start(5, frames=481)
    assert long.bodies == start(5).bodies and film(long).shape == (481, 32, 32, 3)
    for split in ("train", "test", "heldout"):
        seen = {"agent": set(), "color": set(), "size": set(), "heavy": set()}
        for seed in range(150):
            agent, *boxes = start(seed, frames=1, split=split).bodies
            assert int(agent.x * 2**16) == agent.x * 2**16 and int(agent.x * 2**16) % 2 == (split != "train")
            for box in boxes:
                each = agent.color, box.color, "large" if box.radius > 0.12 else "small", box.heavy
                assert play.is_heldout(*each) == (split == "heldout")
                for name, value in zip(seen, each, strict=True):
                    seen[name].add(value)
        assert [len(values) for values in seen.values()] == [8, 8, 2, 2]


def test_most_clips_push_a_box_twice():
    pushes = [[p.box for p in rules.replay(start(seed))[2]] for seed in range(200)]
    assert np.mean([any(boxes.count(box) > 1 for box in boxes) for boxes in pushes]) > 0.7


@pytest.mark.parametrize("size", [(24, 40), (32, 32), (48, 32), (64, 64)])
def test_rendered_truth_is_accepted(size):
    for seed in range(12):
        scene = start(seed, size, (17, 17, 5, 1)[seed % 4])
        report = judge(scene, film(scene, size), scene.actions if seed % 2 else None)
        assert report.ok, report.why


def test_planted_faults_are_rejected():
    for seed in range(12):
        scene = start(seed)
        video, sprites, actions = film(scene), list(play.sprites(scene)), scene.actions
        other = next(c for c in PALETTE if c not in [b.color for b in scene.bodies])
        late, agent = np.arange(17) >= 8, sprites[0]

        def shoot(first, scene=scene, rest=sprites[1:]):
            return play.draw([(scene.background, (first, *rest), scene.walls)], 17, (32, 32))[0]

        free = [
            c for c in np.ndindex(5, 5) if all(abs(s.position / 0.2 - c).max(1).min() > 1.1 for s in sprites)
        ]
        place = np.tile(np.array(free[0]) * 0.2, (17, 1))
        added = replace(sprites[1], ink=PALETTE[other], position=place, radius=0.1, shown=late)
        jump = agent.position + late[:, None] * np.where(agent.position.mean(0) > 0.5, -0.3, 0.3)
        faults = {
            "reversed": video[::-1],
            "frozen": np.repeat(video[:1], 17, 0),
            "color": shoot(replace(agent, ink=PALETTE[other])),
            "shape": shoot(replace(agent, shape="triangle")),
            "swapped": shoot(replace(agent, ink=sprites[1].ink), rest=[replace(sprites[1], ink=agent.ink)]),
            "vanished": shoot(replace(agent, shown=~late)),
            "added": shoot(agent, rest=[*sprites[1:], added]),
            "teleported": shoot(replace(agent, position=jump)),
            "recoloured": shoot(replace(agent, ink=np.where(late[:, None], PALETTE[other], agent.ink))),
            "faster": shoot(replace(agent, position=1.5 * agent.position - 0.5 * agent.position[0])),
            "blank": np.full_like(video, 20),
            "noise": np.random.default_rng(seed).integers(0, 256, video.shape, np.uint8),
        }
        for name, fault in faults.items():
            report = judge(scene, fault, actions)
            assert not report.ok and report.why, (seed, name)


def test_a_false_weight_or_order_or_action_is_rejected():
    heavy, order = 0, 0
    for seed in range(30):
        scene = start(seed)
        told, video = play.facts(scene), film(scene)
        flipped = replace(scene, bodies=tuple(replace(b, heavy=not b.heavy) for b in scene.bodies))
        if any(attribute == "weight" for _, attribute in told):
            heavy += 1
            assert not judge(scene, film(flipped), scene.actions).ok
            assert not judge(scene, film(flipped)).ok
        events = told.get(("scene", "events"), ())
        if events != events[::-1]:
            order += 1
            backwards = told | {("scene", "events"): events[::-1]}
            assert not compare(backwards, *play.see(video, scene.actions)).attributes["events"]
        back = tuple(rules.BACK.get(action, "left") for action in scene.actions)
        assert not judge(scene, video, back).ok
    assert heavy > 10 and order > 2


def test_a_box_that_changes_its_weight_is_seen():
    actions = ("right",) * 5
    heavy, light = (list(play.sprites(hand_made(weight, actions))) for weight in (True, False))
    slow, fast = (np.stack([s.position for s in part]) for part in (heavy, light))
    paths = np.concatenate([slow[:, :4], slow[:, 3:4] + fast[:, 3:5] - fast[:, 2:3]], 1)  # light from frame 4
    scene = hand_made(True, actions)
    moved = [replace(sprite, position=path) for sprite, path in zip(heavy, paths, strict=True)]
    video = play.draw([("plain", tuple(moved), scene.walls)], 6, (32, 32))[0]
    assert "the red box is now heavy, now light" in play.see(video, actions)[1]


@pytest.mark.parametrize("video", [None, [1], np.zeros((3, 8, 8, 3)), np.zeros((0, 8, 8, 3), np.uint8)])
def test_what_is_no_video_is_refused(video):
    with pytest.raises(WorldError, match="a video"):
        play.see(video)

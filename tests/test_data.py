import gc
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_gen import make_clip
from data_gen.board import ACTIONS
from mini_sora import parallel
from mini_sora.config import UserError
from mini_sora.data import Course, DataConfig, Replayed, Stored, Stream, action_numbers, area, batches
from mini_sora.presets import PRESETS

EVERY = DataConfig(sides=(24, 32), frames=(1, 5, 17), wide=True, long_prompts=0.5)
AREA = 6 * area(17, (32, 32))


def same(a, b):
    return torch.equal(a.clips, b.clips) and a.prompts == b.prompts and torch.equal(a.actions, b.actions)


def test_a_batch_depends_on_its_number_and_the_seed_alone():
    one, again, other = (Stream(EVERY, ("shapes", "play"), AREA, seed) for seed in (3, 3, 4))
    batches = [one[i] for i in range(6)]
    assert all(same(again[i], batches[i]) for i in reversed(range(6)))
    assert not any(same(other[i], batches[i]) for i in range(6))
    assert [one.prompts(i) for i in range(6)] == [shots.prompts for shots in batches], "without the clips"


def test_batches_share_no_clip():
    stream = Stream(DataConfig(sides=(24,), frames=(5,)), ("shapes",), 8 * area(5, (24, 24)), 0)
    clips = [clip.numpy().tobytes() for i in range(4) for clip in stream[i].clips]
    assert len(set(clips)) == len(clips) == 32


def test_every_grid_is_drawn_and_none_is_cropped():
    generator = torch.Generator().manual_seed(0)
    grids = {EVERY.draw_grid(generator) for _ in range(600)}
    sizes = {(24, 24), (24, 32), (24, 40), (32, 24), (40, 24)}
    sizes |= {(32, 32), (32, 40), (32, 48), (32, 56), (40, 32), (48, 32), (56, 32)}
    assert grids == {(frames, size) for frames in (1, 5, 17) for size in sizes}


@pytest.mark.parametrize("name", ["tiny", "tiny-gpu", "small", "base"])
def test_the_worlds_models_are_shown_every_grid(name):
    data, (height, width) = PRESETS[name].data, PRESETS[name].model.size
    assert (min(data.frames), max(data.frames)) == (1, 33) and data.wide
    assert min(data.sides) <= 0.75 * min(height, width) and max(data.sides) >= min(height, width)
    if name.startswith("tiny"):
        assert {24, 32, 48, 64} == {*data.sides}


@pytest.mark.parametrize("squares, share", [(1, 1 / 4), (3, 3 / 6)])
def test_squares_come_as_often_as_they_stand_among_the_aspects(squares, share):
    config, generator = replace(EVERY, sides=(32,), squares=squares), torch.Generator().manual_seed(0)
    sizes = [config.draw_grid(generator)[1] for _ in range(2000)]
    assert sum(h == w for h, w in sizes) / 2000 == pytest.approx(share, abs=0.04)
    assert {w for _, w in sizes} == {h for h, _ in sizes} == {32, 40, 48, 56}


def test_batches_of_all_grids_cost_about_the_same():
    stream = Stream(replace(EVERY, most=20), ("shapes",), AREA, 0)
    counts = set()
    for i in range(12):
        count, frames, *size, _ = stream[i].clips.shape
        one = area(frames, size)
        assert abs(count * one - AREA) <= one / 2 or (count == 20 and 20 * one < AREA)
        counts.add(count)
    assert max(counts) == 20 and min(counts) < 10
    assert area(1, (24, 40)) * 5 == area(17, (24, 40)) == 5 * 24 * 40


def test_actions_stand_beside_their_clips():
    stream = Stream(DataConfig(frames=(9,)), ("play",), 4 * area(9, (32, 32)), 0)
    shots, clip = stream[2], make_clip("play", (2 << 12) + 1, (32, 32), 9)
    assert np.array_equal(shots.clips[1], clip.video) and shots.prompts[1] == clip.caption
    assert shots.actions[1].tolist() == [1 + ACTIONS.index(name) for name in clip.actions]
    assert action_numbers((), 5).tolist() == [0, 0, 0, 0]


def test_a_stretch_is_a_part_of_a_clip():
    config = DataConfig(frames=(17,))
    whole, cut = (
        Stream(config, ("play",), 5 * area(n, (32, 32)), 0, longest) for n, longest in ((17, None), (5, 5))
    )
    starts = set()
    for i in range(8):
        clips, parts = whole[i], cut[i]
        assert parts.clips.shape[:2] == (5, 5) and parts.actions.shape == (5, 4)
        start = next(s for s in range(13) if torch.equal(clips.clips[0, s : s + 5], parts.clips[0]))
        assert torch.equal(clips.actions[:, start : start + 4], parts.actions)
        starts.add(start)
    assert len(starts) > 2


def test_prompts_of_a_batch_are_all_short_or_all_long():
    stream = Stream(EVERY, ("shapes",), AREA, 0)
    kinds = set()
    for i in range(12):
        prompts = stream[i].prompts
        lengths = [len(prompt.split()) for prompt in prompts]
        assert max(lengths) < 15 or min(lengths) >= 60
        kinds.add(min(lengths) >= 60)
        assert all(prompt == prompt.lower() for prompt in prompts)
    assert kinds == {True, False}


def test_stored_batches_come_again_in_another_order():
    stream = Stream(DataConfig(sides=(24,), frames=(1,)), ("shapes-simple",), 576, 0)
    stored = Stored(stream, 5, change=lambda shots: shots.prompts[0])
    rounds = [[stored[5 * turn + i] for i in range(5)] for turn in range(3)]
    assert all(sorted(r) == sorted(stream[i].prompts[0] for i in range(5)) for r in rounds)
    assert len({tuple(r) for r in rounds}) == 3 and stored[7] == rounds[1][2]
    fresh = Stored(stream, 5, change=lambda shots: shots.prompts[0])
    assert list(batches(fresh, range(5, 8), workers=2)) == rounds[1][:3], "made once, not by each worker"
    assert "batches" in vars(fresh)


def test_what_is_kept_is_not_in_shared_memory():
    stream = Stream(DataConfig(sides=(24,), frames=(1,)), ("shapes-simple",), 576, 0)
    kept = [Stored(stream, 2)[0], *batches(Replayed(stream, 2, 2), range(2), workers=1)]
    fresh = next(iter(batches(stream, [0], workers=1)))
    assert fresh.clips.is_shared() and not any(s.clips.is_shared() or s.actions.is_shared() for s in kept)


def test_a_worker_frees_nothing_that_was_there_before(tmp_path):
    class Noted:  # as what is on a GPU, which another process cannot free
        def __init__(self):
            self.own = self

        def __del__(self):
            (tmp_path / str(os.getpid())).touch()

    class Collected:
        def __getitem__(self, index):
            return gc.collect()

    gc.disable()
    Noted()
    try:
        list(batches(Collected(), range(2), 1))
        assert not list(tmp_path.iterdir())
        gc.collect()
    finally:
        gc.enable()
    assert [path.name for path in tmp_path.iterdir()] == [str(os.getpid())]


def test_each_process_stores_what_it_asks_for(monkeypatch):
    stream = Stream(DataConfig(sides=(24,), frames=(1,)), ("shapes-simple",), 576, 0)
    made, asked = [], []
    for rank in range(2):
        monkeypatch.setattr(parallel, "place", lambda rank=rank: (rank, 2))
        stored = Stored(stream, 5, change=lambda shots: shots.prompts[0])  # 6, as each makes as many
        asked += [stored[index] for index in range(rank, 12, 2)]
        made.append(stored.batches)
    assert made == [[stream[i].prompts[0] for i in range(rank, 6, 2)] for rank in range(2)]
    assert sorted(asked) == sorted(2 * (made[0] + made[1]))


def test_a_course_shows_one_part_after_another():
    course = Course([(2, "ab"), (3, "cde"), (1, "f")])
    assert "".join(batches(course, range(6), workers=0)) == "abcdef"
    assert "".join(batches(course, range(1, 6, 2), workers=0)) == "bdf", "what one of two processes takes"


@pytest.mark.parametrize("ranks", [1, 2])
def test_replayed_batches_come_again_while_new_ones_are_made(ranks, monkeypatch):
    monkeypatch.setattr(parallel, "place", lambda: (ranks - 1, ranks))
    stream = Stream(DataConfig(sides=(24,), frames=(1,)), ("shapes-simple",), 576, 0)
    steps = range(ranks - 1, 40 * ranks, ranks)
    new, changed = [stream[i].prompts[0] for i in steps[:10]], []

    def change(shots):
        changed.append(shots.prompts[0])
        return shots.prompts[0]

    def shown(steps, workers=0):
        return list(batches(Replayed(stream, 3, 4, change), steps, workers))

    every = shown(steps)
    assert every[::4] == new, "each fourth is a new one"
    assert changed == new, "each is changed once, however often it is shown"
    for i in range(40):
        assert every[i] in new[max(0, i // 4 - 2) : i // 4 + 1], "the others are of the newest three"
    assert set(every[8:12]) > {new[2]}, "not one of them alone"
    assert shown(steps, workers=2) == every
    for done in (1, 4, 22):
        assert shown(steps[done:]) == every[done:], "a run that goes on is shown the same"
    assert shown([]) == []

    def course(steps):
        parts = [(20 * ranks, Replayed(stream, 3, 4, change)), (20 * ranks, Replayed(stream, 2, 3, change))]
        return list(batches(Course(parts), steps, workers=0))

    every = course(steps)
    for done in (7, 20, 26):
        assert course(steps[done:]) == every[done:], "in a course, too"


WIDE = {"sides": (296,), "wide": True}  # up to 520 pixels


@pytest.mark.parametrize(
    "setting", [{"sides": (20,)}, {"sides": (28,)}, {"frames": (4,)}, {"frames": (0,)}, WIDE]
)
def test_impossible_grids_are_refused(setting):
    with pytest.raises(UserError):
        DataConfig(**setting)

import numpy as np
import pytest

from data_gen import WorldError, displacements, make_batch
from data_gen.board import BACK
from data_gen.verify import blurred

CLIPS = make_batch("play", range(6), frames=9, split="test")


def test_true_actions_lead_where_they_do():
    for clip in (CLIPS[i] for i in range(6)):
        right = displacements(clip.video, clip.actions)
        assert right.shape == (8,) and right.dtype == bool and right.all()


def test_rough_pictures_are_read_too():
    rng = np.random.default_rng(0)
    assert all(displacements(blurred(CLIPS[i].video, rng), CLIPS[i].actions).all() for i in range(3))


def test_the_other_way_is_wrong_where_the_agent_moved_far_enough():
    wrong = 0
    for clip in (CLIPS[i] for i in range(6)):
        place = clip.truth["bodies"][0]["position"]
        moved = np.abs(np.diff(place, axis=0)).max(1) > 2.5 / 32
        other = displacements(clip.video, [BACK.get(action, "up") for action in clip.actions])
        assert not other[moved].any()
        wrong += moved.sum()
    assert wrong > 10


@pytest.mark.parametrize("frame", [0, 4])
def test_one_mistake_is_one_mistake(frame):
    clip = next(CLIPS[i] for i in range(6) if len(set(CLIPS[i].actions)) > 1)
    video = clip.video.copy()
    video[frame] = np.median(clip.video, (0, 1, 2)).astype(np.uint8)  # an empty frame
    right = displacements(video, clip.actions)
    assert np.flatnonzero(~right).tolist() == [t for t in (frame - 1, frame) if t >= 0]


def test_a_clip_without_an_agent_has_no_right_moves():
    empty = np.full((5, 32, 32, 3), 20, np.uint8)
    assert displacements(empty, ("up",) * 4).tolist() == [False] * 4


@pytest.mark.parametrize("actions", [("up",) * 3, ("up",) * 5, ("jump",) * 4, ([1],) * 4, None, 4])
def test_actions_that_cannot_be_are_refused(actions):
    with pytest.raises(WorldError, match="4 actions between them"):
        displacements(np.full((5, 32, 32, 3), 20, np.uint8), actions)
    with pytest.raises(WorldError, match="a video"):
        displacements(None, actions)

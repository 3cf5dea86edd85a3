"""data_gen.physics: hand-computed cases, conservation, mirrors; and the checker that simulates."""

import numpy as np
import pytest

from data_gen import WorldError, check, make_clip
from data_gen.families import bounce
from data_gen.families.phyworld import FALL, FRAMES, RATE, velocity_errors
from data_gen.flight import _descend, replay
from data_gen.physics import energy, simulate, trajectory


def test_a_ball_bounces_off_a_wall_at_the_time_that_it_should():
    flights, events = simulate([(0.5, 0.4)], [(0.4, 0.0)], [0.1], 2.0, window=(1.0, 1.3))
    assert [(round(t, 9), what, i, side) for t, what, i, side in events] == [(1.75, "hits", 0, "right wall")]
    place, velocity = trajectory(flights, [0.0, 1.75, 2.0])
    np.testing.assert_allclose(place[0, :, 0], [0.5, 1.2, 1.1])
    np.testing.assert_allclose(velocity[0, -1], [-0.4, 0])


def test_a_ball_falls_and_leaves_the_share_of_speed_that_it_should():
    flights, events = simulate(
        [(0.5, 0.4)], [(0.0, 0.0)], [0.1], 2.0, (1.0, 1.0), gravity=1.0, restitution=0.7
    )
    time, _, _, side = events[0]
    assert side == "floor" and time == pytest.approx(1.0)  # 0.5 = t^2 / 2
    _, velocity = trajectory(flights, [time - 1e-9, time + 1e-9])
    np.testing.assert_allclose(velocity[0, :, 1], [1.0, -0.7], atol=1e-6)


def test_equal_balls_swap_velocities_and_heavy_ones_hardly_care():
    flights, events = simulate([(0.2, 0.5), (0.8, 0.5)], [(0.3, 0), (-0.1, 0)], [0.1, 0.1], 3.0)
    assert [event[1:] for event in events] == [("meets", 0, 1)] and events[0][0] == pytest.approx(1.0)
    np.testing.assert_allclose(trajectory(flights, [2.0])[1][:, 0, 0], [-0.1, 0.3])
    flights, _ = simulate([(0.2, 0.5), (0.8, 0.5)], [(0.3, 0), (0.0, 0)], [0.2, 0.02], 3.0)
    np.testing.assert_allclose(trajectory(flights, [3.0])[1][:, 0, 0], [0.3 * 99 / 101, 0.6 * 100 / 101])


def test_inelastic_collisions_keep_momentum_but_not_energy():
    radii, window = [0.1, 0.14], None
    flights, _ = simulate([(0.2, 0.5), (0.8, 0.55)], [(0.3, 0), (-0.1, 0)], radii, 3.0, window, 0.0, 0.5)
    place, velocity = trajectory(flights, [0.0, 3.0])
    momentum = (np.array(radii)[:, None, None] ** 2 * velocity).sum(0)
    np.testing.assert_allclose(momentum[0], momentum[1], atol=1e-15)
    before, after = energy(place, velocity, radii)
    assert after < 0.9 * before


@pytest.mark.parametrize("gravity", [0.0, 1.0])
def test_elastic_energy_is_kept_for_a_minute_and_nothing_overlaps(gravity):
    rng, radii = np.random.default_rng(0), np.array([0.08, 0.1, 0.13])
    places = [(0.2, 0.2), (0.7, 0.25), (0.4, 0.7)]
    flights, events = simulate(places, rng.random((3, 2)) - 0.5, radii, 60, (1.0, 1.0), gravity)
    place, velocity = trajectory(flights, np.arange(0, 60, 1 / 8))
    total = energy(place, velocity, radii, gravity)
    assert len(events) > 100 and np.abs(total / total[0] - 1).max() < 1e-9
    for i in range(3):
        assert place[i].min() > radii[i] - 1e-9 and place[i].max() < 1 - radii[i] + 1e-9
        for j in range(i):
            assert np.hypot(*(place[i] - place[j]).T).min() > radii[i] + radii[j] - 1e-9


def test_an_inelastic_ball_comes_to_rest():
    flights, events = simulate([(0.5, 0.4)], [(0.02, 0.0)], [0.1], 60, (1.0, 1.0), 1.0, 0.6)
    place, velocity = trajectory(flights, [20.0])
    assert len(events) < 20 and place[0, 0, 1] == pytest.approx(0.9) and velocity[0, 0, 1] == 0


def test_a_mirrored_scene_gives_the_mirrored_clip():
    for seed in range(8):
        clip = make_clip("bounce", seed, (32, 40))
        other = bounce.render([bounce.mirror(clip.scene)], (32, 40))[0]
        assert np.abs(other.astype(int) - clip.video[:, :, ::-1]).max() <= 1


def test_replay_finds_the_flight_and_what_is_none():
    flights, events = simulate([(0.3, 0.4)], [(0.6, 0.1)], [0.1], 2.0, (1.0, 1.0), 1.0)
    places = trajectory(flights, np.arange(17) / 8)[0]
    off, seen, velocities = replay(places, [0.1], (1.0, 1.0), 1.0, 1.0)
    assert off.max() < 0.01 and [event[1:] for event in seen] == [tuple(event[1:]) for event in events]
    np.testing.assert_allclose(velocities[0], (0.6, 0.1), atol=0.03)
    places[:, 9:] += 0.2
    assert replay(places, [0.1], (1.0, 1.0), 1.0, 1.0)[0].max() > 0.05


def test_phyworld_has_its_units():
    clip = make_clip("bounce-parabola", 0, (64, 64), 33)
    (body,) = clip.truth["bodies"]
    acceleration = np.diff(body["velocity"], axis=0) * 8
    np.testing.assert_allclose(acceleration[:, 1], FALL)
    # 2.5 units per second squared, 0.1 s a frame, 10 units in the window: seen in frames and windows
    np.testing.assert_allclose(np.diff(body["position"][:, 1], 2), 2.5 * 0.1**2 / 10, rtol=1e-6)
    for split, low, high in (("train", 1, 4), ("heldout", 0, 6)):
        speeds = [
            abs(make_clip("bounce-uniform", s, split=split).scene.bodies[0].velocity[0]) for s in range(50)
        ]
        assert min(speeds) >= low * RATE and max(speeds) <= high * RATE
        inside = [RATE <= speed <= 4 * RATE for speed in speeds]
        assert all(inside) if split == "train" else not any(inside)


def test_velocity_errors_are_in_phyworlds_units():
    place = np.stack([np.arange(FRAMES) * 0.02, np.zeros(FRAMES)], -1)  # 2 units per second
    assert velocity_errors(place, place) == (0.0, pytest.approx(0))
    per_frame, mean = velocity_errors(place * 1.5, place)
    assert per_frame == pytest.approx(1.0) and mean == pytest.approx(1.0)
    shaken = place + np.array([(0.001, 0), (-0.001, 0)] * (FRAMES // 2))
    per_frame, mean = velocity_errors(shaken, place)
    assert per_frame == pytest.approx(0.2) and mean < 0.01


def test_piles_are_refused():
    with pytest.raises(WorldError, match="lie on one another"):
        places = [(0.5, 0.9), (0.5, 0.65), (0.5, 0.4)]
        simulate(places, [(0, 0.0)] * 3, [0.1] * 3, 60, (1.0, 1.0), 1.0, 0.5)


def test_a_fit_survives_directions_that_are_alike():
    """Where balls come to rest, several numbers of their state have the same effect."""
    error, state = _descend(
        lambda s: np.full(2, 1e6 * (s.sum() - 1)), np.zeros((1, 3)), np.full(2, -1e6), 1e-12
    )
    assert error < 1e-3 and state.sum() == pytest.approx(1)


@pytest.mark.parametrize("seed", [0, 4, 7])
def test_who_has_left_the_frame_is_met_by_nobody(seed):
    clip = make_clip("bounce-collision", seed, (64, 64), 33, "test")
    report = check(clip.video, clip.facts)
    assert report.ok, report.why

"""The filter over many boxes at once, against a plain one with matrices of one track."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mmreason.grounding.tracking.kalman import (
    FIRST_SPEED_SIZES,
    GROWTH_SIZES,
    MOTION_SIZES,
    OBSERVATION_SIZES,
    KalmanStates,
    predict_states,
    replay_gap,
    start_states,
    to_centres,
    update_states,
)

rng = np.random.default_rng(0)


def random_boxes(count: int) -> np.ndarray:
    corner = rng.uniform(0, 300, (count, 2))
    return np.concatenate((corner, corner + rng.uniform(2, 90, (count, 2))), axis=1)


def filter_plainly(boxes_px: np.ndarray, steps_s: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """One track by the textbook: eight numbers (four values, four velocities), full matrices."""

    def size_of(values: np.ndarray) -> float:
        return float(np.sqrt(max(values[2], 1.0) * max(values[3], 1.0)))

    first = to_centres(boxes_px[:1])[0]
    size = size_of(first)
    x = np.concatenate((first, np.zeros(4)))
    speed = np.array([FIRST_SPEED_SIZES] * 2 + [GROWTH_SIZES] * 2) * size
    p = np.diag(np.concatenate((np.full(4, (OBSERVATION_SIZES * size) ** 2), speed**2)))
    h = np.eye(4, 8)
    for box_px, step_s in zip(boxes_px[1:], steps_s, strict=True):
        f = np.eye(8) + step_s * np.eye(8, k=4)
        power = np.diag((np.array([MOTION_SIZES] * 2 + [GROWTH_SIZES] * 2) * size_of(x)) ** 2)
        q = np.block([
            [power * step_s**3 / 3, power * step_s**2 / 2],
            [power * step_s**2 / 2, power * step_s],
        ])  # fmt: skip
        x, p = f @ x, f @ p @ f.T + q
        z = to_centres(box_px[None])[0]
        r = np.eye(4) * (OBSERVATION_SIZES * size_of(z)) ** 2
        gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + r)
        x, p = x + gain @ (z - h @ x), (np.eye(8) - gain @ h) @ p
    return x, p


def test_many_tracks_at_once_equal_a_plain_filter_of_each():
    tracks, steps_s = 5, [0.04, 0.2, 1.0, 0.1]
    boxes = np.stack([random_boxes(len(steps_s) + 1) for _ in range(tracks)], axis=1)
    states = start_states(boxes[0])
    for observed, step_s in zip(boxes[1:], steps_s, strict=True):
        states = update_states(predict_states(states, step_s), observed)
    for track in range(tracks):
        x, p = filter_plainly(boxes[:, track], steps_s)
        np.testing.assert_allclose(states.mean[track].T.ravel(), x, rtol=1e-9, atol=1e-9)
        order = [0, 4, 1, 5, 2, 6, 3, 7]
        blocks = p[np.ix_(order, order)]
        expected = np.stack([blocks[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] for i in range(4)])
        np.testing.assert_allclose(states.covariance[track], expected, rtol=1e-7, atol=1e-9)


def test_even_motion_is_predicted_over_uneven_times():
    box, velocity = np.array([0.0, 0.0, 20.0, 20.0]), np.array([30.0, -10.0, 30.0, -10.0])
    times_s = [0.0, 0.1, 0.15, 0.4, 0.5, 0.8, 0.9, 1.3]
    states = start_states(box[None])
    for earlier_s, time_s in pairwise(times_s):
        moved = (box + velocity * time_s)[None]
        states = update_states(predict_states(states, time_s - earlier_s), moved)
    expected = box + velocity * 2.0
    np.testing.assert_allclose(predict_states(states, 0.7).boxes_px[0], expected, atol=1.0)


def test_two_half_steps_are_one_step():
    states = start_states(random_boxes(3))
    once, twice = predict_states(states, 0.4), predict_states(predict_states(states, 0.2), 0.2)
    np.testing.assert_allclose(once.mean, twice.mean)
    np.testing.assert_allclose(once.covariance, twice.covariance)


def test_a_gap_is_gone_through_again_on_a_straight_way():
    first, last = np.array([0.0, 0.0, 20.0, 20.0]), np.array([60.0, 0.0, 80.0, 20.0])
    # It was believed to go the other way when it was lost.
    wrong = start_states(first[None])
    wrong.mean[0, 0, 1] = -500.0
    again = replay_gap(wrong, np.linspace(0, 2, 11), first, last)
    assert again.mean[0, 0, 1] == pytest.approx(30.0, rel=0.2)


def test_boxes_of_no_size_stay_finite():
    states = start_states(np.zeros((1, 4)))
    for _ in range(50):
        states = update_states(predict_states(states, 0.04), np.zeros((1, 4)))
    assert np.isfinite(states.mean).all() and np.isfinite(states.covariance).all()
    assert isinstance(states, KalmanStates)

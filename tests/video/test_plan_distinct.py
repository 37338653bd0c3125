"""Look-alikes are dropped: the first of a run stays and says what it stands for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.video import plan


def turn(degrees: list[float]) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_the_first_of_each_run_stays_and_a_slow_change_ends_a_run() -> None:
    frames = plan.distinct(turn([0, 10, 20, 30, 40, 90, 0]), np.arange(7.0), 0.1)
    # 1 - cos 25.8 degrees = 0.1
    assert frames.kept == (0, 3, 5, 6)
    assert frames.kept_for == (0, 0, 0, 3, 3, 5, 6)
    assert frames.stands_for(3) == (3, 4)


def test_a_shot_that_comes_back_is_dropped_on_request_and_the_nearest_stands_for_it() -> None:
    frames = plan.distinct(turn([0, 90, 5, 80]), np.arange(4.0), 0.1, everywhere=True)
    assert frames.kept == (0, 1) and frames.kept_for == (0, 1, 0, 1)


@given(st.lists(st.floats(0, 180), max_size=20), st.floats(0.001, 1), st.booleans())
def test_kept_frames_differ_and_each_dropped_one_is_near_who_stands_for_it(
    degrees: list[float], least_distance: float, everywhere: bool
) -> None:
    points = turn(degrees) if degrees else np.zeros((0, 2))
    frames = plan.distinct(points, np.arange(len(points)), least_distance, everywhere=everywhere)
    distances = 1 - points @ points.T
    for i, j in enumerate(frames.kept_for):
        assert i == j if i in frames.kept else distances[i, j] < least_distance + 1e-8
    for a, b in zip(frames.kept, frames.kept[1:], strict=False):
        assert distances[a, b] >= least_distance - 1e-8
    assert sorted(i for k in frames.kept for i in frames.stands_for(k)) == list(range(len(points)))


def test_a_distance_of_nothing_drops_nothing() -> None:
    assert plan.distinct([[1, 0], [1, 0]], [0, 1], 0).kept == (0, 1)


@pytest.mark.parametrize(
    ("embeddings", "times_s", "least_distance", "message"),
    [
        ([[1, 0]], [0, 1], 0.1, "as long as each other"),
        ([[1, 0], [0, 1]], [1, 0], 0.1, "later than the one before"),
        ([[float("nan"), 0]], [0], 0.1, "finite"),
        ([1, 0], [0, 1], 0.1, "one row a candidate"),
        ([[1, 0]], [0], float("nan"), "0..2"),
        ([[1, 0]], [0], -1, "0..2"),
    ],
)
def test_what_is_no_input_is_refused(
    embeddings: list, times_s: list, least_distance: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plan.distinct(embeddings, times_s, least_distance)

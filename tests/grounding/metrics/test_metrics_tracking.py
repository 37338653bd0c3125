"""Who is who through time, against scores that try every assignment."""

from __future__ import annotations

import numpy as np
import pytest

from mmreason.grounding import Box, Tube
from mmreason.grounding.metrics.tracking import ALPHAS, score_tracks
from tests.grounding.metrics.reference import slow_hota_at, slow_identity_f1

TIMES = [round(0.2 * i, 6) for i in range(6)]
A, B = Box(0, 0, 10, 10), Box(50, 0, 60, 10)


def random_tubes(rng: np.random.Generator, count: int) -> list[Tube]:
    """Boxes about four places, absent now and then, that change places now and then."""
    tubes = []
    for _ in range(count):
        boxes = []
        for _ in TIMES:
            x, y = rng.integers(0, 2, 2) * 4 + rng.uniform(0, 2, 2)
            boxes.append(None if rng.random() < 0.25 else Box(x, y, x + 6, y + 6))
        tubes.append(Tube.from_boxes(TIMES, boxes))
    return tubes


def test_hota_and_idf1_equal_those_that_try_every_assignment() -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        truths, predictions = random_tubes(rng, 3), random_tubes(rng, 2)
        scores = score_tracks([(truths, predictions)])
        for number in (1, 7, 12):
            expected = slow_hota_at(truths, predictions, TIMES, ALPHAS[number])
            assert scores.hota_at[number] == pytest.approx(expected)
        assert scores.idf1 == pytest.approx(slow_identity_f1(truths, predictions, TIMES))


def test_a_switch_is_counted_once_and_lowers_association_alone() -> None:
    truths = [Tube.from_boxes(TIMES, [A] * 6), Tube.from_boxes(TIMES, [B] * 6)]
    swapped = [
        Tube.from_boxes(TIMES, [A] * 3 + [B] * 3),
        Tube.from_boxes(TIMES, [B] * 3 + [A] * 3),
    ]
    scores = score_tracks([(truths, swapped)])
    assert (scores.switches, scores.misses, scores.false_alarms) == (2, 0, 0)
    assert (scores.det_a, scores.ass_a) == (1.0, pytest.approx(1 / 3))
    assert scores.idf1 == 0.5
    assert scores.mota == pytest.approx(1 - 2 / 12)


def test_an_object_that_comes_back_under_another_name_is_a_switch() -> None:
    truth = Tube.from_boxes(TIMES, [A, A, None, None, A, A])
    first = Tube.from_boxes(TIMES[:2], [A] * 2)
    second = Tube.from_boxes(TIMES[4:], [A] * 2)
    scores = score_tracks([([truth], [first, second])])
    assert (scores.switches, scores.misses, scores.idf1) == (1, 0, 0.5)


def test_misses_and_false_alarms_are_counted_in_boxes() -> None:
    truth = Tube.from_boxes(TIMES, [A] * 6)
    half = Tube.from_boxes(TIMES[:4], [A] * 4)
    ghost = Tube.from_boxes(TIMES[:1], [B])
    scores = score_tracks([([truth], [half, ghost]), ([truth], [])])
    assert (scores.misses, scores.false_alarms, scores.true_boxes) == (8, 1, 12)


def test_videos_are_put_together_by_their_boxes() -> None:
    truth, half = Tube.from_boxes(TIMES, [A] * 6), Tube.from_boxes(TIMES[:3], [A] * 3)
    both = score_tracks([([truth], [truth]), ([truth], [half])])
    # 9 of 12 boxes; association 6 of 6 for six of them and 3 of 6 for three.
    assert both.det_a == pytest.approx(9 / 12)
    assert both.ass_a == pytest.approx((6 * 1 + 3 * 0.5) / 9)


def test_nothing_to_be_seen_is_no_number() -> None:
    scores = score_tracks([([Tube.from_boxes(TIMES, [None] * 6)], [])])
    assert np.isnan([scores.hota, scores.idf1, scores.mota]).all()


def test_tubes_on_other_frames_are_refused_with_their_video() -> None:
    truth = Tube.from_boxes(TIMES, [A] * 6)
    between = Tube.from_boxes([0.1, 0.3], [A, A])
    with pytest.raises(ValueError, match=r"video 1: a tube has a box at 0.1 s.*resample"):
        score_tracks([([truth], [truth]), ([truth], [between])])
    every_other = Tube.from_boxes(TIMES[::2], [A] * 3)
    with pytest.raises(ValueError, match=r"3 frames of the 5 from 0 to 0.8 s"):
        score_tracks([([truth], [every_other])])

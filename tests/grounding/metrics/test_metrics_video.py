"""Overlap of tubes, and the traps that published code fell into."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings

from mmreason.grounding import Box, Grounding, GroundingStatus, Target, Tube
from mmreason.grounding.metrics.video import (
    absent_frame_score,
    identify_tube,
    score_tubes,
    scored_tube,
    siou,
    tube_tiou,
    viou,
)
from tests.grounding.metrics.reference import slow_tiou, slow_viou
from tests.grounding.metrics.strategies import tube_strategy

BOX = Box(0, 0, 8, 8)


def tube_of(first: int, last: int, *, frames: int = 10, rate_hz: float = 5.0) -> Tube:
    """Present in frames `first` to `last`."""
    boxes = [BOX if first <= i <= last else None for i in range(frames)]
    return Tube.from_boxes([i / rate_hz for i in range(frames)], boxes)


@settings(max_examples=40)
@given(tube_strategy(), tube_strategy())
def test_overlap_of_tubes_equals_that_written_out_frame_by_frame(a: Tube, b: Tube) -> None:
    assert viou(a, b) == pytest.approx(slow_viou(a, b), abs=1e-12)
    assert tube_tiou(a, b) == pytest.approx(slow_tiou(a, b), abs=1e-12)


@settings(max_examples=40)
@given(tube_strategy(), tube_strategy())
def test_overlap_of_tubes_is_that_of_the_tube_itself(a: Tube, b: Tube) -> None:
    # `Tube.iou` also takes other clocks, and fills in; on one clock both are the same number.
    assert viou(a, b) == pytest.approx(a.iou(b), abs=1e-12)


@settings(max_examples=40)
@given(tube_strategy(), tube_strategy())
def test_trap_1_viou_is_over_the_union_symmetric_and_never_above_tiou(a: Tube, b: Tube) -> None:
    for clock in ("frames", "seconds"):
        assert viou(a, b, clock) == pytest.approx(viou(b, a, clock), abs=1e-12)
        assert viou(a, b, clock) <= tube_tiou(a, b, clock) + 1e-12
    seen_a = [(t, a.at(t, 1e-6)) for t in a.times_s if a.at(t, 1e-6)]
    seen_b = [(t, b.at(t, 1e-6)) for t in b.times_s if b.at(t, 1e-6)]
    has_area = all(box is not None and box.area_px2 for _, box in seen_a)
    assert (viou(a, b) == 1) == (bool(seen_a) and seen_a == seen_b and has_area)


def test_trap_1_the_union_ends_where_the_later_tube_ends() -> None:
    # With the earlier end for the end of the union both score 4 of 4.
    assert viou(tube_of(0, 3), tube_of(0, 9)) == pytest.approx(0.4)
    assert viou(tube_of(0, 3), tube_of(2, 5)) == pytest.approx(2 / 6)


def test_trap_4_tubes_on_two_clocks_are_refused_and_not_scored_0() -> None:
    seconds = tube_of(0, 9)
    counted_from_one = Tube.from_boxes([float(i + 1) for i in range(10)], [BOX] * 10)
    half_rate = tube_of(0, 4, frames=5, rate_hz=2.5)
    for other in (counted_from_one, half_rate):
        with pytest.raises(ValueError, match=r"different clocks.*resample"):
            viou(seconds, other)


def test_a_tube_is_absent_before_its_first_and_after_its_last_frame() -> None:
    short = Tube.from_boxes([0.4, 0.6], [BOX, BOX])
    assert viou(short, tube_of(0, 9)) == pytest.approx(0.2)
    assert viou(Tube.from_boxes([], []), tube_of(0, 9)) == 0


def test_times_rounded_to_the_millisecond_are_the_same_frames() -> None:
    exact = Tube.from_boxes([i / 30 for i in range(9)], [BOX] * 9)
    rounded = Tube.from_boxes([round(i / 30, 3) for i in range(9)], [BOX] * 9)
    assert viou(exact, rounded) == 1


def test_seconds_weigh_a_frame_by_how_long_it_is_shown() -> None:
    # Shown for 1, 3 and 2 seconds (the last as long as the median).
    times_s = [0.0, 1.0, 4.0]
    truth = Tube.from_boxes(times_s, [BOX, BOX, BOX])
    predicted = Tube.from_boxes(times_s, [None, BOX, None])
    assert viou(predicted, truth, "frames") == pytest.approx(1 / 3)
    assert viou(predicted, truth, "seconds") == pytest.approx(1 / 2)


def test_where_given_when_does_not_ask_when() -> None:
    truth, long = tube_of(3, 5), tube_of(0, 9)
    assert siou(long, truth) == 1 and viou(long, truth) == pytest.approx(0.3)
    assert siou(tube_of(3, 3), truth) == pytest.approx(1 / 3)


def test_boxes_where_the_target_is_not_to_be_seen_lower_the_absent_frame_score() -> None:
    truth = tube_of(3, 5)
    assert absent_frame_score(truth, truth) == 1
    assert absent_frame_score(tube_of(0, 9), truth) == 0
    assert absent_frame_score(tube_of(0, 3), truth) == pytest.approx(4 / 7)
    assert math.isnan(absent_frame_score(truth, tube_of(0, 9)))
    # A frame that the truth does not cover is neither right nor wrong.
    later = Tube.from_boxes([9.0], [BOX])
    assert absent_frame_score(later, truth) == 1


def test_viou_at_r_is_strict_as_in_the_literature() -> None:
    half = Tube.from_boxes([0.0, 0.2], [BOX, None])
    whole = Tube.from_boxes([0.0, 0.2], [BOX, BOX])
    scores = score_tubes([half, whole], [whole, whole])
    assert scores.viou_at[0.5].value == 0.5
    assert scores.viou_at[0.3].value == 1


def test_trap_9_a_failed_row_counts_as_0_also_where_nothing_is_to_be_said() -> None:
    truth, nowhere, silent = tube_of(3, 5), tube_of(-1, -1), Tube.from_boxes([], [])
    scores = score_tubes(
        [truth, None, None, silent, truth, silent],
        [truth, truth, nowhere, nowhere, nowhere, truth],
        ["a", "a", "b", "b", "c", "c"],
    )
    assert (scores.m_viou.value, scores.m_viou.n) == (pytest.approx(1 / 3), 3)
    assert (scores.n_acc.value, scores.n_acc.n) == (pytest.approx(1 / 3), 3)
    assert scores.t_acc.value == pytest.approx(1 / 3)
    # Right in all frames twice, in 7 of 10 once, silent once; failures twice 0.
    assert scores.absent_frames.value == pytest.approx((1 + 0 + 0 + 1 + 0.7 + 1) / 6)
    assert scores.without_tube == 2
    assert scores.vious.tolist() == [1, 0, 0, 0, 0, 0]


def test_the_row_that_is_on_another_clock_is_named() -> None:
    with pytest.raises(ValueError, match="row 1: two tubes on different clocks"):
        score_tubes([tube_of(0, 3), tube_of(0, 3, rate_hz=3)], [tube_of(0, 3)] * 2)


def test_what_a_result_is_scored_by() -> None:
    tube = tube_of(0, 3)
    found = Grounding(status=GroundingStatus.FOUND, targets=(Target(tube=tube),))
    assert scored_tube(found) is tube
    none = scored_tube(Grounding(status=GroundingStatus.NONE))
    assert none is not None and not len(none)
    for status in (GroundingStatus.UNPARSED, GroundingStatus.ERROR):
        assert scored_tube(Grounding(status=status)) is None


def test_a_tube_is_meant_for_the_object_that_it_follows_most() -> None:
    target, twin = (
        tube_of(0, 9),
        Tube.from_boxes([i / 5 for i in range(10)], [Box(20, 0, 28, 8)] * 10),
    )
    # On the target for four frames, then on its twin.
    boxes = [(target if i < 4 else twin).at(i / 5) for i in range(10)]
    switched = Tube.from_boxes([i / 5 for i in range(10)], boxes)
    assert identify_tube(switched, [target, twin], 0, hard=[1]) == "hard distractor"
    assert identify_tube(target, [target, twin], 0) == "correct"
    assert identify_tube(tube_of(-1, -1), [target, twin], 0) == "no box"
    assert identify_tube(None, [target, twin], 0) == "no box"

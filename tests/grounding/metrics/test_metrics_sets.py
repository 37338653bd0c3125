"""Several targets, one, or none: boxes, masks, concepts, and spans."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import Box, Mask, iou, tiou
from mmreason.grounding.metrics.box_sets import (
    average_precision,
    box_f1,
    concept_scores,
    grec_scores,
)
from mmreason.grounding.metrics.segmentation import (
    boundary_f,
    gres_scores,
    jf_of_track,
    region_j,
    score_mask_tracks,
)
from mmreason.grounding.metrics.spans import score_spans
from mmreason.video.types import Span
from tests.grounding.metrics.reference import slow_boundary_f
from tests.grounding.metrics.strategies import box_strategy

LEFT, RIGHT = Box(0, 0, 10, 10), Box(50, 0, 60, 10)
MASK_ARRAYS = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=5, max_size=5).map(
    lambda rows: np.array(rows, bool)
)


def mask_of(*pixels: tuple[int, int], size: tuple[int, int] = (4, 4)) -> Mask:
    array = np.zeros(size, bool)
    for y, x in pixels:
        array[y, x] = True
    return Mask.from_array(array)


def test_a_row_of_grec_is_right_with_all_targets_and_no_box_more() -> None:
    truths = [[LEFT, RIGHT]] * 4
    predictions = [[RIGHT, LEFT], [LEFT], [LEFT, RIGHT, Box(80, 0, 90, 9)], [LEFT, LEFT]]
    assert grec_scores(predictions, truths).correct.tolist() == [True, False, False, False]


def test_boxes_below_the_score_of_grec_are_no_answer() -> None:
    scores = grec_scores([[LEFT], [LEFT]], [[], [LEFT]], [[0.69], [0.7]])
    assert scores.correct.tolist() == [True, True]
    assert (scores.n_acc, scores.t_acc) == (1.0, 1.0)


def test_trap_9_a_row_that_was_not_understood_is_no_refusal() -> None:
    rows = grec_scores([[], []], [[], []], unanswered=[True, False])
    assert rows.correct.tolist() == [False, True]
    assert rows.n_acc == 0.5 and math.isnan(rows.t_acc)


@settings(max_examples=40)
@given(st.lists(box_strategy(), max_size=3), st.lists(box_strategy(), max_size=3))
def test_box_f1_equals_that_written_out(predicted: list[Box], true: list[Box]) -> None:
    if not predicted or not true:
        expected = float(predicted == true)
    else:
        recall = np.mean([max(iou(a, b) for a in predicted) for b in true])
        precision = np.mean([max(iou(a, b) for b in true) for a in predicted])
        total = recall + precision
        expected = 2 * recall * precision / total if total else 0.0
    assert box_f1(predicted, true) == pytest.approx(expected)


def test_box_f1_matches_boxes_of_the_same_class_only() -> None:
    assert box_f1([LEFT], [LEFT], (["cat"], ["dog"])) == 0
    assert box_f1([LEFT], [LEFT], (["cat"], ["cat"])) == 1


def test_concepts_are_scored_for_finding_and_for_being_there() -> None:
    found, missed = np.array([[0.72]]), np.zeros((0, 1))
    absent, false_alarm = np.zeros((0, 0)), np.zeros((1, 0))
    scores = concept_scores([found, missed, absent, false_alarm])
    # Of two instances one is found at .50 to .70: five of ten thresholds, F1 = 2 / 3 each.
    assert scores.positive_f1 == pytest.approx(0.5 * 2 / 3)
    assert scores.presence_mcc == 0
    right = concept_scores([found, absent])
    assert (right.presence_mcc, right.cg_f1) == (1.0, pytest.approx(0.5))


def test_average_precision_of_a_known_ranking() -> None:
    # Best first: hit, false alarm, hit, of two: precision 1 up to recall .5, then 2 / 3.
    far = Box(80, 80, 90, 90)
    value = average_precision([[LEFT, far, RIGHT]], [[0.9, 0.8, 0.7]], [[LEFT, RIGHT]])
    assert value == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert math.isnan(average_precision([[LEFT]], [[0.9]], [[]]))


@settings(max_examples=40)
@given(MASK_ARRAYS, MASK_ARRAYS, st.sampled_from([0.05, 0.15, 0.3]))
def test_the_boundary_score_equals_that_written_out_pixel_by_pixel(
    a: np.ndarray, b: np.ndarray, tolerance: float
) -> None:
    radius_px = math.ceil(tolerance * math.hypot(*a.shape))
    expected = slow_boundary_f(a, b, radius_px)
    assert boundary_f(a, b, tolerance=tolerance) == pytest.approx(expected)
    assert boundary_f(b, a, tolerance=tolerance) == pytest.approx(expected)


def test_masks_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="must have its size"):
        region_j(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


def test_two_frames_without_the_object_are_right() -> None:
    mask = mask_of((1, 1))
    assert jf_of_track([mask, None], [mask, None]) == (1.0, 1.0)
    assert jf_of_track([mask, mask], [mask, None]) == (0.5, 0.5)


def test_rows_without_a_target_are_scored_by_who_says_so() -> None:
    mask = mask_of((1, 1), (1, 2))
    truths = [[mask], [None], [None], [None], [mask]]
    predictions = [[mask], [None], [mask], None, [None]]
    scores = score_mask_tracks(predictions, truths)
    assert (scores.jf.value, scores.jf.n) == (0.5, 2)
    assert scores.n_acc.value == pytest.approx(1 / 3)
    assert (scores.t_acc.value, scores.without_track) == (0.5, 1)


def test_the_cumulative_iou_hides_small_objects_and_the_mean_does_not() -> None:
    large = mask_of(*itertools.product(range(4), range(3)))
    small, empty = mask_of((0, 3)), mask_of()
    scores = gres_scores([large, empty, empty, None], [large, small, empty, empty])
    assert scores.g_iou == pytest.approx(2 / 4)
    assert scores.c_iou == pytest.approx(12 / 13)
    assert (scores.n_acc, scores.t_acc) == (0.5, 0.5)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=4),
    st.tuples(st.integers(0, 9), st.integers(1, 9)),
)
def test_spans_score_as_those_of_one_pair_and_are_never_turned_round(
    spans: list[tuple[int, int]], drawn: tuple[int, int]
) -> None:
    truth = Span(drawn[0], drawn[0] + drawn[1])
    scores = score_spans(spans, [truth] * len(spans))
    expected = [tiou([Span(a, b)], [truth]) if a < b else 0.0 for a, b in spans]
    assert scores.tious.tolist() == pytest.approx(expected, abs=1e-9)
    assert scores.malformed == sum(a >= b for a, b in spans)


def test_spans_that_are_missing_or_no_numbers_count_as_0() -> None:
    rows = [(0.0, 10.0), None, (math.nan, 4.0), (math.inf, -math.inf)]
    scores = score_spans(rows, [Span(0, 10)] * 4)
    assert scores.tious.tolist() == [1, 0, 0, 0]
    assert (scores.malformed, scores.without_span, scores.recall[0.7].n) == (2, 1, 4)

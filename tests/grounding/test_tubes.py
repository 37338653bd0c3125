"""Tubes: overlap on the union, other times without inventing, and reading them back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import Box, Mask, Tube
from mmreason.grounding.metrics.video import viou

A, B = Box(0, 0, 8, 8), Box(4, 0, 12, 8)


@st.composite
def tubes(draw):
    n = draw(st.integers(1, 6))
    boxes = [
        draw(
            st.none()
            | st.builds(
                lambda x, y, w, h: Box(x, y, x + w, y + h),
                *(st.integers(0, 20),) * 2,
                *(st.integers(1, 20),) * 2,
            )
        )
        for _ in range(n)
    ]
    start = draw(st.integers(0, 4))
    return Tube.from_boxes([float(start + i) for i in range(n)], boxes)


def _tiou(a: Tube, b: Tube) -> float:
    seen = [set(tube.times_s[tube.present]) for tube in (a, b)]
    either = seen[0] | seen[1]
    return len(seen[0] & seen[1]) / len(either) if either else 0.0


@settings(max_examples=100, deadline=None)
@given(tubes(), tubes())
def test_trap_1_overlap_is_on_the_union_and_never_above_that_of_the_times(a, b):
    assert 0 <= a.iou(b) <= _tiou(a, b) + 1e-12
    assert a.iou(b) == pytest.approx(b.iou(a))
    is_same = (
        a.present.any()
        and np.array_equal(a.times_s[a.present], b.times_s[b.present])
        and np.array_equal(a.boxes_px[a.present], b.boxes_px[b.present])
    )
    assert (a.iou(b) == pytest.approx(1.0)) == is_same


def test_trap_1_a_longer_tube_pays_for_its_end():
    truth = Tube.from_boxes(range(4), [A, A, None, None])
    longer = Tube.from_boxes(range(4), [A, A, A, A])
    # With the minimum of the two ends instead of the maximum this would be 1.
    assert truth.iou(longer) == longer.iou(truth) == 0.5


def test_overlap_is_the_vidstg_metric_where_the_times_are_the_same():
    a = Tube.from_boxes(range(4), [A, A, B, None])
    b = Tube.from_boxes(range(4), [None, B, B, A])
    assert a.iou(b) == pytest.approx(viou(a, b))


def test_tubes_on_other_clocks_are_compared_at_the_times_of_both():
    coarse = Tube.from_boxes([0.0, 1.0], [A, B])
    fine = coarse.resample(np.linspace(0, 1, 11))
    assert coarse.iou(fine) == pytest.approx(1.0)
    assert coarse.iou(fine, max_gap_s=0.5) == pytest.approx(2 / 11)


def test_resampling_keeps_own_times_and_flags_what_it_fills_in():
    tube = Tube.from_boxes([0.0, 1.0, 2.0, 3.0], [A, B, None, A], id="3", label="dog")
    other = tube.resample([-1.0, 0.0, 0.25, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
    assert other.present.tolist() == [False, True, True, True, False, False, False, True, False]
    assert other.observed.tolist() == [False, True, False, True, False, True, False, True, False]
    assert other.boxes_px[2].tolist() == [1, 0, 9, 8]
    assert other.boxes_px[4].tolist() == [0, 0, 0, 0]
    assert (other.id, other.label) == ("3", "dog")


def test_resampling_never_fills_a_gap_that_is_too_long():
    tube = Tube.from_boxes([0.0, 5.0], [A, B])
    assert not tube.resample([2.5]).present[0]
    assert tube.resample([2.5], max_gap_s=5.0).present[0]


def test_resampling_takes_scores_along_and_leaves_masks_where_they_were():
    mask = Mask.from_array(np.ones((8, 12), bool))
    plain = Tube.from_boxes([0.0, 1.0], [A, B])
    tube = Tube(
        times_s=plain.times_s,
        boxes_px=plain.boxes_px,
        present=plain.present,
        observed=plain.observed,
        scores=np.array([0.0, 1.0]),
        masks=(mask, None),
    )
    other = tube.resample([0.0, 0.5])
    assert other.scores is not None
    assert other.scores.tolist() == [0.0, 0.5]
    assert other.masks == (mask, None)


def test_a_tube_without_times_has_no_overlap():
    empty = Tube.from_boxes([], [])
    assert empty.iou(empty) == 0
    assert not empty.resample([1.0]).present.any()
    absent = Tube.from_boxes([0.0], [None])
    assert absent.iou(absent) == 0


@settings(max_examples=50, deadline=None)
@given(tubes())
def test_a_tube_comes_back_from_json(tube):
    back = Tube.from_dict(json.loads(json.dumps(tube.to_dict())))
    for name in ("times_s", "boxes_px", "present", "observed"):
        assert np.array_equal(getattr(back, name), getattr(tube, name))


def test_masks_and_scores_come_back_from_json():
    value = Tube.from_boxes([0.0, 1.0], [A, None], id="3", label="dog").to_dict()
    value |= {"scores": [0.5, 0], "masks": [{"size_px": [2, 2], "counts": [1, 3]}, None]}
    back = Tube.from_dict(value)
    assert back.to_dict() == value | {"scores": [0.5, 0.0]}


GOOD = {"times_s": [0.0, 1.0], "boxes_px": [[0, 0, 1, 1], None]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected an object"),
        ({}, "times_s is missing"),
        (GOOD | {"times_s": "now"}, "times_s is no list"),
        (GOOD | {"times_s": [0.0, None]}, "times_s holds something else"),
        (GOOD | {"times_s": [0.0, float("nan")]}, "times_s holds something else"),
        (GOOD | {"times_s": [0.0, 10**400]}, "times_s holds something else"),
        (GOOD | {"times_s": [1.0, 0.0]}, "finite and rise"),
        (GOOD | {"boxes_px": [None]}, "boxes_px has 1 entries, times_s 2"),
        (GOOD | {"boxes_px": [[0, 0, 1], None]}, r"boxes_px\[0\] has 3 numbers"),
        (GOOD | {"boxes_px": [[5, 0, 1, 1], None]}, "not end before they start"),
        (GOOD | {"observed": [1, 0]}, "observed holds something else"),
        (GOOD | {"scores": [1]}, "scores has 1 entries"),
        (GOOD | {"label": 3}, "label is no text"),
        (GOOD | {"masks": [{"size_px": [2, 2]}, None]}, "size_px and counts"),
        (GOOD | {"masks": [{"size_px": [2, 2], "counts": [9]}, None]}, "add up"),
        (GOOD | {"masks": [{"size_px": [10**9, 2], "counts": [2 * 10**9]}, None]}, "two sides"),
    ],
)
def test_what_is_no_tube_is_refused_with_its_field(value, message):
    with pytest.raises(ValueError, match=message):
        Tube.from_dict(value)

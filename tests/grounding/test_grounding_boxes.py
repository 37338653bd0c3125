"""Overlap of boxes and the shape of a result."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.grounding import Box, Grounding, GroundingStatus, Target, giou, iou

sides = st.floats(0, 1000, allow_nan=False)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), sides, sides, st.floats(1, 500), st.floats(1, 500)
)


@given(boxes, boxes)
def test_bounds_symmetry_and_order(a, b):
    assert 0 <= iou(a, b) <= 1 + 1e-9
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert giou(a, b) == pytest.approx(giou(b, a))
    assert -1 <= giou(a, b) <= iou(a, b) + 1e-9


@given(boxes)
def test_a_box_is_itself(a):
    assert iou(a, a) == pytest.approx(1)
    assert giou(a, a) == pytest.approx(1)


def test_known_values_are_continuous_without_plus_one():
    a, b = Box(0, 0, 10, 10), Box(5, 0, 15, 10)
    assert iou(a, b) == pytest.approx(50 / 150)
    assert iou(a, Box(10, 0, 20, 10)) == 0
    assert giou(a, Box(20, 0, 30, 10)) == pytest.approx(-10 / 30)
    assert giou(a, Box(10, 0, 20, 10)) == 0


def test_boxes_without_area_never_divide_by_zero():
    point = Box(5, 5, 5, 5)
    assert iou(point, point) == 0
    assert giou(point, point) == 0


@pytest.mark.parametrize("bad", [(1, 0, 0, 1), (0, 1, 1, 0), (0, 0, float("nan"), 1)])
def test_malformed_boxes_are_refused(bad):
    with pytest.raises(ValueError, match="Box"):
        Box(*bad)


@pytest.mark.parametrize(
    ("status", "count"),
    [("found", 0), ("ambiguous", 1), ("none", 1), ("unparsed", 1), ("error", 1)],
)
def test_status_and_boxes_must_agree(status, count):
    with pytest.raises(ValueError, match="does not go with"):
        Grounding(
            status=GroundingStatus(status),
            targets=(Target(box=Box(0, 0, 1, 1)),) * count,
        )


def test_result_is_json():
    found = Grounding(
        status=GroundingStatus.FOUND, targets=(Target(box=Box(0, 0, 1, 1), label="star"),)
    )
    assert json.loads(json.dumps(found.to_dict()))["boxes_px"] == [[0, 0, 1, 1]]

"""Overlap of many boxes equals that of one pair, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.grounding import Box, giou, iou
from mmreason.grounding.metrics.arrays import (
    box_array,
    paired_giou,
    paired_iou,
    pairwise_giou,
    pairwise_iou,
)
from tests.grounding.metrics.strategies import box_strategy

BOXES = st.lists(box_strategy(), max_size=5)


@given(BOXES, BOXES)
def test_pairwise_overlap_equals_the_overlap_of_each_pair(a: list[Box], b: list[Box]) -> None:
    for fast, slow in ((pairwise_iou, iou), (pairwise_giou, giou)):
        matrix = fast(a, b)
        assert matrix.shape == (len(a), len(b))
        assert matrix.tolist() == [[slow(one, two) for two in b] for one in a]


@given(st.lists(st.tuples(box_strategy(), box_strategy()), max_size=6))
def test_paired_overlap_equals_the_overlap_of_each_pair(pairs: list[tuple[Box, Box]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    assert paired_iou(first, second).tolist() == [iou(a, b) for a, b in pairs]
    assert paired_giou(first, second).tolist() == [giou(a, b) for a, b in pairs]


def test_trap_2_an_edge_is_no_pixel_more_than_its_coordinates_say() -> None:
    # With "+1" conventions these touching boxes overlap, and the half one scores 0.55.
    assert pairwise_iou([[0, 0, 10, 10]], [[10, 0, 20, 10]]).item() == 0.0
    assert pairwise_iou([[0, 0, 10, 10]], [[0, 0, 10, 5]]).item() == 0.5


def test_giou_of_boxes_far_apart_comes_near_minus_one() -> None:
    value = pairwise_giou([[0, 0, 1, 1]], [[1000, 1000, 1001, 1001]]).item()
    assert -1 < value < -0.99


@pytest.mark.parametrize(
    "row", [[0, 0, math.nan, 1], [0, 0, math.inf, 1], [-math.inf, 0, 1, 1], [5, 0, 4, 1]]
)
def test_a_malformed_row_is_refused_by_its_number(row: list[float]) -> None:
    with pytest.raises(ValueError, match="row 1 is"):
        box_array([[0, 0, 1, 1], row])


def test_arrays_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        box_array(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="as many boxes on both sides"):
        paired_iou([[0, 0, 1, 1]], np.zeros((2, 4)))

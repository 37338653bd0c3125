"""Boxes on a picture, by our own lines and by those of supervision."""

from __future__ import annotations

from typing import Any, cast, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import Box
from mmreason.grounding.drawing.boxes import BOX_COLOURS, DrawingStyle, draw_boxes

GREY = np.full((60, 80, 3), 90, np.uint8)
STYLES = get_args(DrawingStyle)


@pytest.mark.parametrize("style", STYLES)
def test_lines_lie_along_the_box_and_the_rest_of_the_picture_is_untouched(
    style: DrawingStyle,
) -> None:
    drawn = draw_boxes(GREY, [Box(20, 15, 60, 45)], style=style)
    changed = (drawn != GREY).any(axis=2)
    assert changed[16, 40] and changed[30, 21] and not changed[30, 40]
    assert not changed[:10].any() and not changed[:, 70:].any()
    assert (GREY == 90).all()


@pytest.mark.parametrize("style", STYLES)
def test_colours_are_red_green_blue_in_both_styles(style: DrawingStyle) -> None:
    drawn = draw_boxes(GREY, [Box(20, 15, 60, 45)], colours=[(250, 20, 0)], style=style)
    assert drawn[30, 20].tolist() == [250, 20, 0]


@pytest.mark.parametrize("style", STYLES)
def test_a_box_that_nobody_looked_at_looks_other_than_one_that_was_seen(
    style: DrawingStyle,
) -> None:
    box = Box(10, 10, 70, 50)
    solid, dashed = (draw_boxes(GREY, [box], dashed=[flag], style=style) for flag in (False, True))
    ink = [(picture != GREY).any(axis=2).sum() for picture in (solid, dashed)]
    assert 0 < ink[1] < 0.8 * ink[0]


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.lists(st.tuples(*[st.integers(-12, 20)] * 4), max_size=3),
    st.booleans(),
)
def test_any_box_can_be_drawn_on_any_picture(
    size: tuple[int, int], corners: list[tuple[int, ...]], is_dashed: bool
) -> None:
    boxes = [Box(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    picture = np.zeros((*size, 3), np.uint8)
    drawn = draw_boxes(picture, boxes, ["a label"] * len(boxes), dashed=[is_dashed] * len(boxes))
    assert drawn.shape == picture.shape
    inside = [box for box in boxes if box.clip(size[1], size[0]).area_px2 > 0]
    assert drawn.any() == bool(inside)


def test_a_box_outside_the_picture_is_not_drawn_at_its_edge() -> None:
    drawn = draw_boxes(GREY, [Box(-30, 10, -5, 30), Box(90, 10, 99, 20)], ["out", "out"])
    assert (drawn == GREY).all()


def test_a_label_stands_above_its_box_or_inside_where_there_is_no_room() -> None:
    above = draw_boxes(GREY, [Box(5, 40, 75, 55)], ["1"])
    inside = draw_boxes(GREY, [Box(5, 0, 75, 55)], ["1"])
    assert (above[30] != 90).any() and (inside[6] != 90).any()
    assert (above[:20] == 90).all()


def test_hidden_characters_of_a_label_are_shown_as_such() -> None:
    plain = draw_boxes(GREY, [Box(5, 40, 75, 55)], ["a\ufffdb"])
    hostile = draw_boxes(GREY, [Box(5, 40, 75, 55)], ["a\u202eb"])
    assert (plain == hostile).all()


def test_boxes_take_colours_in_turn() -> None:
    boxes = [Box(2 + 8 * i, 2, 9 + 8 * i, 20) for i in range(9)]
    drawn = draw_boxes(GREY, boxes)
    assert [tuple(drawn[10, 2 + 8 * i].tolist()) for i in range(9)] == [
        *BOX_COLOURS,
        BOX_COLOURS[0],
    ]


def test_what_cannot_be_drawn_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="one a box"):
        draw_boxes(GREY, [Box(0, 0, 9, 9)], ["a", "b"])
    with pytest.raises(ValueError, match="uint8"):
        draw_boxes(GREY.astype(np.float32), [])
    with pytest.raises(ValueError, match="plain, supervision"):
        draw_boxes(GREY, [], style=cast(Any, "pretty"))

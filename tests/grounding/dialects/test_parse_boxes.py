"""Model text to boxes: every shape seen in the wild, and nothing lost in silence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.grounding import Dialect, parse_boxes

SIZE = (2000, 500)
BOX = [100, 200, 300, 400]
IN_PX = (200.0, 100.0, 600.0, 200.0)


def parse(text: str, dialect: Dialect = Dialect.NORM_1000, **settings):
    return parse_boxes(text, dialect, SIZE, **settings)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('```json\n[{"bbox_2d": [100, 200, 300, 400], "label": "star"}]\n```', "fence"),
        ('```json\n{"bbox_2d": [100, 200, 300, 400]}\n```', "fence"),
        ("```\n[100, 200, 300, 400]", "fence"),
        ('[{"bbox_2d": [100, 200, 300, 400]}]', "json"),
        ('Here it is: {"boxes": [[100, 200, 300, 400]]} as asked.', "json"),
        ('{"objects": [{"name": "star", "box": ["100", "200", "300", "400"]}]}', "json"),
        ("[[100, 200, 300, 400]]", "json"),
        ("<think>maybe [1, 2, 3, 4]</think>[100, 200, 300, 400]", "json"),
        ("[1, 2, 3, 4] no wait</think><answer>[100, 200, 300, 400]</answer>", "json"),
        ("the [two] stars: [100, 200, 300, 400]", "json"),
        ("None of the other dogs, only [100, 200, 300, 400]", "json"),
        ("[{'bbox_2d': [100, 200, 300, 400], 'label': 'star'},]", "json"),
        ("[{'bbox_2d': [100, 200, 300, 400,]}]", "repaired"),
        ("<|box_start|>(100,200),(300,400)<|box_end|>", "pairs"),
        ("it is at (100, 200, 300, 400).", "rows"),
        ('```json\n[{"bbox_2d": [1, 1, 9, 9]}]\n``` no:\n```json\n[100,200,300,400]\n```', "fence"),
        ('[{"bbox_2d": [300, 400, 100, 200]}]', "json"),
    ],
)
def test_one_box_in_many_shapes(text, rule):
    found = parse(text)
    assert found.status == "found", found
    assert found.boxes[0].xyxy == IN_PX
    assert found.rule == rule
    assert found.raw_text == text


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "```json\n[]\n```",
        '{"bbox_2d": null}',
        "there is no star.",
        "None",
        "It is not visible.",
    ],
)
def test_an_explicit_no_is_none(text):
    found = parse(text)
    assert (found.status, found.boxes) == ("none", ())
    assert found.rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red star",
        "[1, 2, 3]",
        "[1, 2, 3, 4, 5]",
        "[NaN, 1, 2, 3]",
        '{"bbox_2d": "left"}',
        "[10, 10, 10, 40]",
        "[5000, 5000, 6000, 6000]",
        "<think>[100, 200, 300, 400]",
        f"[{'9' * 400}, 1, 2, 3]",
        f"({'9' * 400}, 1, 2, 3)",
        "[" * 5000,
        '{"a":' * 3000,
    ],
)
def test_what_cannot_be_used_is_unparsed_with_a_reason(text):
    found = parse(text)
    assert (found.status, found.boxes) == ("unparsed", ())
    assert found.issues


def test_a_list_cut_off_keeps_its_complete_boxes():
    text = (
        '```json\n[{"bbox_2d": [0, 0, 100, 100]}, {"bbox_2d": [500, 500, 900, 900]}, {"bbox_2d": [1'
    )
    found = parse(text)
    assert (found.status, len(found.boxes), found.rule) == ("ambiguous", 2, "cut_list")


def test_several_boxes_are_ambiguous_and_all_kept_with_labels():
    rows = [{"bbox_2d": [0, 0, 100, 100], "label": "a"}, {"bbox_2d": [500, 0, 600, 100]}]
    found = parse(json.dumps(rows))
    assert (found.status, found.labels) == ("ambiguous", ("a", ""))


def test_repeats_are_merged_and_said():
    found = parse("[[100, 200, 300, 400], [100, 200, 300, 401]]")
    assert found.status == "found"
    assert any("repeated" in str(issue) for issue in found.issues)


def test_out_of_frame_is_clipped_and_said():
    found = parse("[900, 0, 1050, 500]")
    assert found.boxes[0].xyxy == (1800, 0, 2000, 250)
    assert any("clipped" in str(issue) for issue in found.issues)
    assert any("scale_conflict" in str(issue) for issue in found.issues)


def test_scale_is_declared_and_never_switched():
    found = parse("[0.1, 0.2, 0.3, 0.4]")
    assert found.boxes[0].x2_px == pytest.approx(0.6)
    assert any("scale_conflict" in str(issue) for issue in found.issues)


def test_seen_pixels_are_scaled_back_to_the_original():
    found = parse("[100, 100, 200, 200]", Dialect.SEEN_PX, seen_size_px=(400, 250))
    assert found.boxes[0].xyxy == (500, 200, 1000, 400)


@pytest.mark.parametrize(
    "text",
    [
        '[{"box_2d": [200, 100, 400, 300], "label": "star"}]',
        '```json\n[{"box_2d": [200, 100, 400, 300], "label": "star"}]\n```',
        "[200, 100, 400, 300]",
        "<box>200 100 400 300</box>",
    ],
)
def test_boxes_with_y_first_are_turned(text):
    found = parse(text, Dialect.NORM_1000_YX)
    assert found.boxes[0].xyxy == IN_PX
    assert found.issues == ()


def test_boxes_from_0_to_1_are_scaled_and_larger_numbers_are_said():
    found = parse("[0.1, 0.2, 0.3, 0.4]", Dialect.NORM_1)
    assert found.boxes[0].xyxy == pytest.approx(IN_PX)
    assert found.issues == ()
    assert any(
        "scale_conflict" in str(issue) for issue in parse("[1, 2, 3, 4]", Dialect.NORM_1).issues
    )


@pytest.mark.parametrize(
    "text",
    [
        "<box>100 200 300 400</box>",
        "<ref>star</ref><box>100, 200, 300, 400</box>",
        "<box> 100 200 300 400 </box>",
        "<box>[[100, 200, 300, 400]]</box>",
        "<|begin_of_box|>[100,200,300,400]<|end_of_box|>",
    ],
)
def test_boxes_between_tags_are_read(text):
    found = parse(text)
    assert [box.xyxy for box in found.boxes] == [IN_PX]
    assert found.issues == ()


def test_swapped_corners_are_said():
    assert any("swapped" in str(issue) for issue in parse("[300, 400, 100, 200]").issues)


def test_length_is_limited_and_said():
    found = parse("x" * 30_000 + "[100, 200, 300, 400]")
    assert found.boxes[0].xyxy == IN_PX
    assert any("cut" in str(issue) for issue in found.issues)


@given(st.text())
def test_no_text_raises_and_no_result_is_silent(text):
    found = parse(text)
    assert found.boxes or found.status == "none" or found.issues


corner = st.integers(0, 999)


@given(corner, corner, st.data(), st.integers(28, 4000), st.integers(28, 4000))
def test_written_boxes_are_read_back_to_half_a_step(x1, y1, data, width, height):
    x2 = data.draw(st.integers(x1 + 1, 1000))
    y2 = data.draw(st.integers(y1 + 1, 1000))
    text = json.dumps([{"bbox_2d": [x1, y1, x2, y2], "label": "thing"}])
    (box,) = parse_boxes(text, Dialect.NORM_1000, (width, height)).boxes
    wanted = (x1 * width / 1000, y1 * height / 1000, x2 * width / 1000, y2 * height / 1000)
    assert box.xyxy == pytest.approx(wanted)

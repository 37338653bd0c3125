"""Model text to tubes: OneThinker's seconds, Qwen's rows, numbers of frames, and what is odd."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import (
    Box,
    Dialect,
    Grounding,
    Transform,
    Tube,
    parse_tubes,
    render_tubes,
)
from mmreason.grounding.dialects import NOTATIONS, quantum_px
from mmreason.video.types import Span

SIZE = (2000, 500)
BOX = [100, 200, 300, 400]
IN_PX = [200.0, 100.0, 600.0, 200.0]


def parse(text: object, dialect: Dialect = Dialect.NORM_1000, **settings):
    return parse_tubes(
        text if isinstance(text, str) else json.dumps(text), dialect, SIZE, **settings
    )


def tube_of(reading: Grounding, index: int = 0) -> Tube:
    tube = reading.targets[index].tube
    assert tube is not None
    return tube


def kinds(reading) -> set[str]:
    return {issue.kind for issue in reading.issues}


@pytest.mark.parametrize(
    "text",
    [
        '{"time": [9, 10], "boxes": {"9": [100, 200, 300, 400], "10": [100, 200, 300, 400]}}',
        '<think>so</think><answer>{"time": [9.0, 10.0], "boxes": {"9.0": [100,200,300,400], '
        '"10": [100,200,300,400]}}</answer>',
        '```json\n[{"time": 9.0, "bbox_2d": [100, 200, 300, 400], "label": "dog"},\n'
        '{"time": 10.0, "bbox_2d": [100, 200, 300, 400], "label": "dog"}]\n```',
        '[{"timestamp": "00:09", "bbox_2d": [100, 200, 300, 400]}, '
        '{"timestamp": "0:10.0", "bbox_2d": [100, 200, 300, 400]}]',
        '{"time": "10 s", "bbox": [100, 200, 300, 400]}\n'
        '{"time": "9s", "bbox": [100, 200, 300, 400]}',
        '[{"object_id": 1, "frames": [{"time": 9, "bbox_2d": [100, 200, 300, 400]}, '
        '{"time": 10, "bbox_2d": [100, 200, 300, 400]}]}]',
        '{"9": [100, 200, 300, 400], "10": [100, 200, 300, 400]}',
        "{9: [100, 200, 300, 400], 10: [100, 200, 300, 400],}",
    ],
)
def test_one_tube_in_many_shapes(text):
    reading = parse(text)
    assert reading.status == "found", reading
    tube = tube_of(reading)
    assert tube.times_s.tolist() == [9, 10]
    assert tube.boxes_px.tolist() == [IN_PX, IN_PX]
    assert tube.present.all() and tube.observed.all()
    assert reading.raw_text == text


def test_the_stated_span_is_kept_beside_the_boxes():
    reading = parse({"time": [8, 10], "boxes": {"9": BOX, "11": BOX}})
    assert reading.targets[0].span == Span(8, 10)
    assert "unsure" in kinds(reading)


def test_a_span_that_ends_before_it_starts_is_told_and_never_swapped():
    reading = parse({"time": [10, 8], "boxes": {"9": BOX}})
    assert reading.targets[0].span is None
    assert "dropped_span" in kinds(reading)
    assert reading.status == "found"


@pytest.mark.parametrize(
    "text", ["[]", '{"time": null, "boxes": {}}', '{"time": null, "boxes": null}', "not visible"]
)
def test_an_explicit_no_is_none(text):
    assert parse(text).status == "none"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a dog",
        "[100, 200, 300, 400]",
        '[{"bbox_2d": [100, 200, 300, 400]}]',
        '[{"time": "soon", "bbox_2d": [100, 200, 300, 400]}]',
        '[{"time": 9, "bbox_2d": [100, 200, 300]}]',
        '{"time": [9, 10], "boxes": {"9": [5000, 5000, 6000, 6000]}}',
        '[{"frame": 3, "bbox_2d": [100, 200, 300, 400]}]',
        '{"time": [1e99, 2], "boxes": {"1e99": [1, 2, 3, 4]}}',
    ],
)
def test_what_cannot_be_used_is_unparsed_with_a_reason(text):
    reading = parse(text)
    assert (reading.status, reading.targets) == ("unparsed", ())
    assert reading.issues


def test_absence_is_explicit_where_the_times_are_known():
    reading = parse(
        [{"time": 1.02, "bbox_2d": BOX}, {"time": 3.0, "bbox_2d": BOX}], times_s=[1, 2, 3]
    )
    tube = tube_of(reading)
    assert tube.times_s.tolist() == [1, 2, 3]
    assert tube.present.tolist() == [True, False, True]
    assert tube.observed.all()


def test_absence_is_explicit_where_the_model_says_so():
    reading = parse([{"time": 1, "bbox_2d": BOX}, {"time": 2, "bbox_2d": None}])
    assert tube_of(reading).present.tolist() == [True, False]


def test_a_box_far_from_every_time_is_dropped_and_told():
    reading = parse({"time": [1, 9], "boxes": {"1": BOX, "9": BOX}}, times_s=[0, 1, 2])
    assert tube_of(reading).present.tolist() == [False, True, False]
    assert any("no frame was shown" in str(issue) for issue in reading.issues)


@pytest.mark.parametrize(("first_frame", "times_s"), [(0, [0.4]), (1, [0.2])])
def test_trap_4_frame_numbers_are_times_only_where_their_clock_is_given(first_frame, times_s):
    rows = [{"frame": 2, "bbox_2d": BOX}]
    reading = parse(rows, times_s=[0.0, 0.2, 0.4], first_frame=first_frame)
    tube = tube_of(reading)
    assert tube.times_s[tube.present].tolist() == times_s
    assert parse(rows).status == "unparsed"
    assert "whose time is not known" in str(parse(rows).issues[0])
    outside = parse([{"frame": 3, "bbox_2d": BOX}], times_s=[0.0, 0.2, 0.4])
    assert outside.status == "unparsed"


def test_objects_are_told_apart_by_id_and_by_label():
    rows = [
        {"time": t, "bbox_2d": [100 * i, 0, 100 * i + 90, 90], "label": "dog", "id": i}
        for t in (1, 2)
        for i in (1, 2)
    ]
    reading = parse(rows)
    assert (reading.status, [tube_of(reading, i).id for i in range(2)]) == ("ambiguous", ["1", "2"])
    labels = parse([row | {"id": None, "label": f"dog {row['id']}"} for row in rows])
    assert [target.label for target in labels.targets] == ["dog 1", "dog 2"]


def test_a_second_box_of_one_object_at_one_time_is_told():
    reading = parse([{"time": 1, "bbox_2d": BOX}, {"time": 1, "bbox_2d": [500, 500, 600, 600]}])
    assert tube_of(reading).boxes_px.tolist() == [IN_PX]
    assert any("second box" in str(issue) for issue in reading.issues)


def test_a_reply_cut_off_keeps_its_complete_boxes():
    text = '{"time": [9, 11], "boxes": {"9": [100, 200, 300, 400], "10": [100, 200, 300, 400], '
    text += '"11": [1'
    reading = parse(text)
    assert tube_of(reading).times_s.tolist() == [9, 10]
    assert "cut" in kinds(reading)
    assert parse(text, strict=True).status == "unparsed"


def test_the_last_json_with_times_counts():
    text = (
        'maybe {"time": [1, 1], "boxes": {"1": [1, 1, 9, 9]}}, but rather '
        '{"time": [9, 9], "boxes": {"9": [100, 200, 300, 400]}}; confidence {"score": [0.9]}'
    )
    assert tube_of(parse(text)).times_s.tolist() == [9]


JSON_DIALECTS = [dialect for dialect in Dialect if NOTATIONS[dialect].form == "json"]


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(*(st.floats(0, 0.45),) * 2, *(st.floats(0.5, 1),) * 2), min_size=1, max_size=4
    ),
    st.tuples(st.integers(28, 4096), st.integers(28, 4096)),
    st.tuples(st.integers(28, 4096), st.integers(28, 4096)),
)
@pytest.mark.parametrize("form", ["seconds", "rows"])
@pytest.mark.parametrize("dialect", JSON_DIALECTS)
def test_tubes_come_back_within_half_a_quantum(dialect, form, corners, size, seen_size):
    boxes = [
        Box(x1 * size[0], y1 * size[1], x2 * size[0], y2 * size[1]) for x1, y1, x2, y2 in corners
    ]
    tube = Tube.from_boxes([0.2 * i for i in range(len(boxes))], boxes, label="dog")
    text = render_tubes([tube], dialect, size, form=form, seen_size_px=seen_size)
    reading = parse_tubes(text, dialect, size, seen_size_px=seen_size, strict=True)
    assert reading.status == "found", reading.issues
    back = tube_of(reading)
    assert back.times_s == pytest.approx(tube.times_s, abs=1e-9)
    steps = quantum_px(dialect, seen_size)
    half = [steps[axis] / 2 * size[axis] / seen_size[axis] + 1e-6 for axis in (0, 1, 0, 1)]
    assert (np.abs(back.boxes_px - tube.boxes_px) <= half).all()
    assert back.label == "dog"


def test_several_tubes_are_written_with_ids_and_read_back():
    tubes = [
        Tube.from_boxes([0, 1], [Box(0, 0, 200, 100), None], id="a", label="dog"),
        Tube.from_boxes([1, 2], [Box(400, 0, 600, 100), Box(400, 0, 600, 100)], label="dog"),
    ]
    reading = parse(render_tubes(tubes, Dialect.NORM_1000, SIZE), times_s=[0, 1, 2])
    assert [tube_of(reading, i).id for i in range(2)] == ["a", "2"]
    assert [tube_of(reading, i).present.tolist() for i in range(2)] == [
        [True, False, False],
        [False, True, True],
    ]


def test_tubes_in_a_crop_come_back_to_the_frame():
    crop = Transform.crop(SIZE, Box(1000, 0, 2000, 500))
    reading = parse({"9": [0, 0, 500, 500]}, transform=crop)
    assert tube_of(reading).boxes_px.tolist() == [[1000, 0, 1500, 250]]


def test_tubes_are_json_only():
    with pytest.raises(ValueError, match="florence_2"):
        render_tubes([], Dialect.FLORENCE_2, SIZE)

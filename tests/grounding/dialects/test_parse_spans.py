"""Model text to spans and points."""

from __future__ import annotations

import pytest

from mmreason.grounding import Dialect, parse_points, parse_spans
from mmreason.video.types import Span


@pytest.mark.parametrize(
    "text",
    [
        '{"start": 3, "end": 5}',
        '[{"start_time": "00:03", "end_time": "0:05.0"}]',
        "[[3.0, 5.0]]",
        '```json\n{"time": [3, 5]}\n```',
        "It happens from 3 to 5 seconds.",
        "between 3s and 5s",
        "3.0 - 5.0 seconds",
        "0:03 - 0:05",
        "<3.0 seconds> to <5.0 seconds>",
        "<think>from 1 to 2 seconds</think><answer>from 3 to 5</answer>",
    ],
)
def test_one_span_in_many_shapes(text):
    reading = parse_spans(text)
    assert reading.status == "found", reading
    assert [target.span for target in reading.targets] == [Span(3, 5)]


def test_several_spans_are_kept():
    reading = parse_spans("from 3 to 5 seconds and from 1:05 to 1:20")
    assert [target.span for target in reading.targets] == [Span(3, 5), Span(65, 80)]
    assert reading.status == "ambiguous"


@pytest.mark.parametrize("text", ["[]", "It is not shown.", "There is no such moment."])
def test_an_explicit_no_is_none(text):
    assert parse_spans(text).status == "none"


@pytest.mark.parametrize(
    "text", ["", "at the end", '{"start": 5, "end": 3}', '{"start": "soon", "end": 5}', "5 to 3 s"]
)
def test_what_is_no_span_is_unparsed_and_never_swapped(text):
    reading = parse_spans(text)
    assert (reading.status, reading.targets) == ("unparsed", ())
    assert reading.issues


def test_spans_end_with_the_video_and_say_so():
    reading = parse_spans("from 3 to 50 seconds", duration_s=10)
    assert reading.targets[0].span == Span(3, 10)
    assert reading.issues
    assert parse_spans("from 3 to 50 seconds", duration_s=10, strict=True).status == "unparsed"
    assert parse_spans("from 30 to 50 seconds", duration_s=10).status == "unparsed"


SIZE = (1000, 500)


@pytest.mark.parametrize(
    ("text", "dialect", "points_px"),
    [
        ('[{"point_2d": [100, 500], "label": "dog"}]', Dialect.NORM_1000, [(100, 250)]),
        ('[{"point": [500, 100], "label": "dog"}]', Dialect.NORM_1000_YX, [(100, 250)]),
        ('{"points": [[100, 500], [200, 500]]}', Dialect.NORM_1000, [(100, 250), (200, 250)]),
        ("<point>100 500</point>", Dialect.NORM_1000, [(100, 250)]),
        ("at (100, 500)", Dialect.NORM_1000, [(100, 250)]),
        ('<point x="10.0" y="50.0" alt="dog">dog</point>', Dialect.MOLMO, [(100, 250)]),
        (
            '<points x1="10.0" y1="50.0" x2="20" y2="50" alt="dog">dog</points>',
            Dialect.MOLMO,
            [(100, 250), (200, 250)],
        ),
        (
            '<points coords="1 1 100 500 2 200 500">dog</points>',
            Dialect.MOLMO_2,
            [(100, 250), (200, 250)],
        ),
        ("<|box_start|><999><999><|box_end|>", Dialect.REX_OMNI, [(1000, 500)]),
    ],
)
def test_points_are_read_in_their_own_signs(text, dialect, points_px):
    reading = parse_points(text, dialect, SIZE)
    assert [target.point_px for target in reading.targets] == [pytest.approx(p) for p in points_px]
    assert reading.status in ("found", "ambiguous")
    if "dog" in text:
        assert reading.targets[0].label == "dog"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("There are none.", "none"),
        ('<point x="110" y="50" alt="dog">', "unparsed"),
        ('<point x="ten" y="50" alt="dog">', "unparsed"),
        ('<points coords="1 1 100 500">dog</points>', "unparsed"),
        ("a dog", "unparsed"),
    ],
)
def test_no_point_is_never_silent(text, status):
    reading = parse_points(text, Dialect.MOLMO, SIZE)
    assert (reading.status, reading.targets) == (status, ())
    assert status == "none" or reading.issues


def test_one_of_several_points_is_picked_and_told():
    text = "[[100, 500], [200, 500]]"
    reading = parse_points(text, Dialect.NORM_1000, SIZE, pick="last")
    assert [target.point_px for target in reading.targets] == [(200, 250)]
    assert reading.issues[-1].kind == "picked"


def test_dialects_of_boxes_have_no_points():
    reading = parse_points("[100, 200]", Dialect.COGVLM, SIZE)
    assert reading.status == "unparsed"

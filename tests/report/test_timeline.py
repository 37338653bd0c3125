"""Where bars and ticks stand."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.report.axis_labels import place_marks
from mmreason.report.timeline import lay_out_timeline, time_ticks
from mmreason.types import Answer, Evidence
from mmreason.video.types import Span


def test_lanes_go_from_overview_to_evidence(make_answer: Callable[..., Answer]) -> None:
    laid = lay_out_timeline(make_answer())
    assert laid is not None
    assert [lane.title for lane in laid.lanes] == [
        "Level 1, 12 s each",
        "Level 2, 4 s each",
        "Looked at",
        "Second look",
        "Evidence",
    ]
    first, second = laid.lanes[0].bars
    assert (first.left_pct, first.width_pct, second.left_pct) == (0, 50, 50)
    assert [bar.dim for bar in laid.lanes[2].bars] == [False, True]
    assert [bar.dim for bar in laid.lanes[4].bars] == [False, True]
    assert "evidence at 0:08.00-0:12.00, 0:00.00-0:04.00." in laid.summary


def test_a_moment_can_still_be_seen(make_answer: Callable[..., Answer]) -> None:
    moment = Evidence(span=Span(36000, 36000))
    laid = lay_out_timeline(make_answer(evidence=(moment,), duration_s=36000.0, trace=()))
    assert laid is not None
    (bar,) = laid.lanes[0].bars
    assert bar.width_pct > 0.5 and bar.left_pct + bar.width_pct <= 100


def test_stamps_that_start_late_fill_the_width(make_answer: Callable[..., Answer]) -> None:
    late = (Evidence(span=Span(100, 105)), Evidence(span=Span(105, 110)))
    laid = lay_out_timeline(make_answer(evidence=late, duration_s=10.0, trace=()))
    assert laid is not None
    assert [bar.left_pct for bar in laid.lanes[0].bars] == [0, 50]
    assert laid.ticks[0].label == "1:40"


@pytest.mark.parametrize(
    ("duration_s", "labels"),
    [
        (1.0, ["0:00", "0:00.2", "0:00.4", "0:00.6", "0:00.8", "0:01"]),
        (24.0, ["0:00", "0:05", "0:10", "0:15", "0:20"]),
        (36000.0, ["0:00", "2:00:00", "4:00:00", "6:00:00", "8:00:00", "10:00:00"]),
    ],
)
def test_ticks_are_round_times(duration_s: float, labels: list[str]) -> None:
    assert [tick.label for tick in time_ticks(Span(0, duration_s))] == labels


@given(st.floats(0, 1e5), st.floats(0.04, 1e6))
def test_ticks_are_few_and_inside(start_s: float, duration_s: float) -> None:
    found = time_ticks(Span(start_s, start_s + duration_s))
    assert len(found) <= 7
    assert all(-0.001 <= tick.left_pct <= 100.001 for tick in found)


def test_no_length_no_timeline(make_answer: Callable[..., Answer]) -> None:
    assert lay_out_timeline(make_answer(duration_s=0.0, trace=(), evidence=())) is None


def test_opened_nodes_are_told_with_their_round(hour: Answer) -> None:
    laid = lay_out_timeline(hour)
    assert laid is not None
    levels = laid.lanes[:3]
    assert [lane.title for lane in levels] == [
        "Level 1, 10:00 each",
        "Level 2, 1:40 each",
        "Level 3, 17 s each",
    ]
    assert [[bar.opened for bar in lane.bars].index(True) for lane in levels[:2]] == [3, 2]
    assert [[mark.text for mark in lane.marks] for lane in levels] == [["1"], ["2"], []]


def test_evidence_too_narrow_to_be_seen_is_shown_closer(hour: Answer) -> None:
    laid = lay_out_timeline(hour)
    assert laid is not None
    (zoom,) = laid.zooms
    assert (zoom.left_pct, zoom.right_pct, zoom.title) == (50, 66.667, "30:00 to 40:00, closer")
    titles = [lane.title for lane in zoom.picture.lanes]
    assert titles == ["Level 2, 1:40 each", "Level 3, 17 s each", *titles[2:]]
    assert titles[2:] == ["Looked at", "Second look", "Evidence"]
    (look,) = zoom.picture.lanes[2].bars
    (evidence,) = zoom.picture.lanes[4].bars
    assert look.left_pct == pytest.approx(33.833, abs=0.01) and evidence.left_pct == look.left_pct
    assert [lane.top_px for lane in zoom.picture.lanes] == [0, 55, 95, 150, 205]


def test_what_has_no_place_draws_nothing(hour: Answer) -> None:
    laid = lay_out_timeline(hour)
    assert laid is not None
    assert len(laid.lanes) == 6 and laid.span == Span(0, 3600)
    assert len(laid.lanes[3].bars) == 9


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 99)), max_size=60))
def test_marks_never_touch_and_are_in_order(places: list[tuple[float, int]]) -> None:
    found = place_marks(places)
    assert len(found) <= len(places) and bool(found) == bool(places)
    for left, right in itertools.pairwise(found):
        free_pct = right.left_pct - left.left_pct - 0.45 * (len(left.text) + len(right.text))
        assert free_pct > 0.8


def test_marks_that_would_touch_become_one() -> None:
    placed = place_marks([(10, 3), (10.2, 4), (10.4, 5), (50, 9), (50, 7), (90, 1)])
    assert [mark.text for mark in placed] == ["3\N{EN DASH}5", "7, 9", "1"]

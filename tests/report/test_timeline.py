"""Where bars and ticks stand."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.report.timeline import ticks, timeline
from mmreason.types import Answer, Evidence
from mmreason.video.types import Span


def test_lanes_go_from_overview_to_evidence(make_answer: Callable[..., Answer]) -> None:
    laid = timeline(make_answer())
    assert laid is not None
    assert [lane.title for lane in laid.lanes] == [
        "Captioned, level 1",
        "Captioned, level 2",
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
    laid = timeline(make_answer(evidence=(moment,), duration_s=36000.0, trace=()))
    assert laid is not None
    (bar,) = laid.lanes[0].bars
    assert bar.width_pct > 0.5 and bar.left_pct + bar.width_pct <= 100


def test_stamps_that_start_late_fill_the_width(make_answer: Callable[..., Answer]) -> None:
    late = (Evidence(span=Span(100, 105)), Evidence(span=Span(105, 110)))
    laid = timeline(make_answer(evidence=late, duration_s=10.0, trace=()))
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
    assert [tick.label for tick in ticks(Span(0, duration_s))] == labels


@given(st.floats(0, 1e5), st.floats(0.04, 1e6))
def test_ticks_are_few_and_inside(start_s: float, duration_s: float) -> None:
    found = ticks(Span(start_s, start_s + duration_s))
    assert len(found) <= 7
    assert all(-0.001 <= tick.left_pct <= 100.001 for tick in found)


def test_no_length_no_timeline(make_answer: Callable[..., Answer]) -> None:
    assert timeline(make_answer(duration_s=0.0, trace=(), evidence=())) is None

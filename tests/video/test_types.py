"""Spans, batches and times as people read them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video import FrameBatch, Span
from mmreason.video.types import format_time

bounds = st.floats(-1e6, 1e6)
spans = st.tuples(bounds, bounds).map(lambda p: Span(min(p), max(p)))


@settings(deadline=None, derandomize=True)
@given(spans, spans)
def test_overlap_is_the_length_of_the_clip(a: Span, b: Span) -> None:
    assert a.overlap_s(b) == b.overlap_s(a)
    clipped = a.clip(b)
    assert clipped.duration_s == pytest.approx(a.overlap_s(b), abs=1e-9)
    assert b.start_s <= clipped.start_s <= clipped.end_s <= b.end_s
    assert 0 <= a.overlap_s(b) <= min(a.duration_s, b.duration_s)


@settings(deadline=None, derandomize=True)
@given(spans, bounds)
def test_a_span_is_half_open(span: Span, time_s: float) -> None:
    assert not span.contains(span.end_s)
    assert span.contains(span.start_s) == (span.duration_s > 0)
    assert span.contains(time_s) == (span.start_s <= time_s < span.end_s)
    assert span.start_s <= span.middle_s <= span.end_s


@settings(deadline=None, derandomize=True)
@given(spans)
def test_a_span_within_itself_is_itself(span: Span) -> None:
    assert span.clip(span) == span
    assert Span(*span.to_list()).start_s == pytest.approx(span.start_s, abs=1e-6)


@pytest.mark.parametrize("bad", [(1.0, 0.5), (float("nan"), 1.0), (0.0, float("inf"))])
def test_bad_spans_are_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="Span"):
        Span(*bad)


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0.0, "0:00.00"),
        (75.25, "1:15.25"),
        (59.999, "1:00.00"),
        (3599.996, "1:00:00.00"),
        (36061.5, "10:01:01.50"),
        (-1.5, "-0:01.50"),
    ],
)
def test_times_for_people(time_s: float, text: str) -> None:
    assert format_time(time_s) == text


def batch(**changes: np.ndarray) -> FrameBatch:
    arrays = {
        "pixels": np.zeros((2, 4, 6, 3), np.uint8),
        "times_s": np.array([0.0, 1.0]),
        "exact": np.array([True, False]),
    }
    return FrameBatch(**(arrays | changes))


def test_a_batch_reads_well() -> None:
    assert repr(batch()) == "FrameBatch(2 frames 6x4, 0:00.00..0:01.00, 1 inexact)"
    assert len(batch()) == 2


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("pixels", np.zeros((2, 4, 6, 3), np.float32)),
        ("pixels", np.zeros((2, 4, 6), np.uint8)),
        ("times_s", np.zeros(3)),
        ("times_s", np.zeros(2, np.float32)),
        ("exact", np.zeros(2, np.int64)),
    ],
)
def test_a_batch_checks_its_shapes(name: str, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        batch(**{name: array})

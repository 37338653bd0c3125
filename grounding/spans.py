"""Arithmetic on sets of spans: union, length, intersection, temporal IoU.

A set of spans counts as its union, so naming a moment twice changes nothing. Lengths are whole
microseconds: they add up exactly, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmreason.video.types import Span

LONGEST_S = 1e12
"""Times beyond this, on either side of zero, are cut to it: no video is that long."""

_US_PER_S = 1_000_000
_IntervalUs = tuple[int, int]
"""Half-open, in microseconds."""


def merge_spans(spans: Iterable[Span], *, gap_s: float = 0.0) -> tuple[Span, ...]:
    """The union of `spans` as disjoint spans in ascending order, to the microsecond; empty spans
    go. Spans not more than `gap_s` seconds apart become one.

    Example:
        >>> merge_spans([Span(4, 6), Span(0, 2), Span(1, 3)])
        (Span(start_s=0.0, end_s=3.0), Span(start_s=4.0, end_s=6.0))
        >>> merge_spans([Span(0, 3), Span(4, 6)], gap_s=1)
        (Span(start_s=0.0, end_s=6.0),)
    """
    return tuple(
        Span(start_us / _US_PER_S, end_us / _US_PER_S)
        for start_us, end_us in _merge(spans, _to_us(gap_s))
    )


def union_length_us(spans: Iterable[Span]) -> int:
    """How long the union of `spans` is, in microseconds.

    Example:
        >>> union_length_us([Span(0, 2), Span(1, 3)])
        3000000
    """
    return _total_us(_merge(spans))


def intersection_length_us(first: Iterable[Span], second: Iterable[Span]) -> int:
    """How long both unions go on together, in microseconds.

    Example:
        >>> intersection_length_us([Span(0, 2), Span(4, 6)], [Span(1, 5)])
        2000000
    """
    return _intersect_us(_merge(first), _merge(second))


def tiou(first: Iterable[Span], second: Iterable[Span]) -> float:
    """Temporal intersection over union of two sets of spans, 0..1; 0 where both are empty.

    Example:
        >>> tiou([Span(0, 10)], [Span(5, 20)])
        0.25
    """
    a, b = _merge(first), _merge(second)
    shared_us = _intersect_us(a, b)
    union_us = _total_us(a) + _total_us(b) - shared_us
    return shared_us / union_us if union_us else 0.0


def _merge(spans: Iterable[Span], gap_us: int = 0) -> list[_IntervalUs]:
    """Disjoint intervals that are not empty, in ascending order."""
    merged: list[_IntervalUs] = []
    for start_us, end_us in sorted((_to_us(span.start_s), _to_us(span.end_s)) for span in spans):
        if start_us == end_us:
            continue
        if merged and start_us <= merged[-1][1] + gap_us:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_us))
        else:
            merged.append((start_us, end_us))
    return merged


def _total_us(merged: list[_IntervalUs]) -> int:
    return sum(end_us - start_us for start_us, end_us in merged)


def _intersect_us(a: list[_IntervalUs], b: list[_IntervalUs]) -> int:
    total_us = i = j = 0
    while i < len(a) and j < len(b):
        total_us += max(0, min(a[i][1], b[j][1]) - max(a[i][0], b[j][0]))
        # The interval that ends first meets nothing that comes later in the other set.
        if a[i][1] <= b[j][1]:
            i += 1
        else:
            j += 1
    return total_us


def _to_us(time_s: float) -> int:
    return round(min(max(time_s, -LONGEST_S), LONGEST_S) * _US_PER_S)

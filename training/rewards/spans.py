"""Where in time: overlap of stretches of video, each stretch counted once.

Lengths are whole microseconds, as in the tree, so that they add up exactly in any order. Places in
a frame are judged by `boxes.py`, the way through the tree by `navigation.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmreason.training.rewards.types import WHOLE_LIMIT, Trajectory, Truth, above_whole
from mmreason.video.types import Span

LONGEST_S = 1e12
"""Times beyond this are cut to it: no video is that long."""

IntervalUs = tuple[int, int]
"""Half-open, in microseconds."""


def union_spans(spans: Iterable[Span], *, gap_s: float = 0.0) -> list[IntervalUs]:
    """The union of spans as separate stretches in order of time; those not more than `gap_s` apart
    become one.

    Example:
        >>> union_spans([Span(5, 9), Span(0, 6)])
        [(0, 9000000)]
    """
    bounds = sorted((_to_us(span.start_s), _to_us(span.end_s)) for span in spans)
    gap_us = _to_us(gap_s)
    merged: list[IntervalUs] = []
    for start, end in bounds:
        if merged and start <= merged[-1][1] + gap_us:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def total_length_us(intervals: Iterable[IntervalUs]) -> int:
    """Of separate intervals, in microseconds."""
    return sum(end - start for start, end in intervals)


def intersection_us(a: Sequence[IntervalUs], b: Sequence[IntervalUs]) -> int:
    """Length of the intersection of two unions, each in order of time."""
    total = first = 0
    for start, end in a:
        # What ended before this interval ended before all later ones too.
        while first < len(b) and b[first][1] <= start:
            first += 1
        other = first
        while other < len(b) and b[other][0] < end:
            total += min(end, b[other][1]) - max(start, b[other][0])
            other += 1
    return total


def _to_us(time_s: float) -> int:
    return round(min(max(time_s, -LONGEST_S), LONGEST_S) * 1_000_000)


def temporal_iou(a: Iterable[Span], b: Iterable[Span]) -> float:
    """Intersection over union of two unions of spans, 0..1; 0 where both are empty.

    Example:
        >>> temporal_iou([Span(0, 10)], [Span(5, 15)])
        0.3333333333333333
    """
    first, second = union_spans(a), union_spans(b)
    shared = intersection_us(first, second)
    union = total_length_us(first) + total_length_us(second) - shared
    return shared / union if union else 0.0


def union_tiou(trajectory: Trajectory, truth: Truth) -> float | None:
    """Temporal IoU of the union of all spans said with the union of the true ones, 0..1.

    Where the length of the video is known, what naming the whole video would score is taken off
    (`above_whole`). Where the thing is not in the video, 1 for saying so, else 0. None without true
    spans, and where they fill so much of the video that a place in it says nothing.
    """
    if truth.spans is None:
        return None
    if not truth.spans:
        return float(trajectory.spans == ())
    # What naming the whole video would score.
    whole = 0.0
    if truth.duration_s is not None:
        whole = temporal_iou([Span(0.0, truth.duration_s)], truth.spans)
    if whole > WHOLE_LIMIT:
        return None
    return above_whole(temporal_iou(trajectory.spans or (), truth.spans), whole)


def time_r1(trajectory: Trajectory, truth: Truth) -> float | None:
    """The product of Time-R1, 0..1: the IoU of the last span said with the true one, times
    1 - |difference| / length of the video for its start and for its end.

    As in the released code (xiaomi-research/time-r1, `iou_v2`), but for what it leaves undefined: a
    span of no length scores 0, factors never fall below 0. None without exactly one true span and
    the length of the video.
    """
    if truth.spans is None or len(truth.spans) != 1 or truth.duration_s is None:
        return None
    if not trajectory.spans:
        return 0.0
    answer, target = trajectory.spans[-1], truth.spans[0]
    value = temporal_iou([answer], [target])
    for off_s in (answer.start_s - target.start_s, answer.end_s - target.end_s):
        value *= max(0.0, 1 - abs(off_s) / truth.duration_s)
    return value

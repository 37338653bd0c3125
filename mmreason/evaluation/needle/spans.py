"""What was visited and seen, measured against gold spans. Pure functions; all results in 0..1.

V are visited spans, G gold spans, F times of frames seen, F* gold times, in seconds. A set of spans
counts as its union: visiting a stretch twice never changes a measure.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmreason.grounding.spans import intersection_length_us, union_length_us
from mmreason.video.types import Span


def span_coverage(visited: Sequence[Span], gold: Sequence[Span]) -> float:
    """|V and G| / |G|: how much of the gold was visited; 0 for no gold.

    Example:
        >>> span_coverage([Span(0, 4)], [Span(2, 10)])
        0.25
    """
    gold_us = union_length_us(gold)
    return intersection_length_us(visited, gold) / gold_us if gold_us else 0.0


def span_precision(visited: Sequence[Span], gold: Sequence[Span]) -> float:
    """|V and G| / |V|: how much of what was visited is gold; 0 for nothing visited.

    Example:
        >>> span_precision([Span(0, 4)], [Span(2, 10)])
        0.5
    """
    return span_coverage(gold, visited)


def span_f1(visited: Sequence[Span], gold: Sequence[Span]) -> float:
    """Harmonic mean of coverage and precision, never above 1."""
    return harmonic_mean(span_coverage(visited, gold), span_precision(visited, gold))


def harmonic_mean(a: float, b: float) -> float:
    """Of two rates; 0 where both are.

    Example:
        >>> harmonic_mean(0.5, 0.5), harmonic_mean(0.0, 0.0)
        (0.5, 0.0)
    """
    return 2 * a * b / (a + b) if a + b else 0.0


def gold_times(gold: Iterable[Span], every_s: float = 1.0) -> tuple[float, ...]:
    """F*: moments at most `every_s` apart, evenly within each gold span (the middle of a short
    one).

    Example:
        >>> gold_times([Span(10, 12), Span(20, 20.5)])
        (10.5, 11.5, 20.25)
    """
    times_s: list[float] = []
    for span in gold:
        count = max(1, math.ceil(span.duration_s / every_s))
        times_s += [span.start_s + span.duration_s * (i + 0.5) / count for i in range(count)]
    return tuple(sorted(times_s))


@dataclass(frozen=True, slots=True)
class FrameScores:
    """Share of frames near gold, share of gold times near a frame, and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        return harmonic_mean(self.precision, self.recall)


def frame_scores(
    seen_s: Sequence[float], gold_s: Sequence[float], tolerance_s: float = 5.0
) -> FrameScores:
    """Frames within `tolerance_s` of a gold time, and the other way round (LV-Haystack's temporal
    scores use 5 s). Frames count once however often they were seen.

    Example:
        >>> frame_scores([0.0, 30.0], [2.0], tolerance_s=5.0)
        FrameScores(precision=0.5, recall=1.0)
    """
    frames_s, gold_times_s = sorted(set(seen_s)), sorted(set(gold_s))
    if not frames_s or not gold_times_s:
        return FrameScores(0.0, 0.0)
    # Precision asks of every frame, recall of every gold time.
    near = sum(_distance(t, gold_times_s) <= tolerance_s for t in frames_s)
    reached = sum(_distance(t, frames_s) <= tolerance_s for t in gold_times_s)
    return FrameScores(near / len(frames_s), reached / len(gold_times_s))


def _distance(time_s: float, times_s: Sequence[float]) -> float:
    """To the nearest of ascending times."""
    index = bisect_left(times_s, time_s)
    # Only the two neighbours of where it would stand can be the nearest.
    return min(abs(time_s - t) for t in times_s[max(0, index - 1) : index + 1])


def scene_hit_rate(seen_s: Sequence[float], gold: Sequence[Span]) -> float:
    """Share of gold spans in which at least one frame was seen; 0 for no gold.

    Example:
        >>> scene_hit_rate([1.0, 2.0], [Span(0, 4), Span(8, 9)])
        0.5
    """
    if not gold:
        return 0.0
    return sum(any(span.contains(t) for t in seen_s) for span in gold) / len(gold)


def span_balance(seen_s: Sequence[float], gold: Sequence[Span]) -> float:
    """How evenly the frames inside gold are spread over the gold spans: their entropy over its
    largest value. 1 for one span that was seen, 0 where nothing or only one of several was.

    Example:
        >>> span_balance([1.0, 8.5], [Span(0, 4), Span(8, 9)])
        1.0
    """
    counts = [sum(span.contains(t) for t in seen_s) for span in gold]
    total = sum(counts)
    if not total:
        return 0.0
    if len(counts) == 1:
        return 1.0
    # Without empty ones, which add nothing to the entropy and have no logarithm.
    fractions = [n / total for n in counts if n]
    return min(1.0, -sum(p * math.log(p) for p in fractions) / math.log(len(counts)))

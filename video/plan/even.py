"""Plans that look at times only: equal parts, a frame rate, key frames, given shots."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace
from itertools import pairwise
from typing import Protocol

import numpy as np

from mmreason.video.plan.budget import FrameBudget
from mmreason.video.plan.build import (
    HasInfo,
    build_plan,
    checked_count,
    middle_times,
    resolve_scope,
)
from mmreason.video.plan.families import Family, FamilyName
from mmreason.video.types import SamplePlan, Span, format_time


class HasKeyframes(HasInfo, Protocol):
    """A video that knows which of its frames decode by themselves, such as `Video`."""

    @property
    def keyframe_times_s(self) -> tuple[float, ...]: ...


def uniform(
    video_or_span: HasInfo | Span,
    n: int = 32,
    *,
    size_px: tuple[int, int] | None = None,
    family: Family | FamilyName | None = None,
    budget: FrameBudget | None = None,
) -> SamplePlan:
    """The middles of `n` equal parts: away from black first and last frames, never past the end.

    `size_px` is (width, height) to deliver, None for the video's own; `family` rounds it as its
    processor would and counts tokens; `budget` makes frames smaller, then fewer. Raises ValueError
    for n < 1, for an empty span, and for a budget that holds no frame.

    Example:
        >>> uniform(Span(0, 8), 4).times_s
        (1.0, 3.0, 5.0, 7.0)
    """
    scope = resolve_scope(video_or_span, size_px)
    shape = scope.fit(checked_count(n), family, budget)
    count = shape.frames
    return build_plan(
        middle_times(scope.span, count),
        [f"middle of part {k + 1} of {count}" for k in range(count)],
        method="uniform",
        shape=shape,
        settings={"n": count, "span": scope.span.to_list()},
        span=scope.span,
        family=family,
        budget=budget,
        frames_asked=n,
    )


def fps(
    video_or_span: HasInfo | Span,
    fps: float = 2.0,
    max_frames: int = 768,
    *,
    size_px: tuple[int, int] | None = None,
    family: Family | FamilyName | None = None,
    budget: FrameBudget | None = None,
) -> SamplePlan:
    """`fps` frames for each second, in the middles of equal parts; at most `max_frames`.

    At least one frame. `settings["fps_hz"]` is the rate that came out, `settings["fps_asked_hz"]`
    the one asked for. Raises ValueError for a rate that is not above 0, and as `uniform` does.

    Example:
        >>> fps(Span(0, 2), 2.0).times_s
        (0.25, 0.75, 1.25, 1.75)
    """
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be above 0 frames a second, got {fps}")
    scope = resolve_scope(video_or_span, size_px)
    # Up to where a float still holds every whole number.
    due_count = max(1, round(min(scope.span.duration_s * fps, 2**53)))
    shape = scope.fit(min(due_count, checked_count(max_frames)), family, budget)
    count = shape.frames
    rate_hz = count / scope.span.duration_s
    return build_plan(
        middle_times(scope.span, count),
        [f"middle of part {k + 1} of {count}, {rate_hz:.3g} a second" for k in range(count)],
        method="fps",
        shape=shape,
        settings={
            "fps_asked_hz": fps,
            "fps_hz": round(rate_hz, 6),
            "max_frames": max_frames,
            "span": scope.span.to_list(),
        },
        span=scope.span,
        family=family,
        budget=budget,
        frames_asked=due_count,
    )


def keyframes(
    video: HasKeyframes,
    n: int = 32,
    *,
    span: Span | None = None,
    size_px: tuple[int, int] | None = None,
    family: Family | FamilyName | None = None,
    budget: FrameBudget | None = None,
) -> SamplePlan:
    """As `uniform`, moved to the nearest key frames where those are dense: the cheapest to decode.

    Frames move only if the largest stretch without a key frame (the edges of the span count) is at
    most half the interval between frames. Then each moves by at most a quarter of the interval and
    no two meet. Otherwise the plan is that of `uniform`; `settings["snapped"]` and the reasons say
    which. Times of a snapped plan are those of the key frames, and `moved` tells which of them are
    not where `uniform` wants them, so that those frames come with `exact` False. Raises ValueError
    as `uniform` does.
    """
    scope = resolve_scope(video, size_px, within=span)
    shape = scope.fit(checked_count(n), family, budget)
    count = shape.frames
    times = np.array(middle_times(scope.span, count))
    keys = np.array([t for t in video.keyframe_times_s if scope.span.contains(t)])
    edges = np.concatenate([[scope.span.start_s], keys, [scope.span.end_s]])
    # Dense enough: every frame finds a key frame within a quarter of the interval.
    gap_s, interval_s = float(np.diff(edges).max()), scope.span.duration_s / count
    snapped = gap_s <= interval_s / 2
    moved: tuple[bool, ...] = ()
    if snapped:
        # The nearer of the key frames on both sides; the earlier one of equals.
        after = np.searchsorted(keys, times).clip(1, len(keys) - 1)
        later = keys[after] - times < times - keys[after - 1]
        nearest = np.where(later, keys[after], keys[after - 1])
        reasons = [
            f"key frame {abs(key - t):.2f} s {'after' if key > t else 'before'} the middle of "
            f"part {k + 1}"
            for k, (t, key) in enumerate(zip(times, nearest, strict=True))
        ]
        moved = tuple((nearest != times).tolist())
        times = nearest
    else:
        reasons = [f"middle of part {k + 1} of {count}, not moved" for k in range(count)]
    return build_plan(
        times.tolist(),
        reasons,
        method="keyframes",
        shape=shape,
        settings={
            "n": count,
            "span": scope.span.to_list(),
            "snapped": snapped,
            "largest_gap_s": round(gap_s, 6),
            "interval_s": round(interval_s, 6),
        },
        span=scope.span,
        family=family,
        budget=budget,
        frames_asked=n,
        moved=moved,
    )


def shots(
    video_or_span: HasInfo | Span,
    boundaries_s: Sequence[float],
    n: int = 32,
    *,
    size_px: tuple[int, int] | None = None,
    family: Family | FamilyName | None = None,
    budget: FrameBudget | None = None,
) -> SamplePlan:
    """The middle of every shot; the rest of `n` goes, frame by frame, to the shot with the most
    seconds for each of its frames. With fewer frames than shots the longest shots get one each.

    `boundaries_s` are the times at which a new shot begins, in any order; those outside the span
    and its edges do not count. Raises ValueError as `uniform` does and for times that are not
    finite.
    """
    scope = resolve_scope(video_or_span, size_px)
    # A set, since a boundary that is given twice would make a shot without a length.
    cuts = {float(t) for t in boundaries_s}
    if not all(np.isfinite(t) for t in cuts):
        raise ValueError("boundaries_s must be finite seconds, got nan or infinity")
    inner = sorted(t for t in cuts if scope.span.start_s < t < scope.span.end_s)
    edges = [scope.span.start_s, *inner, scope.span.end_s]
    shot_spans = [Span(a, b) for a, b in pairwise(edges)]
    shape = scope.fit(checked_count(n), family, budget)
    times: list[float] = []
    reasons: list[str] = []
    for k, (shot_span, count) in enumerate(
        zip(shot_spans, _shares(shot_spans, shape.frames), strict=True)
    ):
        times += middle_times(shot_span, count)
        name = f"shot {k + 1} of {len(shot_spans)} from {format_time(shot_span.start_s)}"
        reasons += [
            f"middle of {name}" if count == 1 else f"frame {i + 1} of {count} in {name}"
            for i in range(count)
        ]
    return build_plan(
        times,
        reasons,
        method="shots",
        shape=shape,
        settings={"n": shape.frames, "span": scope.span.to_list(), "shots": len(shot_spans)},
        span=scope.span,
        family=family,
        budget=budget,
        frames_asked=n,
    )


def _shares(shot_spans: Sequence[Span], n: int) -> list[int]:
    """How many of `n` frames each part gets; equal lengths are served from the first on."""
    # 1. One frame a shot, the longest first where there are too few.
    counts = [0] * len(shot_spans)
    by_length = sorted(range(len(shot_spans)), key=lambda k: (-shot_spans[k].duration_s, k))
    for k in by_length[:n]:
        counts[k] = 1
    # 2. Each further frame goes to the shot with the most seconds a frame: a heap of those.
    heap = [(-shot_span.duration_s, k) for k, shot_span in enumerate(shot_spans)]
    heapify(heap)
    for _ in range(n - len(shot_spans)):
        k = heap[0][1]
        counts[k] += 1
        heapreplace(heap, (-shot_spans[k].duration_s / counts[k], k))
    return counts

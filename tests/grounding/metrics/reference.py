"""Metrics written out slowly, one pair and one frame at a time: what the fast ones must equal."""

from __future__ import annotations

from mmreason.grounding import Tube, iou


def slow_tiou(first: Tube, second: Tube) -> float:
    boxes = [(first.at(t, 1e-6), second.at(t, 1e-6)) for t in _all_times(first, second)]
    either = [pair for pair in boxes if pair[0] is not None or pair[1] is not None]
    both = [pair for pair in either if pair[0] is not None and pair[1] is not None]
    return len(both) / len(either) if either else 0.0


def slow_viou(first: Tube, second: Tube) -> float:
    total, frames = 0.0, 0
    for time_s in _all_times(first, second):
        a, b = first.at(time_s, 1e-6), second.at(time_s, 1e-6)
        if a is None and b is None:
            continue
        frames += 1
        if a is not None and b is not None:
            total += iou(a, b)
    return total / frames if frames else 0.0


def _all_times(first: Tube, second: Tube) -> list[float]:
    return sorted({float(t) for tube in (first, second) for t in tube.times_s})

"""Rewards of where in time: the spans that were named against the true ones."""

from __future__ import annotations

from mmreason.grounding.spans import tiou
from mmreason.training.rewards.types import WHOLE_LIMIT, Trajectory, Truth, above_whole
from mmreason.video.types import Span


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
        whole = tiou([Span(0.0, truth.duration_s)], truth.spans)
    if whole > WHOLE_LIMIT:
        return None
    return above_whole(tiou(trajectory.spans or (), truth.spans), whole)


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
    value = tiou([answer], [target])
    for off_s in (answer.start_s - target.start_s, answer.end_s - target.end_s):
        value *= max(0.0, 1 - abs(off_s) / truth.duration_s)
    return value

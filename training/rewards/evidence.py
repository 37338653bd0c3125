"""Does the cited evidence hold? Times and boxes cited in a chain of thought, against annotations.

After the evidence terms of Open-o3-Video (arXiv 2510.20579). Two things differ: the gate takes the
absolute value of the difference, which the release forgets, so that a citation may be as late as it
likes; and marks of one second count once, by the worst of them, so that repeating the best one
changes nothing. Whether the answer is right is judged by `answers.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from mmreason.grounding import iou
from mmreason.training.rewards.boxes import frame_share
from mmreason.training.rewards.types import WHOLE_LIMIT, Mark, Trajectory, Truth, above_whole


def evidence_time(trajectory: Trajectory, truth: Truth, *, sigma_s: float = 1.0) -> float | None:
    """How near in time the marks are to annotated ones, 0..1: the mean of exp(-d^2 / 2 sigma_s^2)
    with d the distance to the nearest. 0 without a mark; None without annotations.

    Example:
        >>> from mmreason.grounding import Box
        >>> from mmreason.training.rewards.types import Frame
        >>> box, frame = Box(0, 0, 10, 10), Frame(size_px=(100, 100))
        >>> truth = Truth(marks=(Mark(3.0, box),), frame=frame)
        >>> evidence_time(Trajectory(answer="", marks=(Mark(3.0, box),)), truth)
        1.0
    """
    if not truth.marks:
        return None
    values = []
    for mark in trajectory.marks:
        away_s = min(abs(mark.time_s - true.time_s) for true in truth.marks)
        sigmas = away_s / sigma_s
        values.append((mark, math.exp(-sigmas * sigmas / 2)))
    return _mean_by_second(values)


def evidence_place(trajectory: Trajectory, truth: Truth, *, gate_s: float = 1.0) -> float | None:
    """How well the boxes of the marks hold, 0..1: the mean of the best IoU with a box annotated at
    most `gate_s` before or after, less that of the whole frame; 0 where there is none so near.

    Annotations that fill the frame are left out. 0 without a mark; None without annotations.
    """
    frame = truth.frame
    if not truth.marks or frame is None:
        return None
    usable = [
        (true, whole)
        for true in truth.marks
        if (whole := frame_share(true.box, frame)) <= WHOLE_LIMIT
    ]
    if not usable:
        return None
    values = []
    for mark in trajectory.marks:
        near = [
            above_whole(iou(mark.box, true.box), whole)
            for true, whole in usable
            if abs(mark.time_s - true.time_s) <= gate_s
        ]
        values.append((mark, max(near, default=0.0)))
    return _mean_by_second(values)


def _mean_by_second(values: Iterable[tuple[Mark, float]]) -> float:
    """The mean over seconds in which something is cited, each with the worst of its marks."""
    worst: dict[float, float] = {}
    for mark, value in values:
        # A model may write any time, infinity among them: all such marks are of one second.
        second = math.floor(mark.time_s) if math.isfinite(mark.time_s) else math.inf
        worst[second] = min(value, worst.get(second, 1.0))
    return math.fsum(worst.values()) / len(worst) if worst else 0.0

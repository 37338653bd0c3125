"""Where in a frame: boxes against boxes, without what naming the whole frame would score.

Under IoU a box round the whole frame scores the target's share of it, and under generalised IoU
just as much. Boxes with times are judged by `evidence.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from mmreason.grounding import Box, iou
from mmreason.training.rewards.types import WHOLE_LIMIT, Frame, Trajectory, Truth, above_whole


def frame_share(box: Box, frame: Frame) -> float:
    """IoU of a box with the whole frame, 0..1.

    Example:
        >>> frame_share(Box(0, 0, 50, 100), Frame(size_px=(100, 100)))
        0.5
    """
    width, height = frame.size_px
    return iou(box, Box(0.0, 0.0, width, height))


def box_iou(trajectory: Trajectory, truth: Truth) -> float | None:
    """IoU of the one box asked for, less that of the whole frame, 0..1.

    Of several boxes the worst counts, so that no guess beside a box can help. Where there is
    nothing to box, 1 for saying so, else 0. None without truth, where several boxes are wanted, and
    where the target fills so much of the frame that a box says nothing.

    Example: the target itself, and a box round the whole frame:

        >>> target, frame = Box(0, 0, 50, 100), Frame(size_px=(100, 100))
        >>> truth = Truth(boxes=(target,), frame=frame)
        >>> guesses = (target, Box(0, 0, 100, 100))
        >>> [box_iou(Trajectory(answer="", boxes=(guess,)), truth) for guess in guesses]
        [1.0, 0.0]
    """
    if truth.boxes is None or truth.frame is None or len(truth.boxes) > 1:
        return None
    # Only a box set that was said to be empty is right; saying nothing is not.
    if not truth.boxes:
        return float(trajectory.boxes == ())
    target = truth.boxes[0]
    whole = frame_share(target, truth.frame)
    if whole > WHOLE_LIMIT:
        return None
    if not trajectory.boxes:
        return 0.0
    # What a box round everything would score is no merit: it is taken off.
    return above_whole(min(iou(box, target) for box in trajectory.boxes), whole)


def box_f1(trajectory: Trajectory, truth: Truth) -> float | None:
    """Soft F1 of a set of boxes, 0..1: twice the IoU of the best one-to-one matching over the
    number of boxes said and wanted, less what boxes round the frame would score, however many.

    After the box F1 of Rex-Omni, which lets several boxes share one target. No target and None as
    for `box_iou`, with any number of boxes.
    """
    if truth.boxes is None or truth.frame is None:
        return None
    if not truth.boxes:
        return float(trajectory.boxes == ())
    targets = truth.boxes
    # What the best number of boxes round the whole frame would score: one for each of the largest
    # targets.
    largest_first = sorted((frame_share(box, truth.frame) for box in targets), reverse=True)
    sums = itertools.accumulate(largest_first)
    whole = max(2 * total / (count + len(targets)) for count, total in enumerate(sums, start=1))
    if whole > WHOLE_LIMIT:
        return None
    if not trajectory.boxes:
        return 0.0
    overlap = best_matching([[iou(box, target) for target in targets] for box in trajectory.boxes])
    return above_whole(2 * overlap / (len(trajectory.boxes) + len(targets)), whole)


def best_matching(values: Sequence[Sequence[float]]) -> float:
    """The largest sum of values that uses every row and every column once at most. Values are at
    least 0.

    Example: the diagonal gives 0.9 + 0.1, the other pairs 0.8 + 0.7:

        >>> best_matching([[0.9, 0.8], [0.7, 0.1]])
        1.5
    """
    from scipy.optimize import linear_sum_assignment

    matrix = np.asarray(values, np.float64)
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    return float(matrix[rows, columns].sum())

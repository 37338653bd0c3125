"""How right sets of boxes or masks are: several targets, one, or none.

Rows may have no target. Who says nothing where nothing is there is right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mmreason.grounding.boxes import Box
from mmreason.grounding.metrics.arrays import box_array, pairwise_iou

GREC_SCORE = 0.7
"""Boxes with a lower score are no answer: gRefCOCO's code."""
_COCO_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))


@dataclass(frozen=True, slots=True, kw_only=True)
class GrecScores:
    """Generalised comprehension (gRefCOCO).

    Example:
        >>> scores = grec_scores([[Box(0, 0, 8, 8)], []], [[Box(0, 0, 8, 8)], []])
        >>> scores.precision, scores.n_acc, scores.t_acc
        (1.0, 1.0, 1.0)
    """

    correct: np.ndarray
    """bool (n,): rows with F1 = 1; without a target, rows without a box."""
    n_acc: float
    """Of rows without a target, the share without a box; NaN without such rows."""
    t_acc: float
    """Of rows with a target, the share with a box; NaN without such rows."""

    @property
    def precision(self) -> float:
        """Pr@(F1 = 1, IoU >= .5): the share of correct rows."""
        return float(self.correct.mean()) if len(self.correct) else math.nan


def grec_scores(
    predictions: Sequence[Sequence[Box]],
    truths: Sequence[Sequence[Box]],
    scores: Sequence[Sequence[float]] | None = None,
    *,
    threshold: float = 0.5,
    least_score: float = GREC_SCORE,
    unanswered: Sequence[bool] | None = None,
) -> GrecScores:
    """Of each row the boxes that score at least `least_score` (all, where there are no `scores`)
    are matched one to one with the true ones, the largest IoU first.

    `unanswered` marks rows that were not understood: no box of theirs says that nothing is there,
    so they are wrong also without a target. Raises ValueError where rows do not match.
    """
    _check_rows(predictions, truths)
    filtered = [list(boxes) for boxes in predictions]
    if scores is not None:
        filtered = [
            [box for box, score in zip(boxes, of_row, strict=True) if score >= least_score]
            for boxes, of_row in zip(predictions, scores, strict=True)
        ]
    failed = np.zeros(len(truths), bool) if unanswered is None else np.asarray(unanswered, bool)
    has_target = np.array([bool(truth) for truth in truths], bool)
    has_box = np.array([bool(boxes) for boxes in filtered], bool)
    correct = np.array(
        [
            len(boxes) == len(truth) == _count_greedy(pairwise_iou(boxes, truth), threshold)
            for boxes, truth in zip(filtered, truths, strict=True)
        ],
        bool,
    )
    said_none = ~has_box & ~failed
    return GrecScores(
        correct=correct & ~failed,
        n_acc=_share(said_none[~has_target]),
        t_acc=_share(has_box[has_target]),
    )


def _count_greedy(ious: np.ndarray, threshold: float) -> int:
    """Pairs of a one to one matching that takes the largest IoU first."""
    ious = ious.copy()
    matched = 0
    while ious.size and ious.max() >= threshold:
        row, column = np.unravel_index(ious.argmax(), ious.shape)
        ious[row, :] = ious[:, column] = -1.0
        matched += 1
    return matched


def box_f1(
    predictions: Sequence[Box],
    truths: Sequence[Box],
    labels: tuple[Sequence[str], Sequence[str]] | None = None,
) -> float:
    """Rex-Omni's F1 of lists without scores, 0..1: recall is the mean over true boxes of the best
    IoU of a predicted one of the same class, precision the other way round. Both empty give 1, one
    empty gives 0. `labels` are the classes of both; None takes all for one class.

    Example:
        >>> box_f1([Box(0, 0, 8, 8)], [Box(0, 0, 8, 8), Box(20, 0, 28, 8)])
        0.6666666666666666
    """
    if not predictions or not truths:
        return float(not predictions and not truths)
    ious = pairwise_iou(predictions, truths)
    if labels is not None:
        predicted, true = (np.array(names, str) for names in labels)
        ious = np.where(predicted[:, None] == true[None, :], ious, 0.0)
    recall, precision = float(ious.max(axis=0).mean()), float(ious.max(axis=1).mean())
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptScores:
    """How well all instances of a concept are found, and whether it is there at all (SAM 3).

    Example:
        >>> ious = [np.array([[1.0]]), np.zeros((0, 0))]
        >>> concept_scores(ious).cg_f1
        1.0
    """

    positive_f1: float
    """Micro F1 over rows that have the concept, mean over thresholds .50, .55, ..., .95."""
    presence_mcc: float
    """Matthews correlation of "has a mask" between prediction and truth, -1..1; 0 where either is
    always or never so."""

    @property
    def cg_f1(self) -> float:
        """positive_f1 x presence_mcc."""
        return self.positive_f1 * self.presence_mcc


def concept_scores(ious: Sequence[np.ndarray]) -> ConceptScores:
    """From the IoU of every predicted with every true instance, (p, t), of each image and concept;
    p or t may be 0. Instances are matched for the largest sum of IoU."""
    from scipy.optimize import linear_sum_assignment

    thresholds = np.array(_COCO_THRESHOLDS)
    hits, predicted, true = np.zeros(len(thresholds)), 0, 0
    for matrix in ious:
        if not matrix.shape[1]:
            continue  # a false alarm on an image without the concept is the presence's matter
        rows, columns = linear_sum_assignment(matrix, maximize=True)
        hits += (matrix[rows, columns][:, None] >= thresholds).sum(axis=0)
        predicted, true = predicted + matrix.shape[0], true + matrix.shape[1]
    f1 = float((2 * hits / (predicted + true)).mean()) if predicted + true else 0.0
    has_prediction = np.array([matrix.shape[0] > 0 for matrix in ious], bool)
    has_truth = np.array([matrix.shape[1] > 0 for matrix in ious], bool)
    return ConceptScores(positive_f1=f1, presence_mcc=_mcc(has_prediction, has_truth))


def _mcc(predicted: np.ndarray, true: np.ndarray) -> float:
    tp, fp = int((predicted & true).sum()), int((predicted & ~true).sum())
    fn, tn = int((~predicted & true).sum()), int((~predicted & ~true).sum())
    scale = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / scale if scale else 0.0


def average_precision(
    predictions: Sequence[Sequence[Box]],
    scores: Sequence[Sequence[float]],
    truths: Sequence[Sequence[Box]],
    *,
    thresholds: Sequence[float] = _COCO_THRESHOLDS,
    most_boxes: int = 100,
) -> float:
    """COCO's AP of one class over images, 0..1: mean over `thresholds` of the precision at 101
    recalls. NaN where no image has a true box. Only for boxes that have scores.

    Example:
        >>> average_precision([[Box(0, 0, 8, 8)]], [[0.9]], [[Box(0, 0, 8, 8)]])
        1.0
    """
    _check_rows(predictions, truths)
    true_count = sum(len(truth) for truth in truths)
    if not true_count:
        return math.nan
    all_scores: list[np.ndarray] = []
    all_hits: list[np.ndarray] = []
    for boxes, of_row, truth in zip(predictions, scores, truths, strict=True):
        row_scores = np.asarray(of_row, np.float64)
        best_first = np.argsort(-row_scores, kind="stable")[:most_boxes]
        ious = pairwise_iou(box_array(boxes)[best_first], truth)
        all_scores.append(row_scores[best_first])
        all_hits.append(np.stack([_match_by_score(ious, t) for t in thresholds], axis=1))
    order = np.argsort(-np.concatenate(all_scores), kind="stable")
    hits = np.concatenate(all_hits)[order]
    return float(np.mean([_area_at_101(column, true_count) for column in hits.T]))


def _match_by_score(ious: np.ndarray, threshold: float) -> np.ndarray:
    """bool (p,): whether each box, the best score first, finds a true one that is still free."""
    hits, free = np.zeros(len(ious), bool), np.ones(ious.shape[1], bool)
    for row, overlap in enumerate(ious):
        if not free.any():
            break
        # Of equal ones the last, as pycocotools has it.
        candidates = np.where(free, overlap, -1.0)
        column = len(candidates) - 1 - int(candidates[::-1].argmax())
        if candidates[column] >= min(threshold, 1 - 1e-10):
            hits[row], free[column] = True, False
    return hits


def _area_at_101(hits: np.ndarray, true_count: int) -> float:
    hit_counts = np.cumsum(hits)
    recall, precision = hit_counts / true_count, hit_counts / np.arange(1, len(hits) + 1)
    # At each recall the best precision of that recall or a higher one.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    index = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.append(envelope, 0.0)[np.minimum(index, len(hits))].mean())


def _check_rows(predictions: Sequence[object], truths: Sequence[object]) -> None:
    if len(predictions) != len(truths):
        raise ValueError(
            f"each row needs its prediction and its truth: {len(predictions)} predictions, "
            f"{len(truths)} truths; a row that failed counts as one without a box"
        )


def _share(values: ArrayLike) -> float:
    array = np.asarray(values, np.float64)
    return float(array.mean()) if len(array) else math.nan

"""How right boxes in one picture are: one expression a row.

A row without a box, because nothing was said or nothing could be read, counts as 0 everywhere, and
is counted beside. Most functions take IoUs of rows, float64 (n,), so that intervals
(`statistics.cluster_bootstrap`) and tests can be had of the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from mmreason.grounding.boxes import Box
from mmreason.grounding.metrics.arrays import box_areas, box_array, paired_iou, pairwise_iou
from mmreason.grounding.metrics.statistics import Interval, cluster_bootstrap

Pick = Literal["first", "last", "best"]
"""Which box of a row is scored, where there are several. "best" looks at the truth: it says what a
chooser could reach, not what a model reached."""

MACC_THRESHOLDS: tuple[float, ...] = tuple(percent / 100 for percent in range(50, 100, 5))
"""Of mAcc, as in Ref-L4: .50, .55, ..., .95."""
SMALL_PX2, LARGE_PX2 = 128**2, 256**2
"""Ref-L4: smaller is small, larger is large; areas of the true box in pixels of the original."""

SizeBin = Literal["small", "medium", "large"]
Identity = Literal["correct", "hard distractor", "other distractor", "background", "no box"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowIous:
    """IoU of every row, and how it came about.

    Example:
        >>> row_ious([[Box(0, 0, 8, 8)], []], [Box(0, 0, 8, 4), Box(0, 0, 8, 8)]).ious.tolist()
        [0.5, 0.0]
    """

    ious: np.ndarray
    """float64 (n,), 0 where no box was given."""
    pick: Pick
    without_box: int
    """Rows that have no box: refused, or not understood."""
    with_several: int
    """Rows in which `pick` chose among several boxes."""


def row_ious(
    predictions: Sequence[Sequence[Box]], truths: Sequence[Box], *, pick: Pick = "first"
) -> RowIous:
    """The box that counts in each row against its one true box. Raises ValueError where rows do not
    match. Rows without a target are for `grec_scores`."""
    if len(predictions) != len(truths):
        raise ValueError(
            f"each row needs its prediction and its truth: {len(predictions)} predictions, "
            f"{len(truths)} truths; a row that failed counts as one without a box"
        )
    if pick == "best":
        best = [
            float(pairwise_iou(boxes, [truth]).max()) if boxes else 0.0
            for boxes, truth in zip(predictions, truths, strict=True)
        ]
        ious = np.array(best, np.float64)
    else:
        number = 0 if pick == "first" else -1
        answered = [i for i, boxes in enumerate(predictions) if boxes]
        ious = np.zeros(len(truths))
        picked = [predictions[i][number] for i in answered]
        ious[answered] = paired_iou(picked, [truths[i] for i in answered])
    return RowIous(
        ious=ious,
        pick=pick,
        without_box=sum(not boxes for boxes in predictions),
        with_several=sum(len(boxes) > 1 for boxes in predictions),
    )


def hits_at(ious: ArrayLike, threshold: float, *, strict: bool = False) -> np.ndarray:
    """float64 (n,) of 0 and 1: IoU >= threshold; `strict` takes > as VLM-R1 and TubeDETR do.

    Example:
        >>> hits_at([0.5, 0.4], 0.5).tolist(), hits_at([0.5, 0.4], 0.5, strict=True).tolist()
        ([1.0, 0.0], [0.0, 0.0])
    """
    array = np.asarray(ious, np.float64)
    return (array > threshold if strict else array >= threshold).astype(np.float64)


def accuracy_at(ious: ArrayLike, threshold: float, *, strict: bool = False) -> float:
    """Acc@t: the share of rows with IoU >= t. NaN without rows.

    Example:
        >>> accuracy_at([0.8, 0.5, 0.1, 0.0], 0.5)
        0.5
    """
    return _mean(hits_at(ious, threshold, strict=strict))


def mean_accuracies(ious: ArrayLike) -> np.ndarray:
    """float64 (n,): of each row the share of the ten thresholds of mAcc that it reaches; its mean
    is mAcc.

    Example:
        >>> mean_accuracies([0.61, 1.0, 0.0]).tolist()
        [0.3, 1.0, 0.0]
    """
    array = np.asarray(ious, np.float64)
    return (array[:, None] >= np.array(MACC_THRESHOLDS)).mean(axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyCurve:
    """Acc@t for every t of [0, 1]: steps down at each IoU that occurs.

    Example:
        >>> curve = accuracy_curve([0.5, 0.25])
        >>> curve.thresholds.tolist(), curve.accuracies.tolist(), curve.area
        ([0.0, 0.25, 0.5], [1.0, 1.0, 0.5], 0.375)
    """

    thresholds: np.ndarray
    """float64 (k,), rising from 0: Acc@t is `accuracies[i]` for t from `thresholds[i - 1]`
    (excluded) to `thresholds[i]`, and 0 beyond the last."""
    accuracies: np.ndarray

    @property
    def area(self) -> float:
        """Under the curve over [0, 1]: the mean IoU."""
        return float((np.diff(self.thresholds) * self.accuracies[1:]).sum())


def accuracy_curve(ious: ArrayLike) -> AccuracyCurve:
    """The cumulative accuracy curve of rows. Raises ValueError without any."""
    array = np.sort(np.asarray(ious, np.float64))
    if not len(array):
        raise ValueError("a curve needs at least one row")
    thresholds = np.union1d([0.0], array)
    reached = len(array) - np.searchsorted(array, thresholds, side="left")
    return AccuracyCurve(thresholds=thresholds, accuracies=reached / len(array))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScores:
    """The usual figures of referring comprehension, with intervals by image.

    Example:
        >>> scores = score_rows(row_ious([[Box(0, 0, 8, 8)]], [Box(0, 0, 8, 8)]))
        >>> scores.accuracy[0.9].value, scores.mean_iou.value, scores.without_box
        (1.0, 1.0, 0)
    """

    accuracy: dict[float, Interval]
    """By threshold: .5, .75, .9."""
    mean_accuracy: Interval
    mean_iou: Interval
    pick: Pick
    without_box: int
    with_several: int


def score_rows(
    rows: RowIous,
    clusters: Sequence[object] | None = None,
    *,
    thresholds: Sequence[float] = (0.5, 0.75, 0.9),
    strict: bool = False,
) -> ImageScores:
    """Acc@t, mAcc and mIoU of `rows`; `clusters` names the image of each."""
    return ImageScores(
        accuracy={
            t: cluster_bootstrap(hits_at(rows.ious, t, strict=strict), clusters) for t in thresholds
        },
        mean_accuracy=cluster_bootstrap(mean_accuracies(rows.ious), clusters),
        mean_iou=cluster_bootstrap(rows.ious, clusters),
        pick=rows.pick,
        without_box=rows.without_box,
        with_several=rows.with_several,
    )


def size_bins(truths: Sequence[Box] | ArrayLike) -> tuple[SizeBin, ...]:
    """Of each true box, by its area: under 128^2 px^2, over 256^2 px^2, or between.

    Example:
        >>> size_bins([Box(0, 0, 100, 100), Box(0, 0, 256, 256), Box(0, 0, 300, 300)])
        ('small', 'medium', 'large')
    """
    areas = box_areas(box_array(truths))
    return tuple(
        "small" if area < SMALL_PX2 else "large" if area > LARGE_PX2 else "medium" for area in areas
    )


def distractor_bin(distractors: int) -> str:
    """Ref-Adv's bins of the number of distractors.

    Example:
        >>> [distractor_bin(count) for count in (0, 2, 5, 12)]
        ['0-1', '2-3', '4-6', '7+']
    """
    for limit, name in ((1, "0-1"), (3, "2-3"), (6, "4-6")):
        if distractors <= limit:
            return name
    return "7+"


def mean_by_group(
    values: ArrayLike, groups: Sequence[str], clusters: Sequence[object] | None = None
) -> dict[str, Interval]:
    """Mean, interval and n of the rows of each group, groups in order of their names.

    Example:
        >>> means = mean_by_group([1.0, 0.0, 1.0], ["4-6", "2-3", "4-6"])
        >>> [(name, mean.value, mean.n) for name, mean in means.items()]
        [('2-3', 0.0, 1), ('4-6', 1.0, 2)]
    """
    array = np.asarray(values, np.float64)
    if len(groups) != len(array):
        raise ValueError(f"each of {len(array)} values needs a group, got {len(groups)}")
    names = np.array(groups, object)
    means = {}
    for name in sorted(set(groups)):
        rows = np.flatnonzero(names == name).tolist()
        own_clusters = None if clusters is None else [clusters[i] for i in rows]
        means[name] = cluster_bootstrap(array[rows], own_clusters)
    return means


def mean_over_groups(values: ArrayLike, groups: Sequence[str]) -> float:
    """The mean of the groups' means, each group the same weight (Ref-L4's class average).

    Example:
        >>> mean_over_groups([1.0, 0.0, 0.0, 0.0], ["cat", "dog", "dog", "dog"])
        0.5
    """
    array = np.asarray(values, np.float64)
    _, index = np.unique(np.array(groups, str), return_inverse=True)
    return _mean(np.bincount(index, array) / np.bincount(index))


def slope_in_log(values: ArrayLike, counts: ArrayLike) -> float:
    """By how much the mean changes when a count doubles: least squares of values on log2(count).
    NaN where all counts are the same.

    Example:
        >>> slope_in_log([1.0, 0.75, 0.5], [2, 4, 8])
        -0.25
    """
    x, y = np.log2(np.asarray(counts, np.float64)), np.asarray(values, np.float64)
    x = x - x.mean()
    spread = float(x @ x)
    return float(x @ y) / spread if spread > 0 else math.nan


def identify(
    prediction: Box | None,
    candidates: Sequence[Box] | ArrayLike,
    target: int,
    hard: Sequence[int] = (),
    *,
    rule: Literal["iou", "instancebench"] = "iou",
) -> Identity:
    """Which object a box was meant for: tells choosing from drawing.

    Under "iou" it is meant for the candidate that it overlaps most; under "instancebench" for the
    one with the largest |P n G| / sqrt(|P| |G|), which must be at least .10 and lead by .05.
    `hard` are candidates that differ from the target in one descriptor. A box that overlaps two
    candidates alike is meant for the wrong one.

    Example:
        >>> candidates = [Box(0, 0, 8, 8), Box(20, 0, 28, 8)]
        >>> identify(Box(19, 0, 27, 8), candidates, target=0, hard=[1])
        'hard distractor'
    """
    boxes = box_array(candidates)
    if not 0 <= target < len(boxes):
        raise ValueError(f"target must be one of {len(boxes)} candidates, got {target}")
    if prediction is None:
        return "no box"
    overlap = pairwise_iou([prediction], boxes)[0]
    if rule == "instancebench":
        areas = box_areas(boxes)
        # The intersection, from IoU: I = IoU (A + B) / (1 + IoU).
        shared = overlap * (prediction.area_px2 + areas) / (1 + overlap)
        scale = np.sqrt(prediction.area_px2 * areas)
        overlap = np.divide(shared, scale, out=np.zeros_like(shared), where=scale > 0)
        rivals = np.delete(overlap, overlap.argmax())
        lead = float(overlap.max() - rivals.max()) if len(rivals) else 1.0
        if overlap.max() < 0.10 or lead < 0.05:
            return "background"
    return identify_by_overlap(overlap, target, hard)


def identify_by_overlap(overlaps: ArrayLike, target: int, hard: Sequence[int] = ()) -> Identity:
    """Which candidate is meant, from the overlap with each, (n,): the largest; where several have
    it, the wrong one; "background" where all are 0.

    Example:
        >>> identify_by_overlap([0.2, 0.0, 0.7], target=0), identify_by_overlap([0.5, 0.5], 0, [1])
        ('other distractor', 'hard distractor')
    """
    array = np.asarray(overlaps, np.float64)
    if not 0 <= target < len(array):
        raise ValueError(f"target must be one of {len(array)} candidates, got {target}")
    best = array.max()
    if best <= 0:
        return "background"
    wrong = [i for i in np.flatnonzero(array == best).tolist() if i != target]
    if not wrong:
        return "correct"
    return "hard distractor" if any(i in hard for i in wrong) else "other distractor"


def identity_rates(
    identities: Sequence[Identity], clusters: Sequence[object] | None = None
) -> dict[Identity, Interval]:
    """The share of each outcome over all rows, with intervals; shares add up to 1.

    Example:
        >>> rates = identity_rates(["correct", "no box"])
        >>> rates["correct"].value, rates["background"].value
        (0.5, 0.0)
    """
    return {
        outcome: cluster_bootstrap([identity == outcome for identity in identities], clusters)
        for outcome in get_args(Identity)
    }


def worst_paths(ious: ArrayLike, targets: Sequence[Hashable]) -> np.ndarray:
    """float64 (t,): of each target the worst IoU over its paraphrases, targets as they come
    (InstanceBench's WorstPath).

    Example:
        >>> worst_paths([0.9, 0.2, 0.8], ["a", "a", "b"]).tolist()
        [0.2, 0.8]
    """
    array = np.asarray(ious, np.float64)
    if len(targets) != len(array):
        raise ValueError(f"each of {len(array)} rows needs its target, got {len(targets)}")
    number_of: dict[Hashable, int] = {}
    index = [number_of.setdefault(target, len(number_of)) for target in targets]
    worst = np.full(len(number_of), np.inf)
    np.minimum.at(worst, index, array)
    return worst


def all_at(ious: ArrayLike, targets: Sequence[Hashable], threshold: float) -> float:
    """All@t: the share of targets that every paraphrase finds at IoU >= t.

    Example:
        >>> all_at([0.9, 0.2, 0.8], ["a", "a", "b"], 0.7)
        0.5
    """
    return accuracy_at(worst_paths(ious, targets), threshold)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan

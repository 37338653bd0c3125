"""How right tubes are: when, where, and that nothing is said where the target is not to be seen.

Two tubes are compared frame by frame, on one clock. A time that lies before the first or after the
last of a tube is a time at which it is absent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmreason.grounding.metrics.arrays import paired_iou
from mmreason.grounding.metrics.image import Identity, identify_by_overlap
from mmreason.grounding.metrics.statistics import Interval, cluster_bootstrap
from mmreason.grounding.results import Grounding, GroundingStatus
from mmreason.grounding.tubes import Tube

Clock = Literal["frames", "seconds"]
"""Whether each frame counts the same, or as long as it is shown."""

SAME_TIME_S = 6e-4
"""Two times that differ by no more are the same frame: files round them to the millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Two tubes on the frames of both.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> tube = Tube.from_boxes([0.0, 0.2], [Box(0, 0, 8, 8), None])
        >>> align(tube, tube).both.tolist()
        [True, False]
    """

    times_s: np.ndarray
    """float64 (n,)."""
    first_px: np.ndarray
    """float64 (n, 4)."""
    second_px: np.ndarray
    in_first: np.ndarray
    """bool (n,): whether the first tube has a box there."""
    in_second: np.ndarray
    weights: np.ndarray
    """float64 (n,): what each frame counts."""

    @property
    def both(self) -> np.ndarray:
        """bool (n,): frames in both."""
        return self.in_first & self.in_second

    @property
    def union(self) -> np.ndarray:
        """bool (n,): frames in either."""
        return self.in_first | self.in_second

    @property
    def ious(self) -> np.ndarray:
        """float64 (n,): 0 where either is absent."""
        return np.where(self.both, paired_iou(self.first_px, self.second_px), 0.0)


def align(first: Tube, second: Tube, clock: Clock = "frames") -> Aligned:
    """Both tubes on one clock. Raises ValueError where both cover a time that only one of them
    has a frame at: they were sampled at different rates, or one counts frames and not seconds.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> seconds = Tube.from_boxes([0.2, 0.4], [Box(0, 0, 8, 8)] * 2)
        >>> frames = Tube.from_boxes([0.0, 1.0], [Box(0, 0, 8, 8)] * 2)
        >>> align(seconds, frames)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: two tubes on different clocks: one has a frame at 0.2 s ...
    """
    times_s = _merge_times(first.times_s, second.times_s)
    rows = [_place(tube, times_s) for tube in (first, second)]
    for (index, _), (other_index, covered) in (rows, rows[::-1]):
        if covered is None:
            continue
        start_s, end_s = covered
        inside = (times_s >= start_s - SAME_TIME_S) & (times_s <= end_s + SAME_TIME_S)
        lone = inside & (index >= 0) & (other_index < 0)
        if lone.any():
            raise ValueError(
                f"two tubes on different clocks: one has a frame at {times_s[lone.argmax()]:g} s "
                f"and the other, which goes from {start_s:g} to {end_s:g} s, has none there; "
                "bring both to the same times, as with Tube.resample(times_s)"
            )
    boxes_px, present = [], []
    for tube, (index, _) in zip((first, second), rows, strict=True):
        is_present = np.zeros(len(times_s), bool)
        is_present[index >= 0] = tube.present[index[index >= 0]]
        placed_px = np.zeros((len(times_s), 4))
        placed_px[is_present] = tube.boxes_px[index[is_present]]
        boxes_px.append(placed_px)
        present.append(is_present)
    return Aligned(
        times_s=times_s,
        first_px=boxes_px[0],
        second_px=boxes_px[1],
        in_first=present[0],
        in_second=present[1],
        weights=_durations(times_s) if clock == "seconds" else np.ones(len(times_s)),
    )


def _merge_times(a_s: np.ndarray, b_s: np.ndarray) -> np.ndarray:
    """The times of both, rising; those of one frame once."""
    times_s = np.union1d(a_s, b_s)
    if not len(times_s):
        return times_s
    return times_s[np.concatenate(([True], np.diff(times_s) > SAME_TIME_S))]


def _place(tube: Tube, times_s: np.ndarray) -> tuple[np.ndarray, tuple[float, float] | None]:
    """(index of the tube's frame at each time, -1 for none; first and last time of the tube)"""
    index = np.full(len(times_s), -1)
    if not len(tube):
        return index, None
    # `times_s` keeps the earlier one of two times of a frame.
    slots = np.searchsorted(times_s, tube.times_s, side="right") - 1
    if (np.diff(slots) < 1).any():
        raise ValueError(f"frames of a tube must be more than {SAME_TIME_S} s apart to be compared")
    index[slots] = np.arange(len(tube))
    return index, (float(tube.times_s[0]), float(tube.times_s[-1]))


def _durations(times_s: np.ndarray) -> np.ndarray:
    """How long each frame is shown, in seconds; the last as long as most are."""
    if len(times_s) < 2:
        return np.ones(len(times_s))
    gaps_s = np.diff(times_s)
    return np.append(gaps_s, np.median(gaps_s))


def tube_tiou(first: Tube, second: Tube, clock: Clock = "frames") -> float:
    """Frames with a box in both over frames with a box in either, 0..1; 0 where neither has any.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> box = Box(0, 0, 8, 8)
        >>> a = Tube.from_boxes([0, 1, 2], [box, box, None])
        >>> b = Tube.from_boxes([0, 1, 2], [None, box, box])
        >>> round(tube_tiou(a, b), 3)
        0.333
    """
    aligned = align(first, second, clock)
    return _weighted_ratio(aligned.both, aligned)


def viou(first: Tube, second: Tube, clock: Clock = "frames") -> float:
    """Overlap of two tubes, 0..1: the sum of IoU over frames in both, over the number of frames in
    *either* (Zhang 2020, VidSTG). Never more than `tube_tiou`, the same for swapped tubes, and 1
    only for identical ones; 0 where neither has a box.

    Example: half the frames, each half right:

        >>> from mmreason.grounding.boxes import Box
        >>> truth = Tube.from_boxes([0.0, 0.2], [Box(0, 0, 8, 8), Box(0, 0, 8, 8)])
        >>> viou(Tube.from_boxes([0.0, 0.2], [Box(0, 0, 8, 4), None]), truth)
        0.25
    """
    aligned = align(first, second, clock)
    return _weighted_ratio(aligned.ious, aligned)


def _weighted_ratio(values: np.ndarray, aligned: Aligned) -> float:
    whole = float(aligned.weights[aligned.union].sum())
    return float((values * aligned.weights).sum()) / whole if whole > 0 else 0.0


def siou(predicted: Tube, truth: Tube) -> float:
    """Mean IoU over the frames in which the target is to be seen: where, given when. NaN where it
    never is. Boxes that are said at other times do not count here.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> truth = Tube.from_boxes([0.0, 0.2], [Box(0, 0, 8, 8), None])
        >>> predicted = Tube.from_boxes([0.0, 0.2], [Box(0, 0, 8, 4), Box(0, 0, 8, 4)])
        >>> siou(predicted, truth), viou(predicted, truth)
        (0.5, 0.25)
    """
    aligned = align(predicted, truth)
    return _mean(aligned.ious[aligned.in_second])


def absent_frame_score(predicted: Tube, truth: Tube) -> float:
    """Of the frames of `truth` in which the target is not to be seen, the share without a predicted
    box. NaN where it always is to be seen.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> truth = Tube.from_boxes([0.0, 0.2, 0.4], [Box(0, 0, 8, 8), None, None])
        >>> predicted = Tube.from_boxes([0.0, 0.2, 0.4], [None, Box(0, 0, 8, 4), None])
        >>> absent_frame_score(predicted, truth)
        0.5
    """
    aligned = align(predicted, truth)
    _, covered = _place(truth, aligned.times_s)
    if covered is None:
        return math.nan
    # Frames before and after the truth were not looked at by who made it.
    inside = (aligned.times_s >= covered[0] - SAME_TIME_S) & (
        aligned.times_s <= covered[1] + SAME_TIME_S
    )
    return _mean(~aligned.in_first[inside & ~aligned.in_second])


def identify_tube(
    predicted: Tube | None, candidates: Sequence[Tube], target: int, hard: Sequence[int] = ()
) -> Identity:
    """Which object a tube was meant for: that with the largest vIoU. As `image.identify`: `hard`
    are candidates that differ from the target in one descriptor, a tie counts as wrong, None is no
    box, and so is a tube that is absent everywhere.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> left, right = (Tube.from_boxes([0.0], [Box(x, 0, x + 8, 8)]) for x in (0, 20))
        >>> identify_tube(right, [left, right], target=0, hard=[1])
        'hard distractor'
    """
    if predicted is None or not predicted.present.any():
        return "no box"
    return identify_by_overlap([viou(predicted, tube) for tube in candidates], target, hard)


def scored_tube(grounding: Grounding) -> Tube | None:
    """The tube that a result is scored by: that of its first target. A tube without frames where
    the target was looked for and is not there; None where nothing can be scored: not understood,
    failed, or a target without a tube.

    Example:
        >>> from mmreason.grounding.results import Grounding, GroundingStatus
        >>> scored_tube(Grounding(status=GroundingStatus.UNPARSED)) is None
        True
        >>> len(scored_tube(Grounding(status=GroundingStatus.NONE)))
        0
    """
    if grounding.status is GroundingStatus.NONE:
        return Tube.from_boxes([], [])
    return grounding.targets[0].tube if grounding.targets else None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoScores:
    """The figures of spatio-temporal grounding, with intervals by video.

    Those of "when" and "where" are over rows with a target; `n_acc` is over rows without.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> tube = Tube.from_boxes([0.0, 0.2], [Box(0, 0, 8, 8), None])
        >>> scores = score_tubes([tube, None], [tube, tube])
        >>> scores.m_viou.value, scores.viou_at[0.5].value, scores.without_tube
        (0.5, 0.5, 1)
    """

    clock: Clock
    m_tiou: Interval
    m_viou: Interval
    viou_at: dict[float, Interval]
    """vIoU@R: the share of rows with vIoU > R (strictly, as in the literature)."""
    m_siou: Interval
    absent_frames: Interval
    """Over rows in which the target is absent in some frame."""
    n_acc: Interval
    """Of rows in which the target is in no frame, the share that says so."""
    t_acc: Interval
    """Of rows with a target, the share with a box in some frame."""
    without_tube: int
    """Rows without a tube, which count as 0 everywhere: refused or not understood."""
    vious: np.ndarray
    """float64 (n,): of every row, 0 for those without a target; for paired tests."""


def score_tubes(
    predictions: Sequence[Tube | None],
    truths: Sequence[Tube],
    clusters: Sequence[object] | None = None,
    *,
    clock: Clock = "frames",
    thresholds: Sequence[float] = (0.3, 0.5),
) -> VideoScores:
    """Score predicted tubes, None where there is none, against true ones; `clusters` names the
    video of each row. A tube without frames says that the target is not there. Raises ValueError
    where rows do not match or two tubes are on different clocks, with the number of the row."""
    if len(predictions) != len(truths):
        raise ValueError(
            f"each row needs its prediction and its truth: {len(predictions)} predictions, "
            f"{len(truths)} truths; a row that failed counts as None"
        )
    names = list(range(len(truths))) if clusters is None else list(clusters)
    rows = [
        _score_row(number, predicted, truth, clock)
        for number, (predicted, truth) in enumerate(zip(predictions, truths, strict=True))
    ]
    tious, vious, sious, absent, has_box, said_none = (
        np.array(column, np.float64) for column in (zip(*rows, strict=True) if rows else [()] * 6)
    )
    has_target = np.array([bool(truth.present.any()) for truth in truths], bool)

    def interval(values: np.ndarray, counted: np.ndarray) -> Interval:
        picked = np.flatnonzero(counted)
        return cluster_bootstrap(values[picked], [names[i] for i in picked])

    return VideoScores(
        clock=clock,
        m_tiou=interval(tious, has_target),
        m_viou=interval(vious, has_target),
        viou_at={r: interval((vious > r).astype(float), has_target) for r in thresholds},
        m_siou=interval(sious, has_target),
        absent_frames=interval(absent, ~np.isnan(absent)),
        n_acc=interval(said_none, ~has_target),
        t_acc=interval(has_box, has_target),
        without_tube=sum(tube is None for tube in predictions),
        vious=vious,
    )


def _score_row(
    number: int, predicted: Tube | None, truth: Tube, clock: Clock
) -> tuple[float, float, float, float, float, float]:
    """tIoU, vIoU, sIoU, absent frames (NaN where none are), any box, said that it is not there."""
    if predicted is None:
        # Nothing was said, which is not the same as that nothing is there.
        return 0.0, 0.0, 0.0, math.nan if truth.present.all() else 0.0, 0.0, 0.0
    try:
        scores = (
            tube_tiou(predicted, truth, clock),
            viou(predicted, truth, clock),
            siou(predicted, truth),
            absent_frame_score(predicted, truth),
        )
    except ValueError as error:
        raise ValueError(f"row {number}: {error}") from error
    has_box = bool(predicted.present.any())
    return *scores, float(has_box), float(not has_box)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan

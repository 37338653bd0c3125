"""How right masks are: region and boundary of objects in video, and generalised segmentation.

Masks are bool (H, W), or `Mask`; None is a frame without the object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmreason.grounding.masks import Mask
from mmreason.grounding.metrics.statistics import Interval, cluster_bootstrap

BOUNDARY_TOLERANCE = 0.008
"""How far apart two boundaries may lie and still match, of the diagonal: DAVIS."""


def region_j(predicted: np.ndarray, truth: np.ndarray) -> float:
    """J: intersection over union of two masks, bool (H, W); 1 where both are empty.

    Example:
        >>> region_j(np.array([[True, True]]), np.array([[True, False]]))
        0.5
    """
    _check_sizes(predicted, truth)
    union = int(np.count_nonzero(predicted | truth))
    return int(np.count_nonzero(predicted & truth)) / union if union else 1.0


def boundary_f(
    predicted: np.ndarray, truth: np.ndarray, *, tolerance: float = BOUNDARY_TOLERANCE
) -> float:
    """F: harmonic mean of the shares of both boundaries that lie within `tolerance` diagonals
    (rounded up to pixels) of the other (Perazzi 2016, DAVIS). 1 where both are without a boundary.

    Example:
        >>> mask = np.zeros((9, 9), bool)
        >>> mask[2:6, 2:6] = True
        >>> boundary_f(mask, mask), boundary_f(mask, ~mask & False)
        (1.0, 0.0)
    """
    _check_sizes(predicted, truth)
    edges = [_boundary(np.asarray(mask, bool)) for mask in (predicted, truth)]
    counts = [int(np.count_nonzero(edge)) for edge in edges]
    if not all(counts):
        return float(not any(counts))
    radius_px = math.ceil(tolerance * math.hypot(*predicted.shape))
    reached = [np.count_nonzero(edges[i] & _dilate(edges[1 - i], radius_px)) for i in (0, 1)]
    precision, recall = (int(reached[i]) / counts[i] for i in (0, 1))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from their neighbour to the right, below or both."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask ^ right) | (mask ^ below) | (mask ^ diagonal)


def _dilate(edge: np.ndarray, radius_px: int) -> np.ndarray:
    import cv2

    return cv2.dilate(edge.view(np.uint8), _disk(radius_px)).astype(bool)


@lru_cache(maxsize=32)
def _disk(radius_px: int) -> np.ndarray:
    offsets = np.arange(-radius_px, radius_px + 1)
    return (offsets[:, None] ** 2 + offsets**2 <= radius_px**2).astype(np.uint8)


def _check_sizes(predicted: np.ndarray, truth: np.ndarray) -> None:
    if predicted.shape != truth.shape or predicted.ndim != 2:
        raise ValueError(
            f"two masks of one frame must have its size: {predicted.shape} and {truth.shape}"
        )


MaskTrack = Sequence[Mask | None]
"""One object through the frames of a video; None where it is not to be seen."""


def jf_of_track(predicted: MaskTrack, truth: MaskTrack) -> tuple[float, float]:
    """(J, F) of one object, means over all frames of the video. Raises ValueError where frames do
    not match.

    Example:
        >>> mask = Mask.from_array(np.array([[True, False], [False, False]]))
        >>> jf_of_track([mask, mask], [mask, None])
        (0.5, 0.5)
    """
    if len(predicted) != len(truth):
        raise ValueError(
            f"as many frames are needed: {len(predicted)} predicted, {len(truth)} true"
        )
    regions, boundaries = [], []
    for a, b in zip(predicted, truth, strict=True):
        # An absent object is an empty mask; of two of them no size is known, and none is needed.
        if a is None and b is None:
            pair = np.zeros((1, 1), bool), np.zeros((1, 1), bool)
        else:
            pair = _as_array(a, b), _as_array(b, a)
        regions.append(region_j(*pair))
        boundaries.append(boundary_f(*pair))
    return _mean(regions), _mean(boundaries)


def _as_array(mask: Mask | None, other: Mask | None) -> np.ndarray:
    if mask is not None:
        return mask.to_array()
    assert other is not None
    width, height = other.size_px
    return np.zeros((height, width), bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationScores:
    """J, F and J&F over rows with a target, and who says rightly that there is none (MeViS v2).

    Example:
        >>> mask = Mask.from_array(np.array([[True, False], [False, False]]))
        >>> scores = score_mask_tracks([[mask], [None], None], [[mask], [None], [mask]])
        >>> scores.jf.value, scores.n_acc.value, scores.t_acc.value, scores.without_track
        (0.5, 1.0, 0.5, 1)
    """

    j: Interval
    f: Interval
    jf: Interval
    n_acc: Interval
    """Of rows without a target in any frame, the share without a mask in any."""
    t_acc: Interval
    """Of rows with a target, the share with a mask in some frame."""
    without_track: int
    """Rows without a prediction, which count as 0 everywhere."""


def score_mask_tracks(
    predictions: Sequence[MaskTrack | None],
    truths: Sequence[MaskTrack],
    clusters: Sequence[object] | None = None,
) -> SegmentationScores:
    """Score masks through time, one object a row; None where there is no prediction. `clusters`
    names the video of each row. Raises ValueError where rows or frames do not match."""
    if len(predictions) != len(truths):
        raise ValueError(
            f"each row needs its prediction and its truth: {len(predictions)} predictions, "
            f"{len(truths)} truths; a row that failed counts as None"
        )
    names = list(range(len(truths))) if clusters is None else list(clusters)
    has_target = np.array([_has_mask(truth) for truth in truths], bool)
    has_mask = np.array([track is not None and _has_mask(track) for track in predictions], bool)
    answered = np.array([track is not None for track in predictions], bool)
    jf = np.zeros((len(truths), 2))
    for row, (track, truth) in enumerate(zip(predictions, truths, strict=True)):
        if track is not None and has_target[row]:
            jf[row] = jf_of_track(track, truth)

    def interval(values: np.ndarray, counted: np.ndarray) -> Interval:
        picked = np.flatnonzero(counted)
        return cluster_bootstrap(values[picked], [names[i] for i in picked])

    return SegmentationScores(
        j=interval(jf[:, 0], has_target),
        f=interval(jf[:, 1], has_target),
        jf=interval(jf.mean(axis=1), has_target),
        n_acc=interval((~has_mask & answered).astype(float), ~has_target),
        t_acc=interval(has_mask.astype(float), has_target),
        without_track=int((~answered).sum()),
    )


def _has_mask(track: MaskTrack) -> bool:
    return any(mask is not None and mask.area_px2 > 0 for mask in track)


@dataclass(frozen=True, slots=True, kw_only=True)
class GresScores:
    """Generalised segmentation of images (gRefCOCO).

    Example:
        >>> mask = Mask.from_array(np.array([[True, False], [False, False]]))
        >>> empty = Mask.from_array(np.zeros((2, 2), bool))
        >>> scores = gres_scores([mask, empty], [mask, empty])
        >>> scores.g_iou, scores.c_iou, scores.n_acc
        (1.0, 1.0, 1.0)
    """

    g_iou: float
    """Mean IoU of rows; 1 where both masks are empty."""
    c_iou: float
    """Sum of intersections over sum of unions: large objects weigh most, so read both."""
    n_acc: float
    t_acc: float


def gres_scores(predictions: Sequence[Mask | None], truths: Sequence[Mask]) -> GresScores:
    """Score one mask a row, all targets together; an empty mask says that nothing is there, None is
    a row without a prediction and counts as 0. NaN where there are no rows of a kind."""
    if len(predictions) != len(truths):
        raise ValueError(
            f"each row needs its prediction and its truth: {len(predictions)} predictions, "
            f"{len(truths)} truths; a row that failed counts as None"
        )
    ious, shared, union, said_none, said_one = [], 0, 0, [], []
    for predicted, truth in zip(predictions, truths, strict=True):
        a, b = _as_array(predicted, truth), truth.to_array()
        ious.append(0.0 if predicted is None else region_j(a, b))
        shared += int(np.count_nonzero(a & b))
        union += int(np.count_nonzero(a | b))
        if truth.area_px2:
            said_one.append(float(a.any()))
        else:
            said_none.append(float(predicted is not None and not a.any()))
    return GresScores(
        g_iou=_mean(ious),
        c_iou=shared / union if union else math.nan,
        n_acc=_mean(said_none),
        t_acc=_mean(said_one),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan

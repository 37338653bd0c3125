"""How right single spans are: when something happens, one query a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.grounding.metrics.image import hits_at
from mmreason.grounding.metrics.statistics import Interval, cluster_bootstrap
from mmreason.video.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanScores:
    """Temporal IoU of every row, R1@t and mIoU.

    Example:
        >>> scores = score_spans([(0.0, 5.0), (9.0, 3.0), None], [Span(0, 10)] * 3)
        >>> scores.tious.tolist(), scores.malformed, scores.without_span
        ([0.5, 0.0, 0.0], 1, 1)
    """

    tious: np.ndarray
    """float64 (n,)."""
    recall: dict[float, Interval]
    """R1@t: the share of rows with tIoU >= t."""
    mean_iou: Interval
    malformed: int
    """Rows whose span ends before or where it starts, or is not finite: they count as 0, and are
    never turned round."""
    without_span: int


def score_spans(
    predictions: Sequence[tuple[float, float] | None],
    truths: Sequence[Span],
    clusters: Sequence[object] | None = None,
    *,
    thresholds: Sequence[float] = (0.3, 0.5, 0.7),
) -> SpanScores:
    """Score (start_s, end_s) of each row, None where there is none, against the true span. Raises
    ValueError where rows do not match."""
    if len(predictions) != len(truths):
        raise ValueError(
            f"each row needs its prediction and its truth: {len(predictions)} predictions, "
            f"{len(truths)} truths; a row that failed counts as None"
        )
    rows = [(np.nan, np.nan) if span is None else span for span in predictions]
    spans_s = np.array(rows, np.float64).reshape(-1, 2)
    true_s = np.array([span.to_list() for span in truths], np.float64).reshape(-1, 2)
    start_s, end_s = spans_s.T
    is_sound = np.isfinite(spans_s).all(axis=1) & (start_s < end_s)
    shared_s = np.minimum(end_s, true_s[:, 1]) - np.maximum(start_s, true_s[:, 0])
    shared_s = np.where(is_sound, np.maximum(shared_s, 0.0), 0.0)
    whole_s = np.where(is_sound, end_s - start_s + true_s[:, 1] - true_s[:, 0] - shared_s, 1.0)
    tious = shared_s / whole_s
    without_span = sum(span is None for span in predictions)
    return SpanScores(
        tious=tious,
        recall={t: cluster_bootstrap(hits_at(tious, t), clusters) for t in thresholds},
        mean_iou=cluster_bootstrap(tious, clusters),
        malformed=int((~is_sound).sum()) - without_span,
        without_span=without_span,
    )

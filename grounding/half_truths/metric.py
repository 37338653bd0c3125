"""How often a right text is preferred to itself with a wrong detail (CS-CLIP, arXiv 2602.23906)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfTruthScore:
    """Half-truth accuracy of some comparisons.

    Example:
        >>> HalfTruthScore(comparisons=4, accuracy=0.75, low=0.25, high=1.0)
        HalfTruthScore(comparisons=4, accuracy=0.75, low=0.25, high=1.0)
    """

    comparisons: int
    accuracy: float
    """Share in which the right text has the strictly higher score: a tie is wrong."""
    low: float
    """95 % interval by a bootstrap over images."""
    high: float


def score_half_truths(
    right_scores: Sequence[float] | np.ndarray,
    half_truth_scores: Sequence[float] | np.ndarray,
    kinds: Sequence[str],
    images: Sequence[object],
) -> dict[str, HalfTruthScore]:
    """Of comparisons one after another: the score of the right text, that of the half-truth, the
    kind of its detail, and the image that both are about. Keys are "all" and each kind.

    Raises ValueError for columns of other lengths, none, and scores that are not finite.

    Example:
        >>> scores = score_half_truths([0.3, 0.3], [0.2, 0.3], ["entity", "relation"], ["a", "b"])
        >>> {kind: score.accuracy for kind, score in scores.items()}
        {'all': 0.5, 'entity': 1.0, 'relation': 0.0}
    """
    right, wrong = np.asarray(right_scores, float), np.asarray(half_truth_scores, float)
    lengths = {len(column) for column in (right, wrong, kinds, images)}
    if lengths == {0} or len(lengths) > 1 or right.ndim != 1:
        raise ValueError(
            "expected four columns of one length, 1 or more, got "
            f"{[len(column) for column in (right, wrong, kinds, images)]}"
        )
    if not (np.isfinite(right).all() and np.isfinite(wrong).all()):
        raise ValueError("scores must be finite, got nan or infinity")
    is_right = right > wrong
    _, numbers = np.unique([repr(image) for image in images], return_inverse=True)
    names = np.array(kinds)
    picks = {"all": np.ones(len(names), bool)} | {
        kind: names == kind for kind in sorted(set(kinds))
    }
    return {kind: _score(is_right[pick], numbers[pick]) for kind, pick in picks.items()}


def _score(is_right: np.ndarray, images: np.ndarray) -> HalfTruthScore:
    _, compact = np.unique(images, return_inverse=True)
    hits = np.bincount(compact, weights=is_right)
    counts = np.bincount(compact)
    drawn = np.random.default_rng(0).integers(0, len(hits), (_RESAMPLES, len(hits)))
    shares = hits[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return HalfTruthScore(
        comparisons=len(is_right), accuracy=float(is_right.mean()), low=float(low), high=float(high)
    )


def detail_raises_score(
    right: float | np.ndarray, detail: float | np.ndarray, between: float | np.ndarray
) -> np.ndarray:
    """Whether a detail added to a right text raises its score, where the vector of both is the
    normalised sum of their unit vectors: `right` and `detail` are their cosines with the image,
    `between` that of one with the other. With `between` 0 four tenths of `right` are enough.

    Example:
        >>> detail_raises_score(0.3, np.array([0.12, 0.13]), 0.0).tolist()
        [False, True]
    """
    return np.asarray(detail > right * (np.sqrt(2 + 2 * np.asarray(between)) - 1))

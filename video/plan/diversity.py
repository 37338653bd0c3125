"""Frames that differ from each other, by embeddings of any model.

- Farthest point: Gonzalez' greedy k-center, each next frame is the least similar to those chosen.
- MMR: maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998), score against similarity.
- DPP: greedy MAP of a determinantal point process by the incremental Cholesky factor (Chen, Zhang
  and Zhou, NeurIPS 2018, arXiv 1709.05135).

All take O(T) memory a chosen frame. Candidates that are equally good are told apart by time: the
one farthest from the frames chosen so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmreason.video.plan.budget import FrameBudget, as_budget
from mmreason.video.plan.build import (
    build_chosen,
    checked_candidates,
    checked_vector,
    fit_candidates,
)
from mmreason.video.plan.families import Family, FamilyName
from mmreason.video.types import SamplePlan

TIE = 1e-9
"""Values no further apart than this count as the same."""
_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_SCORE_WEIGHT = 2.0
_MDP3_VARIANCES = (0.125, 0.25, 0.5, 1.0, 2.0)
_MDP3_LAMBDA = 0.2

DiverseMethod = Literal["farthest", "mmr", "dpp"]


def diverse(
    embeddings: Sequence[Sequence[float]] | np.ndarray,
    times_s: Sequence[float] | np.ndarray,
    budget: int | FrameBudget,
    method: DiverseMethod = "farthest",
    *,
    scores: Sequence[float] | np.ndarray | None = None,
    score_share: float = 0.5,
    size_px: tuple[int, int] | None = None,
    family: Family | FamilyName | None = None,
) -> SamplePlan:
    """Exactly min(budget, T) candidates that show different things.

    `embeddings` (T, D) are compared by cosine. `scores` (T,), brought to 0..1, say which candidates
    matter: "farthest" begins with the best of them, "mmr" weighs them by `score_share` against the
    likeness to chosen frames, "dpp" weighs every frame by them. Without scores "farthest" and "mmr"
    begin with the candidate nearest to the average. Raises ValueError for shapes that do not match,
    times that do not ascend, numbers that are not finite, and a budget that holds no frame.

    Example:
        >>> diverse([[1, 0], [1, 0.1], [0, 1]], [0, 1, 2], 2).times_s
        (1.0, 2.0)
    """
    points = unit_rows(embeddings)
    times = checked_candidates(times_s, points, "embeddings")
    quality = np.zeros(len(times))
    if scores is not None:
        quality = unit_scores(checked_vector(scores, "scores"))
        checked_candidates(times, quality, "scores")
    if not 0 <= score_share <= 1:
        raise ValueError(f"score_share must lie in 0..1, got {score_share}")
    limits = as_budget(budget)
    shape = fit_candidates(len(times), limits, size_px, family)
    if method == "dpp":
        kernel = Kernel.of(points, quality)
        order, reason = greedy_dpp(kernel, times, shape.frames).order, "adds the most volume"
    elif method in ("farthest", "mmr"):
        # "farthest" has used the scores for its first choice, and does not weigh them again.
        score_weight = score_share if method == "mmr" and scores is not None else 0.0
        order = _least_alike(points, quality, times, shape.frames, score_weight)
        reason = (
            "least like those chosen" if score_weight == 0 else "best mix of score and difference"
        )
    else:
        raise ValueError(f"method {method!r} is not known; known are farthest, mmr, dpp")
    return build_chosen(
        {i: f"choice {k + 1}: {reason if k else 'first'}" for k, i in enumerate(order)},
        times,
        method=f"diverse ({method})",
        shape=shape,
        settings={"score_share": score_share} if method == "mmr" else {},
        family=family,
        budget=limits,
    )


def unit_rows(embeddings: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """float64 (T, D) of rows with length 1 (or 0). Raises ValueError for another shape and
    for numbers that are not finite.

    Example:
        >>> unit_rows([[3.0, 4.0]]).tolist()
        [[0.6, 0.8]]
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    if rows.shape == (0,):
        rows = rows.reshape(0, 1)
    if rows.ndim != 2:
        raise ValueError(f"embeddings must be one row a candidate, got shape {rows.shape}")
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    # The lengths first: they are T numbers, the rows T x D. Large finite rows overflow a length.
    if not np.isfinite(lengths).all() and not np.isfinite(rows).all():
        bad = int(np.argwhere(~np.isfinite(rows))[0][0])
        raise ValueError(f"embeddings must be finite, got nan or infinity at candidate {bad}")
    lengths[lengths == 0] = 1.0
    # In place where no one else holds the array: embeddings of a long film are hundreds of MB.
    ours = rows is not embeddings and rows.flags.owndata
    return np.divide(rows, lengths[:, None], out=rows if ours else None)


def unit_scores(scores: np.ndarray) -> np.ndarray:
    """`scores` (T,) moved and scaled to 0..1; zeros where all are the same.

    Example:
        >>> unit_scores(np.array([2.0, 4.0, 3.0])).tolist()
        [0.0, 1.0, 0.5]
    """
    if not len(scores) or scores.max() == scores.min():
        return np.zeros(len(scores))
    return (scores - scores.min()) / (scores.max() - scores.min())


def published_relevance(cosines: np.ndarray) -> np.ndarray:
    """mDP3's r (T,), of cosines with a query: the mean of Gaussians of the distance between the two
    points on the sphere, to the power of 1 / 0.2."""
    near = np.mean([np.exp((cosines - 1) / var) for var in _MDP3_VARIANCES], axis=0)
    return near ** (1 / _MDP3_LAMBDA)


class Chooser:
    """What is chosen so far and how far in time each candidate is from it."""

    def __init__(self, times_s: np.ndarray) -> None:
        self.order: list[int] = []
        self._times_s = times_s
        self._gap_s = np.full(len(times_s), np.inf)

    def best(self, value: np.ndarray) -> int:
        """The candidate with the highest value (T,); among ties the farthest in time. Takes it."""
        # A gap of 0 is a chosen candidate, or one at the very time of one.
        value = np.where(self._gap_s > 0, value, -np.inf)
        tied = np.flatnonzero(value >= value.max() - TIE)
        i = int(tied[self._gap_s[tied].argmax()])
        self.order.append(i)
        self._gap_s = np.minimum(self._gap_s, np.abs(self._times_s - self._times_s[i]))
        return i


def _least_alike(
    points: np.ndarray, quality: np.ndarray, times_s: np.ndarray, n: int, score_weight: float
) -> list[int]:
    """Greedy argmax of share x quality - (1 - share) x largest cosine to a chosen one, O(T n D).

    Cosines are as exact as half the memory allows: reading the points is what takes the time. They
    are rounded so that equal points stay equal.
    """
    chooser = Chooser(times_s)
    points = points.astype(np.float32)
    if n == 0:
        return chooser.order
    likeness = np.full(len(points), -np.inf)
    # Nothing is chosen yet that candidates could differ from: the first is the most typical one.
    value = quality if quality.any() else points @ points.mean(axis=0)
    for _ in range(n):
        i = chooser.best(value)
        likeness = np.maximum(likeness, np.round((points @ points[i]).astype(np.float64), 6))
        value = score_weight * quality - (1 - score_weight) * likeness
    return chooser.order


@dataclass(frozen=True, slots=True)
class Kernel:
    """L = diag(r) K diag(r) of a DPP, computed a column at a time.

    K is the mean of Gaussians of several widths, so that near and far likeness both count; r grows
    with quality. Never holds T x T numbers.
    """

    points: np.ndarray
    """float64 (T, D), about their average."""
    squares: np.ndarray
    """float64 (T,): squared lengths of `points`."""
    quality: np.ndarray
    """float64 (T,): r."""
    width: float
    widths: tuple[float, ...] = _WIDTHS
    """Of the Gaussians, as multiples of `width`."""

    @classmethod
    def of(cls, points: np.ndarray, scores: np.ndarray, width: float | None = None) -> Kernel:
        """The kernel over `points` (T, D) for `scores` (T,) in 0..1; `width` is the distance that
        counts as near, the root mean square of all distances if None."""
        if len(points):
            # About their average, for the sake of digits: distances do not change.
            points = points - points.mean(axis=0)
        squares = (points**2).sum(axis=1)
        if width is None and len(points):
            width = float(np.sqrt(2 * squares.mean()))
        return cls(points, squares, np.exp(_SCORE_WEIGHT / 2 * scores), width or 1.0)

    @classmethod
    def of_cosines(cls, points: np.ndarray, cosines: np.ndarray) -> Kernel:
        """As mDP3 publishes it: `points` (T, D) of length 1 and their `cosines` (T,) with a
        query."""
        widths = tuple(var**0.5 for var in _MDP3_VARIANCES)
        squares = (points**2).sum(axis=1)
        return cls(points, squares, published_relevance(cosines), 1.0, widths)

    def part(self, rows: slice) -> Kernel:
        """The kernel of a run of candidates."""
        return Kernel(
            self.points[rows], self.squares[rows], self.quality[rows], self.width, self.widths
        )

    @property
    def diagonal(self) -> np.ndarray:
        return self.quality**2

    def column(self, j: int, rows: slice = slice(None)) -> np.ndarray:
        """L[rows, j], float64 (T,) for all rows."""
        # |a - b|^2 by one product of a matrix and a vector; rounding can make it a little negative.
        apart = self.squares[rows] + self.squares[j] - 2 * self.points[rows] @ self.points[j]
        apart = np.maximum(apart, 0.0) / self.width**2
        near = np.mean([np.exp(apart / (-2 * w**2)) for w in self.widths], axis=0)
        return self.quality[rows] * near * self.quality[j]


@dataclass(frozen=True, slots=True)
class Greedy:
    """Candidates in the order chosen, and how much each adds to log det L: never increasing."""

    order: list[int]
    gains: list[float]


def greedy_dpp(kernel: Kernel, times_s: np.ndarray, n: int) -> Greedy:
    """Greedy maximisation of log det of L restricted to `n` candidates, O(T n^2).

    Keeps the rows of the Cholesky factor of all candidates against the chosen ones, so that each
    step adds one row and lowers every candidate's remaining volume by its square.
    """
    chooser, gains = Chooser(times_s), []
    volume = kernel.diagonal.copy()
    # Below this a remaining volume is rounding, and its logarithm noise.
    least = 1e-10 * volume.max(initial=1.0)
    factor = np.zeros((n, len(volume)))
    for k in range(n):
        i = chooser.best(volume)
        gains.append(float(np.log(max(volume[i], least))))
        # Only copies are left: no volume to add, time alone decides.
        if volume[i] <= least:
            volume = np.zeros_like(volume)
            continue
        # Gram-Schmidt against the frames chosen so far.
        row = (kernel.column(i) - factor[:k, i] @ factor[:k]) / np.sqrt(volume[i])
        factor[k] = row
        volume = np.maximum(volume - row**2, 0.0)
    return Greedy(chooser.order, gains)

"""Frames at equal steps of something that adds up over time, such as change or score.

Sampling at equal steps of a cumulated weight is inverse transform sampling, as BOLT (Liu et al.,
CVPR 2025, arXiv 2503.21483) uses it on scores; here it also serves differences between frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

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


def at_quantiles(weights: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """The index at which the cumulated share of `weights` (T,), none negative and one above 0,
    reaches each quantile in 0..1. Quantiles inside one weight give its index several times.

    Example:
        >>> at_quantiles(np.array([1.0, 2.0, 1.0]), np.array([0.2, 0.5])).tolist()
        [0, 1]
    """
    cumulated = np.cumsum(weights)
    return np.searchsorted(cumulated / cumulated[-1], quantiles).clip(0, len(weights) - 1)


def spread_evenly(available: int, n: int) -> list[int]:
    """The indices in the middles of `n` equal parts of `available` >= n candidates.

    Example:
        >>> spread_evenly(10, 2)
        [2, 7]
    """
    return [int((k + 0.5) * available / n) for k in range(n)]


def motion(
    differences: Sequence[float] | np.ndarray,
    times_s: Sequence[float] | np.ndarray,
    budget: int | FrameBudget,
    *,
    even_share: float = 0.1,
    size_px: tuple[int, int] | None = None,
    family: Family | FamilyName | None = None,
) -> SamplePlan:
    """Candidates between which the picture changes by equal amounts: many where much happens.

    `differences` (T,) says how much each candidate differs from the one before, 0 or more, such as
    the mean absolute difference of pixels or 1 - cosine of embeddings; the first is often 0.
    `even_share` of the sum is spread evenly, so that stillness is seen too. Where several steps
    fall into one candidate, the places left go to the middles of the stretches with the most change
    unseen. Raises ValueError for negative or non-finite differences, for times that do not ascend,
    and for a budget that holds no frame.

    Example:
        >>> motion([0, 0, 0, 9, 9], [0, 1, 2, 3, 4], 2, even_share=0).times_s
        (3.0, 4.0)
    """
    change = checked_vector(differences, "differences")
    times = checked_candidates(times_s, change, "differences")
    if (change < 0).any():
        raise ValueError(f"differences must be 0 or more, got {change.min():g}")
    if not 0 <= even_share <= 1:
        raise ValueError(f"even_share must lie in 0..1, got {even_share}")
    limits = as_budget(budget)
    shape = fit_candidates(len(times), limits, size_px, family)
    chosen: dict[int, str] = {}
    if n := shape.frames:
        weights = _mixed(change, even_share)
        # Middles of equal parts of all change: neither end is favoured.
        steps = (np.arange(n) + 0.5) / n
        for k, i in enumerate(at_quantiles(weights, steps).tolist()):
            # Several steps may fall into one candidate, which keeps the reason of the first.
            chosen.setdefault(i, f"{100 * steps[k]:.0f}% of the change seen")
        _fill_widest(chosen, np.cumsum(weights), n)
    return build_chosen(
        chosen,
        times,
        method="motion",
        shape=shape,
        settings={"even_share": even_share},
        family=family,
        budget=limits,
    )


def _mixed(change: np.ndarray, even_share: float) -> np.ndarray:
    """Weights (T,) that sum to 1; even where nothing changes."""
    even = np.full(len(change), 1 / len(change))
    total = change.sum()
    return even if total == 0 else even_share * even + (1 - even_share) * change / total


def _fill_widest(chosen: dict[int, str], cumulated: np.ndarray, n: int) -> None:
    """Add candidates up to `n`, each in the middle of the gap with the most weight (then length)
    between chosen ones. O(n log n)."""
    before = [0.0, *cumulated.tolist()]  # the weight of all candidates before one
    edges = [-1, *sorted(chosen), len(cumulated)]

    def gap(low: int, high: int) -> tuple[float, int, int, int]:
        # Negative, as a heap gives its least item first.
        return before[low + 1] - before[high], low - high, low, high

    gaps = [gap(a, b) for a, b in pairwise(edges) if b - a > 1]
    heapify(gaps)
    while len(chosen) < n:
        _, _, low, high = heappop(gaps)
        middle = (low + high + 1) // 2
        chosen[middle] = "fills the widest gap left"
        for a, b in ((low, middle), (middle, high)):
            if b - a > 1:
                heappush(gaps, gap(a, b))

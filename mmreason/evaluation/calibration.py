"""Fits and checks how far stated confidence is the share that is right: pure functions of pairs
(confidence, right).

`mmreason.models.calibration` applies the fit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.evaluation.scoring import Proportion

Pair = tuple[float, bool]
"""(stated confidence 0..1, whether the reply was right)."""
LEAST_IN_STEP = 20
"""A step of the fit rests on at least so many pairs."""
EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Bins of the reliability table."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Replies whose stated confidence lies in [low, high), the last bin with its end."""

    low: float
    high: float
    stated: float
    """Mean of the stated confidences."""
    right: Proportion


def fit_rising(pairs: Sequence[Pair]) -> tuple[tuple[float, float], ...]:
    """Points (stated, right) of the least-squares rising map (isotonic regression by pooling
    adjacent violators), over steps of `LEAST_IN_STEP` pairs or more; empty without pairs.

    Each step counts one right and one wrong reply more than it has, so that none is certain.
    """
    # 1. Steps of equal counts over the stated confidence; a short last one joins its neighbour.
    ordered = sorted(pairs)
    steps = [
        ordered[start : start + LEAST_IN_STEP] for start in range(0, len(ordered), LEAST_IN_STEP)
    ]
    if len(steps) > 1 and len(steps[-1]) < LEAST_IN_STEP:
        steps[-2:] = [steps[-2] + steps[-1]]
    # 2. Pool neighbours for as long as the later one is not right more often: what remains rises.
    pools: list[list[Pair]] = []
    for step in steps:
        pools.append(step)
        while len(pools) > 1 and _share_right(pools[-2]) >= _share_right(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    return tuple(
        (round(float(np.mean([stated for stated, _ in pool])), 5), round(_share_right(pool), 5))
        for pool in pools
    )


def _share_right(pool: list[Pair]) -> float:
    # Laplace's rule of succession.
    return (sum(right for _, right in pool) + 1) / (len(pool) + 2)


def reliability_bins(pairs: Sequence[Pair]) -> list[Bin]:
    """The bins of `EDGES` that hold replies.

    Example:
        >>> bins = reliability_bins([(0.75, True), (0.75, False)])
        >>> [(bin_.low, bin_.stated, bin_.right.hits) for bin_ in bins]
        [(0.7, 0.75, 1)]
    """
    bins = []
    for low, high in itertools.pairwise(EDGES):
        inside = [p for p in pairs if low <= p[0] < high or (high == EDGES[-1] == p[0])]
        if inside:
            stated = float(np.mean([value for value, _ in inside]))
            right = Proportion(sum(is_right for _, is_right in inside), len(inside))
            bins.append(Bin(low, high, stated, right))
    return bins


def expected_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: mean gap between stated and right over replies.

    Example:
        >>> expected_error(reliability_bins([(0.75, True), (0.75, False)]))
        0.25
    """
    total = sum(group.right.n for group in bins)
    return sum(abs(group.stated - group.right.value) * group.right.n for group in bins) / max(
        1, total
    )

"""Means over seeds with 95 % intervals, and comparisons that are paired by seed.

Student's t, because seeds are few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""97.5 % quantiles of Student's t for 1 to 30 degrees of freedom (any table has them)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds with its 95 % interval; both infinite ends where there is one seed only.

    Example:
        >>> interval = estimate_mean([1.0, 2.0, 3.0])
        >>> round(interval.low, 2), interval.mean, round(interval.high, 2)
        (-0.48, 2.0, 4.48)
    """

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


class Verdict(StrEnum):
    """What a comparison says of a claim."""

    HOLDS = "holds"
    NOT_SHOWN = "not shown"
    """The interval of the difference has zero in it."""
    REVERSED = "the other way round"


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """The mean difference of two arms over the seeds that both have, and what it says."""

    difference: Estimate
    verdict: Verdict


def estimate_mean(values: Sequence[float]) -> Estimate:
    """Mean and t interval. ValueError without values."""
    if not values:
        raise ValueError("no values to take the mean of")
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, -math.inf, math.inf, 1)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    # Beyond the table the last entry is taken: slightly too wide an interval.
    half = _T_975[min(n - 1, len(_T_975)) - 1] * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def compare_paired(
    values: Mapping[int, float],
    against: Mapping[int, float],
    direction: Literal["higher", "lower"],
) -> PairedComparison | None:
    """`values` less `against` by seed, and whether it lies in `direction`; None without a seed in
    common.

    Example:
        >>> found = compare_paired({0: 0.5, 1: 0.7}, {0: 0.3, 1: 0.5}, "higher")
        >>> found.verdict.value
        'holds'
    """
    seeds = sorted(values.keys() & against.keys())
    if not seeds:
        return None
    difference = estimate_mean([values[seed] - against[seed] for seed in seeds])
    # An interval that touches zero shows nothing.
    above, below = difference.low > 0, difference.high < 0
    agrees, contradicts = (above, below) if direction == "higher" else (below, above)
    verdict = Verdict.HOLDS if agrees else Verdict.REVERSED if contradicts else Verdict.NOT_SHOWN
    return PairedComparison(difference, verdict)

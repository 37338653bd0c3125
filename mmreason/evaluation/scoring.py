"""Right or wrong, and how sure we are of the share: pure functions."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Proportion:
    """`hits` of `n`, with a 95 % Wilson interval.

    Example:
        >>> print(Proportion(8, 10) + Proportion(1, 10))
        45.0% (25.8% to 65.8%, n = 20)
    """

    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson score interval at 95 % (Wilson 1927); (0, 1) where nothing was measured."""
        if not self.n:
            return (0.0, 1.0)
        z, p, n = 1.959964, self.value, self.n
        # It stays open where all or none are hits; the normal one shrinks to nothing there.
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return (max(0.0, centre - half), min(1.0, centre + half))

    def __add__(self, other: Proportion) -> Proportion:
        return Proportion(self.hits + other.hits, self.n + other.n)

    def __str__(self) -> str:
        if not self.n:
            return "not measured"
        low, high = self.interval
        return f"{self.value:.1%} ({low:.1%} to {high:.1%}, n = {self.n})"


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with a 95 % interval from the normal approximation.

    Example:
        >>> print(Mean.of([1.0, 2.0, 3.0]))
        2.000 (0.868 to 3.132, n = 3)
    """

    total: float
    squares: float
    n: int

    @classmethod
    def of(cls, values: list[float]) -> Mean:
        return cls(sum(values), sum(v * v for v in values), len(values))

    @property
    def value(self) -> float:
        return self.total / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if self.n < 2:
            return (math.nan, math.nan)
        # Rounding may leave the difference of the sums a little below 0.
        variance = max(0.0, (self.squares - self.n * self.value**2) / (self.n - 1))
        half = 1.959964 * math.sqrt(variance / self.n)
        return (self.value - half, self.value + half)

    def __str__(self) -> str:
        if not self.n:
            return "not measured"
        low, high = self.interval
        return f"{self.value:.3f} ({low:.3f} to {high:.3f}, n = {self.n})"


def bootstrap_mean(
    clusters: Collection[Sequence[float]], *, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean over all values with a 95 % percentile interval (low, high) from drawing whole clusters:
    values of one source are not independent. Without two clusters there is no interval, without a
    value no mean: NaN.

    Example:
        >>> bootstrap_mean([[1.0, 1.0], [1.0]])
        (1.0, 1.0, 1.0)
    """
    if not clusters:
        return math.nan, math.nan, math.nan
    # Sums and counts a cluster: drawing clusters then needs no more than indexing.
    sums = np.array([sum(values) for values in clusters])
    counts = np.array([len(values) for values in clusters])
    value = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return value, math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return value, float(low), float(high)


def normalise_text(text: str) -> str:
    """Lower case, single spaces, without punctuation.

    Example:
        >>> normalise_text("It moves  LEFT.")
        'it moves left'
    """
    return " ".join(re.findall(r"\w+", text.lower()))


def says_same(answer: str, truth: str) -> bool:
    """Whether an answer says exactly what is true, but for case and punctuation.

    Example:
        >>> says_same("Red.", "red"), says_same("dark red", "red")
        (True, False)
    """
    return normalise_text(answer) == normalise_text(truth)

"""Right or wrong, and how sure we are of the share: pure functions."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mmreason.grounding.metrics.statistics import wilson_interval


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
        """Wilson's, at 95 %; (0, 1) where nothing was measured."""
        return wilson_interval(self.hits, self.n)

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

"""Two ways of answering the same questions: how far apart, and whether by more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.evaluation.refadv.figures import (
    NOT_MEASURED,
    ClusteredFigure,
    paired_share,
    share_of,
)
from mmreason.grounding.metrics.statistics import mcnemar, paired_permutation

SIGNIFICANCE = 0.05
HitPair = tuple[str, bool, bool]
"""(video, whether the first is right, whether the second is)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """The share right of the first less that of the second, on the same questions.

    Example:
        >>> pairs = [(f"v{i}", i % 2 == 0, False) for i in range(40)]
        >>> compare_hits("lenient", pairs).sentence("new", "old")
        'new is better than old by +50.0 (+31.8 to +65.0) points: a difference is shown'
    """

    name: str
    first: ClusteredFigure
    second: ClusteredFigure
    difference: ClusteredFigure
    """At 95 %: the wider of a bootstrap over videos and Agresti and Min's interval."""
    both: int
    only_first: int
    only_second: int
    neither: int
    mcnemar_p: float
    """Exact, two-sided; takes questions about one video for independent."""
    permutation_p: float
    """Two-sided, whole videos change sides."""

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out no difference, and the permutation test agrees: with a
        handful of videos intervals are too narrow."""
        excludes_zero = self.difference.low > 0 or self.difference.high < 0
        return excludes_zero and self.permutation_p < SIGNIFICANCE

    def sentence(self, first: str, second: str) -> str:
        """Plainly, with the names of the two."""
        if not self.difference.n:
            return "nothing could be compared"
        if not self.is_shown:
            return f"{first} less {second}: {self.difference.points} points; no difference is shown"
        order = "better" if self.difference.value > 0 else "worse"
        return (
            f"{first} is {order} than {second} by {self.difference.points} points: a difference "
            "is shown"
        )


def compare_hits(name: str, pairs: Sequence[HitPair]) -> PairedDifference:
    """The paired difference of (video, first, second)."""
    first = [float(hit) for _, hit, _ in pairs]
    second = [float(hit) for _, _, hit in pairs]
    videos = [video for video, _, _ in pairs]
    both = sum(a and b for _, a, b in pairs)
    neither = sum(not a and not b for _, a, b in pairs)
    only_first = sum(a and not b for _, a, b in pairs)
    return PairedDifference(
        name=name,
        first=share_of((video, a) for video, a, _ in pairs),
        second=share_of((video, b) for video, _, b in pairs),
        difference=paired_share(pairs) if pairs else NOT_MEASURED,
        both=both,
        only_first=only_first,
        only_second=len(pairs) - both - neither - only_first,
        neither=neither,
        mcnemar_p=mcnemar(first, second).p_value,
        permutation_p=paired_permutation(first, second, videos, draws=2000),
    )

"""Shares with intervals that know that questions about one video are not independent."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from mmreason.grounding.metrics.statistics import wilson_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteredShare:
    """Hits of questions that come in clusters, with a 95 % interval.

    Example:
        >>> print(ClusteredShare.of([("a", True), ("a", True), ("b", False)]))
        66.7% (10.4% to 97.2%, 3 questions about 2 videos)
    """

    hits: int
    n: int
    clusters: int
    effective_n: float
    """Independent questions that would tell as much; `n` or fewer."""

    @classmethod
    def of(cls, results: Iterable[tuple[str, bool]]) -> ClusteredShare:
        """From (cluster, hit) of each question."""
        by_cluster: defaultdict[str, list[bool]] = defaultdict(list)
        for cluster, hit in results:
            by_cluster[cluster].append(hit)
        n = sum(map(len, by_cluster.values()))
        hits = sum(map(sum, by_cluster.values()))
        return cls(
            hits=hits,
            n=n,
            clusters=len(by_cluster),
            effective_n=_count_effective(list(by_cluster.values()), hits, n),
        )

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, at the effective number of questions; (0, 1) where nothing was measured."""
        scale = self.effective_n / self.n if self.n else 0.0
        return wilson_interval(self.hits * scale, self.effective_n)

    def __str__(self) -> str:
        if not self.n:
            return "not measured"
        low, high = self.interval
        questions = "1 question" if self.n == 1 else f"{self.n:,} questions"
        videos = "1 video" if self.clusters == 1 else f"{self.clusters:,} videos"
        return f"{self.value:.1%} ({low:.1%} to {high:.1%}, {questions} about {videos})"


def _count_effective(clusters: list[list[bool]], hits: int, n: int) -> float:
    """n divided by the design effect: the variance of the share over clusters (linearised, with the
    correction for few of them) against that of independent questions."""
    hit_share = hits / n if n else 0.0
    # All right or all wrong tell nothing of how alike a cluster is: each counts once then.
    if hits in (0, n) or len(clusters) < 2:
        return float(len(clusters))
    # Residuals summed by cluster: they grow with its size where its questions fall alike.
    totals = [sum(cluster) - hit_share * len(cluster) for cluster in clusters]
    correction = len(clusters) / (len(clusters) - 1)
    variance = correction * sum(total * total for total in totals) / n**2
    design_effect = variance / (hit_share * (1 - hit_share) / n)
    # Never more than there are: that clusters differ less than chance would have them is chance.
    return n / max(1.0, design_effect)

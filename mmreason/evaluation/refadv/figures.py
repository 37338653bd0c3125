"""Figures with intervals that know that items about one picture or video are not independent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mmreason.evaluation.public.intervals import ClusteredShare
from mmreason.evaluation.refadv.outcomes import CaseOutcome
from mmreason.grounding.metrics.statistics import cluster_bootstrap, wilson_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteredFigure:
    """A mean or a share with its 95 % interval; NaN where nothing was measured.

    Example:
        >>> ClusteredFigure(value=0.5, low=0.4, high=0.6, n=100, clusters=80).text
        '50.0% (40.0 to 60.0)'
    """

    JSON_PROPERTIES: ClassVar = ("estimate", "interval")

    value: float = field(metadata={"json": False})
    low: float = field(metadata={"json": False})
    high: float = field(metadata={"json": False})
    n: int
    """Items, or pairs of them."""
    clusters: int
    """Pictures or videos."""

    @property
    def estimate(self) -> float | None:
        """The mean or share; null where nothing was measured."""
        return None if math.isnan(self.value) else self.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """At 95 %; null where nothing, or one picture or video, was measured."""
        return None if math.isnan(self.low) else (self.low, self.high)

    @property
    def text(self) -> str:
        """In percent."""
        if not self.n:
            return "-"
        if math.isnan(self.low):
            return f"{self.value:.1%} (one source: no interval)"
        return f"{self.value:.1%} ({100 * self.low:.1f} to {100 * self.high:.1f})"

    @property
    def points(self) -> str:
        """As a difference of shares, in points."""
        if not self.n:
            return "-"
        if math.isnan(self.low):
            return f"{100 * self.value:+.1f} (one source: no interval)"
        return f"{100 * self.value:+.1f} ({100 * self.low:+.1f} to {100 * self.high:+.1f})"


NOT_MEASURED = ClusteredFigure(value=math.nan, low=math.nan, high=math.nan, n=0, clusters=0)


def share(outcomes: Sequence[CaseOutcome], test: Callable[[CaseOutcome], bool]) -> ClusteredFigure:
    """Share that passes a test, with Wilson's interval at the effective number of items."""
    return share_of((outcome.cluster, test(outcome)) for outcome in outcomes)


def share_of(results: Iterable[tuple[str, bool]]) -> ClusteredFigure:
    """The same of (cluster, hit)."""
    of = ClusteredShare.of(results)
    if not of.n:
        return NOT_MEASURED
    low, high = of.interval
    return ClusteredFigure(value=of.value, low=low, high=high, n=of.n, clusters=of.clusters)


def mean(values: Iterable[tuple[str, float]]) -> ClusteredFigure:
    """Mean of (cluster, value), with an interval by drawing whole clusters."""
    rows = list(values)
    of = cluster_bootstrap([value for _, value in rows], [cluster for cluster, _ in rows])
    return ClusteredFigure(value=of.value, low=of.low, high=of.high, n=of.n, clusters=of.clusters)


def paired_share(pairs: Sequence[tuple[str, bool, bool]]) -> ClusteredFigure:
    """Share of the first less that of the second of (cluster, first, second).

    The interval is at each end the wider of two: bootstrap over clusters, and Agresti and Min's
    (2005) for paired shares, which stays open where no pair differs.
    """
    figure = mean((cluster, float(first) - float(second)) for cluster, first, second in pairs)
    if not pairs:
        return figure
    # Half a pair is added to each of the four cells: nothing is certain after n pairs.
    n = len(pairs) + 2
    lost = sum(first and not second for _, first, second in pairs) + 0.5
    won = sum(second and not first for _, first, second in pairs) + 0.5
    centre = (lost - won) / n
    half = 1.959964 * math.sqrt(lost + won - (lost - won) ** 2 / n) / n
    # Pairs of one cluster tell less than as many of different ones.
    half *= math.sqrt(len(pairs) / figure.clusters)
    low, high = centre - half, centre + half
    if not math.isnan(figure.low):
        low, high = min(low, figure.low), max(high, figure.high)
    return ClusteredFigure(
        value=figure.value,
        low=max(-1.0, low),
        high=min(1.0, high),
        n=figure.n,
        clusters=figure.clusters,
    )


def mean_of_two(pairs: Sequence[tuple[str, bool, bool]]) -> ClusteredFigure:
    """Share right over both halves of each pair of (cluster, first, second): 0.5 for who answers
    both alike where one of them is right. The interval never closes at 0, 0.5 or 1."""
    figure = mean((cluster, (float(first) + float(second)) / 2) for cluster, first, second in pairs)
    if not pairs:
        return figure
    low, high = wilson_interval(figure.value * figure.clusters, figure.clusters)
    is_constant = len({first + second for _, first, second in pairs}) == 1
    if is_constant or math.isnan(figure.low):
        # Halves that cancel each other in every pair look certain, and are not.
        return ClusteredFigure(
            value=figure.value, low=low, high=high, n=figure.n, clusters=figure.clusters
        )
    return figure


def slope_in_log(outcomes: Sequence[CaseOutcome]) -> ClusteredFigure:
    """How much the share of right choices changes where candidates double: a straight line in
    log2 n by least squares, with an interval by drawing clusters. Not measured where all items have
    as many, or all or none are right."""
    known = [outcome for outcome in outcomes if outcome.facts.candidates > 1]
    sums: dict[str, np.ndarray] = {}
    for outcome in known:
        x, y = math.log2(outcome.facts.candidates), float(outcome.is_right)
        row = np.array([1.0, x, y, x * x, x * y])
        sums[outcome.cluster] = sums.get(outcome.cluster, 0.0) + row
    # Who is always right, or never, has no slope that more items could not change.
    varies = len({o.facts.candidates for o in known}) > 1 and len({o.is_right for o in known}) > 1
    if len(sums) < 3 or not varies:
        return NOT_MEASURED
    table = np.stack(list(sums.values()))
    drawn = np.random.default_rng(0).integers(0, len(table), (2000, len(table)))
    slopes = _slopes(table[drawn].sum(1))
    low, high = np.nanquantile(slopes, (0.025, 0.975))
    value = float(_slopes(table.sum(0)[None])[0])
    return ClusteredFigure(
        value=value, low=float(low), high=float(high), n=len(known), clusters=len(table)
    )


def _slopes(sums: np.ndarray) -> np.ndarray:
    """Least squares from rows of (n, sum x, sum y, sum xx, sum xy); NaN where x is constant."""
    n, x, y, xx, xy = sums.T
    spread = n * xx - x * x
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-9, (n * xy - x * y) / spread, np.nan)

"""How sure a figure is: intervals that know which rows belong together, and paired tests.

Rows about one image or one video are not independent, so that whole clusters are drawn. None of
this knows of boxes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_Z_95 = 1.959964
_MOST_CELLS = 4_000_000
"""Cluster indices drawn at a time: 32 MB."""
_MOST_EXACT_CLUSTERS = 12
"""Up to 2^12 sign patterns a permutation test looks at all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with an interval and what it stands on.

    Example:
        >>> print(Interval(value=0.5, low=0.4, high=0.6, n=100, clusters=20))
        0.500 (0.400 to 0.600, n = 100 in 20 clusters)
    """

    value: float
    """NaN where nothing was measured."""
    low: float
    """NaN, as `high`, where fewer than two clusters tell nothing of how they differ."""
    high: float
    n: int
    """Rows."""
    clusters: int
    confidence: float = 0.95

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside; False without an interval."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if not self.n:
            return "not measured"
        if math.isnan(self.low):
            return f"{self.value:.3f} (no interval, n = {self.n} in {self.clusters} cluster)"
        return (
            f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}, n = {self.n} in "
            f"{self.clusters} clusters)"
        )


def wilson_interval(hits: float, n: float) -> tuple[float, float]:
    """Wilson's score interval at 95 % (Wilson 1927), for numbers that need not be whole; (0, 1)
    where nothing was measured.

    Example:
        >>> [round(bound, 3) for bound in wilson_interval(8, 10)]
        [0.49, 0.943]
    """
    if not n:
        return (0.0, 1.0)
    z, p = _Z_95, hits / n
    # It stays open where all or none are hits; the normal one shrinks to nothing there.
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return (max(0.0, centre - half), min(1.0, centre + half))


def cluster_bootstrap(
    values: ArrayLike,
    clusters: Sequence[object] | np.ndarray | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """The mean of `values` (n,) with a percentile interval from drawing whole clusters.

    `clusters` (n,) names the image or the video of each row; None takes every row for itself. Give
    differences of two runs on the same rows for a paired interval. Raises ValueError where values
    are not finite, or clusters are not as many.

    Example: two videos with two rows each, all alike within a video:

        >>> print(cluster_bootstrap([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]))
        0.500 (0.000 to 1.000, n = 4 in 2 clusters)
    """
    array, index, count = _check_rows(values, clusters)
    if not len(array):
        return Interval(
            value=math.nan, low=math.nan, high=math.nan, n=0, clusters=0, confidence=confidence
        )
    # Sums and counts a cluster: drawing clusters then needs no more than indexing.
    sums = np.bincount(index, array, count)
    sizes = np.bincount(index, minlength=count)
    low = high = math.nan
    if count > 1:
        means = _draw_means(sums, sizes, draws, seed)
        tail = (1 - confidence) / 2
        low, high = (float(bound) for bound in np.quantile(means, (tail, 1 - tail)))
    return Interval(
        value=float(sums.sum() / sizes.sum()),
        low=low,
        high=high,
        n=len(array),
        clusters=count,
        confidence=confidence,
    )


def _check_rows(
    values: ArrayLike, clusters: Sequence[object] | np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """(values (n,), number of the cluster of each row (n,), number of clusters)."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise ValueError(f"values must have shape (n,), got {array.shape}")
    if not np.isfinite(array).all():
        row = int((~np.isfinite(array)).argmax())
        raise ValueError(
            f"values must be finite, row {row} is {array[row]}: a row without an answer counts as 0"
        )
    if clusters is None:
        return array, np.arange(len(array)), len(array)
    if len(clusters) != len(array):
        raise ValueError(f"each of {len(array)} values needs a cluster, got {len(clusters)}")
    # Numbered in the order in which they come, whatever they are: names and numbers may be mixed.
    number_of: dict[object, int] = {}
    names = clusters.tolist() if isinstance(clusters, np.ndarray) else clusters
    index = [number_of.setdefault(name, len(number_of)) for name in names]
    return array, np.array(index, np.int64), len(number_of)


def _draw_means(sums: np.ndarray, sizes: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """The mean over all rows of each of `draws` resamples of clusters."""
    rng = np.random.default_rng(seed)
    means = []
    at_a_time = max(1, _MOST_CELLS // len(sums))
    for start in range(0, draws, at_a_time):
        rows = min(at_a_time, draws - start)
        drawn = rng.integers(0, len(sums), (rows, len(sums)))
        means.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    return np.concatenate(means)


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Whether two runs differ in how many of the same rows they get right.

    Example:
        >>> print(McNemar(only_first=9, only_second=1, n=50, p_value=0.0215))
        9 rows only the first gets right, 1 only the second, of 50: p = 0.021
    """

    only_first: int
    only_second: int
    n: int
    p_value: float

    def __str__(self) -> str:
        return (
            f"{self.only_first} rows only the first gets right, {self.only_second} only the "
            f"second, of {self.n}: p = {self.p_value:.2g}"
        )


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """McNemar's exact test, two-sided, of hits (n,) of two runs on the same rows. Rows must be
    independent: with several a video, `paired_permutation` takes clusters.

    Example:
        >>> mcnemar([1, 1, 1, 0], [0, 0, 0, 0]).p_value
        0.25
    """
    from scipy.stats import binomtest

    a, b = _check_pair(first, second)
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise ValueError("hits must be 0 or 1; paired_permutation takes other values")
    only_first, only_second = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    differing = only_first + only_second
    # Without a row that tells them apart there is nothing to test.
    p_value = binomtest(only_first, differing).pvalue if differing else 1.0
    return McNemar(only_first=only_first, only_second=only_second, n=len(a), p_value=float(p_value))


def paired_permutation(
    first: ArrayLike,
    second: ArrayLike,
    clusters: Sequence[object] | np.ndarray | None = None,
    *,
    draws: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p of the mean difference of two runs on the same rows (n,): whole clusters change
    sides. All patterns where there are at most 12 clusters, else `draws` of them.

    Example: of eight patterns, two differ as much as what was measured:

        >>> paired_permutation([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
        0.25
    """
    a, b = _check_pair(first, second)
    differences, index, count = _check_rows(a - b, clusters)
    if not len(differences):
        return 1.0
    sums = np.bincount(index, differences, count)
    measured = abs(sums.sum())
    # Sums round: a pattern that only reorders the same numbers is as extreme as what was measured.
    slack = 1e-12 * max(1.0, float(np.abs(sums).sum()))
    if count <= _MOST_EXACT_CLUSTERS:
        patterns = np.arange(2**count)[:, None] >> np.arange(count) & 1
        totals = np.abs((1 - 2 * patterns) @ sums)
        return float((totals >= measured - slack).mean())
    rng = np.random.default_rng(seed)
    extreme, at_a_time = 0, max(1, _MOST_CELLS // count)
    for start in range(0, draws, at_a_time):
        rows = min(at_a_time, draws - start)
        signs = 1.0 - 2.0 * rng.integers(0, 2, (rows, count))
        extreme += int((np.abs(signs @ sums) >= measured - slack).sum())
    # What was measured is one of the patterns (Phipson and Smyth 2010): never 0.
    return (extreme + 1) / (draws + 1)


def _check_pair(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"two runs need the same rows, got shapes {a.shape} and {b.shape}")
    return a, b


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A run and its rank among others.

    Example:
        >>> mean = Interval(value=0.5, low=0.4, high=0.6, n=100, clusters=20)
        >>> print(Ranked(name="nano", rank=1, mean=mean))
        1. nano 0.500 (0.400 to 0.600, n = 100 in 20 clusters)
    """

    name: str
    rank: int
    """1 and the number of runs that are better by more than chance: runs that the data cannot tell
    apart may share one."""
    mean: Interval

    def __str__(self) -> str:
        return f"{self.rank}. {self.name} {self.mean}"


def rank_runs(
    runs: Mapping[str, ArrayLike],
    clusters: Sequence[object] | np.ndarray | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Ranked, ...]:
    """Runs on the same rows, the best first. One is placed before another only where the interval
    of their paired difference excludes 0; intervals are widened for the number of pairs
    (Bonferroni).

    Example: "b" and "c" differ in one row of four, which tells nothing:

        >>> runs = {"b": [1.0, 0.0, 1.0, 0.0], "c": [1.0, 0.0, 1.0, 1.0]}
        >>> [(run.name, run.rank) for run in rank_runs(runs)]
        [('c', 1), ('b', 1)]
    """
    arrays = {name: np.asarray(values, np.float64) for name, values in runs.items()}
    means = {
        name: cluster_bootstrap(values, clusters, draws=draws, seed=seed, confidence=confidence)
        for name, values in arrays.items()
    }
    order = sorted(arrays, key=lambda name: -means[name].value)
    pairs = max(1, len(order) * (len(order) - 1) // 2)
    strict = 1 - (1 - confidence) / pairs
    better_count = dict.fromkeys(order, 0)
    for position, better in enumerate(order):
        for worse in order[position + 1 :]:
            a, b = _check_pair(arrays[better], arrays[worse])
            gap = cluster_bootstrap(a - b, clusters, draws=draws, seed=seed, confidence=strict)
            better_count[worse] += gap.low > 0
    ranked = [Ranked(name=n, rank=1 + better_count[n], mean=means[n]) for n in order]
    return tuple(sorted(ranked, key=lambda run: run.rank))

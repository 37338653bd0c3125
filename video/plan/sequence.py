"""The list-wise choice of mDP3 (Sun et al., ICCV 2025, arXiv 2501.02885), from a kernel of likeness
weighted by relevance.

The candidates are cut into parts in order of time. In each part frames are added greedily to the
highest determinant, conditioned on the last frame chosen before that part; dynamic programming over
the parts finds how many frames each gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mmreason.video.plan.diversity import TIE, Kernel

MOST_CONDITIONED = 64
_PARTS = 16
_LEAST_PART = 32
"""Candidates in a part: the paper's 32, or more where that would make more than 16 parts."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A greedy run through one part."""

    order: list[int]
    """Candidates of the whole list, as chosen."""
    value: list[float]
    """value[k]: log-determinant of the first k, given what came before the part."""


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The best choice known of some number of frames in the parts so far."""

    value: float
    uneven: float
    """How far the last part's share is from an even one: the smaller wins among equals."""
    chosen: tuple[tuple[int, int], ...]
    """(part, candidate), in order of time."""


def parts_of(total: int) -> list[slice]:
    """The parts of `total` candidates, all about as long.

    Example:
        >>> parts_of(64)
        [slice(0, 32, None), slice(32, 64, None)]
    """
    count = min(_PARTS, max(1, total // _LEAST_PART))
    # By shares of the total, so that lengths differ by one at most.
    edges = [total * k // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def choose_sequence(kernel: Kernel, times_s: np.ndarray, n: int) -> dict[int, int]:
    """{candidate: its part} for `n` frames of those at ascending `times_s`.

    More than `MOST_CONDITIONED` are chosen in each part by itself and shared to the highest sum of
    determinants: time and memory would grow with the square of their number.
    """
    if n > MOST_CONDITIONED:
        return _apart(kernel, times_s, n)
    best = {0: _Prefix(0.0, 0.0, ())}
    for number, rows in enumerate(parts_of(len(times_s))):
        best = _extend(best, number, rows, kernel, times_s, n)
    return {candidate: number for number, candidate in best[n].chosen}


def _apart(kernel: Kernel, times_s: np.ndarray, n: int) -> dict[int, int]:
    """What a frame adds never grows within a part, so that the largest of all are the best."""
    offers: list[tuple[float, int, int, int]] = []
    for number, rows in enumerate(parts_of(len(times_s))):
        (run,) = _greedy(kernel, times_s, rows, [-1], [min(n, rows.stop - rows.start)])
        gains = np.diff(run.value).tolist()
        offers += [(-gain, k, number, run.order[k]) for k, gain in enumerate(gains)]
    return {candidate: number for _, _, number, candidate in sorted(offers)[:n]}


def _extend(
    best: dict[int, _Prefix],
    number: int,
    rows: slice,
    kernel: Kernel,
    times_s: np.ndarray,
    n: int,
) -> dict[int, _Prefix]:
    """The best choices after one more part, by number of frames."""
    # 1. Runs through the part differ only by the frame chosen before it: one run for each such
    #    frame, as long as the smallest prefix with it allows.
    before = {m: prefix.chosen[-1][1] if prefix.chosen else -1 for m, prefix in best.items()}
    least: dict[int, int] = {}
    for m in sorted(before):
        least.setdefault(before[m], m)
    lengths = [min(n - m, rows.stop - rows.start) for m in least.values()]
    runs = dict(zip(least, _greedy(kernel, times_s, rows, list(least), lengths), strict=True))
    # 2. Every prefix goes on with the first k frames of its run, and the best of each total stays.
    extended: dict[int, _Prefix] = {}
    for m, prefix in best.items():
        run = runs[before[m]]
        for k in range(min(n - m, len(run.order)) + 1):
            value, total = prefix.value + run.value[k], m + k
            uneven = abs(m - total * number / (number + 1))
            other = extended.get(total)
            # Equal values: the choice whose last part is nearest to an even share.
            is_tie = other is not None and abs(value - other.value) <= TIE
            if other is None or (uneven < other.uneven if is_tie else value > other.value):
                new = tuple((number, i) for i in sorted(run.order[:k]))
                extended[total] = _Prefix(value, uneven, prefix.chosen + new)
    return extended


def _greedy(
    kernel: Kernel, times_s: np.ndarray, part_rows: slice, before: list[int], lengths: list[int]
) -> list[_Run]:
    """One run for each frame chosen `before` (-1 for none), of the given, descending lengths; all
    runs go on side by side. Cholesky updates as in `diversity.greedy_dpp`."""
    assert lengths == sorted(lengths, reverse=True)
    part_kernel, at_s = kernel.part(part_rows), times_s[part_rows]
    columns: dict[int, np.ndarray] = {}
    count, total, longest = len(before), len(at_s), lengths[0]
    volume_left = np.repeat(part_kernel.diagonal[None], count, axis=0)
    gap_s = np.full((count, total), np.inf)
    factor = np.zeros((count, longest + 1, total))
    for row, j in enumerate(before):
        # Condition on the frame chosen before: take its share of every volume away.
        if j >= 0:
            factor[row, 0] = kernel.column(j, part_rows) / np.sqrt(kernel.diagonal[j])
            volume_left[row] = np.maximum(volume_left[row] - factor[row, 0] ** 2, 0.0)
            gap_s[row] = np.abs(at_s - times_s[j])
    # A floor for volumes that rounding brings to nothing: a logarithm would be infinite.
    least = 1e-10 * part_kernel.diagonal.max(initial=1.0)
    free = np.ones((count, total), dtype=bool)
    runs = [_Run([], [0.0]) for _ in before]
    for k in range(longest):
        active = sum(length > k for length in lengths)
        value = np.where(free[:active], volume_left[:active], -np.inf)
        # Among equals the one farthest in time from what is chosen.
        tied = value >= value.max(axis=1, keepdims=True) - TIE
        picks = np.where(tied, gap_s[:active], -np.inf).argmax(axis=1)
        rows = np.arange(active)
        volume = np.maximum(volume_left[rows, picks], least)
        for row, i in enumerate(picks.tolist()):
            runs[row].order.append(part_rows.start + i)
            runs[row].value.append(runs[row].value[-1] + float(np.log(volume[row])))
            # Runs often pick the same frame, whose column of the kernel is made once.
            if i not in columns:
                columns[i] = part_kernel.column(i)
        free[rows, picks] = False
        gap_s[:active] = np.minimum(gap_s[:active], np.abs(at_s - at_s[picks, None]))
        rows_so_far = factor[:active, : k + 1]
        # The next row of the Cholesky factor, for all runs at once.
        shared = (rows_so_far[rows, :, picks][:, None] @ rows_so_far)[:, 0]
        new = (np.stack([columns[i] for i in picks.tolist()]) - shared) / np.sqrt(volume)[:, None]
        new[volume <= least] = 0.0  # a copy of what is chosen takes no more volume away
        factor[:active, k + 1] = new
        volume_left[:active] = np.maximum(volume_left[:active] - new**2, 0.0)
    return runs

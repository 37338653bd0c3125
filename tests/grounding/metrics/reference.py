"""Metrics written out slowly, one pair and one frame at a time: what the fast ones must equal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from mmreason.grounding import Tube, iou

T = TypeVar("T")
Times = Sequence[float]


def slow_tiou(first: Tube, second: Tube) -> float:
    boxes = [(first.at(t, 1e-6), second.at(t, 1e-6)) for t in _all_times(first, second)]
    either = [pair for pair in boxes if pair[0] is not None or pair[1] is not None]
    both = [pair for pair in either if pair[0] is not None and pair[1] is not None]
    return len(both) / len(either) if either else 0.0


def slow_viou(first: Tube, second: Tube) -> float:
    total, frames = 0.0, 0
    for time_s in _all_times(first, second):
        a, b = first.at(time_s, 1e-6), second.at(time_s, 1e-6)
        if a is None and b is None:
            continue
        frames += 1
        if a is not None and b is not None:
            total += iou(a, b)
    return total / frames if frames else 0.0


def _all_times(first: Tube, second: Tube) -> list[float]:
    return sorted({float(t) for tube in (first, second) for t in tube.times_s})


def slow_identity_f1(truths: Sequence[Tube], predictions: Sequence[Tube], times: Times) -> float:
    """Every assignment of tracks to true objects is tried."""
    shared = [[_shared_frames(a, b, times, 0.5) for b in predictions] for a in truths]
    boxes = sum(tube.at(t, 1e-6) is not None for tube in (*truths, *predictions) for t in times)
    best = max(sum(row[j] for row, j in pairs) for pairs in _assignments(shared))
    return 2 * best / boxes


def slow_hota_at(
    truths: Sequence[Tube], predictions: Sequence[Tube], times: Times, alpha: float
) -> float:
    """HOTA at one overlap: pairs are matched frame by frame, every assignment tried."""
    lengths_a = [sum(tube.at(t, 1e-6) is not None for t in times) for tube in truths]
    lengths_b = [sum(tube.at(t, 1e-6) is not None for t in times) for tube in predictions]
    overlaps = {t: [[_overlap(a, b, t) for b in predictions] for a in truths] for t in times}
    together = [[0.0] * len(predictions) for _ in truths]
    for matrix in overlaps.values():
        for i, row in enumerate(matrix):
            for j, value in enumerate(row):
                whole = sum(row) + sum(other[j] for other in matrix) - value
                together[i][j] += value / whole if whole else 0.0
    matched: list[tuple[int, int]] = []
    for matrix in overlaps.values():
        score = [
            [
                value * together[i][j] / max(1, lengths_a[i] + lengths_b[j] - together[i][j])
                for j, value in enumerate(row)
            ]
            for i, row in enumerate(matrix)
        ]
        pairs = max(_assignments(score), key=lambda ps: sum(row[j] for row, j in ps))
        numbers = [(score.index(row), j) for row, j in pairs]
        matched += [(i, j) for i, j in numbers if matrix[i][j] >= alpha]
    if not matched:
        return 0.0
    accuracy = 0.0
    for i, j in matched:
        tpa = matched.count((i, j))
        accuracy += tpa / (lengths_a[i] + lengths_b[j] - tpa)
    return (accuracy / (sum(lengths_a) + sum(lengths_b) - len(matched))) ** 0.5


def _assignments(matrix: list[list[T]]) -> Iterator[list[tuple[list[T], int]]]:
    """Every way to give each row its own column; rows may go without."""
    columns = range(len(matrix[0]) if matrix else 0)
    slots = [*columns, *[-1] * len(matrix)]
    for picked in set(itertools.permutations(slots, len(matrix))):
        yield [(row, j) for row, j in zip(matrix, picked, strict=True) if j >= 0]


def _overlap(a: Tube, b: Tube, time_s: float) -> float:
    one, two = a.at(time_s, 1e-6), b.at(time_s, 1e-6)
    return 0.0 if one is None or two is None else iou(one, two)


def _shared_frames(a: Tube, b: Tube, times: Times, threshold: float) -> int:
    return sum(_overlap(a, b, t) >= threshold for t in times)


def slow_boundary_f(predicted: np.ndarray, truth: np.ndarray, radius_px: int) -> float:
    """Every pixel of one boundary against every pixel of the other."""
    edges = []
    for mask in (predicted, truth):
        height, width = mask.shape
        edges.append(
            [
                (y, x)
                for y in range(height)
                for x in range(width)
                if any(
                    mask[y, x] != mask[min(y + dy, height - 1), min(x + dx, width - 1)]
                    for dy, dx in ((0, 1), (1, 0), (1, 1))
                )
            ]
        )
    if not all(edges):
        return float(not any(edges))
    shares = []
    for one, other in (edges, edges[::-1]):
        near = [any((y - v) ** 2 + (x - u) ** 2 <= radius_px**2 for v, u in other) for y, x in one]
        shares.append(sum(near) / len(near))
    precision, recall = shares
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

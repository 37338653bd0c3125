"""What overlap and intervals cost, beside the functions of supervision and torchvision.

    python benchmarks/grounding_metrics.py

100,000 pairs, as a matrix (400 boxes with 250) and row by row; one thread, float64 (supervision
turns them to float32), median of rounds in which all take turns. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np

from mmreason.grounding import Box, Tube, iou
from mmreason.grounding.metrics.arrays import (
    paired_giou,
    paired_iou,
    pairwise_giou,
    pairwise_iou,
)
from mmreason.grounding.metrics.statistics import cluster_bootstrap
from mmreason.grounding.metrics.tracking import score_tracks
from mmreason.grounding.metrics.video import viou

ROWS, COLUMNS = 400, 250
PAIRS = ROWS * COLUMNS


def random_boxes(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 1000, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, 300, (count, 2))], axis=1)


def measure_ms(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, all in turns: what slows the machine slows all."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start_s = time.perf_counter()
            call()
            taken[name].append(1000 * (time.perf_counter() - start_s))
    return {name: statistics.median(times) for name, times in taken.items()}


def print_table(title: str, times_ms: dict[str, float], ours: str) -> None:
    print(f"\n| {title} | ms | times ours |\n|---|---|---|")
    for name, taken_ms in times_ms.items():
        print(f"| {name} | {taken_ms:.2f} | {taken_ms / times_ms[ours]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    import supervision as sv
    import torch
    from torchvision.ops import box_iou, generalized_box_iou

    torch.set_num_threads(1)
    a, b = random_boxes(0, ROWS), random_boxes(1, COLUMNS)
    tensors = torch.from_numpy(a), torch.from_numpy(b)
    rows = random_boxes(2, PAIRS), random_boxes(3, PAIRS)

    matrix_ms = measure_ms(
        {
            "`pairwise_iou`": lambda: pairwise_iou(a, b),
            "`supervision.box_iou_batch`": lambda: sv.box_iou_batch(a, b),
            "`torchvision.ops.box_iou`": lambda: box_iou(*tensors),
        },
        rounds,
    )
    print_table(f"IoU, {ROWS} boxes with {COLUMNS}", matrix_ms, "`pairwise_iou`")
    giou_ms = measure_ms(
        {
            "`pairwise_giou`": lambda: pairwise_giou(a, b),
            "`torchvision.ops.generalized_box_iou`": lambda: generalized_box_iou(*tensors),
        },
        rounds,
    )
    print_table(f"GIoU, {ROWS} boxes with {COLUMNS}", giou_ms, "`pairwise_giou`")
    paired_ms = measure_ms(
        {
            f"`paired_iou`, {PAIRS:,} rows": lambda: paired_iou(*rows),
            f"`paired_giou`, {PAIRS:,} rows": lambda: paired_giou(*rows),
        },
        rounds,
    )
    print_table("row by row", paired_ms, f"`paired_iou`, {PAIRS:,} rows")

    boxes = [Box(*row) for row in rows[0][:2000].tolist()]
    times_s = np.arange(2000) / 10
    tube = Tube.from_boxes(times_s.tolist(), boxes)
    hits = np.random.default_rng(4).integers(0, 2, 2000)
    videos = np.arange(2000) // 4
    steps = range(300)
    tracks = [
        Tube.from_boxes([i / 10 for i in steps], [Box(x + i, x, x + i + 30, x + 30) for i in steps])
        for x in range(0, 1000, 100)
    ]
    other_ms = measure_ms(
        {
            "IoU of 2,000 pairs one by one (`iou`)": lambda: [
                iou(one, other) for one, other in itertools.pairwise(boxes)
            ],
            "`viou` of two tubes of 2,000 frames": lambda: viou(tube, tube),
            "`cluster_bootstrap`, 2,000 rows, 500 videos, 2,000 draws": lambda: cluster_bootstrap(
                hits, videos
            ),
            "`score_tracks`, 10 objects, 300 frames": lambda: score_tracks([(tracks, tracks)]),
        },
        max(3, rounds // 3),
    )
    print("\n| other | ms |\n|---|---|")
    for name, taken_ms in other_ms.items():
        print(f"| {name} | {taken_ms:.1f} |")


if __name__ == "__main__":
    main()

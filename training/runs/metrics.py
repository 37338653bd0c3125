"""Metrics that know how they add up, and that of the machine's memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

Reduction = Literal["mean", "sum", "min", "max"]
_ENDS = {"min": min, "max": max}


@dataclass(frozen=True, slots=True)
class Metric:
    """A number with how it is put together with those of other micro-batches and processes.

    Example:
        >>> Metric.mean(0.5, weight=8)
        Metric(value=0.5, reduction='mean', weight=8)
    """

    value: float
    reduction: Reduction
    weight: float = 0.0
    """What a mean is over: how much it counts beside others."""

    @classmethod
    def mean(cls, value: float, weight: float) -> Metric:
        """A mean over `weight` tokens, rollouts or groups."""
        return cls(float(value), "mean", weight)

    @classmethod
    def sum(cls, value: float) -> Metric:
        """A count, or a share of a sum."""
        return cls(float(value), "sum")

    @classmethod
    def max(cls, value: float) -> Metric:
        """The largest of some values."""
        return cls(float(value), "max")

    @classmethod
    def min(cls, value: float) -> Metric:
        """The smallest of some values."""
        return cls(float(value), "min")


def merge_metrics(collections: Iterable[Mapping[str, Metric]]) -> dict[str, Metric]:
    """Metrics of several micro-batches or processes as one set.

    Example:
        >>> first, second = Metric.mean(1.0, weight=3), Metric.mean(0.0, weight=1)
        >>> merge_metrics([{"reward/mean": first}, {"reward/mean": second}])["reward/mean"].value
        0.75
    """
    by_name: dict[str, list[Metric]] = {}
    for metrics in collections:
        for name, metric in metrics.items():
            by_name.setdefault(name, []).append(metric)
    return {name: _reduce(metrics) for name, metrics in by_name.items()}


def _reduce(metrics: Sequence[Metric]) -> Metric:
    reduction = metrics[0].reduction
    values = [metric.value for metric in metrics]
    weight = sum(metric.weight for metric in metrics)
    if reduction == "sum":
        value = sum(values)
    elif reduction != "mean":
        value = _ENDS[reduction](values)
    # No process had any token or rollout of the kind, and all say the same nothing.
    elif weight == 0:
        value = sum(values) / len(values)
    else:
        value = sum(metric.value * metric.weight for metric in metrics) / weight
    return Metric(value, reduction, weight)


def peak_memory_mb(device: torch.device) -> float:
    """The most memory taken so far: of the device, on a CPU of this process. 0 where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    peak = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    # The kernel counts in KiB.
    return int(peak[0].split()[1]) * 1024 / 1e6 if peak else 0.0

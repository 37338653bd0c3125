"""Metrics that know how they add up, and those of a step's rollouts and of the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from mmreason.training.rollouts.types import Group, Rollout

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


def measure_rollouts(groups: Sequence[Group]) -> dict[str, Metric]:
    """Lengths, turns, tools and failures of one process's groups."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    metrics = {
        "failures/groups": Metric.sum(sum(not group.rollouts for group in groups)),
        "failures/samples": Metric.sum(sum(len(g.failures) for g in groups if g.rollouts)),
    }
    # Means of no rollouts are not numbers; counts of failures are.
    n = len(rollouts)
    if not n:
        return metrics
    lengths = [rollout.completion_tokens for rollout in rollouts]
    metrics |= {
        "length/mean": Metric.mean(sum(lengths) / n, n),
        "length/max": Metric.max(max(lengths)),
        "length/truncated": Metric.mean(sum(r.truncated for r in rollouts) / n, n),
        "length/sequences": Metric.mean(sum(len(r.sequences) for r in rollouts) / n, n),
        "turns/mean": Metric.mean(sum(r.outcome.turns for r in rollouts) / n, n),
    }
    # Tasks without tools have no calls, which is not the same as none made.
    calls = [rollout.outcome.trajectory.tool_calls for rollout in rollouts]
    if any(count is not None for count in calls):
        errors = sum(rollout.outcome.tool_errors for rollout in rollouts)
        metrics["tools/calls"] = Metric.mean(sum(count or 0 for count in calls) / n, n)
        metrics["tools/errors"] = Metric.mean(errors / n, n)
    return metrics | _sampled_entropy(rollouts)


def _sampled_entropy(rollouts: Sequence[Rollout]) -> dict[str, Metric]:
    with_logprobs = [
        sequence
        for rollout in rollouts
        for sequence in rollout.sequences
        if sequence.logprobs is not None
    ]
    tokens = sum(sequence.completion_tokens for sequence in with_logprobs)
    if not tokens:
        return {}
    # The mean surprise of sampled tokens is an estimate of the entropy that costs nothing.
    nats = -sum(sum(sequence.logprobs or ()) for sequence in with_logprobs)
    return {"entropy/sampled": Metric.mean(nats / tokens, tokens)}


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

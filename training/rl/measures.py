"""Figures of a step's attempts that need no tensors, and of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from mmreason.training.parallel.processes import Figures
from mmreason.training.rollouts.types import Group, Rollout


def of_rollouts(groups: Sequence[Group]) -> list[Figures]:
    """Lengths, turns, tools and failures of one process's groups."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    failures = {
        "failures/groups": float(sum(not group.rollouts for group in groups)),
        "failures/samples": float(sum(len(g.failures) for g in groups if g.rollouts)),
    }
    n = len(rollouts)
    if not n:
        return [(failures, 0.0)]
    lengths = [rollout.written for rollout in rollouts]
    each = {
        "length/mean": sum(lengths) / n,
        "length/max": float(max(lengths)),
        "length/truncated": sum(r.truncated for r in rollouts) / n,
        "length/sequences": sum(len(r.sequences) for r in rollouts) / n,
        "turns/mean": sum(r.outcome.turns for r in rollouts) / n,
    }
    calls = [r.outcome.trajectory.tool_calls for r in rollouts]
    if any(one is not None for one in calls):
        each["tools/calls"] = sum(one or 0 for one in calls) / n
        each["tools/errors"] = sum(r.outcome.tool_errors for r in rollouts) / n
    return [(failures, 0.0), (each, n), *_sampled(rollouts)]


def _sampled(rollouts: Sequence[Rollout]) -> list[Figures]:
    told = [
        sequence
        for rollout in rollouts
        for sequence in rollout.sequences
        if sequence.logprobs is not None
    ]
    tokens = sum(sequence.written for sequence in told)
    if not tokens:
        return []
    nats = -sum(sum(sequence.logprobs or ()) for sequence in told)
    return [({"entropy/sampled": nats / tokens}, tokens)]


def peak_memory_mb(device: torch.device) -> float:
    """The most memory taken so far: of the device, on a CPU of this process. 0 where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    peak = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(peak[0].split()[1]) * 1024 / 1e6 if peak else 0.0

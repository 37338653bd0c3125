"""Figures of a step's attempts that need no tensors, and of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mmreason.training.rl.processes import Figures
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


def weight_sums(model: Any) -> list[tuple[float, float]]:
    """Sum and norm of each trained weight, in double precision: they tell whether any has moved. Of
    weights in shards, those in this process."""
    found = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            own = parameter.detach()
            own = own.to_local() if hasattr(own, "to_local") else own
            wide = torch.float64
            found.append((own.sum(dtype=wide), torch.linalg.vector_norm(own, dtype=wide)))
    return [(float(total), float(norm)) for total, norm in found]


def peak_memory_mb(device: torch.device) -> float:
    """The most memory taken so far: of the device, on a CPU of this process. 0 where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    peak = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(peak[0].split()[1]) * 1024 / 1e6 if peak else 0.0

"""What the processes of a run must agree on: sums, flags, figures.

A thin layer over accelerate. With one process every function is the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import gather_object
from torch import Tensor

BUCKET = 2**24
"""Gradients that are added up in one go."""

Gather = Callable[[Sequence[Any]], list[Any]]
"""Gives the values of all processes, in the order of their ranks; `list` for one process."""

Figures = tuple[Mapping[str, float], float]
"""Some figures with what they are means over: how much they count among several processes."""

_SUMS = frozenset(
    {
        "failures/groups",
        "failures/samples",
        "failures/rewards",
        "groups/dropped",
        "dsdr/groups",
        "stapo/silenced",
        "stapo/candidates",
        "policy/loss",
        "dsdr/entropy_loss",
    }
)
"""Figures that count and shares of a sum; those that end in max or min are what they say, all else
are means."""


def total(accelerator: Accelerator, values: Sequence[float]) -> list[float]:
    """Each value summed over processes, in double precision."""
    if accelerator.num_processes == 1:
        return [float(value) for value in values]
    local = torch.tensor(values, dtype=torch.float64, device=accelerator.device)
    summed: Any = accelerator.reduce(local, "sum")
    return summed.tolist()


def any_of(accelerator: Accelerator, flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return total(accelerator, [float(flag)])[0] > 0


def part() -> None:
    """Let go of the other processes, after the last run of this one: threads that still wait for
    them may abort a process that ends."""
    PartialState().destroy_process_group()


def sum_gradients(accelerator: Accelerator, parameters: Sequence[Tensor]) -> None:
    """Add up the gradients of all processes, in place. A parameter that none has used keeps none,
    as in one process."""
    if accelerator.num_processes == 1:
        return
    used = total(accelerator, [float(p.grad is not None) for p in parameters])
    bucket: list[Tensor] = []
    shared = [p for p, count in zip(parameters, used, strict=True) if count]
    for i, parameter in enumerate(shared):
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        bucket.append(parameter.grad)
        last = i == len(shared) - 1 or shared[i + 1].dtype != parameter.dtype
        if last or sum(grad.numel() for grad in bucket) >= BUCKET:
            _sum_bucket(accelerator, bucket)
            bucket = []


def _sum_bucket(accelerator: Accelerator, gradients: Sequence[Tensor]) -> None:
    summed: Any = accelerator.reduce(torch.cat([one.flatten() for one in gradients]), "sum")
    parts = summed.split([one.numel() for one in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def largest(accelerator: Accelerator, value: int) -> int:
    """The largest of the processes' values."""
    return max(gathered(accelerator, [value]))


def gathered(accelerator: Accelerator, values: Sequence[Any]) -> list[Any]:
    """The values of all processes, in the order of their ranks."""
    return list(values) if accelerator.num_processes == 1 else list(gather_object(list(values)))


def merged(parts: Sequence[Figures]) -> dict[str, float]:
    """Figures of several processes or updates as one set."""
    found: dict[str, list[tuple[float, float]]] = {}
    for metrics, weight in parts:
        for name, value in metrics.items():
            found.setdefault(name, []).append((value, weight))
    return {name: _merged(name, values) for name, values in found.items()}


def _merged(name: str, values: Sequence[tuple[float, float]]) -> float:
    if name in _SUMS:
        return sum(value for value, _ in values)
    if name.endswith("max"):
        return max(value for value, _ in values)
    if name.endswith("min"):
        return min(value for value, _ in values)
    whole = sum(weight for _, weight in values)
    if whole == 0:
        return sum(value for value, _ in values) / len(values)
    return sum(value * weight for value, weight in values) / whole

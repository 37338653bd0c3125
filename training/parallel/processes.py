"""What the processes of a run must agree on: sums, flags, lists of values.

A thin layer over accelerate. With one process every function is the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import gather_object
from torch import Tensor

BUCKET_VALUES = 2**24
"""Gradients that are added up in one go."""

Gather = Callable[[Sequence[Any]], list[Any]]
"""Gives the values of all processes, in the order of their ranks; `list` for one process."""


def insist_on_steps(accelerator: Accelerator) -> None:
    """Have the optimiser's next `step` and `zero_grad` be carried out.

    accelerate keeps, for the whole process, whether gradients are accumulated, and its optimisers
    silently do nothing while they are. A trainer of another library that ended within an
    accumulation leaves that behind; micro-batches are counted here, never by accelerate.
    """
    accelerator.sync_gradients = True


def sum_over_processes(accelerator: Accelerator, values: Sequence[float]) -> list[float]:
    """Each value summed over processes, in double precision."""
    if accelerator.num_processes == 1:
        return [float(value) for value in values]
    # Double precision: counts of tokens of a large step are not exact in float32.
    local = torch.tensor(values, dtype=torch.float64, device=accelerator.device)
    summed: Any = accelerator.reduce(local, "sum")
    return summed.tolist()


def any_process(accelerator: Accelerator, flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return sum_over_processes(accelerator, [float(flag)])[0] > 0


def max_over_processes(accelerator: Accelerator, value: int) -> int:
    """The largest of the processes' values."""
    return max(gather_values(accelerator, [value]))


def gather_values(accelerator: Accelerator, values: Sequence[Any]) -> list[Any]:
    """The values of all processes, in the order of their ranks."""
    return list(values) if accelerator.num_processes == 1 else list(gather_object(list(values)))


def destroy_process_group() -> None:
    """Let go of the other processes, after the last run of this one: threads that still wait for
    them may abort a process that ends."""
    PartialState().destroy_process_group()


def sum_gradients(accelerator: Accelerator, parameters: Sequence[Tensor]) -> None:
    """Add up the gradients of all processes, in place. A parameter that none has used keeps none,
    as in one process."""
    if accelerator.num_processes == 1:
        return
    # All processes must add up the same list, whatever each has gone through.
    used = sum_over_processes(accelerator, [float(p.grad is not None) for p in parameters])
    trained = [p for p, count in zip(parameters, used, strict=True) if count]
    bucket: list[Tensor] = []
    for i, parameter in enumerate(trained):
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        bucket.append(parameter.grad)
        # A bucket is one tensor: of one dtype.
        is_last = i == len(trained) - 1 or trained[i + 1].dtype != parameter.dtype
        if is_last or sum(gradient.numel() for gradient in bucket) >= BUCKET_VALUES:
            _sum_bucket(accelerator, bucket)
            bucket = []


def _sum_bucket(accelerator: Accelerator, gradients: Sequence[Tensor]) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    summed: Any = accelerator.reduce(flat, "sum")
    pieces = summed.split([gradient.numel() for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view_as(gradient))

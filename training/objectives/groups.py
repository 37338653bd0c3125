"""Sums, means and extremes over groups: the answers to one problem, of any number.

A group is an integer id per row, ids from 0 without a need to be used all; groups may have
different sizes, since rollouts can fail. NaN marks a missing value: it takes part in nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.types import UsageError


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """Per row, the figures of the row's group over the values that are not missing.

    Example:
        >>> statistics = group_statistics(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0, 0, 1]))
        >>> statistics.mean.tolist(), statistics.number.tolist()
        ([2.0, 2.0, 5.0], [2.0, 2.0, 1.0])
    """

    number: Tensor
    mean: Tensor
    deviation: Tensor
    """Sample standard deviation (n - 1); exactly zero where all values are equal or n < 2."""


def check_groups(values: Tensor, group: Tensor, name: str) -> None:
    """Raise `UsageError` unless `values` (floating point, none infinite) and `group` (integer ids,
    none negative) are both (B,)."""
    if values.ndim != 1 or group.shape != values.shape:
        raise UsageError(
            f"{name} and group must both have shape (rows,), "
            f"got {tuple(values.shape)} and {tuple(group.shape)}"
        )
    if not values.is_floating_point():
        raise UsageError(f"{name} must be floating point, got {values.dtype}")
    if group.is_floating_point() or group.is_complex() or group.dtype == torch.bool:
        raise UsageError(f"group must hold integer ids, got {group.dtype}")
    if len(group) and int(group.min()) < 0:
        raise UsageError(f"group ids must be >= 0, got {int(group.min())}")
    # One infinite value would make the advantages of its whole group NaN.
    infinite = torch.isinf(values)
    if bool(infinite.any()):
        rows = torch.nonzero(infinite).flatten().tolist()
        raise UsageError(f"{name} is infinite in row {rows[0]}; NaN marks a missing value")


def group_sum(values: Tensor, group: Tensor) -> Tensor:
    """(B,) sum over the row's group.

    Example:
        >>> group_sum(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 1, 0])).tolist()
        [5.0, 2.0, 5.0]
    """
    size = int(group.max()) + 1 if len(group) else 0
    return values.new_zeros(size).index_add(0, group.long(), values)[group.long()]


def group_max(values: Tensor, group: Tensor) -> Tensor:
    """(B,) maximum over the row's group."""
    index = group.long()
    size = int(index.max()) + 1 if len(index) else 0
    # Below every value, so that an empty group cannot win.
    start = values.new_full((size,), -torch.inf)
    return start.scatter_reduce(0, index, values, "amax")[index]


def group_statistics(values: Tensor, group: Tensor) -> GroupStatistics:
    """Number, mean and deviation per row; mean zero where a group has no value at all."""
    # 1) Missing values count as 0 in sums, and not at all in numbers.
    present = ~torch.isnan(values)
    filled = torch.where(present, values, 0.0)
    number = group_sum(present.to(values.dtype), group)
    mean = group_sum(filled, group) / number.clamp(min=1)
    # 2) In two passes: squares of values less their mean, which do not cancel.
    squares = torch.where(present, (filled - mean).square(), 0.0)
    deviation = (group_sum(squares, group) / (number - 1).clamp(min=1)).sqrt()
    # 3) Rounding gives equal values a deviation of 1e-17, which a small epsilon would blow up.
    low = torch.where(present, values, torch.inf)
    high = torch.where(present, values, -torch.inf)
    varied = group_max(high, group) > -group_max(-low, group)
    return GroupStatistics(number, mean, torch.where(varied, deviation, 0.0))

"""Advantages: how much better an answer is than the other answers to the same problem.

Rewards are made in `mmreason.training.rewards` and shaped in `dsdr.py` and `shaping.py`; groups are
chosen in `sampling.py`. Everything is without gradient.

Rewards are (B,), groups integer ids (B,). NaN is a missing reward: the row gets advantage 0 and
does not take part in its group's baseline. All-equal groups and groups of one get exactly 0.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mmreason.training.objectives.groups import check_groups, group_statistics, group_sum
from mmreason.types import UsageError

Scale = Literal["group", "batch", "none"]
"""What the centred reward is divided by: the deviation of its group (GRPO), of all rewards given
(one scale for easy and hard problems), or nothing (Dr.GRPO)."""


@torch.no_grad()
def group_advantage(
    reward: Tensor, group: Tensor, *, scale: Scale = "group", epsilon: float = 1e-4
) -> Tensor:
    """(B,) (R - mean) / (deviation + epsilon), deviations with n - 1.

    `epsilon` matters where rewards of a group differ by little: with solved groups told apart only
    by a diversity bonus of 0.001, 1e-6 gives advantages near 1 and 1e-4 about a third of that.

    Example:
        >>> reward, group = torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1])
        >>> group_advantage(reward, group, scale="none").tolist()
        [0.5, -0.5, 0.0, 0.0]
    """
    check_groups(reward, group, "reward")
    statistics = group_statistics(reward, group)
    # Exactly 0 where all are equal, not what rounding leaves of it.
    centred = torch.where(statistics.deviation > 0, reward - statistics.mean, 0.0)
    if scale == "none":
        return centred.nan_to_num(nan=0.0)
    if scale not in ("group", "batch"):
        raise UsageError(f"unknown scale {scale!r}; known: group, batch, none")
    deviation = statistics.deviation
    if scale == "batch":
        deviation = group_statistics(reward, torch.zeros_like(group)).deviation
    return (centred / (deviation + epsilon)).nan_to_num(nan=0.0)


@torch.no_grad()
def leave_one_out_advantage(reward: Tensor, group: Tensor) -> Tensor:
    """(B,) R minus the mean of the *other* answers of the group (RLOO, arXiv 2402.14740, eq. 8).

    Example:
        >>> reward, group = torch.tensor([1.0, 0.0]), torch.tensor([0, 0])
        >>> leave_one_out_advantage(reward, group).tolist()
        [1.0, -1.0]
    """
    check_groups(reward, group, "reward")
    statistics = group_statistics(reward, group)
    factor = statistics.number / (statistics.number - 1).clamp(min=1)
    # R - mean of the others = (R - mean of all) * n / (n - 1).
    varied = statistics.deviation > 0
    return torch.where(varied, (reward - statistics.mean) * factor, 0.0).nan_to_num(nan=0.0)


@torch.no_grad()
def gdpo_advantage(
    components: Tensor,
    group: Tensor,
    *,
    weights: Tensor | None = None,
    epsilon: float = 1e-4,
    batch_scale: bool = False,
) -> Tensor:
    """(B,) advantages from `components` (B, K): each is normalised within its group, then summed.

    So a component that varies little (format) counts as much as one that varies a lot. NaN is a
    component that does not apply; rows without any get 0. `weights` (K,) default to one.
    `batch_scale` normalises the sum over all rows once more (as TRL's normalize_then_sum does).

    Example: a component that varies a hundred times less counts as much:

        >>> components = torch.tensor([[1.0, 0.0], [0.0, 0.01]], dtype=torch.float64)
        >>> advantage = gdpo_advantage(components, torch.tensor([0, 0]), epsilon=0.0)
        >>> [round(value, 6) + 0.0 for value in advantage.tolist()]
        [0.0, 0.0]
    """
    if components.ndim != 2 or not components.shape[1]:
        raise UsageError(
            f"components must have shape (rows, components), got {tuple(components.shape)}"
        )
    # NaN gives 0 in its column: a component that does not apply adds nothing.
    columns = components.unbind(dim=1)
    each = torch.stack([group_advantage(c, group, epsilon=epsilon) for c in columns], dim=1)
    total = each.sum(dim=1) if weights is None else each @ weights.to(each)
    if not batch_scale:
        return total
    scored = torch.where(torch.isnan(components).all(dim=1), torch.nan, total)
    return group_advantage(scored, torch.zeros_like(group), epsilon=epsilon)


@torch.no_grad()
def zero_variance_share(reward: Tensor, group: Tensor) -> float:
    """Share of groups with a reward that teach nothing, for the log; 0.0 without any group.

    Their tokens still count in the denominators.

    Example:
        >>> zero_variance_share(torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1]))
        0.5
    """
    check_groups(reward, group, "reward")
    statistics = group_statistics(reward, group)
    # Every row of a group weighs one over the size of its group, so that groups weigh alike.
    present = statistics.number > 0
    weight = torch.where(present, 1 / group_sum(torch.ones_like(reward), group), 0.0)
    flat = torch.where(statistics.deviation > 0, 0.0, weight)
    return float(flat.sum() / weight.sum()) if bool(present.any()) else 0.0

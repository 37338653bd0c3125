"""Rewards that depend on more than one answer's text: length near its limit, order of frames.

Rewards of single answers are in `mmreason.training.rewards`, DSDR's bonus is in `dsdr.py`.
Plain tensors in, plain tensors out, without gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmreason.training.objectives.groups import check_groups, group_statistics
from mmreason.types import UsageError

MOST_TIE_BREAK = 0.05
"""Of the reward: what a cheaper episode may earn beyond an equally right one."""


def overlong_penalty(length: Tensor, *, max_length: int, buffer: int) -> Tensor:
    """(B,) in [-1, 0]: 0 up to max_length - buffer tokens, then straight down to -1 at max_length
    and beyond (DAPO, arXiv 2503.14476, eq. 13). Float64.

    Example:
        >>> length = torch.tensor([700, 900, 1100])
        >>> (overlong_penalty(length, max_length=1000, buffer=200) + 0.0).tolist()
        [0.0, -0.5, -1.0]
    """
    if not 0 < buffer <= max_length:
        raise UsageError(f"need 0 < buffer <= max_length, got {buffer} and {max_length}")
    # Nothing up to the buffer, then a straight line: a cliff at the limit would come too late to
    # learn.
    excess = length.double() - (max_length - buffer)
    return -(excess / buffer).clamp(0.0, 1.0)


@torch.no_grad()
def cheapness_bonus(
    reward: Tensor, cost: Tensor, is_right: Tensor, group: Tensor, *, most: float
) -> Tensor:
    """(B,) in 0..`most`: more for a cheaper episode among the right ones of a group, where all of
    these earned the same; `most` for the cheapest, 0 for the dearest, straight between. Float64.

    `cost` (B,), NaN where it is not known; `is_right` (B,) bool. 0 for wrong episodes, which
    therefore never gain on a right one, where a right one has no cost or reward, and where right
    ones differ in their rewards (VideoEvolve breaks ties of equally right episodes so).

    Example:
        >>> reward, cost = torch.ones(3, dtype=torch.float64), torch.tensor([10.0, 20.0, 30.0])
        >>> right, group = torch.tensor([True, True, False]), torch.zeros(3, dtype=torch.long)
        >>> cheapness_bonus(reward, cost, right, group, most=0.04).tolist()
        [0.04, 0.0, 0.0]
    """
    if not 0 <= most <= MOST_TIE_BREAK:
        raise UsageError(f"a tie is broken by 0 to {MOST_TIE_BREAK}, got {most}")
    check_groups(reward, group, "reward")
    bonus = torch.zeros(len(reward), dtype=torch.float64)
    for number in torch.unique(group[is_right]).tolist():
        members = is_right & (group == number)
        rewards, costs = reward[members], cost[members].double()
        # A NaN is equal to nothing: an episode without a reward or a cost breaks no tie.
        if not bool((rewards == rewards[0]).all()) or bool(costs.isnan().any()):
            continue
        extent = costs.max() - costs.min()
        if extent > 0:
            bonus[members] = most * (costs.max() - costs) / extent
    return bonus


@torch.no_grad()
def temporal_contrast_bonus(
    accuracy: Tensor,
    group: Tensor,
    shuffled_accuracy: Tensor,
    shuffled_group: Tensor,
    *,
    factor: float = 0.8,
    bonus: float = 0.3,
    correct_above: float = 0.1,
) -> Tensor:
    """(B,) `bonus` for correct answers of problems where seeing the frames in order helps.

    T-GRPO of Video-R1 (arXiv 2503.21776). `accuracy` (B,) and `group` (B,) are of the answers
    given with frames in order, `shuffled_*` (S,) of answers to the same problems with frames
    shuffled, which are never trained on. A problem passes where its mean accuracy is at least
    `factor` times the shuffled one; a problem without shuffled answers does not pass. NaN accuracy
    is missing: it counts in no mean and earns nothing."""
    check_groups(accuracy, group, "accuracy")
    check_groups(shuffled_accuracy, shuffled_group, "shuffled_accuracy")
    # Both sets of answers in one table, so that their groups are the same numbers.
    values = torch.cat([accuracy, shuffled_accuracy.to(accuracy)])
    both = torch.cat([group, shuffled_group.to(group)])
    ordered = torch.arange(len(both), device=both.device) < len(group)
    mean = group_statistics(torch.where(ordered, values, torch.nan), both)
    other = group_statistics(torch.where(ordered, torch.nan, values), both)
    # Without shuffled answers nothing says that the order helps.
    passes = (other.number > 0) & (mean.mean >= factor * other.mean)
    earned = passes[: len(group)] & (accuracy > correct_above)
    return earned.to(accuracy.dtype) * bonus

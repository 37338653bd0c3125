"""DSDR: correct answers that differ from the rest earn a little more, and more entropy.

arXiv 2602.19895, from the paper alone. Two parts: a bonus on the reward before advantages are
taken (global), and an additive entropy term on correct answers, shared out by the same diversity
((local). Diversity is measured in `diversity.py`.

- The paper never gives the cap on diversity; here it is 1, no cap.
- In a group of correct answers only, rewards differ by the bonus alone. Divided by their deviation
  the bonus becomes a full-strength signal whatever its weight; `group_advantage(scale="none")`
  keeps it proportional.
- Dynamic sampling throws such groups away: give `keep_groups` the weight of the bonus.
- Token masks do not apply to the entropy term: it uses every trainable token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmreason.training.objectives.batch import TokenBatch
from mmreason.training.objectives.groups import check_groups, group_max, group_sum
from mmreason.training.objectives.ratios import log_ratio, tokens_per_row
from mmreason.types import UsageError


@torch.no_grad()
def dsdr_reward(
    reward: Tensor,
    correct: Tensor,
    diversity: Tensor,
    *,
    weight: float = 1e-3,
    cap: float = 1.0,
) -> Tensor:
    """(B,) reward + weight * min(diversity, cap) for correct answers, others unchanged.

    `correct` (B,) bool; `diversity` (B,) in [0, 1], never negative.

    Example:
        >>> reward, diversity = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
        >>> dsdr_reward(reward, torch.tensor([True, False]), diversity, weight=0.5).tolist()
        [1.25, 0.0]
    """
    if weight < 0 or cap < 0:
        raise UsageError(f"weight and cap of dsdr must be >= 0, got {weight} and {cap}")
    _check_diversity(diversity, correct)
    bonus = weight * diversity.to(reward.dtype).clamp(max=cap)
    return torch.where(correct.bool(), reward + bonus, reward)


@torch.no_grad()
def dsdr_shares(
    diversity: Tensor,
    correct: Tensor,
    group: Tensor,
    *,
    temperature: float = 5.0,
    cap: float = 1.0,
) -> Tensor:
    """(B,) softmax of temperature * min(diversity, cap) over each group's correct answers.

    Sums to 1 in a group with a correct answer, to 0 elsewhere. Despite its name in the paper, a
    higher `temperature` is *sharper*; 0 is uniform.

    Example:
        >>> diversity, correct = torch.tensor([0.2, 0.9, 0.9]), torch.tensor([True, True, False])
        >>> dsdr_shares(diversity, correct, torch.tensor([0, 0, 0]), temperature=0.0).tolist()
        [0.5, 0.5, 0.0]
    """
    _check_diversity(diversity, correct)
    check_groups(diversity, group, "diversity")
    right = correct.bool()
    score = torch.where(right, temperature * diversity.clamp(max=cap), -torch.inf)
    # A softmax within each group: its maximum is taken off, so that nothing overflows.
    top = torch.where(right, group_max(score, group), 0.0)
    power = torch.where(right, (score - top).exp(), 0.0)
    total = group_sum(power, group)
    return torch.where(right, power / torch.where(total > 0, total, 1.0), 0.0)


def dsdr_entropy_loss(batch: TokenBatch, shares: Tensor, groups: float | Tensor) -> Tensor:
    """Scalar to add, times a coefficient (0.001 published): minus the weighted token entropy.

    sum_i share_i * mean_t(r * log pi) / `groups`, with `shares` (B,) of `dsdr_shares` and `groups`
    the number of problems in the whole step. The gradient goes through the ratio: on the sampling
    policy the expectation of -r * log pi is the entropy and its gradient the entropy's; with the
    ratio detached it would be zero. The ratio is not clipped but for the +-20 on its logarithm:
    log its maximum."""
    if shares.shape != batch.logp.shape[:1]:
        raise UsageError(
            f"shares must have shape ({batch.logp.shape[0]},), got {tuple(shares.shape)}"
        )
    if not isinstance(groups, Tensor) and groups <= 0:
        raise UsageError(f"groups must count the problems of the step, got {groups}")
    # The ratio carries the gradient: see above.
    terms = log_ratio(batch).exp() * batch.masked(batch.logp)
    mean = terms.sum(dim=1) / tokens_per_row(batch.mask)[:, 0]
    return (shares.detach().to(mean) * mean).sum() / groups


def _check_diversity(diversity: Tensor, correct: Tensor) -> None:
    if diversity.shape != correct.shape:
        raise UsageError(
            "diversity and correct must have one shape, "
            f"got {tuple(diversity.shape)} and {tuple(correct.shape)}"
        )
    # Not `diversity < 0`, which NaN would pass.
    bad = ~(diversity >= 0)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise UsageError(f"diversity must be >= 0, got {float(diversity[row])} in row {row}")

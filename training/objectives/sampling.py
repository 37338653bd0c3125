"""Dynamic sampling: which problems' answers are worth a training step.

Further problems until the batch is full are sampled by the trainer's loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.training.objectives.groups import check_groups, group_statistics
from mmreason.types import UsageError


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Rows to keep, and how many groups of each kind there were.

    Example:
        >>> correct, group = torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1])
        >>> chosen = keep_groups(correct, group)
        >>> chosen.keep.tolist(), chosen.mixed, chosen.solved
        ([True, True, False, False], 1, 1)
    """

    keep: Tensor
    """(B,) bool, the same for all rows of a group."""
    mixed: int
    solved: int
    """Groups with correct answers only."""
    failed: int
    """Groups without a correct answer."""


@torch.no_grad()
def keep_groups(correct: Tensor, group: Tensor, *, diversity_weight: float = 0.0) -> GroupFilter:
    """Keep the groups that teach something (DAPO, arXiv 2503.14476, section 3.2).

    `correct` (B,) is 1 or 0 (or bool), NaN where an answer was not scored; a group without scores
    is failed. Without a diversity bonus, groups where all answers are correct have zero advantages
    and are dropped. With one (`diversity_weight` > 0, the weight given to `dsdr_reward`) they are
    kept: there the bonus is the signal, and dropping them would leave DSDR without effect."""
    if diversity_weight < 0:
        raise UsageError(f"diversity_weight must be >= 0, got {diversity_weight}")
    values = correct.double()
    check_groups(values, group, "correct")
    strange = ~((values == 0) | (values == 1) | torch.isnan(values))
    if bool(strange.any()):
        row = int(strange.nonzero()[0])
        raise UsageError(f"correct must be 0, 1 or NaN, got {float(values[row])} in row {row}")
    statistics = group_statistics(values, group)
    # The mean over a group tells all three apart; without any score it is 0.
    failed = statistics.mean == 0
    solved = statistics.mean == 1
    keep = ~failed if diversity_weight > 0 else ~(failed | solved)

    def groups(rows: Tensor) -> int:
        return len(torch.unique(group[rows]))

    return GroupFilter(keep, groups(~(failed | solved)), groups(solved), groups(failed))

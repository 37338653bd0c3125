"""Objectives put together: advantage x loss x aggregation, and the published ones by name.

The token mask is the fourth factor; it depends on the batch and is an argument of `policy_loss`.
KL, DSDR's entropy term and other additive terms are aggregated by themselves, and added.
`docs/objectives.md` says what composes with what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from torch import Tensor

from mmreason.training.objectives.advantages import group_advantage, leave_one_out_advantage
from mmreason.training.objectives.aggregation import Aggregation, aggregate
from mmreason.training.objectives.batch import TokenBatch
from mmreason.training.objectives.kernel import vespo
from mmreason.training.objectives.losses import (
    TokenLoss,
    cispo,
    clipped,
    gmpo,
    gspo,
    gspo_token,
    reinforce,
    sapo,
)

Advantage = Callable[[Tensor, Tensor], Tensor]
"""(B,) advantages from rewards (B,) and integer group ids (B,)."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One way to learn from rewarded answers. Constants are bound with `functools.partial`.

    Example:
        >>> wide = Objective(group_advantage, partial(clipped, clip_high=0.5), "token")
        >>> wide.aggregation
        'token'
    """

    advantage: Advantage
    loss: TokenLoss
    aggregation: Aggregation


def policy_loss(
    batch: TokenBatch,
    objective: Objective,
    denominator: float | Tensor,
    *,
    keep: Tensor | None = None,
    episode_tokens: Tensor | None = None,
) -> Tensor:
    """This micro-batch's share of the step's policy loss, a scalar to minimise.

    `denominator` is the step's total of `count(mask, objective.aggregation)`, where mask is
    `batch.mask`, or `batch.mask & keep` with a token mask. `keep` (B, T) bool leaves tokens out of
    the loss and never out of a ratio. `episode_tokens` (B,) is for the aggregation of episodes."""
    mask = batch.mask if keep is None else batch.mask & keep
    return aggregate(
        objective.loss(batch),
        mask,
        objective.aggregation,
        denominator,
        episode_tokens=episode_tokens,
    )


# Two readings of "better than the group": in units of its deviation, or as they are.
_by_deviation = group_advantage
_centred = partial(group_advantage, scale="none")

PUBLISHED: Mapping[str, Objective] = MappingProxyType(
    {
        "reinforce": Objective(_centred, reinforce, "token"),
        "rloo": Objective(leave_one_out_advantage, reinforce, "sequence_sum"),
        "grpo": Objective(_by_deviation, clipped, "sequence"),
        "bnpo": Objective(_by_deviation, clipped, "token"),
        "dapo": Objective(_by_deviation, partial(clipped, clip_high=0.28), "token"),
        "dr_grpo": Objective(_centred, clipped, "constant"),
        "gspo": Objective(_by_deviation, gspo, "sequence"),
        "gspo_token": Objective(_by_deviation, gspo_token, "sequence"),
        "cispo": Objective(_by_deviation, cispo, "token"),
        "sapo": Objective(_by_deviation, sapo, "sequence"),
        "luspo": Objective(_by_deviation, gspo, "sequence_sum"),
        "gmpo": Objective(_by_deviation, gmpo, "sequence"),
        "vespo": Objective(_centred, vespo, "token"),
    }
)
"""With the constants of their papers. BNPO divides by the tokens of its own micro-batch: give it
that count as the denominator; over the whole step it is DAPO with a symmetric clip. VESPO's paper
centres rewards only, its launch scripts divide by the deviation too. STAPO is `dapo` with
`stapo_mask`; DSDR is `dapo` on `dsdr_reward`, plus `dsdr_entropy_loss`."""

"""Whether the arguments of a TRL trainer agree with an objective of ours; none is ignored."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import torch

from mmreason.training.objectives import Objective, group_advantage
from mmreason.types import UsageError

OURS = (
    "loss_type",
    "importance_sampling_level",
    "epsilon",
    "epsilon_high",
    "delta",
    "sapo_temperature_pos",
    "sapo_temperature_neg",
    "vespo_k_pos",
    "vespo_lambda_pos",
    "vespo_k_neg",
    "vespo_lambda_neg",
    "top_entropy_quantile",
    "off_policy_mask_threshold",
    "entropy_coef",
    "use_adaptive_entropy",
)
"""Arguments of TRL's loss, which is replaced: only their defaults are allowed."""


def check_settings(objective: Objective, args: Any) -> None:
    """UsageError where `args` (a `trl.GRPOConfig`) contradict the objective.

    Checked are arguments of the loss that is replaced, the scale of the advantages, and that an
    optimiser step never reaches over two generations: its denominators could not be known.
    """
    defaults = {field.name: field.default for field in fields(args) if field.default is not MISSING}
    for name in OURS:
        value = getattr(args, name)
        if name in defaults and value != defaults[name]:
            raise UsageError(
                f"{name}={value!r} would have no effect: the objective replaces TRL's loss; leave "
                "it out and bind the objective's own constants instead"
            )
    if args.steps_per_generation % args.gradient_accumulation_steps:
        raise UsageError(
            f"steps_per_generation={args.steps_per_generation} must be a multiple of "
            f"gradient_accumulation_steps={args.gradient_accumulation_steps}"
        )
    # With several rewards TRL may normalise each by itself: then no scale is asked for.
    if args.multi_objective_aggregation == "sum_then_normalize":
        _check_scale(objective, args.scale_rewards)


def _check_scale(objective: Objective, scale_rewards: str) -> None:
    """TRL computes the advantages: by the objective's own rule only if told so."""
    # Two groups of unlike spread: the three scales give three answers.
    reward = torch.tensor([0.0, 1.0, 3.0, 0.0, 0.5, 0.5], dtype=torch.float64)
    group = torch.tensor([0, 0, 0, 1, 1, 1])
    advantages = objective.advantage(reward, group)
    for scale in ("group", "batch", "none"):
        if torch.allclose(advantages, group_advantage(reward, group, scale=scale), atol=1e-6):
            if scale == scale_rewards:
                return
            raise UsageError(
                f"the objective's advantages need scale_rewards={scale!r}, found "
                f"{scale_rewards!r}; TRL computes them"
            )
    raise UsageError(
        "TRL cannot compute the objective's advantages (it knows group_advantage with scale group, "
        "batch or none): replace objective.advantage by one of these, or train with "
        "mmreason.training.rl"
    )

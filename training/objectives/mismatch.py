"""Corrections where the sampler's numbers differ from the trainer's for the same weights.

rho = pi_old / mu, both without gradient: pi_old recomputed by the trainer, mu as the sampler
reported it when it drew the token (before any truncation such as top-p, or rho means nothing).
The result is `TokenBatch.correction`, (B, T) per token or (B, 1) per sequence.
The ratio of the updates themselves is in `ratios.py`. Without a report of the sampler there is no
correction, and `mismatch_report` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mmreason.training.objectives.ratios import LOG_LIMIT
from mmreason.types import UsageError

Level = Literal["token", "sequence"]
"""rho per token, or the product over a sequence's trainable tokens."""


def truncated_weight(
    old_logp: Tensor,
    sampler_logp: Tensor,
    mask: Tensor,
    *,
    ceiling: float = 2.0,
    level: Level = "token",
) -> Tensor:
    """min(rho, ceiling): truncated importance sampling (TIS).

    Example:
        >>> old_logp, sampler_logp = torch.tensor([[0.0, -1.0]]), torch.tensor([[-2.0, -1.0]])
        >>> truncated_weight(old_logp, sampler_logp, torch.tensor([[True, True]])).tolist()
        [[2.0, 1.0]]
    """
    return _importance_ratio(old_logp, sampler_logp, mask, level).clamp(max=ceiling)


def masked_weight(
    old_logp: Tensor,
    sampler_logp: Tensor,
    mask: Tensor,
    *,
    ceiling: float = 3.0,
    floor: float = 0.0,
    level: Level = "sequence",
) -> Tensor:
    """rho where floor <= rho <= ceiling, else 0: masked importance sampling (MIS).

    With VESPO one zero silences the whole sequence: prefer `truncated_weight` there."""
    if not 0 <= floor <= ceiling:
        raise UsageError(f"need 0 <= floor <= ceiling, got {floor} and {ceiling}")
    ratio = _importance_ratio(old_logp, sampler_logp, mask, level)
    # So that NaN is neither: it stays, and `require_finite` names its sample.
    return torch.where((ratio < floor) | (ratio > ceiling), 0.0, ratio)


def icepop_weight(
    old_logp: Tensor,
    sampler_logp: Tensor,
    mask: Tensor,
    *,
    floor: float = 0.5,
    ceiling: float = 5.0,
) -> Tensor:
    """Masked importance sampling per token with both bounds (IcePop). The bounds vary among
    reports: 0.5 and 5, or 0.5 and 2."""
    return masked_weight(old_logp, sampler_logp, mask, floor=floor, ceiling=ceiling, level="token")


@dataclass(frozen=True, slots=True)
class MismatchReport:
    """How far sampler and trainer are apart, over the trainable tokens.

    Example:
        >>> mismatch_report(torch.tensor([[-1.0]]), None, torch.tensor([[True]])).reported
        False
    """

    reported: bool
    """False where the sampler gave no log-probabilities: the other figures are then zero."""
    gap_mean: float
    """Mean absolute difference of log-probabilities, nats."""
    gap_max: float
    kl: float
    """Estimate (k3) of KL(sampler || trainer) per token, nats."""


@torch.no_grad()
def mismatch_report(old_logp: Tensor, sampler_logp: Tensor | None, mask: Tensor) -> MismatchReport:
    """Figures to log at every step. Zeros for a batch without trainable tokens."""
    if sampler_logp is None:
        return MismatchReport(False, 0.0, 0.0, 0.0)
    gap = (old_logp - sampler_logp)[mask].double()
    if not gap.numel():
        return MismatchReport(True, 0.0, 0.0, 0.0)
    # The mean absolute gap is of all; only what is exponentiated is limited.
    limited = gap.clamp(-LOG_LIMIT, LOG_LIMIT)
    return MismatchReport(
        reported=True,
        gap_mean=float(gap.abs().mean()),
        gap_max=float(gap.abs().max()),
        # k3 keeps its sign and has little variance; `expm1` keeps its digits for small gaps.
        kl=float((limited.expm1() - limited).mean()),
    )


@torch.no_grad()
def _importance_ratio(old_logp: Tensor, sampler_logp: Tensor, mask: Tensor, level: Level) -> Tensor:
    if not old_logp.shape == sampler_logp.shape == mask.shape:
        raise UsageError(
            "old_logp, sampler_logp and mask must have one shape, got "
            f"{tuple(old_logp.shape)}, {tuple(sampler_logp.shape)} and {tuple(mask.shape)}"
        )
    # Outside the mask there is nothing to correct, and may be anything.
    gap = torch.where(mask, old_logp - sampler_logp, 0.0)
    if level == "sequence":
        gap = gap.sum(1, keepdim=True)
    elif level != "token":
        raise UsageError(f"unknown level {level!r}; known: token, sequence")
    # Clamped before the exponent: a product over a long sequence overflows easily.
    return gap.clamp(-LOG_LIMIT, LOG_LIMIT).exp()

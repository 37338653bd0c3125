"""TW-GRPO: tokens at positions where the answers of a group disagree weigh more.

arXiv 2505.24718. Multiply the result onto the (B, T) terms of any loss before aggregation; the
denominator stays the plain token count. Positions of different answers are compared by their
index, which means little after the answers first part: a property of the method, not of this code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmreason.types import UsageError

LOG_GAP_LIMIT = 11.0
"""Differences of log-probabilities are limited to this before they are exponentiated."""


@torch.no_grad()
def position_weights(log_probabilities: Tensor, mask: Tensor, *, alpha: float = 1.4) -> Tensor:
    """(T,) weights in [1, alpha] for one group of G answers.

    `log_probabilities` (G, T, V), normalised over V; `mask` (G, T) bool. An answer counts as
    uniform where it is masked (it has ended). At each position the spread is the mean over answers
    of sum_v (e^d - d - 1), d the log-probability's distance from the answers' mean; weights rise
    linearly from the least spread (1) to the largest (alpha) among positions any answer has. All 1
    where the spreads are equal, as with identical distributions."""
    if log_probabilities.ndim != 3 or log_probabilities.shape[:2] != mask.shape:
        raise UsageError(
            "log_probabilities must have shape (answers, tokens, vocabulary) and mask (answers, "
            f"tokens), got {tuple(log_probabilities.shape)} and {tuple(mask.shape)}"
        )
    if alpha < 1:
        raise UsageError(f"alpha must be >= 1, got {alpha}")
    # 1) An answer that has ended says nothing: it is uniform.
    uniform = -math.log(log_probabilities.shape[2])
    filled = torch.where(mask.unsqueeze(2), log_probabilities, uniform)
    # 2) How far each answer is from the mean of all, at every position.
    gap = (filled.mean(dim=0) - filled).clamp(-LOG_GAP_LIMIT, LOG_GAP_LIMIT)
    spread = (gap.expm1() - gap).sum(dim=2).mean(dim=0)
    used = mask.any(dim=0)
    if not bool(used.any()):
        return torch.ones_like(spread)
    # 3) Scaled to [1, alpha] over the positions that any answer has.
    low, high = spread[used].min(), spread[used].max()
    # Equal distributions differ by rounding; scaled to [0, 1] that noise would become weights.
    noise = 1e3 * torch.finfo(spread.dtype).eps
    if float(high - low) <= noise:
        return torch.ones_like(spread)
    return torch.where(used, 1 + (alpha - 1) * (spread - low) / (high - low), 1.0)

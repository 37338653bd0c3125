"""Importance ratios between the policy being trained and the one the updates started from.

Clipping and weighting are in `losses.py`, the sampler's ratio is in `mismatch.py`.

Masking happens before any sum or exponential: a masked value, whatever it is, has no effect and
no gradient. Log-ratios are limited to +-20 before they are exponentiated, in float32 exactly as
in float64; the limit is far outside every clip range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmreason.training.objectives.batch import TokenBatch

LOG_LIMIT = 20.0
"""Largest magnitude of a logarithm that is exponentiated."""


def log_ratio(batch: TokenBatch) -> Tensor:
    """(B, T) log(pi / pi_old) with gradient, zero where masked, limited to +-20."""
    return batch.masked(batch.logp - batch.old_logp).clamp(-LOG_LIMIT, LOG_LIMIT)


def token_ratio(batch: TokenBatch) -> Tensor:
    """(B, T) pi / pi_old with gradient, one where masked."""
    return log_ratio(batch).exp()


def mean_log_ratio(batch: TokenBatch) -> Tensor:
    """(B, 1) mean log-ratio over the trainable tokens, zero for a row without any."""
    return log_ratio(batch).sum(1, keepdim=True) / tokens_per_row(batch.mask)


def sequence_ratio(batch: TokenBatch) -> Tensor:
    """(B, 1) geometric mean of the token ratios (GSPO, arXiv 2507.18071, eq. 7)."""
    return mean_log_ratio(batch).exp()


def tokens_per_row(mask: Tensor) -> Tensor:
    """(B, 1) number of tokens in `mask` per row, at least 1 so that one can divide by it.

    Example:
        >>> tokens_per_row(torch.tensor([[True, True], [False, False]])).tolist()
        [[2], [1]]
    """
    return mask.sum(1, keepdim=True).clamp(min=1)


def straight_through(value: Tensor, logp: Tensor) -> Tensor:
    """`value` (detached) with the gradient value * d logp: the token form of a sequence ratio."""
    # Zero in value, so that the exponential is 1, and its gradient that of logp.
    step = logp - logp.detach()
    return value.detach() * torch.exp(step)

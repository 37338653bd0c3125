"""VESPO: one soft weight per sequence from the whole sequence's importance ratio.

arXiv 2602.10693 with the numerical limits of the authors' code, which the paper does not mention.
Published with the mean over all tokens of the step.

The window is narrow: for A >= 0 the weight exceeds 0.5 only while log W lies in about
[-1.5, 0.4]. log W is a *sum* over tokens, so long sequences and a sampler with other numerics can
leave it unnoticed: watch `VespoReport`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.training.objectives.batch import TokenBatch
from mmreason.training.objectives.ratios import LOG_LIMIT, log_ratio
from mmreason.types import UsageError

LOG_FLOOR = math.log(1e-8)
"""log W and the logarithm of each correction weight are not taken below this."""


def vespo(
    batch: TokenBatch,
    *,
    positive: tuple[float, float] = (2.0, 3.0),
    negative: tuple[float, float] = (3.0, 2.0),
) -> Tensor:
    """(B, T) terms -sg[phi(W)] * A * log pi; see `vespo_weight`.

    `batch.correction` enters W, so nothing is multiplied outside."""
    weight = vespo_weight(batch, positive=positive, negative=negative)
    return batch.masked(-weight * batch.token_advantage * batch.masked(batch.logp))


@torch.no_grad()
def vespo_weight(
    batch: TokenBatch,
    *,
    positive: tuple[float, float] = (2.0, 3.0),
    negative: tuple[float, float] = (3.0, 2.0),
) -> Tensor:
    """phi(W) = W^c1 * exp(c2 * (1 - W)), shape (B, 1), or (B, T) for advantages (B, T).

    (c1, c2) is `positive` where A >= 0, else `negative`. phi is 1 at W = 1, largest at c1/c2, and
    phi/W is bounded where c1 >= 1. Without gradient."""
    for name, (power, decay) in (("positive", positive), ("negative", negative)):
        if power <= 0 or decay <= 0:
            raise UsageError(f"{name} of vespo must be two numbers > 0, got {(power, decay)}")
    # Powers and decays by the sign of the advantage, in log space: W^c1 * e^(c2 (1 - W)).
    log_w = sequence_log_weight(batch)
    nonnegative = batch.token_advantage >= 0
    power, decay = (
        torch.where(nonnegative, log_w.new_tensor(above), log_w.new_tensor(below))
        for above, below in zip(positive, negative, strict=True)
    )
    return torch.exp(power * log_w + decay - decay * log_w.exp())


@torch.no_grad()
def sequence_log_weight(batch: TokenBatch) -> Tensor:
    """log W, (B, 1): the *sum* of the log-ratios of all trainable tokens, never their mean, plus
    the logarithms of the correction weights, within [log 1e-8, 20].

    Raises `UsageError` for corrections per sequence: in a sum over tokens they have no place."""
    log_w = log_ratio(batch).sum(1, keepdim=True)
    if batch.correction is not None:
        if batch.correction.shape != batch.logp.shape:
            raise UsageError("vespo needs mismatch corrections per token, not per sequence")
        # A correction of 0 has no logarithm: it is the floor, which silences the sequence.
        weights = torch.where(batch.mask, batch.correction, 1.0)
        log_w = log_w + weights.log().clamp(LOG_FLOOR, LOG_LIMIT).sum(1, keepdim=True)
    return log_w.clamp(LOG_FLOOR, LOG_LIMIT)


@dataclass(frozen=True, slots=True)
class VespoReport:
    """How much of the batch still learns. Rows without trainable tokens are not counted.

    Example: a tenth of the sequences no longer learns:

        >>> VespoReport(0.9, 0.1, 0.8, 3.2).vanished_share
        0.1
    """

    mean_weight: float
    vanished_share: float
    """Share of sequences whose weight is below 0.01: they no longer learn."""
    effective_share: float
    """Effective sample size, (sum phi)^2 / sum phi^2, as a share of the sequences."""
    log_weight_abs_max: float


def vespo_report(batch: TokenBatch, weight: Tensor) -> VespoReport:
    """Figures to log, from `weight` (B, 1) of `vespo_weight`; zeros for a batch without tokens."""
    # An empty row has W = 1, which would pass for one that learns.
    rows = batch.mask.any(dim=1)
    phi = weight[rows, 0].double()
    if not len(phi):
        return VespoReport(0.0, 0.0, 0.0, 0.0)
    square = float(phi.square().sum())
    return VespoReport(
        mean_weight=float(phi.mean()),
        vanished_share=float((phi < 0.01).double().mean()),
        effective_share=float(phi.sum()) ** 2 / (len(phi) * square) if square else 0.0,
        log_weight_abs_max=float(sequence_log_weight(batch)[rows].abs().max()),
    )

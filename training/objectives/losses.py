"""Per-token losses: each takes a `TokenBatch` and returns (B, T) terms to minimise.

Advantages, token masks such as STAPO's, and aggregation compose with every loss here. Terms are
exact zeros outside the mask and already multiplied by `batch.correction`. A loss of a whole
sequence is repeated on its tokens, so that their mean is the sequence's loss. Clip bounds are
distances from 1 unless called `floor` or `ceiling`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmreason.training.objectives.batch import TokenBatch
from mmreason.training.objectives.ratios import (
    log_ratio,
    sequence_ratio,
    straight_through,
    token_ratio,
    tokens_per_row,
)
from mmreason.types import UsageError

TokenLoss = Callable[[TokenBatch], Tensor]
"""(B, T) terms from a batch; bind other arguments with `functools.partial`."""


def reinforce(batch: TokenBatch) -> Tensor:
    """-A * log pi. With leave-one-out advantages this is RLOO (arXiv 2402.14740).

    Example:
        >>> logp, mask = torch.tensor([[-0.5, -2.0]]), torch.tensor([[True, False]])
        >>> batch = TokenBatch(logp=logp, old_logp=logp, mask=mask, advantage=torch.tensor([2.0]))
        >>> reinforce(batch).tolist()
        [[1.0, 0.0]]
    """
    return _apply_correction(batch, -batch.token_advantage * batch.masked(batch.logp))


def clipped(
    batch: TokenBatch,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
) -> Tensor:
    """The clipped surrogate of PPO, GRPO, BNPO, DAPO and Dr.GRPO; those differ in the advantage
    and the aggregation only. DAPO raises `clip_high` to 0.28 (arXiv 2503.14476).

    `dual_clip` c > 1 bounds the loss at -c * A where A < 0, in which direction the ratio is
    otherwise unlimited (arXiv 1912.09729; 3 is usual)."""
    # A bound inside the clip would cut what the clip lets through.
    if dual_clip is not None and dual_clip <= 1 + clip_high:
        raise UsageError(f"dual_clip must exceed 1 + clip_high = {1 + clip_high}, got {dual_clip}")
    terms = _surrogate(token_ratio(batch), batch.token_advantage, clip_low, clip_high)
    if dual_clip is not None:
        # Where A < 0 the surrogate grows with the ratio without an end.
        advantage = batch.token_advantage
        bounded = torch.minimum(terms, -dual_clip * advantage)
        terms = torch.where(advantage < 0, bounded, terms)
    return _apply_correction(batch, terms)


def gspo(batch: TokenBatch, *, clip_low: float = 3e-4, clip_high: float = 4e-4) -> Tensor:
    """The clipped surrogate on the geometric mean ratio of the sequence (GSPO, arXiv 2507.18071).

    The ratio uses every trainable token, also those a token mask leaves out of the loss. Summed
    over tokens instead of averaged this is LUSPO."""
    # One ratio for the sequence, since rewards are of whole answers and not of tokens.
    ratio = sequence_ratio(batch)
    return _apply_correction(batch, _surrogate(ratio, batch.token_advantage, clip_low, clip_high))


def gspo_token(batch: TokenBatch, *, clip_low: float = 3e-4, clip_high: float = 4e-4) -> Tensor:
    """GSPO whose gradient is per token, for advantages (B, T) (arXiv 2507.18071, section 4.3).

    Equals `gspo` in value, and in gradient too where the advantage is the same for all tokens of
    a sequence and the terms are averaged per sequence."""
    # The sequence's value, the token's gradient.
    ratio = straight_through(sequence_ratio(batch), batch.masked(batch.logp))
    return _apply_correction(batch, _surrogate(ratio, batch.token_advantage, clip_low, clip_high))


def cispo(batch: TokenBatch, *, ceiling: float = 5.0, floor: float | None = None) -> Tensor:
    """-sg[clip(r)] * A * log pi: tokens beyond the clip keep a bounded gradient (arXiv 2506.13585).

    Both bounds are absolute ratios: 5 as in ScaleRL; PPO-like bounds are 0.8 and 1.28. (Some
    frameworks take the distance from 1 under the same name.)"""
    if ceiling <= (floor or 0.0):
        raise UsageError(f"ceiling must exceed floor, got {ceiling} and {floor}")
    # Detached: the clip bounds the weight of the gradient, and does not take it away.
    weight = token_ratio(batch).detach().clamp(min=floor, max=ceiling)
    return _apply_correction(batch, -weight * batch.token_advantage * batch.masked(batch.logp))


def sapo(
    batch: TokenBatch, *, temperature_positive: float = 1.0, temperature_negative: float = 1.05
) -> Tensor:
    """-(4/t) * sigmoid(t * (r - 1)) * A, a soft clip with slope 1 at r = 1 (arXiv 2511.20347).

    The temperature t depends on the sign of the advantage."""
    if min(temperature_positive, temperature_negative) <= 0:
        raise UsageError(
            "temperatures of sapo must be positive, "
            f"got {temperature_positive} and {temperature_negative}"
        )
    advantage = batch.token_advantage
    ratio = token_ratio(batch)
    high, low = ratio.new_tensor(temperature_positive), ratio.new_tensor(temperature_negative)
    temperature = torch.where(advantage > 0, high, low)
    # 4 / t makes the slope 1 at r = 1, whatever the temperature.
    soft = torch.sigmoid(temperature * (ratio - 1)) * 4 / temperature
    return _apply_correction(batch, -soft * advantage)


def gmpo(batch: TokenBatch, *, log_clip: float = 0.4) -> Tensor:
    """-A * geometric mean of the token ratios, each clipped in log space on the side that the
    advantage pushes to (GMPO, arXiv 2507.20673). Needs one advantage per sequence."""
    advantage = batch.token_advantage
    if advantage.shape[1] != 1:
        raise UsageError("gmpo needs one advantage per sequence, shape (sequences,)")
    # Clipped on the side that the advantage pushes to only, as in PPO, but in log space.
    sign = torch.where(advantage > 0, 1.0, -1.0).to(batch.logp)
    pushed = sign * log_ratio(batch)
    clipped_log = sign * torch.minimum(pushed, pushed.clamp(-log_clip, log_clip))
    mean = clipped_log.sum(1, keepdim=True) / tokens_per_row(batch.mask)
    return _apply_correction(batch, -advantage * mean.exp())


def _surrogate(ratio: Tensor, advantage: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """-min(r A, clip(r) A)."""
    if not 0 <= clip_low <= 1 or clip_high < 0:
        raise UsageError(
            f"clip_low must lie in [0, 1] and clip_high be >= 0, got {clip_low} and {clip_high}"
        )
    inside = ratio.clamp(1 - clip_low, 1 + clip_high)
    # The worse of the two: a step that already went far enough earns nothing more.
    return -torch.minimum(ratio * advantage, inside * advantage)


def _apply_correction(batch: TokenBatch, terms: Tensor) -> Tensor:
    """Terms times the correction, exact zeros outside the mask."""
    if batch.correction is not None:
        # A weight of the sample, and no way to make the loss smaller.
        terms = terms * batch.correction.detach()
    return batch.masked(terms)

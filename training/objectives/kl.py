"""Estimators of KL(pi || reference) from sampled tokens, each (B, T), zero where masked.

With x = log reference - log pi:

| estimator | value | as a loss term |
| k1 | -x | its expected gradient is zero: for reports or inside the reward only |
| k2 | x^2 / 2 | gradient of KL(pi || reference), biased value |
| k3 | e^x - x - 1 | gradient of KL(reference || pi), unbiased value, never negative |
| k3r | r * k3 | both right, also when pi has moved away from the sampling policy |

Only large x overflow: `k3` and `k3r` limit it to 20. Far below, where the reference finds a token
next to impossible, they go on as -x and pull at full strength; impossible itself is taken for
e^-10000, so that one token does not end a run. Aggregate the result over the trainable tokens and
add it to the policy loss; neither token masks nor corrections of the sampler apply to it.
"""

from __future__ import annotations

from torch import Tensor

from mmreason.training.objectives.batch import TokenBatch
from mmreason.training.objectives.ratios import LOG_LIMIT, token_ratio
from mmreason.types import UsageError

LEAST_LOGP = -1e4
"""Log-probabilities of the reference below this are taken for it: -infinity among them."""


def k1(batch: TokenBatch, reference_logp: Tensor) -> Tensor:
    """log pi - log reference; unbiased, any sign."""
    return -_log_gap(batch, reference_logp)


def k2(batch: TokenBatch, reference_logp: Tensor) -> Tensor:
    """Half the squared log-ratio."""
    return _log_gap(batch, reference_logp).square() / 2


def k3(batch: TokenBatch, reference_logp: Tensor) -> Tensor:
    """e^x - x - 1 (Schulman 2020; the KL term of GRPO)."""
    # Impossible under the reference is taken for next to impossible: one token must not end a run.
    gap = _log_gap(batch, reference_logp.clamp(min=LEAST_LOGP)).clamp(max=LOG_LIMIT)
    return gap.expm1() - gap


def k3r(batch: TokenBatch, reference_logp: Tensor) -> Tensor:
    """k3 times the importance ratio, with gradient through both."""
    return token_ratio(batch) * k3(batch, reference_logp)


def _log_gap(batch: TokenBatch, reference_logp: Tensor) -> Tensor:
    if reference_logp.shape != batch.logp.shape:
        raise UsageError(
            f"reference_logp must have shape {tuple(batch.logp.shape)}, "
            f"got {tuple(reference_logp.shape)}"
        )
    return batch.masked(reference_logp.detach() - batch.logp)

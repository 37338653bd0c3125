"""Which tokens are trained on: STAPO's silencing of rare spurious tokens.

From the paper alone (arXiv 2602.15620; no code of the authors is known). A token is silenced when
it is improbable, the model was *not* uncertain there, and the sequence is rewarded: such tokens
(wrong arithmetic, stray syntax) otherwise get the largest gradients.

The mask composes with any loss. It acts on the terms and on the denominator, never
on a ratio: VESPO's and GSPO's sequence ratios keep every trainable token, or they would no longer
be likelihood ratios. Probability and entropy are the *current* policy's, at the sampling
temperature. The evidence published is about text mathematics; visual tokens are untested.

The threshold belongs to the whole optimiser step. Gather `candidate_entropies` of all micro-batches
and processes, take one `entropy_threshold`, pass it to every `stapo_mask`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mmreason.training.objectives.batch import TokenBatch
from mmreason.types import UsageError

EntropyScope = Literal["candidates", "all_tokens"]
"""Whose entropies the quantile is over: the improbable tokens of rewarded sequences (the paper's
late versions), or all trainable tokens (a reading of its first two versions)."""


@dataclass(frozen=True, slots=True)
class StapoMask:
    """Tokens to keep, and figures to log.

    Example:
        >>> StapoMask(torch.tensor([[True, False]]), silenced=1, candidates=1, tokens=2).silenced
        1
    """

    keep: Tensor
    """(B, T) bool, true wherever nothing is silenced, padding included."""
    silenced: int
    candidates: int
    tokens: int


@torch.no_grad()
def candidate_entropies(
    batch: TokenBatch, *, probability: float = 0.002, scope: EntropyScope = "candidates"
) -> Tensor:
    """(n,) entropies this micro-batch adds to the population of the quantile; n may be 0."""
    if scope not in ("candidates", "all_tokens"):
        raise UsageError(f"unknown scope {scope!r}; known: candidates, all_tokens")
    # Gathered before a threshold is known: the quantile is over the whole step.
    population = batch.mask if scope == "all_tokens" else _find_candidates(batch, probability)
    return _require_entropy(batch)[population]


@torch.no_grad()
def entropy_threshold(entropies: Tensor, quantile: float = 0.75) -> float:
    """The `quantile` of (n,) gathered entropies, in nats; minus infinity of none: silences nothing.

    Linear between neighbours, as `torch.quantile`, which refuses more than 2^24 values.

    Example:
        >>> entropy_threshold(torch.tensor([0.0, 1.0, 2.0, 3.0]), quantile=0.5)
        1.5
    """
    if not 0 <= quantile <= 1:
        raise UsageError(f"quantile must lie in [0, 1], got {quantile}")
    if not entropies.numel():
        return -torch.inf
    ordered = entropies.flatten().double().sort().values
    # Between two neighbours, so that the threshold moves smoothly with the quantile.
    position = quantile * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    fraction = position - below
    return float(ordered[below] * (1 - fraction) + ordered[above] * fraction)


@torch.no_grad()
def stapo_mask(batch: TokenBatch, threshold: float, *, probability: float = 0.002) -> StapoMask:
    """Silence tokens with A > 0, pi < `probability` and entropy < `threshold` (nats), all strict.

    So even quantile 1 spares the most uncertain candidate; an infinite threshold spares none.
    Count the denominator over `batch.mask & keep`."""
    # Improbable, and yet the model was sure: the mark of a mistake rather than of a search.
    candidate = _find_candidates(batch, probability)
    silenced = candidate & (_require_entropy(batch) < threshold)
    return StapoMask(~silenced, int(silenced.sum()), int(candidate.sum()), int(batch.mask.sum()))


def without_truncated(mask: Tensor, truncated: Tensor) -> Tensor:
    """(B, T) mask without the sequences that hit the length limit, `truncated` (B,) bool.

    Example:
        >>> mask = torch.tensor([[True, True], [True, False]])
        >>> without_truncated(mask, torch.tensor([False, True])).tolist()
        [[True, True], [False, False]]
    """
    return mask & ~truncated.unsqueeze(1)


def _find_candidates(batch: TokenBatch, probability: float) -> Tensor:
    if not 0 <= probability <= 1:
        raise UsageError(f"probability must lie in [0, 1], got {probability}")
    # Masked before it is exponentiated: what is not trained on may be anything.
    improbable = batch.masked(batch.logp.detach()).exp() < probability
    return batch.mask & improbable & (batch.token_advantage > 0)


def _require_entropy(batch: TokenBatch) -> Tensor:
    if batch.entropy is None:
        raise UsageError("STAPO needs the entropy of every token: TokenBatch(entropy=...)")
    return batch.entropy.detach().to(batch.logp.dtype)

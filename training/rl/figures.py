"""Figures of one update, summed over its micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmreason.training.objectives import (
    StapoMask,
    TokenBatch,
    clipped,
    k3,
    mismatch_report,
    vespo,
    vespo_report,
    vespo_weight,
)
from mmreason.training.objectives.ratios import token_ratio
from mmreason.training.parallel.processes import merged
from mmreason.training.rl.micro import Micro
from mmreason.training.rl.recipe import Recipe

CLIP = 0.2
"""What `objectives.clipped` clips at where the recipe does not say."""


class Figures:
    """Collects; `means` gives each figure once, weighted by tokens."""

    def __init__(self) -> None:
        self._parts: list[tuple[dict[str, float], float]] = []
        self._sums: dict[str, float] = {}
        self._tokens = 0.0

    @property
    def tokens(self) -> float:
        """Tokens that went through the backward pass so far."""
        return self._tokens

    def add(self, name: str, share: Tensor) -> None:
        """A share of a sum over micro-batches, such as of a loss."""
        self._sums[name] = self._sums.get(name, 0.0) + float(share.detach())

    def stapo(self, found: StapoMask, threshold: float) -> None:
        """What STAPO did with one micro-batch."""
        if threshold > -torch.inf:
            self._sums["stapo/threshold"] = threshold
        for name, value in (
            ("stapo/silenced", found.silenced),
            ("stapo/candidates", found.candidates),
        ):
            self._sums[name] = self._sums.get(name, 0.0) + value
        share = found.silenced / max(1, found.tokens)
        self._parts.append(({"stapo/silenced_share": share}, float(found.tokens)))

    @torch.no_grad()
    def policy(self, batch: TokenBatch, micro: Micro, recipe: Recipe, loss: Tensor) -> None:
        """Of one micro-batch in the backward pass."""
        self.add("policy/loss", loss)
        tokens = float(batch.mask.sum())
        if not tokens:
            return
        self._tokens += tokens
        ratio = token_ratio(batch)[batch.mask]
        found = {"policy/ratio_max": float(ratio.max())}
        if batch.entropy is not None:
            found["entropy/mean"] = float(batch.entropy[batch.mask].mean())
        if micro.old_logp is not None:
            found["kl/update"] = float(k3(batch, micro.old_logp)[batch.mask].mean())
        if micro.reference_logp is not None:
            found["kl/reference"] = float(k3(batch, micro.reference_logp)[batch.mask].mean())
        gap = mismatch_report(batch.old_logp, micro.layout.sampler_logp, batch.mask)
        found |= {
            "mismatch/reported": float(gap.reported),
            "mismatch/gap_mean": gap.gap_mean,
            "mismatch/gap_max": gap.gap_max,
            "mismatch/kl": gap.kl,
        }
        if batch.correction is not None:
            moved = (batch.correction != 1).expand_as(batch.mask)[batch.mask]
            found["mismatch/corrected_share"] = float(moved.float().mean())
        found |= _of_loss(batch, recipe, ratio)
        self._parts.append((found, tokens))

    def means(self) -> dict[str, float]:
        """All figures."""
        return merged(self._parts) | self._sums


def _of_loss(batch: TokenBatch, recipe: Recipe, ratio: Tensor) -> dict[str, float]:
    kernel, options = _unbound(recipe.uses.loss)
    if kernel is vespo:
        report = vespo_report(batch, vespo_weight(batch, **options)[:, :1])
        return {
            "vespo/mean_weight": report.mean_weight,
            "vespo/vanished_share": report.vanished_share,
            "vespo/effective_share": report.effective_share,
            "vespo/log_weight_abs_max": report.log_weight_abs_max,
        }
    if kernel is not clipped:
        return {}
    advantage = batch.token_advantage.expand_as(batch.mask)[batch.mask]
    low = (ratio < 1 - options.get("clip_low", CLIP)) & (advantage < 0)
    high = (ratio > 1 + options.get("clip_high", CLIP)) & (advantage > 0)
    return {
        "policy/clip_low": float(low.float().mean()),
        "policy/clip_high": float(high.float().mean()),
    }


def _unbound(loss: Callable[..., Any]) -> tuple[Any, dict[str, Any]]:
    return (loss.func, loss.keywords) if isinstance(loss, partial) else (loss, {})

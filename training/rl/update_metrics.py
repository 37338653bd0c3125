"""Metrics of one update, collected over its micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmreason.training.objectives import (
    Objective,
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
from mmreason.training.rl.batches import MicroBatch
from mmreason.training.runs.metrics import Metric, merge_metrics

DEFAULT_CLIP = 0.2
"""What `objectives.clipped` clips at where the recipe does not say."""


class MetricAccumulator:
    """Collects; `metrics` gives each once, means weighted by tokens."""

    def __init__(self) -> None:
        self._parts: list[dict[str, Metric]] = []
        self._tokens = 0.0

    @property
    def tokens(self) -> float:
        """Tokens that went through the backward pass so far."""
        return self._tokens

    def add_sum(self, name: str, value: Tensor) -> None:
        """This micro-batch's share of a sum, such as of a loss."""
        self._parts.append({name: Metric.sum(float(value.detach()))})

    def add_stapo(self, mask: StapoMask) -> None:
        """What STAPO did with one micro-batch."""
        # Counts add up over processes; the share is of the tokens of all.
        silenced = mask.silenced / max(1, mask.tokens)
        self._parts.append(
            {
                "stapo/silenced": Metric.sum(mask.silenced),
                "stapo/candidates": Metric.sum(mask.candidates),
                "stapo/silenced_share": Metric.mean(silenced, float(mask.tokens)),
            }
        )

    @torch.no_grad()
    def add_policy(
        self, batch: TokenBatch, micro_batch: MicroBatch, objective: Objective, loss: Tensor
    ) -> None:
        """Of one micro-batch in the backward pass."""
        self.add_sum("policy/loss", loss)
        mask = batch.mask
        tokens = float(mask.sum())
        if not tokens:
            return
        self._tokens += tokens
        ratio = token_ratio(batch)[mask]
        # Of this micro-batch; means are weighed by its tokens when they are merged.
        means: dict[str, float] = {}
        if batch.entropy is not None:
            means["entropy/mean"] = float(batch.entropy[mask].mean())
        if micro_batch.old_logp is not None:
            means["kl/update"] = float(k3(batch, micro_batch.old_logp)[mask].mean())
        if micro_batch.reference_logp is not None:
            means["kl/reference"] = float(k3(batch, micro_batch.reference_logp)[mask].mean())
        # Under the weights before the update, so that learning is not taken for a mismatch.
        gap = mismatch_report(batch.old_logp, micro_batch.packed.sampler_logp, mask)
        means |= {
            "mismatch/reported": float(gap.reported),
            "mismatch/gap_mean": gap.gap_mean,
            "mismatch/kl": gap.kl,
        }
        if batch.correction is not None:
            is_moved = (batch.correction != 1).expand_as(mask)[mask]
            means["mismatch/corrected_share"] = float(is_moved.float().mean())
        loss_means, loss_maxima = _loss_metrics(batch, objective, ratio)
        maxima = {"policy/ratio_max": float(ratio.max()), "mismatch/gap_max": gap.gap_max}
        self._parts.append(
            {name: Metric.mean(value, tokens) for name, value in (means | loss_means).items()}
            | {name: Metric.max(value) for name, value in (maxima | loss_maxima).items()}
        )

    def metrics(self) -> dict[str, Metric]:
        """All of them."""
        return merge_metrics(self._parts)


def _loss_metrics(
    batch: TokenBatch, objective: Objective, ratio: Tensor
) -> tuple[dict[str, float], dict[str, float]]:
    """(means, maxima) of what the loss has to tell."""
    loss, options = _split_partial(objective.loss)
    if loss is vespo:
        report = vespo_report(batch, vespo_weight(batch, **options)[:, :1])
        return {
            "vespo/mean_weight": report.mean_weight,
            "vespo/vanished_share": report.vanished_share,
            "vespo/effective_share": report.effective_share,
        }, {"vespo/log_weight_abs_max": report.log_weight_abs_max}
    if loss is not clipped:
        return {}, {}
    # Beyond the clip range on the side where the clip takes the gradient away.
    advantage = batch.token_advantage.expand_as(batch.mask)[batch.mask]
    low = (ratio < 1 - options.get("clip_low", DEFAULT_CLIP)) & (advantage < 0)
    high = (ratio > 1 + options.get("clip_high", DEFAULT_CLIP)) & (advantage > 0)
    return {
        "policy/clip_low": float(low.float().mean()),
        "policy/clip_high": float(high.float().mean()),
    }, {}


def _split_partial(loss: Callable[..., Any]) -> tuple[Any, dict[str, Any]]:
    return (loss.func, loss.keywords) if isinstance(loss, partial) else (loss, {})

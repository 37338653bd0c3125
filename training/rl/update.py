"""One optimiser update of some rows: micro-batches under denominators of the whole update.

What is divided by is counted over all micro-batches and processes before any backward pass, so that
neither the budget of tokens, nor padding, nor the number of processes can change the gradient. A
NaN names its sample and skips the update in every process. Leaves out rollouts and credit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.training.learner.packing import empty_layout, lay_out
from mmreason.training.objectives import (
    NonFinite,
    TokenBatch,
    aggregate,
    candidate_entropies,
    count,
    dsdr_entropy_loss,
    entropy_threshold,
    icepop_weight,
    k1,
    k2,
    k3,
    k3r,
    masked_weight,
    policy_loss,
    require_finite,
    stapo_mask,
    truncated_weight,
    without_truncated,
)
from mmreason.training.parallel.processes import any_of, gathered, total
from mmreason.training.parallel.strategy import Placement
from mmreason.training.rl.batches import Row, micro_batches
from mmreason.training.rl.figures import Figures
from mmreason.training.rl.micro import Micro
from mmreason.training.rl.recipe import Recipe

_ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3, "k3r": k3r}


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """What came of an update."""

    metrics: dict[str, float]
    tokens: float
    """Of this process, that the figures are means over."""
    skipped: str = ""
    """Why the update was not made; empty where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Denominators:
    policy: float
    """Of the tokens in the loss."""
    distance: float
    """Of all tokens, for the distance to the reference."""
    problems: float
    """For DSDR's entropy term."""


class Updater:
    """Makes updates of one model."""

    def __init__(self, recipe: Recipe, placement: Placement, pad_id: int):
        self._recipe = recipe
        self._placement = placement
        self._accelerator = placement.accelerator
        self._scorer = placement.scorer
        self._model = self._accelerator.unwrap_model(placement.scorer).model
        self._pad_id = pad_id

    def micros(self, rows: Sequence[Row]) -> list[Micro]:
        """Micro-batches of the rows, on the device."""
        recipe, device = self._recipe, self._accelerator.device
        return [
            Micro(
                rows=batch,
                layout=lay_out(
                    [row.sequence for row in batch],
                    kind=recipe.layout,
                    pad_id=self._pad_id,
                    model=self._model,
                ).to(device),
            )
            for batch in micro_batches(rows, recipe.micro_tokens, recipe.layout)
        ]

    @torch.no_grad()
    def score(self, micro: Micro, *, need_entropy: bool = False) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities and entropies under the weights as they are; of a model in shards while
        it is whole."""
        self._scorer.eval()
        return self._scorer(micro.layout, self._recipe.temperature, need_entropy)

    def update(self, micros: Sequence[Micro], groups: float, flat: Sequence[Row] = ()) -> Updated:
        """One update. `groups` is the share of this process's problems that belongs to it; `flat`
        are rows that cannot move the gradient: they are counted and not run."""
        figures = Figures()
        self._silence(micros, figures)
        self._scorer.train()
        denominators = self._denominators(micros, groups, flat)
        wrong = self._backward(micros, denominators, figures)
        norm = 0.0 if wrong else self._placement.clipped_norm(self._recipe.max_gradient_norm)
        if wrong or not math.isfinite(norm):
            self._placement.drop()
            reason = wrong or f"the gradient norm is {norm}"
            found = _finite(figures.means())
            return Updated(metrics=found, tokens=figures.tokens, skipped=reason)
        self._placement.step()
        found = figures.means() | {"optimiser/gradient_norm": norm}
        return Updated(metrics=found, tokens=figures.tokens)

    def _silence(self, micros: Sequence[Micro], figures: Figures) -> None:
        """Decide which tokens are left out of the loss, under one threshold for all processes."""
        recipe = self._recipe
        if recipe.mask_truncated:
            for micro in micros:
                cut = torch.tensor([row.rollout.truncated for row in micro.rows])
                mask = micro.layout.mask
                micro.keep = without_truncated(mask, cut.to(mask.device))
        stapo = recipe.stapo
        if stapo is None:
            return
        with self._placement.whole():
            seen = [self.score(micro, need_entropy=True) for micro in micros]
        batches = [self._batch(m, *scores) for m, scores in zip(micros, seen, strict=True)]
        own = [
            candidate_entropies(batch, probability=stapo.probability, scope=stapo.scope)
            for batch in batches
        ]
        values = gathered(self._accelerator, torch.cat(own).tolist() if own else [])
        threshold = entropy_threshold(torch.tensor(values), stapo.quantile)
        for micro, batch in zip(micros, batches, strict=True):
            found = stapo_mask(batch, threshold, probability=stapo.probability)
            micro.keep = found.keep if micro.keep is None else micro.keep & found.keep
            micro.shown["silenced"] = ~found.keep & micro.layout.mask
            figures.stapo(found, threshold)

    def _denominators(
        self, micros: Sequence[Micro], groups: float, flat: Sequence[Row]
    ) -> _Denominators:
        """Counted over all processes."""
        recipe = self._recipe
        every = [micro.layout.mask for micro in micros]
        kept = [m.layout.mask if m.keep is None else m.layout.mask & m.keep for m in micros]
        for row in flat:
            mask = torch.ones((1, max(1, row.sequence.written)), dtype=torch.bool)
            every.append(mask)
            kept.append(mask & ~(recipe.mask_truncated and row.rollout.truncated))
        counted = [
            sum(count(mask, recipe.uses.aggregation, max_tokens=recipe.max_tokens) for mask in part)
            for part in (kept, every)
        ]
        sums = total(self._accelerator, [*map(float, counted), groups])
        return _Denominators(policy=sums[0], distance=sums[1], problems=max(sums[2], 1e-12))

    def _backward(
        self, micros: Sequence[Micro], denominators: _Denominators, figures: Figures
    ) -> str:
        """Accumulate the gradients; what is wrong with a sample, empty where nothing is.

        Where processes go through the model together, one that has fewer micro-batches than others
        goes through it with nothing.
        """
        wrong = ""
        rounds = self._placement.rounds(len(micros))
        for i in range(rounds):
            if i < len(micros):
                loss, problem = self._loss(micros[i], denominators, figures)
                wrong = wrong or problem
            else:
                loss = self._nothing()
            self._placement.backward(loss, is_last=i == rounds - 1)
        if any_of(self._accelerator, bool(wrong)):
            return wrong or "a sample of another process"
        return ""

    def _nothing(self) -> Tensor:
        layout = empty_layout(self._pad_id, self._model).to(self._accelerator.device)
        return self._scorer(layout, 1.0, False)[0].sum() * 0.0

    def _loss(
        self, micro: Micro, denominators: _Denominators, figures: Figures
    ) -> tuple[Tensor, str]:
        """This micro-batch's share of the loss, and what is wrong with a sample."""
        recipe = self._recipe
        logp, entropy = self._scorer(micro.layout, recipe.temperature, True)
        batch = self._batch(micro, logp, entropy)
        problem = ""
        try:
            require_finite(batch, [row.name for row in micro.rows])
        except NonFinite as error:
            problem = str(error)
        policy = loss = policy_loss(batch, recipe.uses, denominators.policy, keep=micro.keep)
        if recipe.dsdr is not None and recipe.dsdr.entropy_weight:
            shares = batch.logp.new_tensor([row.share for row in micro.rows])
            term = dsdr_entropy_loss(batch, shares, denominators.problems)
            loss = loss + recipe.dsdr.entropy_weight * term
            figures.add("dsdr/entropy_loss", term)
        if recipe.kl is not None and micro.reference_logp is not None:
            distance = _ESTIMATORS[recipe.kl.estimator](batch, micro.reference_logp)
            # Over the tokens of the update, whatever tokens the policy loss leaves out.
            how = recipe.uses.aggregation
            term = aggregate(distance, batch.mask, how, denominators.distance)
            loss = loss + recipe.kl.coefficient * term
        figures.policy(batch, micro, recipe, policy)
        micro.shown["logp"] = batch.logp.detach()
        if batch.entropy is not None:
            micro.shown["entropy"] = batch.entropy
        return loss, problem

    def _batch(self, micro: Micro, logp: Tensor, entropy: Tensor | None) -> TokenBatch:
        old = logp.detach() if micro.old_logp is None else micro.old_logp
        advantage = logp.new_tensor([row.advantage for row in micro.rows])
        return TokenBatch(
            logp=logp,
            old_logp=old,
            mask=micro.layout.mask,
            advantage=advantage,
            entropy=entropy,
            correction=self._correction(micro, old),
        )

    def _correction(self, micro: Micro, old_logp: Tensor) -> Tensor | None:
        sampler, mask = micro.layout.sampler_logp, micro.layout.mask
        how = self._recipe.corrected_by
        if how is None or sampler is None:
            return None
        if how == "tis":
            return truncated_weight(old_logp, sampler, mask)
        if how == "mis":
            return masked_weight(old_logp, sampler, mask)
        return icepop_weight(old_logp, sampler, mask)


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}

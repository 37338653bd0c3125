"""One optimiser update of some rows: micro-batches under denominators of the whole update.

What is divided by is counted over all micro-batches and processes before any backward pass, so that
neither the budget of tokens, nor padding, nor the number of processes can change the gradient. A
NaN names its sample and skips the update in every process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.training.learner.packing import PackedInputs, pack_nothing, pack_sequences
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
from mmreason.training.parallel.processes import any_process, gather_values, sum_over_processes
from mmreason.training.parallel.strategy import Strategy
from mmreason.training.rl.batches import (
    MicroBatch,
    TrainingRow,
    count_episode_tokens,
    count_episodes,
)
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rl.update_metrics import MetricAccumulator
from mmreason.training.runs.batches import split_into_micro_batches
from mmreason.training.runs.metrics import Metric

_ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3, "k3r": k3r}
_CORRECTIONS = {"tis": truncated_weight, "mis": masked_weight, "icepop": icepop_weight}


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResult:
    """What came of an update, in this process.

    Example:
        >>> UpdateResult(metrics={}, skipped="the gradient norm is nan").gradient_norm
        0.0
    """

    metrics: dict[str, Metric]
    skipped: str = ""
    """Why the update was not made; empty where it was."""

    @property
    def gradient_norm(self) -> float:
        """Before clipping; 0 where the update was not made."""
        norm = self.metrics.get("optimiser/gradient_norm")
        return 0.0 if norm is None else norm.value


@dataclass(frozen=True, slots=True, kw_only=True)
class _LossDenominators:
    policy: float
    """Of the tokens in the loss."""
    distance: float
    """Of all tokens, for the distance to the reference."""
    problems: float
    """For DSDR's entropy term."""


class Updater:
    """Makes updates of one model."""

    def __init__(self, recipe: Recipe, strategy: Strategy, pad_id: int):
        self._recipe = recipe
        self._strategy = strategy
        self._accelerator = strategy.accelerator
        self._scorer = strategy.scorer
        self._model = self._accelerator.unwrap_model(strategy.scorer).model
        self._pad_id = pad_id

    def make_micro_batches(self, rows: Sequence[TrainingRow]) -> list[MicroBatch]:
        """Micro-batches of the rows, on the device."""
        batching, device = self._recipe.batching, self._accelerator.device
        return [
            MicroBatch(
                rows=batch,
                packed=pack_sequences(
                    [row.sequence for row in batch],
                    kind=batching.layout,
                    pad_id=self._pad_id,
                    model=self._model,
                ).to(device),
            )
            for batch in split_into_micro_batches(rows, batching.micro_tokens, batching.layout)
        ]

    @torch.no_grad()
    def score(
        self, micro_batch: MicroBatch, *, need_entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """(B, C) log-probabilities and entropies under the weights as they are; of a model in
        shards while it is unsharded."""
        self._scorer.eval()
        return self._scorer(micro_batch.packed, self._recipe.sampling.temperature, need_entropy)

    def update(
        self,
        micro_batches: Sequence[MicroBatch],
        groups: float,
        flat_rows: Sequence[TrainingRow] = (),
    ) -> UpdateResult:
        """One update. `groups` is the share of this process's problems that belongs to it;
        `flat_rows` cannot move the gradient: they are counted and not run."""
        accumulator = MetricAccumulator()
        # 1) Which tokens are in the loss, and what it is divided by: before any backward pass.
        threshold = self._mask_tokens(micro_batches, accumulator)
        if self._recipe.objective.resolved_formula.aggregation == "episode":
            count_episode_tokens(micro_batches)
        denominators = self._count_denominators(micro_batches, groups, flat_rows)
        # 2) Gradients of all micro-batches, added up over the processes and clipped.
        self._scorer.train()
        fault = self._backward(micro_batches, denominators, accumulator)
        max_norm = self._recipe.optimiser.max_gradient_norm
        norm = 0.0 if fault else self._strategy.clip_gradients(max_norm)
        metrics = accumulator.metrics() | threshold
        # 3) A step, or none: in all processes alike.
        if fault or not math.isfinite(norm):
            # The weights stay, and so do Adam's moments: one NaN in them would never leave again.
            self._strategy.drop_gradients()
            reason = fault or f"the gradient norm is {norm}"
            return UpdateResult(metrics=_drop_non_finite(metrics), skipped=reason)
        self._strategy.step()
        # The same in every process.
        return UpdateResult(metrics=metrics | {"optimiser/gradient_norm": Metric.max(norm)})

    def _mask_tokens(
        self, micro_batches: Sequence[MicroBatch], accumulator: MetricAccumulator
    ) -> dict[str, Metric]:
        """Decide which tokens are kept out of the loss; STAPO's threshold, which is one for all
        processes, where it silences anything."""
        objective = self._recipe.objective
        if objective.mask_truncated:
            for micro_batch in micro_batches:
                cut = torch.tensor([row.rollout.truncated for row in micro_batch.rows])
                mask = micro_batch.packed.mask
                micro_batch.keep = without_truncated(mask, cut.to(mask.device))
        stapo = objective.stapo
        if stapo is None:
            return {}
        # 1) Probabilities and entropies under the weights as they are.
        # A pass of its own, before the loss: the quantile needs the tokens of all micro-batches at
        # once.
        with self._strategy.unsharded():
            scores = [self.score(micro_batch, need_entropy=True) for micro_batch in micro_batches]
        batches = [
            self._token_batch(micro_batch, logp, entropy)
            for micro_batch, (logp, entropy) in zip(micro_batches, scores, strict=True)
        ]
        # 2) One quantile over the candidates of all processes.
        entropies = [
            candidate_entropies(batch, probability=stapo.probability, scope=stapo.scope)
            for batch in batches
        ]
        local = torch.cat(entropies).tolist() if entropies else []
        gathered = gather_values(self._accelerator, local)
        threshold = entropy_threshold(torch.tensor(gathered), stapo.quantile)
        # 3) What lies below it is silenced.
        for micro_batch, batch in zip(micro_batches, batches, strict=True):
            mask = stapo_mask(batch, threshold, probability=stapo.probability)
            keep = micro_batch.keep
            micro_batch.keep = mask.keep if keep is None else keep & mask.keep
            micro_batch.reported["silenced"] = ~mask.keep & micro_batch.packed.mask
            accumulator.add_stapo(mask)
        if not micro_batches or threshold == -torch.inf:
            return {}
        return {"stapo/threshold": Metric.max(threshold)}

    def _count_denominators(
        self,
        micro_batches: Sequence[MicroBatch],
        groups: float,
        flat_rows: Sequence[TrainingRow],
    ) -> _LossDenominators:
        """Counted over all processes, with the rows that are not run."""
        objective = self._recipe.objective
        all_masks = [m.packed.mask for m in micro_batches]
        loss_masks = [
            m.packed.mask if m.keep is None else m.packed.mask & m.keep for m in micro_batches
        ]
        for row in flat_rows:
            # Tokens whose gradient is zero still thin out the others: the mean is over all that
            # were sampled.
            tokens = max(1, row.sequence.completion_tokens)
            mask = torch.ones((1, tokens), dtype=torch.bool)
            all_masks.append(mask)
            loss_masks.append(mask & ~(objective.mask_truncated and row.rollout.truncated))
        aggregation = objective.resolved_formula.aggregation
        if aggregation == "episode":
            # Sequences of one episode count once, whichever micro-batches they are in.
            live_rows = [row for micro_batch in micro_batches for row in micro_batch.rows]
            local = [count_episodes([*live_rows, *flat_rows])] * 2
        else:
            local = [
                sum(count(mask, aggregation, max_tokens=objective.max_tokens) for mask in masks)
                for masks in (loss_masks, all_masks)
            ]
        # Divided before the backward pass: gradients then only add up, over micro-batches and
        # processes.
        sums = sum_over_processes(self._accelerator, [*map(float, local), groups])
        return _LossDenominators(policy=sums[0], distance=sums[1], problems=max(sums[2], 1e-12))

    def _backward(
        self,
        micro_batches: Sequence[MicroBatch],
        denominators: _LossDenominators,
        accumulator: MetricAccumulator,
    ) -> str:
        """Accumulate the gradients; what is wrong with a sample, empty where nothing is.

        Where processes go through the model together, one that has fewer micro-batches than others
        goes through it with nothing.
        """
        fault = ""
        passes = self._strategy.count_passes(len(micro_batches))
        for i in range(passes):
            if i < len(micro_batches):
                loss, found_fault = self._loss(micro_batches[i], denominators, accumulator)
                # The loop goes on: other processes wait in their own passes for this one.
                fault = fault or found_fault
            else:
                loss = self._empty_loss()
            self._strategy.backward(loss, is_last=i == passes - 1)
        if any_process(self._accelerator, bool(fault)):
            return fault or "a sample of another process"
        return ""

    def _empty_loss(self) -> Tensor:
        packed = pack_nothing(self._pad_id, self._model).to(self._accelerator.device)
        # A real pass with a gradient of zero, so that shards are gathered and reduced as often as
        # elsewhere.
        return self._scorer(packed, 1.0, False)[0].sum() * 0.0

    def _loss(
        self,
        micro_batch: MicroBatch,
        denominators: _LossDenominators,
        accumulator: MetricAccumulator,
    ) -> tuple[Tensor, str]:
        """This micro-batch's share of the loss, and what is wrong with a sample."""
        settings, temperature = self._recipe.objective, self._recipe.sampling.temperature
        logp, entropy = self._scorer(micro_batch.packed, temperature, True)
        batch = self._token_batch(micro_batch, logp, entropy)
        fault = ""
        try:
            # Named here, where the sample is known; the norm of the gradient would only say that
            # one is bad.
            require_finite(batch, [row.label for row in micro_batch.rows])
        except NonFinite as error:
            fault = str(error)
        objective = settings.resolved_formula
        policy_term = policy_loss(
            batch,
            objective,
            denominators.policy,
            keep=micro_batch.keep,
            episode_tokens=micro_batch.episode_tokens,
        )
        loss = policy_term
        if settings.dsdr is not None and settings.dsdr.entropy_weight:
            entropy_shares = batch.logp.new_tensor([row.entropy_share for row in micro_batch.rows])
            term = dsdr_entropy_loss(batch, entropy_shares, denominators.problems)
            loss = loss + settings.dsdr.entropy_weight * term
            accumulator.add_sum("dsdr/entropy_loss", term)
        if settings.kl is not None and micro_batch.reference_logp is not None:
            distance = _ESTIMATORS[settings.kl.estimator](batch, micro_batch.reference_logp)
            # Over the tokens of the update, whatever tokens the policy loss skips.
            term = aggregate(
                distance,
                batch.mask,
                objective.aggregation,
                denominators.distance,
                episode_tokens=micro_batch.episode_lengths,
            )
            loss = loss + settings.kl.coefficient * term
        accumulator.add_policy(batch, micro_batch, objective, policy_term)
        micro_batch.reported["logp"] = batch.logp.detach()
        if batch.entropy is not None:
            micro_batch.reported["entropy"] = batch.entropy
        return loss, fault

    def _token_batch(
        self, micro_batch: MicroBatch, logp: Tensor, entropy: Tensor | None
    ) -> TokenBatch:
        # In the first update of a batch the ratio is 1 by definition, and needs no pass of its own.
        old_logp = logp.detach() if micro_batch.old_logp is None else micro_batch.old_logp
        return TokenBatch(
            logp=logp,
            old_logp=old_logp,
            mask=micro_batch.packed.mask,
            advantage=logp.new_tensor([row.advantage for row in micro_batch.rows]),
            entropy=entropy,
            correction=self._correction(micro_batch.packed, old_logp),
        )

    def _correction(self, packed: PackedInputs, old_logp: Tensor) -> Tensor | None:
        """For the sampler's other numerics, where it told its own."""
        correction = self._recipe.resolved_correction
        if correction is None or packed.sampler_logp is None:
            return None
        return _CORRECTIONS[correction](old_logp, packed.sampler_logp, packed.mask)


def _drop_non_finite(metrics: dict[str, Metric]) -> dict[str, Metric]:
    return {name: metric for name, metric in metrics.items() if math.isfinite(metric.value)}

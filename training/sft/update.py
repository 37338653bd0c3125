"""One optimiser update of some rows: micro-batches under one denominator of the whole update.

What is divided by is counted over all micro-batches and processes before any backward pass, so that
neither the budget of tokens, nor padding, nor the number of processes can change the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.training.learner.adapters import disable_adapter, has_adapter
from mmreason.training.learner.logprobs import ReferenceModel
from mmreason.training.learner.packing import PackedInputs, pack_nothing, pack_sequences
from mmreason.training.objectives.preference import dpo_loss
from mmreason.training.parallel.processes import any_process, sum_over_processes
from mmreason.training.parallel.strategy import Strategy
from mmreason.training.runs.batches import split_into_micro_batches
from mmreason.training.runs.metrics import Metric
from mmreason.training.sft.recipe import SftRecipe
from mmreason.training.sft.rows import SftRow


@dataclass(frozen=True, slots=True, kw_only=True)
class SftUpdateResult:
    """What came of an update, in this process.

    Example:
        >>> SftUpdateResult(metrics={}, skipped="the gradient norm is nan").skipped
        'the gradient norm is nan'
    """

    metrics: dict[str, Metric]
    skipped: str = ""
    """Why the update was not made; empty where it was."""


@dataclass(frozen=True, slots=True, eq=False)
class _MicroBatch:
    rows: Sequence[SftRow]
    packed: PackedInputs


class SftUpdater:
    """Makes updates of one model, and measures held-out rows the same way."""

    def __init__(self, recipe: SftRecipe, strategy: Strategy, pad_id: int):
        self._recipe = recipe
        self._strategy = strategy
        self._accelerator = strategy.accelerator
        self._scorer = strategy.scorer
        self._model = self._accelerator.unwrap_model(strategy.scorer).model
        self._pad_id = pad_id
        self._is_dpo = recipe.objective.formula == "dpo"
        # Without its adapters a model is its own reference: no second copy in memory.
        self._reference = None
        if self._is_dpo and not has_adapter(self._model):
            self._reference = ReferenceModel(
                self._model, self._accelerator.device, recipe.batching.precision
            )

    def update(
        self, rows: Sequence[SftRow], noise: AbstractContextManager[None] | None = None
    ) -> SftUpdateResult:
        """One update; `noise` is entered round the passes that are learnt from."""
        micro_batches = self._make_micro_batches(rows)
        # 1) What the loss is divided by, before any backward pass.
        denominator = self._count(rows)
        if not denominator:
            return SftUpdateResult(metrics={}, skipped="no row of the step could be used")
        # 2) Gradients of all micro-batches, added up over the processes and clipped.
        self._scorer.train()
        with noise or nullcontext():
            metrics, fault = self._backward(micro_batches, denominator)
        norm = 0.0
        if not fault:
            norm = self._strategy.clip_gradients(self._recipe.optimiser.max_gradient_norm)
        # 3) A step, or none: in all processes alike.
        if fault or not math.isfinite(norm):
            # The weights stay, and so do Adam's moments: one NaN in them would never leave again.
            self._strategy.drop_gradients()
            return SftUpdateResult(metrics={}, skipped=fault or f"the gradient norm is {norm}")
        self._strategy.step()
        metrics["optimiser/gradient_norm"] = Metric.max(norm)
        return SftUpdateResult(metrics=metrics)

    @torch.no_grad()
    def measure(self, rows: Sequence[SftRow]) -> dict[str, Metric]:
        """Losses of held-out rows by the same formula, under the weights as they are; of a model in
        shards while it is unsharded."""
        self._scorer.eval()
        metrics: dict[str, Metric] = {}
        for micro_batch in self._make_micro_batches(rows):
            _, found = self._loss(micro_batch, 1.0)
            _add_metrics(metrics, found)
        return metrics

    def _make_micro_batches(self, rows: Sequence[SftRow]) -> list[_MicroBatch]:
        batching, device = self._recipe.batching, self._accelerator.device

        def pack(batch: Sequence[SftRow]) -> _MicroBatch:
            packed = pack_sequences(
                [row.sequence for row in batch],
                kind=batching.layout,
                pad_id=self._pad_id,
                model=self._model,
            )
            return _MicroBatch(batch, packed.to(device))

        if not self._is_dpo:
            batches: Iterable[Sequence[SftRow]] = split_into_micro_batches(
                rows, batching.micro_tokens, batching.layout
            )
        else:
            # The two of a pair go together: one is compared with the other.
            batches = [rows[i : i + 2] for i in range(0, len(rows), 2)]
        return [pack(batch) for batch in batches]

    def _count(self, rows: Sequence[SftRow]) -> float:
        """Learnt tokens, of DPO pairs, over all processes."""
        local = len(rows) / 2 if self._is_dpo else sum(r.sequence.completion_tokens for r in rows)
        return sum_over_processes(self._accelerator, [float(local)])[0]

    def _backward(
        self, micro_batches: Sequence[_MicroBatch], denominator: float
    ) -> tuple[dict[str, Metric], str]:
        metrics: dict[str, Metric] = {}
        fault = ""
        passes = self._strategy.count_passes(len(micro_batches))
        for i in range(passes):
            if i < len(micro_batches):
                loss, found = self._loss(micro_batches[i], denominator)
                _add_metrics(metrics, found)
                if not bool(torch.isfinite(loss)) and not fault:
                    labels = ", ".join(row.label for row in micro_batches[i].rows)
                    fault = f"the loss is {float(loss)} in {labels}"
            else:
                # A real pass with a gradient of zero: shards are gathered as often as elsewhere.
                packed = pack_nothing(self._pad_id, self._model).to(self._accelerator.device)
                loss = self._scorer(packed, 1.0, False)[0].sum() * 0.0
            self._strategy.backward(loss, is_last=i == passes - 1)
        if any_process(self._accelerator, bool(fault)):
            return metrics, fault or "a row of another process"
        return metrics, ""

    def _loss(
        self, micro_batch: _MicroBatch, denominator: float
    ) -> tuple[Tensor, dict[str, Metric]]:
        """This micro-batch's share of the loss, and its figures."""
        logp, _ = self._scorer(micro_batch.packed, 1.0, False)
        if self._is_dpo:
            return self._dpo(micro_batch, logp, denominator)
        mask = micro_batch.packed.mask
        nll = -(logp * mask)
        per_row = nll.detach().sum(dim=1).tolist()
        metrics: dict[str, Metric] = {}
        for row, total in zip(micro_batch.rows, per_row, strict=True):
            tokens = row.sequence.completion_tokens
            figure = Metric.mean(total / tokens, tokens)
            found = {"loss/mean": figure}
            if row.channel:
                found[f"loss/channel/{row.channel}"] = figure
            _add_metrics(metrics, found)
        return nll.sum() / denominator, metrics

    def _dpo(
        self, micro_batch: _MicroBatch, logp: Tensor, denominator: float
    ) -> tuple[Tensor, dict[str, Metric]]:
        packed, objective = micro_batch.packed, self._recipe.objective
        with torch.no_grad():
            if self._reference is not None:
                reference = self._reference.score(packed, 1.0)
            else:
                with disable_adapter(self._model):
                    reference, _ = self._scorer(packed, 1.0, False)
        chosen, rejected = (logp * packed.mask).sum(dim=1)
        reference_chosen, reference_rejected = (reference * packed.mask).sum(dim=1)
        margin = (chosen - reference_chosen) - (rejected - reference_rejected)
        loss = dpo_loss(margin, beta=objective.beta, label_smoothing=objective.label_smoothing)
        value = float(loss.detach())
        return loss / denominator, {
            "loss/mean": Metric.mean(value, 1.0),
            "dpo/preferred": Metric.mean(float(margin.detach() > 0), 1.0),
            "dpo/margin": Metric.mean(objective.beta * float(margin.detach()), 1.0),
        }


def _add_metrics(metrics: dict[str, Metric], found: dict[str, Metric]) -> None:
    from mmreason.training.runs.metrics import merge_metrics

    metrics.update(merge_metrics([metrics, found]))

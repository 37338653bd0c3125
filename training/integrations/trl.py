"""Our objectives inside TRL's `GRPOTrainer`, which keeps its own sampling, rewards and loop.

    Trainer = grpo_trainer("vespo", stapo=rl.Stapo())
    Trainer(model=..., args=GRPOConfig(scale_rewards="none", ...), reward_funcs=..., ...).train()

TRL computes the advantages, from `scale_rewards`; everything from there to the loss is ours, with
denominators of the whole optimiser step, over micro-batches and processes (TRL's own `grpo`,
`bnpo` and `luspo` take a mean of micro-batch means). KL (`beta`) and the correction of a vLLM
sampler stay as TRL's arguments say and are applied here anew. Options of TRL's own loss
(`loss_type`, `epsilon`, ...) have no place: setting one is an error.

What TRL cannot carry: video. Its loss passes images to the model but no video tensors
(`pixel_values_videos`, `video_grid_thw`), so a policy that reads frames as a video needs
`mmreason.training.rl`; with TRL show frames as images, or train a reasoner of text whose tools
watch (`trl_environment`). Leave-one-out advantages (`rloo`) are not among those TRL computes.

Written for TRL's internals, hence the gate on its version.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from mmreason.training.integrations.trl_dsdr import DsdrTerm, members_for_dsdr
from mmreason.training.integrations.trl_settings import check_settings
from mmreason.training.objectives import (
    PUBLISHED,
    Objective,
    TokenBatch,
    aggregate,
    candidate_entropies,
    count,
    dsdr_entropy_loss,
    entropy_threshold,
    k3,
    k3r,
    policy_loss,
    stapo_mask,
    vespo,
    vespo_report,
    vespo_weight,
)
from mmreason.training.rl.recipe import Stapo
from mmreason.types import UsageError

CHECKED_VERSIONS = ("1.16",)
"""Releases of TRL (major.minor) whose internals this was checked with."""

FORWARD_INPUTS = (
    "pixel_values",
    "image_grid_thw",
    "num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "token_type_ids",
    "mm_token_type_ids",
    "image_position_ids",
)
"""What TRL's forward pass takes besides tokens: images only."""


@dataclass(frozen=True, slots=True)
class _Window:
    """What one optimiser step has in common, over all its micro-batches and processes."""

    denominator: int
    """Of the policy loss: over the tokens that are kept."""
    full_denominator: int
    """Of KL, over all trainable tokens."""
    rows: int
    threshold: float | None
    """STAPO's, in nats."""


def grpo_trainer(
    objective: str | Objective,
    *,
    stapo: Stapo | None = None,
    dsdr: DsdrTerm | None = None,
) -> type[Any]:
    """A subclass of `trl.GRPOTrainer` with this objective; it is made with TRL's own arguments.

    Only `_compute_loss` is overridden; with `dsdr` also the two methods through which rewards
    reach it. `objective` is a name in `PUBLISHED` or one of your own. Raises UsageError without
    TRL, with a release that this was not checked with, and for an unknown name; the trainer
    raises one at its first step where its arguments contradict the objective.
    """
    require_trl()
    from trl.trainer.grpo_trainer import GRPOTrainer

    if isinstance(objective, str):
        if objective not in PUBLISHED:
            raise UsageError(f"unknown objective {objective!r}; known: {', '.join(PUBLISHED)}")
        objective = PUBLISHED[objective]
    # TRL makes its trainer itself, so the loss is bound to a subclass and not passed in.
    loss = _Loss(objective, stapo, dsdr)
    members: dict[str, Any] = {
        "__doc__": "TRL's GRPOTrainer with an objective of mmreason.",
        "_compute_loss": lambda self, model, inputs: loss(self, model, inputs),
    }
    if dsdr is not None:
        members |= members_for_dsdr(GRPOTrainer, dsdr)
    return type("ObjectiveTrainer", (GRPOTrainer,), members)


def require_trl() -> None:
    """UsageError unless TRL is installed in a release that this was checked with."""
    releases = " or ".join(f"{release}.*" for release in CHECKED_VERSIONS)
    try:
        installed = version("trl")
    except PackageNotFoundError as error:
        raise UsageError(
            'TRL is not installed; in the clone of mmreason: pip install ".[trl]"'
        ) from error
    if ".".join(installed.split(".")[:2]) not in CHECKED_VERSIONS:
        raise UsageError(
            f"this part of mmreason relies on internals of TRL {releases}, found {installed}; "
            'in its clone: pip install ".[trl]"; or train with mmreason.training.rl'
        )


class _Loss:
    """The loss of one micro-batch. What its optimiser step has in common is kept on the trainer."""

    def __init__(self, objective: Objective, stapo: Stapo | None, dsdr: DsdrTerm | None):
        self._objective = objective
        self._stapo = stapo
        self._dsdr = dsdr

    def __call__(self, trainer: Any, model: Any, inputs: dict[str, Any]) -> Tensor:
        # 1. What the whole optimiser step has in common, counted at its first micro-batch.
        micro_batches, is_first = _micro_batches(trainer, inputs)
        window: _Window | None = getattr(trainer, "_objective_window", None)
        if window is None:
            # At the first step: before, TRL still fills in defaults of its own.
            check_settings(self._objective, trainer.args)
        if window is None or is_first:
            window = self._look_ahead(trainer, model, micro_batches)
            trainer._objective_window = window
        # 2. The forward pass of this micro-batch, and its share of the loss.
        batch, auxiliary = _batch(trainer, model, inputs)
        # The same threshold for every micro-batch, so that the split into them does not matter.
        keep = None
        if window.threshold is not None:
            keep = self._silenced(trainer, batch, window.threshold)
        loss = policy_loss(batch, self._objective, window.denominator, keep=keep)
        loss = loss + self._other_terms(trainer, batch, inputs, window)
        _report(trainer, batch, self._objective)
        # Gradients of processes are averaged, and the denominators are of all of them.
        loss = loss * trainer.accelerator.num_processes
        return loss if auxiliary is None else loss + auxiliary / len(micro_batches)

    def _look_ahead(self, trainer: Any, model: Any, micro_batches: list[dict[str, Any]]) -> _Window:
        """The step's denominators. With STAPO also its threshold, which needs the log-probabilities
        of all micro-batches: one more forward pass each, without gradient."""
        aggregation = self._objective.aggregation
        longest = trainer.max_completion_length
        masks = [_mask(inputs) for inputs in micro_batches]
        full = sum(count(mask, aggregation, max_tokens=longest) for mask in masks)
        rows = sum(len(mask) for mask in masks)
        threshold, remaining = None, full
        if self._stapo is not None:
            # STAPO's threshold is a quantile over the whole step, so all of it is looked at first.
            with torch.no_grad():
                batches = [_batch(trainer, model, inputs)[0] for inputs in micro_batches]
            entropies = [
                candidate_entropies(b, probability=self._stapo.probability, scope=self._stapo.scope)
                for b in batches
            ]
            gathered = _gather(trainer, torch.cat(entropies))
            threshold = entropy_threshold(gathered, self._stapo.quantile)
            masks = [b.mask & self._mask_of(b, threshold) for b in batches]
            remaining = sum(count(mask, aggregation, max_tokens=longest) for mask in masks)
        # One gather for the three numbers: each is a wait for the slowest process.
        local = torch.tensor(
            [[remaining, full, rows]], device=micro_batches[0]["completion_ids"].device
        )
        remaining, full, rows = trainer.accelerator.gather(local).sum(dim=0).tolist()
        return _Window(remaining, full, rows, threshold)

    def _mask_of(self, batch: TokenBatch, threshold: float) -> Tensor:
        assert self._stapo is not None
        return stapo_mask(batch, threshold, probability=self._stapo.probability).keep

    def _silenced(self, trainer: Any, batch: TokenBatch, threshold: float) -> Tensor:
        assert self._stapo is not None
        mask = stapo_mask(batch, threshold, probability=self._stapo.probability)
        silenced_fraction = mask.silenced / max(1, mask.tokens)
        _metrics(trainer)["stapo/silenced_share"].append(silenced_fraction)
        _metrics(trainer)["stapo/threshold"].append(threshold)
        return mask.keep

    def _other_terms(
        self, trainer: Any, batch: TokenBatch, inputs: dict[str, Any], window: _Window
    ) -> Tensor:
        """KL to the reference, and DSDR's entropy on right answers."""
        terms = batch.logp.new_zeros(())
        if trainer.beta != 0.0:
            estimate = k3r if trainer.args.use_bias_correction_kl else k3
            kl = estimate(batch, inputs["ref_per_token_logps"].float())
            denominator = window.full_denominator
            # Over all trainable tokens: silencing one does not free it from the reference.
            kl_loss = aggregate(kl, batch.mask, self._objective.aggregation, denominator)
            terms = terms + trainer.beta * kl_loss
            _metrics(trainer)["kl"].append(_mean(trainer, kl, batch.mask))
        if self._dsdr is not None and "dsdr_shares" in inputs:
            # DSDR's term is a mean over problems, of which each has `num_generations` rows.
            groups = window.rows / trainer.num_generations
            entropy = dsdr_entropy_loss(batch, inputs["dsdr_shares"], groups)
            terms = terms + self._dsdr.settings.entropy_weight * entropy
            _metrics(trainer)["dsdr/entropy_loss"].append(float(entropy.detach()))
        return terms


def _micro_batches(trainer: Any, inputs: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """The micro-batches of this process in the current optimiser step, and whether this is the
    first. TRL keeps those of a whole generation and takes them in turn."""
    # Evaluation has no optimiser step: a batch stands alone.
    if not trainer.model.training:
        return [inputs], True
    size = trainer.args.gradient_accumulation_steps
    position = trainer._step % trainer.args.steps_per_generation
    # A generation serves several optimiser steps, each of `size` micro-batches in a row.
    start = position - position % size
    return trainer._buffered_inputs[start : start + size], position == start


def _mask(inputs: dict[str, Any]) -> Tensor:
    """(B, T) bool: written by the model."""
    mask = inputs["completion_mask"].bool()
    tool_mask = inputs.get("tool_mask")
    return mask if tool_mask is None else mask & tool_mask.bool()


def _batch(trainer: Any, model: Any, inputs: dict[str, Any]) -> tuple[TokenBatch, Tensor | None]:
    """One forward pass, and the auxiliary loss of a mixture of experts where there is one."""
    prompt_ids, completion_ids = inputs["prompt_ids"], inputs["completion_ids"]
    logp, entropy, auxiliary = trainer._get_per_token_logps_and_entropies(
        model,
        torch.cat([prompt_ids, completion_ids], dim=1),
        torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
        completion_ids.size(1),
        compute_entropy=True,
        compute_aux_loss=trainer.aux_loss_enabled,
        **{name: inputs.get(name) for name in FORWARD_INPUTS},
    )
    old_logp = inputs.get("old_per_token_logps")
    correction = None
    if trainer.use_vllm and trainer.vllm_importance_sampling_correction:
        correction = inputs["importance_sampling_ratio"].float()
    batch = TokenBatch(
        logp=logp.float(),
        # Without old log-probabilities the policy has not moved since: the ratio is 1.
        old_logp=logp.detach().float() if old_logp is None else old_logp.float(),
        mask=_mask(inputs),
        advantage=inputs["advantages"].float(),
        entropy=entropy.detach().float(),
        correction=correction,
    )
    return batch, None if auxiliary is None else trainer.router_aux_loss_coef * auxiliary


def _gather(trainer: Any, values: Tensor) -> Tensor:
    """(n,) of every process, of different lengths, as one tensor."""
    if trainer.accelerator.num_processes == 1:
        return values
    from accelerate.utils import gather_object

    # As objects: `gather` of tensors needs equal lengths.
    return torch.tensor(gather_object(values.tolist()), dtype=values.dtype)


def _metrics(trainer: Any) -> Any:
    return trainer._metrics["train" if trainer.model.training else "eval"]


def _mean(trainer: Any, values: Tensor, mask: Tensor) -> float:
    """Mean over the tokens of all processes."""
    # Sums and counts: means of processes with unequal lengths would not add up.
    both = torch.stack([torch.where(mask, values.detach(), 0.0).sum(), mask.sum().to(values)])
    total, number = trainer.accelerator.reduce(both, reduction="sum").tolist()
    return total / max(1.0, number)


def _report(trainer: Any, batch: TokenBatch, objective: Objective) -> None:
    """TRL's entropy, and VESPO's weights where that is the loss with its published constants."""
    assert batch.entropy is not None
    _metrics(trainer)["entropy"].append(_mean(trainer, batch.entropy, batch.mask))
    if objective.loss is vespo:
        report = vespo_report(batch, vespo_weight(batch))
        _metrics(trainer)["vespo/mean_weight"].append(report.mean_weight)
        _metrics(trainer)["vespo/vanished_share"].append(report.vanished_share)

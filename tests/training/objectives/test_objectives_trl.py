"""The same tensors through TRL's own loss give the same loss and the same gradient.

TRL is an oracle here and nowhere else. Its trainer's loss is called on a stand-in for the trainer
that hands it log-probabilities; everything from there to the scalar is TRL's. One process, one
accumulation step: there, and only there, its denominators are the global ones.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mmreason.training.objectives import (
    PUBLISHED,
    Objective,
    TokenBatch,
    aggregate,
    clipped,
    count,
    k3,
    k3r,
    masked_weight,
    policy_loss,
    truncated_weight,
    vespo_weight,
)
from tests.fakes.token_batches import F64, close, gradient, padded, random_batch

pytest.importorskip("trl", minversion="1.16")
grpo_trainer = pytest.importorskip("trl.trainer.grpo_trainer")

MAX_TOKENS = 11
TOLERANCE = 1e-6


def _trainer(batch: TokenBatch, loss_type: str, settings: dict[str, Any]) -> SimpleNamespace:
    """What TRL's loss reads of its trainer, with TRL's names and defaults."""
    args = SimpleNamespace(
        delta=None,
        use_bias_correction_kl=False,
        sapo_temperature_pos=1.0,
        sapo_temperature_neg=1.05,
        vespo_k_pos=2.0,
        vespo_lambda_pos=3.0,
        vespo_k_neg=3.0,
        vespo_lambda_neg=2.0,
        steps_per_generation=1,
    )
    trainer = SimpleNamespace(
        args=args,
        loss_type=loss_type,
        importance_sampling_level="token",
        epsilon_low=0.2,
        epsilon_high=0.2,
        beta=0.0,
        use_vllm=False,
        vllm_importance_sampling_correction=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        max_completion_length=MAX_TOKENS,
        current_gradient_accumulation_steps=1,
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(
            num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x
        ),
        _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *_, **__: (
            batch.logp,
            torch.zeros_like(batch.logp),
            None,
        ),
        get_gamma_weights=grpo_trainer.GRPOTrainer.get_gamma_weights,
    )
    for name, value in settings.items():
        setattr(args if hasattr(args, name) else trainer, name, value)
    return trainer


def _theirs(
    batch: TokenBatch,
    loss_type: str,
    settings: dict[str, Any],
    reference_logp: torch.Tensor | None = None,
) -> torch.Tensor:
    tokens = torch.zeros(batch.logp.shape, dtype=torch.long)
    inputs = {
        "prompt_ids": tokens[:, :1],
        "prompt_mask": torch.ones_like(tokens[:, :1]),
        "completion_ids": tokens,
        "completion_mask": torch.ones_like(tokens),
        "tool_mask": batch.mask.long(),
        "advantages": batch.advantage,
        "old_per_token_logps": batch.old_logp,
        "ref_per_token_logps": reference_logp,
        "num_items_in_batch": batch.mask.sum(),
    }
    if batch.correction is not None:
        settings = settings | {"use_vllm": True, "vllm_importance_sampling_correction": True}
        inputs["importance_sampling_ratio"] = batch.correction
    trainer = _trainer(batch, loss_type, settings)
    return grpo_trainer.GRPOTrainer._compute_loss(trainer, None, inputs)


def _ours(batch: TokenBatch, objective: Objective) -> torch.Tensor:
    denominator = count(batch.mask, objective.aggregation, max_tokens=MAX_TOKENS)
    return policy_loss(batch, objective, denominator)


def _agree(
    batch: TokenBatch, objective: Objective, loss_type: str, settings: dict[str, Any]
) -> None:
    theirs = partial(_theirs, loss_type=loss_type, settings=settings)
    close(_ours(batch, objective), theirs(batch), TOLERANCE)
    found = gradient(batch, partial(_ours, objective=objective))
    close(found, gradient(batch, theirs), TOLERANCE)
    assert found.abs().max() > 1e-3


SEQUENCE = {"importance_sampling_level": "sequence"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "grpo": ("grpo", {}),
    "bnpo": ("bnpo", {}),
    "dapo": ("dapo", {"epsilon_high": 0.28}),
    "dr_grpo": ("dr_grpo", {}),
    "gspo": ("grpo", SEQUENCE | {"epsilon_low": 3e-4, "epsilon_high": 4e-4}),
    "cispo": ("cispo", {"epsilon_high": 5.0}),
    "sapo": ("sapo", {}),
    "luspo": ("luspo", SEQUENCE | {"epsilon_low": 3e-4, "epsilon_high": 4e-4}),
    "vespo": ("vespo", {}),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("spread", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("name", CASES)
def test_equals_trl(name: str, spread: float, seed: int) -> None:
    batch = random_batch(seed, rows=5, tokens=7, spread=spread)
    _agree(batch, PUBLISHED[name], *CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_equals_trl_in_float32(name: str) -> None:
    batch = random_batch(2, rows=5, tokens=7)
    single = TokenBatch(
        logp=batch.logp.detach().float().requires_grad_(),
        old_logp=batch.old_logp.float(),
        mask=batch.mask,
        advantage=batch.advantage.float(),
    )
    _agree(single, PUBLISHED[name], *CASES[name])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["truncated", "masked"])
def test_equals_trl_with_corrections_of_the_sampler(name: str, kind: str) -> None:
    batch = random_batch(3, rows=5, tokens=7)
    noise = torch.randn(5, 7, generator=torch.Generator().manual_seed(9), dtype=F64)
    sampler = batch.old_logp - 0.4 * noise
    if kind == "truncated":
        weight = truncated_weight(batch.old_logp, sampler, batch.mask)
    else:
        weight = masked_weight(batch.old_logp, sampler, batch.mask, ceiling=2.5, level="token")
    _agree(replace(batch, correction=weight), PUBLISHED[name], *CASES[name])


def test_dual_clip_equals_trl_delta() -> None:
    batch = random_batch(4, rows=8, tokens=7, spread=1.5)
    objective = replace(PUBLISHED["grpo"], loss=partial(clipped, dual_clip=3.0))
    _agree(batch, objective, "grpo", {"delta": 3.0})


@pytest.mark.parametrize("corrected", [False, True])
def test_kl_term_equals_trl(corrected: bool) -> None:
    batch = random_batch(5)
    reference = batch.old_logp - 0.3

    def ours(b: TokenBatch) -> torch.Tensor:
        kl = (k3r if corrected else k3)(b, reference)
        return _ours(b, PUBLISHED["grpo"]) + 0.04 * aggregate(kl, b.mask, "sequence", 4)

    settings = {"beta": 0.04, "use_bias_correction_kl": corrected}
    theirs = partial(_theirs, loss_type="grpo", settings=settings, reference_logp=reference)
    close(ours(batch), theirs(batch), TOLERANCE)
    close(gradient(batch, ours), gradient(batch, theirs), TOLERANCE)


@pytest.mark.parametrize("corrected", [False, True])
def test_identity_05_vespo_weight_equals_trl(corrected: bool) -> None:
    for seed, spread in ((0, 0.1), (1, 0.5), (2, 30.0)):
        batch = random_batch(seed, spread=spread)
        if corrected:
            sampler = batch.old_logp - 0.1
            batch = replace(batch, correction=truncated_weight(batch.old_logp, sampler, batch.mask))
        theirs = grpo_trainer.GRPOTrainer.get_gamma_weights(
            batch.token_advantage,
            (batch.logp - batch.old_logp).detach(),
            batch.mask,
            batch.correction,
        )
        close(vespo_weight(batch), theirs)


def test_identity_07_trl_reads_corrections_outside_the_mask_and_we_do_not() -> None:
    batch = random_batch()
    weight = torch.where(batch.mask, 1.0, 0.25).double()
    corrected = replace(batch, correction=weight)
    close(vespo_weight(corrected), vespo_weight(batch))
    ratio = (batch.logp - batch.old_logp).detach()
    theirs = grpo_trainer.GRPOTrainer.get_gamma_weights
    plain = theirs(batch.token_advantage, ratio, batch.mask, None)
    assert (theirs(batch.token_advantage, ratio, batch.mask, weight) - plain).abs().max() > 0.1
    close(vespo_weight(padded(corrected, 9, 0.25)), vespo_weight(batch))

"""STAPO: what is silenced, what the rest then weighs, and one threshold for a whole step."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from mmreason.training.objectives import (
    PUBLISHED,
    TokenBatch,
    aggregate,
    candidate_entropies,
    clipped,
    count,
    entropy_threshold,
    policy_loss,
    stapo_mask,
)
from mmreason.types import UsageError
from tests.fakes.token_batches import F64, close, gradient, random_batch, rows_of

DAPO = PUBLISHED["dapo"]
MEDIUM = 0.5
"""A probability below which about half of the tokens of `random_batch` lie."""


def _loss(batch: TokenBatch, probability: float, quantile: float) -> torch.Tensor:
    """STAPO on one batch alone."""
    threshold = entropy_threshold(candidate_entropies(batch, probability=probability), quantile)
    keep = stapo_mask(batch, threshold, probability=probability).keep
    return policy_loss(batch, DAPO, count(batch.mask & keep, "token"), keep=keep)


def _base(batch: TokenBatch) -> torch.Tensor:
    return policy_loss(batch, DAPO, count(batch.mask, "token"))


def _same(batch: TokenBatch, probability: float, quantile: float) -> None:
    stapo = partial(_loss, probability=probability, quantile=quantile)
    assert torch.equal(stapo(batch), _base(batch))
    assert torch.equal(gradient(batch, stapo), gradient(batch, _base))


def test_identity_10_nothing_is_improbable_or_nothing_certain() -> None:
    batch = random_batch(entropy=True)
    _same(batch, probability=0.0, quantile=0.75)
    _same(batch, probability=MEDIUM, quantile=0.0)
    with pytest.raises(AssertionError):
        _same(batch, probability=MEDIUM, quantile=0.75)


def test_identity_11_without_positive_advantages_nothing_is_silenced() -> None:
    batch = random_batch(entropy=True)
    _same(replace(batch, advantage=-batch.advantage.abs()), 1.0, 0.75)
    neutral = replace(batch, advantage=torch.zeros_like(batch.advantage))
    _same(neutral, 1.0, 0.75)
    assert stapo_mask(neutral, math.inf, probability=1.0).keep.all()


def test_identity_12_without_limits_only_negative_advantages_train() -> None:
    batch = random_batch(entropy=True)
    stapo = stapo_mask(batch, math.inf, probability=1.0)
    kept = batch.mask & stapo.keep
    negative = batch.mask & (batch.advantage <= 0).unsqueeze(1)
    assert torch.equal(kept, negative)
    found = gradient(batch, lambda b: policy_loss(b, DAPO, count(kept, "token"), keep=stapo.keep))
    expected = gradient(batch, lambda b: clipped(b, clip_high=0.28)[negative].mean())
    close(found, expected)


def test_identity_13_silenced_tokens_have_no_gradient_and_no_influence() -> None:
    batch = random_batch(entropy=True)
    stapo = partial(_loss, probability=MEDIUM, quantile=0.75)
    threshold = entropy_threshold(candidate_entropies(batch, probability=MEDIUM))
    silenced = ~stapo_mask(batch, threshold, probability=MEDIUM).keep
    assert silenced.any()
    found = gradient(batch, stapo)
    assert not found[silenced].any()
    moved = torch.where(silenced, batch.logp.detach() - 0.3, batch.logp.detach())
    close(gradient(replace(batch, logp=moved), stapo)[~silenced], found[~silenced])


def test_identity_14_the_mean_is_over_kept_tokens() -> None:
    """Four tokens of ratio 1 and advantage 1; the second is rare and certain."""
    logp = torch.tensor([[0.5, 0.001, 0.001, 0.5]], dtype=F64).log()
    batch = TokenBatch(
        logp=logp,
        old_logp=logp.clone(),
        mask=torch.ones(1, 4, dtype=torch.bool),
        advantage=torch.tensor([1.0], dtype=F64),
        entropy=torch.tensor([[0.1, 0.2, 2.0, 0.1]], dtype=F64),
    )
    threshold = entropy_threshold(candidate_entropies(batch))
    assert threshold == pytest.approx(0.2 + 0.75 * 1.8)
    stapo = stapo_mask(batch, threshold)
    assert stapo.keep.tolist() == [[True, False, True, True]]
    assert (stapo.silenced, stapo.candidates, stapo.tokens) == (1, 2, 4)
    close(_loss(batch, 0.002, 0.75), -1.0)


def test_identity_15_gradient_norm_bounds() -> None:
    """On logits, a token's squared gradient norm is w^2 (1 - 2 pi + sum pi^2), and lies between
    the bounds in entropy."""
    g = torch.Generator().manual_seed(0)
    size = 7
    for scale in (0.3, 1.0, 4.0, 12.0):
        logits = scale * torch.randn(250, 1, size, generator=g, dtype=F64)
        logits.requires_grad_()
        log_p = logits.log_softmax(-1)
        token = torch.randint(size, (250, 1, 1), generator=g)
        logp = log_p.gather(-1, token)[..., 0]
        advantage = torch.randn(250, generator=g, dtype=F64)
        batch = TokenBatch(
            logp=logp,
            old_logp=logp.detach(),
            mask=torch.ones(250, 1, dtype=torch.bool),
            advantage=advantage,
        )
        (found,) = torch.autograd.grad(clipped(batch).sum(), logits)
        norm = found.square().sum((1, 2))
        p = log_p.detach().exp()[:, 0]
        pi, w2 = logp.detach().exp()[:, 0], advantage.square()
        entropy = -(p * p.log()).sum(-1)
        close(norm, w2 * (1 - 2 * pi + p.square().sum(-1)))
        curvature = (size - 1) / (size * math.log(size) ** 2)
        assert (norm >= w2 * (1 - 2 * pi + torch.exp(-entropy)) - 1e-10).all()
        assert (norm <= w2 * (2 - 2 * pi - curvature * entropy.square()) + 1e-10).all()


def _micro_gradient(batch: TokenBatch, thresholds: list[float]) -> torch.Tensor:
    """Gradients of unnormalised sums over two micro-batches, divided by the kept tokens at the
    end."""
    parts, kept = [], 0
    for rows, threshold in zip((slice(0, 2), slice(2, 4)), thresholds, strict=True):
        part = rows_of(batch, rows)
        keep = stapo_mask(part, threshold, probability=MEDIUM).keep
        kept += count(part.mask & keep, "token")
        parts.append(gradient(part, lambda b, k=keep: policy_loss(b, DAPO, 1.0, keep=k)))
    return torch.cat(parts) / kept


def test_identity_16_one_threshold_makes_micro_batches_exact() -> None:
    batch = random_batch(entropy=True)
    batch = replace(batch, advantage=batch.advantage.abs() + 0.1)
    halves = [
        candidate_entropies(rows_of(batch, rows), probability=MEDIUM)
        for rows in (slice(0, 2), slice(2, 4))
    ]
    shared = entropy_threshold(torch.cat(halves))
    whole = gradient(batch, partial(_loss, probability=MEDIUM, quantile=0.75))
    close(_micro_gradient(batch, [shared, shared]), whole)
    local = _micro_gradient(batch, [entropy_threshold(half) for half in halves])
    assert (local - whole).abs().max() > 1e-3


def test_identity_17_no_candidates_silence_nothing() -> None:
    batch = random_batch(entropy=True)
    entropies = candidate_entropies(batch, probability=1e-9)
    assert entropies.numel() == 0
    threshold = entropy_threshold(entropies)
    assert stapo_mask(batch, threshold).keep.all()
    _same(batch, 1e-9, 0.75)


def test_early_reading_takes_the_quantile_over_all_tokens() -> None:
    batch = random_batch(entropy=True)
    assert batch.entropy is not None
    everything = candidate_entropies(batch, probability=MEDIUM, scope="all_tokens")
    assert torch.equal(everything, batch.entropy[batch.mask])
    assert len(candidate_entropies(batch, probability=MEDIUM)) < len(everything)


@pytest.mark.parametrize("quantile", [0.0, 0.2, 0.75, 1.0])
def test_threshold_is_the_linear_quantile(quantile: float) -> None:
    values = torch.rand(17, generator=torch.Generator().manual_seed(1), dtype=F64)
    close(entropy_threshold(values, quantile), torch.quantile(values, quantile))


def test_strictness_spares_the_most_uncertain_candidate() -> None:
    batch = random_batch(entropy=True)
    threshold = entropy_threshold(candidate_entropies(batch, probability=MEDIUM), 1.0)
    stapo = stapo_mask(batch, threshold, probability=MEDIUM)
    assert stapo.silenced == stapo.candidates - 1


def test_entropy_is_required_and_bounds_checked() -> None:
    with pytest.raises(UsageError, match="entropy"):
        stapo_mask(random_batch(), 1.0)
    with pytest.raises(UsageError, match="probability"):
        stapo_mask(random_batch(entropy=True), 1.0, probability=1.5)
    with pytest.raises(UsageError, match="quantile"):
        entropy_threshold(torch.zeros(2), 75)


def test_everything_silenced_is_a_zero_loss_with_zero_gradients() -> None:
    batch = random_batch()
    none = torch.zeros_like(batch.mask)
    found = gradient(batch, lambda b: aggregate(clipped(b), none, "token", 0))
    assert not found.any()

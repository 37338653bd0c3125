"""KL estimators by enumeration, and corrections of the sampler's numerics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from mmreason.training.objectives import (
    NonFinite,
    TokenBatch,
    icepop_weight,
    k1,
    k2,
    k3,
    k3r,
    masked_weight,
    mismatch_report,
    require_finite,
    truncated_weight,
)
from mmreason.types import UsageError
from tests.fakes.token_batches import F64, close, gradient, random_batch

Estimator = Callable[[TokenBatch, torch.Tensor], torch.Tensor]


def _policies() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of the policy (a leaf), log-probabilities of an older policy and of a reference."""
    g = torch.Generator().manual_seed(6)
    logits, old, reference = torch.randn(3, 5, generator=g, dtype=F64)
    return logits.requires_grad_(), old.log_softmax(-1), reference.log_softmax(-1)


def _expected(
    estimator: Estimator, logits: torch.Tensor, old: torch.Tensor, reference: torch.Tensor
) -> torch.Tensor:
    """The expectation of the estimator over symbols drawn from `old`."""
    batch = TokenBatch(
        logp=logits.log_softmax(-1).unsqueeze(1),
        old_logp=old.unsqueeze(1),
        mask=torch.ones(5, 1, dtype=torch.bool),
        advantage=torch.zeros(5, dtype=F64),
    )
    return (old.exp().unsqueeze(1) * estimator(batch, reference.unsqueeze(1))).sum()


def _kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return (p.exp() * (p - q)).sum()


def _slope(value: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value, logits)[0]


def test_identity_32_gradients_of_the_estimators() -> None:
    logits, old, reference = _policies()
    reverse = _slope(_kl(logits.log_softmax(-1), reference), logits)
    forward = _slope(_kl(reference, logits.log_softmax(-1)), logits)
    assert (reverse - forward).abs().max() > 1e-2
    same = logits.detach().log_softmax(-1)
    close(_slope(_expected(k1, logits, same, reference), logits), torch.zeros(5))
    close(_slope(_expected(k2, logits, same, reference), logits), reverse)
    close(_slope(_expected(k3, logits, same, reference), logits), forward)
    close(_slope(_expected(k3r, logits, same, reference), logits), reverse)
    close(_slope(_expected(k3r, logits, old, reference), logits), reverse)


def test_identity_32_values_of_the_estimators() -> None:
    logits, old, reference = _policies()
    same = logits.detach().log_softmax(-1)
    kl = _kl(same, reference)
    close(_expected(k1, logits, same, reference), kl)
    close(_expected(k3, logits, same, reference), kl)
    close(_expected(k3r, logits, old, reference), kl)
    assert abs(float(_expected(k2, logits, same, reference).detach() - kl)) > 1e-2


def test_identity_33_k3_is_never_negative_and_always_finite() -> None:
    batch = random_batch()
    gap = torch.linspace(-3, 3, 24, dtype=F64).reshape(4, 6)
    value = k3(batch, batch.logp.detach() + gap)
    assert (value[batch.mask] > 0).all()
    assert not k3(batch, batch.logp.detach()).any()
    for extreme in (1e4, -1e4):
        for estimator in (k1, k2, k3, k3r):
            far = batch.logp.detach() + extreme
            assert torch.isfinite(estimator(batch, far)).all()
            assert torch.isfinite(
                gradient(batch, lambda b, e=estimator, f=far: e(b, f).sum())
            ).all()
        assert (k3(batch, batch.logp.detach() + extreme)[batch.mask] > 0).all()


def test_k3_pulls_at_full_strength_where_the_reference_finds_a_token_next_to_impossible() -> None:
    """The derivative of e^x - x - 1 by log pi is 1 - e^x: near 1 for x far below, where nothing
    overflows, and limited only where x is large."""
    batch = random_batch()
    for below in (-5.0, -21.0, -50.0, -1000.0):
        slope = gradient(batch, lambda b, x=below: k3(b, batch.logp.detach() + x).sum())
        wanted = torch.full_like(slope, 1 - math.exp(below))
        close(slope[batch.mask], wanted[batch.mask])
    impossible = torch.full_like(batch.logp.detach(), -torch.inf)
    slope = gradient(batch, lambda b: k3(b, impossible).sum())
    close(slope[batch.mask], torch.ones_like(slope)[batch.mask])
    assert torch.isfinite(k3(batch, impossible)).all()


def test_kl_reads_nothing_outside_the_mask() -> None:
    batch = random_batch()
    reference = torch.where(batch.mask, -1.0, torch.nan).double()
    for estimator in (k1, k2, k3, k3r):
        value = estimator(batch, reference)
        assert torch.isfinite(value).all() and not value[~batch.mask].any()
    with pytest.raises(UsageError, match="reference_logp"):
        k3(batch, reference[:, :2])


def test_identity_37_corrections() -> None:
    batch = random_batch(spread=1.5)
    old, mask = batch.old_logp, batch.mask
    sampler = batch.logp.detach().requires_grad_()
    ones = torch.ones_like(old)
    for weight in (truncated_weight, masked_weight, icepop_weight):
        close(weight(old, old, mask), ones[:, : weight(old, old, mask).shape[1]])
        assert not weight(old.requires_grad_(), sampler, mask).requires_grad
    old = old.detach()
    rho = torch.where(mask, (old - sampler.detach()).exp(), 1.0)
    close(truncated_weight(old, sampler, mask), rho.clamp(max=2.0))
    product = rho.prod(dim=1, keepdim=True)
    close(truncated_weight(old, sampler, mask, level="sequence"), product.clamp(max=2.0))
    close(masked_weight(old, sampler, mask), torch.where(product <= 3.0, product, 0.0))
    token = masked_weight(old, sampler, mask, ceiling=1.5, level="token")
    close(token, torch.where(rho <= 1.5, rho, 0.0))
    inside = (rho >= 0.5) & (rho <= 5)
    close(icepop_weight(old, sampler, mask), torch.where(inside, rho, 0.0))
    assert (~inside).any() and (token == 0).any() and (rho > 2).any()


def test_corrections_read_nothing_outside_the_mask() -> None:
    batch = random_batch()
    sampler = torch.where(batch.mask, batch.old_logp, torch.nan)
    for level in ("token", "sequence"):
        weight = truncated_weight(batch.old_logp, sampler, batch.mask, level=level)
        close(weight, torch.ones_like(weight))
    with pytest.raises(UsageError, match="level"):
        truncated_weight(sampler, sampler, batch.mask, level="row")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="floor"):
        masked_weight(sampler, sampler, batch.mask, floor=2.0, ceiling=1.0)
    with pytest.raises(UsageError, match="one shape"):
        truncated_weight(sampler, sampler[:, :1], batch.mask)


def test_a_token_the_sampler_gave_no_number_for_is_named() -> None:
    batch = random_batch()
    sampler = batch.old_logp.clone()
    sampler[2, 0] = torch.nan
    for weight in (truncated_weight, masked_weight, icepop_weight):
        correction = weight(batch.old_logp, sampler, batch.mask)
        with pytest.raises(NonFinite, match=r"correction.*row 2"):
            require_finite(replace(batch, correction=correction))


def test_mismatch_is_reported_and_so_is_its_absence() -> None:
    batch = random_batch()
    sampler = torch.where(batch.mask, batch.old_logp - 0.1, torch.nan)
    report = mismatch_report(batch.old_logp, sampler, batch.mask)
    assert report.reported
    assert (report.gap_mean, report.gap_max) == pytest.approx((0.1, 0.1))
    assert report.kl == pytest.approx(float(torch.tensor(0.1, dtype=F64).expm1()) - 0.1)
    assert not mismatch_report(batch.old_logp, None, batch.mask).reported
    empty = mismatch_report(batch.old_logp, sampler, torch.zeros_like(batch.mask))
    assert empty.reported and empty.gap_max == 0.0

"""VESPO's kernel: the weight, its limits, and that nothing flows through it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from mmreason.training.objectives import (
    PUBLISHED,
    TokenBatch,
    count,
    policy_loss,
    reinforce,
    stapo_mask,
    vespo,
    vespo_report,
    vespo_weight,
)
from mmreason.types import UsageError
from tests.fakes.token_batches import (
    F64,
    close,
    gradient,
    on_policy,
    padded,
    random_batch,
    rows_of,
)


def _one_token(w: torch.Tensor, sign: float) -> TokenBatch:
    """Sequences of one token with the ratios `w`."""
    logp = w.log().unsqueeze(1)
    return TokenBatch(
        logp=logp,
        old_logp=torch.zeros_like(logp),
        mask=torch.ones_like(logp, dtype=torch.bool),
        advantage=torch.full_like(w, sign),
    )


def _loss(batch: TokenBatch) -> torch.Tensor:
    return policy_loss(batch, PUBLISHED["vespo"], count(batch.mask, "token"))


def test_identity_01_on_policy_vespo_is_reinforce() -> None:
    batch = on_policy(random_batch())
    close(vespo_weight(batch), torch.ones(4, 1))
    expected = gradient(batch, lambda b: reinforce(b).sum() / count(b.mask, "token"))
    close(gradient(batch, _loss), expected)
    assert expected.abs().max() > 0


@pytest.mark.parametrize(
    ("sign", "peak", "at"),
    [(1.0, (2 / 3) ** 2 * math.e, 2 / 3), (-1.0, 1.5**3 / math.e, 1.5)],
)
def test_identity_02_peak_of_the_weight(sign: float, peak: float, at: float) -> None:
    grid = torch.linspace(0.01, 6, 60_000, dtype=F64)
    weight = vespo_weight(_one_token(grid, sign))[:, 0]
    close(float(weight.max()), peak, 1e-7)
    close(float(grid[weight.argmax()]), at, 1e-3)
    close(
        vespo_weight(_one_token(torch.tensor([at], dtype=F64), sign)),
        torch.tensor([[peak]], dtype=F64),
    )
    assert round(peak, 4) == (1.2081 if sign > 0 else 1.2416)


@pytest.mark.parametrize(("sign", "bound"), [(1.0, 2.463), (-1.0, 1.0)])
def test_identity_03_weight_over_ratio_is_bounded(sign: float, bound: float) -> None:
    grid = torch.linspace(0.001, 6, 60_000, dtype=F64)
    quotient = vespo_weight(_one_token(grid, sign))[:, 0] / grid
    assert float(quotient.max()) == pytest.approx(bound, abs=5e-4)


def test_identity_04_no_gradient_flows_through_the_weight() -> None:
    batch = random_batch()
    expected = -vespo_weight(batch) * batch.advantage.unsqueeze(1) / count(batch.mask, "token")
    close(gradient(batch, _loss), torch.where(batch.mask, expected, 0.0))


def test_identity_06_zero_advantage_uses_the_positive_branch_and_adds_nothing() -> None:
    w = torch.tensor([0.5], dtype=F64)
    close(vespo_weight(_one_token(w, 0.0)), vespo_weight(_one_token(w, 1.0)))
    assert float(vespo(_one_token(w, 0.0)).sum()) == 0.0


@pytest.mark.parametrize("filler", [1e3, float("nan"), float("inf")])
def test_identity_07_masked_values_change_nothing(filler: float) -> None:
    batch = random_batch()
    batch = replace(batch, correction=torch.full_like(batch.logp.detach(), 0.9))
    wide = padded(batch, 9, filler)
    close(vespo_weight(wide), vespo_weight(batch))
    close(_loss(wide), _loss(batch))
    close(gradient(wide, _loss)[:, :6], gradient(batch, _loss))
    assert not gradient(wide, _loss)[:, 6:].any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_identity_08_extreme_ratios_stay_finite(sign: float, dtype: torch.dtype) -> None:
    logp = torch.tensor([[1e4], [-1e4]], dtype=dtype, requires_grad=True)
    batch = TokenBatch(
        logp=logp,
        old_logp=torch.zeros(2, 1, dtype=dtype),
        mask=torch.ones(2, 1, dtype=torch.bool),
        advantage=torch.full((2,), sign, dtype=dtype),
    )
    huge, tiny = vespo_weight(batch)[:, 0].tolist()
    assert huge == 0.0
    assert tiny == pytest.approx(1e-16 * math.e**3 if sign > 0 else 1e-24 * math.e**2, rel=1e-3)
    assert torch.isfinite(gradient(batch, lambda b: vespo(b).sum())).all()


def test_identity_09_a_shift_of_both_policies_changes_nothing() -> None:
    batch = random_batch()
    moved = replace(batch, logp=batch.logp - 0.7, old_logp=batch.old_logp - 0.7)
    close(vespo_weight(moved), vespo_weight(batch))


def test_identity_50_silenced_tokens_stay_in_the_ratio() -> None:
    batch = random_batch(entropy=True)
    assert batch.entropy is not None
    stapo = stapo_mask(batch, 1.0, probability=0.5)
    assert stapo.silenced > 0
    mask = batch.mask & stapo.keep
    with_mask = gradient(
        batch,
        lambda b: policy_loss(b, PUBLISHED["vespo"], count(mask, "token"), keep=stapo.keep),
    )
    weight = vespo_weight(batch)
    expected = -weight * batch.advantage.unsqueeze(1) / count(mask, "token")
    close(with_mask, torch.where(mask, expected, 0.0))


def test_corrections_are_part_of_the_sequence_weight() -> None:
    batch = random_batch()
    correction = torch.rand_like(batch.logp.detach()) + 0.5
    corrected = replace(batch, correction=correction)
    shifted = replace(batch, old_logp=batch.old_logp - correction.log())
    close(vespo_weight(corrected), vespo_weight(shifted))
    close(vespo(corrected), vespo(shifted))


def test_correction_per_sequence_is_refused() -> None:
    with pytest.raises(UsageError, match="per token"):
        vespo(replace(random_batch(), correction=torch.ones(4, 1, dtype=F64)))


def test_report_shows_sequences_that_stopped_learning() -> None:
    batch = rows_of(random_batch(), slice(0, 3))
    gone = batch.old_logp.clone()
    gone[0] += 100.0
    batch = replace(on_policy(batch), old_logp=torch.where(batch.mask, gone, 0.0))
    batch.old_logp[1:] = batch.logp.detach()[1:]
    report = vespo_report(batch, vespo_weight(batch))
    assert report.vanished_share == pytest.approx(1 / 3)
    assert report.effective_share == pytest.approx(2 / 3)
    assert report.log_weight_abs_max == pytest.approx(-math.log(1e-8))
    empty = replace(batch, mask=torch.zeros_like(batch.mask))
    assert vespo_report(empty, vespo_weight(empty)).mean_weight == 0.0

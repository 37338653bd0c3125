"""Losses of ratios: on-policy gradients, clipping, aggregation, masks, direction of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

from mmreason.training.objectives import (
    PUBLISHED,
    Objective,
    TokenBatch,
    TokenLoss,
    aggregate,
    cispo,
    clipped,
    count,
    dsdr_entropy_loss,
    gmpo,
    gspo,
    gspo_token,
    policy_loss,
    reinforce,
    sapo,
    vespo_weight,
)
from mmreason.training.objectives.ratios import mean_log_ratio, sequence_ratio
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

EVERY = pytest.mark.parametrize("name", sorted(PUBLISHED))


def _value(batch: TokenBatch, objective: Objective) -> torch.Tensor:
    return policy_loss(batch, objective, count(batch.mask, objective.aggregation, max_tokens=9))


def _named(name: str) -> Callable[[TokenBatch], torch.Tensor]:
    return partial(_value, objective=PUBLISHED[name])


def _ratio_batch(ratio: float, advantage: float) -> TokenBatch:
    """One token with this ratio; the gradient on `logp` is also the loss's slope times r."""
    return TokenBatch(
        logp=torch.tensor([[-0.5]], dtype=F64, requires_grad=True),
        old_logp=torch.tensor([[-0.5]], dtype=F64) - torch.tensor(ratio, dtype=F64).log(),
        mask=torch.ones(1, 1, dtype=torch.bool),
        advantage=torch.tensor([advantage], dtype=F64),
    )


def _slope(loss: TokenLoss, ratio: float, advantage: float) -> float:
    return float(gradient(_ratio_batch(ratio, advantage), lambda b: loss(b).sum()))


@EVERY
def test_identity_26_on_policy_every_gradient_is_reinforce(name: str) -> None:
    batch = on_policy(random_batch())
    plain = replace(PUBLISHED[name], loss=reinforce)
    close(gradient(batch, _named(name)), gradient(batch, partial(_value, objective=plain)))


@pytest.mark.parametrize(
    ("ratio", "advantage", "dead"),
    [(1.3, 1.0, True), (0.7, -1.0, True), (0.7, 1.0, False), (1.3, -1.0, False), (1.1, 1.0, False)],
)
@pytest.mark.parametrize("loss", [clipped, partial(clipped, clip_high=0.28)])
def test_identity_26_clipped_side_has_no_gradient(
    loss: TokenLoss, ratio: float, advantage: float, dead: bool
) -> None:
    expected = 0.0 if dead else -advantage * ratio
    assert _slope(loss, ratio, advantage) == pytest.approx(expected, abs=1e-12)


def _split_gradient(batch: TokenBatch, objective: Objective, denominator: int) -> torch.Tensor:
    """Two ranks of two micro-batches each, padded differently; the ranks' gradients averaged."""
    ranks = []
    for rank in ((slice(0, 1), slice(1, 2)), (slice(2, 3), slice(3, 4))):
        micro = []
        for extra, rows in enumerate(rank):
            part = padded(rows_of(batch, rows), 6 + 2 * extra)
            loss = partial(policy_loss, objective=objective, denominator=denominator)
            micro.append(gradient(part, lambda b, of=loss: 2 * of(b))[:, :6])
        ranks.append(torch.cat(micro) / 2)
    return torch.cat(ranks)


@EVERY
def test_identity_27_splits_ranks_and_padding_do_not_change_the_gradient(name: str) -> None:
    batch = random_batch()
    objective = PUBLISHED[name]
    denominator = count(batch.mask, objective.aggregation, max_tokens=9)
    close(_split_gradient(batch, objective, denominator), gradient(batch, _named(name)))


def test_identity_27_a_mean_of_micro_batch_means_does_change_it() -> None:
    batch = random_batch()
    objective = PUBLISHED["dapo"]
    parts = [rows_of(batch, slice(0, 2)), rows_of(batch, slice(2, 4))]
    assert count(parts[0].mask, "token") != count(parts[1].mask, "token")
    means = torch.cat([gradient(p, partial(_value, objective=objective)) / 2 for p in parts])
    assert (means - gradient(batch, _named("dapo"))).abs().max() > 1e-3


def test_identity_28_dr_grpo_ignores_duplicates_and_padding() -> None:
    batch = random_batch()
    twice = TokenBatch(
        logp=torch.cat([batch.logp, batch.logp]),
        old_logp=torch.cat([batch.old_logp, batch.old_logp]),
        mask=torch.cat([batch.mask, batch.mask]),
        advantage=torch.cat([batch.advantage, batch.advantage]),
    )
    loss = _named("dr_grpo")
    close(loss(twice), loss(batch))
    close(loss(padded(batch, 40)), loss(batch))


def test_identity_29_gspo_on_policy_is_grpo_and_masks_its_ratio() -> None:
    batch = on_policy(random_batch())
    close(gradient(batch, _named("gspo")), gradient(batch, _named("grpo")))
    off = random_batch()
    difference = torch.where(off.mask, (off.logp - off.old_logp).detach(), torch.nan)
    close(mean_log_ratio(off)[:, 0], difference.nanmean(dim=1))


def test_gspo_token_equals_gspo_where_credit_is_equal() -> None:
    batch = random_batch()
    wide = {"clip_low": 0.5, "clip_high": 0.5}
    sequence = Objective(PUBLISHED["gspo"].advantage, partial(gspo, **wide), "sequence")
    token = replace(sequence, loss=partial(gspo_token, **wide))
    close(_value(batch, token), _value(batch, sequence))
    close(
        gradient(batch, partial(_value, objective=token)),
        gradient(batch, partial(_value, objective=sequence)),
    )
    credit = torch.where(batch.mask, batch.logp.detach(), 0.0)
    per_token = replace(batch, advantage=credit)
    expected = torch.where(batch.mask, -sequence_ratio(batch).detach() * credit, 0.0)
    loose = partial(gspo_token, clip_low=1.0, clip_high=9.0)
    close(gradient(per_token, lambda b: loose(b).sum()), expected)


@pytest.mark.parametrize(("advantage", "temperature"), [(1.0, 1.0), (-1.0, 1.05)])
def test_identity_30_sapo_slope_value_and_bound(advantage: float, temperature: float) -> None:
    assert _slope(sapo, 1.0, advantage) == pytest.approx(-advantage, abs=1e-10)
    at_one = float(sapo(_ratio_batch(1.0, advantage)).detach().sum())
    assert at_one == pytest.approx(-advantage * 2 / temperature, abs=1e-10)
    for ratio in (1e-4, 0.3, 3.0, 1e6):
        value = abs(float(sapo(_ratio_batch(ratio, advantage)).detach().sum()))
        assert value <= 4 / temperature + 1e-12


def test_identity_31_cispo_keeps_a_bounded_gradient_outside_the_clip() -> None:
    loss = partial(cispo, ceiling=1.28, floor=0.8)
    assert _slope(loss, 2.0, 1.0) == pytest.approx(-1.28, abs=1e-10)
    assert _slope(partial(clipped, clip_high=0.28), 2.0, 1.0) == 0.0
    for ratio in (0.81, 1.0, 1.27):
        for advantage in (1.0, -1.0):
            assert _slope(loss, ratio, advantage) == pytest.approx(
                _slope(partial(clipped, clip_high=0.28), ratio, advantage), abs=1e-10
            )


def test_dual_clip_bounds_what_negative_advantages_can_cost() -> None:
    loss = partial(clipped, dual_clip=3.0)
    assert float(loss(_ratio_batch(10.0, -1.0)).detach().sum()) == pytest.approx(3.0)
    assert _slope(loss, 10.0, -1.0) == 0.0
    for ratio, advantage in ((2.0, -1.0), (0.5, -1.0), (10.0, 1.0), (1.1, 1.0)):
        assert _slope(loss, ratio, advantage) == _slope(clipped, ratio, advantage)
    with pytest.raises(UsageError, match="dual_clip"):
        clipped(_ratio_batch(1.0, 1.0), dual_clip=1.1)


def test_gmpo_is_the_geometric_mean_clipped_per_token() -> None:
    batch = random_batch(spread=0.1)
    close(
        gmpo(batch), torch.where(batch.mask, -sequence_ratio(batch) * batch.advantage[:, None], 0)
    )
    high = torch.tensor(3.0, dtype=F64)
    assert float(gmpo(_ratio_batch(3.0, 1.0)).detach().sum()) == pytest.approx(
        -float(torch.tensor(0.4).exp())
    )
    assert float(gmpo(_ratio_batch(3.0, -1.0)).detach().sum()) == pytest.approx(float(high))
    assert _slope(gmpo, 3.0, 1.0) == 0.0


def test_luspo_weighs_a_sequence_by_its_length() -> None:
    batch = random_batch()
    each = gspo(batch).sum(1) / batch.mask.sum(1)
    close(_named("luspo")(batch), (each * batch.mask.sum(1)).mean())


@EVERY
def test_identity_38_tool_tokens_have_no_gradient_and_no_effect(name: str) -> None:
    batch = random_batch()
    other = replace(
        batch,
        logp=torch.where(batch.mask, batch.logp, -50.0),
        old_logp=torch.where(batch.mask, batch.old_logp, 9.0),
    )
    found = gradient(other, _named(name))
    assert not found[~batch.mask].any()
    assert torch.equal(found, gradient(batch, _named(name)))
    assert torch.equal(vespo_weight(other), vespo_weight(batch))


@EVERY
def test_identity_39_a_step_moves_the_likelihood_the_right_way(name: str) -> None:
    g = torch.Generator().manual_seed(3)
    start = torch.randn(4, 5, generator=g, dtype=F64)
    actions = torch.randint(5, (4, 1), generator=g)
    for sign in (1.0, -1.0):
        logits = start.clone().requires_grad_()

        def log_p(of: torch.Tensor) -> torch.Tensor:
            return of.log_softmax(-1).gather(1, actions).T

        batch = TokenBatch(
            logp=log_p(logits),
            old_logp=log_p(start),
            mask=torch.ones(1, 4, dtype=torch.bool),
            advantage=torch.tensor([sign], dtype=F64),
        )
        (step,) = torch.autograd.grad(_named(name)(batch), logits)
        change = float((log_p(start - 0.1 * step) - log_p(start)).sum())
        assert change * sign > 0


@EVERY
def test_everything_masked_is_a_zero_loss_with_zero_gradients(name: str) -> None:
    batch = random_batch()
    batch = replace(batch, mask=torch.zeros_like(batch.mask))
    assert float(_named(name)(batch).detach()) == 0.0
    assert not gradient(batch, _named(name)).any()


@pytest.mark.parametrize("name", ["grpo", "dapo", "gspo", "sapo", "gmpo", "dr_grpo"])
def test_gradients_agree_with_central_differences(name: str) -> None:
    """On logits of a tabular policy, for losses whose value the gradient belongs to. (CISPO, VESPO
    and GSPO's token form detach weights: their gradients are checked against formulas.)"""
    g = torch.Generator().manual_seed(5)
    logits = torch.randn(4, 6, 7, generator=g, dtype=F64)
    token = torch.randint(7, (4, 6, 1), generator=g)
    mask = torch.rand(4, 6, generator=g) > 0.3
    noise = 0.15 * torch.randn(4, 6, generator=g, dtype=F64)
    advantage = torch.randn(4, generator=g, dtype=F64)
    first = logits.log_softmax(-1).gather(-1, token)[..., 0]
    objective = PUBLISHED[name]
    if objective.loss is gspo:
        objective = replace(objective, loss=partial(gspo, clip_low=0.2, clip_high=0.2))

    def value(at: torch.Tensor) -> torch.Tensor:
        logp = at.log_softmax(-1).gather(-1, token)[..., 0]
        batch = TokenBatch(logp=logp, old_logp=first + noise, mask=mask, advantage=advantage)
        return _value(batch, objective) + 0.1 * dsdr_entropy_loss(batch, advantage.abs(), 2)

    assert torch.autograd.gradcheck(value, (logits.requires_grad_(),), atol=1e-6)


def test_corrections_multiply_every_loss_but_vespo() -> None:
    batch = random_batch()
    weight = torch.rand_like(batch.logp.detach())
    for loss in (reinforce, clipped, gspo, gspo_token, cispo, sapo, gmpo):
        close(loss(replace(batch, correction=weight)), loss(batch) * weight)
        close(loss(replace(batch, correction=weight[:, :1])), loss(batch) * weight[:, :1])


def test_aggregation_refuses_what_it_does_not_know() -> None:
    terms, mask = torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool)
    with pytest.raises(UsageError, match="known: token"):
        aggregate(terms, mask, "mean", 1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="known: token"):
        count(mask, "mean")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="max_tokens"):
        count(mask, "constant")
    with pytest.raises(UsageError, match="negative"):
        aggregate(terms, mask, "token", -1)

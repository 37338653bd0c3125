"""DSDR: diversity, the bonus on rewards, and the entropy term."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from mmreason.training.objectives import (
    PUBLISHED,
    TokenBatch,
    cited_evidence,
    count,
    dsdr_entropy_loss,
    dsdr_reward,
    dsdr_shares,
    embedding_diversity,
    group_advantage,
    policy_loss,
    unique_share,
)
from mmreason.types import UsageError
from mmreason.video.types import Span
from tests.fakes.token_batches import F64, close, gradient, random_batch

GROUP = torch.tensor([0, 0, 0, 1, 1, 1])
CORRECT = torch.tensor([True, True, False, False, False, False])


def _embedding(rows: int = 6) -> torch.Tensor:
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(2), dtype=F64)


def test_identity_18_zero_weights_are_the_base_bitwise() -> None:
    reward = CORRECT.double()
    diversity = embedding_diversity(_embedding(), GROUP)
    shaped = dsdr_reward(reward, CORRECT, diversity, weight=0.0)
    assert torch.equal(shaped, reward)
    assert torch.equal(group_advantage(shaped, GROUP), group_advantage(reward, GROUP))
    batch = random_batch()
    base = policy_loss(batch, PUBLISHED["dapo"], count(batch.mask, "token"))
    local = dsdr_entropy_loss(batch, torch.ones(4, dtype=F64), 1)
    assert local != 0 and torch.equal(base + 0.0 * local, base)


def test_identity_19_identical_and_opposite_answers() -> None:
    same = _embedding(1).expand(6, 4)
    close(embedding_diversity(same, GROUP), torch.zeros(6))
    sets = [frozenset({"a", "b"})] * 6
    close(unique_share(sets, GROUP), torch.zeros(6))
    pair = torch.stack([same[0], -3 * same[0]])
    close(embedding_diversity(pair, torch.zeros(2, dtype=torch.long)), torch.ones(2))


def test_identity_20_the_bonus_is_bounded_and_for_correct_answers() -> None:
    reward = CORRECT.double()
    diversity = torch.tensor([0.3, 0.9, 1.0, 1.0, 0.5, 0.2], dtype=F64)
    bonus = dsdr_reward(reward, CORRECT, diversity, weight=0.01, cap=0.5) - reward
    assert torch.equal(bonus[~CORRECT], torch.zeros(4, dtype=F64))
    close(bonus[CORRECT], torch.tensor([0.003, 0.005], dtype=F64))
    shaped = reward + bonus
    assert shaped[CORRECT].min() > shaped[~CORRECT].max()


def test_identity_21_shares_are_a_softmax_over_correct_answers() -> None:
    diversity = torch.tensor([0.3, 0.9, 1.0, 1.0, 0.5, 0.2], dtype=F64)
    shares = dsdr_shares(diversity, CORRECT, GROUP)
    power = torch.tensor([math.exp(1.5), math.exp(4.5)], dtype=F64)
    close(shares[:2], power / power.sum())
    assert not shares[2:].any()
    close(dsdr_shares(diversity, CORRECT, GROUP, temperature=0.0)[:2], torch.full((2,), 0.5))
    sharp = dsdr_shares(diversity, CORRECT, GROUP, temperature=1e6)
    close(sharp[:2], torch.tensor([0.0, 1.0]))
    close(dsdr_shares(diversity, CORRECT, GROUP, cap=0.2)[:2], torch.full((2,), 0.5))
    moved = dsdr_shares(diversity + 0.4, CORRECT, GROUP, cap=9.0)
    close(moved, dsdr_shares(diversity, CORRECT, GROUP, cap=9.0))


def test_identity_22_order_within_groups_does_not_matter() -> None:
    embedding, shuffle = _embedding(), torch.tensor([2, 5, 0, 1, 4, 3])
    items = [frozenset({i % 4, i % 3}) for i in range(6)]

    def all_of(rows: torch.Tensor) -> torch.Tensor:
        group, correct = GROUP[rows], CORRECT[rows]
        d = embedding_diversity(embedding[rows], group)
        d = (d + unique_share([items[i] for i in rows.tolist()], group)) / 2
        shaped = dsdr_reward(correct.double(), correct, d)
        return torch.stack([d, dsdr_shares(d, correct, group), group_advantage(shaped, group)])

    close(all_of(shuffle), all_of(torch.arange(6))[:, shuffle])


def _enumerated(logits: torch.Tensor, old: torch.Tensor) -> TokenBatch:
    """Every symbol once, as sequences of one token; weigh rows by `old.exp()` to take the
    expectation under the old policy."""
    return TokenBatch(
        logp=logits.log_softmax(-1).unsqueeze(1),
        old_logp=old.unsqueeze(1),
        mask=torch.ones(5, 1, dtype=torch.bool),
        advantage=torch.zeros(5, dtype=F64),
    )


def test_identity_23_the_term_is_the_entropy_and_so_is_its_gradient() -> None:
    g = torch.Generator().manual_seed(4)
    logits = torch.randn(5, generator=g, dtype=F64).requires_grad_()
    old = torch.randn(5, generator=g, dtype=F64).log_softmax(-1)
    p = logits.log_softmax(-1)
    entropy = -(p.exp() * p).sum()
    (expected,) = torch.autograd.grad(entropy, logits)
    value = -dsdr_entropy_loss(_enumerated(logits, old), old.exp(), 1)
    close(value, entropy)
    (found,) = torch.autograd.grad(value, logits)
    close(found, expected)
    # On the sampling policy with the ratio detached, the expected gradient vanishes.
    p = logits.log_softmax(-1)
    (detached,) = torch.autograd.grad((p.detach().exp() * p).sum(), logits)
    close(detached, torch.zeros(5))
    assert expected.abs().max() > 1e-2


def test_identity_24_length_does_not_matter() -> None:
    batch = random_batch()
    twice = TokenBatch(
        logp=torch.cat([batch.logp, batch.logp], dim=1),
        old_logp=torch.cat([batch.old_logp, batch.old_logp], dim=1),
        mask=torch.cat([batch.mask, batch.mask], dim=1),
        advantage=batch.advantage,
    )
    shares = torch.tensor([0.2, 0.8, 0.0, 1.0], dtype=F64)
    close(dsdr_entropy_loss(twice, shares, 2), dsdr_entropy_loss(batch, shares, 2))


def test_identity_25_solved_groups_learn_from_diversity_alone() -> None:
    correct = torch.ones(4, dtype=torch.bool)
    group = torch.zeros(4, dtype=torch.long)
    diversity = torch.tensor([0.1, 0.4, 0.2, 0.9], dtype=F64)

    def advantage(weight: float, scale: str, epsilon: float = 1e-12) -> torch.Tensor:
        shaped = dsdr_reward(torch.ones(4, dtype=F64), correct, diversity, weight=weight)
        return group_advantage(shaped, group, scale=scale, epsilon=epsilon)  # pyright: ignore[reportArgumentType]

    assert advantage(1e-3, "group").abs().max() > 1
    close(advantage(1e-2, "group"), advantage(1e-3, "group"), 1e-6)
    close(advantage(1e-2, "none"), 10 * advantage(1e-3, "none"), 1e-9)
    assert advantage(1e-3, "group", 1e-4).abs().max() < advantage(1e-3, "group", 1e-6).abs().max()


def test_the_entropy_term_leaves_tool_tokens_alone() -> None:
    batch = random_batch()
    other = replace(batch, logp=torch.where(batch.mask, batch.logp, -40.0))
    shares = torch.full((4,), 0.5, dtype=F64)
    assert torch.equal(dsdr_entropy_loss(other, shares, 2), dsdr_entropy_loss(batch, shares, 2))
    found = gradient(batch, lambda b: dsdr_entropy_loss(b, shares, 2))
    r, logp = (batch.logp - batch.old_logp).exp().detach(), batch.logp.detach()
    expected = r * (1 + logp) * 0.5 / batch.mask.sum(1, keepdim=True) / 2
    close(found, torch.where(batch.mask, expected, 0.0))


def test_compared_with_correct_answers_only() -> None:
    embedding = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], dtype=F64)
    group, correct = torch.zeros(3, dtype=torch.long), torch.tensor([True, True, False])
    close(embedding_diversity(embedding, group), torch.tensor([0.5, 0.5, 1.0]))
    only = embedding_diversity(embedding, group, correct=correct, reference="correct")
    close(only, torch.tensor([0.0, 0.0, 1.0]))
    items = [frozenset("ab"), frozenset("ac"), frozenset("b")]
    close(unique_share(items, group), torch.tensor([0.0, 0.5, 0.0]))
    only = unique_share(items, group, correct=correct, reference="correct")
    close(only, torch.tensor([0.5, 0.5, 0.0]))
    with pytest.raises(UsageError, match="needs correct"):
        unique_share(items, group, reference="correct")


def test_cited_evidence_is_cells_of_time_and_names() -> None:
    cited = cited_evidence([Span(1.2, 3.0), Span(7.0, 7.0)], ["Red Star ", "red star"])
    assert cited == {1, 2, 7, "red star"}
    assert cited_evidence([Span(0.0, 4.0)], cell_s=2.0) == {0, 1}
    assert cited_evidence([]) == frozenset()
    assert len(cited_evidence([Span(0.0, 1e9)] * 3)) == 10_000
    with pytest.raises(UsageError, match="cell_s"):
        cited_evidence([], cell_s=0.0)


def test_bad_diversity_is_named() -> None:
    with pytest.raises(UsageError, match="row 1"):
        embedding_diversity(torch.tensor([[1.0], [0.0]]), torch.zeros(2, dtype=torch.long))
    with pytest.raises(UsageError, match="row 2"):
        dsdr_reward(torch.ones(3), torch.ones(3) > 0, torch.tensor([0.0, 0.1, torch.nan]))
    with pytest.raises(UsageError, match="groups"):
        dsdr_entropy_loss(random_batch(), torch.zeros(4), 0)
    with pytest.raises(UsageError, match="shares"):
        dsdr_entropy_loss(random_batch(), torch.zeros(3), 1)
    with pytest.raises(UsageError, match="weight"):
        dsdr_reward(torch.ones(1), torch.ones(1) > 0, torch.zeros(1), weight=-1.0)
    assert embedding_diversity(torch.ones(1, 3), torch.zeros(1, dtype=torch.long)).tolist() == [0]

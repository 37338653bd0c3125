"""Every published objective solves a toy task, and DSDR's entropy term keeps choices open."""

from __future__ import annotations

import pytest
import torch

from mmreason.training.objectives import (
    PUBLISHED,
    TokenBatch,
    count,
    dsdr_entropy_loss,
    dsdr_shares,
    policy_loss,
)
from tests.fakes.token_batches import F64

PROBLEMS, ANSWERS, WORDS = 4, 8, 5
GROUP = torch.arange(PROBLEMS).repeat_interleave(ANSWERS)
SEEDS = (0, 1, 2)


class _Toy:
    """Answers of two words: the first must be the problem's colour, the second is free."""

    def __init__(self, seed: int) -> None:
        self.random = torch.Generator().manual_seed(seed)
        self.logits = torch.zeros(PROBLEMS, 2, WORDS, dtype=F64, requires_grad=True)

    def log_p(self) -> torch.Tensor:
        return self.logits.log_softmax(-1)

    def success(self) -> float:
        """Probability of a right answer, exactly."""
        right = self.log_p().detach()[torch.arange(PROBLEMS), 0, torch.arange(PROBLEMS)]
        return float(right.exp().mean())

    def open_entropy(self) -> float:
        """Entropy of the second word in nats, mean over problems."""
        log_p = self.log_p().detach()[:, 1]
        return float(-(log_p.exp() * log_p).sum(-1).mean())

    def step(self, name: str, entropy_weight: float = 0.0) -> None:
        """One batch of answers, two updates on it."""
        objective = PUBLISHED[name]
        p = self.log_p().detach()[GROUP].exp()
        words = torch.multinomial(p.flatten(0, 1), 1, generator=self.random).reshape(-1, 2, 1)
        reward = (words[:, 0, 0] == GROUP).double()
        mask = torch.ones(len(GROUP), 2, dtype=torch.bool)
        shares = dsdr_shares(torch.zeros_like(reward), reward > 0, GROUP)
        old_logp = p.log().gather(-1, words)[..., 0]
        for _ in range(2):
            batch = TokenBatch(
                logp=self.log_p()[GROUP].gather(-1, words)[..., 0],
                old_logp=old_logp,
                mask=mask,
                advantage=objective.advantage(reward, GROUP),
            )
            loss = policy_loss(batch, objective, count(mask, objective.aggregation, max_tokens=2))
            loss = loss + entropy_weight * dsdr_entropy_loss(batch, shares, PROBLEMS)
            (slope,) = torch.autograd.grad(loss, self.logits)
            # Objectives differ in scale by their denominators: every update is one of length 0.5.
            with torch.no_grad():
                self.logits -= 0.5 * slope / slope.norm().clamp(min=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_identity_52_reward_rises_in_under_200_steps(name: str, seed: int) -> None:
    toy = _Toy(seed)
    assert toy.success() == pytest.approx(1 / WORDS)
    for _ in range(199):
        toy.step(name)
        if toy.success() > 0.9:
            return
    pytest.fail(f"{name} reached {toy.success():.2f}")


def test_identity_52_the_entropy_term_keeps_entropy() -> None:
    for seed in SEEDS:
        without, with_term = _Toy(seed), _Toy(seed)
        for _ in range(60):
            without.step("dapo")
            with_term.step("dapo", entropy_weight=0.3)
        assert with_term.open_entropy() > without.open_entropy() + 0.05
        assert min(with_term.success(), without.success()) > 0.9

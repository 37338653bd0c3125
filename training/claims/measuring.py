"""Figures of a trained model on held-out problems: 16 attempts each at temperature 1.

Leaves out which figures an experiment is about.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import LocalSampler
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rollouts.episode import Task
from mmreason.training.rollouts.types import Group

ATTEMPTS = 16
_SEED = 20_001
"""Every model is measured with the same random numbers."""


def attempts(policy: PolicyModel, task: Task) -> list[Group]:
    """All problems of a held-out task, attempted."""
    sampler = LocalSampler(
        policy.model, policy.tokenizer, end_ids=policy.end_ids, pad_id=policy.pad_id
    )
    problems = [task.problem(i) for i in range(len(task))]
    how = Sampling(samples=ATTEMPTS, temperature=1.0, seed=_SEED, step=0)
    return collect_rollouts(task, problems, policy.codec, sampler, how)


def pass_rates(groups: Sequence[Group]) -> dict[str, float]:
    """Share of right attempts, and of problems with a right one among the 16."""
    right = [[bool(r.outcome.correct) for r in group.rollouts] for group in groups]
    return {
        "pass@1": sum(map(sum, right)) / sum(map(len, right)),
        "pass@16": sum(map(any, right)) / len(right),
    }


def mean_length(groups: Sequence[Group]) -> float:
    """Tokens written an attempt."""
    written = [r.completion_tokens for group in groups for r in group.rollouts]
    return sum(written) / len(written)

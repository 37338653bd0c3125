"""The mean over episodes against a slow reference; ties broken by cost."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mmreason.training.objectives import aggregate, cheapness_bonus
from mmreason.training.rl.batches import (
    MicroBatch,
    TrainingRow,
    count_episode_tokens,
    count_episodes,
)
from mmreason.types import UsageError
from tests.fakes import rl_runs


def slow_mean(terms: torch.Tensor, mask: torch.Tensor, episodes: list[int]) -> float:
    """As it is said: the tokens of each episode, then the episodes."""
    means = []
    for episode in sorted(set(episodes)):
        values = [
            float(terms[row, t])
            for row, other in enumerate(episodes)
            if other == episode
            for t in range(terms.shape[1])
            if mask[row, t]
        ]
        means.append(sum(values) / max(1, len(values)))
    return sum(means) / len(means)


@pytest.mark.parametrize("seed", range(4))
def test_a_mean_over_episodes_is_that_of_the_slow_reference(seed: int) -> None:
    torch.manual_seed(seed)
    episodes = [0, 0, 1, 2, 2, 2]
    terms = torch.randn(6, 5, dtype=torch.float64)
    mask = torch.rand(6, 5) < 0.6
    counts = [sum(int(mask[r].sum()) for r in range(6) if episodes[r] == e) for e in episodes]
    expected = slow_mean(terms, mask, episodes)
    # In one micro-batch, and in three that cut episodes apart.
    order = random.Random(seed).sample(range(6), 6)
    for batches in ([list(range(6))], [order[:2], order[2:3], order[3:]]):
        total = sum(
            float(
                aggregate(
                    terms[rows],
                    mask[rows],
                    "episode",
                    3,
                    episode_tokens=torch.tensor([counts[row] for row in rows]),
                )
            )
            for rows in batches
        )
        assert total == pytest.approx(expected, abs=1e-12)


def test_episodes_of_one_sequence_are_sequences() -> None:
    terms, mask = torch.randn(3, 4), torch.rand(3, 4) < 0.7
    assert torch.equal(aggregate(terms, mask, "episode", 3), aggregate(terms, mask, "sequence", 3))


def test_tokens_of_an_episode_are_counted_over_all_micro_batches() -> None:
    sequence: Any = None
    long: Any = SimpleNamespace(sequences=(1, 2))
    short: Any = SimpleNamespace(sequences=(1,))

    def batch(rollouts: list[Any], mask: list[list[int]], keep: list[list[int]] | None) -> Any:
        rows = [TrainingRow(sequence=sequence, rollout=r, advantage=1.0) for r in rollouts]
        packed: Any = SimpleNamespace(mask=torch.tensor(mask, dtype=torch.bool))
        kept = None if keep is None else torch.tensor(keep, dtype=torch.bool)
        return MicroBatch(rows=rows, packed=packed, keep=kept)

    first = batch([long, short], [[1, 1, 0], [1, 1, 1]], None)
    second = batch([long], [[1, 1, 1]], [[1, 0, 0]])
    count_episode_tokens([first, second])
    assert first.episode_tokens.tolist() == [3, 3] and second.episode_tokens.tolist() == [3]
    assert first.episode_lengths.tolist() == [5, 3] and second.episode_lengths.tolist() == [5]
    assert count_episodes([*first.rows, *second.rows]) == 2.0


def test_a_run_weighs_episodes_alike_whatever_the_micro_batches(tmp_path: Path) -> None:
    def weigh(name: str, aggregation: str | None, micro_tokens: int) -> dict[str, float]:
        changes = {"aggregation": aggregation, "micro_tokens": micro_tokens, "steps": 1}
        (figures,) = rl_runs.run("plain", tmp_path / name, **changes)
        return figures

    wide, narrow = weigh("wide", "episode", 4000), weigh("narrow", "episode", 10)
    assert wide["optimiser/gradient_norm"] == pytest.approx(
        narrow["optimiser/gradient_norm"], rel=1e-5
    )
    tokens = weigh("tokens", None, 4000)
    assert tokens["optimiser/gradient_norm"] != pytest.approx(
        wide["optimiser/gradient_norm"], rel=1e-3
    )


def tie(reward: list[float], cost: list[float], right: list[bool], most: float = 0.05) -> list:
    group = torch.zeros(len(reward), dtype=torch.long)
    values = torch.tensor(reward, dtype=torch.float64)
    return cheapness_bonus(
        values, torch.tensor(cost), torch.tensor(right), group, most=most
    ).tolist()


def test_the_cheaper_of_equally_right_episodes_earns_a_little_more() -> None:
    assert tie([1, 1, 1, 0], [10, 30, 20, 1], [True, True, True, False]) == pytest.approx(
        [0.05, 0.0, 0.025, 0.0]
    )


@pytest.mark.parametrize(
    ("reward", "cost", "right"),
    [
        ([1.0, 0.9], [1.0, 9.0], [True, True]),  # rewards differ
        ([0.0, 0.0], [1.0, 9.0], [False, False]),  # none is right
        ([1.0, 1.0], [5.0, 5.0], [True, True]),  # nothing to tell apart
        ([1.0, 1.0], [5.0, float("nan")], [True, True]),  # a cost is not known
        ([1.0, float("nan")], [5.0, 6.0], [True, True]),  # a reward is missing
    ],
)
def test_ties_that_are_none_change_nothing(
    reward: list[float], cost: list[float], right: list[bool]
) -> None:
    assert tie(reward, cost, right) == [0.0, 0.0]


def test_groups_are_compared_within_themselves() -> None:
    group = torch.tensor([0, 0, 1, 1])
    bonus = cheapness_bonus(
        torch.ones(4, dtype=torch.float64),
        torch.tensor([1.0, 2.0, 100.0, 300.0]),
        torch.ones(4, dtype=torch.bool),
        group,
        most=0.02,
    )
    assert bonus.tolist() == [0.02, 0.0, 0.02, 0.0]


def test_more_than_a_tie_is_refused() -> None:
    with pytest.raises(UsageError, match=r"tie_break_cost must be <= 0\.05, got 0\.2"):
        rl_runs.recipe("plain", Path("nowhere"), tie_break_cost=0.2)
    with pytest.raises(UsageError, match="does not go with gdpo"):
        rl_runs.recipe("plain", Path("nowhere"), tie_break_cost=0.05, gdpo=True)


def test_a_run_breaks_ties_only_where_asked(tmp_path: Path) -> None:
    plain = rl_runs.recipe("plain", tmp_path)
    assert plain.objective.tie_break_cost == 0
    tied = replace(plain.objective, tie_break_cost=0.05, tie_break_by="tool_calls")
    assert replace(plain, objective=tied).objective.tie_break_by == "tool_calls"

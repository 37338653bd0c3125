"""The gradient of an update is that of its rollouts, however they go through the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.learner.logprobs import Scorer
from mmreason.training.objectives import PUBLISHED
from mmreason.training.parallel.strategy import Replicated
from mmreason.training.rl import (
    BatchingSettings,
    Dsdr,
    Kl,
    PolicyModel,
    Recipe,
    SamplingSettings,
    Stapo,
)
from mmreason.training.rl.advantages import KindScales, compute_advantages
from mmreason.training.rl.batches import (
    TrainingRow,
    split_into_updates,
    split_zero_advantage,
)
from mmreason.training.rl.update import Updater
from mmreason.training.rollouts.types import Group, stable_seed
from mmreason.training.runs.batches import split_into_micro_batches
from tests.fakes import rl_runs, tiny_rl

HOW = Sampling(samples=4, temperature=1.0, seed=1, step=0)


def groups_of(made: PolicyModel, task: Any, how: Sampling = HOW) -> list[Group]:
    return collect_rollouts(task, task.problems, made.codec, tiny_rl.sampler(made), how)


def gradient(
    made: PolicyModel, groups: list[Group], recipe: Recipe, run_flat: bool = False
) -> torch.Tensor:
    """Of one update, without clipping."""
    recipe = rl_runs.change_recipe(recipe, max_gradient_norm=1e9)
    credit = compute_advantages(groups, recipe, KindScales())
    live, flat = split_zero_advantage(credit.rows, recipe.objective)
    if run_flat:
        live, flat = list(credit.rows), []
    kept: list[torch.Tensor] = []

    class Keeping(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            kept.extend(
                (torch.zeros_like(p) if p.grad is None else p.grad).flatten().clone()
                for group in self.param_groups
                for p in group["params"]
            )

    scorer = Scorer(made.model)
    optimiser = Keeping([p for p in scorer.parameters() if p.requires_grad], lr=0.0)
    updater = Updater(recipe, Replicated(Accelerator(cpu=True), scorer, optimiser), made.pad_id)
    micros = updater.make_micro_batches(live)
    for micro in micros:  # an older policy, so that ratios are not 1
        logp, _ = updater.score(micro)
        noise = torch.stack([noise_of(row, logp.shape[1]) for row in micro.rows])
        micro.old_logp = logp + 0.1 * noise
        micro.reference_logp = logp - 0.2 * noise
    assert not updater.update(micros, credit.groups, flat).skipped
    return torch.cat(kept)


def noise_of(row: TrainingRow, width: int) -> torch.Tensor:
    """The same numbers for the same rollout, wherever it is."""
    generator = torch.Generator().manual_seed(stable_seed(row.label))
    return torch.randn(64, generator=generator)[:width]


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).norm() <= 2e-5 * a.norm()) and bool(a.norm() > 1e-3)


EXTRAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stapo": {"stapo": Stapo(probability=0.3)},
    "stapo of all tokens": {"stapo": Stapo(probability=0.3, scope="all_tokens")},
    "dsdr": {"dsdr": Dsdr(reward_weight=0.3, entropy_weight=0.5)},
    "kl": {"kl": Kl(coefficient=0.5)},
    "truncated left out": {"mask_truncated": True},
    "tis": {"correction": "tis"},
}

WAYS: list[dict[str, Any]] = [
    {"micro_tokens": 1},
    {"micro_tokens": 50},
    {"layout": "packed", "micro_tokens": 10_000},
    {"layout": "packed", "micro_tokens": 45},
]


def check(made: PolicyModel, task: Any, **settings: Any) -> None:
    given: dict[str, Any] = {"micro_tokens": 10_000, "max_tokens": 6} | settings
    base = rl_runs.make_recipe(task=task, out=Path("nowhere"), **given)
    groups = groups_of(made, task)
    whole = gradient(made, groups, base)
    for way in WAYS:
        assert close(whole, gradient(made, groups, rl_runs.change_recipe(base, **way))), way
    assert close(whole, gradient(made, groups[::-1], base))
    assert close(whole, gradient(made, groups, base, run_flat=True))


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_gradient_does_not_depend_on_how_rows_go_together(extra):
    task = tiny_rl.colours(6, reward=tiny_rl.length_reward())
    check(tiny_rl.policy(), task, **EXTRAS[extra])


@pytest.mark.parametrize("objective", PUBLISHED)
def test_nor_for_any_objective(objective):
    """Half of the groups have equal rewards: they are counted and need not be run."""
    made = tiny_rl.policy()
    check(made, tiny_rl.colours(6), objective=objective, stapo=Stapo(probability=0.3))


def test_nor_with_frames():
    made = PolicyModel.load("nano")
    task = rl_runs.watched()
    how = replace(HOW, samples=3, temperature=2.0)
    groups = groups_of(made, task, how)
    base = Recipe(
        task=task,
        out=Path("nowhere"),
        sampling=SamplingSettings(temperature=2.0),
        batching=BatchingSettings(micro_tokens=10_000),
    )
    base = rl_runs.change_recipe(base, stapo=Stapo(probability=0.3), dsdr=Dsdr(entropy_weight=0.2))
    whole = gradient(made, groups, base)
    for way in ({"micro_tokens": 1}, {"layout": "packed", "micro_tokens": 200}):
        assert close(whole, gradient(made, groups, rl_runs.change_recipe(base, **way))), way


def test_gradient_checkpointing_changes_nothing():
    task = tiny_rl.colours(4, reward=tiny_rl.length_reward())
    made = tiny_rl.policy()
    base = Recipe(task=task, out=Path("nowhere"))
    groups = groups_of(made, task)
    whole = gradient(made, groups, base)
    made.model.gradient_checkpointing_enable({"use_reentrant": False})
    assert close(whole, gradient(made, groups, base))


def rows_of(groups: list[Group]) -> tuple[TrainingRow, ...]:
    recipe = Recipe(task=tiny_rl.colours(), out=Path("nowhere"))
    return compute_advantages(groups, recipe, KindScales()).rows


def test_every_rollout_is_dealt_to_one_update_whole():
    made = tiny_rl.policy()
    rows = rows_of(groups_of(made, tiny_rl.colours(5)))
    twice = [row for row in rows for _ in range(2)]  # rollouts of two rows
    for updates in (1, 3, 7, 50):
        dealt = split_into_updates(twice, updates, 0, "x")
        assert len(dealt) == updates
        assert sorted(map(id, twice)) == sorted(id(row) for part in dealt for row in part)
        homes = [{id(row.rollout) for row in part} for part in dealt]
        assert sum(map(len, homes)) == len({id(row.rollout) for row in rows})
        sizes = [len(home) for home in homes]
        assert max(sizes) - min(sizes) <= 1
    assert split_into_updates(rows, 3, 1) != split_into_updates(rows, 3, 2)


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_micro_batches_hold_all_rows_within_the_budget(kind):
    made = tiny_rl.policy()
    rows = rows_of(groups_of(made, tiny_rl.colours(5)))
    for budget in (1, 20, 33, 10_000):
        batches = split_into_micro_batches(rows, budget, kind)
        assert sorted(map(id, rows)) == sorted(id(row) for batch in batches for row in batch)
        for batch in batches:
            lengths = [len(row.sequence.token_ids) for row in batch]
            size = sum(lengths) if kind == "packed" else max(lengths) * len(lengths)
            assert size <= budget or len(batch) == 1


def test_scales_of_kinds_are_moving_averages():
    scales = KindScales()
    first = scales.scale(torch.tensor([3.0, -3.0, 0.0, 0.0]), ["a", "a", "b", "b"], 0.5)
    assert first.tolist() == pytest.approx([1, -1, 0, 0])
    second = scales.scale(torch.tensor([1.0, -1.0, 2.0, -2.0]), ["a", "a", "b", "b"], 0.5)
    root = (0.5 * 9 + 0.5 * 1) ** 0.5
    # A kind whose first step taught nothing begins with the first that does.
    assert second.tolist() == pytest.approx([1 / root, -1 / root, 1, -1])
    shared = [KindScales(), KindScales()]
    parts = [[("a", 18.0, 2)], [("a", 2.0, 2)]]
    for one, own in zip(shared, (3.0, 1.0), strict=True):
        one.scale(torch.tensor([own, -own]), ["a", "a"], 0.5, lambda _: parts[0] + parts[1])
    assert shared[0].squares == shared[1].squares == {"a": 5.0}

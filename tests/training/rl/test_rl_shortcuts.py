"""What is not computed because it cannot change anything: flat rows, features of frozen eyes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from mmreason.models.vision_cache import VisionFeatureCache
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import LocalSampler
from mmreason.training.learner.logprobs import Scorer
from mmreason.training.learner.packing import pack_sequences
from mmreason.training.parallel.strategy import Replicated
from mmreason.training.rl import ObjectiveSettings, OptimiserSettings, PolicyModel, Recipe, Stapo
from mmreason.training.rl.batches import TrainingRow, split_zero_advantage
from mmreason.training.rl.update import Updater
from mmreason.training.rollouts.types import Rollout
from mmreason.training.tasks.frames import FrameTask
from tests.fakes import tiny_rl
from tests.fakes.tiny_rl import colours, policy


def rollouts(of: PolicyModel) -> list[Rollout]:
    task = colours()
    sampler = LocalSampler(of.model, of.tokenizer, end_ids=of.end_ids, pad_id=of.pad_id)
    how = Sampling(samples=4, temperature=1.0, seed=0, step=0)
    groups = collect_rollouts(task, [task.problem(i) for i in range(4)], of.codec, sampler, how)
    return [rollout for group in groups for rollout in group.rollouts]


def gradient(
    of: PolicyModel, recipe: Recipe, live: list[TrainingRow], flat: list[TrainingRow]
) -> list[torch.Tensor]:
    """The gradients of an update, which the optimiser would take."""
    model = copy.deepcopy(of.model)
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    accelerator = Accelerator(cpu=True)
    scorer = Scorer(model)
    before = [p.detach().clone() for p in model.parameters()]
    updater = Updater(recipe, Replicated(accelerator, scorer, optimiser), of.pad_id)
    done = updater.update(updater.make_micro_batches(live), 4.0, flat)
    assert not done.skipped
    return [b - p.detach() for b, p in zip(before, model.parameters(), strict=True)]


@pytest.mark.parametrize("objective", ["dapo", "grpo", "vespo", "dr_grpo", "luspo"])
@pytest.mark.parametrize("cut", [False, True])
def test_rows_without_advantage_count_and_need_not_run(
    objective: str, cut: bool, tmp_path: Path
) -> None:
    of = policy()
    recipe = Recipe(
        task=colours(),
        out=tmp_path,
        objective=ObjectiveSettings(formula=objective, max_tokens=8, mask_truncated=cut),
        optimiser=OptimiserSettings(max_gradient_norm=1e9),
    )
    rows = [
        TrainingRow(sequence=r.sequences[0], rollout=r, advantage=0.0 if i % 3 else (-1.0) ** i)
        for i, r in enumerate(rollouts(of))
    ]
    live, flat = split_zero_advantage(rows, recipe.objective)
    assert live and flat and len(live) + len(flat) == len(rows)
    for a, b in zip(gradient(of, recipe, rows, []), gradient(of, recipe, live, flat), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_rows_are_run_where_something_looks_at_them(tmp_path: Path) -> None:
    of = policy()
    recipe = Recipe(
        task=colours(),
        out=tmp_path,
        objective=ObjectiveSettings(stapo=Stapo(scope="all_tokens")),
    )
    rows = [TrainingRow(sequence=r.sequences[0], rollout=r, advantage=0.0) for r in rollouts(of)]
    assert split_zero_advantage(rows, recipe.objective)[1] == []


def test_frozen_eyes_give_the_same_and_look_once() -> None:
    nano = PolicyModel.load("nano")
    task = FrameTask(split="train")
    sampler = LocalSampler(nano.model, nano.tokenizer, end_ids=nano.end_ids, pad_id=nano.pad_id)
    how = Sampling(samples=3, temperature=1.0, seed=0, step=0)
    problems = [task.problem(i) for i in range(2)]
    assert VisionFeatureCache.attach(nano.model, 10**9) is None, (
        "a tower that is trained is left alone"
    )
    plain = collect_rollouts(task, problems, nano.codec, sampler, how)
    sequences = [r.sequences[0] for group in plain for r in group.rollouts]
    layout = pack_sequences(sequences, kind="padded", pad_id=nano.pad_id, model=nano.model)
    wanted, _ = Scorer(nano.model)(layout, 1.0, False)
    wanted.sum().backward()
    head = nano.model.lm_head.weight
    gradient_wanted = head.grad.clone()
    nano.model.zero_grad()

    nano.model.model.visual.requires_grad_(False)
    eyes = VisionFeatureCache.attach(nano.model, 10**9)
    assert eyes is not None
    again = collect_rollouts(task, problems, nano.codec, sampler, how)
    assert [r.sequences[0].token_ids for g in again for r in g.rollouts] == [
        sequence.token_ids for sequence in sequences
    ]
    found, _ = Scorer(nano.model)(layout, 1.0, False)
    found.sum().backward()
    assert eyes.misses == 2, "a prompt is read once for all rollouts of it"
    assert eyes.hits == 6, "rows that are scored"
    assert torch.equal(found, wanted)
    assert torch.equal(head.grad, gradient_wanted)


def test_features_of_frozen_eyes_stay_within_their_memory() -> None:
    """Whatever the size of clips; the least recently used go first."""
    nano = PolicyModel.load("nano")
    nano.model.model.visual.requires_grad_(False)
    prompts = [nano.codec.encode_prompt(tiny_rl.clip("?", 4, seed=seed)) for seed in range(3)]
    one = VisionFeatureCache.attach(nano.model, 10**9)
    assert one is not None
    tiny_rl.sequences(nano, prompts[:1])
    size = one.used_bytes
    assert size > 0
    nano = PolicyModel.load("nano")
    nano.model.model.visual.requires_grad_(False)
    eyes = VisionFeatureCache.attach(nano.model, int(2.5 * size))
    assert eyes is not None
    for prompt in (prompts[0], prompts[1], prompts[0], prompts[2], prompts[0], prompts[1]):
        tiny_rl.sequences(nano, [prompt])
        assert eyes.used_bytes <= 2.5 * size
    assert (eyes.misses, eyes.hits) == (4, 2)  # the second clip had to go for the third
    tiny_rl.sequences(nano, prompts)  # more at once than is kept
    assert eyes.used_bytes <= 2.5 * size
    assert VisionFeatureCache.attach(PolicyModel.load("nano").model, 0) is None

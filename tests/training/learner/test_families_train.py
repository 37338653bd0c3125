"""Models of every family that is called trainable are trained: weights move, and by the gradient
that a plain loop finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from mmreason.models.base import FramesPart, Message, TextPart
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.learner.logprobs import Scorer
from mmreason.training.parallel.strategy import Replicated
from mmreason.training.rewards import Combination, Component, Trajectory, Truth
from mmreason.training.rl import (
    Lora,
    ObjectiveSettings,
    OptimiserSettings,
    PolicyModel,
    Recipe,
    ReportSettings,
    SamplingSettings,
    TrainedWeights,
    train,
)
from mmreason.training.rl.advantages import KindScales, compute_advantages
from mmreason.training.rl.update import Updater
from mmreason.training.rollouts.types import Problem, Role
from mmreason.training.tasks.single_turn import SingleTurn
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch
from tests.fakes import tiny_families, tiny_rl

MADE = [
    pytest.param(
        family,
        marks=pytest.mark.skipif(
            not tiny_families.can_be_made(family),
            reason=f"needs {tiny_families.NEEDS.get(family)}",
        ),
    )
    for family in tiny_families.FAMILIES
]
SHOWN = {"clip": 4, "short clip": 2, "image": 1, "text": 0}
"""Frames of each problem."""


def show(problem: Problem) -> Any:
    count = SHOWN[problem.id]
    text = TextPart("which one?")
    if not count:
        return [Message("user", (text,))]
    pixels = np.random.default_rng(count).integers(0, 255, (count, 56, 56, 3), dtype=np.uint8)
    frames = FrameBatch(
        pixels=pixels, times_s=np.arange(count) * 1.5, exact=np.ones(count, dtype=bool)
    )
    kind = "image" if problem.id == "image" else "video"
    return [Message("user", (FramesPart(frames, kind), text))]


def by_letters(seen: Trajectory, truth: Truth) -> float:
    """Something that differs from answer to answer."""
    return sum(map(ord, seen.turns[0])) % 7 / 7


TASK = SingleTurn(
    name="shown",
    problems=[Problem(id=name, question="?", truth=Truth(answer="a")) for name in SHOWN],
    show=show,
    reward=Combination((Component(name="letters", reward=by_letters),)),
    max_new_tokens=4,
)


def weights(made: PolicyModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in made.model.named_parameters()}


@pytest.mark.parametrize("lora", [None, Lora(rank=2, alpha=4)], ids=["full", "lora"])
@pytest.mark.parametrize("family", MADE)
def test_two_steps_move_the_weights(tmp_path: Path, family: str, lora: Lora | None):
    pytest.importorskip("peft")
    made = tiny_families.policy(family)
    before = weights(made)
    given = Recipe(
        task=TASK,
        out=tmp_path,
        model=lambda: made,
        steps=2,
        sampling=SamplingSettings(problems_per_step=4, samples=3, temperature=1.5),
        optimiser=OptimiserSettings(learning_rate=1e-2),
        weights=TrainedWeights(lora=lora),
        report=ReportSettings(samples=0),
    )
    reports = list(train(given))
    for report in reports:
        assert report.metrics["failures/groups"] == 0, report.warnings
        # What was sampled is what is trained on, by both ways through the model.
        assert report.metrics["mismatch/gap_max"] < 1e-3
    after = PolicyModel.load(tmp_path / "model")
    assert after.end_ids == made.end_ids
    moved = {
        name
        for name, value in after.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    eyes = {name for name in moved if "vis" in name or "tower" in name}
    assert moved - eyes
    assert bool(eyes) == (lora is None), eyes


@pytest.mark.parametrize("family", MADE)
def test_the_gradient_is_that_of_a_plain_loop(family: str):
    """One rollout at a time, through the model's own forward pass on what its processor made."""
    made = tiny_families.policy(family)
    how = Sampling(samples=3, temperature=1.5, seed=0, step=0)
    groups = collect_rollouts(TASK, TASK.problems, made.codec, tiny_rl.sampler(made), how)
    given = Recipe(
        task=TASK,
        out=Path("nowhere"),
        sampling=SamplingSettings(temperature=1.5),
        objective=ObjectiveSettings(formula="reinforce"),
        optimiser=OptimiserSettings(max_gradient_norm=1e9),
    )
    rows = compute_advantages(groups, given, KindScales()).rows
    assert {row.rollout.problem.id for row in rows} == set(SHOWN)
    by_hand = plain_gradient(made, rows)
    scorer = Scorer(made.model)
    kept: dict[str, torch.Tensor] = {}

    class Keeping(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            kept.update(gradients(made.model))

    placed = Replicated(Accelerator(cpu=True), scorer, Keeping(scorer.parameters(), lr=0.0))
    updater = Updater(given, placed, made.pad_id)
    assert not updater.update(updater.make_micro_batches(rows), 4.0).skipped
    assert set(kept) == set(by_hand) and len(kept) > 20
    for name, gradient in by_hand.items():
        scale = float(gradient.abs().max())
        assert torch.allclose(kept[name], gradient, atol=1e-4 * scale + 1e-7), name


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {name: g.clone() for name, g in found.items() if float(g.abs().max()) > 0}


def plain_gradient(made: PolicyModel, rows: Any) -> dict[str, torch.Tensor]:
    model = made.model.train()
    model.zero_grad()
    tokens = sum(row.sequence.completion_tokens for row in rows)
    for row in rows:
        inputs = dict(made.chat.prepare([show(row.rollout.problem)]))
        ids = torch.tensor([row.sequence.token_ids])
        read = inputs["input_ids"].shape[1]
        assert torch.equal(ids[:, :read], inputs["input_ids"])
        for name in ("mm_token_type_ids", "token_type_ids"):
            if name in inputs and name in takes(model):
                later = torch.zeros((1, ids.shape[1] - read), dtype=torch.long)
                inputs[name] = torch.cat([inputs[name], later], dim=1)
            else:
                inputs.pop(name, None)
        inputs |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if hasattr(getattr(model, "model", None), "rope_deltas"):
            model.model.rope_deltas = None
        logits = model(**inputs, use_cache=False).logits[0] / 1.5
        logp = torch.log_softmax(logits[:-1], dim=-1).gather(1, ids[0, 1:, None])[:, 0]
        mine = torch.tensor([role is Role.ASSISTANT for role in row.sequence.roles[1:]])
        (-row.advantage * logp[mine].sum() / tokens).backward()
    found = gradients(model)
    model.zero_grad()
    return found


def takes(model: Any) -> tuple[str, ...]:
    import inspect

    return tuple(inspect.signature(type(model).forward).parameters)


def test_a_family_is_shown_frames_as_its_processor_makes_them():
    """Types of tokens are the processor's own: GLM marks a clip by the token of images."""
    made = tiny_families.policy("glm46v")
    prompt = made.codec.encode_prompt(show(TASK.problems[0]))
    assert prompt.media is not None
    assert set(prompt.media.token_types["mm_token_type_ids"]) == {0, 2}
    assert replace(prompt).media is prompt.media


@pytest.mark.parametrize("fault", ["raises", "ignores what is asked"])
def test_a_model_whose_forward_pass_is_another_is_refused_by_its_name(tmp_path: Path, fault: str):
    made = tiny_rl.policy()

    def forward(module: Any, args: Any, kwargs: Any, out: Any) -> Any:
        if "logits_to_keep" not in kwargs or not isinstance(kwargs["logits_to_keep"], torch.Tensor):
            return out  # while sampling
        if fault == "raises":
            raise TypeError("got an unexpected keyword argument 'position_ids'")
        out.logits = torch.cat([out.logits, out.logits], dim=1)
        return out

    made.model.register_forward_hook(forward, with_kwargs=True)
    task = tiny_rl.colours(reward=tiny_rl.length_reward())
    given = Recipe(
        task=task,
        out=tmp_path,
        model=lambda: made,
        steps=1,
        sampling=SamplingSettings(samples=4),
    )
    with pytest.raises(UsageError) as error:
        list(train(given))
    told = str(error.value)
    assert told.startswith("a model of the class Qwen3ForCausalLM cannot be trained: ")
    assert ("unexpected keyword" if fault == "raises" else "places where") in told
    assert "\n" not in told and not (tmp_path / "model").exists()

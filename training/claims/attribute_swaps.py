"""nano, reinforced: does it learn to tell a half-truth from a thing that is there?

Asked for a striped circle beside a striped square and a plain circle, the packaged nano says yes:
the attribute belongs to another thing. No start is taught anything first: the model is the one that
ships. Half of the problems ask about things that are there, so that a model that always says no
gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mmreason.training.claims.experiment import Claim, Experiment, Size, make_arms, make_views
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import LocalSampler
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rl.recipe import (
    BatchingSettings,
    CheckpointSettings,
    ObjectiveSettings,
    OptimiserSettings,
    Recipe,
    ReportSettings,
    SamplingSettings,
    TrainedWeights,
)
from mmreason.training.tasks.frames import FrameTask, Kind

TRAINED_KINDS: tuple[Kind, ...] = ("exists", "half_truth")
OTHER_KINDS: tuple[Kind, ...] = ("box", "count")
"""Not trained on: what is forgotten shows here."""


def build_experiment(size: Size) -> Experiment:
    """The packaged nano, before and after."""
    recipe = Recipe(
        task=FrameTask(split="train", kinds=TRAINED_KINDS),
        out=Path("out"),
        steps=max(1, 40 // size.shrink),
        sampling=SamplingSettings(
            problems_per_step=16, samples=8, temperature=2.0, batch_tokens=12_000
        ),
        objective=ObjectiveSettings(formula="dapo"),
        optimiser=OptimiserSettings(learning_rate=2e-4, warmup_updates=3),
        weights=TrainedWeights(freeze=("model.visual",)),
        batching=BatchingSettings(micro_tokens=4_000),
        # Never on the way: the model at the end is what is measured.
        checkpoints=CheckpointSettings(every=1_000_000),
        report=ReportSettings(samples=0),
    )
    return Experiment(
        name="nano",
        title="nano on half-truths",
        about=(
            "The packaged nano on crowded frames (three to six things), DAPO at temperature 2, its "
            "eyes frozen, answers checked by their words alone. It is measured with the likeliest "
            f"answer on {size.held_out} held-out frames of each kind. Nothing was taught before."
        ),
        arms=make_arms(None, {"reinforced": recipe}),
        measure=partial(_measure, held_out=size.held_out),
        figures={
            "right": "share of right answers about what is there and what only seems to be",
            "half_truth": "share of half-truths denied",
            "exists": "share of true things confirmed",
            "box": "boxes with an IoU of one half or more (not trained on)",
            "count": "share of right counts (not trained on)",
        },
        views=make_views(
            ["reinforced"],
            {"share of right attempts": "reward/correct", "entropy, nats": "entropy/mean"},
        ),
        claims=(
            Claim(
                "Reinforcement alone teaches nano to tell half-truths from what is there.",
                "right",
                "reinforced",
                "start",
            ),
            Claim(
                "What is there is still confirmed as often or more.",
                "exists",
                "reinforced",
                "start",
            ),
            Claim(
                "Boxes, which it was not trained on, suffer.", "box", "reinforced", "start", "lower"
            ),
        ),
    )


def _measure(model: PolicyModel, *, held_out: int) -> Mapping[str, float]:
    right = {kind: _right_answers(model, kind, held_out) for kind in (*TRAINED_KINDS, *OTHER_KINDS)}
    return right | {"right": sum(right[kind] for kind in TRAINED_KINDS) / len(TRAINED_KINDS)}


def _right_answers(model: PolicyModel, kind: Kind, count: int) -> float:
    """The share of `count` held-out frames on which the likeliest answer is right."""
    sampler = LocalSampler(
        model.model,
        model.tokenizer,
        end_ids=model.end_ids,
        pad_id=model.pad_id,
        batch_tokens=12_000,
    )
    task = FrameTask(split="held-out", kinds=(kind,))
    likeliest = Sampling(samples=1, temperature=0.0, seed=0, step=0)
    problems = [task.problem(i) for i in range(count)]
    groups = collect_rollouts(task, problems, model.codec, sampler, likeliest)
    return sum(bool(r.outcome.correct) for group in groups for r in group.rollouts) / count

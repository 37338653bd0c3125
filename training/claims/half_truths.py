"""nano, reinforced: does it learn to tell a half-truth from a thing that is there?

Asked for a striped circle beside a striped square and a plain circle, the packaged nano says yes.
No start is taught anything first: the model is the one that ships. Half of the problems ask about
things that are there, so that a model that always says no gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mmreason.training.claims.experiment import Arm, Claim, Experiment, Size, View
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import LocalSampler
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rl.recipe import Recipe
from mmreason.training.tasks.frames import FrameTask, Kind

TAUGHT: tuple[Kind, ...] = ("exists", "half_truth")
KEPT: tuple[Kind, ...] = ("box", "count")
"""Kinds that are not trained on: what is forgotten shows here."""


def experiment(size: Size) -> Experiment:
    """The packaged nano, before and after."""
    return Experiment(
        name="nano",
        title="nano on half-truths",
        about=(
            "The packaged nano on crowded frames (three to six things), DAPO at temperature 2, its "
            "eyes frozen, answers checked by their words alone. It is measured with the likeliest "
            f"answer on {size.held_out} held-out frames of each kind. Nothing was taught before."
        ),
        arms=(
            Arm(name="start", lesson=None, recipe=None),
            Arm(
                name="reinforced",
                lesson=None,
                recipe=partial(_recipe, steps=max(1, 40 // size.shrink)),
            ),
        ),
        load=PolicyModel.load,
        measure=partial(_measure, held_out=size.held_out),
        figures={
            "right": "share of right answers about what is there and what only seems to be",
            "half_truth": "share of half-truths denied",
            "exists": "share of true things confirmed",
            "box": "boxes with an IoU of one half or more (not trained on)",
            "count": "share of right counts (not trained on)",
        },
        views=tuple(
            View(title=title, metric=metric, arms={"reinforced": "reinforced"})
            for title, metric in (
                ("share of right attempts", "reward/correct"),
                ("entropy, nats", "entropy/mean"),
            )
        ),
        claims=(
            Claim(
                text="Reinforcement alone teaches nano to tell half-truths from what is there.",
                figure="right",
                arm="reinforced",
                against="start",
            ),
            Claim(
                text="What is there is still confirmed as often or more.",
                figure="exists",
                arm="reinforced",
                against="start",
            ),
            Claim(
                text="Boxes, which it was not trained on, suffer.",
                figure="box",
                arm="reinforced",
                against="start",
                direction="lower",
            ),
        ),
    )


def _recipe(start: Path, out: Path, seed: int, *, steps: int) -> Recipe:
    return Recipe(
        task=FrameTask(split="train", kinds=TAUGHT),
        out=out,
        model=start,
        seed=seed,
        steps=steps,
        problems_per_step=16,
        samples=8,
        temperature=2.0,
        objective="dapo",
        learning_rate=2e-4,
        warmup_updates=3,
        freeze=("model.visual",),
        micro_tokens=4_000,
        sampling_tokens=12_000,
        checkpoint_every=1_000_000,
        show_samples=0,
    )


def _measure(policy: PolicyModel, *, held_out: int) -> Mapping[str, float]:
    found = {kind: _share(policy, kind, held_out) for kind in (*TAUGHT, *KEPT)}
    return found | {"right": sum(found[kind] for kind in TAUGHT) / len(TAUGHT)}


def _share(policy: PolicyModel, kind: Kind, count: int) -> float:
    sampler = LocalSampler(
        policy.model,
        policy.tokenizer,
        end_ids=policy.end_ids,
        pad_id=policy.pad_id,
        batch_tokens=12_000,
    )
    task = FrameTask(split="held-out", kinds=(kind,))
    how = Sampling(samples=1, temperature=0.0, seed=0, step=0)
    groups = collect_rollouts(
        task, [task.problem(i) for i in range(count)], policy.codec, sampler, how
    )
    right = [bool(r.outcome.correct) for group in groups for r in group.rollouts]
    return sum(right) / count

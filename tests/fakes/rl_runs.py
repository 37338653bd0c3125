"""Small runs of the trainer by name, here or in processes of their own:

python -m tests.fakes.rl_runs FOLDER STEPS NAME...

Under torchrun the processes share each run. Writes the figures of all steps to `FOLDER/NAME.json`,
and their warnings to `FOLDER/NAME.warnings.json`.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from mmreason.training.objectives import PUBLISHED, group_advantage
from mmreason.training.parallel.processes import destroy_process_group
from mmreason.training.rl import (
    Dsdr,
    Kl,
    Lora,
    PolicyModel,
    Recipe,
    Stapo,
    StepReport,
    train,
)
from mmreason.training.rl.recipe import find_part
from mmreason.training.rollouts.types import Problem
from mmreason.training.tasks.single_turn import SingleTurn
from tests.fakes import tiny_rl

PLAIN: dict[str, Any] = {
    "task": tiny_rl.colours(),
    "model": tiny_rl.policy,
    "steps": 6,
    "problems_per_step": 8,
    "samples": 4,
    "seed": 3,
    "learning_rate": 3e-3,
    "warmup_updates": 3,
    "checkpoint_every": 2,
    "max_tokens": 4,
    "micro_tokens": 60,
    "show_samples": 2,
}

EVERYTHING: dict[str, Any] = {
    "objective": "rloo",
    "updates": 2,
    "stapo": Stapo(probability=0.3),
    "dsdr": Dsdr(reward_weight=0.3, entropy_weight=0.1),
    "kl": Kl(coefficient=0.05),
    "kind_scale_decay": 0.8,
    "dynamic_sampling": True,
    "problems_per_step": 3,
    "held_out": tiny_rl.colours(4),
    "evaluate_every": 2,
    "model": partial(tiny_rl.policy, dropout=0.2),
}


def watched() -> SingleTurn:
    """Questions about clips; every third is text alone."""

    def show(problem: Problem) -> Any:
        number = int(problem.id.rsplit("-", 1)[1])
        if number % 3 == 2:
            return tiny_rl.said(problem.question)
        return tiny_rl.clip(problem.question, 2 + 2 * (number % 2), seed=number)

    plain = tiny_rl.colours(4)
    return SingleTurn(
        name="watched",
        problems=plain.problems,
        show=show,
        reward=tiny_rl.length_reward(),
        max_new_tokens=5,
    )


NANO: dict[str, Any] = {
    "task": watched(),
    "model": partial(PolicyModel.load, "nano"),
    "problems_per_step": 3,
    "samples": 2,
    "temperature": 2.0,
    "learning_rate": 1e-4,
    "micro_tokens": 200,
}


def spoilt_in_one(of: str) -> PolicyModel:
    """Its first training pass in the second process has a logit or a gradient of NaN."""
    made = tiny_rl.policy()
    left = [PartialState().process_index == 1]

    def spoil(module: Any, inputs: Any, out: Any) -> None:
        if module.training and torch.is_grad_enabled() and left[0]:
            left[0] = False
            if of == "gradient":
                out.logits.register_hook(lambda gradient: gradient * torch.nan)
            else:
                out.logits[0] += torch.nan

    made.model.register_forward_hook(spoil)
    return made


ONE_SCALE = replace(PUBLISHED["grpo"], advantage=partial(group_advantage, scale="batch"))
"""An objective that looks at more than one group."""

NAMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "stapo and dsdr": {
        "stapo": Stapo(probability=0.3),
        "dsdr": Dsdr(reward_weight=0.3, entropy_weight=0.1),
    },
    "kl and scales": {
        "objective": "rloo",
        "kl": Kl(coefficient=0.05),
        "kind_scale_decay": 0.8,
        "stapo": Stapo(probability=0.3),
    },
    "repeated": {"task": tiny_rl.colours(3), "dynamic_sampling": True},
    "few": {"problems_per_step": 3, "updates": 2, "samples": 2},
    "two updates": {
        "objective": "rloo",
        "updates": 2,
        "stapo": Stapo(probability=0.3),
        "dsdr": Dsdr(reward_weight=0.3, entropy_weight=0.1),
        "kl": Kl(coefficient=0.05),
        "kind_scale_decay": 0.8,
        "problems_per_step": 5,
    },
    "three updates": {"updates": 3, "gdpo": True, "dynamic_sampling": True, "problems_per_step": 3},
    "one scale for all": {"objective": ONE_SCALE, "updates": 2, "problems_per_step": 3},
    "one": {
        "problems_per_step": 1,
        "stapo": Stapo(probability=0.3),
        "task": tiny_rl.colours(reward=tiny_rl.length_reward()),
    },
    "everything": EVERYTHING,
    "adapters": {
        "lora": Lora(rank=4, alpha=8, dropout=0.2),
        "kl": Kl(coefficient=0.05),
        "updates": 2,
        "learning_rate": 2e-2,
    },
    "adapters without dropout": {
        "lora": Lora(rank=4, alpha=8),
        "kl": Kl(coefficient=0.05),
        "learning_rate": 2e-2,
    },
    "checkpointed": {"gradient_checkpointing": True, "stapo": Stapo(probability=0.3)},
    "held out": {"held_out": tiny_rl.colours(3), "evaluate_every": 1},
    "a sample spoilt in one process": {"model": partial(spoilt_in_one, "logit")},
    "a gradient spoilt in one process": {"model": partial(spoilt_in_one, "gradient")},
    "in bf16": {"precision": "bf16"},
    "nano": NANO,
    "nano frozen": NANO | {"freeze": ("model.visual",), "kl": Kl(coefficient=0.05)},
}


def recipe(name: str, out: Path, **changes: Any) -> Recipe:
    return make_recipe(**{**PLAIN, **NAMES[name], "out": out, **changes})


def make_recipe(**settings: Any) -> Recipe:
    """A recipe of settings by the names that logs have for them, each put into its part."""
    own, parts = split_into_parts(settings)
    return Recipe(**own, **{name: KINDS[name](**values) for name, values in parts.items()})


def change_recipe(recipe: Recipe, **settings: Any) -> Recipe:
    """The same recipe with other settings, by the same names."""
    own, parts = split_into_parts(settings)
    changed = {name: replace(getattr(recipe, name), **values) for name, values in parts.items()}
    return replace(recipe, **own, **changed)


def split_into_parts(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    own: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        place = find_part(name)
        if place is None:
            own[name] = value
        else:
            parts.setdefault(place.part_name, {})[place.setting] = value
    return own, parts


KINDS: dict[str, Any] = {
    field.name: field.metadata["kind"] for field in fields(Recipe) if field.metadata.get("is_part")
}


def run(name: str, folder: Path, **changes: Any) -> list[dict[str, float]]:
    """The figures of the steps; the run is in `folder/name`."""
    return [dict(report.metrics) for report in train(recipe(name, folder / name, **changes))]


def write_reports(reports: list[StepReport], name: str, folder: Path) -> None:
    """What the steps of a run came to; the main process of several writes it for all."""
    if PartialState().is_main_process:
        metrics = [dict(report.metrics) for report in reports]
        warnings = [report.warnings for report in reports]
        (folder / f"{name}.json").write_text(json.dumps(metrics))
        (folder / f"{name}.warnings.json").write_text(json.dumps(warnings))


def main() -> None:
    folder, steps, *names = sys.argv[1:]
    for name in names:
        reports = list(train(recipe(name, Path(folder) / name, steps=int(steps))))
        write_reports(reports, name, Path(folder))
    destroy_process_group()
    # All is written. Seen with gloo: a thread of torch at times aborts a process that ends.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

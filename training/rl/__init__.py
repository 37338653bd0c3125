"""Reinforcement learning from verifiable feedback: recipes and the trainer.

from mmreason.training import rl

recipe = rl.Recipe(task=task, out=Path("runs/first"), model="nano", steps=20)
for report in rl.train(recipe):
    print(report.step, report.metrics["reward/mean"])

Names load at their first use, so that reading a log needs no model library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmreason.training.learner.policy_model import PolicyModel
    from mmreason.training.rl.events import METRICS, SampleToken, SampleView, StepReport
    from mmreason.training.rl.recipe import Dsdr, Kl, Lora, Overlong, Recipe, Stapo, read_recipe
    from mmreason.training.rl.trainer import NothingLearnt, TrainingStopped, export, train

__all__ = [
    "METRICS",
    "Dsdr",
    "Kl",
    "Lora",
    "NothingLearnt",
    "Overlong",
    "PolicyModel",
    "Recipe",
    "SampleToken",
    "SampleView",
    "Stapo",
    "StepReport",
    "TrainingStopped",
    "export",
    "read_recipe",
    "train",
]

_HOMES = {
    "METRICS": "mmreason.training.rl.events",
    "SampleToken": "mmreason.training.rl.events",
    "SampleView": "mmreason.training.rl.events",
    "StepReport": "mmreason.training.rl.events",
    "Dsdr": "mmreason.training.rl.recipe",
    "Kl": "mmreason.training.rl.recipe",
    "Lora": "mmreason.training.rl.recipe",
    "Overlong": "mmreason.training.rl.recipe",
    "Recipe": "mmreason.training.rl.recipe",
    "Stapo": "mmreason.training.rl.recipe",
    "read_recipe": "mmreason.training.rl.recipe",
    "PolicyModel": "mmreason.training.learner.policy_model",
    "NothingLearnt": "mmreason.training.rl.trainer",
    "TrainingStopped": "mmreason.training.rl.trainer",
    "export": "mmreason.training.rl.trainer",
    "train": "mmreason.training.rl.trainer",
}
"""Name -> module."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

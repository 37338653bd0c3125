"""Reinforcement learning from verifiable feedback: recipes and the trainer.

from mmreason.training import rl

recipe = rl.Recipe(
    task=task,
    out=Path("runs/first"),
    optimiser=rl.OptimiserSettings(learning_rate=1e-5),
)
for report in rl.train(recipe):
    print(report.step, report.metrics["reward/mean"])

Names load at their first use, so that reading a log needs no model library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmreason.training.learner.policy_model import PolicyModel
    from mmreason.training.rl.recipe import (
        BatchingSettings,
        CheckpointSettings,
        DataSettings,
        Dsdr,
        EvaluationSettings,
        JudgeSettings,
        Kl,
        Lora,
        ObjectiveSettings,
        OptimiserSettings,
        Overlong,
        Recipe,
        ReportSettings,
        SamplingSettings,
        ServerSettings,
        Stapo,
        TrainedWeights,
        read_recipe,
    )
    from mmreason.training.rl.trainer import NothingLearnt, TrainingStopped, export, train
    from mmreason.training.runs.events import METRICS, SampleToken, SampleView, StepReport

__all__ = [
    "METRICS",
    "BatchingSettings",
    "CheckpointSettings",
    "DataSettings",
    "Dsdr",
    "EvaluationSettings",
    "JudgeSettings",
    "Kl",
    "Lora",
    "NothingLearnt",
    "ObjectiveSettings",
    "OptimiserSettings",
    "Overlong",
    "PolicyModel",
    "Recipe",
    "ReportSettings",
    "SampleToken",
    "SampleView",
    "SamplingSettings",
    "ServerSettings",
    "Stapo",
    "StepReport",
    "TrainedWeights",
    "TrainingStopped",
    "export",
    "read_recipe",
    "train",
]

_HOMES = {
    "METRICS": "mmreason.training.runs.events",
    "SampleToken": "mmreason.training.runs.events",
    "SampleView": "mmreason.training.runs.events",
    "StepReport": "mmreason.training.runs.events",
    "BatchingSettings": "mmreason.training.rl.recipe",
    "CheckpointSettings": "mmreason.training.rl.recipe",
    "DataSettings": "mmreason.training.rl.recipe",
    "EvaluationSettings": "mmreason.training.rl.recipe",
    "JudgeSettings": "mmreason.training.rl.recipe",
    "ObjectiveSettings": "mmreason.training.rl.recipe",
    "OptimiserSettings": "mmreason.training.rl.recipe",
    "ReportSettings": "mmreason.training.rl.recipe",
    "SamplingSettings": "mmreason.training.rl.recipe",
    "ServerSettings": "mmreason.training.rl.recipe",
    "TrainedWeights": "mmreason.training.rl.recipe",
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

"""Supervised fine-tuning on samples, and preference pairs.

from mmreason.training import sft

recipe = sft.SftRecipe(data=sft.DataSettings(train="train.jsonl"), out=Path("runs/first"))
for report in sft.train_sft(recipe):
    print(report.step, report.metrics["loss/mean"])

Names load at their first use, so that reading a log needs no model library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmreason.training.data.settings import DataSettings
    from mmreason.training.learner.adapters import Lora, TrainedWeights
    from mmreason.training.parallel.strategy import OptimiserSettings
    from mmreason.training.runs.recipe_parts import CheckpointSettings, ReportSettings
    from mmreason.training.runs.stopped import NothingLearnt, TrainingStopped
    from mmreason.training.sft.recipe import SftBatching, SftEvaluation, SftObjective, SftRecipe
    from mmreason.training.sft.trainer import train_sft

_PLACES = {
    "CheckpointSettings": "mmreason.training.runs.recipe_parts",
    "DataSettings": "mmreason.training.data.settings",
    "Lora": "mmreason.training.learner.adapters",
    "NothingLearnt": "mmreason.training.runs.stopped",
    "OptimiserSettings": "mmreason.training.parallel.strategy",
    "ReportSettings": "mmreason.training.runs.recipe_parts",
    "SftBatching": "mmreason.training.sft.recipe",
    "SftEvaluation": "mmreason.training.sft.recipe",
    "SftObjective": "mmreason.training.sft.recipe",
    "SftRecipe": "mmreason.training.sft.recipe",
    "TrainedWeights": "mmreason.training.learner.adapters",
    "TrainingStopped": "mmreason.training.runs.stopped",
    "train_sft": "mmreason.training.sft.trainer",
}
__all__ = [
    "CheckpointSettings",
    "DataSettings",
    "Lora",
    "NothingLearnt",
    "OptimiserSettings",
    "ReportSettings",
    "SftBatching",
    "SftEvaluation",
    "SftObjective",
    "SftRecipe",
    "TrainedWeights",
    "TrainingStopped",
    "train_sft",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)

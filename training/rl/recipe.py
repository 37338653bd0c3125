"""Everything that decides what a run does, in one value of parts. Checked when it is made.

A recipe file is a Python file that sets `recipe = Recipe(...)`; it is the user's own code and is
run as such. `trainer.py` does what it says, each of its modules its own part.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmreason.training.checked_settings import Kind, check_settings, part, setting
from mmreason.training.learner.adapters import Lora, TrainedWeights
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.parallel.strategy import OptimiserSettings
from mmreason.training.rl.recipe_parts import (
    BatchingSettings,
    Correction,
    Dsdr,
    EvaluationSettings,
    Kl,
    ObjectiveSettings,
    Overlong,
    SamplingSettings,
    Stapo,
    check_task,
)
from mmreason.training.rollouts.episode import Task
from mmreason.training.runs.recipe_file import read_recipe_file
from mmreason.training.runs.recipe_parts import CheckpointSettings, ReportSettings
from mmreason.types import UsageError

__all__ = [
    "BatchingSettings",
    "CheckpointSettings",
    "Dsdr",
    "EvaluationSettings",
    "Kl",
    "Lora",
    "ObjectiveSettings",
    "OptimiserSettings",
    "Overlong",
    "Recipe",
    "ReportSettings",
    "SamplingSettings",
    "Stapo",
    "TrainedWeights",
    "find_part",
    "read_recipe",
]


def _is_model(value: Any) -> bool:
    is_path = hasattr(value, "__fspath__") and bool(str(value))
    return callable(value) or is_path or (isinstance(value, str) and bool(value))


_MODEL = Kind(_is_model, "a name, a folder, or a function that makes a PolicyModel")
_FOLDER = Kind(lambda value: isinstance(value, str | os.PathLike), "the path of a folder")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A run. Raises UsageError for settings that cannot be, or that contradict each other.

    Example::

        task = video_questions(read_problems("train.jsonl"), load("nano").clip)
        Recipe(
            task=task,
            out=Path("runs/kitchen"),
            model="nano",
            steps=20,
            sampling=SamplingSettings(problems_per_step=16),
            optimiser=OptimiserSettings(learning_rate=1e-5),
        )
    """

    task: Task
    out: Path = field(metadata={"kind": _FOLDER, "moves_numbers": False})
    """Folder of the run: checkpoints, logs, the model."""
    model: str | Path | Callable[[], PolicyModel] = setting("nano", kind=_MODEL)
    """Name or path, or a function that makes the policy."""
    seed: int = setting(0)
    steps: int = setting(100, least=1, moves_numbers=False)
    """Rollout batches."""
    sampling: SamplingSettings = part(SamplingSettings)
    objective: ObjectiveSettings = part(ObjectiveSettings)
    optimiser: OptimiserSettings = part(OptimiserSettings)
    weights: TrainedWeights = part(TrainedWeights)
    batching: BatchingSettings = part(BatchingSettings)
    checkpoints: CheckpointSettings = part(CheckpointSettings)
    evaluation: EvaluationSettings = part(EvaluationSettings)
    report: ReportSettings = part(ReportSettings)

    def __new__(cls, *_: object, **settings: object) -> Recipe:
        """Refuses what no field is called, with the part that it stands in."""
        for name, value in settings.items():
            owner = find_part(name)
            # The objective's formula was given by the name that its part has now.
            if owner is not None and (name not in _TOP_LEVEL or isinstance(value, str)):
                raise UsageError(
                    f"recipe: {name} stands in the part {owner.part_name}: "
                    f"{owner.part_name}={owner.kind.__name__}({owner.setting}=...)"
                )
            if name not in _TOP_LEVEL:
                raise UsageError(
                    f"recipe: there is no setting {name!r:.60}; known: {', '.join(_TOP_LEVEL)}"
                )
        return object.__new__(cls)

    def __post_init__(self) -> None:
        check_settings(self)
        object.__setattr__(self, "out", Path(self.out))  # a text is a path too
        check_task("task", self.task)
        # An objective of the user's own may take single rollouts; the published ones cannot.
        compares = self.objective.gdpo or isinstance(self.objective.formula, str)
        if self.sampling.samples < 2 and compares:
            raise UsageError(
                f"recipe: sampling.samples must be >= 2, got {self.sampling.samples}: rollouts of "
                "a problem are compared with each other, and one alone teaches nothing"
            )
        if not len(self.task):
            raise UsageError(f"recipe: the task {self.task.name!r} has no problems")

    @property
    def resolved_correction(self) -> Correction | None:
        """The correction itself."""
        if self.objective.correction != "auto":
            return self.objective.correction
        is_bf16 = self.batching.precision == "bf16"
        return "tis" if is_bf16 or self.sampling.stale_sampler else None


@dataclass(frozen=True, slots=True)
class SettingPlace:
    """Where a setting stands.

    Example:
        >>> owner = find_part("evaluate_every")
        >>> owner.part_name, owner.setting
        ('evaluation', 'every')
    """

    part_name: str
    kind: type
    setting: str


def find_part(flat_name: str) -> SettingPlace | None:
    """The part with the setting that checkpoints and logs call by this name; None for others."""
    for owner in _PARTS:
        kind = owner.metadata["kind"]
        for item in fields(kind):
            if flat_name in (item.name, item.metadata.get("flat_name")):
                return SettingPlace(owner.name, kind, item.name)
    return None


_TOP_LEVEL = tuple(item.name for item in fields(Recipe))
_PARTS = tuple(item for item in fields(Recipe) if item.default_factory is not MISSING)


def read_recipe(path: Path) -> Recipe:
    """The recipe of a file (`runs/recipe_file.py`). UsageError where it cannot be read."""
    return read_recipe_file(path, Recipe)

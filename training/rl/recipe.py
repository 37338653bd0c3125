"""Everything that decides what a run does, in one value of parts. Checked when it is made.

A recipe file is YAML, or a Python file that sets `recipe = Recipe(...)`, the user's own code which
is run as such (`runs/recipe_file.py`). `trainer.py` does what it says, each of its modules its own
part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmreason.training.checked_settings import Kind, check_settings, part, setting
from mmreason.training.data.settings import DataSettings
from mmreason.training.generation.server_settings import ServerSettings
from mmreason.training.learner.adapters import Lora, TrainedWeights
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.parallel.strategy import OptimiserSettings
from mmreason.training.rewards import Combination
from mmreason.training.rewards.judge import JudgeSettings, judge_component
from mmreason.training.rewards.named import JUDGE_NAME, combine_named
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
from mmreason.training.tasks.videos import DEFAULT_REWARD
from mmreason.types import UsageError

__all__ = [
    "BatchingSettings",
    "CheckpointSettings",
    "DataSettings",
    "Dsdr",
    "EvaluationSettings",
    "JudgeSettings",
    "Kl",
    "Lora",
    "ObjectiveSettings",
    "OptimiserSettings",
    "Overlong",
    "Recipe",
    "ReportSettings",
    "SamplingSettings",
    "ServerSettings",
    "Stapo",
    "TrainedWeights",
    "find_part",
    "read_recipe",
]


def _is_model(value: Any) -> bool:
    is_path = hasattr(value, "__fspath__") and bool(str(value))
    return callable(value) or is_path or (isinstance(value, str) and bool(value))


_MODEL = Kind(_is_model, "a name, a folder, or a function that makes a PolicyModel")
_WEIGHTS = Kind(lambda value: isinstance(value, Mapping), "weights by name, {answer: 1.0}")
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

    task: Task | None = setting(None)
    """What is trained on, where it is not the rows of `data`."""
    out: Path = field(metadata={"kind": _FOLDER, "moves_numbers": False})
    """Folder of the run: checkpoints, logs, the model."""
    model: str | Path | Callable[[], PolicyModel] = setting("nano", kind=_MODEL)
    """Name or path, or a function that makes the policy."""
    data: DataSettings | None = setting(None, kind=DataSettings, came_later=True)
    """Rows in any dialect, in place of a task: each is a question of one turn."""
    rewards: Mapping[str, float] | None = setting(None, kind=_WEIGHTS, came_later=True)
    """Of the rows of `data`: weights by the names of `rewards/named.py`; by default a point each
    for the answer, its time and its boxes."""
    judge: JudgeSettings | None = setting(None, kind=JudgeSettings, came_later=True)
    """The model behind the reward "judge"."""
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
        self._check_problems()
        # An objective of the user's own may take single rollouts; the published ones cannot.
        compares = self.objective.gdpo or isinstance(self.objective.formula, str)
        if self.sampling.samples < 2 and compares:
            raise UsageError(
                f"recipe: sampling.samples must be >= 2, got {self.sampling.samples}: rollouts of "
                "a problem are compared with each other, and one alone teaches nothing"
            )

    def _check_problems(self) -> None:
        """The problems, given once, and what belongs to them."""
        data, evaluation = self.data, self.evaluation
        if self.task is not None:
            check_task("task", self.task)
            if not len(self.task):
                raise UsageError(f"recipe: the task {self.task.name!r} has no problems")
        has_rows = data is not None and data.train is not None
        if has_rows == (self.task is not None):
            raise UsageError("recipe: give the problems once: data.train for files, or task")
        if not has_rows and (data is not None or self.rewards is not None):
            raise UsageError(
                "recipe: data and rewards are for rows of files (data.train); a task has its own"
            )
        if self.judge is not None and (self.rewards is None or JUDGE_NAME not in self.rewards):
            raise UsageError("recipe: judge is not asked: give it a weight, rewards: {judge: 1.0}")
        if self.rewards is not None:
            self.reward  # noqa: B018 - a name that is none is told now, not after hours
        has_held_out = data is not None and data.held_out is not None
        if has_held_out and evaluation.held_out is not None:
            raise UsageError("recipe: give data.held_out or evaluation.held_out, not both")
        if evaluation.every and evaluation.held_out is None and not has_held_out:
            raise UsageError(
                "recipe: evaluation.every needs held_out problems: evaluation.held_out, or "
                "data.held_out for files"
            )

    @property
    def problems(self) -> Task:
        """The task, where the recipe has one: of rows of files it is made when a run begins."""
        assert self.task is not None, "rows are made a task before a run begins"
        return self.task

    @property
    def reward(self) -> Combination:
        """What rows of `data` earn."""
        if self.rewards is None:
            return DEFAULT_REWARD
        return combine_named(
            self.rewards, None if self.judge is None else judge_component(self.judge)
        )

    @property
    def resolved_correction(self) -> Correction | None:
        """The correction itself."""
        if self.objective.correction != "auto":
            return self.objective.correction
        is_bf16 = self.batching.precision == "bf16"
        sampling = self.sampling
        has_other_numerics = is_bf16 or sampling.stale_sampler or sampling.server is not None
        return "tis" if has_other_numerics else None


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

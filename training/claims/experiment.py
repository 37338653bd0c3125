"""What an experiment is: arms that share starts and seeds, what is measured, what is claimed.

Each module of an experiment has one `build_experiment`: a task, a lesson for the start, and recipes
that differ from `base_recipe` in what the paper is about. `runs` does them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from mmreason.training.claims import tiny
from mmreason.training.claims.start import Lesson
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
)
from mmreason.training.rollouts.episode import Task
from mmreason.training.rollouts.types import Group

_ATTEMPTS = 16
_MEASURING_SEED = 20_001
"""Every model is measured with the same random numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large everything is."""

    name: str
    shrink: int
    """Lessons and runs take one step in this many."""
    held_out: int
    """Problems that are measured on."""
    staleness: tuple[int, ...]
    """Updates of each rollout batch that are compared; divisors of `updates`."""
    updates: int
    """Updates of every run of the staleness sweep."""


FULL = Size(name="full", shrink=1, held_out=128, staleness=(1, 4, 16, 64), updates=192)
QUICK = Size(name="quick", shrink=8, held_out=32, staleness=(1, 16), updates=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to train."""

    name: str
    """Different within the experiment."""
    lesson: Lesson | None
    """What the start was taught; arms of one lesson and seed begin with the same weights. None
    begins with the packaged nano."""
    recipe: Recipe | None
    """Its model, folder and seed are those of the run. None measures the start."""

    def recipe_for(self, start: Path, out: Path, seed: int) -> Recipe:
        """The recipe of a run from the model folder `start`. The arm must have one."""
        assert self.recipe is not None, self.name
        # nano is a model folder by itself, a tiny model needs its own reader.
        model = start if self.lesson is None else partial(tiny.load_model, start)
        return replace(self.recipe, model=model, out=out, seed=seed)

    def load_model(self, folder: Path) -> PolicyModel:
        """The model in a folder, as it was at the start or as a run left it."""
        return PolicyModel.load(folder) if self.lesson is None else tiny.load_model(folder)


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that a paper says, as a comparison that is paired by seed.

    Example:
        >>> Claim("STAPO is above DAPO.", "pass@1", "stapo", "dapo").direction
        'higher'
    """

    text: str
    figure: str
    arm: str
    against: str
    direction: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A panel of the chart: a metric of `StepReport` over the steps."""

    title: str
    metric: str
    arms: Mapping[str, str]
    """Names of arms by what the legend calls them; the same in all panels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Two things that arms differ in.

    Example:
        >>> Grid(rows=("grpo", "vespo"), columns=("N=1", "N=4")).rows[0]
        'grpo'
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Arms, figures and claims."""

    name: str
    title: str
    about: str
    """What the task is and what differs from the paper, for the page."""
    arms: tuple[Arm, ...]
    measure: Callable[[PolicyModel], Mapping[str, float]]
    """Figures of a trained model, on held-out problems."""
    figures: Mapping[str, str]
    """The figures of the table by name, with what they are."""
    views: tuple[View, ...]
    """The panels of the chart."""
    claims: tuple[Claim, ...]
    seeds: int = 5
    """As many as the results in `benchmarks/results` have."""
    grid: Grid | None = None
    """The first figure of arms called `row column` as a table of its own."""


def base_recipe(
    task: Task, *, steps: int, problems_per_step: int, updates: int, learning_rate: float = 3e-4
) -> Recipe:
    """DAPO on a tiny model; arms replace what they are about. One step at least."""
    return Recipe(
        task=task,
        out=Path("out"),
        steps=max(1, steps),
        sampling=SamplingSettings(problems_per_step=problems_per_step, samples=8),
        objective=ObjectiveSettings(formula="dapo"),
        optimiser=OptimiserSettings(learning_rate=learning_rate),
        batching=BatchingSettings(updates=updates),
        # Nothing is resumed, and the log shows nobody samples.
        checkpoints=CheckpointSettings(every=1_000_000),
        report=ReportSettings(samples=0),
    )


def make_arms(lesson: Lesson | None, recipes: Mapping[str, Recipe]) -> tuple[Arm, ...]:
    """The start as an arm, and an arm from there for each recipe by name."""
    start = Arm(name="start", lesson=lesson, recipe=None)
    trained = (Arm(name=name, lesson=lesson, recipe=recipe) for name, recipe in recipes.items())
    return (start, *trained)


def make_views(arms: Iterable[str], metrics: Mapping[str, str]) -> tuple[View, ...]:
    """A panel for each metric by title, with a curve for each of the arms."""
    names = {arm: arm for arm in arms}
    return tuple(View(title=title, metric=metric, arms=names) for title, metric in metrics.items())


def measure_attempts(
    model: PolicyModel, *, task: Task, figures: Callable[[Sequence[Group]], Mapping[str, float]]
) -> Mapping[str, float]:
    """The figures of 16 attempts at temperature 1 at each problem of a held-out task."""
    sampling = Sampling(samples=_ATTEMPTS, temperature=1.0, seed=_MEASURING_SEED, step=0)
    sampler = LocalSampler(model.model, model.tokenizer, end_ids=model.end_ids, pad_id=model.pad_id)
    problems = [task.problem(i) for i in range(len(task))]
    return figures(collect_rollouts(task, problems, model.codec, sampler, sampling))


def pass_rates(groups: Sequence[Group]) -> dict[str, float]:
    """Share of right attempts, and of problems with a right one among the 16."""
    right = [[bool(r.outcome.correct) for r in group.rollouts] for group in groups]
    return {
        "pass@1": sum(map(sum, right)) / sum(map(len, right)),
        "pass@16": sum(map(any, right)) / len(right),
    }


def mean_length(groups: Sequence[Group]) -> float:
    """Tokens written an attempt."""
    lengths = [r.completion_tokens for group in groups for r in group.rollouts]
    return sum(lengths) / len(lengths)

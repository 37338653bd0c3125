"""What an experiment is: arms that share starts and seeds, what is measured, what is claimed.

Leaves out the experiments (`staleness.py`, `rare_tokens.py`, `diversity.py`, `navigation.py`,
`half_truths.py`) and doing them (`runs.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmreason.training.claims import tiny
from mmreason.training.claims.start import Lesson
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rl.recipe import Recipe


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
    recipe: Callable[[Path, Path, int], Recipe] | None
    """From the folder of the start, that of the run and the seed. None measures the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that a paper says, as a comparison that is paired by seed."""

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
    """Two things that arms differ in."""

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
    load: Callable[[Path], PolicyModel] = tiny.load
    """Reads a model folder."""
    grid: Grid | None = None
    """The first figure of arms called `row column` as a table of its own."""

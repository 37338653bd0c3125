"""The reward of navigation: does the published one teach to visit the same place again and again?

`rewards.longvideo_r1_published` adds up the overlap of all visits; `rewards.longvideo_r1` counts
each moment once. One task, one start, two rewards.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from mmreason.training.claims import search, tiny
from mmreason.training.claims.demonstration import Demonstration
from mmreason.training.claims.experiment import Arm, Claim, Experiment, Size, View
from mmreason.training.claims.measuring import attempts, pass_rates
from mmreason.training.claims.start import Lesson
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rewards import Combination, Component, longvideo_r1, longvideo_r1_published
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rollouts.types import Group

LEARNING_RATE = 3e-4
CORRECTED = Combination((Component(name="corrected", reward=longvideo_r1, bounds=(-0.2, 2.0)),))
PUBLISHED = Combination(
    (Component(name="published", reward=longvideo_r1_published, bounds=(-math.inf, math.inf)),)
)


def experiment(size: Size) -> Experiment:
    """The corrected and the published reward."""
    lesson = Lesson(
        name=f"search-{size.name}",
        words=search.WORDS,
        demonstrate=_demonstrate,
        steps=450 // size.shrink,
        rows=64,
    )
    recipe = partial(_recipe, steps=max(1, 80 // size.shrink))
    return Experiment(
        name="navigation",
        title="The reward of navigation, as published and corrected",
        about=(
            f"A search through a tree of captions with at most {search.MOST_VISITS} visits; two "
            "are enough. Demonstrators take a wrong turn at times and repeat a visit at times. "
            "DAPO with either reward; a search that ends by the limit has no answer."
        ),
        arms=(
            Arm(name="start", lesson=lesson, recipe=None),
            Arm(name="corrected", lesson=lesson, recipe=partial(recipe, reward=CORRECTED)),
            Arm(name="published", lesson=lesson, recipe=partial(recipe, reward=PUBLISHED)),
        ),
        measure=partial(_measure, held_out=size.held_out // 2),
        figures={
            "visits": "visits a search",
            "repeats": "those of a node visited before",
            "right": "share of right answers",
            "found": "share of searches that visit the right leaf",
            "published": "mean published reward",
            "corrected": "mean corrected reward",
        },
        views=tuple(
            View(title=title, metric=metric, arms={a: a for a in ("corrected", "published")})
            for title, metric in (
                ("turns a search", "turns/mean"),
                ("share of right answers", "reward/correct"),
            )
        ),
        claims=(
            Claim(
                text="The published reward teaches more repeated visits than the start made.",
                figure="repeats",
                arm="published",
                against="start",
            ),
            Claim(
                text="The corrected reward teaches fewer.",
                figure="repeats",
                arm="corrected",
                against="start",
                direction="lower",
            ),
            Claim(
                text="The published reward's policy earns more of it than the corrected one's.",
                figure="published",
                arm="published",
                against="corrected",
            ),
            Claim(
                text="Without answering better.",
                figure="right",
                arm="published",
                against="corrected",
                direction="lower",
            ),
        ),
    )


def _demonstrate(index: int, draw: random.Random) -> Demonstration:
    return search.demonstrate(search.problem(index, held_out=False), draw, slip=0.2, again=0.1)


def _recipe(start: Path, out: Path, seed: int, *, steps: int, reward: Combination) -> Recipe:
    return Recipe(
        task=search.Search(reward, count=20_000, held_out=False),
        out=out,
        model=partial(tiny.load, start),
        seed=seed,
        steps=steps,
        problems_per_step=8,
        samples=8,
        objective="dapo",
        learning_rate=LEARNING_RATE,
        checkpoint_every=1_000_000,
        show_samples=0,
    )


def _measure(policy: PolicyModel, *, held_out: int) -> Mapping[str, float]:
    both = Combination((*CORRECTED.components, *PUBLISHED.components))
    groups = attempts(policy, search.Search(both, count=held_out, held_out=True))
    visits = [r.outcome.trajectory.visits for group in groups for r in group.rollouts]
    return {
        "right": pass_rates(groups)["pass@1"],
        "visits": _mean([len(seen) for seen in visits]),
        "repeats": _mean([len(seen) - len(set(seen)) for seen in visits]),
        "found": _mean(
            [
                search.Scene(group.problem.id).wanted in r.outcome.trajectory.visits
                for group in groups
                for r in group.rollouts
            ]
        ),
        "published": _reward(groups, "published"),
        "corrected": _reward(groups, "corrected"),
    }


def _reward(groups: Sequence[Group], name: str) -> float:
    return _mean([r.scored.values[name] or 0.0 for group in groups for r in group.rollouts])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

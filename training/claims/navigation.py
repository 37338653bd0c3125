"""The reward of navigation: does the published one teach to visit the same place again and again?

`rewards.longvideo_r1_published` adds up the overlap of all visits; `rewards.longvideo_r1` counts
each moment once. One task, one start, two rewards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from mmreason.training.claims import search
from mmreason.training.claims.experiment import (
    Claim,
    Experiment,
    Size,
    base_recipe,
    make_arms,
    make_views,
    measure_attempts,
    pass_rates,
)
from mmreason.training.claims.start import Lesson
from mmreason.training.rewards import Combination, Component, longvideo_r1, longvideo_r1_published
from mmreason.training.rollouts.types import Group

CORRECTED = Combination((Component(name="corrected", reward=longvideo_r1, bounds=(-0.2, 2.0)),))
PUBLISHED = Combination(
    (Component(name="published", reward=longvideo_r1_published, bounds=(-math.inf, math.inf)),)
)
# Every policy is measured by both rewards, whichever it was trained with.
_BOTH = Combination((*CORRECTED.components, *PUBLISHED.components))


def build_experiment(size: Size) -> Experiment:
    """The corrected and the published reward."""
    tasks = {
        "corrected": search.SearchTask(CORRECTED),
        "published": search.SearchTask(PUBLISHED),
    }
    lesson = Lesson(
        name=f"search-{size.name}",
        words=search.WORDS,
        task=tasks["corrected"],
        demonstrate=partial(search.demonstrate_search, slip=0.2, again=0.1),
        steps=450 // size.shrink,
        rows=64,
    )
    recipes = {
        name: base_recipe(task, steps=80 // size.shrink, problems_per_step=8, updates=1)
        for name, task in tasks.items()
    }
    return Experiment(
        name="navigation",
        title="The reward of navigation, as published and corrected",
        about=(
            f"A search through a tree of captions with at most {search.MOST_VISITS} visits; two "
            "are enough. Demonstrators take a wrong turn at times and repeat a visit at times. "
            "DAPO with either reward; a search that ends by the limit has no answer."
        ),
        arms=make_arms(lesson, recipes),
        measure=partial(
            measure_attempts,
            task=search.SearchTask(_BOTH, held_out=True, count=size.held_out // 2),
            figures=_figures,
        ),
        figures={
            "visits": "visits a search",
            "repeats": "those of a node visited before",
            "right": "share of right answers",
            "found": "share of searches that visit the right leaf",
            "published": "mean published reward",
            "corrected": "mean corrected reward",
        },
        views=make_views(
            recipes, {"turns a search": "turns/mean", "share of right answers": "reward/correct"}
        ),
        claims=(
            Claim(
                "The published reward teaches more repeated visits than the start made.",
                "repeats",
                "published",
                "start",
            ),
            Claim("The corrected reward teaches fewer.", "repeats", "corrected", "start", "lower"),
            Claim(
                "The published reward's policy earns more of it than the corrected one's.",
                "published",
                "published",
                "corrected",
            ),
            Claim("Without answering better.", "right", "published", "corrected", "lower"),
        ),
    )


def _figures(groups: Sequence[Group]) -> Mapping[str, float]:
    visits = [r.outcome.trajectory.visits for group in groups for r in group.rollouts]
    reached_leaf = [
        search.SearchScene(group.problem.id).leaf in r.outcome.trajectory.visits
        for group in groups
        for r in group.rollouts
    ]
    return {
        "right": pass_rates(groups)["pass@1"],
        "visits": _mean([len(nodes) for nodes in visits]),
        "repeats": _mean([len(nodes) - len(set(nodes)) for nodes in visits]),
        "found": _mean(reached_leaf),
        "published": _mean_reward(groups, "published"),
        "corrected": _mean_reward(groups, "corrected"),
    }


def _mean_reward(groups: Sequence[Group], name: str) -> float:
    return _mean([r.scored.values[name] or 0.0 for group in groups for r in group.rollouts])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

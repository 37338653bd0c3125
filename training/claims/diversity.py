"""Diversity of right answers: does DSDR keep pass@16 while pass@1 rises?

After arXiv 2602.19895 and its ablations. The diversity of an answer is the mean of the paper's two
measures, made for walks: distance of the places passed (embeddings there) and the share of streets
that no other answer of the group takes (formulas there).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mmreason.training.claims import routes
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
from mmreason.training.rl.recipe import Dsdr, ObjectiveSettings
from mmreason.training.rollouts.types import Group, Rollout

WEIGHT = 1e-3
"""Published for both terms; no cap is."""


def count_places(texts: Sequence[str]) -> Tensor:
    """(B, places + 1) how often an answer passes each place; the last column is one for all, so
    that an empty answer has a direction too."""
    table = torch.zeros(len(texts), len(routes.PLACES) + 1)
    # Cosines between rows need a length of more than zero.
    table[:, -1] = 1.0
    for i, text in enumerate(texts):
        for word in text.split():
            if word.isdecimal() and int(word) < len(routes.PLACES):
                table[i, int(word)] += 1.0
    return table


def list_rollout_streets(rollout: Rollout) -> frozenset[Hashable]:
    """The steps of a walk."""
    return routes.list_streets(" ".join(rollout.outcome.trajectory.turns))


def build_experiment(size: Size) -> Experiment:
    """GRPO, DAPO, DSDR, DSDR without each of its terms, and with both ten and a hundred times as
    strong, to see from where on they act."""
    task = routes.make_task()
    lesson = Lesson(
        name=f"routes-{size.name}",
        words=routes.WORDS,
        task=task,
        demonstrate=partial(routes.demonstrate_walk, heedless=0.5, lost=0.15),
        steps=400 // size.shrink,
    )
    dapo = base_recipe(task, steps=50 // size.shrink, problems_per_step=32, updates=4)
    recipes = {
        "grpo": replace(dapo, objective=ObjectiveSettings(formula="grpo")),
        "dapo": dapo,
        "dsdr": replace(dapo, objective=_dsdr(WEIGHT, WEIGHT)),
        "dsdr, no global term": replace(dapo, objective=_dsdr(0.0, WEIGHT)),
        "dsdr, no local term": replace(dapo, objective=_dsdr(WEIGHT, 0.0)),
        "dsdr, weights x 10": replace(dapo, objective=_dsdr(10 * WEIGHT, 10 * WEIGHT)),
        "dsdr, weights x 100": replace(dapo, objective=_dsdr(100 * WEIGHT, 100 * WEIGHT)),
    }
    return Experiment(
        name="dsdr",
        title="Diversity of right answers: DSDR against GRPO and DAPO",
        about=(
            f"Walks through a town of {routes.SIDE} x {routes.SIDE} places with {routes.CLOSED} "
            "closed; half of the demonstrators do not look at those. Both weights of DSDR "
            f"{WEIGHT:g} as published, advantages divided by the deviation of the group. Four "
            "updates a rollout batch. pass@k at temperature 1. The arm with a hundred times the "
            "weights was added when the others had been seen."
        ),
        arms=make_arms(lesson, recipes),
        measure=partial(
            measure_attempts,
            task=routes.make_task(held_out=True, count=2 * size.held_out),
            figures=_figures,
        ),
        figures={
            "pass@1": "share of right attempts on held-out problems",
            "pass@16": "share of problems with a right attempt among 16",
            "ways": "different right answers among 16, of problems with one",
        },
        views=make_views(
            recipes,
            {
                "share of right attempts": "reward/correct",
                "entropy a token, nats": "entropy/mean",
            },
        ),
        claims=tuple(_claims()),
    )


def _claims() -> list[Claim]:
    figures = ("pass@1", "pass@16")
    above = [
        Claim(f"DSDR is above {against.upper()} on {figure}.", figure, "dsdr", against)
        for figure in figures
        for against in ("grpo", "dapo")
    ]
    ablations = [
        Claim(
            f"Without its {term} term DSDR loses on {figure}.",
            figure,
            f"dsdr, no {term} term",
            "dsdr",
            "lower",
        )
        for term in ("global", "local")
        for figure in figures
    ]
    ways = Claim("DSDR finds more different right answers than DAPO.", "ways", "dsdr", "dapo")
    strong = [
        Claim(
            f"With a hundred times its weights DSDR is above DAPO on {figure}.",
            figure,
            "dsdr, weights x 100",
            "dapo",
        )
        for figure in figures
    ]
    return [*above, *ablations, ways, *strong]


def _dsdr(reward_weight: float, entropy_weight: float) -> ObjectiveSettings:
    dsdr = Dsdr(
        reward_weight=reward_weight,
        entropy_weight=entropy_weight,
        embed=count_places,
        mentions=list_rollout_streets,
    )
    return ObjectiveSettings(dsdr=dsdr)


def _figures(groups: Sequence[Group]) -> Mapping[str, float]:
    return {**pass_rates(groups), "ways": _count_ways(groups)}


def _count_ways(groups: Sequence[Group]) -> float:
    """Different right answers of a problem that has one, on average; 0 where none has."""
    ways = [
        len({r.outcome.trajectory.answer for r in group.rollouts if r.outcome.correct})
        for group in groups
    ]
    solved = [number for number in ways if number]
    return sum(solved) / len(solved) if solved else 0.0

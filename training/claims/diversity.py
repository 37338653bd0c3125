"""Diversity of right answers: does DSDR keep pass@16 while pass@1 rises?

After arXiv 2602.19895 and its ablations. The diversity of an answer is the mean of the paper's two
measures, made for walks: distance of the places passed (embeddings there) and the share of streets
that no other answer of the group takes (formulas there).
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mmreason.training.claims import routes, tiny
from mmreason.training.claims.demonstration import Demonstration
from mmreason.training.claims.experiment import Arm, Claim, Experiment, Size, View
from mmreason.training.claims.measuring import attempts, pass_rates
from mmreason.training.claims.start import Lesson
from mmreason.training.claims.text_task import TextTask
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rl.recipe import Dsdr, Recipe
from mmreason.training.rollouts.types import Group, Rollout

LEARNING_RATE = 3e-4
WEIGHT = 1e-3
"""Published for both terms; no cap is."""


def places(texts: Sequence[str]) -> Tensor:
    """(B, places + 1) how often an answer passes each place; the last column is one for all, so
    that an empty answer has a direction too."""
    table = torch.zeros(len(texts), len(routes.PLACES) + 1)
    table[:, -1] = 1.0
    for i, text in enumerate(texts):
        for word in text.split():
            if word.isdecimal() and int(word) < len(routes.PLACES):
                table[i, int(word)] += 1.0
    return table


def streets(rollout: Rollout) -> frozenset[Hashable]:
    """The steps of an attempt."""
    return routes.streets(" ".join(rollout.outcome.trajectory.turns))


def experiment(size: Size) -> Experiment:
    """GRPO, DAPO, DSDR, DSDR without each of its terms, and with both ten and a hundred times as
    strong, to see from where on they act."""
    lesson = Lesson(
        name=f"routes-{size.name}",
        words=routes.WORDS,
        demonstrate=_demonstrate,
        steps=400 // size.shrink,
    )
    recipe = partial(_recipe, steps=max(1, 50 // size.shrink))
    ways = {
        "grpo": partial(recipe, objective="grpo"),
        "dapo": recipe,
        "dsdr": partial(recipe, dsdr=_dsdr(WEIGHT, WEIGHT)),
        "dsdr, no global term": partial(recipe, dsdr=_dsdr(0.0, WEIGHT)),
        "dsdr, no local term": partial(recipe, dsdr=_dsdr(WEIGHT, 0.0)),
        "dsdr, weights x 10": partial(recipe, dsdr=_dsdr(10 * WEIGHT, 10 * WEIGHT)),
        "dsdr, weights x 100": partial(recipe, dsdr=_dsdr(100 * WEIGHT, 100 * WEIGHT)),
    }
    claims = [
        Claim(text=f"DSDR is above {against.upper()} on {figure}.", figure=figure, arm="dsdr",
              against=against)
        for figure in ("pass@1", "pass@16")
        for against in ("grpo", "dapo")
    ]  # fmt: skip
    claims += [
        Claim(text=f"Without its {term} term DSDR loses on {figure}.", figure=figure,
              arm=f"dsdr, no {term} term", against="dsdr", direction="lower")
        for term in ("global", "local")
        for figure in ("pass@1", "pass@16")
    ]  # fmt: skip
    claims += [
        Claim(
            text="DSDR finds more different right answers than DAPO.",
            figure="ways",
            arm="dsdr",
            against="dapo",
        ),
        *(
            Claim(
                text=f"With a hundred times its weights DSDR is above DAPO on {figure}.",
                figure=figure,
                arm="dsdr, weights x 100",
                against="dapo",
            )
            for figure in ("pass@1", "pass@16")
        ),
    ]
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
        arms=(
            Arm(name="start", lesson=lesson, recipe=None),
            *(Arm(name=name, lesson=lesson, recipe=way) for name, way in ways.items()),
        ),
        measure=partial(_measure, held_out=2 * size.held_out),
        figures={
            "pass@1": "share of right attempts on held-out problems",
            "pass@16": "share of problems with a right attempt among 16",
            "ways": "different right answers among 16, of problems with one",
        },
        views=tuple(
            View(title=title, metric=metric, arms={name: name for name in ways})
            for title, metric in (
                ("share of right attempts", "reward/correct"),
                ("entropy a token, nats", "entropy/mean"),
            )
        ),
        claims=tuple(claims),
    )


def _dsdr(reward_weight: float, entropy_weight: float) -> Dsdr:
    return Dsdr(
        reward_weight=reward_weight,
        entropy_weight=entropy_weight,
        embed=places,
        mentions=streets,
    )


def _demonstrate(index: int, draw: random.Random) -> Demonstration:
    return routes.demonstrate(routes.problem(index, held_out=False), draw, heedless=0.5, lost=0.15)


def _task(count: int, *, held_out: bool) -> TextTask:
    return TextTask(
        name=f"routes{', held out' if held_out else ''}",
        count=count,
        make=partial(routes.problem, held_out=held_out),
        right=routes.arrives,
        max_new_tokens=routes.LONGEST_WALK + 1,
    )


def _recipe(
    start: Path,
    out: Path,
    seed: int,
    *,
    steps: int,
    objective: str = "dapo",
    dsdr: Dsdr | None = None,
) -> Recipe:
    return Recipe(
        task=_task(20_000, held_out=False),
        out=out,
        model=partial(tiny.load, start),
        seed=seed,
        steps=steps,
        problems_per_step=32,
        samples=8,
        updates=4,
        objective=objective,
        dsdr=dsdr,
        learning_rate=LEARNING_RATE,
        checkpoint_every=1_000_000,
        show_samples=0,
    )


def _measure(policy: PolicyModel, *, held_out: int) -> Mapping[str, float]:
    groups = attempts(policy, _task(held_out, held_out=True))
    return {**pass_rates(groups), "ways": _ways(groups)}


def _ways(groups: Sequence[Group]) -> float:
    """Different right answers of a problem that has one, on average; 0 where none has."""
    found = [
        len({r.outcome.trajectory.answer for r in group.rollouts if r.outcome.correct})
        for group in groups
    ]
    solved = [number for number in found if number]
    return sum(solved) / len(solved) if solved else 0.0

"""Staleness: how many updates of one rollout batch does an objective bear?

After the sweep of VESPO's paper (arXiv 2602.10693): the mini-batch of an update stays as it is, the
rollout batch grows, so that every run makes as many updates of as many attempts and differs in how
old they are alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from mmreason.training.claims import sums
from mmreason.training.claims.experiment import (
    Claim,
    Experiment,
    Grid,
    Size,
    View,
    base_recipe,
    make_arms,
    mean_length,
    measure_attempts,
    pass_rates,
)
from mmreason.training.claims.start import Lesson
from mmreason.training.rl.recipe import ObjectiveSettings
from mmreason.training.rollouts.types import Group

METHODS = ("grpo", "gspo", "sapo", "cispo", "vespo")
ADDENDS = 6
PROBLEMS_PER_UPDATE = 8
LEARNING_RATE = 5e-4


def build_experiment(size: Size) -> Experiment:
    """Five objectives at each staleness."""
    make_task = partial(sums.make_task, ADDENDS, max_new_tokens=ADDENDS + 1)
    task = make_task()
    lesson = Lesson(
        name=f"sums-{size.name}",
        words=sums.WORDS,
        task=task,
        demonstrate=partial(sums.demonstrate_sum, guess=0.6, slip=0.05, filler=0.0, hard=False),
        steps=500 // size.shrink,
    )
    # Larger rollout batches, fewer of them: as many updates on as many attempts.
    recipes = {
        n: base_recipe(
            task,
            steps=size.updates // n,
            problems_per_step=PROBLEMS_PER_UPDATE * n,
            updates=n,
            learning_rate=LEARNING_RATE,
        )
        for n in size.staleness
    }
    arms = make_arms(
        lesson,
        {
            f"{method} N={n}": replace(recipe, objective=ObjectiveSettings(formula=method))
            for n, recipe in recipes.items()
            for method in METHODS
        },
    )
    attempts_per_update = PROBLEMS_PER_UPDATE * recipes[size.staleness[0]].sampling.samples
    return Experiment(
        name="staleness",
        title="Stale rollouts: VESPO against GRPO, GSPO, SAPO and CISPO",
        about=(
            f"Chains of {ADDENDS} additions; demonstrators mostly guess. Each of {size.updates} "
            f"updates takes {attempts_per_update} attempts; a rollout batch serves N of "
            f"them. One learning rate, {LEARNING_RATE:g}, for all; constants of the papers. At "
            "N = 1 all ratios are 1, so that GRPO, GSPO and SAPO have one gradient, but for "
            "rounding."
        ),
        arms=arms,
        measure=partial(
            measure_attempts, task=make_task(held_out=True, count=size.held_out), figures=_figures
        ),
        figures={
            "pass@1": "share of right attempts on held-out problems",
            "pass@16": "share of problems with a right attempt among 16",
            "length": "tokens an attempt",
        },
        views=tuple(
            View(
                title=f"N = {n}: share of right attempts",
                metric="reward/correct",
                arms={method: f"{method} N={n}" for method in METHODS},
            )
            for n in size.staleness
        ),
        claims=tuple(_claims([n for n in size.staleness if n > 1])),
        grid=Grid(rows=METHODS, columns=tuple(f"N={n}" for n in size.staleness)),
    )


def _claims(stale: Sequence[int]) -> list[Claim]:
    above = [
        Claim(
            f"At N = {n}, VESPO is above {method.upper()}.",
            "pass@1",
            f"vespo N={n}",
            f"{method} N={n}",
        )
        for n in stale
        for method in METHODS
        if method != "vespo"
    ]
    falls = [
        Claim(
            f"From N = 1 to N = {n}, {method.upper()} falls.",
            "pass@1",
            f"{method} N={n}",
            f"{method} N=1",
            "lower",
        )
        for method in METHODS
        for n in stale[-1:]
    ]
    return above + falls


def _figures(groups: Sequence[Group]) -> Mapping[str, float]:
    return {**pass_rates(groups), "length": mean_length(groups)}

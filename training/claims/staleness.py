"""Staleness: how many updates of one rollout batch does an objective bear?

After the sweep of VESPO's paper (arXiv 2602.10693): the mini-batch of an update stays as it is, the
rollout batch grows, so that every run makes as many updates of as many attempts and differs in how
old they are alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mmreason.training.claims import sums, tiny
from mmreason.training.claims.demonstration import Demonstration
from mmreason.training.claims.experiment import Arm, Claim, Experiment, Grid, Size, View
from mmreason.training.claims.measuring import attempts, mean_length, pass_rates
from mmreason.training.claims.start import Lesson
from mmreason.training.claims.text_task import TextTask
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rl.recipe import Recipe

METHODS = ("grpo", "gspo", "sapo", "cispo", "vespo")
ADDENDS = 6
PROBLEMS_PER_UPDATE = 8
SAMPLES = 8
LEARNING_RATE = 5e-4


def experiment(size: Size) -> Experiment:
    """Five objectives at each staleness."""
    lesson = Lesson(
        name=f"sums-{size.name}",
        words=sums.WORDS,
        demonstrate=_demonstrate,
        steps=500 // size.shrink,
    )
    runs = [
        Arm(
            name=f"{method} N={n}",
            lesson=lesson,
            recipe=partial(_recipe, objective=method, staleness=n, updates=size.updates),
        )
        for n in size.staleness
        for method in METHODS
    ]
    stale = [n for n in size.staleness if n > 1]
    claims = [
        Claim(
            text=f"At N = {n}, VESPO is above {method.upper()}.",
            figure="pass@1",
            arm=f"vespo N={n}",
            against=f"{method} N={n}",
        )
        for n in stale
        for method in METHODS
        if method != "vespo"
    ]
    claims += [
        Claim(
            text=f"From N = 1 to N = {n}, {method.upper()} falls.",
            figure="pass@1",
            arm=f"{method} N={n}",
            against=f"{method} N=1",
            direction="lower",
        )
        for method in METHODS
        for n in stale[-1:]
    ]
    return Experiment(
        name="staleness",
        title="Stale rollouts: VESPO against GRPO, GSPO, SAPO and CISPO",
        about=(
            f"Chains of {ADDENDS} additions; demonstrators mostly guess. Each of {size.updates} "
            f"updates takes {PROBLEMS_PER_UPDATE * SAMPLES} attempts; a rollout batch serves N of "
            f"them. One learning rate, {LEARNING_RATE:g}, for all; constants of the papers. At "
            "N = 1 all ratios are 1, so that GRPO, GSPO and SAPO have one gradient, but for "
            "rounding."
        ),
        arms=(Arm(name="start", lesson=lesson, recipe=None), *runs),
        measure=partial(_measure, held_out=size.held_out),
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
        claims=tuple(claims),
        grid=Grid(rows=METHODS, columns=tuple(f"N={n}" for n in size.staleness)),
    )


def _demonstrate(index: int, draw: random.Random) -> Demonstration:
    problem = sums.problem(index, held_out=False, addends=ADDENDS)
    return sums.demonstrate(problem, draw, guess=0.6, slip=0.05, filler=0.0, hard=False)


def _task(count: int, *, held_out: bool) -> TextTask:
    return TextTask(
        name=f"sums of {ADDENDS}{', held out' if held_out else ''}",
        count=count,
        make=partial(sums.problem, held_out=held_out, addends=ADDENDS),
        right=sums.last_number,
        max_new_tokens=ADDENDS + 1,
    )


def _recipe(
    start: Path, out: Path, seed: int, *, objective: str, staleness: int, updates: int
) -> Recipe:
    return Recipe(
        task=_task(20_000, held_out=False),
        out=out,
        model=partial(tiny.load, start),
        seed=seed,
        steps=updates // staleness,
        problems_per_step=PROBLEMS_PER_UPDATE * staleness,
        samples=SAMPLES,
        updates=staleness,
        objective=objective,
        learning_rate=LEARNING_RATE,
        checkpoint_every=1_000_000,
        show_samples=0,
    )


def _measure(policy: PolicyModel, *, held_out: int) -> Mapping[str, float]:
    groups = attempts(policy, _task(held_out, held_out=True))
    return {**pass_rates(groups), "length": mean_length(groups)}

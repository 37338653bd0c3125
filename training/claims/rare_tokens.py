"""Rare spurious tokens: does silencing the improbable and certain ones help, as STAPO says?

After arXiv 2602.15620 and its ablations. Fillers in the demonstrations are tokens that earn nothing
and are rewarded with the answer they stand in; a hard addend, of which the start knows nothing,
makes other improbable tokens the ones to learn from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from mmreason.training.claims import sums
from mmreason.training.claims.experiment import (
    Arm,
    Claim,
    Experiment,
    Size,
    base_recipe,
    make_arms,
    make_views,
    mean_length,
    measure_attempts,
    pass_rates,
)
from mmreason.training.claims.start import Lesson
from mmreason.training.objectives import (
    PUBLISHED,
    Objective,
    TokenBatch,
    candidate_entropies,
    clipped,
    entropy_threshold,
    stapo_mask,
)
from mmreason.training.rl.recipe import ObjectiveSettings, Stapo
from mmreason.training.rollouts.types import Group

ADDENDS = 5
FILLER = 0.05
"""Share of the words of noisy demonstrations that have a filler before them."""
PROBABILITY = 0.05
"""Below this a token is rare: the paper's 0.002 is for a vocabulary of 150,000 words, here it has
37. A filler has about `FILLER` / 4, any number after the hard addend about 1 / 24."""
QUANTILE = 0.75


def build_experiment(size: Size) -> Experiment:
    """DAPO with and without noise, STAPO, and two masks that the paper warns of."""
    make_task = partial(sums.make_task, ADDENDS, max_new_tokens=2 * ADDENDS)
    task = make_task()
    noisy, clean = (
        Lesson(
            name=f"{'noisy' if filler else 'clean'}-sums-{size.name}",
            words=sums.WORDS,
            task=task,
            demonstrate=partial(
                sums.demonstrate_sum, guess=0.2, slip=0.05, filler=filler, hard=True
            ),
            steps=500 // size.shrink,
        )
        for filler in (FILLER, 0.0)
    )
    dapo = base_recipe(task, steps=60 // size.shrink, problems_per_step=32, updates=4)
    recipes = {
        "dapo": dapo,
        "stapo": replace(
            dapo,
            objective=ObjectiveSettings(stapo=Stapo(probability=PROBABILITY, quantile=QUANTILE)),
        ),
        "all rare masked": replace(dapo, objective=ObjectiveSettings(formula=_masking("all"))),
        "uncertain rare masked": replace(
            dapo, objective=ObjectiveSettings(formula=_masking("uncertain"))
        ),
    }
    # The arms without fillers start from another lesson.
    start, *trained = make_arms(noisy, recipes)
    arms = (
        Arm(name="start, no fillers", lesson=clean, recipe=None),
        start,
        Arm(name="dapo, no fillers", lesson=clean, recipe=dapo),
        *trained,
    )
    return Experiment(
        name="stapo",
        title="Rare spurious tokens: STAPO against DAPO and other masks",
        about=(
            f"Chains of {ADDENDS} additions. Demonstrators put a filler before {FILLER:.0%} of "
            f"their words and guess what follows the addend {sums.HARD}. Rare is below "
            f"{PROBABILITY:g}; STAPO silences the least uncertain {QUANTILE:.0%} of the rare "
            "tokens of right answers, `uncertain rare masked` the most uncertain "
            f"{QUANTILE:.0%}, `all rare masked` every one. Four updates a rollout batch, as "
            "published. The other masks divide by all tokens, STAPO by those kept. Ten seeds: five "
            "were planned, and left open whether STAPO is above DAPO (+0.012, -0.001 to +0.025)."
        ),
        arms=arms,
        seeds=10,
        measure=partial(
            measure_attempts, task=make_task(held_out=True, count=size.held_out), figures=_figures
        ),
        figures={
            "pass@1": "share of right attempts on held-out problems",
            "hard": "the same, of problems with the hard addend",
            "fillers": "filler words an attempt",
            "length": "tokens an attempt",
        },
        views=make_views(
            (arm.name for arm in arms if arm.recipe is not None),
            {
                "share of right attempts": "reward/correct",
                "entropy a token, nats": "entropy/mean",
            },
        ),
        claims=_CLAIMS,
    )


_CLAIMS = (
    Claim("STAPO is above DAPO.", "pass@1", "stapo", "dapo"),
    Claim("STAPO leaves fewer spurious tokens than DAPO.", "fillers", "stapo", "dapo", "lower"),
    Claim(
        "Masking all rare tokens is worse than STAPO.",
        "pass@1",
        "all rare masked",
        "stapo",
        "lower",
    ),
    Claim(
        "Masking the uncertain rare tokens is worse than STAPO.",
        "pass@1",
        "uncertain rare masked",
        "stapo",
        "lower",
    ),
    Claim(
        "Masking the uncertain rare tokens is worse than masking nothing.",
        "pass@1",
        "uncertain rare masked",
        "dapo",
        "lower",
    ),
)


def masked_clipped(
    batch: TokenBatch, *, which: Literal["all", "uncertain"], probability: float, quantile: float
) -> Tensor:
    """DAPO's terms, zero at rare tokens of rewarded sequences: at all of them, or at the share
    `quantile` of them where the policy is least certain. The batch is taken for the whole update.
    """
    terms = clipped(batch, clip_high=0.28)
    with torch.no_grad():
        # With an infinite threshold STAPO's mask leaves out every rare token.
        rare = ~stapo_mask(batch, torch.inf, probability=probability).keep
        if which == "uncertain" and batch.entropy is not None:
            entropies = candidate_entropies(batch, probability=probability)
            rare &= batch.entropy > entropy_threshold(entropies, 1 - quantile)
    return torch.where(rare, 0.0, terms)


def _masking(which: Literal["all", "uncertain"]) -> Objective:
    loss = partial(masked_clipped, which=which, probability=PROBABILITY, quantile=QUANTILE)
    return Objective(PUBLISHED["dapo"].advantage, loss, "token")


def _figures(groups: Sequence[Group]) -> Mapping[str, float]:
    hard = [g for g in groups if str(sums.HARD) in g.problem.question.split()[2:-1]]
    texts = [turn for g in groups for r in g.rollouts for turn in r.outcome.trajectory.turns]
    return {
        "pass@1": pass_rates(groups)["pass@1"],
        "hard": pass_rates(hard)["pass@1"],
        "fillers": sum(map(sums.count_fillers, texts)) / len(texts),
        "length": mean_length(groups),
    }

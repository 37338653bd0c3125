"""From the rewards of a step's attempts to an advantage for each.

Reward, shaping (overlong, DSDR), advantage, choice of groups: the pure functions of `objectives`
put in order. Leaves out everything about tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.training.objectives import (
    dsdr_reward,
    dsdr_shares,
    embedding_diversity,
    gdpo_advantage,
    keep_groups,
    overlong_penalty,
    unique_share,
    zero_variance_share,
)
from mmreason.training.parallel.processes import Figures, Gather
from mmreason.training.rl.batches import Row
from mmreason.training.rl.recipe import Dsdr, Recipe
from mmreason.training.rl.scales import KindScales
from mmreason.training.rl.words import embed_words
from mmreason.training.rollouts.types import Group, Rollout


@dataclass(frozen=True, eq=False, kw_only=True)
class Credit:
    """What the attempts of a step are worth."""

    rows: tuple[Row, ...]
    """To train on: those of dropped groups and of attempts without a reward are left out."""
    groups: int
    """Groups with rows."""
    attempts: int
    """Attempts that came through, with a reward or without."""
    figures: tuple[Figures, ...]


def assign(
    groups: Sequence[Group], recipe: Recipe, scales: KindScales, gather: Gather = list
) -> Credit:
    """Advantages of all attempts of one process. `scales` is updated where the recipe has them,
    from the attempts of all processes, which `gather` brings together."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    ids = [i for i, group in enumerate(groups) for _ in group.rollouts]
    places = [(g.place, i, r.sample) for i, g in enumerate(groups) for r in g.rollouts]
    group = torch.tensor(ids, dtype=torch.long)
    reward = torch.tensor([_number(r.scored.total) for r in rollouts], dtype=torch.float64)
    right = torch.tensor([_number(r.outcome.correct) for r in rollouts], dtype=torch.float64)
    figures = _reward_figures(rollouts, reward, right, group)
    shaped, shares = reward, torch.zeros_like(reward)
    if recipe.overlong is not None:
        shaped = shaped + overlong_penalty(
            torch.tensor([r.written for r in rollouts]),
            max_length=recipe.overlong.max_tokens,
            buffer=recipe.overlong.buffer_tokens,
        )
    if recipe.dsdr is not None and rollouts:
        shaped, shares, diversity = _diverse(rollouts, shaped, right == 1, group, recipe.dsdr)
        of_right = diversity[right == 1]
        if len(of_right):
            figures.append(({"dsdr/diversity": float(of_right.mean())}, len(of_right)))
        figures.append(({"dsdr/groups": float(len(torch.unique(group[right == 1])))}, 0.0))
    advantage = _advantage(rollouts, shaped, places, recipe, gather)
    if recipe.kind_scale_decay is not None:
        kinds = [rollout.problem.kind for rollout in rollouts]
        advantage = scales.scaled(advantage, kinds, recipe.kind_scale_decay, gather)
    keep = ~torch.isnan(reward)
    if recipe.dynamic_sampling and rollouts:
        weight = 0.0 if recipe.dsdr is None else recipe.dsdr.reward_weight
        chosen = keep_groups(right, group, diversity_weight=weight)
        dropped = float(len(set(ids)) - len(set(group[chosen.keep].tolist())))
        figures.append(({"groups/dropped": dropped}, 0.0))
        keep &= chosen.keep
    if len(advantage):
        ends = {"advantage/min": float(advantage.min()), "advantage/max": float(advantage.max())}
        figures.append((ends, 0.0))
    kept = [i for i, one in enumerate(keep.tolist()) if one]
    rows = [
        Row(
            sequence=sequence,
            rollout=rollouts[i],
            advantage=float(advantage[i]),
            share=float(shares[i]) / len(rollouts[i].sequences),
            place=places[i],
        )
        for i in kept
        for sequence in rollouts[i].sequences
    ]
    return Credit(
        rows=tuple(rows),
        groups=len({ids[i] for i in kept}),
        attempts=len(rollouts),
        figures=tuple(figures),
    )


def teaches(group: Group, recipe: Recipe) -> bool:
    """Whether dynamic sampling would keep the group: right and wrong answers in it, or, with a
    bonus for diversity, any right one. Always true without dynamic sampling."""
    if not recipe.dynamic_sampling:
        return True
    right = [r.outcome.correct for r in group.rollouts if r.outcome.correct is not None]
    solved_counts = recipe.dsdr is not None and recipe.dsdr.reward_weight > 0
    return any(right) and (solved_counts or not all(right))


def _number(value: float | bool | None) -> float:
    return math.nan if value is None else float(value)


def _advantage(
    rollouts: Sequence[Rollout],
    reward: Tensor,
    places: Sequence[tuple[int, int, int]],
    recipe: Recipe,
    gather: Gather,
) -> Tensor:
    """Of the rows of this process, taken over those of all: an objective may look at more than one
    group."""
    own = [
        (place, value, r.scored.total, r.scored.values if recipe.gdpo else {})
        for place, value, r in zip(places, reward.tolist(), rollouts, strict=True)
    ]
    every = sorted(gather(own), key=lambda row: row[0])
    if not every:
        return reward
    numbers = {one: i for i, one in enumerate(dict.fromkeys(place[:2] for place, *_ in every))}
    group = torch.tensor([numbers[place[:2]] for place, *_ in every], dtype=torch.long)
    shaped = torch.tensor([value for _, value, *_ in every], dtype=torch.float64)
    if recipe.gdpo:
        names = sorted({name for *_, values in every for name in values})
        columns = [[_number(values.get(name)) for name in names] for *_, values in every]
        table = torch.tensor(columns, dtype=torch.float64)
        table[torch.isnan(shaped)] = math.nan
        extra = shaped - shaped.new_tensor([_number(total) for _, _, total, _ in every])
        if bool((extra.nan_to_num() != 0).any()):
            # What shaping added is a component too.
            table = torch.cat([table, extra[:, None]], dim=1)
        found = gdpo_advantage(table, group)
    else:
        found = recipe.uses.advantage(shaped, group)
    at = {place: i for i, (place, *_) in enumerate(every)}
    return found[torch.tensor([at[place] for place in places], dtype=torch.long)]


def _diverse(
    rollouts: Sequence[Rollout], reward: Tensor, right: Tensor, group: Tensor, dsdr: Dsdr
) -> tuple[Tensor, Tensor, Tensor]:
    """Rewards with the bonus, shares of the entropy term, diversity."""
    measures = []
    if dsdr.embed is not None or dsdr.mentions is None:
        texts = [
            "\n".join(r.outcome.trajectory.turns) or r.outcome.trajectory.answer or " "
            for r in rollouts
        ]
        embedding = (dsdr.embed or embed_words)(texts)
        measures.append(
            embedding_diversity(embedding, group, correct=right, reference=dsdr.reference)
        )
    if dsdr.mentions is not None:
        items = [dsdr.mentions(rollout) for rollout in rollouts]
        measures.append(unique_share(items, group, correct=right, reference=dsdr.reference))
    diversity = torch.stack([one.double() for one in measures]).mean(dim=0)
    scored = right & ~torch.isnan(reward)
    shaped = dsdr_reward(reward, scored, diversity, weight=dsdr.reward_weight, cap=dsdr.cap)
    shares = dsdr_shares(diversity, scored, group, temperature=dsdr.temperature, cap=dsdr.cap)
    return shaped, shares, diversity


def _reward_figures(
    rollouts: Sequence[Rollout], reward: Tensor, right: Tensor, group: Tensor
) -> list[Figures]:
    faults = float(sum(bool(r.scored.faults) for r in rollouts))
    found: list[Figures] = [({"failures/rewards": faults}, 0.0)]
    known = reward[~torch.isnan(reward)]
    if not len(known):
        return found
    deviation = float(known.std()) if len(known) > 1 else 0.0
    rewards = {"reward/mean": float(known.mean()), "reward/deviation": deviation}
    found.append((rewards, len(known)))
    scored = len(torch.unique(group[~torch.isnan(reward)]))
    found.append(({"groups/zero_variance": zero_variance_share(reward, group)}, scored))
    for name in sorted({name for r in rollouts for name in r.scored.values}):
        values = [v for r in rollouts if (v := r.scored.values.get(name)) is not None]
        if values:
            found.append(({f"component/{name}": sum(values) / len(values)}, len(values)))
    judged = right[~torch.isnan(right)]
    if len(judged):
        kinds = keep_groups(right, group)
        total = kinds.mixed + kinds.solved + kinds.failed
        shares = {
            "groups/mixed": kinds.mixed / total,
            "groups/solved": kinds.solved / total,
            "groups/failed": kinds.failed / total,
        }
        found += [({"reward/correct": float(judged.mean())}, len(judged)), (shares, total)]
    return found

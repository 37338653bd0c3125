"""From the rewards of a step's rollouts to an advantage for each.

Reward, shaping (overlong, DSDR), advantage, choice of groups: the pure functions of `objectives`
put in order. Tokens are no business of this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmreason.training.objectives import (
    cheapness_bonus,
    dsdr_reward,
    dsdr_shares,
    embedding_diversity,
    gdpo_advantage,
    keep_groups,
    overlong_penalty,
    unique_share,
    zero_variance_share,
)
from mmreason.training.objectives.diversity import embed_bag_of_words
from mmreason.training.parallel.processes import Gather
from mmreason.training.rl.batches import TrainingRow
from mmreason.training.rl.recipe import Dsdr, ObjectiveSettings, Recipe
from mmreason.training.rl.recipe_parts import CostUnit
from mmreason.training.rollouts.types import Group, Rollout
from mmreason.training.runs.metrics import Metric

LEAST_SCALE = 1e-4
"""Scales of kinds below this are taken for it."""
RolloutKey = tuple[int, int, int]
"""(position of the problem in the run, number of the group in this process, sample): another for
every rollout of all processes, and in the order in which one process would have them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StepAdvantages:
    """What the rollouts of a step are worth."""

    rows: tuple[TrainingRow, ...]
    """To train on: those of dropped groups and of rollouts without a reward are not among them."""
    groups: int
    """Groups with rows."""
    rollouts: int
    """Rollouts that came through, with a reward or without."""
    metrics: Mapping[str, Metric]


@dataclass
class KindScales:
    """A scale for the rewards of each kind of problem, as a moving average over steps: root mean
    squares of centred rewards. Part of a checkpoint.

    Kinds with dense rewards (IoU) and with 0 or 1 then weigh alike, without dividing easy and hard
    problems of one kind by their own deviation (EMA-GRPO, OneThinker, arXiv 2512.03043).
    """

    squares: dict[str, float] = field(default_factory=dict)

    def scale(
        self, advantage: Tensor, kinds: Sequence[str], decay: float, gather: Gather = list
    ) -> Tensor:
        """(B,) centred rewards divided by the scale of their kind, which they update first.

        `gather` gives the values of all processes, so that all keep the same scales.

        Example:
            >>> scales = KindScales()
            >>> advantage = torch.tensor([2.0, -2.0, 0.5])
            >>> scales.scale(advantage, ["count", "count", "box"], 0.9).tolist()
            [1.0, -1.0, 1.0]
        """
        rows = {kind: torch.tensor([other == kind for other in kinds]) for kind in set(kinds)}
        # Sums and counts, not means: only these add up over processes with unequal rows.
        sums = [
            (kind, float(advantage[mask].square().sum()), int(mask.sum()))
            for kind, mask in rows.items()
        ]
        all_sums = gather(sums)
        # In one order everywhere, so that a checkpoint reads alike whichever process wrote it.
        for kind in sorted({kind for kind, _, _ in all_sums}):
            square = sum(total for other, total, _ in all_sums if other == kind)
            square /= sum(count for other, _, count in all_sums if other == kind)
            before = self.squares.get(kind)
            # Not begun with 0 (a step where all were right): what follows would be blown up.
            self.squares[kind] = decay * before + (1 - decay) * square if before else square
        scaled = advantage.clone()
        for kind, mask in rows.items():
            scaled[mask] = advantage[mask] / max(LEAST_SCALE, self.squares[kind] ** 0.5)
        return scaled


def compute_advantages(
    groups: Sequence[Group], recipe: Recipe, scales: KindScales, gather: Gather = list
) -> StepAdvantages:
    """Advantages of all rollouts of one process. `scales` is updated where the recipe has them,
    from the rollouts of all processes, which `gather` brings together."""
    objective = recipe.objective
    # 1) One row a rollout, NaN where a reward or a verdict is missing.
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    group_ids = [i for i, group in enumerate(groups) for _ in group.rollouts]
    # The position is that in the whole step: keys sort alike however processes share it out.
    keys = [(g.position, i, r.sample) for i, g in enumerate(groups) for r in g.rollouts]
    group = torch.tensor(group_ids, dtype=torch.long)
    reward = _to_column([r.scored.total for r in rollouts])
    is_right = _to_column([r.outcome.correct for r in rollouts])
    metrics = _reward_metrics(rollouts, reward, is_right, group)

    # 2) Shaping: rewards that look at lengths and at the other answers of the group.
    shaped, entropy_shares = reward, torch.zeros_like(reward)
    if objective.overlong is not None:
        shaped = shaped + overlong_penalty(
            torch.tensor([r.completion_tokens for r in rollouts]),
            max_length=objective.overlong.max_tokens,
            buffer=objective.overlong.buffer_tokens,
        )
    if objective.dsdr is not None and rollouts:
        shaped, entropy_shares, diversity = _reward_diversity(
            rollouts, shaped, is_right == 1, group, objective.dsdr
        )
        of_right = diversity[is_right == 1]
        if len(of_right):
            metrics["dsdr/diversity"] = Metric.mean(float(of_right.mean()), len(of_right))
        metrics["dsdr/groups"] = Metric.sum(len(torch.unique(group[is_right == 1])))

    if objective.tie_break_cost and rollouts:
        cost = _to_column([_cost_of(r, objective.tie_break_by) for r in rollouts])
        bonus = cheapness_bonus(shaped, cost, is_right == 1, group, most=objective.tie_break_cost)
        shaped = shaped + bonus
        metrics["groups/ties_broken"] = Metric.sum(len(torch.unique(group[bonus > 0])))

    # 3) Advantages, over the rollouts of all processes.
    advantage = _advantages_over_all(rollouts, shaped, keys, objective, gather)
    if objective.kind_scale_decay is not None:
        kinds = [rollout.problem.kind for rollout in rollouts]
        advantage = scales.scale(advantage, kinds, objective.kind_scale_decay, gather)

    # 4) Which of them are trained on.
    keep = ~torch.isnan(reward)
    if recipe.sampling.dynamic and rollouts:
        weight = 0.0 if objective.dsdr is None else objective.dsdr.reward_weight
        chosen = keep_groups(is_right, group, diversity_weight=weight)
        dropped = len(set(group_ids)) - len(set(group[chosen.keep].tolist()))
        metrics["groups/dropped"] = Metric.sum(dropped)
        keep &= chosen.keep
    if len(advantage):
        metrics["advantage/min"] = Metric.min(float(advantage.min()))
        metrics["advantage/max"] = Metric.max(float(advantage.max()))
    trained = keep.nonzero().flatten().tolist()
    rows = [
        TrainingRow(
            sequence=sequence,
            rollout=rollouts[i],
            advantage=float(advantage[i]),
            # The share is of the rollout; its rows divide it.
            entropy_share=float(entropy_shares[i]) / len(rollouts[i].sequences),
            rollout_key=keys[i],
        )
        for i in trained
        for sequence in rollouts[i].sequences
    ]
    return StepAdvantages(
        rows=tuple(rows),
        groups=len({group_ids[i] for i in trained}),
        rollouts=len(rollouts),
        metrics=metrics,
    )


def group_has_signal(group: Group, recipe: Recipe) -> bool:
    """Whether dynamic sampling would keep the group: right and wrong answers in it, or, with a
    bonus for diversity, any right one. Always true without dynamic sampling."""
    if not recipe.sampling.dynamic:
        return True
    # Before any advantage is known, so that the trainer can draw another group in its place.
    right = [r.outcome.correct for r in group.rollouts if r.outcome.correct is not None]
    solved_counts = recipe.objective.dsdr is not None and recipe.objective.dsdr.reward_weight > 0
    return any(right) and (solved_counts or not all(right))


def _to_column(values: Sequence[float | bool | None]) -> Tensor:
    """(B,) float64, NaN for None."""
    # Doubles: rewards that differ in the last digit must not make a signal of rounding.
    return torch.tensor([_as_number(value) for value in values], dtype=torch.float64)


def _as_number(value: float | bool | None) -> float:
    return math.nan if value is None else float(value)


def _cost_of(rollout: Rollout, unit: CostUnit) -> float | None:
    """What an episode cost; None where that is not known."""
    trajectory = rollout.outcome.trajectory
    if unit == "tokens":
        return rollout.completion_tokens
    return trajectory.tool_calls if unit == "tool_calls" else trajectory.frames_seen


def _advantages_over_all(
    rollouts: Sequence[Rollout],
    reward: Tensor,
    keys: Sequence[RolloutKey],
    objective: ObjectiveSettings,
    gather: Gather,
) -> Tensor:
    """(B,) of the rows of this process, taken over those of all: an objective may look at more than
    one group."""
    # 1) Rows of all processes, in the order in which one process would have them.
    local = [
        (key, value, r.scored.total, r.scored.values if objective.gdpo else {})
        for key, value, r in zip(keys, reward.tolist(), rollouts, strict=True)
    ]
    rows = sorted(gather(local), key=lambda row: row[0])
    if not rows:
        return reward
    # 2) Groups are numbered anew: a number is of one process only.
    group_keys = list(dict.fromkeys(key[:2] for key, *_ in rows))
    number_of = {group_key: i for i, group_key in enumerate(group_keys)}
    group = torch.tensor([number_of[key[:2]] for key, *_ in rows], dtype=torch.long)
    shaped = torch.tensor([value for _, value, *_ in rows], dtype=torch.float64)
    if objective.gdpo:
        # 3) GDPO: a column a component, and one for what shaping added where it added anything.
        names = sorted({name for *_, values in rows for name in values})
        columns = [[_as_number(values.get(name)) for name in names] for *_, values in rows]
        components = torch.tensor(columns, dtype=torch.float64)
        # A rollout without a reward counts in none of its components either.
        components[torch.isnan(shaped)] = math.nan
        added = shaped - shaped.new_tensor([_as_number(total) for _, _, total, _ in rows])
        # A column of zeros would have no deviation to be divided by.
        if bool((added.nan_to_num() != 0).any()):
            components = torch.cat([components, added[:, None]], dim=1)
        advantage = gdpo_advantage(components, group)
    else:
        advantage = objective.resolved_formula.advantage(shaped, group)
    # 4) Those of this process, in its own order.
    row_of = {key: i for i, (key, *_) in enumerate(rows)}
    return advantage[torch.tensor([row_of[key] for key in keys], dtype=torch.long)]


def _reward_diversity(
    rollouts: Sequence[Rollout], reward: Tensor, is_right: Tensor, group: Tensor, dsdr: Dsdr
) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) rewards with the bonus, (B,) shares of the entropy term, (B,) diversity."""
    measures = []
    # Words serve where nothing else is asked for; with `mentions` alone they stay out.
    if dsdr.embed is not None or dsdr.mentions is None:
        texts = [
            # Never an empty text, whose embedding would have no direction.
            "\n".join(r.outcome.trajectory.turns) or r.outcome.trajectory.answer or " "
            for r in rollouts
        ]
        embedding = (dsdr.embed or embed_bag_of_words)(texts)
        measures.append(
            embedding_diversity(embedding, group, correct=is_right, reference=dsdr.reference)
        )
    if dsdr.mentions is not None:
        items = [dsdr.mentions(rollout) for rollout in rollouts]
        measures.append(unique_share(items, group, correct=is_right, reference=dsdr.reference))
    diversity = torch.stack([measure.double() for measure in measures]).mean(dim=0)
    # Diversity is paid for right answers only: else a wrong one earns by being odd.
    is_rewarded = is_right & ~torch.isnan(reward)
    shaped = dsdr_reward(reward, is_rewarded, diversity, weight=dsdr.reward_weight, cap=dsdr.cap)
    entropy_shares = dsdr_shares(
        diversity, is_rewarded, group, temperature=dsdr.temperature, cap=dsdr.cap
    )
    return shaped, entropy_shares, diversity


def _reward_metrics(
    rollouts: Sequence[Rollout], reward: Tensor, is_right: Tensor, group: Tensor
) -> dict[str, Metric]:
    metrics = {"failures/rewards": Metric.sum(sum(bool(r.scored.faults) for r in rollouts))}
    has_reward = ~torch.isnan(reward)
    rewards = reward[has_reward]
    n = len(rewards)
    if not n:
        return metrics
    metrics["reward/mean"] = Metric.mean(float(rewards.mean()), n)
    # torch's deviation of a single value is NaN.
    metrics["reward/deviation"] = Metric.mean(float(rewards.std()) if n > 1 else 0.0, n)
    rewarded_groups = len(torch.unique(group[has_reward]))
    metrics["groups/zero_variance"] = Metric.mean(
        zero_variance_share(reward, group), rewarded_groups
    )
    for name in sorted({name for r in rollouts for name in r.scored.values}):
        values = [v for r in rollouts if (v := r.scored.values.get(name)) is not None]
        if values:
            metrics[f"component/{name}"] = Metric.mean(sum(values) / len(values), len(values))
    judged = is_right[~torch.isnan(is_right)]
    if len(judged):
        # Counted whether or not dynamic sampling drops the groups.
        kinds = keep_groups(is_right, group)
        total = kinds.mixed + kinds.solved + kinds.failed
        metrics["reward/correct"] = Metric.mean(float(judged.mean()), len(judged))
        metrics["groups/mixed"] = Metric.mean(kinds.mixed / total, total)
        metrics["groups/solved"] = Metric.mean(kinds.solved / total, total)
        metrics["groups/failed"] = Metric.mean(kinds.failed / total, total)
    return metrics

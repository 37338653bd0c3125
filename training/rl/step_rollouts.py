"""The rollouts of a step, and those on problems that are not trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from accelerate import Accelerator

from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import Sampler
from mmreason.training.parallel.processes import sum_over_processes
from mmreason.training.rl.advantages import group_has_signal
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rollouts.episode import Codec
from mmreason.training.rollouts.types import Group
from mmreason.training.runs.batches import problem_index_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where sampling stands in a run: steps and updates made, problems taken.

    Example:
        >>> Progress(step=2, updates=4, cursor=16).cursor
        16
    """

    step: int
    updates: int
    cursor: int
    """Position of the next problem in the endless list of `problem_index_at`."""


def sample_groups(
    recipe: Recipe,
    codec: Codec,
    sampler: Sampler,
    accelerator: Accelerator,
    progress: Progress,
) -> tuple[list[Group], int]:
    """This process's groups of a step, and the cursor behind them; with dynamic sampling, further
    problems are taken until enough groups have a signal."""
    per_round, count = recipe.sampling.problems_per_step, len(recipe.problems)
    rounds = recipe.sampling.dynamic_rounds if recipe.sampling.dynamic else 1
    sampling = Sampling(
        samples=recipe.sampling.samples,
        temperature=recipe.sampling.temperature,
        seed=recipe.seed,
        step=progress.step,
        policy_version=progress.updates,
    )
    cursor = progress.cursor
    groups: list[Group] = []
    for _ in range(rounds):
        # 1) Problems are dealt out to the processes in turn.
        first = cursor + accelerator.process_index
        positions = range(first, cursor + per_round, accelerator.num_processes)
        cursor += per_round
        indices = [problem_index_at(position, count, recipe.seed) for position in positions]
        # 2) Their rollouts; the epoch is part of the seeds.
        sampled = collect_rollouts(
            recipe.problems,
            [recipe.problems.problem(index) for index in indices],
            codec,
            sampler,
            sampling,
            epochs=[position // count for position in positions],
        )
        groups += [
            replace(group, position=position)
            for group, position in zip(sampled, positions, strict=True)
        ]
        # 3) Enough, over all processes?
        useful = sum(group_has_signal(group, recipe) for group in groups)
        if sum_over_processes(accelerator, [float(useful)])[0] >= per_round:
            break
    return groups, cursor

"""The rollouts of a step, and those on problems that are not trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from accelerate import Accelerator

from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import Sampler
from mmreason.training.parallel.processes import sum_over_processes
from mmreason.training.rl.advantages import group_has_signal
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rollouts.episode import Codec, Task
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
    per_round, count = recipe.sampling.problems_per_step, len(recipe.task)
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
            recipe.task,
            [recipe.task.problem(index) for index in indices],
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


def evaluate_held_out(
    task: Task, codec: Codec, sampler: Sampler, accelerator: Accelerator, *, problems: int
) -> dict[str, float]:
    """`eval/correct` and `eval/reward` over the first `problems` of the task, shared out among the
    processes: the likeliest answer to each. A problem without a rollout counts as wrong."""
    count = min(problems, len(task))
    indices = range(accelerator.process_index, count, accelerator.num_processes)
    likeliest = Sampling(samples=1, temperature=0.0, seed=0, step=0)
    groups = collect_rollouts(task, [task.problem(i) for i in indices], codec, sampler, likeliest)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    judged = [r.outcome.correct for r in rollouts if r.outcome.correct is not None]
    rewards = [r.scored.total for r in rollouts if r.scored.total is not None]
    # One sample a problem: a group without a rollout is an answer that is missing.
    missing = len(groups) - len(rollouts)
    # Sums and not means, as processes may have different numbers of problems.
    right, answers, reward, rewarded = sum_over_processes(
        accelerator, [sum(judged), len(judged) + missing, sum(rewards), len(rewards)]
    )
    metrics = {}
    if answers:
        metrics["eval/correct"] = right / answers
    if rewarded:
        metrics["eval/reward"] = reward / rewarded
    return metrics

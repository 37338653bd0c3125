"""Held-out problems answered by the model as it is."""

from __future__ import annotations

from accelerate import Accelerator

from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import Sampler
from mmreason.training.parallel.processes import sum_over_processes
from mmreason.training.rollouts.episode import Codec, Task


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

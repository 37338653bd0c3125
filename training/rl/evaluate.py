"""How the model does on problems that it is not trained on: one attempt each, the likeliest."""

from __future__ import annotations

from accelerate import Accelerator

from mmreason.training.generation.collect import Sampling, collect
from mmreason.training.generation.sampler import Sampler
from mmreason.training.parallel.processes import total
from mmreason.training.rollouts.episode import Codec, Task


def evaluate(
    task: Task, codec: Codec, sampler: Sampler, accelerator: Accelerator, *, problems: int
) -> dict[str, float]:
    """`eval/correct` and `eval/reward` over the first `problems` of the task, shared out among the
    processes. A problem without an attempt counts as wrong."""
    count = min(problems, len(task))
    places = range(accelerator.process_index, count, accelerator.num_processes)
    how = Sampling(samples=1, temperature=0.0, seed=0, step=0)
    groups = collect(task, [task.problem(i) for i in places], codec, sampler, how)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    judged = [r.outcome.correct for r in rollouts if r.outcome.correct is not None]
    rewards = [r.scored.total for r in rollouts if r.scored.total is not None]
    missing = len(groups) - len(rollouts)
    sums = total(
        accelerator,
        [sum(judged), len(judged) + missing, sum(rewards), len(rewards)],
    )
    found = {}
    if sums[1]:
        found["eval/correct"] = sums[0] / sums[1]
    if sums[3]:
        found["eval/reward"] = sums[2] / sums[3]
    return found

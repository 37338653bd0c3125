"""Metrics of a step's rollouts: lengths, turns, tools and failures."""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.training.rollouts.types import Group, Rollout
from mmreason.training.runs.metrics import Metric


def measure_rollouts(groups: Sequence[Group]) -> dict[str, Metric]:
    """Lengths, turns, tools and failures of one process's groups."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    metrics = {
        "failures/groups": Metric.sum(sum(not group.rollouts for group in groups)),
        "failures/samples": Metric.sum(sum(len(g.failures) for g in groups if g.rollouts)),
    }
    # Means of no rollouts are not numbers; counts of failures are.
    n = len(rollouts)
    if not n:
        return metrics
    lengths = [rollout.completion_tokens for rollout in rollouts]
    metrics |= {
        "length/mean": Metric.mean(sum(lengths) / n, n),
        "length/max": Metric.max(max(lengths)),
        "length/truncated": Metric.mean(sum(r.truncated for r in rollouts) / n, n),
        "length/sequences": Metric.mean(sum(len(r.sequences) for r in rollouts) / n, n),
        "turns/mean": Metric.mean(sum(r.outcome.turns for r in rollouts) / n, n),
    }
    # Tasks without tools have no calls, which is not the same as none made.
    calls = [rollout.outcome.trajectory.tool_calls for rollout in rollouts]
    if any(count is not None for count in calls):
        errors = sum(rollout.outcome.tool_errors for rollout in rollouts)
        metrics["tools/calls"] = Metric.mean(sum(count or 0 for count in calls) / n, n)
        metrics["tools/errors"] = Metric.mean(errors / n, n)
    return metrics | _sampled_entropy(rollouts)


def _sampled_entropy(rollouts: Sequence[Rollout]) -> dict[str, Metric]:
    with_logprobs = [
        sequence
        for rollout in rollouts
        for sequence in rollout.sequences
        if sequence.logprobs is not None
    ]
    tokens = sum(sequence.completion_tokens for sequence in with_logprobs)
    if not tokens:
        return {}
    # The mean surprise of sampled tokens is an estimate of the entropy that costs nothing.
    nats = -sum(sum(sequence.logprobs or ()) for sequence in with_logprobs)
    return {"entropy/sampled": Metric.mean(nats / tokens, tokens)}

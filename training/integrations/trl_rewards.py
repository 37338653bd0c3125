"""Our rewards as reward functions of TRL.

    TrlReward(Combination((Component(name="correct", reward=correct),)), truths_by_id(problems))

TRL calls it with lists, one entry a completion: prompts, completions, token ids and every column of
the data set. Completions come as a text, or as messages from which TRL's
parser has taken thoughts and tool calls out: these are put back, for rewards alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmreason.training.integrations.trl_environment import conduct_of
from mmreason.training.rewards import Combination, Trajectory, Truth, from_turns
from mmreason.training.rollouts.types import Problem
from mmreason.types import UsageError

FindTruth = Callable[[Mapping[str, Any]], Truth]
"""What is known of a row of the data set."""


def truths_by_id(problems: Iterable[Problem], *, column: str = "id") -> FindTruth:
    """Truths by the problem's id in a column, as `export` writes it."""
    truths = {problem.id: problem.truth for problem in problems}

    def find(row: Mapping[str, Any]) -> Truth:
        key = row.get(column)
        if key not in truths:
            raise UsageError(f"no problem has the id {key!r} of a row's column {column!r}")
        return truths[key]

    return find


class TrlReward:
    """A reward function for TRL's `reward_funcs`, from a combination of ours.

    Gives the total, or None where there is none (TRL leaves such rows out). The mean of each
    component goes to TRL's log, faults are counted there. `name` is the column in it.
    """

    def __init__(self, combination: Combination, truth: FindTruth, *, name: str = "reward"):
        self._combination = combination
        self._truth = truth
        self.__name__ = name

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        environments: Sequence[Any] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One total a completion. TRL's signature, hence the open list of columns."""
        totals, values, faults = [], {}, 0
        for i, completion in enumerate(completions):
            # TRL passes columns and settings alike: lists of the batch's length are columns.
            row = {name: of[i] for name, of in columns.items() if _is_column(of, completions)}
            truth = self._truth(row)
            environment = environments[i] if environments is not None else None
            ids = completion_ids[i] if completion_ids is not None else None
            scored = self._combination(read_trajectory(completion, ids, truth, environment), truth)
            totals.append(scored.total)
            faults += bool(scored.faults)
            for name, value in scored.values.items():
                if value is not None:
                    values.setdefault(name, []).append(value)
        if log_metric is not None:
            for name, component_values in values.items():
                log_metric(f"component/{name}", sum(component_values) / len(component_values))
            log_metric("failures/rewards", float(faults))
        return totals


def read_trajectory(
    completion: Any, completion_ids: Sequence[int] | None, truth: Truth, environment: Any = None
) -> Trajectory:
    """What rewards see of a completion, a text or messages.

    Tokens are counted only where no tool answered: TRL's ids hold the answers too.
    """
    # Unknown is better than wrong: a reward for length would punish what tools said.
    tokens_out = None
    if completion_ids is not None and not has_tool_replies(completion):
        tokens_out = len(completion_ids)
    trajectory = from_turns(written_turns(completion), frame=truth.frame, tokens_out=tokens_out)
    conduct = conduct_of(environment)
    if conduct is None:
        return trajectory
    visits, calls = conduct
    return replace(trajectory, visits=visits, tool_calls=calls)


def _is_column(values: Any, completions: Sequence[Any]) -> bool:
    return isinstance(values, list) and len(values) == len(completions)


def written_turns(completion: Any) -> list[str]:
    """The model's own turns in order, thoughts and calls in our tags.

    Example:
        >>> written_turns([{"role": "assistant", "reasoning_content": "hm", "content": "red"}])
        ['<think>hm</think>red']
    """
    if isinstance(completion, str):
        return [completion]
    return [_turn(message) for message in completion if message.get("role") == "assistant"]


def has_tool_replies(completion: Any) -> bool:
    """Whether a tool answered, so that not all of the completion's tokens are the model's."""
    return not isinstance(completion, str) and any(m.get("role") == "tool" for m in completion)


def _turn(message: Mapping[str, Any]) -> str:
    texts = []
    if message.get("reasoning_content"):
        texts.append(f"<think>{message['reasoning_content']}</think>")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    texts.append(content or "")
    for call in message.get("tool_calls") or ():
        # As our own tasks write calls, so that rewards on format read both alike.
        texts.append(f"<tool>{json.dumps(call.get('function'), ensure_ascii=False)}</tool>")
    return "".join(texts)

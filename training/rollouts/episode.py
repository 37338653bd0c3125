"""What a task is, and what passes between one episode of a problem and whoever drives it.

An episode is a generator without I/O: it yields what it wants written or observed and is sent the
result. So hundreds run together (`generation/collect.py`), and a test can play the model. The tasks
are in `mmreason.training.tasks`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from mmreason.models.base import Conversation
from mmreason.tools.calls import ModelRequest
from mmreason.training.rewards import Scored
from mmreason.training.rollouts.types import Completion, Outcome, Problem, Prompt


@dataclass(frozen=True, slots=True, eq=False)
class TurnRequest:
    """A turn of the model that is trained.

    Example:
        >>> TurnRequest(Prompt((1, 2, 3)), max_new_tokens=64).max_new_tokens
        64
    """

    prompt: Prompt
    max_new_tokens: int


Episode = Generator[TurnRequest | ModelRequest, Any, Outcome]
"""Sent a `Completion` for a `TurnRequest`, a list of `Reply` for a `ModelRequest` to some other
model (or an error of `mmreason.tools.calls.FAILURES` is thrown in)."""


class Codec(Protocol):
    """Turns conversations into the token ids of the model that is trained."""

    def encode_prompt(self, conversation: Conversation) -> Prompt:
        """What the model reads before its next turn. Raises UsageError for what it cannot."""
        ...

    def encode_conversation(self, conversation: Conversation, *, ask: bool) -> Prompt:
        """The tokens of a conversation as it stands, its answers with their end tokens; with `ask`
        up to where the model is to write. Raises UsageError for what it cannot."""
        ...

    def continue_prompt(
        self,
        prompt: Prompt,
        completion: Completion,
        before: Conversation,
        conversation: Conversation,
    ) -> Prompt:
        """The prompt of the next turn. `prompt` was made of the messages `before`, `completion`
        came after it. Where `conversation` goes on from there, the result begins with exactly the
        tokens read and written; else it is `encode_prompt(conversation)`."""
        ...


class Task(Protocol):
    """Yields problems and scores rollouts. Picklable, and the same whenever it is made anew."""

    @property
    def name(self) -> str: ...

    def __len__(self) -> int:
        """Number of problems."""
        ...

    def problem(self, index: int) -> Problem:
        """Problem `index`, from 0."""
        ...

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """`count` episodes, which share what is read of the video. Raises one of
        `mmreason.tools.calls.FAILURES` where the problem cannot be shown: it has no rollouts."""
        ...

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """What an episode earns. Never raises."""
        ...


@runtime_checkable
class ScoresTogether(Protocol):
    """A task whose rewards are computed for all rollouts of a step at once: those that ask others
    then wait for several answers together."""

    def score_all(
        self, problems: Sequence[Problem], outcomes: Sequence[Outcome]
    ) -> Sequence[Scored]:
        """What each episode earns; `problems` has the problem of each. Never raises."""
        ...


@runtime_checkable
class VariesBySteps(Protocol):
    """A task that shows its problems in another way at every step."""

    def at_step(self, step: int) -> Task:
        """The task as it is at a step, counted from 0."""
        ...


def score_outcomes(
    task: Task, problems: Sequence[Problem], outcomes: Sequence[Outcome]
) -> Sequence[Scored]:
    """What each outcome earns, together where the task can."""
    if isinstance(task, ScoresTogether):
        return task.score_all(problems, outcomes)
    return [task.score(p, outcome) for p, outcome in zip(problems, outcomes, strict=True)]

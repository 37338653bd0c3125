"""What a task is, and what passes between one attempt at a problem and whoever drives it.

An episode is a generator without I/O: it yields what it wants written or observed and is sent the
result. So hundreds run together (`collect.py`), and a test can play the model. Leaves out the
tasks (`single.py`, `agentic.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mmreason.models.base import Conversation
from mmreason.tools.calls import ModelRequest
from mmreason.training.rewards import Scored
from mmreason.training.rollouts.types import Outcome, Problem, Prompt, Written


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A turn of the model that is trained."""

    prompt: Prompt
    max_new_tokens: int


Episode = Generator[Ask | ModelRequest, Any, Outcome]
"""Sent a `Written` for an `Ask`, a list of `Reply` for a `ModelRequest` to some other model (or an
error of `mmreason.tools.calls.FAILURES` is thrown in)."""


class Codec(Protocol):
    """Turns conversations into the token ids of the model that is trained, and back."""

    def prompt(self, conversation: Conversation) -> Prompt:
        """What the model reads before its next turn. Raises UsageError for what it cannot."""
        ...

    def continued(
        self, prompt: Prompt, written: Written, before: Conversation, conversation: Conversation
    ) -> Prompt:
        """The prompt of the next turn. `prompt` was made of the messages `before`, `written` came
        after it. Where `conversation` goes on from there, the result begins with exactly the tokens
        read and written; else it is `prompt(conversation)`."""
        ...


class Task(Protocol):
    """Yields problems and scores attempts. Picklable, and the same whenever it is made anew."""

    @property
    def name(self) -> str: ...

    def __len__(self) -> int:
        """Number of problems."""
        ...

    def problem(self, index: int) -> Problem:
        """Problem `index`, from 0."""
        ...

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """`count` attempts, which share what is read of the video. Raises one of
        `mmreason.tools.calls.FAILURES` where the problem cannot be shown; it is then left out."""
        ...

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """What an attempt earns. Never raises."""
        ...

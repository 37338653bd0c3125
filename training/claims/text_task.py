"""A task of one question and one answer in words, right or wrong by a rule; what a teacher shows.

The problems themselves are in `sums` and `routes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmreason.models.base import Message, TextPart
from mmreason.training.rewards import Combination, Component, Reward, Scored, Trajectory
from mmreason.training.rollouts.episode import Codec, Episode, TurnRequest
from mmreason.training.rollouts.types import Completion, Outcome, Problem, Prompt

TRAINING_PROBLEMS = 20_000
"""More than any run draws."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A text of words, of which a supervised start learns every other turn.

    Example:
        >>> Demonstration(("sum 7 2 9 =", "9 18")).turns[1]
        '9 18'
    """

    turns: tuple[str, ...]
    """Read, written, read, written, ...; the end token follows each written turn."""


@dataclass(frozen=True, kw_only=True)
class TextTask:
    """`count` problems, made on demand. See `Task`."""

    name: str
    count: int
    make: Callable[[int], Problem]
    right: Reward
    """1 for a right answer, else 0; the whole reward."""
    max_new_tokens: int

    def __len__(self) -> int:
        return self.count

    def problem(self, index: int) -> Problem:
        """See `Task`."""
        return self.make(index)

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`."""
        prompt = codec.encode_prompt([Message("user", (TextPart(problem.question),))])
        return [self._episode(problem, prompt) for _ in range(count)]

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """See `Task`."""
        # The rule is all of the reward: format and length earn nothing.
        reward = Combination((Component(name="right", reward=self.right),))
        return reward(outcome.trajectory, problem.truth)

    def _episode(self, problem: Problem, prompt: Prompt) -> Episode:
        written: Completion = yield TurnRequest(prompt, self.max_new_tokens)
        trajectory = Trajectory(
            answer=written.text, turns=(written.text,), tokens_out=len(written.token_ids)
        )
        # An answer that never ended is wrong, or the last words of endless ones would count.
        is_right = written.is_finished and self.right(trajectory, problem.truth) == 1.0
        if not is_right:
            trajectory = Trajectory(
                answer="", turns=trajectory.turns, tokens_out=trajectory.tokens_out
            )
        return Outcome(trajectory=trajectory, correct=is_right)

"""A task of one question and one answer in words, right or wrong by a rule.

Leaves out the problems themselves (`sums.py`, `routes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmreason.models.base import Message, TextPart
from mmreason.training.rewards import Combination, Component, Reward, Scored, Trajectory
from mmreason.training.rollouts.episode import Codec, Episode, TurnRequest
from mmreason.training.rollouts.types import Completion, Outcome, Problem, Prompt


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
        reward = Combination((Component(name="right", reward=self.right),))
        return reward(outcome.trajectory, problem.truth)

    def _episode(self, problem: Problem, prompt: Prompt) -> Episode:
        written: Completion = yield TurnRequest(prompt, self.max_new_tokens)
        seen = Trajectory(
            answer=written.text, turns=(written.text,), tokens_out=len(written.token_ids)
        )
        # An answer that never ended is wrong, or the last words of endless ones would count.
        right = written.is_finished and self.right(seen, problem.truth) == 1.0
        if not right:
            seen = Trajectory(answer="", turns=seen.turns, tokens_out=seen.tokens_out)
        return Outcome(trajectory=seen, correct=right)

"""Tasks of one turn: a question, perhaps with frames, and the answer to it.

Rows of one's own come from `data/problem_file.py`; tasks with tools are in `agentic.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmreason.models.base import Conversation
from mmreason.training.rewards import (
    Combination,
    Scored,
    Trajectory,
    Truth,
    as_combination,
    correct,
    from_turns,
)
from mmreason.training.rollouts.episode import Codec, Episode, TurnRequest
from mmreason.training.rollouts.types import Completion, Outcome, Problem, Prompt


@dataclass(frozen=True, kw_only=True)
class SingleTurn:
    """A task of rows. See `Task`.

    `show` gives the messages of a problem, frames and all; it is called once a group and may raise
    `VideoError`, which leaves the problem out.
    """

    name: str
    problems: Sequence[Problem]
    show: Callable[[Problem], Conversation]
    reward: Combination
    judge: Callable[[Trajectory, Truth], float | None] = correct
    """Whether an answer is right, 0 or 1; None where that cannot be told."""
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        """A plain function as `reward` is taken for a combination of it alone."""
        object.__setattr__(self, "reward", as_combination(self.reward))

    def __len__(self) -> int:
        return len(self.problems)

    def problem(self, index: int) -> Problem:
        """See `Task`."""
        return self.problems[index]

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`."""
        # Frames are read and processed once for all episodes.
        prompt = codec.encode_prompt(self.show(problem))
        return [self._episode(problem, prompt) for _ in range(count)]

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """See `Task`."""
        return self.reward(outcome.trajectory, problem.truth)

    def score_all(
        self, problems: Sequence[Problem], outcomes: Sequence[Outcome]
    ) -> Sequence[Scored]:
        """See `ScoresTogether`."""
        return score_together(self.reward, problems, outcomes)

    def _episode(self, problem: Problem, prompt: Prompt) -> Episode:
        completion: Completion = yield TurnRequest(prompt, self.max_new_tokens)
        trajectory = from_turns(
            [completion.text], frame=problem.truth.frame, tokens_out=len(completion.token_ids)
        )
        is_right = judge_answer(self.judge, trajectory, problem.truth)
        return Outcome(trajectory=trajectory, correct=is_right)


def score_together(
    reward: Combination, problems: Sequence[Problem], outcomes: Sequence[Outcome]
) -> Sequence[Scored]:
    """What each outcome earns, its rewards called together where they can be."""
    trajectories = [outcome.trajectory for outcome in outcomes]
    return reward.score_all(trajectories, [problem.truth for problem in problems])


def judge_answer(
    judge: Callable[[Trajectory, Truth], float | None], trajectory: Trajectory, truth: Truth
) -> bool | None:
    """Whether an answer is right. ValueError for a judge that raises, or gives no number: it may be
    the user's own, and costs the rollout.

    Example:
        >>> judge_answer(correct, Trajectory(answer="Yes."), Truth(answer="yes"))
        True
    """
    try:
        value = judge(trajectory, truth)
        return None if value is None else float(value) == 1.0
    except Exception as error:
        raise ValueError(f"the judge failed ({type(error).__name__}: {error})") from error

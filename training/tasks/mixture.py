"""Several tasks as one, so that a run learns all of them at once and forgets none.

Rewards of different tasks are not weighed against each other: groups are compared within
themselves, and `Recipe.kind_scale_decay` keeps a scale by kind of problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmreason.training.rewards import Scored
from mmreason.training.rollouts.episode import (
    Codec,
    Episode,
    Task,
    VariesBySteps,
    score_outcomes,
)
from mmreason.training.rollouts.types import Outcome, Problem
from mmreason.types import UsageError


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Tasks in turn, each as many problems at a time as its share says. See `Task`.

    Raises UsageError without tasks, and for shares below 1.

    Example::

        Mixture(parts=((boxes, 2), (plays, 1)))  # problems 0 and 1 are boxes, 2 is a play, ...
    """

    parts: tuple[tuple[Task, int], ...]
    """Tasks with their shares: ((boxes, 2), (plays, 1)) gives two boxes to a play."""

    def __post_init__(self) -> None:
        if not self.parts or any(per_turn < 1 for _, per_turn in self.parts):
            raise UsageError("a mixture needs at least one task, and shares of at least 1")

    @property
    def name(self) -> str:
        return "mixture/" + "+".join(f"{per_turn}x{task.name}" for task, per_turn in self.parts)

    def __len__(self) -> int:
        """Whole turns only: the shortest task ends them."""
        turns = min(len(task) // per_turn for task, per_turn in self.parts)
        return turns * self._period

    def problem(self, index: int) -> Problem:
        """See `Task`. Its id begins with the number of its part."""
        # A turn takes each task's next problems, in the order of the tasks.
        turn, offset = divmod(index, self._period)
        for number, (task, per_turn) in enumerate(self.parts):
            if offset < per_turn:
                # Ids are part of seeds: two tasks may have problems of one name.
                problem = task.problem(turn * per_turn + offset)
                return replace(problem, id=f"{number}:{problem.id}")
            offset -= per_turn
        raise AssertionError(index)

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`."""
        task, inner = self._find_task(problem)
        return task.episodes(inner, codec, count)

    def at_step(self, step: int) -> Mixture:
        """See `VariesBySteps`."""
        return replace(
            self,
            parts=tuple(
                (task.at_step(step) if isinstance(task, VariesBySteps) else task, per_turn)
                for task, per_turn in self.parts
            ),
        )

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """See `Task`."""
        task, inner = self._find_task(problem)
        return task.score(inner, outcome)

    def score_all(
        self, problems: Sequence[Problem], outcomes: Sequence[Outcome]
    ) -> Sequence[Scored]:
        """See `ScoresTogether`: the outcomes of each task together."""
        of_task: dict[int, list[int]] = {}
        for i, problem in enumerate(problems):
            of_task.setdefault(int(problem.id.partition(":")[0]), []).append(i)
        scored: dict[int, Scored] = {}
        for number, indices in of_task.items():
            inner = [self._find_task(problems[i])[1] for i in indices]
            of_part = score_outcomes(self.parts[number][0], inner, [outcomes[i] for i in indices])
            scored |= zip(indices, of_part, strict=True)
        return [scored[i] for i in range(len(problems))]

    @property
    def _period(self) -> int:
        """Problems of a turn."""
        return sum(per_turn for _, per_turn in self.parts)

    def _find_task(self, problem: Problem) -> tuple[Task, Problem]:
        """The task that a problem is of, and the problem as it knows it."""
        number, _, name = problem.id.partition(":")
        return self.parts[int(number)][0], replace(problem, id=name)

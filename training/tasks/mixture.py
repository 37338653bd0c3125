"""Several tasks as one, so that a run learns all of them at once and forgets none.

Leaves out weighing their rewards against each other: groups are compared within themselves, and
`Recipe.kind_scale_decay` keeps a scale by kind of problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmreason.training.rewards import Scored
from mmreason.training.rollouts.episode import Codec, Episode, Task
from mmreason.training.rollouts.types import Outcome, Problem
from mmreason.types import UsageError


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Tasks in turn, each as many problems at a time as its share says. See `Task`.

    Raises UsageError without tasks, and for shares below 1.
    """

    parts: tuple[tuple[Task, int], ...]
    """Tasks with their shares: ((boxes, 2), (plays, 1)) gives two boxes to a play."""

    def __post_init__(self) -> None:
        if not self.parts or any(share < 1 for _, share in self.parts):
            raise UsageError("a mixture needs at least one task, and shares of at least 1")

    @property
    def name(self) -> str:
        return "mixture/" + "+".join(f"{share}x{task.name}" for task, share in self.parts)

    def __len__(self) -> int:
        """Whole turns only: the shortest task ends them."""
        return min(len(task) // share for task, share in self.parts) * self._period

    def problem(self, index: int) -> Problem:
        """See `Task`. Its id begins with the number of its part."""
        turn, place = divmod(index, self._period)
        for part, (task, share) in enumerate(self.parts):
            if place < share:
                problem = task.problem(turn * share + place)
                return replace(problem, id=f"{part}:{problem.id}")
            place -= share
        raise AssertionError(index)

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`."""
        task, own = self._own(problem)
        return task.episodes(own, codec, count)

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """See `Task`."""
        task, own = self._own(problem)
        return task.score(own, outcome)

    @property
    def _period(self) -> int:
        return sum(share for _, share in self.parts)

    def _own(self, problem: Problem) -> tuple[Task, Problem]:
        """The task that a problem is of, and the problem as it knows it."""
        part, _, name = problem.id.partition(":")
        return self.parts[int(part)][0], replace(problem, id=name)

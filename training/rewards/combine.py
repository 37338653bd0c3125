"""Several rewards as one number, with the value of each kept for the log.

A reward is called for one trajectory, for many at once, or awaited (`scoring.py`). Normalising over
a group of trajectories is an advantage (`mmreason.training.objectives`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mmreason.training.rewards.scoring import compute_values, is_awaited, is_batched
from mmreason.training.rewards.types import AnyReward, Trajectory, Truth
from mmreason.types import UsageError

OnFailure = Literal["skip", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One reward in a sum. Raises UsageError for weights and bounds that are none.

    Example:
        >>> Component(name="short", reward=lambda trajectory, truth: 0.5, weight=0.1).bounds
        (0.0, 1.0)
    """

    name: str
    reward: AnyReward
    weight: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)
    """The range that the reward states, before the weight; infinite ends are allowed."""
    batched: bool = field(default=False, metadata={"came_later": True})
    """The reward takes sequences of trajectories and of truths, and gives a value for each: a
    number, None, or an exception that says why there is none. Known by itself where its parameters
    are called `trajectories` and `truths`."""
    at_once: int = field(default=8, metadata={"moves_numbers": False})
    """Of a coroutine: most that run together."""
    timeout_s: float = field(default=600.0, metadata={"moves_numbers": False})
    """Of a coroutine: longest wait for a value."""
    on_failure: OnFailure = field(default="skip", metadata={"moves_numbers": False})
    """Rollouts that it is at fault for are left out. With "stop" a run ends where it is at fault
    for all rollouts of a step, as a judge that is down is."""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not math.isfinite(self.weight):
            raise UsageError(f"the weight of {self.name!r} must be finite, got {self.weight}")
        if not low < high:
            raise UsageError(f"the bounds of {self.name!r} must be (low, high), got {self.bounds}")
        if self.at_once < 1 or not self.timeout_s > 0 or self.on_failure not in ("skip", "stop"):
            raise UsageError(
                f"{self.name!r} needs at_once >= 1, timeout_s > 0 and on_failure 'skip' or 'stop', "
                f"got {self.at_once}, {self.timeout_s} and {self.on_failure!r}"
            )
        object.__setattr__(self, "batched", self.batched or is_batched(self.reward))

    @property
    def is_slow(self) -> bool:
        """Whether it may wait for others, such as a judge: it is not tried out before a run."""
        return self.batched or is_awaited(self.reward)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a combination gave for one trajectory.

    Example:
        >>> Scored(total=1.0, values={"answer": 1.0, "time": None}).faults
        {}
    """

    total: float | None
    """Weighted sum of the components that apply. None where none does, or where one is at fault:
    the trajectory is then to be left out, not to be trained on with a part of its reward."""
    values: Mapping[str, float | None]
    """Unweighted, by name, every component; None where it does not apply or is at fault."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """By name, in one line, why a component gave no usable value."""
    stopping: frozenset[str] = frozenset()
    """Those at fault that end a run where they are so for all rollouts of a step."""


@dataclass(frozen=True, slots=True)
class Combination:
    """A weighted sum of named rewards. Picklable where its rewards are.

    A component that does not apply counts for nothing; weights are not scaled up for the others,
    so that a point is worth the same in every problem. One that raises, or gives what is no number
    within its bounds, is a fault of that trajectory (`Scored.faults`) and never of the run. Raises
    UsageError for names that are not different.

    Example:
        >>> half = Component(name="half", reward=lambda trajectory, truth: 0.5, weight=2.0)
        >>> Combination((half,))(Trajectory(answer="red"), Truth()).total
        1.0
    """

    components: tuple[Component, ...]

    def __post_init__(self) -> None:
        names = [component.name for component in self.components]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"a combination needs components of different names, got {names}")

    @property
    def bounds(self) -> tuple[float, float]:
        """Range of the total."""
        # A component may not apply, and then gives 0. Infinity times a weight of 0 is not a number.
        ranges = [[c.weight * end for end in c.bounds] for c in self.components if c.weight]
        return sum(min(0.0, *ends) for ends in ranges), sum(max(0.0, *ends) for ends in ranges)

    def __call__(self, trajectory: Trajectory, truth: Truth) -> Scored:
        return self.score_all([trajectory], [truth])[0]

    def score_all(
        self, trajectories: Sequence[Trajectory], truths: Sequence[Truth]
    ) -> list[Scored]:
        """One a trajectory, in order: batched components are called once, coroutines run together.

        Example:
            >>> def counted(trajectories, truths):
            ...     return [1 / len(trajectories)] * len(trajectories)
            >>> shared = Combination((Component(name="shared", reward=counted),))
            >>> [s.total for s in shared.score_all([Trajectory(answer="a")] * 2, [Truth()] * 2)]
            [0.5, 0.5]
        """
        columns = [
            compute_values(
                component.reward,
                trajectories,
                truths,
                component.bounds,
                batched=component.batched,
                at_once=component.at_once,
                timeout_s=component.timeout_s,
            )
            for component in self.components
        ]
        scored = []
        for row in range(len(trajectories)):
            values = {
                component.name: column[row].value
                for component, column in zip(self.components, columns, strict=True)
            }
            faults = {
                component.name: column[row].fault
                for component, column in zip(self.components, columns, strict=True)
                if column[row].fault
            }
            scored.append(self._weigh(values, faults))
        return scored

    def _weigh(self, values: dict[str, float | None], faults: dict[str, str]) -> Scored:
        terms = [
            component.weight * value
            for component in self.components
            if (value := values[component.name]) is not None
        ]
        # With a fault the rest is no reward: a part would be trained on as if it were the whole.
        total = math.fsum(terms) if terms and not faults else None
        stopping = (c.name for c in self.components if c.name in faults and c.on_failure == "stop")
        return Scored(total=total, values=values, faults=faults, stopping=frozenset(stopping))


def as_combination(reward: Combination | Component | AnyReward) -> Combination:
    """A combination as it is; a component, or a plain function without bounds, as the only one of a
    combination. UsageError for anything else.

    Example:
        >>> def brevity(trajectory, truth):
        ...     return -len(trajectory.answer)
        >>> as_combination(brevity).components[0].name
        'brevity'
    """
    if isinstance(reward, Combination):
        return reward
    if isinstance(reward, Component):
        return Combination((reward,))
    if not callable(reward) or isinstance(reward, type):
        raise UsageError(
            "reward must be a function of (trajectory, truth) or a Combination of some, got "
            f"{reward!r:.60}"
        )
    name = getattr(reward, "__name__", "reward").strip("<>")
    only = Component(name=name, reward=reward, bounds=(-math.inf, math.inf))
    return Combination((only,))

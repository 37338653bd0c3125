"""Several rewards as one number, with the value of each kept for the log.

Guards against rewards that are wrong themselves, which users write too. Normalising over a group of
trajectories is an advantage (`mmreason.training.objectives`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real

from mmreason.training.rewards.types import Reward, Trajectory, Truth
from mmreason.types import UsageError

SLACK = 1e-6
"""How far a value may lie outside its bounds, for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One reward in a sum. Raises UsageError for weights and bounds that are none.

    Example:
        >>> Component(name="short", reward=lambda trajectory, truth: 0.5, weight=0.1).bounds
        (0.0, 1.0)
    """

    name: str
    reward: Reward
    weight: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)
    """The range that the reward states, before the weight; infinite ends are allowed."""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not math.isfinite(self.weight):
            raise UsageError(f"the weight of {self.name!r} must be finite, got {self.weight}")
        if not low < high:
            raise UsageError(f"the bounds of {self.name!r} must be (low, high), got {self.bounds}")


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
        values: dict[str, float | None] = {}
        faults: dict[str, str] = {}
        for component in self.components:
            values[component.name], fault = _read_value(component, trajectory, truth)
            if fault:
                faults[component.name] = fault
        terms = [
            component.weight * value
            for component in self.components
            if (value := values[component.name]) is not None
        ]
        # With a fault the rest is no reward: a part would be trained on as if it were the whole.
        total = math.fsum(terms) if terms and not faults else None
        return Scored(total=total, values=values, faults=faults)


def as_combination(reward: Combination | Component | Reward) -> Combination:
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


def _read_value(
    component: Component, trajectory: Trajectory, truth: Truth
) -> tuple[float | None, str]:
    """The value of a component and what is wrong with it."""
    try:
        value = component.reward(trajectory, truth)
    except Exception as error:  # whatever a reward of the user's raises is told, not passed on
        return None, f"{type(error).__name__}: {error}".splitlines()[0]
    if value is None:
        return None, ""
    if not isinstance(value, Real):
        hint = ": return a float, such as x.item()" if hasattr(value, "item") else ""
        return None, f"expected a number or None, got {type(value).__name__}{hint}"
    number, (low, high) = float(value), component.bounds
    if not low - SLACK <= number <= high + SLACK or not math.isfinite(number):
        return None, f"expected a number from {low:g} to {high:g}, got {number:g}"
    return number, ""

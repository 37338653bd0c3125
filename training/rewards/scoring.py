"""Values of one reward for many trajectories: called one by one, all at once, or awaited.

A reward may be wrong in any way, as users write them too: whatever it does costs the trajectories
that it was asked about, in one line each, and never the run.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Real
from typing import Any

from mmreason.training.rewards.types import Trajectory, Truth
from mmreason.video.plain_text import show_line

SLACK = 1e-6
"""How far a value may lie outside its bounds, for rounding."""
FAULT_LENGTH = 300
"""Characters of a fault."""
BATCH_PARAMETERS = ("trajectories", "truths")
"""A function with parameters of these names takes many at once."""


@dataclass(frozen=True, slots=True)
class RewardValue:
    """What a reward gave for one trajectory.

    Example:
        >>> RewardValue(None, "RuntimeError: the judge is down").value is None
        True
    """

    value: float | None
    """None where it does not apply or is at fault."""
    fault: str = ""
    """In one line, why there is no usable value."""


def is_batched(reward: Callable[..., Any]) -> bool:
    """Whether a reward takes many trajectories at once: its parameters say so.

    Example:
        >>> is_batched(lambda trajectories, truths: [0.0] * len(truths))
        True
        >>> is_batched(lambda trajectory, truth: 0.0)
        False
    """
    try:
        names = tuple(inspect.signature(reward).parameters)
    except (TypeError, ValueError):  # some built-in functions tell none
        return False
    return names[:2] == BATCH_PARAMETERS


def is_awaited(reward: Callable[..., Any]) -> bool:
    """Whether a reward is a coroutine function, or an object whose call is one.

    Example:
        >>> async def grade(trajectory, truth):
        ...     return 1.0
        >>> is_awaited(grade)
        True
    """
    return inspect.iscoroutinefunction(reward) or inspect.iscoroutinefunction(
        getattr(reward, "__call__", None)  # noqa: B004 - whether it is awaited, not whether it is there
    )


def compute_values(
    reward: Callable[..., Any],
    trajectories: Sequence[Trajectory],
    truths: Sequence[Truth],
    bounds: tuple[float, float],
    *,
    batched: bool,
    at_once: int,
    timeout_s: float,
) -> list[RewardValue]:
    """A value for each trajectory, in order. Coroutines run together, at most `at_once`, each for
    at most `timeout_s`."""
    pairs = list(zip(trajectories, truths, strict=True))
    awaited = is_awaited(reward)
    if batched:
        if awaited:
            (values,) = _await_all([lambda: reward(trajectories, truths)], 1, timeout_s)
        else:
            values = _call(reward, trajectories, truths)
        raw = _split_batch(values, len(pairs))
    elif awaited:
        calls = [_bind(reward, trajectory, truth) for trajectory, truth in pairs]
        raw = _await_all(calls, at_once, timeout_s)
    else:
        raw = [_call(reward, trajectory, truth) for trajectory, truth in pairs]
    return [_read_value(value, bounds) for value in raw]


def _bind(
    reward: Callable[..., Awaitable[Any]], trajectory: Trajectory, truth: Truth
) -> Callable[[], Awaitable[Any]]:
    return lambda: reward(trajectory, truth)


def _call(reward: Callable[..., Any], *arguments: Any) -> Any:
    """What the reward gives or raises."""
    try:
        return reward(*arguments)
    except Exception as error:  # whatever a reward of the user's raises is told, not passed on
        return error


def _await_all(
    calls: Sequence[Callable[[], Awaitable[Any]]], at_once: int, timeout_s: float
) -> list[Any]:
    """What each coroutine gives or raises."""

    async def run_one(call: Callable[[], Awaitable[Any]], free: asyncio.Semaphore) -> Any:
        async with free:
            try:
                return await asyncio.wait_for(call(), timeout_s)
            except TimeoutError:
                return TimeoutError(f"no value within {timeout_s:g} s")
            except Exception as error:
                return error

    async def run_all() -> list[Any]:
        free = asyncio.Semaphore(at_once)
        return list(await asyncio.gather(*(run_one(call, free) for call in calls)))

    # In a thread of its own: a notebook has a loop that runs already.
    running: Coroutine[Any, Any, list[Any]] = run_all()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, running).result()


def _split_batch(values: Any, count: int) -> list[Any]:
    """One value a trajectory; the same fault for all where the batch is none."""
    if isinstance(values, Exception):
        return [values] * count
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        kind = type(values).__name__
        return [TypeError(f"expected a list of {count} values, got {kind}")] * count
    if len(values) != count:
        fault = ValueError(f"expected {count} values, one a trajectory, got {len(values)}")
        return [fault] * count
    return list(values)


def _read_value(value: Any, bounds: tuple[float, float]) -> RewardValue:
    """The number that a reward gave, or what is wrong with it."""
    if value is None:
        return RewardValue(None)
    if isinstance(value, Exception):
        line = show_line(f"{type(value).__name__}: {value}".splitlines()[0])
        return RewardValue(None, line[:FAULT_LENGTH])
    if inspect.iscoroutine(value):
        value.close()
        return RewardValue(None, "expected a number or None, got a coroutine: declare it async")
    if not isinstance(value, Real):
        hint = ": return a float, such as x.item()" if hasattr(value, "item") else ""
        return RewardValue(None, f"expected a number or None, got {type(value).__name__}{hint}")
    number, (low, high) = float(value), bounds
    if not low - SLACK <= number <= high + SLACK or not math.isfinite(number):
        return RewardValue(None, f"expected a number from {low:g} to {high:g}, got {number:g}")
    return RewardValue(number)

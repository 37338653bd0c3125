"""Rounds in which all methods take turns, and what comes of them as ratios with their spread."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedMethod:
    """One method in all rounds.

    Example:
        >>> rounds = [{"loop": 2.0, "batch": 1.0}, {"loop": 4.0, "batch": 1.0}]
        >>> summarise_rounds(rounds, "loop")["batch"]
        TimedMethod(seconds=1.0, ratio=0.375, lowest=0.25, highest=0.5)
    """

    seconds: float
    """Median of rounds."""
    ratio: float
    """Median over rounds of its time to the reference's in the same round."""
    lowest: float
    highest: float


def measure_rounds(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    wait: Callable[[], object] = lambda: None,
) -> list[dict[str, float]]:
    """Seconds of each call in each round; within a round the order is shuffled, so that what slows
    the machine down meets all alike. `wait` returns when the device has done its work."""
    names = list(calls)
    order = random.Random(0)
    measured = []
    for _ in range(rounds):
        order.shuffle(names)
        measured.append({name: _time_call(calls[name], wait) for name in names})
    return measured


def summarise_rounds(
    rounds: Sequence[Mapping[str, float]], reference: str
) -> dict[str, TimedMethod]:
    """Each method, with its ratio to `reference`."""
    summary = {}
    for name in rounds[0]:
        ratios = [seconds[name] / seconds[reference] for seconds in rounds]
        summary[name] = TimedMethod(
            seconds=median(seconds[name] for seconds in rounds),
            ratio=median(ratios),
            lowest=min(ratios),
            highest=max(ratios),
        )
    return summary


def _time_call(call: Callable[[], object], wait: Callable[[], object]) -> float:
    wait()
    began = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - began

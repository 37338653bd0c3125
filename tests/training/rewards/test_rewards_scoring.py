"""Rewards that take many trajectories, that are awaited, and that are wrong in some way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mmreason.training.rewards import Combination, Component, Trajectory, Truth, correct
from mmreason.types import UsageError

REPLIES = [Trajectory(answer=text) for text in ("red", "blue", "green")]
TRUTHS = [Truth(answer="red", columns={"difficulty": level}) for level in (1, 2, "hard")]


def score(reward: Callable[..., Any], **options: Any) -> list[Any]:
    component = Component(name="own", reward=reward, bounds=(-10.0, 10.0), **options)
    return Combination((component,)).score_all(REPLIES, TRUTHS)


def test_a_reward_of_many_is_called_once_with_all() -> None:
    calls = []

    def longest(trajectories: Any, truths: Any) -> list[float]:
        calls.append(len(truths))
        most = max(len(t.answer) for t in trajectories)
        return [len(t.answer) / most for t in trajectories]

    assert [scored.total for scored in score(longest)] == [0.6, 0.8, 1.0]
    assert calls == [3]


def test_coroutines_run_together_and_never_more_than_they_may() -> None:
    running, most = 0, 0

    async def judge(trajectory: Trajectory, truth: Truth) -> float:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return float(trajectory.answer == truth.answer)

    assert [scored.total for scored in score(judge, at_once=2)] == [1.0, 0.0, 0.0]
    assert most == 2


def test_a_coroutine_of_many_is_awaited_and_inside_a_running_loop_too() -> None:
    async def lengths(trajectories: Any, truths: Any) -> list[int]:
        return [len(t.answer) for t in trajectories]

    async def notebook() -> list[Any]:
        return score(lengths)

    assert [scored.total for scored in asyncio.run(notebook())] == [3.0, 4.0, 5.0]


def test_what_raises_for_one_rollout_costs_that_one() -> None:
    def by_level(trajectory: Trajectory, truth: Truth) -> float:
        return 1.0 / truth.columns["difficulty"]

    first, second, third = score(by_level)
    assert (first.total, second.total, third.total) == (1.0, 0.5, None)
    assert third.faults["own"].startswith("TypeError: unsupported operand")


def test_a_coroutine_that_hangs_is_given_up() -> None:
    async def hang(trajectory: Trajectory, truth: Truth) -> float:
        await asyncio.sleep(60 if trajectory.answer == "blue" else 0)
        return 1.0

    first, second, _ = score(hang, timeout_s=0.05)
    assert first.total == 1.0 and second.total is None
    assert second.faults == {"own": "TimeoutError: no value within 0.05 s"}


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ([1.0], "ValueError: expected 3 values, one a trajectory, got 1"),
        (1.0, "TypeError: expected a list of 3 values, got float"),
        ("abc", "TypeError: expected a list of 3 values, got str"),
        ([float("nan")] * 3, "expected a number from -10 to 10, got nan"),
        ([RuntimeError("down")] * 3, "RuntimeError: down"),
        (["1"] * 3, "expected a number or None, got str"),
    ],
)
def test_a_batch_that_is_none_is_a_fault_of_each(values: Any, fault: str) -> None:
    def wrong(trajectories: Any, truths: Any) -> Any:
        return values

    assert [scored.faults.get("own") for scored in score(wrong)] == [fault] * 3


def test_one_value_may_be_missing_or_at_fault_in_a_batch() -> None:
    def some(trajectories: Any, truths: Any) -> list[Any]:
        return [1.0, None, ValueError("no verdict")]

    first, second, third = score(some, on_failure="stop")
    assert (first.total, second.total, third.total) == (1.0, None, None)
    assert not second.faults and third.faults == {"own": "ValueError: no verdict"}
    assert (second.stopping, third.stopping) == (frozenset(), {"own"})


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="needs at_once >= 1"):
        Component(name="own", reward=correct, at_once=0)


@pytest.mark.parametrize(
    ("text", "right"), [("scarlet", 1.0), ("It is red.", 1.0), ("blue", 0.0), ("red scarlet", 0.0)]
)
def test_any_of_several_right_answers_is_right(text: str, right: float) -> None:
    truth = Truth(question="What colour is it?", answer="red", answers=("red", "scarlet"))
    assert correct(Trajectory(answer=text), truth) == right


def test_an_answer_in_words_is_right_beside_a_number() -> None:
    truth = Truth(number=12.0, answer="a dozen", answers=("a dozen", "12"))
    replies = ("12", "a dozen", "11")
    assert [correct(Trajectory(answer=text), truth) for text in replies] == [1.0, 1.0, 0.0]

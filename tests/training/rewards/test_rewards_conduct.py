"""Tool bonus, length, repetition, and several rewards as one."""

from __future__ import annotations

import math
import pickle
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.training.rewards import (
    Combination,
    Component,
    Trajectory,
    Truth,
    choice,
    from_turns,
    length_band,
    numeric,
    repetition,
    tag_format,
    tool_bonus,
    union_tiou,
)
from mmreason.types import UsageError

TRUTH = Truth(options=("red", "blue"), choice=1)


def paid(value: float | None) -> float:
    assert value is not None
    return value


def did(answer: str = "B", calls: int | None = None, tokens: int | None = None) -> Trajectory:
    return Trajectory(answer=answer, tool_calls=calls, tokens_out=tokens)


def test_the_tool_bonus_asks_for_both():
    assert tool_bonus(did("B", 1), TRUTH) == 1
    assert tool_bonus(did("B", 0), TRUTH) == 0
    assert tool_bonus(did("A", 1), TRUTH) == 0
    assert tool_bonus(did("B"), TRUTH) is None
    assert tool_bonus(did("B", 1), Truth()) is None


def test_tool_spam_is_paid_once_and_never_for_a_wrong_answer():
    assert tool_bonus(did("B", 10_000), TRUTH) == tool_bonus(did("B", 1), TRUTH)
    assert [tool_bonus(did(answer, 10_000), TRUTH) for answer in ("A", "", "A B")] == [0, 0, 0]


@pytest.mark.parametrize(("tokens", "paid"), [(319, 0), (320, 1), (512, 1), (513, 0), (0, 0)])
def test_the_length_band_has_two_ends(tokens, paid):
    assert length_band(did("B", tokens=tokens), TRUTH) == paid


def test_length_is_never_paid_by_itself():
    assert length_band(did("A", tokens=400), TRUTH) == 0
    assert length_band(did("", tokens=400), TRUTH) == 0
    assert length_band(did("B", tokens=10**9), TRUTH) == 0
    assert length_band(did("B"), TRUTH) is None


def said(text: str) -> float:
    return paid(repetition(from_turns([text]), Truth()))


def test_repetition_takes_by_the_share_that_was_there_before():
    assert said("the red star moves left and then stops near the box") == 0
    assert said("a b c d a b c d") == pytest.approx(4 / 5 - 1)
    assert repetition(from_turns([]), Truth()) is None


@pytest.mark.parametrize(
    "text", ["wait, " * 500, "a" * 5_000, "!" * 5_000, "\n" * 5_000, "\u5b57" * 5_000, "ab " * 900]
)
def test_endless_text_of_any_kind_loses_nearly_all(text):
    assert said(text) < -0.95


def test_a_repeat_across_turns_counts():
    turn = "I look at the second part of the video again"
    assert paid(repetition(from_turns([turn, turn]), Truth())) < -0.3


def test_silence_earns_nothing_by_repetition():
    assert said("") == said("yes") == 0


@given(st.text(max_size=60))
def test_saying_it_again_never_raises(text):
    assert said(f"{text}\n{text}") <= said(text) + 1e-9


# -- several as one --------------------------------------------------------------------------------


def raises(seen: Trajectory, truth: Truth) -> float:
    raise RuntimeError("broken\nin two lines")


def gives_text(seen: Trajectory, truth: Truth) -> float:
    return "1.0"  # pyright: ignore[reportReturnType]


def gives_nan(seen: Trajectory, truth: Truth) -> float:
    return math.nan


def gives_too_much(seen: Trajectory, truth: Truth) -> float:
    return 12.4


MIX = Combination(
    (
        Component(name="answer", reward=choice, weight=0.8),
        Component(name="format", reward=tag_format, weight=0.2),
        Component(name="where", reward=union_tiou),
        Component(name="repetition", reward=repetition, weight=0.1, bounds=(-1.0, 0.0)),
    )
)


def test_a_combination_weighs_and_keeps_every_value():
    scored = MIX(from_turns(["<think>a</think><answer>B</answer>"]), TRUTH)
    assert scored.values == {"answer": 1, "format": 1, "where": None, "repetition": 0}
    assert scored.total == pytest.approx(1.0)
    assert MIX.bounds == pytest.approx((-0.1, 2.0))
    assert not scored.faults


def test_nothing_applicable_is_no_reward():
    only = Combination((Component(name="where", reward=union_tiou),))
    assert only(did("B"), TRUTH).total is None


@pytest.mark.parametrize(
    ("reward", "words"),
    [
        (raises, "RuntimeError: broken"),
        (gives_text, "got str"),
        (gives_nan, "got nan"),
        (gives_too_much, "from 0 to 1, got 12.4"),
    ],
)
def test_a_reward_at_fault_is_named_and_its_trajectory_left_out(reward, words):
    mix = Combination(
        (Component(name="answer", reward=choice), Component(name="own", reward=reward))
    )
    scored = mix(did("B"), TRUTH)
    assert scored.total is None
    assert scored.values == {"answer": 1.0, "own": None}
    assert words in scored.faults["own"] and "\n" not in scored.faults["own"]


def test_a_combination_travels_between_processes():
    mix = Combination(
        (*MIX.components, Component(name="n", reward=partial(numeric, tolerance=0.5)))
    )
    truth = Truth(number=3)
    seen = from_turns(["3.4"])
    there = pickle.loads(pickle.dumps((mix, seen, truth)))
    assert there[0](there[1], there[2]) == mix(seen, truth)
    assert mix(seen, truth).values["n"] == 1


def test_bad_combinations_are_refused():
    one = Component(name="a", reward=choice)
    with pytest.raises(UsageError, match="different names"):
        Combination((one, one))
    with pytest.raises(UsageError, match="different names"):
        Combination(())
    with pytest.raises(UsageError, match="weight"):
        Component(name="a", reward=choice, weight=math.nan)
    with pytest.raises(UsageError, match="bounds"):
        Component(name="a", reward=choice, bounds=(1.0, 1.0))

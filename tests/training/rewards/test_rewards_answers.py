"""Rewards of the final answer: what they pay for, and that nothing else is paid."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.training.rewards import (
    Truth,
    choice,
    correct,
    from_turns,
    numeric,
    tag_format,
    text_overlap,
)
from mmreason.training.rewards.reading import ANSWER_LIMIT, final_answer
from mmreason.types import UsageError

COLOURS = Truth(question="What colour is the star?", options=("red", "blue", "green"), choice=1)
WORDS = ["the", "red", "star", "moves", "left", "then", "stops", "near", "box", "again"]


def paid(value: float | None) -> float:
    assert value is not None
    return value


def said(answer: str):
    return from_turns([answer])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("<think>a</think><answer>B</answer>", "B"),
        ("no tags at all", "no tags at all"),
        ("thought first</think>\n B ", "B"),
        ("<think>never ends <answer>B</answer>", ""),
        ("<answer>A</answer> or rather <answer>B</answer>", "B"),
        ("<think><answer>A</answer></think><answer>B", "B"),
        ("<think>a</think><tool>look()</tool>", ""),
        ("<answer>" + "B " * ANSWER_LIMIT + "</answer>", ""),
        ("<answer>B</answer>" + " B" * ANSWER_LIMIT, "B"),
    ],
)
def test_the_final_answer_is_read_behind_the_thoughts(text, wanted):
    assert final_answer(text) == wanted


def test_a_turn_is_a_thought_and_one_action():
    tool, answer = "<think>a</think>\n<tool>look()</tool>", "<think>b</think><answer>B</answer>"
    assert tag_format(from_turns([answer]), Truth()) == 1
    assert tag_format(from_turns([tool, tool, answer]), Truth()) == 1
    assert tag_format(from_turns([answer, tool]), Truth()) == 0
    assert tag_format(from_turns([tool]), Truth()) == 0
    opened = from_turns(["b</think><answer>B</answer>"])
    assert tag_format(opened, Truth()) == 0
    assert tag_format(opened, Truth(), thought_open=True) == 1
    assert tag_format(from_turns([]), Truth()) is None


@pytest.mark.parametrize(
    "turn",
    [
        "",
        "B",
        "<think></think><answer>B</answer>",
        "<think>a</think><answer> </answer>",
        "<think>a</think><answer>B</answer> and more",
        "<think>a</think><answer>B</answer>" * 2,
        "<think>a</think><answer>A</answer><answer>B</answer>",
        "<think>a<think>b</think></think><answer>B</answer>",
        "<think>a</think> so <answer>B</answer>",
        "<think>a</think><tool>x</tool><answer>B</answer>",
        "<think>" * 100_000,
    ],
)
def test_format_cannot_be_had_by_spam_or_emptiness(turn):
    assert tag_format(from_turns([turn]), Truth()) == 0


def test_format_is_not_diluted_by_many_good_turns():
    good = "<think>a</think><tool>look()</tool>"
    end = "<think>a</think><answer>B</answer>"
    assert tag_format(from_turns([*[good] * 50, "oops", end]), Truth()) == 0


def test_choice_by_letter_and_by_text():
    assert [choice(said(a), COLOURS) for a in ("B", "b)", "blue", "It is blue.")] == [1, 1, 1, 1]
    assert [choice(said(a), COLOURS) for a in ("A", "green", "purple")] == [0, 0, 0]
    assert choice(said("B"), Truth(options=("red", "blue"))) is None


@pytest.mark.parametrize(
    "answer",
    [
        "**B**",
        "\\boxed{B}",
        "\\boxed{\\text{blue}}",
        "$B$",
        "答案是B",
        "I think it's B, not A.",
        '{"answer": "B"}',
        "<think>A? B?</think>The answer is (B).",
    ],
)
def test_choice_is_paid_in_the_usual_forms(answer):
    assert choice(said(answer), COLOURS) == 1


@pytest.mark.parametrize("answer", ["not blue", "It isn't blue.", "not B", "B is wrong", "不是B"])
def test_choice_is_not_paid_for_a_denial(answer):
    assert choice(said(answer), COLOURS) == 0


@pytest.mark.parametrize("answer", ["", "A B C", "red blue green", "red or blue", "blue " * 9_000])
def test_choice_cannot_be_had_by_naming_everything(answer):
    assert choice(said(answer), COLOURS) == 0


@given(st.lists(st.sampled_from(["A", "B", "C", "red", "blue", ")", ".", "not", "\n"]), max_size=9))
def test_one_text_picks_one_option_at_most(parts):
    seen = said(" ".join(parts))
    paid = [choice(seen, Truth(options=COLOURS.options, choice=i)) or 0.0 for i in range(3)]
    assert sum(paid) <= 1


@pytest.mark.parametrize(
    "answer",
    [
        *("3", "3.0", "three", "There are 3 stars.", "+3", "3 stars, so 3", "\\boxed{3}", "**3**"),
        *("The answer is $3$.", "not 2 but 3", "Probably 3", "<think>2 or 4?</think>3"),
    ],
)
def test_a_number_is_read(answer):
    assert numeric(said(answer), Truth(number=3)) == 1


def test_numbers_in_other_writings():
    assert numeric(said("1,234.5 m"), Truth(number=1234.5)) == 1
    assert numeric(said("-2.5e1"), Truth(number=-25)) == 1
    assert numeric(said("5"), Truth(number=-5)) == 0
    assert numeric(said("9.996"), Truth(number=10)) == 1
    assert numeric(said("98"), Truth(number=100), tolerance=5) == 1
    assert numeric(said("twenty-one"), Truth(number=21)) == 1
    assert numeric(said("3"), Truth()) is None


@pytest.mark.parametrize(
    "answer",
    [
        *("", "1 2 3 4 5", "two or three", "3 or 4", "1e400", "9" * 5_000, "3 " * 15_000),
        *("not 3", "There aren't 3.", "3 is wrong"),
    ],
)
def test_a_number_cannot_be_had_by_listing_or_size_or_denial(answer):
    assert numeric(said(answer), Truth(number=3)) == 0


def test_text_overlap_known_values():
    truth = Truth(answer="the red star moves left")
    assert text_overlap(said("The red star moves left."), truth) == 1
    # 3 of 3 and 5 words; 2 of 2 and 4 pairs; a common run of 3
    wanted = (2 * 3 / 8 + 2 * 2 / 6 + 2 * 3 / 8) / 3
    assert text_overlap(said("the red star"), truth) == pytest.approx(wanted)
    assert text_overlap(said("red"), Truth(answer="red")) == 1
    assert text_overlap(said("red"), Truth(answer="...")) is None


def _slow_common_subsequence(a: list[str], b: list[str]) -> int:
    rows = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            rows[i + 1][j + 1] = rows[i][j] + 1 if x == y else max(rows[i][j + 1], rows[i + 1][j])
    return rows[-1][-1]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(WORDS), max_size=12),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=12),
)
def test_the_common_subsequence_is_the_longest(a, b):
    from mmreason.training.rewards.answers import _common_subsequence

    assert _common_subsequence(a, b) == _slow_common_subsequence(a, b)


def test_text_overlap_cannot_be_had_by_repeating_or_by_length():
    truth = Truth(answer="the red star moves left")
    exact = text_overlap(said("the red star moves left"), truth)
    assert exact == 1
    assert paid(text_overlap(said("the red star moves left " * 20), truth)) < 0.1
    assert paid(text_overlap(said("left moves star red the"), truth)) < 0.5
    assert paid(text_overlap(said("the red star moves left " + "padding " * 200), truth)) < 0.1
    assert text_overlap(said(""), truth) == 0
    assert text_overlap(said("the red star moves left " * 2_000), truth) == 0


def test_correct_takes_the_strictest_truth_there_is():
    assert correct(said("B"), COLOURS) == 1
    assert correct(said("3"), Truth(number=3, answer="four")) == 1
    colour = Truth(question="What colour is the star?", answer="red")
    assert correct(said("The star is red."), colour) == 1
    assert [correct(said(a), colour) for a in ("", "red blue", "The star is blue")] == [0, 0, 0]
    forms = ("\\boxed{red}", "**red**", "The answer is red.", "I think it is red", "Probably red.")
    assert [correct(said(a), colour) for a in forms] == [1] * len(forms)
    denied = ("not red", "It isn't red.", "anything but red", "red is wrong", "\\boxed{not red}")
    assert [correct(said(a), colour) for a in denied] == [0] * len(denied)
    assert correct(said("red"), Truth()) is None


@pytest.mark.parametrize(
    "bad",
    [
        {"options": ("a",), "choice": 1},
        {"choice": 0},
        {"number": float("nan")},
        {"duration_s": 0.0},
        {"boxes": ()},
    ],
)
def test_truths_that_contradict_themselves_are_refused(bad):
    with pytest.raises(UsageError):
        Truth(**bad)

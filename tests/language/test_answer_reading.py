"""Single answers and what is read in them: choices, yes and no, refusals, text."""

from __future__ import annotations

import time

import pytest

from mmreason.language.answer_reading import TEXT_LIMIT, AnswerKind, AnswerReading, read_answer

COLOURS = ("red", "blue", "dark red")


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("B", 1),
        ("b)", 1),
        ("(C)", 2),
        ("B. blue", 1),
        ("The answer is C", 2),
        ("Answer: dark red", 2),
        ("The star is blue.", 1),
        ("a dark red star", 2),
        ("red", 0),
        ("\uff22", 1),
        ("\uff08\uff22\uff09", 1),
        ("B. red", None),
        ("red and blue", None),
        ("green", None),
        ("E", None),
        ("", None),
        ("a star", None),
        ("A man walks in", None),
        ("I see", None),
        ("I see a blue star", 1),
        ("vitamin C", None),
        ("plan B", None),
        ("Option A shows a ring. Option B shows a star.\n\nB", 1),
        ("A. red\nB. blue\nC. dark red\n", None),
        ("A. red\nB. blue\nC. dark red\n\nAnswer: B", 1),
        ("A: no. B: yes. C: no.", None),
        ("A. B. C.", None),
        ("B. blue\n\nExplanation: option A is about the ring.", 1),
        ("B because the star is not red", 1),
        ("B, because the red ring left", 1),
        ("The answer is A, no wait, B", None),
        ("~~A~~ B", 1),
        ("#### B", 1),
        ("nothing but blue", 1),
        ("I cannot see whether it is blue.", None),
        ("I cannot see the star, but there is a red ring.", None),
        ("{'answer': 'B'}", 1),
        ('{"answer": "B", "why": "it is {blue}', 1),
        ('{"boxes": [1, 2]}', None),
        ("<think>A?</think><answer>B</answer>", 1),
        ("<answer>A</answer> or rather <answer>B</answer>", 1),
        ("<think>B", None),
    ],
)
def test_options_are_picked_or_left_open(text, picked):
    assert read_answer(text, COLOURS).choice == picked


@pytest.mark.parametrize(
    ("text", "options", "picked"),
    [
        ("它是蓝色的", ("红色", "蓝色"), 1),
        ("不是蓝色", ("红色", "蓝色"), None),
        ("青です", ("赤", "青"), 1),
        ("青ではない", ("赤", "青"), None),
        ("파란색입니다", ("빨간색", "파란색"), 1),
        ("파란색이 아닙니다", ("빨간색", "파란색"), None),
        ("Es ist blau.", ("rot", "blau"), 1),
        ("Es ist kein blau.", ("rot", "blau"), None),
        ("синий", ("красный", "синий"), 1),
        ("الأزرق", ("أحمر", "أزرق"), 1),
        ("यह नीला है", ("लाल", "नीला"), 1),
        ("यह नीला नहीं है", ("लाल", "नीला"), None),
        ("there are three", ("2", "3", "4"), 1),
        ("There are 21 stars", ("twenty-one", "22"), 0),
        ("twenty one", ("21", "22"), 0),
        ("1,200", ("12", "1200"), 1),
        ("5s", ("5 s", "15 s"), 0),
        ("5", ("5 s", "15 s"), None),
        ("at 1:05", ("1:05", "0:05"), 0),
        ("1.5", ("5", "1.5"), 1),
        ("-5", ("5", "-5"), 1),
        ("not moving", ("moving", "not moving"), 1),
        ("it is moving", ("moving", "not moving"), 0),
        ("None of the above", ("red", "None of the above"), 1),
        ("It is not shown.", ("red", "not shown"), 1),
        ("Team A", ("Team B", "Team A"), 1),
        ("B", ("B", "A"), None),
        ("grey", ("gray", "red"), 0),
        ("a man, not a woman", ("a man", "a woman"), 0),
        ("HE OPENS THE DOOR!", ("he closes the door", "he opens the door"), 1),
        ("No, it is open.", ("Yes", "No"), 1),
        ("Yes, but not now", ("no", "yes"), 1),
        ("Ja.", ("Nein", "Ja"), 1),
        ("Yes and no", ("yes", "no"), None),
        ("Yes or no", ("yes", "no"), None),
    ],
)
def test_words_of_options_are_found(text, options, picked):
    assert read_answer(text, options).choice == picked


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("**blue**", AnswerKind.TEXT, "blue"),
        ("The answer is blue.", AnswerKind.TEXT, "blue."),
        ("\\boxed{\\text{a blue star}}", AnswerKind.TEXT, "a blue star"),
        ("A star moves.\n\nAnswer: it is blue", AnswerKind.TEXT, "it is blue"),
        ("not yellow", AnswerKind.TEXT, "not yellow"),
        ("not \\boxed{yellow}", AnswerKind.TEXT, "not yellow"),
        ("It costs $5 and $10.", AnswerKind.TEXT, "It costs $5 and $10."),
        ("2*3*4", AnswerKind.TEXT, "2*3*4"),
        ("Yes.", AnswerKind.YES, "Yes."),
        ("**No**, it is open.", AnswerKind.NO, "No, it is open."),
        ("nein", AnswerKind.NO, "nein"),
        ("是的", AnswerKind.YES, "是的"),
        ("N/A", AnswerKind.ABSENT, "N/A"),
        ("**Not shown**", AnswerKind.ABSENT, "Not shown"),
        ("The answer is not shown.", AnswerKind.ABSENT, None),
        ("", AnswerKind.UNREADABLE, ""),
        ("<think>It is blue", AnswerKind.UNREADABLE, ""),
        ("<think>It is blue</think>", AnswerKind.UNREADABLE, ""),
        ("...", AnswerKind.UNREADABLE, ""),
        ("blue " * TEXT_LIMIT, AnswerKind.UNREADABLE, ""),
    ],
)
def test_without_options_the_kind_of_answer_is_told(text, kind, said):
    read = read_answer(text)
    assert read.kind is kind and read.choice is None
    assert said is None or read.said == said


def test_with_options_several_are_unreadable_and_none_is_text_or_a_refusal():
    assert read_answer("A or B", COLOURS).kind is AnswerKind.UNREADABLE
    assert read_answer("purple", COLOURS).kind is AnswerKind.TEXT
    assert read_answer("It is not visible.", COLOURS).kind is AnswerKind.ABSENT
    read = read_answer("<think>hm</think>The answer is **B**.", ("red", "blue"))
    assert read == AnswerReading(kind=AnswerKind.CHOICE, said="B.", choice=1)


@pytest.mark.parametrize(
    "text",
    [
        "blue " * 3_999,
        "A " * 9_999,
        "*" * 19_000,
        "**a " * 4_900,
        "not " * 4_900,
        " " * 19_000 + "a",
        "<think>" * 2_000,
        "\\boxed{" * 2_000,
        "{" * 19_000,
        '{"answer": ' * 1_500,
        "the answer is " * 1_300,
        "there is no " * 1_600,
        "a-b_c" * 3_900,
        "1," * 9_900,
        "$a " * 6_000,
        "so " * 6_000,
    ],
)
def test_long_texts_are_read_in_little_time(text):
    started = time.process_time()
    read_answer(text, COLOURS)
    assert time.process_time() - started < 2

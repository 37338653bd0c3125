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


REPLIES = (
    ("The best option is **C) green**.", 2),
    ("B) blue\n\nThe video shows a star.", 1),
    ("Based on the video, the correct answer is:\n\n**B. blue**", 1),
    ("Option B is the most accurate description.", 1),
    ("The answer is (B), since the star isn't red (A).", 1),
    ("B is the right answer because A, C, and D are not shown.", 1),
    ("The woman is wearing a dress, which corresponds to option B.", 1),
    ("This matches option B.", 1),
    ("I'd pick (b).", 1),
    ("Answer choice: B", 1),
    ("Selected: B", 1),
    ("Choice B", 1),
    ("[Answer] B", 1),
    ("<choice>B</choice>", 1),
    ("**Final Answer**: B", 1),
    ("**Final Answer**\n\nB", 1),
    ("Final Answer: \\(\\boxed{B}\\)", 1),
    ("The final answer is: $\\boxed{B}$", 1),
    ("答案选B", 1),
    ("故选B。", 1),
    ("因此答案为：**B**", 1),
    ("选项 B 是正确的", 1),
    ("B选项正确", 1),
    ("应选 (B)", 1),
    ("正解：B", 1),
    ("Bが正解です", 1),
    ("정답은 (B) 입니다", 1),
    ("답: B번", 1),
    ("Richtig ist B.", 1),
    ("Antwort B ist richtig.", 1),
    ("Antwort B", 1),
    ("La bonne réponse est la B.", 1),
    ("C'est la réponse B.", 1),
    ("Réponse B", 1),
    ("La opción correcta es la B.", 1),
    ("La respuesta correcta es B) azul", 1),
    ("Opción B", 1),
    ("A alternativa correta é a letra B.", 1),
    ("Letra B", 1),
    ("Вариант B", 1),
    ("Ответ B.", 1),
    ("Правильный вариант: B", 1),
    ("A opção correta é B", 1),
    ("الخيار الصحيح هو B", 1),
    ("विकल्प B", 1),
    ("सही विकल्प B है", 1),
    ("Đáp án đúng là B", 1),
    ("Jawabannya adalah B", 1),
    ("Doğru cevap B", 1),
    ("Poprawna odpowiedź to B", 1),
    ("Oikea vastaus on B", 1),
    ("Rätt svar är B", 1),
    ("It is blue. It is not blue.", None),
    ("Is it blue? No.", None),
    ("Is it blue? Yes.", 1),
    ("Is it B? No, it's C.", 2),
    ("B. It is not blue.", None),
    ("B? No.", None),
    ("The star is blue, so B", 1),
    ("Blue star", 1),
    ("A blue star", 1),
    ("A", 0),
    ("a", 0),
    ("A.", 0),
    ("The correct answer is A because the star is red.", 0),
    ("Looking at the options: A) red - no; B) blue - yes; C) green - no. Answer: B", 1),
    ("Options: A. red B. blue C. green D. yellow. I choose B.", 1),
    ("Let's check: A is wrong, C is wrong, D is wrong. B it is.", 1),
    ("A and C can be excluded, as can D. So B.", 1),
    ("The answer can't be A, C or D, so it has to be B.", 1),
    ("Definitely B", 1),
    ("B!!!", 1),
    ("b", 1),
    ("(b) blue", 1),
    ("B / blue", 1),
    ("B - the star is blue", 1),
    ("It would be B", 1),
    ('"B" is correct', 1),
    ("My guess: B", 1),
    ("Guess: B", 1),
    ("Result: B", 1),
    ("Output: B", 1),
    ("Verdict: B", 1),
    ("Answer (B)", 1),
    ("The answer's B", 1),
    ("the answer is b", 1),
    ("Answer is option (b) blue", 1),
    ("ANS: B", 1),
    ("Ans. B", 1),
    ("Correct: B", 1),
    ("A man in a blue shirt", 1),
    ("I", None),
    ("It is either blue or green", None),
    ("It could be blue", 1),
    ("It may be blue or red.", None),
    ("blue/green", None),
    ("not red, not green, not yellow: blue", 1),
    ("The colour is not red; it is blue.", 1),
    ("The color of the star is blue, while the ring is red.", None),
    ('The answer is "blue".', 1),
    ("Probably not B", None),
    ("Hardly B", None),
    ("B is unlikely", None),
    ("I doubt it is B", None),
    ("It's hardly blue", None),
    ("Everything except blue", None),
    ("all but B", None),
    ("no idea, B?", 1),
    ("None of them", None),
    ("**B** is not right, **C** is", 2),
    ("The correct answer is not A but B.", 1),
    ("I would not choose A. I would choose B.", 1),
    ("Not sure. B?", 1),
    ("I'm going with B on this one", 1),
    ("Going with B", 1),
    ("Let me go with option B here.", 1),
    ("B, final answer.", 1),
    ("It's B for sure", 1),
    ("So, B", 1),
    ("OK, B.", 1),
    ("Sure! The answer is B.", 1),
    ("Hello! B", 1),
    ("B\n", 1),
    ("B\nC", None),
    ("B (not C)", 1),
    ("B, not C", 1),
    ("C is what I thought first, but B", None),
)
"""Replies as models write them to "What colour is the star?", by four colours."""


@pytest.mark.parametrize(("text", "picked"), REPLIES)
def test_replies_as_models_write_them_are_read(text, picked):
    assert read_answer(text, ("red", "blue", "green", "yellow")).choice == picked


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

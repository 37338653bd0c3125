"""The answer reader in the most spoken languages: a false refusal is as bad as a missed one."""

from __future__ import annotations

import time

import pytest

from mmreason.language.answer_reading import AnswerKind, read_answer
from tests.language.answers_by_language import ANSWERS, MORE_ANSWERS, PICKS_OF_B, YES_AND_NO
from tests.language.refusals_by_language import HEDGED, MORE_REFUSALS, POLICY_REFUSALS, REFUSALS

OPTIONS = ("a red car", "a blue bus", "a green van")


@pytest.mark.parametrize("language", REFUSALS)
def test_refusals_are_no_answers(language: str) -> None:
    read = {text: read_answer(text).kind for text in REFUSALS[language]}
    assert {text: kind for text, kind in read.items() if kind is not AnswerKind.ABSENT} == {}


@pytest.mark.parametrize("language", REFUSALS)
def test_refusals_pick_no_option(language: str) -> None:
    picked = {text: read_answer(text, OPTIONS).choice for text in REFUSALS[language]}
    assert {text: choice for text, choice in picked.items() if choice is not None} == {}


@pytest.mark.parametrize("language", ANSWERS)
def test_answers_with_a_negation_are_no_refusals(language: str) -> None:
    read = {text: read_answer(text).kind for text in ANSWERS[language]}
    assert {text: kind for text, kind in read.items() if kind is AnswerKind.ABSENT} == {}


def test_refusals_and_answers_of_another_hand_are_told_apart() -> None:
    missed = [text for text in MORE_REFUSALS if read_answer(text).kind is not AnswerKind.ABSENT]
    taken = [text for text in MORE_ANSWERS if read_answer(text).kind is AnswerKind.ABSENT]
    assert (missed, taken) == ([], [])


@pytest.mark.parametrize("language", YES_AND_NO)
def test_yes_and_no_are_heard(language: str) -> None:
    yes, no, long_yes, long_no = (read_answer(text).kind for text in YES_AND_NO[language])
    assert (yes, long_yes) == (AnswerKind.YES,) * 2 and (no, long_no) == (AnswerKind.NO,) * 2


@pytest.mark.parametrize("language", PICKS_OF_B)
def test_option_b_is_picked(language: str) -> None:
    picked = {text: read_answer(text, OPTIONS).choice for text in PICKS_OF_B[language]}
    assert {text: choice for text, choice in picked.items() if choice != 1} == {}


@pytest.mark.parametrize("language", HEDGED)
def test_doubt_is_told_and_stays_an_answer(language: str) -> None:
    reading = read_answer(HEDGED[language])
    assert reading.is_hedged and reading.kind is AnswerKind.TEXT
    assert not read_answer(PICKS_OF_B[language][0]).is_hedged


@pytest.mark.parametrize("text", POLICY_REFUSALS)
def test_a_model_that_will_not_answer_has_not_answered(text: str) -> None:
    assert read_answer(text).kind is AnswerKind.ABSENT


@pytest.mark.parametrize(
    "text",
    [
        "Der Name der Frau wird nicht genannt.",
        "El nombre de la mujer no se menciona.",
        "Le nom de l'homme n'est pas mentionné.",
        "视频没有提到她的名字。",
        "彼の名前は言及されていません。",
        "Имя мужчины не указано.",
        "औरत का नाम नहीं बताया गया।",
        "Nama pria itu tidak disebutkan.",
        "اسم الرجل غير مذكور.",
    ],
)
def test_what_is_not_said_of_a_person_is_a_refusal_all_the_same(text: str) -> None:
    assert read_answer(text).kind is AnswerKind.ABSENT


def test_a_refusal_whose_reason_is_the_video_stays_one() -> None:
    for text in (
        "Das ist nicht klar, weil das Video es nicht zeigt.",
        "Ce n'est pas clair car la vidéo ne le montre pas.",
        "无法确定，因为视频没有显示。",
    ):
        assert read_answer(text).kind is AnswerKind.ABSENT


@pytest.mark.parametrize(
    "text", ["geht nicht ", "lässt sich nicht ", "video zeigt nicht ", "नहीं ", "no tengo ", "我"]
)
def test_a_hostile_text_costs_little(text: str) -> None:
    began = time.monotonic()
    read_answer(text * (19_000 // len(text)))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("text", "question", "is_refusal"),
    [
        # Answers that were once taken for refusals.
        ("There is no time to lose.", "", False),
        ("The red book is not there.", "What is missing?", False),
        ("A ring that he cannot find.", "What does he look for?", False),
        ("He didn't see the car coming.", "Why was he hit?", False),
        ("He adds salt, but it is not clear how much.", "What does he add?", False),
        ("The chef does not appear to be happy, he is annoyed.", "How does he feel?", False),
        # Refusals that were once taken for answers.
        ("It's unclear.", "", True),
        ("N/A", "", True),
        ("Not specified", "", True),
        ("The video does not provide this information.", "", True),
        ("Nicht gezeigt.", "", True),
        ("没有显示", "", True),
    ],
)
def test_refusals_and_answers_are_told_apart(text: str, question: str, is_refusal: bool) -> None:
    assert (read_answer(text, question=question).kind is AnswerKind.ABSENT) == is_refusal


@pytest.mark.parametrize(
    "text",
    [
        "**B**",
        "The correct answer is B.",
        "I think it is B.",
        "\\boxed{B}",
        "<think>A? No.</think>\nB",
        "选B",
        "答案是B。",
        "Die Antwort ist B.",
    ],
)
def test_forms_of_b_are_picked(text: str) -> None:
    assert read_answer(text, OPTIONS).choice == 1


def test_options_in_another_language_are_found_in_a_sentence() -> None:
    assert read_answer("它是蓝色的", ("红色", "蓝色")).choice == 1


@pytest.mark.parametrize(
    ("text", "kind"), [("No, it is open.", AnswerKind.NO), ("No.", AnswerKind.NO)]
)
def test_no_to_a_question_for_yes_or_no_is_an_answer(text: str, kind: AnswerKind) -> None:
    """It says something of the door: it is no refusal, and is checked as any other answer."""
    assert read_answer(text, question="Is the door closed?").kind is kind
    assert read_answer(text, ("Yes", "No"), "Is the door closed?").choice == 1

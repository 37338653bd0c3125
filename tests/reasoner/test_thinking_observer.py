"""Observers that think aloud, or answer in Markdown, are read like others."""

from __future__ import annotations

import pytest

from mmreason.policies.greedy import is_negative
from mmreason.reasoner import Reasoner
from mmreason.types import StopReason

COLOURS = ("green", "red", "blue", "purple")
SAID_AS = (
    "{}",
    "<think>green, red or blue?</think>\n{}",
    "**{}**",
    "The answer is {}.",
    "\\boxed{{{}}}",
    "I think it is {}.",
)


@pytest.fixture
def two_stars(fake_video):
    return fake_video((16.0, "a green cross stays still."), (32.0, "a blue star moves up."))


def observer(watcher, video, form):
    def answer(question, seen):
        told = " ".join(seen)
        return form.format("blue" if "blue" in told else "not shown")

    return watcher(video, answer)


@pytest.mark.parametrize("form", SAID_AS)
def test_the_form_of_its_answers_changes_nothing(two_stars, watcher, form):
    reasoner = Reasoner(observer(watcher, two_stars, form))
    chosen = reasoner.ask(two_stars, "What colour is the star?", options=COLOURS)
    assert (chosen.text, chosen.choice) == ("blue", 2)
    free = reasoner.ask(two_stars, "What colour is the star?")
    assert "blue" in free.text and "think" not in free.text.replace("I think", "")
    assert free.stop_reason is StopReason.ANSWERED and free.evidence[0].check.agreed


def test_a_refusal_behind_a_thought_is_no_answer(two_stars, watcher):
    model = watcher(two_stars, lambda question, seen: "<think>red?</think>**Not shown.**")
    answer = Reasoner(model).ask(two_stars, "What colour is the star?")
    assert (answer.text, answer.stop_reason) == ("", StopReason.ABSTAINED)


def test_a_thought_without_an_end_is_no_answer_and_is_told(two_stars, watcher):
    model = watcher(two_stars, lambda question, seen: "<think>it is blue, I guess")
    answer = Reasoner(model).ask(two_stars, "What colour is the star?")
    assert (answer.text, answer.stop_reason) == ("", StopReason.ABSTAINED)
    notes = {step.observation.note for step in answer.trace if step.call.name == "look"}
    assert notes and all("said nothing: all" in note and "its thought" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "question", "is_no"),
    [
        ("No, it is open.", "Is the door closed?", False),
        ("No, it is small.", "Is the star large?", False),
        ("No.", "Is the door closed?", True),
        ("No, the door is not closed.", "Is the door closed?", True),
        ("No, it is a blue star.", "Is there a red star?", True),
        ("No, only a ring.", "Does a red star appear?", True),
        ("No, it is not visible.", "Is the door closed?", True),
        ("There is no time to lose.", "What does he say?", False),
        ("The red book is not there.", "What is missing?", False),
        ("He didn't see the car coming.", "Why did he fall?", False),
        ("**N/A**", "What does he say?", True),
        ("", "What does he say?", True),
    ],
)
def test_what_may_be_better_answered_elsewhere(text, question, is_no):
    assert is_negative(text, question) is is_no

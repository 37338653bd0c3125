"""What a reply says to a question for yes or no, by words that exclude each other."""

from __future__ import annotations

import pytest

from mmreason.language.question import premise_of
from mmreason.language.values import asks_for, pick_option, read_reply, tells_value, yes_or_no
from mmreason.reasoner import Reasoner
from mmreason.types import StopReason


@pytest.mark.parametrize(
    ("question", "reply", "meaning"),
    [
        ("Is the star large?", "small", False),
        ("Is the star large?", "large", True),
        ("Is the star large?", "big", True),
        ("Is the star large?", "the star is large.", True),
        ("Is the star large?", "it is not large", False),
        ("Is the star large?", "it is not small", None),
        ("Is the star large?", "the star", None),
        ("Is the star large?", "very", None),
        ("Is the star large?", "yes", True),
        ("Is the star large?", "Yes it is", True),
        ("Is the star large?", "**No**", False),
        ("Is the star large?", "<think>small?</think>Ja.", True),
        ("Is the star large?", "No, it is small.", False),
        ("Is the star red?", "a blue star", False),
        ("Is the star gray?", "grey", True),
        ("Is the red star large?", "a small red star", False),
        ("Is there a red star?", "a red star", True),
        ("Is there a star?", "there is no star.", False),
        ("Is there a man?", "a woman", False),
        ("Are there two stars?", "3", False),
        ("Are there two stars?", "two", True),
        ("Is the star moving left?", "it moves right", False),
        ("Is the light on?", "it is off", False),
        ("Is it day?", "night", False),
        ("Is the man walking?", "the man is not walking", False),
        ("Does the man enter?", "twice", None),
        ("Is there a dog?", "this is outside my world.", None),
        ("Is there a dog?", "", None),
        ("What colour is it?", "red", None),
        ("Is it red or blue?", "blue", None),
    ],
)
def test_replies_that_name_another_value_mean_no(question, reply, meaning):
    assert yes_or_no(question, reply) is meaning


def test_options_of_yes_and_no_are_picked_by_what_was_seen():
    question = "Is the star large?"
    assert pick_option("small", ("yes", "no"), question) == 1
    assert pick_option("small", ("Yes, it is", "No, it is not"), question) == 1
    assert pick_option("small", ("small", "large"), question) == 0
    assert pick_option("small", ("red", "blue"), question) is None
    assert read_reply("large.", ("no", "yes"), question) == ("yes", 1)
    assert read_reply("B", ("red", "blue"), "What colour is it?") == ("blue", 1)
    assert read_reply("pink", ("red", "blue"), "What colour is it?") == ("pink", None)
    assert read_reply("pink", (), "What colour is it?") == ("pink", None)


def test_a_look_that_says_small_answers_no_to_large(fake_video, watcher):
    video = fake_video((4.0, "a small red star."))
    model = watcher(video, lambda question, seen: "small")
    answer = Reasoner(model).ask(video, "Is the star large?", options=("yes", "no"))
    assert (answer.text, answer.choice, answer.stop_reason) == ("no", 1, StopReason.ANSWERED)
    assert answer.evidence[0].quote == "small" and answer.evidence[0].check.agreed


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What colour is the car?", "colour"),
        ("Which color is it?", "colour"),
        ("How many dogs are there?", "number"),
        ("How much is it?", "number"),
        ("How does it move?", None),
        ("Who is it?", None),
    ],
)
def test_the_kind_of_value_that_a_question_asks_for(question, kind):
    assert asks_for(question) == kind


def test_texts_that_hold_a_value_of_a_kind():
    assert tells_value("colour", "my gray car") and not tells_value("colour", "my fast car")
    assert tells_value("number", "four million") and tells_value("number", "in 2024 or so")
    assert not tells_value("number", "a few")


@pytest.mark.parametrize(
    ("question", "premise"),
    [
        ("Does the training crash?", None),
        ("Does the red star crash?", "Is there a red star?"),
        ("Did the old man open the door?", "Is there an old man?"),
        ("Is the man happy?", None),
        ("Is the red star large?", "Is there a red star?"),
        ("Is the red star small or large?", "Is there a red star?"),
        ("What colour is the red star?", "Is there a red star?"),
        ("How does the red star move?", "Is there a red star?"),
        ("Where is the small red star?", "Is there a small red star?"),
    ],
)
def test_what_is_taken_for_granted_is_asked_in_words_that_make_sense(question, premise):
    assert premise_of(question) == premise

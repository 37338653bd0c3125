"""Questions taken apart: when, in which order, which of the whole video."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.language.question import order_of, place_in_whole, split_context


@pytest.mark.parametrize(
    ("question", "core", "context"),
    [
        (
            "What colour is the star while the word EXIT is on the screen?",
            "What colour is the star?",
            "the word EXIT is on the screen",
        ),
        (
            "While the word EXIT is on the screen, what colour is the star?",
            "What colour is the star?",
            "the word EXIT is on the screen",
        ),
        ("What happens when the light goes out?", "What happens?", "the light goes out"),
        ("Is there a dog, when it rains?", "Is there a dog?", "it rains"),
        ("How many cars pass during the storm?", "How many cars pass?", "the storm"),
        ("During the storm, how many cars pass?", "How many cars pass?", "the storm"),
        ("Describe the dog as long as it sleeps.", "Describe the dog?", "it sleeps"),
        ("In which hand is the cup while he talks?", "In which hand is the cup?", "he talks"),
        ("WHAT IS SEEN WHILE IT RAINS?", "WHAT IS SEEN?", "IT RAINS"),
    ],
)
def test_the_when_is_parted_from_the_what(question, core, context):
    assert split_context(question) == (core, context)


@pytest.mark.parametrize(
    "question",
    [
        "What colour is the star?",
        "When does the star appear?",
        "When does the star, which is red, appear?",
        "When is the dog, the brown one, asleep?",
        "Do you know when the star appears?",
        "Can you tell me when the star appears?",
        "Tell me when the star appears.",
        "Which star moves for a while?",
        "What happens once in a while in the video?",
        "Is the star red all the while it moves?",
        "Since when is the star red?",
        "while",
        "when?",
        "",
    ],
)
def test_what_asks_for_the_when_is_left_alone(question):
    assert split_context(question) == (question, "")


@given(st.text(max_size=80))
def test_any_text_can_be_split(question):
    core, context = split_context(question)
    assert core == question if not context else len(context) < len(question)


@pytest.mark.parametrize(
    ("question", "first", "things"),
    [
        ("Which comes first, the star or the ring?", True, ("the star", "the ring")),
        ("Which comes last, the star or the ring?", False, ("the star", "the ring")),
        ("Which comes first, the A, the B or the C?", True, ("the A", "the B", "the C")),
        ("Which comes first: the A, the B, or the C?", True, ("the A", "the B", "the C")),
        ("What appears first in the video, a dog or a cat?", True, ("a dog", "a cat")),
        ("Which is the last to appear, the dog or the cat?", False, ("the dog", "the cat")),
        ("Which is seen earlier, the dog or the cat?", True, ("the dog", "the cat")),
        ("Who speaks last, Anna or Ben?", False, ("Anna", "Ben")),
        ("which comes latest, x or y", False, ("x", "y")),
    ],
)
def test_questions_of_order_name_their_things(question, first, things):
    assert order_of(question) == (first, things)


@pytest.mark.parametrize(
    "question",
    [
        "What colour is the first star, red or blue?",
        "What is the last word, PARK or EXIT?",
        "Who wins the first round, Anna or Ben?",
        "What happens first?",
        "What did he do last, before leaving?",
        "Is the star first, or the ring?",
        "Which star is red, the first or the last?",
        "At first, what is seen, a dog or a cat?",
        "",
    ],
)
def test_other_questions_are_not_of_order(question):
    assert order_of(question) is None


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ("Which word is on the screen first in the whole video?", "first"),
        ("Which word is on the screen last in the entire film?", "last"),
        ("Which word is on the screen for the longest time in the whole video?", "longest"),
        ("Throughout, which colour is seen for the shortest time?", "shortest"),
        ("Which animal is seen most often in the video?", "longest"),
        ("Overall, which animal is seen least often?", "shortest"),
    ],
)
def test_places_in_the_whole_video(question, place):
    assert place_in_whole(question) == place


@pytest.mark.parametrize(
    "question",
    [
        "What comes after the first star in the video?",
        "How many stars are there in the whole video?",
        "What colour is the star?",
        "Which comes first, the star or the ring?",
        "What is seen before the last word in the video?",
        "What is most often the colour of a star?",
    ],
)
def test_other_questions_have_no_place(question):
    assert place_in_whole(question) is None

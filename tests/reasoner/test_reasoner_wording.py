"""Reading questions and answers."""

from __future__ import annotations

import pytest

from mmreason import wording


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("moves", "moving"),
        ("circles", "circle"),
        ("stopped", "stops"),
        ("crosses", "cross"),
        ("gray", "grey"),
        ("bodies", "body"),
    ],
)
def test_forms_of_a_word_share_their_stem(a, b):
    assert wording.stem(a) == wording.stem(b)


@pytest.mark.parametrize(("a", "b"), [("red", "read"), ("left", "leave"), ("star", "stair")])
def test_different_words_keep_different_stems(a, b):
    assert wording.stem(a) != wording.stem(b)


def test_terms_hold_neighbours_but_no_filler():
    assert wording.terms("What colour is the red star?") == ("red", "star", "red star")
    assert "star blue" not in wording.terms("the red star or the blue circle")
    assert wording.terms("How many objects are there?") == ()


def test_single_word_alternatives_are_no_clue():
    kept = wording.without_alternatives("Is the star small or large?")
    assert wording.terms(kept) == ("star",)
    both = "Which is larger, the red star or the blue circle?"
    assert wording.without_alternatives(both) == both


@pytest.mark.parametrize(
    "text",
    [
        "there is no star.",
        "There are no stars in this clip.",
        "this is outside my world.",
        "The star is not visible.",
        "not shown.",
        "I cannot see a star.",
        "The clip doesn't show a star.",
        "none",
        "",
    ],
)
def test_absence_is_heard(text):
    assert wording.says_absent(text)


@pytest.mark.parametrize("text", ["red", "no", "it is not moving", "a note on the table", "3", "0"])
def test_presence_is_not_absence(text):
    assert not wording.says_absent(text)


@pytest.mark.parametrize(
    ("question", "is_global"),
    [
        ("How many stars are there in the video?", True),
        ("What comes right after the red star?", True),
        ("Which comes first, the star or the circle?", True),
        ("What colour is the star?", False),
        ("How many stars are there?", True),
    ],
)
def test_questions_about_the_whole(question, is_global):
    assert wording.is_global(question) == is_global


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("red", "The star is red.", True),
        ("three", "3", True),
        ("it moves left", "moving left", True),
        ("red", "blue", False),
        ("it is moving", "it is not moving", False),
        ("red then blue", "blue then red", False),
        ("yes", "no", False),
    ],
)
def test_same_answer_in_other_words(a, b, same):
    question = "What does the star do?"
    assert (wording.essence(a, question) == wording.essence(b, question)) == same


def test_words_of_the_question_count_where_nothing_else_is_said():
    question = "Is it red or blue?"
    assert wording.essence("red", question) != wording.essence("blue", question)


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("B", 1),
        ("b)", 1),
        ("(C)", 2),
        ("B. blue", 1),
        ("The answer is C", 2),
        ("Answer: dark red", 2),
        ("blue", 1),
        ("The star is blue.", 1),
        ("a dark red star", 2),
        ("red", 0),
        ("B. red", None),
        ("red and blue", None),
        ("green", None),
        ("E", None),
        ("", None),
        ("a star", None),
    ],
)
def test_options_are_matched_or_left_open(text, picked):
    assert wording.match_option(text, ("red", "blue", "dark red")) == picked


def test_numbers_match_in_words_and_digits():
    assert wording.match_option("there are three", ("2", "3", "4")) == 1


def test_phrases_keep_together_what_is_said_of_one_thing():
    told = wording.phrases("a large green ring stays still. a small star and a red cross.")
    assert ("small", "ring") not in told and any("ring" in p and "larg" in p for p in told)
    assert not any("ring" in p and "small" in p for p in told)
    assert sum("cross" in p for p in told) == 1

"""Words of questions and answers."""

from __future__ import annotations

import pytest

from mmreason.language.answer_reading import normalise_answer
from mmreason.language.question import is_global, without_alternatives
from mmreason.language.text import extract_phrases, extract_terms, stem_word


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
    assert stem_word(a) == stem_word(b)


@pytest.mark.parametrize(("a", "b"), [("red", "read"), ("left", "leave"), ("star", "stair")])
def test_different_words_keep_different_stems(a, b):
    assert stem_word(a) != stem_word(b)


def test_terms_hold_neighbours_but_no_filler():
    assert extract_terms("What colour is the red star?") == ("red", "star", "red star")
    assert "star blue" not in extract_terms("the red star or the blue circle")
    assert extract_terms("How many objects are there?") == ()


def test_single_word_alternatives_are_no_clue():
    kept = without_alternatives("Is the star small or large?")
    assert extract_terms(kept) == ("star",)
    both = "Which is larger, the red star or the blue circle?"
    assert without_alternatives(both) == both


@pytest.mark.parametrize(
    ("question", "is_about_the_whole"),
    [
        ("How many stars are there in the video?", True),
        ("What comes right after the red star?", True),
        ("Which comes first, the star or the circle?", True),
        ("What colour is the star?", False),
        ("How many stars are there?", True),
    ],
)
def test_questions_about_the_whole(question, is_about_the_whole):
    assert is_global(question) == is_about_the_whole


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
        ("I think it is probably red", "red", True),
        ("not red", "red", False),
    ],
)
def test_same_answer_in_other_words(a, b, same):
    question = "What does the star do?"
    assert (normalise_answer(a, question) == normalise_answer(b, question)) == same


def test_words_of_the_question_count_where_nothing_else_is_said():
    question = "Is it red or blue?"
    assert normalise_answer("red", question) != normalise_answer("blue", question)


def test_phrases_keep_together_what_is_said_of_one_thing():
    told = extract_phrases("a large green ring stays still. a small star and a red cross.")
    assert ("small", "ring") not in told and any("ring" in p and "larg" in p for p in told)
    assert not any("ring" in p and "small" in p for p in told)
    assert sum("cross" in p for p in told) == 1

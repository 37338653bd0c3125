"""Words of questions and answers."""

from __future__ import annotations

import pytest

from mmreason.language import wording


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
    assert wording.stem_word(a) == wording.stem_word(b)


@pytest.mark.parametrize(("a", "b"), [("red", "read"), ("left", "leave"), ("star", "stair")])
def test_different_words_keep_different_stems(a, b):
    assert wording.stem_word(a) != wording.stem_word(b)


def test_terms_hold_neighbours_but_no_filler():
    assert wording.extract_terms("What colour is the red star?") == ("red", "star", "red star")
    assert "star blue" not in wording.extract_terms("the red star or the blue circle")
    assert wording.extract_terms("How many objects are there?") == ()


def test_single_word_alternatives_are_no_clue():
    kept = wording.without_alternatives("Is the star small or large?")
    assert wording.extract_terms(kept) == ("star",)
    both = "Which is larger, the red star or the blue circle?"
    assert wording.without_alternatives(both) == both


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
        ("I think it is probably red", "red", True),
        ("not red", "red", False),
    ],
)
def test_same_answer_in_other_words(a, b, same):
    question = "What does the star do?"
    assert (wording.normalise_answer(a, question) == wording.normalise_answer(b, question)) == same


def test_words_of_the_question_count_where_nothing_else_is_said():
    question = "Is it red or blue?"
    assert wording.normalise_answer("red", question) != wording.normalise_answer("blue", question)


def test_phrases_keep_together_what_is_said_of_one_thing():
    told = wording.extract_phrases("a large green ring stays still. a small star and a red cross.")
    assert ("small", "ring") not in told and any("ring" in p and "larg" in p for p in told)
    assert not any("ring" in p and "small" in p for p in told)
    assert sum("cross" in p for p in told) == 1

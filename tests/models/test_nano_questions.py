"""What nano may be asked: the forms it was taught, other ways to say them, and nothing else."""

from __future__ import annotations

import random

import pytest

from mmreason.models.nano_questions import (
    NotTaught,
    Taught,
    understand_expression,
    understand_question,
)
from mmreason.models.nano_replies import is_answer, is_box_list, is_caption, whole_sentences
from mmreason.training.nano.config import NanoConfig, Stage
from mmreason.training.nano.examples import CAPTION_PROMPT, make_clip_example, make_image_example

STAGE = Stage(
    share=1.0,
    image_share=0.5,
    multi_scene_share=0.4,
    most_actors=5,
    word_share=0.3,
    outside_share=0.05,
    half_truth_share=0.5,
)
SMALL = NanoConfig(size_px=(32, 16), clip_frames=2)


def _taught_dialogues():
    for index in range(120):
        make = make_clip_example if index % 2 else make_image_example
        yield from make(random.Random(f"forms/{index}"), SMALL, STAGE).dialogue


def test_all_that_is_taught_is_understood_as_it_stands_and_its_answers_are_answers():
    for prompt, answer in _taught_dialogues():
        question = prompt.split("\n")[0]
        if question == CAPTION_PROMPT:
            assert is_caption(answer), answer
        elif question.startswith("Locate the "):
            name = question.removeprefix("Locate the ").removesuffix(". Output its bbox in JSON.")
            assert understand_expression(name) == name and is_box_list(answer)
        else:
            taught = understand_question(question)
            assert isinstance(taught, Taught) and taught.prompt == question
            assert is_answer(answer, taught.kind, taught.choices), (question, answer)


@pytest.mark.parametrize(
    ("said", "taught"),
    [
        ("what color is the star", "What colour is the star?"),
        ("What colour is the star in the video?", "What colour is the star?"),
        ("What is the colour of the large star?", "What colour is the large star?"),
        ("Please tell me: how many objects are there?", "How many objects are there?"),
        ("How many crosses can you see?", "How many crosses are there?"),
        ("Can you see a red star?", "Is there a red star?"),
        ("Are there any orange crosses in this clip?", "Is there an orange cross?"),
        ("Is there any ring?", "Is there a ring?"),
        ("Is there a orange ring?", "Is there an orange ring?"),
        ("Is the star large or small?", "Is the star small or large?"),
        (
            "Which is bigger, the red star or the ring?",
            "Which is larger, the red star or the ring?",
        ),
        ("  WHERE is the big square ?", "Where is the large square?"),
        ("Which word is shown on the screen?", "What word is on the screen?"),
    ],
)
def test_other_ways_to_say_it_are_asked_in_the_taught_words(said, taught):
    found = understand_question(said)
    assert isinstance(found, Taught) and found.prompt == taught


@pytest.mark.parametrize(
    ("question", "prompt"),
    [
        ("Is the star large?", "Is the star small or large?"),
        ("Is the small ring red?", "What colour is the small ring?"),
        ("Is the cross striped?", "What pattern does the cross have?"),
    ],
)
def test_yes_or_no_about_an_attribute_is_asked_as_the_attribute(question, prompt):
    found = understand_question(question)
    assert isinstance(found, Taught) and (found.prompt, found.yes) == (prompt, "")


def test_whether_a_thing_of_a_size_is_there_is_asked_as_its_size():
    found = understand_question("Is there a large yellow ring?")
    assert isinstance(found, Taught)
    assert (found.prompt, found.yes) == ("Is the yellow ring small or large?", "large")
    assert found.things == ("yellow ring",)


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Is there a dog?", "'dog'"),
        ("How many dogs are there?", "'dogs'"),
        ("What colour is the bicycle?", "'bicycle'"),
        ("Does the training crash?", "'training', 'crash'"),
        ("Who directed this?", "'who', 'directed', 'this'"),
        ("List all the words on the screen.", "'list', 'all', 'words'"),
        ("Is the star not red?", "'not'"),
        ("Welche Farbe hat der Stern?", "'welche', 'farbe', 'hat', 'der', 'stern'"),
        ("Is there a 3 star?", "'3'"),
    ],
)
def test_unknown_words_are_named(question, word):
    found = understand_question(question)
    assert isinstance(found, NotTaught) and word in found.reason


@pytest.mark.parametrize(
    "question", ["When does the star appear?", "how long is the ring there?", "When is it red?"]
)
def test_times_are_not_known(question):
    assert understand_question(question) == NotTaught("it does not know times")


@pytest.mark.parametrize(
    "question", ["Where are the stars?", "Is there a star or a ring?", "What is there?", "star", ""]
)
def test_known_words_in_another_form_are_not_asked(question):
    assert understand_question(question) == NotTaught("it was not taught questions of this form")


def test_things_that_are_taken_for_granted_are_named_where_absence_was_not_taught():
    both = understand_question("Which is larger, the purple ring or the cyan star?")
    assert isinstance(both, Taught) and both.things == ("purple ring", "cyan star")
    after = understand_question("What comes right after the red star?")
    assert isinstance(after, Taught) and after.things == ("red star",)
    large = understand_question("What pattern does the large red star have?")
    assert isinstance(large, Taught) and large.things == ("red star",)
    red = understand_question("What shape is the red object?")
    assert isinstance(red, Taught) and red.things == ()
    colour = understand_question("What colour is the star?")
    assert isinstance(colour, Taught) and colour.things == ()


@pytest.mark.parametrize(
    ("said", "name"), [("the big red star", "large red star"), ("A dotted ring", "dotted ring")]
)
def test_expressions_are_located_in_the_taught_words(said, name):
    assert understand_expression(said) == name


@pytest.mark.parametrize("said", ["dog", "star left of the ring", "red", "the red star and ring"])
def test_other_expressions_are_not_located(said):
    assert isinstance(understand_expression(said), NotTaught)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("pink", "count"),
        ("an", "colour"),
        ("this", "yes_no"),
        ("a white dotted star", "yes_no"),
        ("then nothing", "motion"),
        ("thi comes in from the right", "motion"),
        ("a green ring and the word START.", "word"),
        ("3", "yes_no"),
        ("red red", "colour"),
        ("", "colour"),
    ],
)
def test_replies_of_another_kind_are_no_answers(text, kind):
    assert not is_answer(text, kind)


def test_a_choice_must_be_one_of_the_two():
    choices = ("purple ring", "cyan star")
    assert is_answer("the cyan star", "thing", choices)
    assert not is_answer("the purple cross", "thing", choices)


@pytest.mark.parametrize(
    "text",
    [
        "a a a a a a",
        "a a a small white striped star goes in circles.",
        "a small red star.  moves.",
        "the page comes in from the right.",
        "then nothing",
    ],
)
def test_stammering_is_no_caption(text):
    assert not is_caption(text)


def test_a_caption_that_the_limit_cut_keeps_its_whole_sentences():
    cut = "a small red star stays still. a large gre"
    assert whole_sentences(cut) == "a small red star stays still."
    assert is_caption(whole_sentences(cut))

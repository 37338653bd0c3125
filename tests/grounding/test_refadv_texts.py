"""Sentences of programs: several ways to say the same, and never two ways to read one."""

from __future__ import annotations

import pytest

from mmreason.grounding.refadv import Clause, Pick, Program, Wording, write_text
from mmreason.grounding.refadv.programs import (
    delete_descriptor,
    list_descriptors,
    strip_negation,
    swap_bindings,
)
from mmreason.grounding.refadv.texts import TEMPLATES, write_tokens

RED_SQUARE = (Clause("colour", "red"), Clause("shape", "square"))
BLUE_RING = Program((Clause("colour", "blue"), Clause("shape", "ring")))
LEFT_OF_RING = Program((*RED_SQUARE, Clause("relation", "left", landmark=BLUE_RING)))
FIRST_TO_MOVE_LEFT = Program((*RED_SQUARE, Clause("moves", "left")), Pick("first"))


def test_every_program_is_said_in_three_ways_or_more() -> None:
    for program in (Program(RED_SQUARE), FIRST_TO_MOVE_LEFT, Program(RED_SQUARE, Pick("left", 2))):
        texts = {write_text(program, Wording(template)) for template in range(TEMPLATES)}
        assert len(texts) >= 3, texts


def test_synonyms_differ_by_seed_and_agree_within_one_text() -> None:
    program = Program((Clause("size", "large"), Clause("shape", "ring")))
    texts = {write_text(program, Wording(0, seed)) for seed in range(40)}
    assert texts == {
        "the large ring", "the big ring", "the large hoop", "the big hoop"
    }  # fmt: skip
    assert write_text(program, Wording(0, 7)) == write_text(program, Wording(0, 7))


@pytest.mark.parametrize("template", range(TEMPLATES))
def test_first_names_what_is_ranked_before_the_rank(template: int) -> None:
    """Trap: "the red square that moved left first" is read in two ways."""
    text = write_text(FIRST_TO_MOVE_LEFT, Wording(template))
    group, rank = text.split(", ")
    assert "red squares" in group
    assert "left" not in group
    assert rank in ("the one that was first to move left", "the first one to move left")


@pytest.mark.parametrize("template", range(TEMPLATES))
def test_second_from_the_left_names_the_filtered_set(template: int) -> None:
    """Trap: "the second red square from the left" may count all squares."""
    text = write_text(Program(RED_SQUARE, Pick("left", 2)), Wording(template))
    assert text.endswith("red squares, the second from the left")


def test_nothing_follows_a_landmark_but_its_own_words() -> None:
    deeper = Program((Clause("shape", "star"), Clause("relation", "above", landmark=BLUE_RING)))
    clause = Clause("relation", "left", landmark=deeper)
    program = Program((clause, Clause("pattern", "striped", negated=True), *RED_SQUARE))
    assert write_text(program) == (
        "the red square that is not striped and that is left of the star "
        "that is above the blue ring"
    )


@pytest.mark.parametrize(
    ("clause", "text"),
    [
        (Clause("pattern", "striped", negated=True), "the thing that is not striped"),
        (Clause("shape", "ring", negated=True), "the thing that is not a ring"),
        (Clause("colour", "red", rather_than="blue"), "the thing that is red rather than blue"),
        (Clause("moves", "up"), "the thing that moves up"),
        (Clause("moves", "up", negated=True), "the thing that does not move up"),
        (Clause("enters", "left"), "the thing that comes in from the left"),
        (Clause("leaves", "right"), "the thing that goes out to the right"),
        (Clause("turns", "blue"), "the thing that turns blue"),
        (Clause("touches", landmark=BLUE_RING), "the thing that comes to touch the blue ring"),
        (Clause("passes", landmark=BLUE_RING), "the thing that passes in front of the blue ring"),
        (Clause("after", "moves", landmark=BLUE_RING),
         "the thing that moves only after the blue ring moves"),
        (Clause("before", "turns", landmark=BLUE_RING),
         "the thing that moves before the blue ring changes colour"),
        (Clause("same", "colour", landmark=BLUE_RING),
         "the thing that is of the same colour as the blue ring"),
        (Clause("count", "colour 3"),
         "the thing that is one of exactly three things of the same colour"),
    ],
)  # fmt: skip
def test_every_kind_of_clause_is_said_in_plain_words(clause: Clause, text: str) -> None:
    assert write_text(Program((clause,))) == text


def test_all_of_several_are_asked_for_in_plural_and_singular() -> None:
    program = Program((Clause("shape", "cross"), Clause("moves", "left")), quantifier="every")
    texts = [write_text(program, Wording(template)) for template in range(TEMPLATES)]
    assert "every cross that moves left" in texts
    assert "all of the crosses that move left" in texts


def test_words_are_mapped_to_their_descriptors() -> None:
    tokens = write_tokens(LEFT_OF_RING)
    assert tokens == [
        ("the", ""), ("red", "0"), ("square", "1"), ("that", ""), ("is", ""), ("left", "2"),
        ("of", "2"), ("the", ""), ("blue", "2.0"), ("ring", "2.1"),
    ]  # fmt: skip


def test_descriptors_are_deleted_wherever_they_stand() -> None:
    assert list(list_descriptors(LEFT_OF_RING)) == ["0", "1", "2", "2.0", "2.1"]
    texts = [
        write_text(delete_descriptor(LEFT_OF_RING, name)) for name in list_descriptors(LEFT_OF_RING)
    ]
    assert texts == [
        "the square that is left of the blue ring",
        "the red thing that is left of the blue ring",
        "the red square",
        "the red square that is left of the ring",
        "the red square that is left of the blue thing",
    ]
    assert write_text(delete_descriptor(FIRST_TO_MOVE_LEFT, "pick")) == (
        "the red square that moves left"
    )


def test_the_same_words_are_bound_otherwise() -> None:
    swapped = [write_text(program) for program in swap_bindings(LEFT_OF_RING)]
    assert swapped == [
        "the blue square that is left of the red ring",
        "the red ring that is left of the blue square",
    ]


def test_what_has_no_negation_has_none_to_strip() -> None:
    assert strip_negation(LEFT_OF_RING) is None
    contrast = Program((Clause("colour", "red", rather_than="blue"),))
    stripped = strip_negation(contrast)
    assert stripped is not None
    assert write_text(stripped) == "the thing that is blue rather than red"


def test_programs_come_back_from_json() -> None:
    for program in (LEFT_OF_RING, FIRST_TO_MOVE_LEFT):
        assert Program.from_dict(program.to_dict()) == program

"""Taking referring expressions apart by rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.grounding.expressions import MOST_CHARACTERS, Expression, parse_expression


def told(expression: Expression) -> list[tuple[str, str, bool]]:
    return [(d.text, d.kind, d.negated) for d in expression.descriptors]


@pytest.mark.parametrize(
    ("text", "head", "descriptors"),
    [
        ("star", "star", []),
        (
            "the small red striped star",
            "star",
            [("small", "size", False), ("red", "colour", False), ("striped", "pattern", False)],
        ),
        ("the traffic light", "traffic light", []),
        (
            "dark blue car parked near the tree",
            "car",
            [("dark blue", "colour", False), ("parked near the tree", "relation", False)],
        ),
        (
            "the man with a red hat on the left",
            "man",
            [("with a red hat", "other", False), ("on the left", "relation", False)],
        ),
        (
            "the ring that is red and moves left",
            "ring",
            [("red", "colour", False), ("moves left", "motion", False)],
        ),
        (
            "the ring between the star and the cross",
            "ring",
            [("between the star and the cross", "relation", False)],
        ),
        ("a pair of red shoes", "shoes", [("red", "colour", False)]),
        ("the car as large as the bus", "car", [("as large as the bus", "size", False)]),
        ("the biggest of the dogs", "dogs", [("biggest", "size", False)]),
        ("the running dog", "dog", [("running", "motion", False)]),
        ("the thing that turns red", "thing", [("turns red", "motion", False)]),
    ],
)
def test_head_and_descriptors_are_told_apart(text, head, descriptors):
    expression = parse_expression(text)
    assert expression.head == head
    assert told(expression) == descriptors
    assert expression.temporal == ""


@pytest.mark.parametrize(
    ("text", "descriptor"),
    [
        ("the star that is not red", ("not red", "colour")),
        ("the non-red star", ("non red", "colour")),
        ("the person without a hat", ("without a hat", "negation")),
        ("the person not wearing a hat", ("not wearing a hat", "negation")),
        ("the object that doesn't move", ("does not move", "motion")),
        ("the object that doesn\u2019t move", ("does not move", "motion")),
        ("the dog which never stops", ("never stops", "motion")),
        ("the man who is not on the horse", ("not on the horse", "relation")),
    ],
)
def test_a_negation_belongs_to_its_descriptor(text, descriptor):
    assert told(parse_expression(text)) == [(*descriptor, True)]


def test_a_double_negation_is_none():
    (descriptor,) = parse_expression("the man who is not without a hat").descriptors
    assert not descriptor.negated


@pytest.mark.parametrize(
    ("text", "temporal"),
    [
        ("the dog that runs off after the whistle", "after the whistle"),
        ("After the whistle, the dog that runs", "After the whistle"),
        ("the ring moving up while the star moves left", "while the star moves left"),
        ("the star at the end of the video", "at the end of the video"),
        ("the player who scores last", "last"),
        ("the first star to leave", "first"),
        ("the second car from the left", ""),
        ("the car as large as the bus", ""),
        ("the dog in the first row", ""),
    ],
)
def test_time_is_a_clause_or_an_order_of_events(text, temporal):
    assert parse_expression(text).temporal == temporal


@pytest.mark.parametrize("text", ["der rote Stern", "红色的星星", "el perro", "?!", "🟥"])
def test_what_is_not_english_is_one_name_and_told(text):
    expression = parse_expression(text)
    assert expression.head == text
    assert "English" in expression.notes[0]


@pytest.mark.parametrize("text", ["the one on the left", "second from the left", "red"])
def test_a_thing_without_a_name_may_be_any_object_and_is_told(text):
    expression = parse_expression(text)
    assert expression.head == "object"
    assert "any object" in expression.notes[0]


def test_only_looks_go_to_a_detector():
    phrase = parse_expression("the small red star that is not striped, on the left").noun_phrase
    assert phrase == "small red star"


def test_empty_and_endless_expressions_are_refused():
    with pytest.raises(ValueError, match="is empty"):
        parse_expression(" \n ")
    with pytest.raises(ValueError, match=f"the limit is {MOST_CHARACTERS:,}"):
        parse_expression("red " * 10_000)


_TOKENS = """
the a red star that is not and , with in on left of before without moves first one 's n't dark pair
ring walking ; but who as large
"""
_WORDS = st.lists(st.sampled_from(_TOKENS.split()), min_size=1, max_size=14).map(" ".join)


@given(st.one_of(_WORDS, st.text(min_size=1, max_size=60)))
def test_any_text_is_read(text):
    if not text.strip():
        return
    expression = parse_expression(text)
    assert expression.head
    assert all(descriptor.text for descriptor in expression.descriptors)

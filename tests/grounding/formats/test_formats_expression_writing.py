"""Two questions to a language model, and exact checks of its replies where attributes are known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmreason.grounding.expression_writing import (
    ReplyError,
    estimate_cost,
    read_pair_reply,
    read_sentences_reply,
    write_pair_prompt,
    write_sentences_prompt,
)
from mmreason.grounding.look_alikes import AnnotatedObject


def dog(id: str, category: str = "dog", **attributes: str) -> AnnotatedObject:
    values = {name: (value,) for name, value in attributes.items()}
    return AnnotatedObject(id=id, category=category, attributes=values)


DOGS = (
    dog("1", colour="brown", pose="lying"),
    dog("2", colour="brown", pose="sitting"),
    dog("3", colour="black", pose="lying"),
    dog("4", colour="black", pose="sitting"),
)


def pair_reply(**changes: Any) -> str:
    reply = {
        "pair": [1, 2],
        "group": [
            {"name": "colour", "first": "brown", "second": "black"},
            {"name": "ground", "first": "on the grass", "second": "on the path"},
        ],
        "within": [
            {"name": "pose", "first": "lying", "second": "sitting"},
            {"name": "gaze", "first": "looking left", "second": "looking right"},
            {"name": "ears", "first": "ears up", "second": "ears down"},
            {"name": "collar", "first": "with a collar", "second": "without one"},
        ],
    } | changes
    return f"Here it is:\n```json\n{json.dumps(reply)}\n```"


def test_a_plan_is_read_and_both_questions_hold_what_is_known() -> None:
    assert "1: dog" in write_pair_prompt(DOGS) and "exactly 4" in write_pair_prompt(DOGS)
    plan = read_pair_reply(pair_reply(), DOGS)
    assert plan.pair == ("1", "2") and plan.doubts == ()
    assert [item.id for item in (*plan.group, *plan.within)] == ["G1", "G2", "P1", "P2", "P3", "P4"]
    prompt = write_sentences_prompt(plan)
    assert "P1: 1 is lying, 2 is sitting" in prompt and "exactly one of within" in prompt


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("I cannot help with that.", "no JSON object"),
        (pair_reply(pair=[1, 9]), "two ids of the objects"),
        (pair_reply(pair=[1, 1]), "two ids of the objects"),
        (pair_reply(group=[]), "'group' must have 2 discriminators, found 0"),
        (pair_reply(within="x"), "'within' must have 4 discriminators, found none"),
        (pair_reply(group=[{"name": "x"}, 7]), "must have a name and two phrases"),
    ],
)
def test_a_reply_that_cannot_be_used_says_why(reply: str, expected: str) -> None:
    with pytest.raises(ReplyError, match=expected):
        read_pair_reply(reply, DOGS)


def test_long_ids_of_numbers_are_read() -> None:
    dogs = [dog("12345678", pose="lying"), dog("12345679", pose="sitting")]
    plan = read_pair_reply(pair_reply(pair=[12345678, 12345679]), dogs)
    assert plan.pair == ("12345678", "12345679")


def test_a_pair_of_two_categories_is_none() -> None:
    with pytest.raises(ReplyError, match="a dog and a cat, no look-alikes"):
        read_pair_reply(pair_reply(), [DOGS[0], dog("2", "cat")])


def test_phrases_that_annotations_contradict_are_doubted() -> None:
    within = [{"name": "pose", "first": "sitting", "second": "brown"}] * 4
    group = [{"name": "pose", "first": "lying", "second": "black"}] * 2
    plan = read_pair_reply(pair_reply(group=group, within=within), DOGS)
    assert "G1: 'lying' is not true of 2" in plan.doubts
    assert "P1: 'sitting' is not true of 1" in plan.doubts
    assert "P1: 'sitting' is true of 2 too" in plan.doubts
    assert "P1: 'brown' is true of 1 too" in plan.doubts


def test_each_sentence_is_checked_and_the_good_ones_pass() -> None:
    plan = read_pair_reply(pair_reply(), DOGS)
    entries = [
        {"target": 1, "group": ["G1"], "within": ["P1"], "text": "the brown dog that is lying"},
        {"target": "2", "group": ["G1"], "within": ["P1"], "text": "the brown dog, not lying"},
        {"target": 1, "group": ["G1"], "within": ["P2"], "text": "the brown dog looking left"},
        {"target": 1, "group": ["G1"], "within": [], "text": "the brown dog"},
        {"target": 1, "group": ["G1"], "within": ["P1"], "text": "brown dog 1, lying"},
        {"target": 3, "group": ["G9"], "within": ["P1"], "text": "the black dog lying"},
        {"target": 2, "group": ["G1"], "within": ["P1"], "text": "the brown dog lying"},
        7,
    ]
    written = read_sentences_reply(json.dumps({"expressions": entries}), plan, DOGS)
    good, negated, unknown, ambiguous, number, other, wrong, nothing = (w.problems for w in written)
    assert good == negated == unknown == ()
    assert ambiguous == (
        "must use one discriminator of within, names 0",
        "ambiguous: also fits 2 (dog)",
    )
    assert number == ("says a number: 1",)
    assert other[0] == "is about '3', none of the pair" and "of group" in other[1]
    assert wrong == ("wrong: 2 (dog) is not pose: lying",)
    assert "says nothing" in nothing
    with pytest.raises(ReplyError, match="list of sentences"):
        read_sentences_reply('{"expressions": []}', plan, DOGS)


def test_the_estimate_is_the_published_one() -> None:
    cost = estimate_cost(4000, input_price=2.5, output_price=10)
    assert cost.generations == 21_390 and cost.price == pytest.approx(149, abs=0.5)
    with pytest.raises(ValueError, match="must not be below 0"):
        estimate_cost(-1, input_price=1, output_price=1)

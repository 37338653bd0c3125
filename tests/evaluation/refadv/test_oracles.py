"""Oracles reach what is known of them, and no more: the sets and the scoring are sound."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mmreason.evaluation.refadv.cases import check_changes, item_cases
from mmreason.evaluation.refadv.outcomes import CaseOutcome
from mmreason.evaluation.refadv.runner import ask_case
from mmreason.evaluation.refadv.subjects import OracleSubject
from mmreason.evaluation.refadv.summary import build_tables
from mmreason.grounding.refadv import Item
from mmreason.grounding.refadv.oracles import (
    ORACLES,
    OracleName,
    Question,
    answer_question,
    denote_ids,
    find_lacking,
)
from tests.evaluation.refadv.made_outcomes import image_items, relation_items, video_items


def ask_oracle(name: OracleName, items: Sequence[Item], *changes: str) -> list[CaseOutcome]:
    subject = OracleSubject(name)
    cases = [case for item in items for case in item_cases(item, check_changes(changes))]
    return [ask_case(subject, case) for case in cases]


@pytest.mark.parametrize("items", [image_items, relation_items, video_items])
def test_the_attribute_oracle_is_always_right(items) -> None:
    outcomes = ask_oracle("attributes", items())
    assert all(o.is_right and o.is_hit for o in outcomes)
    assert {round(o.iou, 6) for o in outcomes if o.targets == 1} == {1.0}


def test_the_attribute_oracle_follows_every_change_that_means_something() -> None:
    changes = ("strip_negation", "swap", "reverse")
    for items in (relation_items(), video_items()):
        changed = [o for o in ask_oracle("attributes", items, *changes) if o.change != "original"]
        assert changed and all(o.follows for o in changed if o.follows is not None)


def test_a_bag_of_words_is_right_on_half_of_an_item_and_its_twin() -> None:
    outcomes = ask_oracle("bag-of-words", relation_items(), "swap")
    (twin,) = [t for t in build_tables(outcomes).twins if t.change == "swap"]
    assert twin.both.low <= 0.5 <= twin.both.high
    for item in relation_items():
        (swap,) = [v for v in item.variants if v.kind == "swap"]
        assert sorted(swap.text.split()) == sorted(item.expression.split())
        # The same words are the same to it: it draws from the same two objects.
        picked = {o.picked for o in outcomes if o.item == item.id}
        assert picked <= {*item.target_ids, *swap.target_ids}


def test_frames_without_order_cannot_tell_a_clip_from_its_reversal() -> None:
    outcomes = ask_oracle("unordered-frames", video_items(), "reverse")
    originals = {o.item: o for o in outcomes if o.change == "original"}
    for outcome in outcomes:
        if outcome.change == "reverse" and outcome.follows is not None:
            item = next(i for i in video_items() if i.id == outcome.item)
            twin = next(v for v in item.variants if v.kind == "reverse")
            # Both answers come from the same two objects, whichever way the clip is played.
            both = {*item.target_ids, *twin.target_ids}
            assert {outcome.picked, originals[outcome.item].picked} <= both


def test_one_frame_reaches_its_bound_and_no_more() -> None:
    items = video_items()
    outcomes = [o for o in ask_oracle("one-frame", items) if o.targets == 1]
    bound = sum(i.certificate.single_frame_bound for i in items if len(i.target_ids) == 1)
    expected = sum(1 / len(_alike(item)) for item in items if len(item.target_ids) == 1)
    assert expected <= bound + 1e-9
    assert len(outcomes) > bound


def _alike(item: Item) -> set[str]:
    """All that the one-frame reader may answer, over many draws."""
    return {
        name
        for draw in range(40)
        for name in answer_question(
            "one-frame",
            Question(
                item=item,
                readings=(item.program,),
                world=item.world,
                boxes=item.boxes(0.0),
                seed=str(draw),
            ),
        )
    }


@pytest.mark.parametrize("name", ["first", "largest", "central", "random"])
def test_who_reads_nothing_answers_the_same_whatever_is_asked(name: OracleName) -> None:
    outcomes = ask_oracle(name, image_items(), "floor", "blind")
    for item in image_items():
        of = {o.change: o for o in outcomes if o.item == item.id}
        if name != "random" and name != "largest":
            assert of["original"].picked == of["floor"].picked
        # Nothing is shown: nothing can be pointed at.
        assert of["blind"].pick == "none"


def test_a_question_draws_the_same_answer_each_time() -> None:
    first, second = (ask_oracle("random", image_items()) for _ in range(2))
    assert [o.picked for o in first] == [o.picked for o in second]


def test_every_oracle_answers_every_change_without_an_error() -> None:
    names = ("shuffle", "delete", "strip_negation", "swap", "reverse", "single_frame")
    for name in ORACLES:
        for items in (relation_items()[:2], video_items()[:2]):
            for outcome in ask_oracle(name, items, *names, "blind", "floor"):
                assert outcome.error is None, (name, outcome.change, outcome.error)


def test_a_distractor_lacks_what_makes_it_none() -> None:
    for item in (*image_items(), *relation_items(), *video_items()):
        lacking = find_lacking(item)
        assert set(lacking) == set(item.candidate_ids) - set(item.target_ids)
        assert all(lacking.values())
        assert denote_ids(item, item.program, item.world) == item.target_ids

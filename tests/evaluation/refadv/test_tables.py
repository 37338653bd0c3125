"""Tables and verdicts say what outcomes show, and no more."""

from __future__ import annotations

import math

import pytest

from mmreason.evaluation.refadv.figures import mean_of_two, paired_share, slope_in_log
from mmreason.evaluation.refadv.outcomes import CaseOutcome, Facts
from mmreason.evaluation.refadv.summary import build_tables
from mmreason.evaluation.refadv.verdicts import find_verdicts
from tests.evaluation.refadv.made_outcomes import make_outcome, right, wrong


def verdict(outcomes: list[CaseOutcome], name: str) -> str:
    (found,) = [v for v in find_verdicts(build_tables(outcomes)) if v.name == name]
    return found.finding


def test_a_failure_or_an_unparsed_answer_counts_as_wrong_and_is_never_dropped() -> None:
    outcomes = [
        right("a"),
        make_outcome("b", status="unparsed"),
        make_outcome("c", status="error", error="RuntimeError: down"),
        make_outcome("d", status="none"),
    ]
    tables = build_tables(outcomes)
    assert tables.right.value == 0.25 and tables.right.n == 4
    assert tables.hits["Acc@.5"].value == 0.25
    assert tables.hits["mIoU"].value == 0.2
    assert tables.errors == 1 and tables.statuses["unparsed"] == 1


def test_an_error_on_an_item_without_a_target_is_no_refusal() -> None:
    empty = {"targets": 0, "exact": False}
    outcomes = [
        make_outcome("a", status="none", targets=0, exact=True),
        make_outcome("b", status="error", error="x", **empty),
    ]
    assert build_tables(outcomes).none_accuracy.value == 0.5


def test_choosing_and_drawing_are_told_apart() -> None:
    outcomes = [right(str(i), iou=0.3) for i in range(10)]
    tables = build_tables(outcomes)
    assert tables.right.value == 1.0 and tables.hits["Acc@.5"].value == 0.0
    assert math.isclose(tables.ceiling["mIoU on the right object"].value, 0.3)


def test_a_drop_is_paired_on_the_same_items() -> None:
    outcomes = [right(str(i)) for i in range(20)]
    # Only ten of them were changed: the others say nothing about the change.
    outcomes += [wrong(str(i), "shuffle") for i in range(10)]
    (row,) = build_tables(outcomes).changes
    assert row.drop.value == 1.0 and row.drop.n == 10


def test_no_interval_closes_where_no_pair_differs() -> None:
    same = paired_share([(str(i), True, True) for i in range(30)])
    assert same.value == 0.0 and same.low < 0 < same.high
    half = mean_of_two([(str(i), True, False) for i in range(30)])
    assert half.value == 0.5 and half.low < 0.5 < half.high


def test_variants_of_one_picture_are_taken_together() -> None:
    apart = paired_share([(str(i), i % 2 == 0, False) for i in range(40)])
    together = paired_share([(str(i // 10), i // 10 % 2 == 0, False) for i in range(40)])
    assert together.high - together.low > apart.high - apart.low
    assert together.clusters == 4


def test_a_shortcut_is_shown_by_answers_that_stay() -> None:
    outcomes = [right(str(i)) for i in range(30)]
    outcomes += [right(str(i), "swap", follows=False) for i in range(30)]
    assert verdict(outcomes, "takes the expression for a bag of words") == "shortcut shown"
    assert verdict(outcomes, "binds attributes to their objects") == "not shown"


def test_binding_is_shown_where_both_of_a_pair_are_right() -> None:
    outcomes = [right(str(i)) for i in range(30)]
    outcomes += [wrong(str(i), "swap", follows=True) for i in range(30)]
    assert verdict(outcomes, "binds attributes to their objects") == "shown"
    names = {v.name for v in find_verdicts(build_tables(outcomes))}
    assert "takes the expression for a bag of words" not in names


def test_few_items_show_nothing() -> None:
    outcomes = [right(str(i)) for i in range(5)]
    outcomes += [wrong(str(i), "floor") for i in range(5)]
    assert verdict(outcomes, "reads the expression") == "not measured"
    assert verdict(outcomes, "beats chance") == "not measured"


def test_an_ability_within_the_interval_is_not_shown() -> None:
    outcomes = [right(str(i)) if i % 2 else wrong(str(i)) for i in range(30)]
    outcomes += [right(str(i), "shuffle") if i % 3 else wrong(str(i), "shuffle") for i in range(30)]
    assert verdict(outcomes, "depends on word order") == "not shown"


def test_declining_at_random_is_no_skill() -> None:
    half = [
        make_outcome(f"{i} none", targets=0, status="none", exact=True, boxes=0)
        if i % 2
        else wrong(f"{i} none", targets=0)
        for i in range(40)
    ]
    half += [right(str(i)) if i % 2 else make_outcome(str(i), status="none") for i in range(40)]
    assert verdict(half, "declines what is not there") == "not shown"


def test_a_preference_is_measured_against_how_many_are_as_large() -> None:
    common = {"largest": True, "largest_of": 3, "central": False, "first": False}
    assert "prefers the largest candidate" not in {
        v.name
        for v in find_verdicts(
            build_tables([right(str(i), **{**common, "largest": i % 4 > 0}) for i in range(40)])
        )
    }
    alone = [right(str(i), **{**common, "largest_of": 1}) for i in range(40)]
    assert verdict(alone, "prefers the largest candidate") == "shortcut shown"


def test_the_slope_is_of_doubled_candidates() -> None:
    def of(n: int, hits: int) -> list[CaseOutcome]:
        facts = Facts(descriptors=1, candidates=n, negation=False, hops=0, family="f")
        return [
            (right if i < hits else wrong)(f"{n} {i}", facts=facts, cluster=f"{n} {i}")
            for i in range(20)
        ]

    slope = slope_in_log([*of(4, 16), *of(8, 12), *of(16, 8)])
    assert math.isclose(slope.value, -0.2)
    assert slope.low < -0.2 < slope.high < 0
    assert not slope_in_log(of(4, 10)).n


def test_what_the_wrong_choice_lacks_is_counted() -> None:
    outcomes = [wrong("a", missed=("colour",)), wrong("b", missed=("colour", "size")), right("c")]
    assert build_tables(outcomes).missed == {"colour": 2, "size": 1}


def test_an_outcome_is_read_back_as_it_was() -> None:
    outcome = right("a", box_px=(0.0, 1.0, 2.0, 3.0), missed=("size",), follows=True)
    assert CaseOutcome.from_dict(outcome.to_dict()) == outcome


@pytest.mark.parametrize(
    "change",
    [
        {"iou": 7.0},
        {"iou": "x"},
        {"change": "sing"},
        {"facts": {"descriptors": -1}},
        {"facts": None},
        {"pick": "nobody"},
        {"box_px": [1, 2]},
    ],
)
def test_an_outcome_of_somebody_is_checked(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is no outcome"):
        CaseOutcome.from_dict(right("a").to_dict() | change)

"""Measures of a search: bounds, invariances, and small cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.evaluation.needle import metrics, spans
from mmreason.evaluation.needle.metrics import ErrorKind
from mmreason.evaluation.needle.outcomes import Outcome, Visit
from mmreason.grounding import tiou
from mmreason.needle.items import Item
from mmreason.types import Cost
from mmreason.video.types import Span

TIME_S = st.floats(0, 100).map(lambda t: round(t, 2))
SPAN = st.tuples(TIME_S, st.floats(0.1, 20)).map(lambda p: Span(p[0], p[0] + round(p[1], 2)))
SPANS = st.lists(SPAN, max_size=6)
GOLD = st.lists(SPAN, min_size=1, max_size=4)
TIMES = st.lists(TIME_S, max_size=12)


@given(SPANS, GOLD)
def test_span_measures_stay_within_bounds(visited, gold):
    values = [m(visited, gold) for m in (tiou, spans.span_coverage, spans.span_precision)]
    f1 = spans.span_f1(visited, gold)
    assert all(0 <= v <= 1 for v in [*values, f1])
    assert values[0] <= f1 + 1e-9 <= max(values[1:]) + 2e-9


@given(SPANS, GOLD, st.randoms())
def test_repeats_and_order_of_visits_change_nothing(visited, gold, rng):
    again = visited + visited[:3]
    rng.shuffle(again)
    for measure in (tiou, spans.span_coverage, spans.span_precision, spans.span_f1):
        assert measure(again, gold) == pytest.approx(measure(visited, gold))


@given(SPANS, GOLD)
def test_a_visit_beside_the_gold_never_helps(visited, gold):
    more = [*visited, Span(500.0, 510.0)]
    assert spans.span_f1(more, gold) <= spans.span_f1(visited, gold) + 1e-9
    assert spans.span_coverage(more, gold) == pytest.approx(spans.span_coverage(visited, gold))


@given(GOLD)
def test_visiting_exactly_the_gold_is_perfect(gold):
    assert tiou(gold, gold) == pytest.approx(1)
    assert spans.span_f1(gold, gold) == pytest.approx(1)


@given(TIMES, GOLD, st.floats(0.1, 10), st.floats(0, 5))
def test_frame_scores_grow_with_tolerance(times_s, gold, tolerance_s, more_s):
    gold_s = spans.gold_times(gold)
    near = spans.frame_scores(times_s, gold_s, tolerance_s)
    wide = spans.frame_scores(times_s, gold_s, tolerance_s + more_s)
    assert 0 <= near.precision <= wide.precision <= 1
    assert 0 <= near.recall <= wide.recall <= 1
    assert all(any(s.contains(t) for s in gold) for t in gold_s)


@given(TIMES, GOLD)
def test_hit_rate_and_balance_stay_within_bounds(times_s, gold):
    rate = spans.scene_hit_rate(times_s, gold)
    assert 0 <= spans.span_balance(times_s, gold) <= 1
    assert rate in [i / len(gold) for i in range(len(gold) + 1)]
    assert spans.scene_hit_rate([s.middle_s for s in gold], gold) == 1


def test_spans_by_hand():
    visited, gold = [Span(0, 10), Span(5, 15)], [Span(10, 20)]
    assert tiou(visited, gold) == 5 / 20
    assert (spans.span_coverage(visited, gold), spans.span_precision(visited, gold)) == (
        0.5,
        5 / 15,
    )
    scores = spans.frame_scores([0, 9, 30], [12, 18], 5)
    assert (scores.precision, scores.recall) == (1 / 3, 1 / 2)
    assert spans.span_balance([1, 2, 11, 12], [Span(0, 5), Span(10, 15)]) == 1
    assert spans.span_balance([1, 2], [Span(0, 5), Span(10, 15)]) == 0


ITEM = Item(
    id="w-00",
    world="w",
    duration_s=64.0,
    seed=0,
    question="What colour is the star?",
    options=("red", "blue", "green", "pink"),
    answer=1,
    kind="attribute",
    gold_spans=(Span(33.0, 37.0),),
    needle_s=4.0,
    position=5,
    border="inside",
    context=None,
    distractors=0,
)


def visit(tool: str, start_s: float, end_s: float, **more: Any) -> Visit:
    count = more.pop("count", 4)
    step_s = (end_s - start_s) / count
    times_s = tuple(start_s + (i + 0.5) * step_s for i in range(count))
    given: dict[str, Any] = {
        "node": None,
        "rounds": 1,
        "frames": count,
        "frame_times_s": times_s,
    } | more
    return Visit(tool=tool, span=Span(start_s, end_s), **given)


def outcome(*visits: Visit, **more: Any) -> Outcome:
    """Of a video of 64 s with K = 4 and two levels: leaves of 4 s."""
    given: dict[str, Any] = {
        "item": ITEM,
        "method": "test",
        "choice": 1,
        "text": "blue",
        "confidence": 0.9,
        "stop_reason": "answered",
        "evidence": (),
        "cost": Cost(frames=sum(v.frames for v in visits)),
        "branching": 4,
        "depth": 2,
    }
    values: dict[str, Any] = given | {"visits": visits} | more
    return Outcome(**values)


TOP = tuple(visit("caption", 16 * i, 16 * i + 16, node=(i + 1,), rounds=0) for i in range(4))
SECOND = tuple(
    visit("caption", 32 + 4 * i, 36 + 4 * i, node=(3, i + 1), rounds=int(i == 0)) for i in range(4)
)
WRONG = tuple(
    visit("caption", 4 * i, 4 * i + 4, node=(1, i + 1), rounds=int(not i)) for i in range(4)
)


def test_rounds_count_to_the_leaf_and_to_the_frame():
    o = outcome(*TOP, *SECOND, visit("look", 32.0, 36.0), visit("look", 40.0, 44.0))
    assert metrics.hit_round(o) == 1
    assert metrics.seen_round(o) == 1
    assert metrics.idle_rounds(o) == 2
    assert metrics.hit_at([o], 1).value == 1 and metrics.hit_at([o], 0).value == 0
    assert metrics.wrong_turn(o) is None and metrics.returned_to_gold(o) is None


def test_wrong_turn_and_return():
    o = outcome(*TOP, *WRONG, *SECOND)
    assert metrics.wrong_turn(o) == 1 and metrics.returned_to_gold(o) is True
    assert metrics.hit_round(o) == 2
    lost = outcome(*TOP, *WRONG)
    assert metrics.returned_to_gold(lost) is False and metrics.hit_round(lost) is None


def test_kinds_of_errors():
    wrong = {"choice": 0}
    assert metrics.error_kind(outcome()) is None
    assert metrics.error_kind(outcome(*TOP, *WRONG, **wrong)) is ErrorKind.SEARCH
    blind = visit("look", 32.0, 36.0, frame_times_s=(32.1, 32.2))
    assert metrics.error_kind(outcome(blind, **wrong)) is ErrorKind.LOOK
    assert metrics.error_kind(outcome(visit("look", 32.0, 36.0), **wrong)) is ErrorKind.REASON
    spent = {"choice": None, "stop_reason": "budget_frames", "text": ""}
    assert metrics.error_kind(outcome(*TOP, **spent)) is ErrorKind.STOP
    assert metrics.error_kind(outcome(error="VideoError: gone", choice=None)) is ErrorKind.FAILED
    empty = replace(ITEM, answer=None, kind="absent", gold_spans=())
    assert metrics.error_kind(outcome(item=empty)) is ErrorKind.STOP
    two = replace(ITEM, gold_spans=(Span(1.0, 2.0), Span(33.0, 37.0)))
    half = outcome(visit("look", 32.0, 36.0), item=two, choice=0)
    assert metrics.error_kind(half) is ErrorKind.STOP
    assert metrics.seen_round(half) is None and metrics.answered_early(half)


def test_failed_calls_show_nothing():
    o = outcome(visit("look", 32.0, 36.0, failed=True), choice=None, text="")
    assert metrics.seen_round(o) is None and metrics.visited_spans(o) == ()
    assert metrics.failed_share(o) == 1


def test_repeats_and_loops():
    look = visit("look", 32.0, 36.0)
    assert metrics.repeat_ratio(outcome(look, look, *SECOND)) == pytest.approx(1 / 5)
    assert metrics.has_loop(outcome(look, look, look))
    assert not metrics.has_loop(outcome(look, look, SECOND[0], look))
    assert metrics.repeat_ratio(outcome()) == 0


def test_grounding_of_right_answers():
    near = outcome(evidence=((Span(32.0, 36.0), (34.0,), True),))
    far = outcome(evidence=((Span(0.0, 4.0), (2.0,), True),))
    wide = outcome(evidence=((Span(0.0, 64.0 * 3), (34.0,), True),))
    assert metrics.evidence_iou(near) == pytest.approx(3 / 5)
    assert metrics.score_ungrounded([near, far, wide]).hits == 2
    assert metrics.score_ungrounded([near, far, wide], by_frames=True).hits == 1
    assert metrics.accuracy_at_iou([near, far], 0.3).value == 0.5


def test_abstention_and_its_scores():
    empty = replace(ITEM, answer=None, kind="absent", gold_spans=())
    kept = {"choice": None, "text": "there is no star.", "stop_reason": "abstained"}
    rows = [outcome(**kept), outcome(item=empty, **kept), outcome(item=empty), outcome()]
    assert [o.right for o in rows] == [False, True, False, True]
    precision, recall, f1 = metrics.score_abstention(rows)
    assert (precision.value, recall.value, f1) == (0.5, 0.5, 0.5)
    unmatched = outcome(choice=None, text="it is a nice day")
    assert not unmatched.abstained and not unmatched.right


def test_calibration():
    sure = [outcome(confidence=1.0)] * 3 + [outcome(confidence=1.0, choice=0)]
    assert metrics.calibration_error(sure) == pytest.approx(0.25)
    assert math.isnan(metrics.calibration_error([outcome(confidence=None)]))
    assert math.isnan(metrics.calibration_error([]))


def test_accuracy_and_cost():
    cheap, dear = outcome(cost=Cost(frames=8)), outcome(cost=Cost(frames=4096))
    assert metrics.accuracy_within([cheap, dear], 100).value == 0.5
    assert metrics.area_under_cost([cheap]) == 1
    assert metrics.area_under_cost([dear]) < 0.05
    turns = [outcome(), outcome(choice=0)]
    assert metrics.circular_accuracy(turns).value == 0
    assert metrics.relative_to_gold([outcome(choice=0)], [outcome()]) == 0
    assert math.isnan(metrics.relative_to_gold([outcome()], [outcome(choice=0)]))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_paired_difference_holds_its_value(pairs):
    items = [replace(ITEM, id=f"w{i}", world=f"w{i // 3}") for i in range(len(pairs))]
    one = [outcome(item=i, choice=int(a)) for i, (a, _) in zip(items, pairs, strict=True)]
    other = [outcome(item=i, choice=int(b)) for i, (_, b) in zip(items, pairs, strict=True)]
    value, low, high = metrics.paired_difference(one, other, draws=200)
    assert value == pytest.approx(sum(a - b for a, b in pairs) / len(pairs))
    assert math.isnan(low) if len(pairs) <= 3 else low <= high
    back, _, _ = metrics.paired_difference(other, one, draws=200)
    assert back == pytest.approx(-value)


def test_outcomes_survive_json():
    o = outcome(*TOP, *SECOND, evidence=((Span(32.0, 36.0), (34.0,), True),))
    assert Outcome.from_dict(o.to_dict()) == o

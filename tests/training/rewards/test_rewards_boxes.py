"""Rewards of where in a frame: boxes and cited evidence, and that the whole frame pays nothing."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmreason.grounding import Box, Dialect, iou
from mmreason.training.rewards import (
    Frame,
    Mark,
    Trajectory,
    Truth,
    box_f1,
    box_iou,
    evidence_place,
    evidence_time,
    from_turns,
)
from mmreason.training.rewards.boxes import best_matching
from mmreason.types import UsageError

FRAME = Frame(size_px=(200, 100))
times = st.floats(0, 100, allow_nan=False)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.integers(0, 150),
    st.integers(0, 70),
    st.integers(1, 50),
    st.integers(1, 30),
)
marks = st.builds(Mark, times, boxes)


def paid(value: float | None) -> float:
    assert value is not None
    return value


def boxed(*found: Box) -> Trajectory:
    return Trajectory(answer="", boxes=found)


# -- boxes -----------------------------------------------------------------------------------------


def test_boxes_are_read_in_their_dialect():
    truth = Truth(boxes=(Box(20, 10, 60, 50),), frame=FRAME)
    seen = from_turns(['<answer>[{"bbox_2d": [100, 100, 300, 500]}]</answer>'], frame=FRAME)
    assert seen.boxes == (Box(20, 10, 60, 50),)
    assert box_iou(seen, truth) == box_f1(seen, truth) == 1
    seen_px = Frame(size_px=(200, 100), dialect=Dialect.SEEN_PX, seen_size_px=(100, 50))
    assert from_turns(["[10, 5, 30, 25]"], frame=seen_px).boxes == (Box(20, 10, 60, 50),)


@given(boxes, boxes)
def test_box_iou_is_iou_above_the_whole_frame(said, wanted):
    truth = Truth(boxes=(wanted,), frame=FRAME)
    share = wanted.area_px2 / (200 * 100)
    value = paid(box_iou(boxed(said), truth))
    assert 0 <= value <= 1
    assert value == pytest.approx(max(0.0, (iou(said, wanted) - share) / (1 - share)))
    assert box_iou(boxed(wanted), truth) == 1


@given(st.lists(boxes, min_size=1, max_size=4))
def test_the_whole_frame_spam_and_silence_pay_nothing_in_place(wanted):
    whole = Box(0, 0, 200, 100)
    tiles = [Box(x, y, x + 10, y + 10) for x in range(0, 200, 10) for y in range(0, 100, 10)]
    many = Truth(boxes=tuple(wanted), frame=FRAME)
    one = Truth(boxes=(wanted[0],), frame=FRAME)
    for found in ([whole], [whole] * 3, []):
        assert box_iou(boxed(*found), one) == pytest.approx(0, abs=1e-12)
        assert box_f1(boxed(*found), many) == pytest.approx(0, abs=1e-12)
    assert box_iou(boxed(*tiles), one) == 0
    assert paid(box_f1(boxed(*tiles), many)) < 0.05
    assert box_iou(Trajectory(answer=""), one) == 0


@given(boxes, st.lists(boxes, min_size=1, max_size=4), boxes)
def test_one_more_guess_never_helps_where_one_box_is_asked_for(wanted, found, more):
    truth = Truth(boxes=(wanted,), frame=FRAME)
    assert paid(box_iou(boxed(*found, more), truth)) <= paid(box_iou(boxed(*found), truth))


@given(st.lists(boxes, min_size=1, max_size=4), st.lists(boxes, min_size=1, max_size=4))
def test_box_f1_is_bounded_and_order_does_not_matter(found, wanted):
    truth = Truth(boxes=tuple(wanted), frame=FRAME)
    turned = Truth(boxes=tuple(wanted[::-1]), frame=FRAME)
    value = paid(box_f1(boxed(*found), truth))
    assert 0 <= value <= 1
    assert box_f1(boxed(*found[::-1]), turned) == pytest.approx(value)
    assert box_f1(boxed(*wanted), truth) == pytest.approx(1)


def test_f1_above_the_whole_frame_by_hand():
    left, right = Box(0, 0, 50, 100), Box(100, 0, 200, 100)
    truth = Truth(boxes=(left, right), frame=FRAME)
    # The frame once scores 2 * 0.5 / 3 = 1/3, twice 2 * 0.75 / 4 = 3/8; one right box 2 / 3.
    assert box_f1(boxed(left), truth) == pytest.approx((2 / 3 - 3 / 8) / (1 - 3 / 8))


@given(st.lists(boxes, min_size=1, max_size=3, unique=True))
def test_repeating_a_right_box_lowers_f1(wanted):
    assume(all(iou(a, b) == 0 for a, b in itertools.combinations(wanted, 2)))
    truth = Truth(boxes=tuple(wanted), frame=FRAME)
    assert paid(box_f1(boxed(*wanted, wanted[0]), truth)) < paid(box_f1(boxed(*wanted), truth))


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_the_matching_is_the_best_of_all(rows, columns, data):
    value = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1)
    values = [[data.draw(value) for _ in range(columns)] for _ in range(rows)]
    small = values if rows <= columns else [list(c) for c in zip(*values, strict=True)]
    ways = itertools.permutations(range(len(small[0])), len(small))
    best = max(sum(small[i][at] for i, at in enumerate(way)) for way in ways)
    assert best_matching(values) == pytest.approx(best)


def test_nothing_to_box_is_paid_only_when_said():
    nothing = Truth(boxes=(), frame=FRAME)
    for reward in (box_iou, box_f1):
        assert reward(from_turns(["[]"], frame=FRAME), nothing) == 1
        assert reward(from_turns(["There is no such box."], frame=FRAME), nothing) == 1
        assert reward(from_turns(["lorem"], frame=FRAME), nothing) == 0
        assert reward(from_turns(["[1, 2, 300, 400]"], frame=FRAME), nothing) == 0
        assert reward(from_turns(["[]"]), Truth()) is None


def test_a_target_that_fills_the_frame_is_not_applicable():
    truth = Truth(boxes=(Box(1, 1, 200, 100),), frame=FRAME)
    assert box_iou(boxed(Box(0, 0, 200, 100)), truth) is None
    assert box_f1(boxed(Box(0, 0, 200, 100)), truth) is None
    assert box_iou(boxed(), Truth(boxes=(Box(0, 0, 1, 1),) * 2, frame=FRAME)) is None
    with pytest.raises(UsageError, match="area"):
        Truth(boxes=(Box(1, 1, 1, 5),), frame=FRAME)


# -- evidence --------------------------------------------------------------------------------------

STAR = Box(20, 10, 60, 50)
ANNOTATED = Truth(marks=(Mark(10.0, STAR), Mark(30.0, STAR)), frame=FRAME)


def pointing(*found: Mark) -> Trajectory:
    return Trajectory(answer="", marks=found)


def test_citations_are_read_from_the_chain():
    text = (
        "<think>the <obj>star</obj><box>[100, 100, 300, 500]</box>at<t>10.5</t>s "
        f"and <box>{json.dumps([0, 0, 100, 100])}</box><t>1:05</t></think><answer>B</answer>"
    )
    seen = from_turns([text], frame=FRAME)
    assert seen.marks == (Mark(10.5, STAR), Mark(65.0, Box(0, 0, 20, 10)))
    assert evidence_place(seen, ANNOTATED) == 0.5
    assert from_turns([text]).marks == ()


@given(st.floats(1.001, 1e6))
def test_the_gate_is_shut_on_both_sides(away_s):
    """The release compares the plain difference, and every late citation passes."""
    assert evidence_place(pointing(Mark(10 - away_s, STAR)), ANNOTATED) == 0
    assert evidence_place(pointing(Mark(30 + away_s, STAR)), ANNOTATED) == 0
    early = evidence_time(pointing(Mark(10 - away_s, STAR)), ANNOTATED)
    late = paid(evidence_time(pointing(Mark(30 + away_s, STAR)), ANNOTATED))
    assert early == pytest.approx(late, abs=1e-6)
    assert late < 0.61


def test_the_gate_is_open_on_both_sides():
    for time_s in (9.0, 9.5, 10.0, 11.0):
        assert evidence_place(pointing(Mark(time_s, STAR)), ANNOTATED) == 1
    assert evidence_time(pointing(Mark(10, STAR)), ANNOTATED) == 1


def test_whole_frame_spam_and_silence_are_no_evidence():
    whole = Box(0, 0, 200, 100)
    everywhere = [Mark(float(t), whole) for t in range(100)]
    guesses = [Mark(float(t), STAR) for t in range(100)]
    assert evidence_place(pointing(*everywhere), ANNOTATED) == 0
    assert paid(evidence_place(pointing(*guesses), ANNOTATED)) < 0.07
    assert paid(evidence_time(pointing(*guesses), ANNOTATED)) < 0.07
    assert evidence_place(pointing(), ANNOTATED) == evidence_time(pointing(), ANNOTATED) == 0
    assert evidence_place(pointing(), Truth()) is None
    filled = Truth(marks=(Mark(1.0, whole),), frame=FRAME)
    assert evidence_place(pointing(Mark(1.0, whole)), filled) is None


@given(st.lists(marks, min_size=1, max_size=5), st.integers(0, 4), st.integers(1, 4))
def test_repeating_a_citation_changes_nothing(found, which, times_more):
    again = [*found, *[found[which % len(found)]] * times_more]
    for reward in (evidence_time, evidence_place):
        value = paid(reward(pointing(*found), ANNOTATED))
        assert 0 <= value <= 1
        assert reward(pointing(*again), ANNOTATED) == value
        assert reward(pointing(*again[::-1]), ANNOTATED) == value


@given(boxes, st.floats(0, 0.999))
def test_a_second_guess_in_the_same_second_never_helps(other, later_s):
    best = paid(evidence_place(pointing(Mark(10.0, STAR)), ANNOTATED))
    more = Mark(10.0 + later_s, other)
    both = paid(evidence_place(pointing(Mark(10.0, STAR), more), ANNOTATED))
    assert both <= best

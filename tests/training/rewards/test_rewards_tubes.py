"""Rewards of tubes: monotone, over the union of seconds, and nothing for those who say less, or
everything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import Box, iou
from mmreason.training.rewards import Frame, Mark, Trajectory, Truth, from_turns, tube_viou
from mmreason.training.rewards.reading import TUBE_LIMIT
from mmreason.types import UsageError

FRAME = Frame(size_px=(200, 100))
WHOLE = Box(0, 0, 200, 100)
TIMES_S = tuple(float(second) for second in range(10))
TRUE = tuple(Mark(second, Box(10 * second, 20, 10 * second + 40, 60)) for second in TIMES_S[2:7])
TRUTH = Truth(tube=TRUE, tube_times_s=TIMES_S, frame=FRAME)
NOBODY = Truth(tube=(), tube_times_s=TIMES_S, frame=FRAME)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.integers(0, 150), st.integers(0, 70), st.integers(1, 50), st.integers(1, 30),
)  # fmt: skip
tubes = st.dictionaries(st.sampled_from(TIMES_S), boxes, min_size=1, max_size=6)


def paid(*said: Mark, truth: Truth = TRUTH) -> float:
    value = tube_viou(Trajectory(answer="", tube=said), truth)
    assert value is not None
    return value


def shifted(mark: Mark, by_px: float) -> Mark:
    box = mark.box
    return Mark(mark.time_s, Box(box.x1_px + by_px, box.y1_px, box.x2_px + by_px, box.y2_px))


def published(said: tuple[Mark, ...]) -> float:
    """Half temporal IoU, half mean IoU over shared seconds."""
    mine, theirs = ({m.time_s: m.box for m in marks} for marks in (said, TRUE))
    shared = mine.keys() & theirs.keys()
    overlap = sum(iou(mine[t], theirs[t]) for t in shared) / len(shared) if shared else 0.0
    return 0.5 * len(shared) / len(mine.keys() | theirs.keys()) + 0.5 * overlap


def test_the_true_tube_earns_all_and_its_text_is_read():
    boxes = {f"{m.time_s:g}": [round(5 * v) if i % 2 == 0 else round(10 * v)
                               for i, v in enumerate(m.box.xyxy)] for m in TRUE}  # fmt: skip
    said = from_turns([f"```json\n{json.dumps({'boxes': boxes})}\n```"], frame=FRAME)
    assert tube_viou(said, TRUTH) == pytest.approx(1.0)
    assert paid(*TRUE) == 1.0


def test_few_seconds_earn_their_share_only():
    """The published reward prefers one sure second to a whole tube that is a little off."""
    sure, whole_tube = (TRUE[0],), tuple(shifted(mark, 20) for mark in TRUE)
    assert published(sure) > published(whole_tube) - 0.1
    assert paid(*sure) == pytest.approx(1 / 5)
    # Of few seconds each further right one pays the same.
    values = [paid(*TRUE[:count]) for count in range(1, 6)]
    assert values == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_a_single_second_never_beats_a_whole_tube_that_is_as_good_there():
    off = tuple(shifted(mark, 8) for mark in TRUE)
    assert paid(*off) > paid(off[0]) * 4.9


def test_all_seconds_earn_less_than_the_true_ones():
    after = tuple(Mark(time_s, TRUE[-1].box) for time_s in TIMES_S if time_s > 6 or time_s < 2)
    assert paid(*TRUE, *after) == pytest.approx(5 / 10)


def test_boxes_round_the_whole_frame_earn_nothing():
    assert paid(*(Mark(time_s, WHOLE) for time_s in TIMES_S)) == 0
    assert paid(*(Mark(mark.time_s, WHOLE) for mark in TRUE)) == 0


def test_many_boxes_at_one_second_earn_the_worst():
    tiles = [Box(x, y, x + 20, y + 20) for x in range(0, 200, 20) for y in range(0, 100, 20)]
    spam = [Mark(mark.time_s, box) for mark in TRUE for box in (*tiles, mark.box)]
    assert paid(*spam) == 0
    assert paid(*TRUE, *TRUE) == 1.0, "the same said again is no other box"


def test_tubes_of_several_objects_do_not_help():
    rows = [
        {"time": m.time_s, "bbox_2d": [v * 10 for v in (1, 2, 30, 40)], "id": str(number)}
        for number in range(3)
        for m in TRUE
    ]
    one = [row for row in rows if row["id"] == "0"]
    many, single = (from_turns([json.dumps(r)], frame=FRAME) for r in (rows, one))
    assert (tube_viou(many, TRUTH) or 0) <= (tube_viou(single, TRUTH) or 0)


def test_endless_text_and_endless_tubes_earn_nothing():
    rows = ", ".join(f'"{i}": [1, 2, 30, 40]' for i in range(40_000))
    assert tube_viou(from_turns([f'{{"boxes": {{{rows}}}}}'], frame=FRAME), TRUTH) == 0
    row = json.dumps({"boxes": {str(i / 100): [1, 2, 3, 4] for i in range(TUBE_LIMIT + 1)}})
    assert from_turns([row], frame=FRAME).tube is None


def test_an_absent_target_is_paid_only_for_saying_so():
    assert tube_viou(from_turns(["```json\n[]\n```"], frame=FRAME), NOBODY) == 1
    assert tube_viou(from_turns(["There is no such thing."], frame=FRAME), NOBODY) == 1
    assert tube_viou(from_turns(["lorem"], frame=FRAME), NOBODY) == 0
    assert paid(TRUE[0], truth=NOBODY) == 0
    assert tube_viou(from_turns(["[]"], frame=FRAME), TRUTH) == 0
    assert tube_viou(Trajectory(answer=""), TRUTH) == 0
    assert tube_viou(Trajectory(answer="", tube=TRUE), Truth()) is None


@settings(max_examples=60)
@given(tubes, tubes)
def test_it_is_bounded_and_better_boxes_earn_more(said, wanted):
    truth = Truth(
        tube=tuple(Mark(t, box) for t, box in sorted(wanted.items())),
        tube_times_s=TIMES_S,
        frame=FRAME,
    )
    marks = {t: Mark(t, box) for t, box in said.items()}
    value = paid(*marks.values(), truth=truth)
    assert 0 <= value <= 1
    for mark in truth.tube or ():
        # A right box in the place of any other, or of none, never lowers it.
        assert paid(*(marks | {mark.time_s: mark}).values(), truth=truth) >= value
    for time_s in TIMES_S:
        if time_s not in wanted and time_s not in said:
            assert paid(*marks.values(), Mark(time_s, WHOLE), truth=truth) <= value


def test_a_time_that_is_a_little_off_counts_and_one_between_does_not():
    near = tuple(Mark(mark.time_s + 0.3, mark.box) for mark in TRUE)
    assert paid(*near) == 1.0
    far = Mark(100.0, TRUE[0].box)
    assert paid(*TRUE, far) == pytest.approx(5 / 6)


def test_seconds_at_which_the_target_fills_the_frame_are_left_out():
    large = (Mark(1.0, Box(1, 1, 200, 100)), *TRUE)
    truth = Truth(tube=large, tube_times_s=TIMES_S, frame=FRAME)
    assert paid(*TRUE, truth=truth) == 1.0
    filled = Truth(tube=large[:1], tube_times_s=TIMES_S, frame=FRAME)
    assert tube_viou(Trajectory(answer="", tube=TRUE), filled) is None


def test_truth_that_contradicts_itself_is_refused():
    with pytest.raises(UsageError, match="tube_times_s"):
        Truth(tube=TRUE, frame=FRAME)
    with pytest.raises(UsageError, match="rise"):
        Truth(tube=TRUE, tube_times_s=TIMES_S[::-1], frame=FRAME)
    with pytest.raises(UsageError, match="frame"):
        Truth(tube=TRUE, tube_times_s=TIMES_S)

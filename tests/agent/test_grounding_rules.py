"""What tubes tell by themselves, and choosing by that."""

from __future__ import annotations

import numpy as np
import pytest

from mmreason.agent.grounding.rules import RuleChooser, judge_by_rules
from mmreason.grounding import Box, Tube
from mmreason.grounding.expressions import parse_expression
from mmreason.video.types import FrameBatch

SIZE_PX = (320, 180)
FRAMES = FrameBatch(
    pixels=np.zeros((1, 4, 4, 3), np.uint8), times_s=np.zeros(1), exact=np.ones(1, np.bool_)
)


def tube(
    id: str, start: tuple[float, float], end: tuple[float, float], side: float = 20, **span: int
) -> Tube:
    """Ten half seconds from centre to centre; `first` and `last` are its first and last frame."""
    boxes: list[Box | None] = []
    for i in range(10):
        x, y = (a + (b - a) * i / 9 for a, b in zip(start, end, strict=True))
        box = Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2).clip(*SIZE_PX)
        boxes.append(box if span.get("first", 0) <= i <= span.get("last", 9) else None)
    return Tube.from_boxes([i / 2 for i in range(10)], boxes, id=id)


LEFTWARD = tube("1", (250, 50), (60, 55))
RIGHTWARD = tube("2", (60, 120), (250, 120))
STILL = tube("3", (200, 90), (201, 90))
COMING = tube("4", (0, 90), (150, 90), first=2)
GOING = tube("5", (150, 60), (320, 60), last=7)


@pytest.mark.parametrize(
    ("expression", "subject", "holds"),
    [
        ("the star that moves left", LEFTWARD, True),
        ("the star that moves left", RIGHTWARD, False),
        ("the star that moves left", STILL, False),
        ("the star that does not move left", RIGHTWARD, True),
        ("the star moving to the right", RIGHTWARD, True),
        ("the star that stays still", STILL, True),
        ("the star that moves", STILL, False),
        ("the star that never moves", STILL, True),
        ("the star that rises", LEFTWARD, False),
        ("the star that enters from the left", COMING, True),
        ("the star that enters from the right", COMING, False),
        ("the star that appears", COMING, True),
        ("the star that disappears", GOING, True),
        ("the star that leaves", GOING, True),
        ("the star that leaves", STILL, False),
        ("the star on the right", STILL, True),
        ("the star on the left", STILL, False),
        ("the star in the upper right", STILL, False),
        ("the star left of the ring", STILL, None),
        ("the star that turns blue", STILL, None),
        ("the star that touches the ring", STILL, None),
    ],
)
def test_a_track_tells_motion_and_place(expression, subject, holds):
    parsed = parse_expression(expression)
    (told,) = judge_by_rules(subject, [subject], parsed, SIZE_PX).values()
    assert told is holds


@pytest.mark.parametrize(
    ("expression", "id"),
    [
        ("the first star to appear", "2"),
        ("the star that appears last", "4"),
        ("the star that leaves first", "5"),
        ("the leftmost star", "4"),
        ("the largest star", "6"),
    ],
)
def test_ranks_are_among_the_candidates(expression, id):
    later = tube("2", (60, 120), (250, 120), first=1, last=8)
    large = tube("6", (200, 90), (201, 90), side=60, first=2)
    candidates = [later, COMING, GOING] if "appear" not in expression else [later, COMING]
    candidates = [later, COMING, large] if "largest" in expression else candidates
    candidates = [later, GOING] if "leaves" in expression else candidates
    chooser = RuleChooser(parse_expression(expression), SIZE_PX)
    assert chooser.choose(FRAMES, candidates, expression).ids[0] == id


def test_whoever_is_out_is_named_with_what_it_fails():
    chooser = RuleChooser(parse_expression("the red star that moves left"), SIZE_PX)
    choice = chooser.choose(FRAMES, [LEFTWARD, RIGHTWARD], "")
    assert choice.ids == ("1",) and not choice.ambiguous
    assert choice.failures == (("2", "moves left"),)
    assert "moves left" in choice.reason


def test_nobody_is_chosen_where_all_fail_and_all_where_nothing_tells():
    chooser = RuleChooser(parse_expression("the star that moves up"), SIZE_PX)
    assert chooser.choose(FRAMES, [LEFTWARD, RIGHTWARD], "").ids == ()
    chooser = RuleChooser(parse_expression("the red star"), SIZE_PX)
    choice = chooser.choose(FRAMES, [LEFTWARD, RIGHTWARD], "")
    assert choice.ids == ("1", "2") and choice.ambiguous


def test_one_box_shows_no_movement():
    alone = Tube.from_boxes([0.0], [Box(0, 0, 8, 8)], id="1")
    expression = parse_expression("the star that moves left")
    assert judge_by_rules(alone, [alone], expression, SIZE_PX) == {"moves left": None}


def test_a_clause_about_others_is_not_measured():
    expression = parse_expression("the star that moves left before the ring appears")
    checks = judge_by_rules(LEFTWARD, [LEFTWARD], expression, SIZE_PX)
    assert checks == {"moves left": True, "before the ring appears": None}

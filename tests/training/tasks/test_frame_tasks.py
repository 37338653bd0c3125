"""Problems about crowded frames."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from mmreason.training.rewards import Trajectory, from_turns
from mmreason.training.tasks.frames import KINDS, SIZE_PX, FrameTask, Kind, is_right
from mmreason.video.world.script import Colour, Pattern, Size

TASK = FrameTask(split="train")


def test_problems_are_the_same_whenever_asked_for_and_never_shared() -> None:
    assert TASK.problem(7) == FrameTask(split="train").problem(7)
    assert TASK.problem(7).truth != FrameTask(split="held-out").problem(7).truth
    assert TASK.problem(7).id != FrameTask(split="held-out").problem(7).id


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_truth_that_a_right_answer_meets(kind: Kind) -> None:
    task = FrameTask(split="train", kinds=(kind,))
    for i in range(20):
        problem = task.problem(i)
        truth = problem.truth
        if kind in ("box", "box_absent"):
            assert truth.boxes is not None and truth.frame is not None
            right = Trajectory(answer="", boxes=truth.boxes)
            assert bool(truth.boxes) == (kind == "box")
            for box in truth.boxes:
                x1, y1, x2, y2 = box.xyxy
                assert 0 <= x1 < x2 <= SIZE_PX[0] and 0 <= y1 < y2 <= SIZE_PX[1]
        elif kind == "count":
            right = from_turns([f"{truth.number:g}"])
        else:
            right = from_turns([truth.answer or ""])
        assert is_right(right, truth) == 1.0
        wrong = replace(right, answer="no idea", boxes=None)
        assert is_right(wrong, truth) == 0.0


def test_half_truths_name_what_is_there_on_different_things() -> None:
    """Every word of the name is in the frame; `generate` has no thing with both."""
    attributes = {*get_args(Colour), *get_args(Size), *get_args(Pattern)}
    task = FrameTask(split="train", kinds=("half_truth",))
    for i in range(30):
        problem = task.problem(i)
        first, shape = problem.question.removesuffix("?").split()[-2:]
        assert first in attributes
        scene = task.world(problem).scenes[0]
        if scene.events or any(a.motion.kind in ("enter", "leave") for a in scene.actors):
            continue  # not all is there, or as it is written, at the time of the frame
        kinds = [{a.colour, a.size, a.pattern, a.shape} for a in scene.actors]
        assert any(first in kind for kind in kinds) and any(shape in kind for kind in kinds)
        assert not any({first, shape} <= kind for kind in kinds)

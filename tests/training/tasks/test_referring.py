"""Referring expressions as problems: the truth as text earns all, and splits never meet."""

from __future__ import annotations

import json

import pytest

from mmreason.grounding import Box
from mmreason.grounding.refadv import Knobs
from mmreason.models.base import FramesPart
from mmreason.training.nano.examples import box_answer
from mmreason.training.nano.grounding_examples import tube_answer
from mmreason.training.rewards import from_turns
from mmreason.training.rollouts.types import Outcome
from mmreason.training.tasks.referring import REWARD, SIZE_PX, ReferringTask, is_right

EASY = Knobs(k=1, n=4)


def _task(kind, knobs: Knobs = EASY) -> ReferringTask:
    return ReferringTask(split="held-out", kind=kind, knobs=knobs)


def _shares(box: Box) -> tuple[float, float, float, float]:
    width, height = SIZE_PX
    return (box.x1_px / width, box.y1_px / height, box.x2_px / width, box.y2_px / height)


def test_the_box_of_a_picture_earns_nearly_all_as_nano_writes_it():
    task = _task("image")
    for index in range(6):
        problem = task.problem(index)
        assert problem.truth.boxes is not None
        box = problem.truth.boxes[0]
        said = from_turns([box_answer(_shares(box), "it")], frame=problem.truth.frame)
        assert is_right(said, problem.truth) == 1
        outcome = Outcome(trajectory=said, correct=True)
        assert (task.score(problem, outcome).total or 0) > 0.75


def test_the_tube_of_a_clip_earns_nearly_all_as_nano_writes_it():
    task = _task("video", Knobs(k=1, n=4, families=("motion",)))
    problem = task.problem(3)
    boxes = {mark.time_s: _shares(mark.box) for mark in problem.truth.tube or ()}
    assert len(boxes) == len(problem.truth.tube_times_s) == 4
    text = tube_answer(boxes)
    said = from_turns([text], frame=problem.truth.frame)
    assert (REWARD(said, problem.truth).total or 0) > 0.75 and is_right(said, problem.truth) == 1
    # One time of four is a quarter, however good.
    few = json.dumps(json.loads(text.removeprefix("```json").removesuffix("```"))[:1])
    assert is_right(from_turns([few], frame=problem.truth.frame), problem.truth) == 0


@pytest.mark.parametrize("kind", ["image", "video"])
def test_where_nothing_fits_an_empty_list_is_right(kind):
    problem = _task(kind, Knobs(k=2, n=5, none_rate=1.0)).problem(1)
    said = from_turns(["```json\n[]\n```"], frame=problem.truth.frame)
    assert is_right(said, problem.truth) == 1
    assert is_right(from_turns(["lorem"], frame=problem.truth.frame), problem.truth) == 0


def test_problems_are_the_same_each_time_and_differ_between_splits():
    task = _task("video")
    assert task.problem(5).question == task.problem(5).question
    assert task.problem(5).truth == task.problem(5).truth
    train = ReferringTask(split="train", kind="video", knobs=task.knobs)
    assert [train.problem(i).truth for i in range(3)] != [task.problem(i).truth for i in range(3)]


def test_what_is_shown_has_the_times_of_the_clip():
    task = _task("video")
    ((message,), problem) = (task.conversation(task.problem(0)), task.problem(0))
    frames = message.parts[0]
    assert isinstance(frames, FramesPart) and frames.kind == "video"
    assert frames.frames.pixels.shape == (8, 80, 144, 3)
    assert problem.question.startswith("Track the ")

"""A data set of one's own: questions about files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmreason.grounding import Box
from mmreason.models import load
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import LocalSampler
from mmreason.training.rewards import Frame, Trajectory, Truth
from mmreason.training.rl import PolicyModel
from mmreason.training.rollouts.types import Problem
from mmreason.training.tasks.videos import is_right, show_problem, video_questions
from mmreason.types import UsageError
from mmreason.video.types import Span
from mmreason.video.world import generate
from mmreason.video.world.encode import write_video

HOW = Sampling(samples=2, temperature=1.0, seed=0, step=0)


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "world.mp4"
    write_video(generate.world(3, duration_s=8.0), path)
    return path


def test_a_stretch_is_shown_as_the_model_likes_it(clip_file: Path) -> None:
    clip = load("nano").clip
    problem = Problem(
        id="a",
        question="What shape is there?",
        truth=Truth(options=("star", "ring"), choice=0),
        video=str(clip_file),
        span=Span(2.0, 4.0),
    )
    (message,) = show_problem(problem, clip=clip, frames=4)
    frames, text = message.parts
    assert frames.kind == "video" and frames.frames.pixels.shape[1:3] == (80, 144)  # pyright: ignore
    times_s = frames.frames.times_s  # pyright: ignore
    assert len(times_s) == 4 and times_s.min() >= 2.0 - 0.05 and times_s.max() < 4.0
    assert "A. star" in text.text and "B. ring" in text.text  # pyright: ignore


def test_what_cannot_be_read_leaves_its_group_out_and_nothing_takes_its_place(
    clip_file: Path, tmp_path: Path
) -> None:
    from PIL import Image

    nano = PolicyModel.load("nano")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip_file.read_bytes()[:2000])
    picture = tmp_path / "frame.png"
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(picture)
    good = Problem(
        id="good", question="Is there a star?", truth=Truth(answer="yes"), video=str(clip_file)
    )
    rows = [good, replace(good, id="broken", video=str(broken)),
            replace(good, id="gone", video=str(tmp_path / "gone.mp4")),
            replace(good, id="picture", video=str(picture))]  # fmt: skip
    task = video_questions(rows, load("nano").clip, max_new_tokens=4)
    sampler = LocalSampler(nano.model, nano.tokenizer, end_ids=nano.end_ids, pad_id=nano.pad_id)
    groups = collect_rollouts(task, rows, nano.codec, sampler, HOW)
    assert [len(group.rollouts) for group in groups] == [2, 0, 0, 2]
    for group, name in ((groups[1], "broken.mp4"), (groups[2], "gone.mp4")):
        assert set(group.failures) == {0, 1}
        assert name in group.failures[0].message
    assert all(r.outcome.correct is not None for r in groups[0].rollouts)


def test_a_problem_without_a_video_is_told() -> None:
    row = Problem(id="x", question="What?", truth=Truth(answer="a star"))
    with pytest.raises(UsageError, match="'x' names no video"):
        video_questions([row], load("nano").clip)


def test_right_by_answer_else_time_else_box() -> None:
    frame = Frame(size_px=(100, 100))
    wanted = Box(10, 10, 30, 30)
    assert is_right(Trajectory(answer="red"), Truth(answer="red", spans=(Span(1, 2),))) == 1.0
    timed = Truth(spans=(Span(10, 20),), duration_s=100)
    assert is_right(Trajectory(answer="", spans=(Span(10, 19),)), timed) == 1.0
    assert is_right(Trajectory(answer="", spans=(Span(50, 60),)), timed) == 0.0
    boxed = Truth(boxes=(wanted,), frame=frame)
    assert is_right(Trajectory(answer="", boxes=(wanted,)), boxed) == 1.0
    assert is_right(Trajectory(answer="", boxes=(wanted, Box(0, 0, 5, 5))), boxed) == 0.0
    assert is_right(Trajectory(answer="", boxes=None), boxed) == 0.0
    assert is_right(Trajectory(answer="no"), Truth()) is None

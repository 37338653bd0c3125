"""Questions about videos and images as tasks of one turn: a data set of one's own to train on.

Frames are sampled and asked about as the model likes it (its `ClipRecipe`), exactly as when it
looks at a stretch for the agent. For videos of more than some minutes let the agent choose where to
look (`agentic.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mmreason.grounding import iou
from mmreason.models.base import ClipRecipe, Conversation, FramesPart, Message, TextPart
from mmreason.tools.ground import frame_of_image, is_image
from mmreason.training.rewards import (
    Combination,
    Component,
    Reward,
    Trajectory,
    Truth,
    as_combination,
    box_f1,
    correct,
    union_tiou,
)
from mmreason.training.rollouts.types import Problem
from mmreason.training.tasks.single_turn import SingleTurn
from mmreason.types import UsageError
from mmreason.video import plan
from mmreason.video.reader import Video
from mmreason.video.types import FrameBatch

DEFAULT_REWARD = Combination(
    (
        Component(name="answer", reward=correct),
        Component(name="time", reward=union_tiou),
        Component(name="box", reward=box_f1),
    )
)
"""A point for the right answer, up to one for its time, up to one for its boxes: those count for
which the truth is known."""
RIGHT_OVERLAP = 0.5
"""Where only a time or a box is asked for, it is right from this overlap on."""


def video_questions(
    problems: Sequence[Problem],
    clip: ClipRecipe,
    *,
    name: str = "videos",
    reward: Combination | Reward = DEFAULT_REWARD,
    frames: int | None = None,
    max_new_tokens: int = 64,
) -> SingleTurn:
    """A task that shows `frames` frames of each problem's stretch (default: as many as `clip`
    says), evenly spread, with the question and its options. `clip` is that of the model
    (`mmreason.models.load(name).clip`).

    A video that cannot be read leaves its problem out, with the reason in the report. Raises
    UsageError for a problem without a video or image.
    """
    for problem in problems:
        if problem.video is None:
            raise UsageError(f"problem {problem.id!r} names no video; see docs/problems.md")
    return SingleTurn(
        name=name,
        problems=problems,
        show=partial(show_problem, clip=clip, frames=frames or clip.frames),
        reward=as_combination(reward),
        judge=is_right,
        max_new_tokens=max_new_tokens,
    )


def show_problem(problem: Problem, *, clip: ClipRecipe, frames: int) -> Conversation:
    """The message that asks a problem. Raises VideoError or UsageError for what cannot be read."""
    assert problem.video is not None
    text = clip.prompts.ask(problem.question, problem.truth.options)
    if is_image(problem.video):
        pixels = FramesPart(_read_image(Path(problem.video), clip), "image")
    else:
        pixels = FramesPart(_read_clip(problem, clip, frames))
    return [Message("user", (pixels, TextPart(text)))]


def is_right(trajectory: Trajectory, truth: Truth) -> float | None:
    """By its answer, else by its time, else by its box; None where nothing is known.

    Example:
        >>> is_right(Trajectory(answer="two"), Truth(number=2.0))
        1.0
    """
    # The strictest rule that there is truth for.
    by_answer = correct(trajectory, truth)
    if by_answer is not None:
        return by_answer
    overlap = union_tiou(trajectory, truth)
    if overlap is not None:
        return float(overlap >= RIGHT_OVERLAP)
    if truth.boxes is None:
        return None
    if len(truth.boxes) != 1:
        f1 = box_f1(trajectory, truth)
        return None if f1 is None else float(f1 >= RIGHT_OVERLAP)
    # Of one box exactly one is asked for: a second one would be a guess.
    boxes = trajectory.boxes or ()
    return float(len(boxes) == 1 and iou(boxes[0], truth.boxes[0]) >= RIGHT_OVERLAP)


def _read_clip(problem: Problem, clip: ClipRecipe, frames: int) -> FrameBatch:
    assert problem.video is not None
    with Video.open(problem.video) as video:
        # The part that is shown may reach over the end of the video.
        info = video.info
        span = info.span if problem.span is None else problem.span.clip(info.span)
        size_px = clip.frame_size_px(info.width_px, info.height_px)
        return video.frames_at(plan.uniform(span, frames).times_s, size_px)


def _read_image(path: Path, clip: ClipRecipe) -> FrameBatch:
    from PIL import Image

    pixels = frame_of_image(path).pixels
    size_px = clip.frame_size_px(pixels.shape[1], pixels.shape[0])
    resized = Image.fromarray(pixels).resize(size_px, Image.Resampling.BICUBIC)
    return FrameBatch(pixels=np.asarray(resized)[None], times_s=np.zeros(1), exact=np.ones(1, bool))

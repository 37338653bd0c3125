"""Referring expressions of procedural Ref-Adv as problems: a box on a picture, a tube through a
clip, or that nothing fits. Frames are drawn at nano's size and asked about in its words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mmreason.grounding import Box
from mmreason.grounding.refadv import TRAINING_SEEDS, Item, Knobs, generate
from mmreason.grounding.refadv.items import ItemKind
from mmreason.models.base import Conversation, FramesPart, Message, TextPart
from mmreason.training.nano.grounding_examples import PROMPTS, clip_times, write_referring
from mmreason.training.nano.packing import slice_times
from mmreason.training.rewards import (
    Combination,
    Component,
    Frame,
    Mark,
    Scored,
    Trajectory,
    Truth,
    box_iou,
    tube_viou,
)
from mmreason.training.rollouts.episode import Codec, Episode
from mmreason.training.rollouts.types import Outcome, Problem
from mmreason.training.tasks.single_turn import SingleTurn
from mmreason.video.types import FrameBatch
from mmreason.video.world.truth import boxes_at

SIZE_PX = (144, 80)
"""(width, height) of nano's frames."""
CLIP_FRAMES = 8
FIRST_SEED = {"train": 1 << 41, "held-out": 600_000}
"""Beyond the seeds that supervised examples are drawn from, and below all that is trained on."""
RIGHT_OVERLAP = 0.5
REWARD = Combination(
    (Component(name="box", reward=box_iou), Component(name="tube", reward=tube_viou))
)
"""One of the two applies to a problem."""


@dataclass(frozen=True, kw_only=True)
class ReferringTask:
    """Items of one difficulty, each with its expression. See `Task`.

    Problem i is the same whenever asked for; splits never share a scene.
    """

    split: Literal["train", "held-out"]
    kind: ItemKind
    knobs: Knobs = field(default_factory=lambda: Knobs(k=1, n=4, none_rate=0.2))
    count: int = 100_000

    def __post_init__(self) -> None:
        assert FIRST_SEED["held-out"] + self.count <= TRAINING_SEEDS, "held-out seeds are used up"

    @property
    def name(self) -> str:
        return f"referring/{self.split}/{self.kind}"

    def __len__(self) -> int:
        return self.count

    def problem(self, index: int) -> Problem:
        """See `Task`."""
        item = self._item(index)
        ask = PROMPTS.find if self.kind == "image" else PROMPTS.follow
        return Problem(
            id=f"{self.name}/{index}",
            question=ask(write_referring(item.program)),
            truth=_truth_of(item),
            kind=item.tags[0],
        )

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`."""
        task = SingleTurn(
            name=self.name,
            problems=(),
            show=self.conversation,
            reward=REWARD,
            judge=is_right,
            max_new_tokens=64 if self.kind == "image" else 176,
        )
        return task.episodes(problem, codec, count)

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """Overlap of the box or of the tube, 0..1."""
        return REWARD(outcome.trajectory, problem.truth)

    def conversation(self, problem: Problem) -> Conversation:
        """The frames with the request."""
        # Drawn again from the number in its id: a problem carries no pixels.
        item = self._item(int(problem.id.rsplit("/", 1)[1]))
        times_s = _shown_times(item)
        pixels = np.stack([item.world.frame(time_s, SIZE_PX) for time_s in times_s])
        frames = FrameBatch(
            pixels=pixels, times_s=np.array(times_s), exact=np.ones(len(times_s), bool)
        )
        kind = "image" if self.kind == "image" else "video"
        return [Message("user", (FramesPart(frames, kind), TextPart(problem.question)))]

    def _item(self, index: int) -> Item:
        seed = FIRST_SEED[self.split] + index
        return next(generate(kind=self.kind, seed=seed, count=1, knobs=self.knobs))


def is_right(trajectory: Trajectory, truth: Truth) -> float | None:
    """Whether the overlap is one half or more; where nothing fits, whether that was said."""
    reward = tube_viou if truth.boxes is None else box_iou
    value = reward(trajectory, truth)
    return None if value is None else float(value >= RIGHT_OVERLAP)


def _shown_times(item: Item) -> list[float]:
    if item.kind == "image":
        return [item.frame_time_s or 0.0]
    return clip_times(item.world, CLIP_FRAMES)


def _truth_of(item: Item) -> Truth:
    frame = Frame(size_px=SIZE_PX)
    if item.kind == "image":
        boxes = _boxes(item, item.frame_time_s or 0.0)
        return Truth(boxes=tuple(boxes[name] for name in item.target_ids), frame=frame)
    # Tubes are said at the middles of slices of two frames, as the prompt names them.
    times_s = tuple(slice_times(tuple(_shown_times(item))))
    marks = tuple(
        Mark(time_s, box)
        for time_s in times_s
        for name, box in _boxes(item, time_s).items()
        if name in item.target_ids
    )
    return Truth(tube=marks, tube_times_s=times_s, frame=frame)


def _boxes(item: Item, time_s: float) -> dict[str, Box]:
    width, height = SIZE_PX
    return {
        name: Box(x1 * width, y1 * height, x2 * width, y2 * height)
        for name, (x1, y1, x2, y2) in boxes_at(item.world, time_s).items()
    }

"""Problems about single crowded frames for nano to be reinforced on: boxes and half-truths.

Harder than what it was taught: three to six things in a frame, and questions about things whose
attributes are all there, but on different things ("Is there a striped circle?" beside a striped
square and a plain circle). Frames are drawn at nano's size; no decoder is involved.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmreason.grounding import Box, Dialect, iou
from mmreason.language.prompts import Prompts
from mmreason.models.base import Conversation, FramesPart, Message, TextPart
from mmreason.training.nano.attribute_swaps import find_attribute_swap, name_thing
from mmreason.training.nano.examples import MOMENT_LEAST_S
from mmreason.training.rewards import (
    Combination,
    Component,
    Frame,
    Scored,
    Trajectory,
    Truth,
    box_iou,
    correct,
)
from mmreason.training.rollouts.episode import Codec, Episode
from mmreason.training.rollouts.types import Outcome, Problem
from mmreason.training.tasks.single_turn import SingleTurn
from mmreason.video.types import FrameBatch, Span
from mmreason.video.world import generate
from mmreason.video.world.questions import make_questions, refer_to
from mmreason.video.world.script import World
from mmreason.video.world.truth import Sighting, add_article, boxes_at, find_sightings

Kind = Literal["box", "box_absent", "exists", "half_truth", "count"]
KINDS: tuple[Kind, ...] = ("box", "box_absent", "exists", "half_truth", "count")
SIZE_PX = (144, 80)
"""(width, height) of nano's frames."""
ACCEPTED_IOU = 0.5
"""A box is right from here on."""
_PROMPTS = Prompts()
_MOST_DRAFTS = 200


@dataclass(frozen=True, kw_only=True)
class FrameTask:
    """Frames of scripted worlds, each with one question. See `Task`.

    Problem i is the same whenever asked for; splits never share a world.
    """

    split: Literal["train", "held-out"]
    kinds: tuple[Kind, ...] = KINDS
    count: int = 100_000

    @property
    def name(self) -> str:
        return f"frames/{self.split}/{','.join(self.kinds)}"

    def __len__(self) -> int:
        return self.count

    def problem(self, index: int) -> Problem:
        """See `Task`."""
        return _draft_problem(self.split, index, self.kinds[index % len(self.kinds)])[0]

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`."""
        return self._single_turn().episodes(problem, codec, count)

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """IoU of boxes, 0 or 1 for all else."""
        return REWARD(outcome.trajectory, problem.truth)

    def _single_turn(self) -> SingleTurn:
        return SingleTurn(
            name=self.name,
            problems=(),
            show=self.conversation,
            reward=REWARD,
            judge=is_right,
            max_new_tokens=64,
        )

    def world(self, problem: Problem) -> World:
        """The world whose frame a problem shows."""
        return self._redraft(problem)[1]

    def conversation(self, problem: Problem) -> Conversation:
        """The frame with its question."""
        _, world, time_s = self._redraft(problem)
        frames = FrameBatch(
            pixels=world.frame(time_s, SIZE_PX)[None],
            times_s=np.zeros(1),
            exact=np.ones(1, bool),
        )
        return [Message("user", (FramesPart(frames, "image"), TextPart(problem.question)))]

    def _redraft(self, problem: Problem) -> tuple[Problem, World, float]:
        # Drafted again from the number in its id: a problem carries no pixels.
        index = int(problem.id.rsplit("/", 1)[1])
        return _draft_problem(self.split, index, self.kinds[index % len(self.kinds)])


def is_right(trajectory: Trajectory, truth: Truth) -> float | None:
    """Whether the answer is right: boxes from an IoU of one half, all else by its words."""
    if truth.boxes is None:
        return correct(trajectory, truth)
    # Where there is nothing to box, the reward is 0 or 1 already.
    # The reward takes off what a box round everything scores; whether it is right does not.
    overlap = box_iou(trajectory, truth)
    if overlap is None or not truth.boxes:
        return overlap
    return float(bool(trajectory.boxes) and _worst_iou(trajectory, truth) >= ACCEPTED_IOU)


def _worst_iou(trajectory: Trajectory, truth: Truth) -> float:
    assert trajectory.boxes and truth.boxes
    return min(iou(box, truth.boxes[0]) for box in trajectory.boxes)


REWARD = Combination(
    (Component(name="box", reward=box_iou), Component(name="answer", reward=correct))
)
"""One of the two applies to a problem."""


def _draft_problem(split: str, index: int, kind: Kind) -> tuple[Problem, World, float]:
    """The problem, its world and the time of its frame: the first draft that has such a one."""
    for attempt in range(_MOST_DRAFTS):
        # The split is part of the seed, so that no world is in both.
        # Drawn from its number alone: any process, in any order, has the same problems.
        rng = random.Random(f"frames/{split}/{index}/{attempt}")
        scene = generate.scene(rng, 0.0, 3.0, actors=rng.randint(3, 6), text_share=0.1)
        world = World(name=f"frames-{split}-{index}", scenes=(scene,))
        # Away from the ends of the scene.
        time_s = rng.uniform(0.25, 0.75) * world.duration_s
        things = find_sightings(world, Span(time_s, time_s + 1e-3), least_s=MOMENT_LEAST_S)
        drafted = _draft_question(kind, world, time_s, things, rng)
        if len(things) >= 3 and drafted is not None:
            text, truth = drafted
            problem = Problem(id=f"frames/{split}/{index}", question=text, truth=truth, kind=kind)
            return problem, world, time_s
    raise AssertionError(f"no frame with a question of kind {kind} in {_MOST_DRAFTS} drafts")


def _draft_question(
    kind: Kind, world: World, time_s: float, things: list[Sighting], rng: random.Random
) -> tuple[str, Truth] | None:
    """The question and its truth; None where this frame has none of the kind."""
    frame = Frame(size_px=SIZE_PX, dialect=Dialect.NORM_1000)
    if kind == "box":
        # Only things that a name tells apart from all others in the frame.
        box_of = boxes_at(world, time_s)
        named = [
            (name, box_of[thing.actor.id])
            for thing in things
            if thing.actor.id in box_of and (name := refer_to(thing, things)) is not None
        ]
        if not named:
            return None
        name, box = rng.choice(named)
        # Fractions to pixels: width, height, width, height.
        target = Box(*(v * side for v, side in zip(box, SIZE_PX * 2, strict=True)))
        text = _PROMPTS.find(name)
        return text, Truth(question=text, boxes=(target,), frame=frame)
    if kind == "count":
        # The scripted world asks of this moment; of its questions those that count.
        counts = [
            q
            for q in make_questions(
                world,
                Span(time_s, time_s + 1e-3),
                seed=rng.randrange(1 << 30),
                least_s=MOMENT_LEAST_S,
            )
            if q.family == "count"
        ]
        chosen = rng.choice(counts)
        return chosen.text, Truth(question=chosen.text, number=float(chosen.answer))
    if kind == "exists":
        thing = rng.choice(things)
        name = name_thing(thing, rng)
        text = f"Is there {add_article(name)}?"
        return text, Truth(question=text, answer="yes")
    # Both others ask for a thing that is not there, though its attributes are.
    name = find_attribute_swap(things, rng)
    if name is None:
        return None
    if kind == "half_truth":
        text = f"Is there {add_article(name)}?"
        return text, Truth(question=text, answer="no")
    text = _PROMPTS.find(name)
    return text, Truth(question=text, boxes=(), frame=frame)

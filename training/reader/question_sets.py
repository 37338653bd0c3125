"""The held-out questions that readers are compared on: one from each world, so that no two share
notes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import count
from typing import Literal

from mmreason.training.reader.narrated import make_narrated_world
from mmreason.training.reader.notes import HARD, NoteQuestion, NotesWorld, Split, make_world

SetName = Literal["held out", "hard", "narrated"]
FIRST_HELD_OUT = 1_000_000
FIRST_HARD = 2_000_000
HARD_FAMILIES = (*HARD, "near-miss")


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question with the notes that it is asked about."""

    set_name: SetName
    world: NotesWorld
    question: NoteQuestion

    @property
    def id(self) -> str:
        """Of the world, which has no other question here."""
        return f"{self.set_name}/{self.world.id}"


def held_out_questions(number: int, *, split: Split = "test") -> list[AskedQuestion]:
    """Questions of all families as worlds have them.

    Example:
        >>> len(held_out_questions(5))
        5
    """
    asked: list[AskedQuestion] = []
    for i in range(number):
        world = make_world(split, FIRST_HELD_OUT + i)
        question = random.Random(f"held out {i}").choice(world.questions)
        asked.append(AskedQuestion("held out", world, question))
    return asked


def hard_questions(number: int) -> list[AskedQuestion]:
    """As many of each hard family: what picking one line cannot do.

    Example:
        >>> [asked.question.family for asked in hard_questions(3)]
        ['join', 'after', 'before']
    """
    worlds = (make_world("test", seed) for seed in count(FIRST_HARD))
    waiting: dict[str, list[AskedQuestion]] = {family: [] for family in HARD_FAMILIES}
    asked: list[AskedQuestion] = []
    while len(asked) < number:
        family = HARD_FAMILIES[len(asked) % len(HARD_FAMILIES)]
        while not waiting[family]:
            world = next(worlds)
            rarest = min(
                (q for q in world.questions if q.is_hard),
                key=lambda q: len(waiting[q.family]),
                default=None,
            )
            if rarest is not None:
                waiting[rarest.family].append(AskedQuestion("hard", world, rarest))
        asked.append(waiting[family].pop(0))
    return asked


def narrated_questions(number: int) -> list[AskedQuestion]:
    """Questions of narrations, three in ten of which are not answered."""
    asked: list[AskedQuestion] = []
    for seed in range(number):
        world = make_narrated_world(seed)
        rng = random.Random(f"narrated {seed}")
        is_absent = rng.random() < 0.3
        questions = [q for q in world.questions if q.is_absent == is_absent]
        asked.append(AskedQuestion("narrated", world, rng.choice(questions)))
    return asked

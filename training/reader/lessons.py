"""Worlds to learn from: half of the questions are hard ones with an answer, a quarter has none.

The worlds that readers are measured on (`notes.make_world`) have few hard questions; a reader that
learns from the like sees few too. All that a lesson is made of belongs to the training split.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from mmreason.training.reader.notes import (
    Fact,
    FactMaker,
    Note,
    NoteQuestion,
    NotesWorld,
    place_lines,
)
from mmreason.training.rollouts.types import stable_seed

ABSENT = 2
"""Questions of a lesson that nothing answers, most of them about a subject that the notes name."""


def make_lesson(seed: int) -> NotesWorld:
    """The lesson of a seed: 7 to 9 questions on the same notes, the same on every machine.

    Example:
        >>> lesson = make_lesson(7)
        >>> sum(question.is_absent for question in lesson.questions)
        2
    """
    rng = random.Random(stable_seed("lesson", "train", seed))
    while True:
        maker = FactMaker("train", rng)
        facts = maker.draw_lesson()
        notes, number_of = place_lines("train", rng, facts, most_fillers=2)
        if _is_plain(maker.people, facts, notes, number_of):
            break

    def ask(fact: Fact, index: int) -> NoteQuestion:
        return NoteQuestion(
            text=fact.question,
            family=fact.family,
            answer=fact.answer,
            notes=tuple(sorted(number_of[index, line] for line in fact.proof)),
        )

    questions: list[NoteQuestion] = []
    for index, fact in enumerate(facts):
        questions.append(ask(fact, index))
        if (turned := maker.turn_round(fact)) is not None:
            questions.append(ask(turned, index))
    questions += [maker.ask_absent(facts) for _ in range(ABSENT)]
    rng.shuffle(questions)
    return NotesWorld(f"lesson-{seed}", notes, tuple(questions))


def _is_plain(
    people: Sequence[str],
    facts: Sequence[Fact],
    notes: Sequence[Note],
    number_of: Mapping[tuple[int, int], int],
) -> bool:
    """Whether each answer is the only one: of nobody do two facts tell, and no other person is
    named between a name and the pronoun that stands for it."""
    for person in people:
        if sum(any(person in line for line in fact.lines) for fact in facts) > 1:
            return False
    for index, fact in enumerate(facts):
        if fact.family == "pronoun":
            between = notes[number_of[index, 0] + 1 : number_of[index, 1]]
            if any(person in note.text for note in between for person in people):
                return False
    return True

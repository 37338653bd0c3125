"""Worlds of notes as samples: one row has the notes once, and all questions about them in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from mmreason.agent.passage_reader import READER_PROMPT, READER_QUESTION
from mmreason.training.data.sample import Sample, SampleMessage
from mmreason.training.reader.lessons import make_lesson
from mmreason.training.reader.notes import NoteQuestion, NotesWorld, Split, make_world
from mmreason.training.rewards import Truth


@dataclass(frozen=True)
class ReaderSamples(Sequence[Sample]):
    """Rows that are made when they are asked for; no two are alike: lessons to learn from, and
    worlds as readers are measured on for the split "test"."""

    split: Split
    count: int
    first: int = 0
    """Number of the first world."""

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.count))]
        if not 0 <= index < self.count:
            raise IndexError(index)
        seed = self.first + index
        return dialogue_of(make_lesson(seed) if self.split == "train" else make_world("test", seed))

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(self.count))


def dialogue_of(world: NotesWorld) -> Sample:
    """A row that learns all questions of a world: the notes are read once."""
    messages: list[SampleMessage] = []
    for number, question in enumerate(world.questions):
        following = READER_QUESTION.format(question=question.text)
        text = following if number else ask(world, question)
        messages.append(SampleMessage(role="user", parts=(text,)))
        messages.append(SampleMessage(role="assistant", parts=(question.reply,)))
    return Sample(id=world.id, messages=tuple(messages))


def question_of(world: NotesWorld, number: int) -> Sample:
    """One question alone, as the reader is asked in use."""
    question = world.questions[number]
    return Sample(
        id=f"{world.id}/{number}",
        messages=(SampleMessage(role="user", parts=(ask(world, question),)),),
        truth=Truth(
            question=question.text,
            answer=question.reply,
            columns={
                "family": question.family,
                "answer": question.answer,
                "notes": [number + 1 for number in question.notes],
            },
        ),
        channel=question.family,
    )


def ask(world: NotesWorld, question: NoteQuestion) -> str:
    """The prompt of the reader (`agent/passage_reader.py`)."""
    notes = "\n".join(f"[{number}] {note}" for number, note in enumerate(world.notes, start=1))
    return READER_PROMPT.format(notes=notes, question=question.text)

"""The readers that are compared: untrained ones, and an adapter that was taught."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mmreason import models
from mmreason.agent.passage_reader import READER_TOKENS, make_untaught_prompt
from mmreason.memory.vector_index import Embedder
from mmreason.models.base import ChatModel, GenerateRequest, Message, TextPart
from mmreason.models.hf import TransformersModel
from mmreason.models.notes_reader import add_to_base
from mmreason.training.reader.notes import NONE, NotesWorld, make_world
from mmreason.training.reader.question_sets import AskedQuestion
from mmreason.training.reader.samples import ask
from mmreason.types import UsageError

BATCH = 8
FLOOR_WORLDS = 60
"""Training worlds by which the floor of the line picker is chosen."""
_LINE_PROMPT = "{line}\n\nQuestion: {question}\nAnswer with as few words as you can."

Reader = Callable[[Sequence[AskedQuestion]], list[str]]
"""Replies to a batch of questions, in the form that the taught reader has: "[2] red", or "none"."""


def untrained_reader(folder: Path) -> Reader:
    """The base model with the instructions that `ask` gives to readers that were not taught."""
    model = models.load(str(folder), dtype="float32")

    def read(batch: Sequence[AskedQuestion]) -> list[str]:
        return _reply(
            model, [make_untaught_prompt(_notes(a.world), a.question.text) for a in batch]
        )

    return read


def taught_reader(folder: Path, adapter: Path) -> Reader:
    """The base model with an adapter."""
    base = models.load(str(folder), dtype="float32")
    if not isinstance(base, TransformersModel):
        raise UsageError(f"{folder} holds no text model of transformers")
    model = add_to_base(base, adapter, name=str(adapter))

    def read(batch: Sequence[AskedQuestion]) -> list[str]:
        return _reply(model, [ask(a.world, a.question) for a in batch])

    return read


def line_picker(folder: Path, embedder: Embedder) -> Reader:
    """Without training: an embedder picks the line that is nearest to the question, and the base
    model reads that line alone. Below a floor of likeness, chosen on training worlds, it
    declines."""
    model = models.load(str(folder), dtype="float32")
    floor = choose_floor(embedder)

    def read(batch: Sequence[AskedQuestion]) -> list[str]:
        picked = [pick_line(embedder, a.world, a.question.text) for a in batch]
        prompts = [
            _LINE_PROMPT.format(line=a.world.notes[line].text, question=a.question.text)
            for a, (line, _) in zip(batch, picked, strict=True)
        ]
        replies = _reply(model, prompts)
        return [
            f"[{line + 1}] {' '.join(reply.split())}" if cosine >= floor else NONE
            for (line, cosine), reply in zip(picked, replies, strict=True)
        ]

    return read


def line_quoter(embedder: Embedder) -> Reader:
    """As `line_picker`, but the line itself is the reply: what `ask` does without a reader."""
    floor = choose_floor(embedder)

    def read(batch: Sequence[AskedQuestion]) -> list[str]:
        picked = [(a, *pick_line(embedder, a.world, a.question.text)) for a in batch]
        return [
            f"[{line + 1}] {a.world.notes[line].text}" if cosine >= floor else NONE
            for a, line, cosine in picked
        ]

    return read


def pick_line(embedder: Embedder, world: NotesWorld, question: str) -> tuple[int, float]:
    """The place (from 0) of the note that is nearest to the question, and its cosine."""
    table = embedder.embed_texts([question, *(note.text for note in world.notes)])
    cosines = table[1:] @ table[0]
    line = int(np.argmax(cosines))
    return line, float(cosines[line])


def choose_floor(embedder: Embedder) -> float:
    """The cosine that best parts answered from unanswered questions on training worlds."""
    points = [
        (pick_line(embedder, world, question.text)[1], question.is_absent)
        for world in (make_world("train", seed) for seed in range(FLOOR_WORLDS))
        for question in world.questions
    ]
    kept = sum(not is_absent for _, is_absent in points)
    absent = len(points) - kept

    def balance(floor: float) -> float:
        keeps = sum(c >= floor and not is_absent for c, is_absent in points)
        declines = sum(c < floor and is_absent for c, is_absent in points)
        return keeps / max(1, kept) + declines / max(1, absent)

    return max((cosine for cosine, _ in points), key=balance)


def batches(asked: Sequence[AskedQuestion]) -> Iterator[Sequence[AskedQuestion]]:
    """The questions a few at a time."""
    for start in range(0, len(asked), BATCH):
        yield asked[start : start + BATCH]


def _notes(world: NotesWorld) -> str:
    return "\n".join(f"[{number}] {note}" for number, note in enumerate(world.notes, start=1))


def _reply(model: ChatModel, prompts: Sequence[str]) -> list[str]:
    conversations = [[Message("user", (TextPart(prompt),))] for prompt in prompts]
    request = GenerateRequest(conversations, max_new_tokens=READER_TOKENS)
    return [reply.text for reply in model.generate(request)]

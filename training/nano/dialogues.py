"""Text samples to tensors: conversations of which the assistant's turns are learnt.

Samples that continue each other (the steps of one play) become one row: attention is causal, so
every turn is predicted exactly as in the sample that ends with it. Frames are in `packing`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from mmreason.training.nano.config import Stage
from mmreason.training.nano.packing import IGNORED, LENGTH_STEP, PackedBatch
from mmreason.training.navigation.exercises import make_exercise
from mmreason.training.navigation.samples import read_samples
from mmreason.types import UsageError

_Message = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Token ids with the token wanted next where it is learnt, else -100.

    Example:
        >>> Dialogue(ids=np.array([7, 8, 9]), targets=np.array([-100, 9, -100])).targets[1]
        np.int64(9)
    """

    ids: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True, slots=True)
class Dialogues:
    """The rows of a file in batches of similar length."""

    sha256: str
    """Of the file."""
    batches: tuple[tuple[Dialogue, ...], ...]
    left_out: int
    """Dialogues longer than a batch may be."""

    @classmethod
    def load(
        cls, path: Path, tokenizer: PreTrainedTokenizerFast, *, batch_tokens: int, longest: int
    ) -> Dialogues:
        """Batches of up to `batch_tokens` tokens, padding included; what is longer than `longest`
        tokens is left out. UsageError for a file without usable samples."""
        rows = [
            _encode_dialogue(messages, train, tokenizer) for messages, train in join_steps(path)
        ]
        # By length, so that a batch is hardly padded.
        usable = sorted((row for row in rows if len(row.ids) <= longest), key=lambda r: len(r.ids))
        if not usable:
            raise UsageError(f"{path} holds no dialogue of at most {longest} tokens")
        batches: list[list[Dialogue]] = [[]]
        for row in usable:
            # Rows come by length, so this one would be the width of the batch.
            if batches[-1] and len(row.ids) * (len(batches[-1]) + 1) > batch_tokens:
                batches.append([])
            batches[-1].append(row)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(digest, tuple(map(tuple, batches)), len(rows) - len(usable))

    def batch(self, rng: random.Random) -> PackedBatch:
        """One of the batches, each dialogue as likely as any other."""
        # Batches of short dialogues hold more of them.
        weights = [len(batch) for batch in self.batches]
        return pack_dialogues(rng.choices(self.batches, weights)[0])


def draw_exercise_batch(
    rng: random.Random, tokens: int, stage: Stage, tokenizer: PreTrainedTokenizerFast
) -> PackedBatch:
    """Made-up lists of one of the stage's levels, up to about `tokens` tokens without padding;
    every turn of the assistant is learnt."""
    level = rng.choice(stage.drill_levels)
    rows: list[Dialogue] = []
    while not rows or sum(len(row.ids) for row in rows) + len(rows[-1].ids) <= tokens:
        turns = make_exercise(rng, level)
        rows.append(_encode_dialogue(turns, [role == "assistant" for role, _ in turns], tokenizer))
    return pack_dialogues(tuple(rows))


def join_steps(path: Path) -> list[tuple[list[_Message], list[bool]]]:
    """The conversations of a file: a sample that goes on where the one before ended is joined to
    it, and its turn is learnt too."""
    conversations: list[tuple[list[_Message], list[bool]]] = []
    for row in read_samples(path):
        messages = [(m["role"], m["content"]) for m in row["messages"]]
        train = list(row["train"])
        # The steps of a play stand one after the other, each with all before it.
        if conversations and messages[: len(conversations[-1][0])] == conversations[-1][0]:
            before = conversations.pop()[1]
            # One long conversation in place of all its beginnings: each turn is read once.
            train[: len(before)] = [a or b for a, b in zip(before, train, strict=False)]
        conversations.append((messages, train))
    return conversations


def _encode_dialogue(
    messages: Iterable[_Message], train: Iterable[bool], tokenizer: PreTrainedTokenizerFast
) -> Dialogue:
    """As the chat template writes it: `<|im_start|>role, text<|im_end|>` with newlines."""
    ids: list[int] = []
    targets: list[int] = []
    for (role, text), learnt in zip(messages, train, strict=True):
        head = _encode(tokenizer, f"<|im_start|>{role}\n")
        text_ids = _encode(tokenizer, text + "<|im_end|>")
        tail = _encode(tokenizer, "\n")
        learnt_ids = text_ids if learnt else [IGNORED] * len(text_ids)
        ids += [*head, *text_ids, *tail]
        # The token wanted next stands one place before its own.
        targets += [*[IGNORED] * (len(head) - 1), *learnt_ids, *[IGNORED] * (len(tail) + 1)]
    assert len(ids) == len(targets)
    return Dialogue(np.array(ids), np.array(targets))


def pack_dialogues(dialogues: tuple[Dialogue, ...]) -> PackedBatch:
    """A batch without frames, padded on the right; its attention is plainly causal."""
    # Rounded up, so that batches come in few widths.
    length = -(-max(len(d.ids) for d in dialogues) // LENGTH_STEP) * LENGTH_STEP
    n = len(dialogues)
    ids = np.zeros((n, length), np.int64)
    targets = np.full((n, length), IGNORED, np.int64)
    for row, dialogue in enumerate(dialogues):
        ids[row, : len(dialogue.ids)] = dialogue.ids
        targets[row, : len(dialogue.ids)] = dialogue.targets
    positions = torch.arange(length).expand(3, n, length)
    return PackedBatch(
        # No frames: 384 = 2 frames x 3 colours x 8 x 8 pixels a patch.
        patches=torch.zeros((0, 384)),
        grid_thw=torch.zeros((0, 3), dtype=torch.int64),
        input_ids=torch.from_numpy(ids),
        position_ids=positions,
        attention=None,
        visual=torch.zeros((n, length), dtype=torch.bool),
        targets=torch.from_numpy(targets),
        dense={},
        boxes=torch.zeros((0, 4)),
    )


def _encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[Any]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)

"""In which order problems and samples come, and which rows go through the model together.

Pure planning: an order that follows from the seed, and micro-batches by a budget of tokens, which
change no gradient but through rounding.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, TypeVar

from mmreason.training.learner.packing import LayoutKind
from mmreason.training.rollouts.inputs import input_signature
from mmreason.training.rollouts.types import Prompt, TokenSequence, stable_seed


class HasSequence(Protocol):
    """A row of any kind of training."""

    @property
    def sequence(self) -> TokenSequence:
        """Its tokens."""
        ...


Row = TypeVar("Row", bound=HasSequence)


def problem_index_at(position: int, problems: int, seed: int) -> int:
    """Index of the problem at `position` (from 0) of an endless list: every problem once an epoch,
    in an order that follows from the seed alone. So a run that goes on sees what it would have
    seen.

    Example:
        >>> sorted(problem_index_at(i, 4, seed=1) for i in range(4))
        [0, 1, 2, 3]
    """
    epoch, index = divmod(position, problems)
    return _epoch_order(problems, epoch, seed)[index]


@lru_cache(maxsize=2)
def _epoch_order(problems: int, epoch: int, seed: int) -> tuple[int, ...]:
    order = list(range(problems))
    random.Random(stable_seed("order", seed, epoch)).shuffle(order)
    return tuple(order)


def split_into_micro_batches(
    rows: Sequence[Row], micro_tokens: int, kind: LayoutKind = "padded"
) -> list[list[Row]]:
    """Rows of similar length together, up to `micro_tokens` tokens with padding. A row that is
    longer goes alone."""

    def signature(row: Row) -> tuple[tuple[str, tuple[int, ...]], ...]:
        # Rows with frames of other shapes have tensors that cannot be stacked.
        return input_signature(Prompt(row.sequence.token_ids, row.sequence.media))

    lengths = [len(row.sequence.token_ids) for row in rows]
    signatures = [signature(row) for row in rows]
    batches: list[list[int]] = []
    tokens = 0
    # Longest first, so that the first of a batch is what the others are padded to.
    for i in sorted(range(len(rows)), key=lambda i: (signatures[i], -lengths[i], i)):
        # Packed rows add up, padded ones are all as long as the first.
        if batches and signatures[i] == signatures[batches[-1][0]]:
            padded = lengths[batches[-1][0]] * (len(batches[-1]) + 1)
            after = tokens + lengths[i] if kind == "packed" else padded
            if after <= micro_tokens:
                batches[-1].append(i)
                tokens = after
                continue
        batches.append([i])
        tokens = lengths[i]
    return [[rows[i] for i in batch] for batch in batches]

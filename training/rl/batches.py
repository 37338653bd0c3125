"""Which rows go through the model together, and in which update.

Pure planning: rows are dealt out to updates whole attempts at a time, and to micro-batches by a
budget of tokens. Neither changes any gradient but through rounding. Leaves out tensors.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.training.learner.packing import LayoutKind
from mmreason.training.parallel.processes import Gather
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rollouts.inputs import same_inputs
from mmreason.training.rollouts.types import Prompt, Rollout, TokenSequence, stable_seed


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Row:
    """A sequence with what its attempt earned."""

    sequence: TokenSequence
    rollout: Rollout
    advantage: float
    share: float = 0.0
    """Of DSDR's entropy term, for this row: the attempt's share over its rows."""
    place: tuple[int, ...] = ()
    """Of the attempt among those of all processes; another for every attempt."""

    @property
    def name(self) -> str:
        """Problem and number of the attempt, for messages."""
        return f"{self.rollout.problem.id}#{self.rollout.sample}"


def split_flat(rows: Sequence[Row], recipe: Recipe) -> tuple[list[Row], list[Row]]:
    """Rows that can move the gradient, and those that cannot: advantage exactly 0, and no other
    term or mask that looks at them. The second count in denominators and need not be run."""
    looks = recipe.kl is not None or (
        recipe.stapo is not None and recipe.stapo.scope == "all_tokens"
    )
    flat = [not looks and row.advantage == 0 and row.share == 0 for row in rows]
    return (
        [row for row, is_flat in zip(rows, flat, strict=True) if not is_flat],
        [row for row, is_flat in zip(rows, flat, strict=True) if is_flat],
    )


def deal(
    rows: Sequence[Row], updates: int, *seed_parts: object, gather: Gather = list
) -> list[list[Row]]:
    """The rows of each update, whole attempts, shuffled by the seed. Some lists may be empty.

    The attempts of all processes are shuffled, which `gather` brings together, so that which of
    them share an update does not depend on the number of processes."""
    attempts: dict[tuple[int, ...], list[Row]] = {}
    for row in rows:
        attempts.setdefault(row.place, []).append(row)
    order = sorted(gather(list(attempts)))
    random.Random(stable_seed(*seed_parts)).shuffle(order)
    dealt = [
        order[i * len(order) // updates : (i + 1) * len(order) // updates] for i in range(updates)
    ]
    return [[row for place in part for row in attempts.get(place, ())] for part in dealt]


def micro_batches(
    rows: Sequence[Row], micro_tokens: int, kind: LayoutKind = "padded"
) -> list[list[Row]]:
    """Rows of similar length together, up to `micro_tokens` tokens with padding. A row that is
    longer goes alone."""

    def inputs(row: Row) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return same_inputs(Prompt(row.sequence.token_ids, row.sequence.media))

    kinds = [inputs(row) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: (kinds[i], -len(rows[i].sequence.token_ids), i))
    batches: list[list[int]] = []
    size = 0
    for i in order:
        length = len(rows[i].sequence.token_ids)
        if batches and kinds[i] == kinds[batches[-1][0]]:
            longest = len(rows[batches[-1][0]].sequence.token_ids)
            after = size + length if kind == "packed" else longest * (len(batches[-1]) + 1)
            if after <= micro_tokens:
                batches[-1].append(i)
                size = after
                continue
        batches.append([i])
        size = length
    return [[rows[i] for i in batch] for batch in batches]

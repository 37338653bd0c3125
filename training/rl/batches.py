"""Which rows share an update, and what is known of those that go through the model together.

Pure planning: rows are dealt out to updates whole rollouts at a time, which changes no gradient but
through rounding.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmreason.training.learner.packing import PackedInputs
from mmreason.training.parallel.processes import Gather
from mmreason.training.rl.recipe import ObjectiveSettings
from mmreason.training.rollouts.types import Rollout, TokenSequence, stable_seed


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainingRow:
    """A sequence with what its rollout earned."""

    sequence: TokenSequence
    rollout: Rollout
    advantage: float
    entropy_share: float = 0.0
    """Of DSDR's entropy term, for this row: the rollout's share over its rows."""
    rollout_key: tuple[int, ...] = ()
    """Of the rollout among those of all processes; another for every rollout."""

    @property
    def label(self) -> str:
        """Problem and number of the rollout, for messages."""
        return f"{self.rollout.problem.id}#{self.rollout.sample}"


@dataclass(eq=False, kw_only=True)
class MicroBatch:
    """Rows that go through the model together, with what is known of them before the update.
    Tensors are (B, C)."""

    rows: Sequence[TrainingRow]
    packed: PackedInputs
    old_logp: Tensor | None = None
    """None for a single update per batch: the policy's own, detached, is exact."""
    reference_logp: Tensor | None = None
    keep: Tensor | None = None
    """Tokens in the loss; None for all."""
    episode_tokens: Tensor | None = None
    """(B,) tokens in the loss of the episode that each row is of; for that aggregation alone."""
    episode_lengths: Tensor | None = None
    """(B,) the same of all tokens that the model wrote, for the distance to the reference."""
    reported: dict[str, Tensor] = field(default_factory=dict)
    """Log-probabilities ("logp"), entropies ("entropy") and the tokens that STAPO took out of the
    loss ("silenced"), for who looks at samples."""


def split_zero_advantage(
    rows: Sequence[TrainingRow], objective: ObjectiveSettings
) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """Rows that can move the gradient, and those that cannot: advantage exactly 0, and no other
    term or mask that looks at them. The second count in denominators and need not be run."""
    # The distance to the reference pulls at every row, and STAPO's quantile counts every token.
    looks_at_all = objective.kl is not None or (
        objective.stapo is not None and objective.stapo.scope == "all_tokens"
    )
    live: list[TrainingRow] = []
    flat: list[TrainingRow] = []
    for row in rows:
        # Exactly 0, not nearly: a small advantage has a small gradient.
        is_flat = not looks_at_all and row.advantage == 0 and row.entropy_share == 0
        (flat if is_flat else live).append(row)
    return live, flat


def count_episode_tokens(micro_batches: Sequence[MicroBatch]) -> None:
    """Fill in the tokens of the episodes of an update. Its rows may lie in several micro-batches,
    and are all in one process."""
    in_loss: Counter[int] = Counter()
    written: Counter[int] = Counter()
    for micro_batch in micro_batches:
        mask = micro_batch.packed.mask
        loss_mask = mask if micro_batch.keep is None else mask & micro_batch.keep
        counts = zip(loss_mask.sum(dim=1).tolist(), mask.sum(dim=1).tolist(), strict=True)
        for row, (loss_tokens, all_tokens) in zip(micro_batch.rows, counts, strict=True):
            in_loss[id(row.rollout)] += loss_tokens
            written[id(row.rollout)] += all_tokens
    for micro_batch in micro_batches:
        device = micro_batch.packed.mask.device
        keys = [id(row.rollout) for row in micro_batch.rows]
        micro_batch.episode_tokens = torch.tensor([in_loss[key] for key in keys], device=device)
        micro_batch.episode_lengths = torch.tensor([written[key] for key in keys], device=device)


def count_episodes(rows: Sequence[TrainingRow]) -> float:
    """Episodes that rows are of; whole ones come to whole numbers."""
    return sum(1 / len(row.rollout.sequences) for row in rows)


def split_into_updates(
    rows: Sequence[TrainingRow], updates: int, *seed_parts: object, gather: Gather = list
) -> list[list[TrainingRow]]:
    """The rows of each update, whole rollouts, shuffled by the seed. Some lists may be empty.

    The rollouts of all processes are shuffled, which `gather` brings together, so that which of
    them share an update does not depend on the number of processes."""
    by_rollout: dict[tuple[int, ...], list[TrainingRow]] = {}
    for row in rows:
        by_rollout.setdefault(row.rollout_key, []).append(row)
    # Sorted before it is shuffled: the order of processes must not show.
    order = sorted(gather(list(by_rollout)))
    random.Random(stable_seed(*seed_parts)).shuffle(order)
    # As equal as can be, and all rollouts are in one of them.
    bounds = [i * len(order) // updates for i in range(updates + 1)]
    return [
        [row for key in order[bounds[i] : bounds[i + 1]] for row in by_rollout.get(key, ())]
        for i in range(updates)
    ]

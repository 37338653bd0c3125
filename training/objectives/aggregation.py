"""From (B, T) terms to one number, over denominators of the *whole* optimiser step.

The denominator is an explicit argument: count each micro-batch with `count`, add over micro-batches
and processes, then give the total to every `aggregate`. So neither the split into micro-batches,
nor the number of processes, nor padding can change the gradient. A mean of micro-batch means would:
lengths differ. With averaging data parallelism, multiply the result by the number of processes.

Where the total is known only after all micro-batches went through (STAPO's kept tokens), pass a
denominator of 1 and divide the gradients by the total before clipping them: the same, exactly.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mmreason.training.objectives.ratios import tokens_per_row
from mmreason.types import UsageError

Aggregation = Literal["token", "sequence", "constant", "sequence_sum", "episode"]
"""`token`: sum / tokens of the step (DAPO; BNPO takes its own micro-batch's tokens instead).
`sequence`: mean over a sequence's tokens, then over sequences (GRPO, GSPO, SAPO, GMPO).
`constant`: sum / (sequences * longest allowed answer) (Dr.GRPO).
`sequence_sum`: sum over a sequence's tokens, mean over sequences (LUSPO).
`episode`: mean over an episode's tokens, all its sequences, then over episodes (VideoEvolve): where
an episode has one sequence, the same as `sequence`."""

AGGREGATIONS: tuple[Aggregation, ...] = (
    "token",
    "sequence",
    "constant",
    "sequence_sum",
    "episode",
)


def count(mask: Tensor, aggregation: Aggregation, *, max_tokens: int | None = None) -> int:
    """What `mask` (B, T) adds to the denominator of the step.

    A row that is masked out whole still counts as a sequence, as in TRL; leave rows that only
    fill up a batch out of `mask`. Episodes of several sequences are counted by who knows which
    belong together: here each row is one. `max_tokens` is for `constant`, a limit that is the same
    for every step, never the padded width.

    Example:
        >>> mask = torch.tensor([[True, True, False], [True, False, False]])
        >>> count(mask, "token"), count(mask, "sequence"), count(mask, "constant", max_tokens=8)
        (3, 2, 16)
    """
    if aggregation == "token":
        return int(mask.sum())
    if aggregation == "constant":
        if max_tokens is None or max_tokens < 1:
            raise UsageError(f"constant aggregation needs max_tokens >= 1, got {max_tokens}")
        return mask.shape[0] * max_tokens
    if aggregation in ("sequence", "sequence_sum", "episode"):
        return mask.shape[0]
    raise UsageError(f"unknown aggregation {aggregation!r}; known: {', '.join(AGGREGATIONS)}")


def aggregate(
    terms: Tensor,
    mask: Tensor,
    aggregation: Aggregation,
    denominator: float | Tensor,
    *,
    episode_tokens: Tensor | None = None,
) -> Tensor:
    """This micro-batch's share of the step's loss, a scalar.

    `terms` (B, T); `mask` (B, T) bool, the tokens that are trained on (trainable and kept);
    `denominator` the step's total of `count`; `episode_tokens` (B,) the tokens in the loss of the
    whole episode that a row is of, for `episode` (None: every row is an episode). Zero, with zero
    gradients, where nothing is trained on: an empty micro-batch still takes part in backward.

    Example: means of sequences weigh alike, whatever their lengths:

        >>> mask = torch.tensor([[True, True], [True, False]])
        >>> terms = torch.tensor([[1.0, 3.0], [4.0, 9.0]])
        >>> float(aggregate(terms, mask, "sequence", 2)), float(aggregate(terms, mask, "token", 3))
        (3.0, 2.6666667461395264)
    """
    if aggregation not in AGGREGATIONS:
        raise UsageError(f"unknown aggregation {aggregation!r}; known: {', '.join(AGGREGATIONS)}")
    if not isinstance(denominator, Tensor):
        if denominator < 0:
            raise UsageError(f"the denominator of a step cannot be negative, got {denominator}")
        denominator = torch.tensor(denominator, dtype=terms.dtype, device=terms.device)
    masked = torch.where(mask, terms, 0.0)
    if aggregation == "episode" and episode_tokens is not None:
        masked = masked / episode_tokens.to(masked).clamp(min=1).unsqueeze(1)
    elif aggregation in ("sequence", "episode"):
        masked = masked / tokens_per_row(mask)
    # A step without any token has a sum of zero too: 0 / 1 keeps it attached to the graph.
    return masked.sum() / torch.where(denominator > 0, denominator, torch.ones_like(denominator))

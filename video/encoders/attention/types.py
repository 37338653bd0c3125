"""What packed attention is told and what it says: lengths of sequences, and the back end chosen."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

AttentionBackend = Literal[
    "flash4", "flash3", "flash2", "varlen", "flex", "batch", "loop", "masked"
]
"""Ways to compute the same thing.

`flash4`, `flash3`, `flash2`: one kernel of the package flash-attn of that generation (CUDA).
`varlen`: the one that torch ships, `torch.nn.attention.varlen` (CUDA).
`flex`: FlexAttention under a block mask of sequences.
`batch`: neighbours of equal length as one batch of `scaled_dot_product_attention` (SDPA), a view;
with sequences that all differ this is the loop.
`loop`: one SDPA call a sequence, as transformers does.
`masked`: all scores, those of other sequences hidden: what the others are tested against.
"""
BACKENDS: tuple[AttentionBackend, ...] = get_args(AttentionBackend)


@dataclass(frozen=True, slots=True)
class AttentionChoice:
    """A back end and why it was taken.

    Example:
        >>> print(AttentionChoice("batch", "cpu: 2 sequences in 1 batch", ("varlen needs CUDA",)))
        batch (cpu: 2 sequences in 1 batch; varlen needs CUDA)
    """

    backend: AttentionBackend
    reason: str
    missing: tuple[str, ...] = ()
    """What would have come first and why it does not serve, a line each."""

    def __str__(self) -> str:
        return f"{self.backend} ({'; '.join((self.reason, *self.missing))})"


@dataclass(frozen=True, slots=True)
class SequenceLayout:
    """How sequences lie end to end.

    Example:
        >>> layout = SequenceLayout(count=3, longest=4, lengths=(4, 4, 2))
        >>> layout.runs
        ((4, 2), (2, 1))
    """

    count: int
    """Number of sequences, empty ones too."""
    longest: int
    """Tokens of the longest one."""
    lengths: tuple[int, ...] | None
    """Tokens of each; None where the host has not read them."""

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Neighbours of equal length as (length, how many), without empty sequences."""
        assert self.lengths is not None
        filled = (length for length in self.lengths if length)
        return tuple((length, sum(1 for _ in group)) for length, group in groupby(filled))

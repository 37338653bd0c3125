"""A micro-batch: rows that go through the model together, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from mmreason.training.learner.packing import Layout
from mmreason.training.rl.batches import Row


@dataclass(eq=False, kw_only=True)
class Micro:
    """A micro-batch with what is known of it before the update. Tensors are (B, C)."""

    rows: Sequence[Row]
    layout: Layout
    old_logp: Tensor | None = None
    """None for a single update per batch: the policy's own, detached, is exact."""
    reference_logp: Tensor | None = None
    keep: Tensor | None = None
    """Tokens in the loss; None for all."""
    shown: dict[str, Tensor] = field(default_factory=dict)
    """Log-probabilities, entropies and the tokens left out, for who looks at samples."""

"""A scale for the rewards of each kind of problem, as a moving average over steps.

Kinds with dense rewards (IoU) and with 0 or 1 then weigh alike, without dividing easy and hard
problems of one kind by their own deviation (EMA-GRPO, OneThinker, arXiv 2512.03043).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

LEAST = 1e-4
"""Scales below this are taken for it."""


@dataclass
class KindScales:
    """Root mean squares of centred rewards by kind. Part of a checkpoint."""

    squares: dict[str, float] = field(default_factory=dict)

    def scaled(self, advantage: Tensor, kinds: Sequence[str], decay: float) -> Tensor:
        """(B,) centred rewards divided by the scale of their kind, which they update first."""
        result = advantage.clone()
        for kind in sorted(set(kinds)):
            rows = torch.tensor([one == kind for one in kinds])
            square = float(advantage[rows].square().mean())
            before = self.squares.get(kind)
            self.squares[kind] = square if before is None else decay * before + (1 - decay) * square
            result[rows] = advantage[rows] / max(LEAST, self.squares[kind] ** 0.5)
        return result

"""A scale for the rewards of each kind of problem, as a moving average over steps.

Kinds with dense rewards (IoU) and with 0 or 1 then weigh alike, without dividing easy and hard
problems of one kind by their own deviation (EMA-GRPO, OneThinker, arXiv 2512.03043).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmreason.training.parallel.processes import Gather

LEAST = 1e-4
"""Scales below this are taken for it."""


@dataclass
class KindScales:
    """Root mean squares of centred rewards by kind. Part of a checkpoint."""

    squares: dict[str, float] = field(default_factory=dict)

    def scaled(
        self, advantage: Tensor, kinds: Sequence[str], decay: float, gather: Gather = list
    ) -> Tensor:
        """(B,) centred rewards divided by the scale of their kind, which they update first.

        `gather` gives the values of all processes, so that all keep the same scales."""
        rows = {kind: torch.tensor([one == kind for one in kinds]) for kind in set(kinds)}
        own = [
            (kind, float(advantage[at].square().sum()), int(at.sum())) for kind, at in rows.items()
        ]
        every = gather(own)
        for kind in sorted({kind for kind, _, _ in every}):
            square = sum(s for one, s, _ in every if one == kind)
            square /= sum(n for one, _, n in every if one == kind)
            before = self.squares.get(kind)
            # Not begun with 0 (a step where all were right): what follows would be blown up.
            self.squares[kind] = decay * before + (1 - decay) * square if before else square
        result = advantage.clone()
        for kind, at in rows.items():
            result[at] = advantage[at] / max(LEAST, self.squares[kind] ** 0.5)
        return result

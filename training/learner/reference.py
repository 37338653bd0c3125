"""A frozen copy of the model as it was in the beginning, for the distance to it.

Not needed with adapters: switched off, they are the reference.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from mmreason.training.learner.logprobs import Scorer
from mmreason.training.learner.packing import Layout
from mmreason.training.rl.recipe import Precision


class Reference:
    """Scores written tokens under the weights that the run began with."""

    def __init__(self, model: Any, device: torch.device, precision: Precision):
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
        self._scorer = Scorer(frozen, precision).to(device)

    @torch.no_grad()
    def score(self, layout: Layout, temperature: float) -> Tensor:
        """(B, C) log-probabilities, nats."""
        return self._scorer(layout, temperature, False)[0]

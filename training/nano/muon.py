"""Muon (Jordan et al. 2024) with its matrix iterations in float32.

`torch.optim.Muon` iterates in bfloat16, which takes most of a step on a processor that only
emulates bfloat16. Rules, constants and scale are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the quintic iteration that brings all singular values near 1."""
ITERATIONS = 5


class Float32Muon(torch.optim.Optimizer):
    """Momentum of each matrix, made orthogonal and scaled to the size of an AdamW update."""

    def __init__(
        self, matrices: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                momentum = state["momentum"].lerp_(matrix.grad, 1 - MOMENTUM)
                update = orthogonalise(matrix.grad.lerp(momentum, MOMENTUM))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                # 0.2 is about the root mean square of an AdamW update.
                matrix.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """float32 (rows, columns) with the singular vectors of `matrix` and singular values near 1."""
    a, b, c = COEFFICIENTS
    # The shorter side as rows: the products are then smallest.
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x

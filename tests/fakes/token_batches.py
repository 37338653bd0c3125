"""Small batches in float64 for the tests of objectives, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from mmreason.training.objectives import TokenBatch

F64 = torch.float64


def close(actual: Tensor | float, expected: Tensor | float, tolerance: float = 1e-10) -> None:
    """Assert equality in float64 within `tolerance`, absolute and relative."""
    as_tensors = [torch.as_tensor(x, dtype=F64).detach() for x in (actual, expected)]
    torch.testing.assert_close(*as_tensors, atol=tolerance, rtol=tolerance)


def random_batch(
    seed: int = 0, *, rows: int = 4, tokens: int = 6, spread: float = 0.2, entropy: bool = False
) -> TokenBatch:
    """`logp` is a leaf; ratios are about exp(+-`spread`); advantages have both signs; every row
    has a trainable token, and at least one that is not."""
    g = torch.Generator().manual_seed(seed)
    logp = -torch.rand(rows, tokens, generator=g, dtype=F64) * 3 - 0.05
    mask = torch.rand(rows, tokens, generator=g) > 0.3
    mask[:, 0], mask[:, -1] = True, False
    advantage = torch.randn(rows, generator=g, dtype=F64)
    advantage[0], advantage[1] = advantage[0].abs() + 0.1, -advantage[1].abs() - 0.1
    return TokenBatch(
        logp=logp.clone().requires_grad_(),
        old_logp=logp + spread * torch.randn(rows, tokens, generator=g, dtype=F64),
        mask=mask,
        advantage=advantage,
        entropy=torch.rand(rows, tokens, generator=g, dtype=F64) * 2 if entropy else None,
    )


def on_policy(batch: TokenBatch) -> TokenBatch:
    """The same batch before its first update: all ratios are 1."""
    return replace(batch, old_logp=batch.logp.detach().clone())


def gradient(batch: TokenBatch, value: Callable[[TokenBatch], Tensor]) -> Tensor:
    """(B, T) gradient of the scalar `value(batch)` on `batch.logp`."""
    leaf = batch.logp.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(value(replace(batch, logp=leaf)), leaf)
    return found


def rows_of(batch: TokenBatch, rows: slice) -> TokenBatch:
    """A micro-batch: some rows, as a batch of its own with its own leaf."""
    parts = {
        name: getattr(batch, name)[rows].detach().clone()
        for name in ("logp", "old_logp", "mask", "advantage")
    }
    parts["logp"].requires_grad_()
    entropy = None if batch.entropy is None else batch.entropy[rows]
    return TokenBatch(**parts, entropy=entropy)


def padded(batch: TokenBatch, width: int, value: float = float("nan")) -> TokenBatch:
    """The same sequences in a wider batch; `value` fills what is not trained on."""

    def wide(tensor: Tensor) -> Tensor:
        fill = torch.full((len(tensor), width), value, dtype=F64)
        fill[:, : tensor.shape[1]] = torch.where(batch.mask, tensor.detach(), value)
        return fill

    mask = torch.zeros(len(batch.mask), width, dtype=torch.bool)
    mask[:, : batch.mask.shape[1]] = batch.mask
    return replace(
        batch,
        logp=wide(batch.logp).requires_grad_(),
        old_logp=wide(batch.old_logp),
        mask=mask,
        entropy=None if batch.entropy is None else wide(batch.entropy),
        correction=None if batch.correction is None else wide(batch.correction),
    )

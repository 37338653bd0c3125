"""What every objective reads: the tensors of one micro-batch, their shapes checked once.

Three policies, three tensors, never merged: the policy being trained (`logp`), the same weights
before this batch of updates (`old_logp`), and the sampler (used only through `correction`, see
`mismatch.py`). All log-probabilities are taken at the sampling temperature, or ratios, entropies
and probabilities are all wrong.

A row is a whole sequence; rows are never split over micro-batches. A packed forward pass scatters
its log-probabilities into rows first: they are small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.types import UsageError


class NonFinite(ValueError):
    """NaN or infinity where a token is trained on: `field` names the tensor, `rows` the samples."""

    def __init__(self, field: str, rows: tuple[str, ...]) -> None:
        names = ", ".join(rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
        super().__init__(
            f"{field} is NaN or infinite for sample {names}; skip this step or drop the sample"
        )
        self.field = field
        self.rows = rows


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBatch:
    """One micro-batch of B sequences, padded to T tokens. Raises `UsageError` on other shapes.

    Example:
        >>> logp = torch.tensor([[-0.1, -0.2], [-0.3, 0.0]])
        >>> mask = torch.tensor([[True, True], [True, False]])
        >>> batch = TokenBatch(
        ...     logp=logp, old_logp=logp, mask=mask, advantage=torch.tensor([1.0, -1.0])
        ... )
        >>> batch.token_advantage.shape
        torch.Size([2, 1])
    """

    logp: Tensor
    """(B, T) nats, the sampled tokens under the policy being trained; carries the gradient."""
    old_logp: Tensor
    """(B, T) nats, under the policy that these updates started from. For one update per rollout
    `logp.detach()` is exact."""
    mask: Tensor
    """(B, T) bool: written by the model, neither tool output nor padding. Values elsewhere are
    never read, not even NaN."""
    advantage: Tensor
    """(B,), or (B, T) where credit differs among the tokens of a sequence."""
    entropy: Tensor | None = None
    """(B, T) nats, Shannon entropy over the whole vocabulary, without gradient."""
    correction: Tensor | None = None
    """(B, T) or (B, 1): weights for the sampler's other numerics, from `mismatch.py`. Every loss
    applies it, so that none can forget it."""

    def __post_init__(self) -> None:
        shape = tuple(self.logp.shape)
        if len(shape) != 2:
            raise UsageError(f"logp must have shape (sequences, tokens), got {shape}")
        # Ratios come from small differences, which half precision rounds away.
        if self.logp.dtype not in (torch.float32, torch.float64):
            raise UsageError(f"logp must be float32 or float64, got {self.logp.dtype}")
        if self.mask.dtype != torch.bool:
            raise UsageError(f"mask must be bool, got {self.mask.dtype}")
        # Broadcasting would hide a wrong shape, and give a wrong loss.
        for name, allowed in (
            ("old_logp", [shape]),
            ("mask", [shape]),
            ("advantage", [shape[:1], shape]),
            ("entropy", [shape]),
            ("correction", [shape, (shape[0], 1)]),
        ):
            tensor: Tensor | None = getattr(self, name)
            if tensor is not None and tuple(tensor.shape) not in allowed:
                shapes = " or ".join(map(str, allowed))
                raise UsageError(f"{name} must have shape {shapes}, got {tuple(tensor.shape)}")

    @property
    def token_advantage(self) -> Tensor:
        """(B, 1) or (B, T), ready to multiply tokens; without gradient."""
        advantage = self.advantage.detach()
        return advantage.unsqueeze(1) if advantage.ndim == 1 else advantage

    def masked(self, values: Tensor) -> Tensor:
        """(B, T) `values` (or (B, 1), spread over the row) with exact zeros outside the mask."""
        return torch.where(self.mask, values, 0.0)


def require_finite(batch: TokenBatch, names: Sequence[str] | None = None) -> None:
    """Raise `NonFinite` for the first tensor that is NaN or infinite where it is trained on.

    `names` (B,) are put into the error; row numbers stand in for them. This waits for the device,
    so it belongs where a step is decided on, once. Across processes the decision must be shared.
    """
    for field in ("advantage", "old_logp", "logp", "entropy", "correction"):
        tensor = getattr(batch, field)
        if tensor is None:
            continue
        spread = tensor.unsqueeze(1) if tensor.ndim == 1 else tensor
        bad = (batch.mask & ~torch.isfinite(spread.detach())).any(dim=1)
        if bool(bad.any()):
            rows = torch.nonzero(bad).flatten().tolist()
            raise NonFinite(field, tuple(str(names[i]) if names else f"row {i}" for i in rows))

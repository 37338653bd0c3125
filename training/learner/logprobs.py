"""Log-probabilities and entropies of written tokens under a model, in one forward pass.

Logits are divided by the sampling temperature first, as the sampler does: otherwise ratios,
entropies and probabilities are all wrong. The softmax is taken in float32, a piece at a time, and
its inside is computed again in the backward pass: over a large vocabulary it would fill the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmreason.training.generation.kv_cache import base_of
from mmreason.training.learner.packing import Layout
from mmreason.training.rl.recipe import Precision
from mmreason.training.rollouts.inputs import takes
from mmreason.types import UsageError

PIECE = 1024
"""Tokens whose softmax is taken at once."""


class Scorer(nn.Module):
    """A model as a module that gives log-probabilities, so that wrappers for many processes see one
    forward pass. With `precision` "bf16" it computes in bfloat16 where that is safe."""

    def __init__(self, model: Any, precision: Precision = "no"):
        super().__init__()
        self.model = model
        self._precision = precision

    def forward(
        self, layout: Layout, temperature: float, need_entropy: bool
    ) -> tuple[Tensor, Tensor | None]:
        """(B, C) log-probabilities of `layout.ids`, nats, and (B, C) entropies without gradient,
        nats; zeros where nothing was written."""
        is_lower = self._precision == "bf16"
        with torch.autocast(layout.ids.device.type, torch.bfloat16, enabled=is_lower):
            return self._scores(layout, temperature, need_entropy)

    def _scores(
        self, layout: Layout, temperature: float, need_entropy: bool
    ) -> tuple[Tensor, Tensor | None]:
        dtype = next(self.model.parameters()).dtype
        inputs = {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in layout.inputs.items()
        }
        logits = self._logits(inputs, layout.keep)
        wanted = logits.flatten(0, 1)[layout.source[layout.mask]]
        logp, entropy = token_logps(wanted, layout.ids[layout.mask], temperature, need_entropy)
        # The sum keeps the model in the graph where nothing was written.
        zeros = torch.zeros(layout.mask.shape, device=logits.device) + 0.0 * wanted.sum().float()
        spread = zeros.masked_scatter(layout.mask, logp)
        if entropy is None:
            return spread, None
        return spread, torch.zeros_like(spread).masked_scatter(layout.mask, entropy)

    def _logits(self, inputs: Mapping[str, Tensor], keep: Tensor) -> Tensor:
        """(B, K, V) logits at the places `keep`. UsageError for a model whose forward pass does not
        work as it does for the families that can be trained."""
        name = type(base_of(self.model)).__name__
        asks = {"logits_to_keep": keep} if takes(self.model, "logits_to_keep") else {}
        try:
            logits = self.model(**inputs, **asks, use_cache=False).logits
        except torch.OutOfMemoryError:
            raise
        except (TypeError, ValueError, RuntimeError, IndexError, KeyError) as error:
            line = " ".join(str(error).split())
            raise UsageError(
                f"a model of the class {name} cannot be trained: its forward pass fails on what "
                f"was sampled ({type(error).__name__}: {line}); docs/reinforcement.md lists those "
                "that can"
            ) from error
        logits = logits if asks else logits[:, keep]
        if logits.shape[1] != len(keep):
            raise UsageError(
                f"a model of the class {name} cannot be trained: it gives logits at "
                f"{logits.shape[1]} places where {len(keep)} are wanted"
            )
        return logits


def token_logps(
    logits: Tensor, ids: Tensor, temperature: float, need_entropy: bool
) -> tuple[Tensor, Tensor | None]:
    """(N,) log-probabilities of `ids` (N,) under `logits` (N, V), and (N,) entropies."""
    pieces = []
    for start in range(0, len(ids), PIECE):
        part, wanted = logits[start : start + PIECE], ids[start : start + PIECE]
        if torch.is_grad_enabled() and part.requires_grad:
            pieces.append(
                checkpoint(_piece, part, wanted, temperature, need_entropy, use_reentrant=False)
            )
        else:
            pieces.append(_piece(part, wanted, temperature, need_entropy))
    if not pieces:
        none = logits.new_zeros(0, dtype=torch.float32)
        return none, none if need_entropy else None
    logp = torch.cat([one for one, _ in pieces])
    return logp, torch.cat([one for _, one in pieces]) if need_entropy else None


def _piece(
    logits: Tensor, ids: Tensor, temperature: float, need_entropy: bool
) -> tuple[Tensor, Tensor | None]:
    log_all = torch.log_softmax(logits.float() / temperature, dim=-1)
    logp = log_all.gather(1, ids[:, None])[:, 0]
    if not need_entropy:
        return logp, None
    with torch.no_grad():
        entropy = -(log_all.exp() * log_all).nan_to_num(nan=0.0).sum(dim=-1)
    return logp, entropy

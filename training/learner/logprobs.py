"""Log-probabilities and entropies of written tokens under a model, in one forward pass.

Logits are divided by the sampling temperature first, as the sampler does: otherwise ratios,
entropies and probabilities are all wrong. The softmax is taken in float32, a piece at a time, and
its inside is computed again in the backward pass: over a large vocabulary it would fill the memory.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmreason.training.learner.packing import PackedInputs
from mmreason.training.rollouts.inputs import takes_argument, unwrap_adapter
from mmreason.types import UsageError

Precision = Literal["no", "bf16"]
"""What is computed in: the weights' own precision, or bfloat16 where that is safe."""
SOFTMAX_TOKENS = 1024
"""Tokens whose softmax is taken at once."""


class Scorer(nn.Module):
    """A model as a module that gives log-probabilities, so that wrappers for many processes see one
    forward pass."""

    def __init__(self, model: Any, precision: Precision = "no"):
        super().__init__()
        self.model = model
        self._precision = precision

    def forward(
        self, packed: PackedInputs, temperature: float, need_entropy: bool
    ) -> tuple[Tensor, Tensor | None]:
        """(B, C) log-probabilities of `packed.ids`, nats, and (B, C) entropies without gradient,
        nats; zeros where nothing was written."""
        is_lower = self._precision == "bf16"
        with torch.autocast(packed.ids.device.type, torch.bfloat16, enabled=is_lower):
            return self._score(packed, temperature, need_entropy)

    def _score(
        self, packed: PackedInputs, temperature: float, need_entropy: bool
    ) -> tuple[Tensor, Tensor | None]:
        # Pixels come in float32, and a model in half precision takes its own type only.
        dtype = next(self.model.parameters()).dtype
        inputs = {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in packed.inputs.items()
        }
        logits = self._logits(inputs, packed.keep)
        # One row of logits for each written token of all sequences, in the order of the mask.
        predicting = logits.flatten(0, 1)[packed.source[packed.mask]]
        logp, entropy = token_logps(predicting, packed.ids[packed.mask], temperature, need_entropy)
        # The sum keeps the model in the graph where nothing was written.
        attached = 0.0 * predicting.sum().float()
        zeros = torch.zeros(packed.mask.shape, device=logits.device) + attached
        table = zeros.masked_scatter(packed.mask, logp)
        if entropy is None:
            return table, None
        return table, torch.zeros_like(table).masked_scatter(packed.mask, entropy)

    def _logits(self, inputs: Mapping[str, Tensor], keep: Tensor) -> Tensor:
        """(B, K, V) logits at the positions `keep`. UsageError for a model whose forward pass does
        not work as it does for the families that can be trained."""
        name = type(unwrap_adapter(self.model)).__name__
        takes_keep = takes_argument(self.model, "logits_to_keep")
        # At the wanted positions alone: a long row has gigabytes of logits for a large vocabulary.
        only = {"logits_to_keep": keep} if takes_keep else {}
        try:
            logits = self.model(**inputs, **only, use_cache=False).logits
        # A RuntimeError as well, and no fault of the class of the model.
        except torch.OutOfMemoryError:
            raise
        except (TypeError, ValueError, RuntimeError, IndexError, KeyError) as error:
            line = " ".join(str(error).split())
            raise UsageError(
                f"a model of the class {name} cannot be trained: its forward pass fails on what "
                f"was sampled ({type(error).__name__}: {line}); docs/reinforcement.md lists those "
                "that can"
            ) from error
        logits = logits if takes_keep else logits[:, keep]
        # Some models take the argument and pay no attention to it.
        if logits.shape[1] != len(keep):
            raise UsageError(
                f"a model of the class {name} cannot be trained: it gives logits at "
                f"{logits.shape[1]} places where {len(keep)} are wanted"
            )
        return logits


class ReferenceModel:
    """A frozen copy of the model as it was in the beginning, for the distance to it. Not needed
    with adapters: switched off, they are the reference."""

    def __init__(self, model: Any, device: torch.device, precision: Precision):
        # A copy, since the model itself is about to change.
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
        self._scorer = Scorer(frozen, precision).to(device)

    @torch.no_grad()
    def score(self, packed: PackedInputs, temperature: float) -> Tensor:
        """(B, C) log-probabilities, nats."""
        return self._scorer(packed, temperature, False)[0]


def token_logps(
    logits: Tensor, ids: Tensor, temperature: float, need_entropy: bool
) -> tuple[Tensor, Tensor | None]:
    """(N,) log-probabilities of `ids` (N,) under `logits` (N, V), and (N,) entropies.

    Example:
        >>> logits = torch.log(torch.tensor([[0.25, 0.75]]))
        >>> logp, entropy = token_logps(logits, torch.tensor([1]), 1.0, need_entropy=False)
        >>> round(float(logp.exp()), 4), entropy
        (0.75, None)
    """
    # Checkpointed: the backward pass makes each softmax again instead of keeping all of them.
    pieces = []
    for start in range(0, len(ids), SOFTMAX_TOKENS):
        # A piece at a time: tokens times vocabulary is more than all else that a step holds.
        window = slice(start, start + SOFTMAX_TOKENS)
        arguments = (logits[window], ids[window], temperature, need_entropy)
        if torch.is_grad_enabled() and logits.requires_grad:
            pieces.append(checkpoint(_token_logps_piece, *arguments, use_reentrant=False))
        else:
            pieces.append(_token_logps_piece(*arguments))
    if not pieces:
        none = logits.new_zeros(0, dtype=torch.float32)
        return none, none if need_entropy else None
    logp = torch.cat([piece_logp for piece_logp, _ in pieces])
    return logp, torch.cat([entropy for _, entropy in pieces]) if need_entropy else None


def _token_logps_piece(
    logits: Tensor, ids: Tensor, temperature: float, need_entropy: bool
) -> tuple[Tensor, Tensor | None]:
    # In float32, whatever the logits are: a sum over a vocabulary loses too much in bfloat16.
    log_all = torch.log_softmax(logits.float() / temperature, dim=-1)
    logp = log_all.gather(1, ids[:, None])[:, 0]
    if not need_entropy:
        return logp, None
    with torch.no_grad():
        entropy = -(log_all.exp() * log_all).nan_to_num(nan=0.0).sum(dim=-1)
    return logp, entropy

"""What is drawn, and how the next token is chosen: by a number that follows from the seed alone.

Shared by all ways of running a local model, so that they draw the same. Leaves out running it
(`sampler.py`, `reading.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.training.rollouts.types import Prompt
from mmreason.types import UsageError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Draw:
    """One continuation that is wanted."""

    prompt: Prompt
    max_new_tokens: int
    temperature: float
    """0 takes the likeliest token every time; log-probabilities are then at temperature 1."""
    seed: int

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0:
            raise UsageError(
                "a draw needs max_new_tokens >= 1 and temperature >= 0, got "
                f"{self.max_new_tokens} and {self.temperature}"
            )


def uniforms(seed: int, count: int) -> Tensor:
    """(count,) numbers in [0, 1); a longer list begins with the same ones."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64)


def choose(scores: Tensor, numbers: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(B,) tokens and (B,) log-probabilities for `scores` (B, V) of the next token: each row by its
    own of the `numbers` (B,), the inverse of the cumulative distribution in double precision."""
    warm = scores.float() / (temperature or 1.0)
    if temperature == 0:
        chosen = scores.argmax(dim=-1, keepdim=True)
    else:
        cumulative = torch.softmax(warm.double(), dim=-1).cumsum(dim=-1)
        target = numbers[:, None] * cumulative[:, -1:]
        # On the right: a token of probability zero is never chosen.
        chosen = torch.searchsorted(cumulative, target, right=True)
        chosen = chosen.clamp(max=scores.shape[-1] - 1)
    return chosen[:, 0], torch.log_softmax(warm, dim=-1).gather(1, chosen)[:, 0]

"""What is sampled, and how the next token is chosen: by a number that follows from the seed alone.

Shared by all ways of running a local model, so that they give the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmreason.training.rollouts.types import Prompt
from mmreason.types import UsageError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SampleRequest:
    """One completion that is wanted. Raises UsageError for limits that make no sense.

    Example:
        >>> from mmreason.training.rollouts.types import Prompt
        >>> SampleRequest(prompt=Prompt((5, 6)), max_new_tokens=8, temperature=1.0, seed=3).seed
        3
    """

    prompt: Prompt
    max_new_tokens: int
    temperature: float
    """0 takes the likeliest token every time; log-probabilities are then at temperature 1."""
    seed: int

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0:
            raise UsageError(
                "a sample needs max_new_tokens >= 1 and temperature >= 0, got "
                f"{self.max_new_tokens} and {self.temperature}"
            )


def uniform_draws(seed: int, count: int) -> Tensor:
    """(count,) numbers in [0, 1); a longer list begins with the same ones.

    Example:
        >>> bool((uniform_draws(7, 3) == uniform_draws(7, 5)[:3]).all())
        True
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64)


def sample_token(logits: Tensor, uniforms: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(B,) tokens and (B,) log-probabilities for `logits` (B, V) of the next token: each row by its
    own of the `uniforms` (B,), the inverse of the cumulative distribution in double precision.

    Example:
        >>> logits = torch.log(torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
        >>> sample_token(logits, torch.tensor([0.2, 0.7]), 1.0)[0].tolist()
        [0, 1]
    """
    scaled = logits.float() / (temperature or 1.0)
    if temperature == 0:
        chosen = logits.argmax(dim=-1, keepdim=True)
    else:
        cumulative = torch.softmax(scaled.double(), dim=-1).cumsum(dim=-1)
        # Rounding leaves the last sum a little off 1: the number is taken as a share of it.
        target = uniforms[:, None] * cumulative[:, -1:]
        # On the right: a token of probability zero is never chosen.
        chosen = torch.searchsorted(cumulative, target, right=True)
        chosen = chosen.clamp(max=logits.shape[-1] - 1)
    return chosen[:, 0], torch.log_softmax(scaled, dim=-1).gather(1, chosen)[:, 0]

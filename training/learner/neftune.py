"""Noise on the embeddings of a model while it is trained (NEFTune, Jain et al. 2023, section 2)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mmreason.training.rollouts.inputs import unwrap_adapter


@contextlib.contextmanager
def neftune_noise(model: Any, alpha: float) -> Iterator[None]:
    """While it lasts, passes that are learnt from (training mode, with gradients) see embeddings
    with uniform noise of `alpha / sqrt(L d)` at most, for sequences of L tokens and d columns; of
    packed rows, L is of each sequence. By torch's random numbers.

    Frames take the place of their tokens' embeddings afterwards, and stay as they are.
    """
    if not alpha:
        yield
        return
    lengths: Tensor | None = None

    def read_lengths(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        nonlocal lengths
        lengths = _count_lengths(named)

    def add_noise(module: Any, _: tuple[Any, ...], embeddings: Tensor) -> Tensor:
        is_learnt = module.training and torch.is_grad_enabled()
        # Models may look up single tokens besides, such as the one that stands for frames.
        if not is_learnt or lengths is None or embeddings.shape[:2] != lengths.shape:
            return embeddings
        scale = alpha / (lengths[..., None] * embeddings.shape[-1]).sqrt()
        noise = torch.empty_like(embeddings).uniform_(-1, 1)
        return embeddings + noise * scale.to(embeddings.dtype)

    base = unwrap_adapter(model)
    hooks = (
        base.register_forward_pre_hook(read_lengths, with_kwargs=True),
        base.get_input_embeddings().register_forward_hook(add_noise),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _count_lengths(named: dict[str, Any]) -> Tensor | None:
    """(B, T): tokens of the sequence that each token is of, as float; 1 for padding."""
    ids, mask, positions = (
        named.get(name) for name in ("input_ids", "attention_mask", "position_ids")
    )
    if ids is None:
        return None
    if mask is not None:
        return mask.sum(dim=1, keepdim=True).clamp(min=1).expand(ids.shape).float()
    if positions is None:
        return torch.full(ids.shape, float(ids.shape[1]), device=ids.device)
    # The first of several are the positions in the text, which begin anew with each sequence.
    in_text = positions if positions.dim() == 2 else positions[0]
    numbers = (in_text == 0).cumsum(dim=1).clamp(min=1) - 1
    counts = torch.zeros_like(numbers).scatter_add_(1, numbers, torch.ones_like(numbers))
    return counts.gather(1, numbers).float()

"""Sequences of token ids to the tensors of a model's forward pass, padded on either side.

Leaves out packing several sequences into one row (`rl/layout.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from mmreason.training.rollouts.types import Media, Prompt
from mmreason.types import UsageError

_KINDS = {"image": 1, "video": 2}
"""What `mm_token_type_ids` says of a placeholder."""


def padded(
    prompts: Sequence[Prompt],
    *,
    pad_id: int,
    side: Literal["left", "right"],
    config: Any,
    device: torch.device | str = "cpu",
) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` (B, T), and the media of all prompts concatenated.

    Prompts with and without media do not mix in a batch. `config` is the model's.
    """
    longest = max(len(prompt.token_ids) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        n = len(prompt.token_ids)
        place = slice(longest - n, longest) if side == "left" else slice(0, n)
        ids[row, place] = torch.tensor(prompt.token_ids, dtype=torch.long)
        mask[row, place] = 1
    inputs = {"input_ids": ids, "attention_mask": mask}
    media = media_tensors([prompt.media for prompt in prompts])
    if media:
        inputs |= media | {"mm_token_type_ids": token_kinds(ids, config) * mask}
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def media_tensors(media: Sequence[Media | None]) -> dict[str, Tensor]:
    """The tensors of several prompts, concatenated; empty where none has any."""
    shown = [one for one in media if one is not None]
    if not shown:
        return {}
    names = set(shown[0].tensors)
    if len(shown) < len(media) or any(set(one.tensors) != names for one in shown):
        raise UsageError("a batch holds prompts with media of one kind, or without any")
    return {name: torch.cat([one.tensors[name] for one in shown]) for name in shown[0].tensors}


def same_inputs(prompt: Prompt) -> tuple[str, ...]:
    """Prompts for which this is equal may share a batch."""
    return () if prompt.media is None else tuple(sorted(prompt.media.tensors))


def token_kinds(ids: Tensor, config: Any) -> Tensor:
    """0 for text, 1 for places of images, 2 of videos, for models with positions in time."""
    kinds = torch.zeros_like(ids)
    for name, kind in _KINDS.items():
        token = getattr(config, f"{name}_token_id", None)
        if isinstance(token, int):
            kinds[ids == token] = kind
    return kinds

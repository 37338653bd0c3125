"""Vision attention over equal segments as one batch, instead of one call a segment.

Outside flash attention, `transformers` loops over the segments of a Qwen3-VL vision tower (one a
temporal slice).
Equal segments form a batch of the same shape, which is exact. Ragged segments keep the loop. On a
CPU the plain product is used: for short bfloat16 sequences it needs no fused kernel.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MethodType
from typing import cast

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.qwen3_vl.modeling_qwen3_vl import (
    Qwen3VLVisionAttention,
    Qwen3VLVisionBlock,
    Qwen3VLVisionModel,
    apply_rotary_pos_emb_vision,
)


def batch_equal_segments(tower: Qwen3VLVisionModel) -> None:
    """Replace the attention of every block of `tower`, in place."""
    for block in cast("Iterable[Qwen3VLVisionBlock]", tower.blocks):
        block.attn.forward = MethodType(_forward, block.attn)


def _forward(
    self: Qwen3VLVisionAttention,
    hidden_states: torch.Tensor,
    cu_seqlens: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    max_seqlen: int | None = None,
) -> torch.Tensor:
    """hidden_states (tokens, width), cu_seqlens (segments + 1,): attention within each segment."""
    lengths = cu_seqlens[1:] - cu_seqlens[:-1]
    if not bool((lengths == lengths[0]).all()):
        return Qwen3VLVisionAttention.forward(
            self, hidden_states, cu_seqlens, position_embeddings, max_seqlen
        )
    tokens = hidden_states.shape[0]
    segment = int(lengths[0])
    heads = self.qkv(hidden_states).reshape(tokens, 3, self.num_heads, -1).permute(1, 0, 2, 3)
    query, key, value = heads.unbind(0)
    query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
    query, key, value = (
        x.reshape(tokens // segment, segment, self.num_heads, -1).transpose(1, 2)
        for x in (query, key, value)
    )
    mixed = attend_packed(query, key, value, scale=self.scaling)
    return self.proj(mixed.transpose(1, 2).reshape(tokens, -1))


def attend_packed(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scale: float,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attention over (batch, heads, tokens, head_dim); `mask` is added to the scores."""
    if query.device.type != "cpu":
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    scores = (query * scale) @ key.transpose(-1, -2)
    return (scores if mask is None else scores + mask).softmax(-1) @ value

"""The ways to compute packed attention: each takes and gives the same tensors.

query (tokens, heads, head_dim), key (tokens, kv_heads, head_dim), value (tokens, kv_heads,
value_dim), checked, with at least one token; result (tokens, heads, value_dim).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from mmreason.video.encoders.attention.kernels import FlashBackend, find_kernel
from mmreason.video.encoders.attention.types import SequenceLayout


def attend_batches(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    runs: tuple[tuple[int, int], ...],
    scale: float,
) -> torch.Tensor:
    """One SDPA call for each run of (length, sequences): views, nothing is copied.

    With runs of one sequence each this is the loop that transformers makes.
    """
    key, value = (_repeat_heads(tensor, query.shape[1]) for tensor in (key, value))
    if len(runs) == 1:
        return _attend_batch(query, key, value, runs[0][1], scale)
    sizes = [length * count for length, count in runs]
    parts = zip(query.split(sizes), key.split(sizes), value.split(sizes), strict=True)
    mixed = [
        _attend_batch(q, k, v, count, scale)
        for (q, k, v), (_, count) in zip(parts, runs, strict=True)
    ]
    return torch.cat(mixed)


def _attend_batch(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, count: int, scale: float
) -> torch.Tensor:
    # (tokens, heads, dim) -> (sequences, heads, length, dim)
    q, k, v = (x.unflatten(0, (count, -1)).transpose(1, 2) for x in (query, key, value))
    mixed = scaled_dot_product_attention(q, k, v, scale=scale)
    return mixed.transpose(1, 2).flatten(0, 1)


def attend_masked(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """By the formula, softmax(Q K^T scale + mask) V over all tokens: slow, and plainly right."""
    key, value = (_repeat_heads(tensor, query.shape[1]) for tensor in (key, value))
    sequence = _sequence_of_token(cu_seqlens, len(query))
    scores = torch.einsum("qhd,khd->hqk", query, key) * scale
    hidden = sequence[:, None] != sequence[None, :]
    weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value)


def attend_flex(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """FlexAttention under a block mask of sequences; compiled on a GPU, at its first use."""
    tokens = len(query)
    sequence = _sequence_of_token(cu_seqlens, tokens)
    mask = create_block_mask(
        lambda batch, head, q, k: sequence[q] == sequence[k],
        None,
        None,
        tokens,
        tokens,
        device=query.device,
    )
    if query.device.type == "cpu":
        # A forward pass only: it refuses weights that could learn.
        query, key, value = query.detach(), key.detach(), value.detach()
        attend = flex_attention
    else:
        attend = _compile_flex()
    mixed = attend(
        query.transpose(0, 1)[None],
        key.transpose(0, 1)[None],
        value.transpose(0, 1)[None],
        block_mask=mask,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(mixed, torch.Tensor)
    return mixed[0].transpose(0, 1)


def attend_flash(
    backend: FlashBackend,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor,
    layout: SequenceLayout,
    scale: float,
) -> torch.Tensor:
    """One call of a kernel for unequal lengths, which share key and value heads by themselves."""
    kernel = find_kernel(backend)
    assert not isinstance(kernel, str), kernel
    bounds = cu_seqlens.to(device=query.device, dtype=torch.int32, non_blocking=True).contiguous()
    longest = layout.longest
    if backend == "varlen":
        grouped = query.shape[1] != key.shape[1]
        mixed = kernel(
            query, key, value, bounds, bounds, longest, longest, scale=scale, enable_gqa=grouped
        )
    else:
        mixed = kernel(
            query,
            key,
            value,
            cu_seqlens_q=bounds,
            cu_seqlens_k=bounds,
            max_seqlen_q=longest,
            max_seqlen_k=longest,
            softmax_scale=scale,
        )
    # Some generations give the sums of the softmax too.
    return mixed[0] if isinstance(mixed, tuple) else mixed


def _repeat_heads(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Key or value with as many heads as the query (grouped-query attention): SDPA of a CPU falls
    back to all scores at once where it is to share them itself."""
    groups = heads // tensor.shape[1]
    return tensor if groups == 1 else tensor.repeat_interleave(groups, dim=1)


def _sequence_of_token(cu_seqlens: torch.Tensor, tokens: int) -> torch.Tensor:
    """(tokens,) the number of the sequence that each token belongs to."""
    places = torch.arange(tokens, device=cu_seqlens.device)
    return torch.searchsorted(cu_seqlens[1:].contiguous(), places, right=True)


@cache
def _compile_flex() -> Callable[..., torch.Tensor]:
    return torch.compile(flex_attention, dynamic=True)

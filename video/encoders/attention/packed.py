"""`packed_attention`: one function for sequences laid end to end, whatever computes it."""

from __future__ import annotations

import torch

from mmreason.video.encoders.attention.backends import (
    attend_batches,
    attend_flash,
    attend_flex,
    attend_masked,
)
from mmreason.video.encoders.attention.checks import check_finite, check_tensors, read_layout
from mmreason.video.encoders.attention.choose import check_backend, find_best_backend
from mmreason.video.encoders.attention.types import AttentionBackend


def packed_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor,
    *,
    scale: float | None = None,
    backend: AttentionBackend | None = None,
    max_seqlen: int | None = None,
    refuse_nan: bool = False,
) -> torch.Tensor:
    """Attention within each sequence, in both directions, without a mask and without padding.

    `query` (tokens, heads, head_dim), `key` and `value` (tokens, kv_heads, head_dim), where
    kv_heads divides heads. `cu_seqlens` int32 or int64 (sequences + 1,) holds where sequences
    begin, and the number of tokens at the end; an empty sequence gives nothing. `scale` multiplies
    the scores; None: 1 / sqrt(head_dim). Returns (tokens, heads, head_dim of value).

    `backend` forces one of `BACKENDS`; `choose_backend` says which is taken otherwise.

    A GPU is waited for only to read a `cu_seqlens` that lies on it: keep it on the CPU, or give
    `max_seqlen`, its longest sequence; then its content is not checked. `refuse_nan` looks for
    numbers that are not finite, which costs a pass over all three tensors.

    Raises VideoError for shapes, types, devices and bounds that do not fit, and for a back end
    that is not there.

    Example:
        >>> x = torch.randn(7, 2, 8)
        >>> whole = packed_attention(x, x, x, torch.tensor([0, 3, 7]))
        >>> alone = packed_attention(x[:3], x[:3], x[:3], torch.tensor([0, 3]))
        >>> torch.equal(whole[:3], alone)
        True
    """
    check_tensors(query, key, value)
    if refuse_nan:
        check_finite(query, key, value)
    tokens, heads, head_dim = query.shape
    layout = read_layout(cu_seqlens, tokens, max_seqlen)
    head_dims = (head_dim, value.shape[2])
    if backend is None:
        backend, _ = find_best_backend(query.device, query.dtype, head_dims)
    else:
        learns = query.requires_grad or key.requires_grad or value.requires_grad
        learns = learns and torch.is_grad_enabled()
        check_backend(backend, query.device, query.dtype, head_dims, learns)
    if not tokens:
        # Of the query, so that a backward pass goes through.
        return query[:, :, :1].expand(0, heads, value.shape[2])
    factor = head_dim**-0.5 if scale is None else scale
    if backend in ("batch", "loop"):
        if layout.lengths is None:
            layout = read_layout(cu_seqlens, tokens)
        runs = layout.runs
        if backend == "loop":
            runs = tuple((length, 1) for length, count in runs for _ in range(count))
        return attend_batches(query, key, value, runs, factor)
    if backend == "masked":
        return attend_masked(query, key, value, cu_seqlens.to(query.device), factor)
    if backend == "flex":
        return attend_flex(query, key, value, cu_seqlens.to(query.device), factor)
    return attend_flash(backend, query, key, value, cu_seqlens, layout, factor)

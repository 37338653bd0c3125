"""Refuses what packed attention cannot take, in one line that names shapes."""

from __future__ import annotations

from itertools import pairwise

import torch

from mmreason.video.encoders.attention.types import SequenceLayout
from mmreason.video.types import VideoError

_NAMES = ("query", "key", "value")


def check_tensors(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
    """Raise VideoError where ranks, tokens, heads, sizes, types or devices do not fit together.

    Looks at shapes only: nothing is computed and no device waits.
    """
    tensors = (query, key, value)
    for name, tensor in zip(_NAMES, tensors, strict=True):
        if not isinstance(tensor, torch.Tensor):
            raise VideoError(f"packed attention: {name} is a tensor, got {type(tensor).__name__}")
    if not query.ndim == key.ndim == value.ndim == 3:
        raise _misfit("tensors of rank 3, (tokens, heads, head_dim) without a batch", tensors)
    (tokens, heads, head_dim), (_, kv_heads, key_dim) = query.shape, key.shape
    if not tokens == key.shape[0] == value.shape[0]:
        raise _misfit("as many tokens in query, key and value", tensors)
    if kv_heads != value.shape[1] or head_dim != key_dim:
        raise _misfit(
            "as many heads in key as in value, and a head_dim of key as of query", tensors
        )
    if not (heads and kv_heads and head_dim and value.shape[2]):
        raise _misfit("at least one head, and a head_dim above zero", tensors)
    if heads % kv_heads:
        raise _misfit("heads of query that are a multiple of those of key and value", tensors)
    if not query.dtype == key.dtype == value.dtype or not query.is_floating_point():
        found = ", ".join(f"{name} {x.dtype}" for name, x in zip(_NAMES, tensors, strict=True))
        raise VideoError(f"packed attention needs one floating-point dtype, got {found}")
    if not query.device == key.device == value.device:
        found = ", ".join(f"{name} on {x.device}" for name, x in zip(_NAMES, tensors, strict=True))
        raise VideoError(f"packed attention needs one device, got {found}")


def _misfit(expected: str, tensors: tuple[torch.Tensor, ...]) -> VideoError:
    found = ", ".join(f"{name} {tuple(x.shape)}" for name, x in zip(_NAMES, tensors, strict=True))
    return VideoError(f"packed attention needs {expected}, got {found}")


def check_finite(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
    """Raise VideoError at the first NaN or infinity. Reads every number, and waits for a GPU."""
    for name, tensor in zip(_NAMES, (query, key, value), strict=True):
        is_bad = ~torch.isfinite(tensor)
        if bool(is_bad.any()):
            token, head, column = (int(i) for i in is_bad.nonzero()[0])
            raise VideoError(
                f"packed attention: {name} {tuple(tensor.shape)} has {int(is_bad.sum())} numbers "
                f"that are not finite, the first at token {token}, head {head}, column {column}"
            )


def read_layout(
    cu_seqlens: torch.Tensor, tokens: int, max_seqlen: int | None = None
) -> SequenceLayout:
    """Lengths from `cu_seqlens` (sequences + 1,), whole numbers that rise from 0 to `tokens`.

    Reading a tensor that lies on a GPU makes the host wait for it. Where `max_seqlen` says the
    longest length it is not read, and its content is not checked.

    Raises VideoError that names what is wrong.

    Example:
        >>> read_layout(torch.tensor([0, 4, 4, 6]), 6)
        SequenceLayout(count=3, longest=4, lengths=(4, 0, 2))
    """
    expected = "packed attention: cu_seqlens is a tensor (sequences + 1,) of int32 or int64"
    if not isinstance(cu_seqlens, torch.Tensor):
        raise VideoError(f"{expected}, got {type(cu_seqlens).__name__}")
    if cu_seqlens.ndim != 1 or not len(cu_seqlens):
        raise VideoError(f"{expected}, got the shape {tuple(cu_seqlens.shape)}")
    if cu_seqlens.dtype not in (torch.int32, torch.int64):
        raise VideoError(f"{expected}, got {cu_seqlens.dtype}")
    count = len(cu_seqlens) - 1
    if max_seqlen is not None and not 0 <= max_seqlen <= tokens:
        raise VideoError(
            f"packed attention: max_seqlen is the longest sequence of {tokens} tokens, "
            f"got {max_seqlen}"
        )
    if max_seqlen is not None and cu_seqlens.device.type != "cpu":
        return SequenceLayout(count=count, longest=max_seqlen, lengths=None)
    bounds: list[int] = cu_seqlens.tolist()
    if bounds[0] != 0 or bounds[-1] != tokens:
        raise VideoError(
            f"packed attention: cu_seqlens runs from 0 to the number of tokens, {tokens}, "
            f"got {bounds[0]} to {bounds[-1]}"
        )
    lengths = tuple(end - start for start, end in pairwise(bounds))
    falling = next((i for i, length in enumerate(lengths) if length < 0), None)
    if falling is not None:
        raise VideoError(
            "packed attention: cu_seqlens never falls, "
            f"got {bounds[falling]} and then {bounds[falling + 1]} at {falling + 1}"
        )
    longest = max(lengths, default=0)
    if max_seqlen is not None and max_seqlen < longest:
        raise VideoError(
            f"packed attention: max_seqlen is {max_seqlen}, but a sequence has {longest} tokens"
        )
    return SequenceLayout(count=count, longest=longest, lengths=lengths)

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
    tensors = dict(zip(_NAMES, (query, key, value), strict=True))
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise VideoError(f"packed attention: {name} is a tensor, got {type(tensor).__name__}")
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())

    def refuse(expected: str, found: str = shapes) -> VideoError:
        return VideoError(f"packed attention needs {expected}, got {found}")

    if any(tensor.ndim != 3 for tensor in tensors.values()):
        raise refuse("tensors of rank 3, (tokens, heads, head_dim) without a batch")
    if len({tensor.shape[0] for tensor in tensors.values()}) != 1:
        raise refuse("as many tokens in query, key and value")
    if key.shape[1] != value.shape[1] or query.shape[2] != key.shape[2]:
        raise refuse("as many heads in key as in value, and a head_dim of key as of query")
    if 0 in (*query.shape[1:], *value.shape[1:]):
        raise refuse("at least one head, and a head_dim above zero")
    if query.shape[1] % key.shape[1]:
        raise refuse("heads of query that are a multiple of those of key and value")
    types = ", ".join(f"{name} {tensor.dtype}" for name, tensor in tensors.items())
    if len({tensor.dtype for tensor in tensors.values()}) != 1 or not query.is_floating_point():
        raise refuse("one floating-point dtype", types)
    if len({tensor.device for tensor in tensors.values()}) != 1:
        raise refuse(
            "one device", ", ".join(f"{name} on {t.device}" for name, t in tensors.items())
        )


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

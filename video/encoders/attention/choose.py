"""Chooses what computes packed attention, and says why."""

from __future__ import annotations

import torch

from mmreason.video.encoders.attention.kernels import FLASH_BACKENDS, INSTALL, explain_gap
from mmreason.video.encoders.attention.types import (
    BACKENDS,
    AttentionBackend,
    AttentionChoice,
    SequenceLayout,
)
from mmreason.video.types import VideoError


def choose_backend(
    device: torch.device | str,
    dtype: torch.dtype,
    head_dim: int,
    *,
    value_dim: int | None = None,
    layout: SequenceLayout | None = None,
    backend: AttentionBackend | None = None,
    requires_grad: bool = False,
) -> AttentionChoice:
    """What computes attention of this kind; nothing is computed.

    `head_dim` is that of query and key, `value_dim` that of value where it is another. Without a
    `layout` the reason names no lengths. `backend` forces one.

    On CUDA in half precision a kernel for unequal lengths, the newest that is there. Everywhere
    else neighbours of equal length become one batch, which costs nothing and is never slower than
    one call a sequence. The plain mask and FlexAttention, which first compiles for a minute, are
    taken only where `backend` names them.

    Raises VideoError for a forced back end that is not there: the message says what to install.

    Example:
        >>> layout = SequenceLayout(count=4, longest=9, lengths=(9, 9, 9, 5))
        >>> choice = choose_backend("cpu", torch.float32, 64, layout=layout)
        >>> choice.backend, choice.reason
        ('batch', 'cpu: 4 sequences in 2 batches of equal neighbours')
    """
    device = torch.device(device)
    head_dims = (head_dim, head_dim if value_dim is None else value_dim)
    if backend is not None:
        check_backend(backend, device, dtype, head_dims, requires_grad)
        return AttentionChoice(backend, "asked for")
    chosen, missing = find_best_backend(device, dtype, head_dims)
    reason = _describe(device, layout) if chosen == "batch" else f"{device.type}: one call"
    return AttentionChoice(chosen, reason, missing)


def find_best_backend(
    device: torch.device, dtype: torch.dtype, head_dims: tuple[int, int]
) -> tuple[AttentionBackend, tuple[str, ...]]:
    """What computes it best, and why those before it cannot; without words of the layout, which
    cost more than a short call."""
    if device.type != "cuda":
        return "batch", ("kernels for unequal lengths need CUDA",)
    missing = []
    for kernel in FLASH_BACKENDS:
        gap = explain_gap(kernel, device, dtype, head_dims)
        if not gap:
            return kernel, tuple(missing)
        missing.append(gap)
    return "batch", tuple(missing)


def _describe(device: torch.device, layout: SequenceLayout | None) -> str:
    if layout is None or layout.lengths is None:
        return f"{device.type}: equal neighbours as one batch"
    runs = len(layout.runs)
    batches = "1 batch" if runs == 1 else f"{runs} batches of equal neighbours"
    return f"{device.type}: {layout.count} sequences in {batches}"


def check_backend(
    backend: AttentionBackend,
    device: torch.device,
    dtype: torch.dtype,
    head_dims: tuple[int, int],
    requires_grad: bool,
) -> None:
    """Raise VideoError where a back end that was asked for cannot be used here."""
    if backend not in BACKENDS:
        raise VideoError(
            f"packed attention: there is no back end {backend!r}; there are {', '.join(BACKENDS)}"
        )
    if backend == "flex":
        if device.type == "cpu" and requires_grad:
            raise VideoError(
                "packed attention: flex gives no gradients on a CPU; take batch, loop or masked"
            )
        return
    if backend not in FLASH_BACKENDS:
        return
    gap = explain_gap(backend, device, dtype, head_dims)
    if gap:
        raise VideoError(
            f"packed attention: the back end {backend} cannot be used: {gap}. To have it on a "
            f"machine with an NVIDIA card: {INSTALL[backend]}. Without a name the best one that is "
            "there is taken"
        )

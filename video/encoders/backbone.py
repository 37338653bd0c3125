"""`Backbone`: what every kind of model gives to `FrameEncoder`, and the digest of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mmreason.video.plain_text import show_line
from mmreason.video.types import VideoError

SizePx = tuple[int, int]
"""(height, width)."""
Frames = np.ndarray | Sequence[np.ndarray]
"""uint8 RGB: (N, H, W, 3), or crops (h, w, 3) each of its own size."""
FitSize = Callable[[int, int], SizePx]
"""The size that a model sees of a frame of this height and width."""
Inputs = dict[str, torch.Tensor]
"""What a tower takes, by the name of its argument; rows are frames or texts."""


@dataclass(frozen=True, slots=True)
class TextTower:
    """How texts become features."""

    prepare: Callable[[Sequence[str]], Inputs]
    """VideoError for a text that is longer than the model reads."""
    embed: Callable[[Inputs], torch.Tensor]
    """(M, D)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Backbone:
    """A model, and the functions that lead from frames and texts to its features.

    Example:
        >>> backbone = load_efficientnet(find_weights("efficientnet-lite0"))  # doctest: +SKIP
        >>> backbone.fit_size(720, 1280)  # doctest: +SKIP
        (224, 224)
    """

    name: str
    model: torch.nn.Module
    size_px: SizePx
    """Of the largest picture that the model is given."""
    fit_size: FitSize
    """Frames that share a size are encoded together, so nothing is padded."""
    prepare_frames: Callable[[Frames, SizePx, torch.device], Inputs]
    """Of frames and their common `fit_size`; what is resized is resized on that device."""
    embed_frames: Callable[[Inputs], torch.Tensor]
    """(N, D), of any length."""
    architecture: str
    """What is computed with the weights; like `recipe` it is part of the fingerprint."""
    recipe: str
    """How frames are prepared, in one line."""
    notes: tuple[str, ...] = ()
    """What a reader should know of how frames are prepared."""
    text_tower: TextTower | None = None
    logit_scale: float | None = None
    logit_bias: float | None = None
    """How likeness becomes a logit, `scale * cosine + bias`, where the model learned that."""


def hash_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 (hex) of names, types, shapes and numbers, whatever order or file they came in.

    Example:
        >>> hash_tensors({"bias": torch.zeros(2)})[:8]
        'ba0b6774'
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # As bytes, because numpy has no bfloat16.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """What a library says, short and on one line.

    Example:
        >>> first_line(ValueError("no such size\\nStack: ..."))
        'no such size'
    """
    lines = str(error).splitlines() or [type(error).__name__]
    return show_line(lines[0])[:200]


def check_whole(model: torch.nn.Module, missing: Collection[str], source: str) -> None:
    """Refuse weights that lack tensors which the model learned: libraries start those at random.
    Raises VideoError that names `source`."""
    lacking = [name for name, _ in model.named_parameters() if name in missing]
    if lacking:
        raise VideoError(
            f"{source}: lacks {len(lacking)} of the model's tensors ({', '.join(lacking[:2])}"
            + (", ...)" if len(lacking) > 2 else ")")
            + "; get the whole weights again"
        )

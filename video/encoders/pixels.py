"""Uint8 frames to the pixels that square-input models take: resize, crop, normalise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from mmreason.video.encoders.backbone import SizePx

_MOST_ASPECT = 8
"""Of what is resized before a centred square is cut from it: the ends of a long strip would cost
gigabytes and are not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRecipe:
    """How a model wants its pixels.

    Example:
        >>> recipe = PixelRecipe(mean=(0.5,) * 3, std=(0.5,) * 3, fit="crop", crop_share=0.9)
        >>> recipe.prepare([np.zeros((90, 160, 3), np.uint8)], (224, 224)).shape
        torch.Size([1, 3, 224, 224])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    """By channel (three), of pixels of 0..1."""
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    fit: Literal["crop", "squash"] = "squash"
    """"crop": the frame covers a square and its longer side loses its ends. "squash": the whole
    frame, its shape not kept."""
    crop_share: float = 1.0
    """Then the middle is cut out: so much of each side."""

    def prepare(self, frames: Sequence[np.ndarray], size_px: SizePx) -> torch.Tensor:
        """float32 (N, 3, height, width) of uint8 (h, w, 3) RGB, each of its own size."""
        # The layout that models are fed with elsewhere: a batch of one image or many runs the same.
        sized = torch.cat([self._resize(frame, size_px) for frame in frames]).contiguous()
        # In one pass over what is small by now: (pixel / 255 - mean) / std.
        scale = 1 / (255 * torch.tensor(self.std))
        shift = -torch.tensor(self.mean) / torch.tensor(self.std)
        return torch.addcmul(shift[:, None, None], sized.float(), scale[:, None, None])

    def _resize(self, frame: np.ndarray, size_px: SizePx) -> torch.Tensor:
        """uint8 (1, 3, height, width)."""
        scaled_px = tuple(math.floor(side / self.crop_share) for side in size_px)
        if self.fit == "crop":
            frame = cut_ends(frame)
            height, width = frame.shape[:2]
            shorter = min(height, width)
            scaled_px = (scaled_px[0] * height // shorter, scaled_px[1] * width // shorter)
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
        if frame.shape[:2] != scaled_px:
            pixels = functional.interpolate(pixels, scaled_px, mode=self.resample, antialias=True)
        return _cut_middle(pixels, size_px)


def cut_ends(frame: np.ndarray) -> np.ndarray:
    """The middle of a strip that is more than `_MOST_ASPECT` times as long as wide."""
    for axis in (0, 1):
        surplus = frame.shape[axis] - _MOST_ASPECT * frame.shape[1 - axis]
        if surplus > 1:
            # As much at both ends, so that the middle stays where it is.
            end = surplus // 2
            return frame[end:-end] if axis == 0 else frame[:, end:-end]
    return frame


def _cut_middle(pixels: torch.Tensor, size_px: SizePx) -> torch.Tensor:
    top, left = (
        round((have - want) / 2) for have, want in zip(pixels.shape[2:], size_px, strict=True)
    )
    return pixels[:, :, top : top + size_px[0], left : left + size_px[1]]

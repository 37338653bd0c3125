"""Frames or crops of any size, made ready by one recipe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mmreason.video.encoders.preprocess import FrameRecipe, preprocess_frames

_MOST_ASPECT = 8
"""Of a strip whose middle is cut out after the resize: its ends would cost gigabytes and are not
looked at."""


def prepare_pixels(
    frames: np.ndarray | Sequence[np.ndarray], recipe: FrameRecipe, device: torch.device
) -> torch.Tensor:
    """float32 (N, 3, height, width) of uint8 (N, H, W, 3) RGB, or of crops (h, w, 3) each of its
    own size that the recipe brings to one.

    Example:
        >>> recipe = FrameRecipe(mean=(0.5,) * 3, std=(0.5,) * 3, size=lambda n, h, w: (32, 32))
        >>> crops = [np.zeros((90, 160, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)]
        >>> prepare_pixels(crops, recipe, torch.device("cpu")).shape
        torch.Size([2, 3, 32, 32])
    """
    groups = [frames] if isinstance(frames, np.ndarray) else [crop[None] for crop in frames]
    rows = [
        preprocess_frames(_own(cut_ends(group, recipe)), recipe, device=device).values
        for group in groups
    ]
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def cut_ends(frames: np.ndarray, recipe: FrameRecipe) -> np.ndarray:
    """(N, H, W, 3) without the ends of strips of which the recipe takes the middle only."""
    height, width = frames.shape[1:3]
    if recipe.crop_px is None:
        return frames
    if max(recipe.size(1, height, width)) <= _MOST_ASPECT * max(recipe.crop_px):
        return frames
    # As much at both ends, so that the middle stays where it is.
    end = (max(height, width) - _MOST_ASPECT * min(height, width)) // 2
    return frames[:, end:-end] if height > width else frames[:, :, end:-end]


def _own(frames: np.ndarray) -> np.ndarray:
    """The same, copied where torch takes no view of it: turned round, or not to be written to."""
    is_plain = frames.flags.c_contiguous and frames.flags.writeable
    return frames if is_plain else frames.copy()

"""The same as `prepare.py` in the plainest way, over whole frames: what it is held to in tests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mmreason.video.encoders.preprocess.recipe import FrameRecipe

if TYPE_CHECKING:
    from torch import Tensor


def preprocess_plainly(pixels: np.ndarray, recipe: FrameRecipe) -> Tensor:
    """The `values` of `preprocess_frames`, with a copy in floating point for every step."""
    import torch
    from torchvision.transforms.v2.functional import InterpolationMode, pad, resize

    count, height, width, _ = pixels.shape
    size_px = recipe.size(count, height, width)
    if recipe.tiles and recipe.tiles(height, width) != (1, 1):
        return _cut_tiles_plainly(pixels, recipe)
    frames = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    frames = resize(frames, list(size_px), InterpolationMode(recipe.resample), antialias=True)
    if recipe.crop_px:
        missing = [max(0, recipe.crop_px[i] - size_px[i]) for i in (0, 1)]
        before = [px // 2 for px in missing]
        after = [px - px // 2 for px in missing]
        frames = pad(frames, [before[1], before[0], after[1], after[0]])
        top, left = (max(0, size_px[i] - recipe.crop_px[i]) // 2 for i in (0, 1))
        frames = frames[..., top : top + recipe.crop_px[0], left : left + recipe.crop_px[1]]
    mean, std = (torch.tensor(row)[:, None, None] * 255 for row in (recipe.mean, recipe.std))
    values = (frames.float() - mean) / std
    if recipe.patching is None:
        return values
    side, merge, depth = (
        recipe.patching.side_px,
        recipe.patching.merge,
        recipe.patching.frames,
    )
    rows = []
    step = 1 if recipe.is_still else depth
    for first in range(0, count, step):
        # A square in time: stills fill it alone, the last frame of a clip again and again.
        cube = torch.stack(
            [values[first if recipe.is_still else min(first + t, count - 1)] for t in range(depth)]
        )
        for top in range(0, values.shape[-2], side * merge):
            for left in range(0, values.shape[-1], side * merge):
                for down in range(merge):
                    for across in range(merge):
                        y, x = top + down * side, left + across * side
                        square = cube[:, :, y : y + side, x : x + side]
                        rows.append(square.transpose(0, 1).flatten())
    return torch.stack(rows)


def _cut_tiles_plainly(pixels: np.ndarray, recipe: FrameRecipe) -> Tensor:
    import torch

    count, height, width, _ = pixels.shape
    tile_height, tile_width = recipe.size(count, height, width)
    down, across = recipe.tiles(height, width) if recipe.tiles else (1, 1)
    canvas_px = (down * tile_height, across * tile_width)
    canvases = preprocess_plainly(
        pixels, replace(recipe, tiles=None, size=lambda frames, height, width: canvas_px)
    )
    wholes = preprocess_plainly(pixels, replace(recipe, tiles=None))
    pictures = []
    for canvas, whole in zip(canvases, wholes, strict=True):
        for row in range(down):
            for column in range(across):
                top, left = row * tile_height, column * tile_width
                pictures.append(canvas[:, top : top + tile_height, left : left + tile_width])
        pictures.append(whole)
    return torch.stack(pictures)

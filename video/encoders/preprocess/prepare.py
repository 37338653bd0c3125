"""Frames to a model's input in one pass: resized as bytes, then written straight to their place.

Nothing else has the size of the frames in floating point. Rows of colours stay together as the
reader gives them ("channels last"), which is what torch resizes fastest. The arithmetic is that of
transformers' processors, operation by operation: on a CPU the numbers are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreason.video.encoders.preprocess.recipe import FrameRecipe, Patching, PreparedFrames
from mmreason.video.types import VideoError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_GROUP_BYTES = 16 * 2**20
"""Of prepared numbers that are made at a time: they stay in a processor's cache."""


def preprocess_frames(
    pixels: np.ndarray | Tensor,
    recipe: FrameRecipe,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> PreparedFrames:
    """`pixels` uint8 (N, H, W, 3), an array or a tensor, as `recipe` says; on `device`, in `dtype`
    (float32). The frames of a clip that do not fill its last square in time are followed by the
    last one again.

    VideoError for another shape or type, no frames, and sizes that do not fit the recipe.
    """
    import torch

    frames = check_pixels(pixels)
    count, height, width, _ = frames.shape
    size_px = recipe.size(count, height, width)
    device, dtype = torch.device(device), dtype or torch.float32
    if recipe.tiles and (tiles := recipe.tiles(height, width)) != (1, 1):
        return _cut_tiles(frames, recipe, size_px, tiles, device, dtype)
    shown_px = recipe.crop_px or size_px
    _check_size(shown_px, recipe.patching)
    depth = recipe.patching.frames if recipe.patching and not recipe.is_still else 1
    steps = -(-count // depth)
    values = torch.empty(_shape_of(steps, shown_px, recipe), device=device, dtype=dtype)
    rows = len(values) // steps
    per_group = max(1, _GROUP_BYTES // (rows * values[0].numel() * 4))
    for first in range(0, steps, per_group):
        last = min(first + per_group, steps)
        group = _take(frames, first * depth, last * depth).to(device)
        group = crop_middle(resize_bytes(group, size_px, recipe.resample), shown_px)
        target = values[first * rows : last * rows]
        arrange = partial(_in_order_of_frames, shown_px=shown_px, recipe=recipe)
        _write_numbers(target, _lay_out(group, recipe, depth), arrange, recipe)
    grid = None
    if recipe.patching:
        side = recipe.patching.side_px
        grid = (1 if recipe.is_still else steps, shown_px[0] // side, shown_px[1] // side)
    return PreparedFrames(values, size_px, grid)


def _cut_tiles(
    frames: Tensor,
    recipe: FrameRecipe,
    size_px: tuple[int, int],
    tiles: tuple[int, int],
    device: torch.device,
    dtype: torch.dtype,
) -> PreparedFrames:
    """Each frame as `tiles` (down, across) of `size_px`, row by row, then the whole of it."""
    import torch

    (height, width), (down, across) = size_px, tiles
    count = down * across
    values = torch.empty((len(frames), count + 1, 3, *size_px), device=device, dtype=dtype)
    for index, target in enumerate(values):
        frame = _take(frames, index, index + 1).to(device)
        canvas = resize_bytes(frame, (down * height, across * width), recipe.resample)[0]
        _write_numbers(
            target[:count],
            canvas.unflatten(2, (across, width)).unflatten(1, (down, height)),
            # As the canvas lies: colours, tiles down, rows, tiles across, columns.
            lambda cut: cut.view(down, across, 3, height, width).permute(2, 0, 3, 1, 4),
            recipe,
        )
        whole = resize_bytes(frame, size_px, recipe.resample)
        _write_numbers(target[count:], whole, lambda cut: cut, recipe)
    return PreparedFrames(values.flatten(0, 1), size_px, None, pictures_per_frame=count + 1)


def _write_numbers(
    target: Tensor, pixels: Tensor, arrange: Callable[[Tensor], Tensor], recipe: FrameRecipe
) -> None:
    """Bytes to normalised numbers in `target` (n, 3 colours, ...), of which `arrange` gives a view
    in the order of `pixels`."""
    import torch

    # Numbers are made in float32, whatever they are kept in.
    is_single = target.dtype == torch.float32
    written = target if is_single else torch.empty_like(target, dtype=torch.float32)
    arrange(written).copy_(pixels)
    mean, deviation = (
        torch.tensor(row, device=target.device)[:, None] * 255.0
        for row in (recipe.mean, recipe.std)
    )
    written.view(len(written), 3, -1).sub_(mean).div_(deviation)
    if not is_single:
        target.copy_(written)


def check_pixels(pixels: Any) -> Tensor:
    """The frames as a tensor; copied only where torch takes no view of them (turned round, or not
    to be written to). VideoError for what are none."""
    import torch

    shape, kind = tuple(getattr(pixels, "shape", ())), getattr(pixels, "dtype", type(pixels))
    if len(shape) != 4 or shape[-1] != 3 or 0 in shape or kind not in (np.uint8, torch.uint8):
        raise VideoError(
            "expected frames as uint8 of shape (frames, height, width, 3), each 1 or more, "
            f"got {kind} of shape {shape}"
        )
    if isinstance(pixels, torch.Tensor):
        return pixels
    takes_view = pixels.flags.writeable and min(pixels.strides) >= 0
    return torch.from_numpy(pixels if takes_view else pixels.copy())


def resize_bytes(frames: Tensor, size_px: tuple[int, int], resample: str) -> Tensor:
    """uint8 (n, 3, H, W) brought to `size_px`, as torchvision's `resize` does with antialiasing."""
    if frames.shape[-2:] == size_px:
        return frames
    from torchvision.transforms.v2.functional import InterpolationMode, resize

    return resize(frames, list(size_px), InterpolationMode(resample), antialias=True)


def _take(frames: Tensor, first: int, last: int) -> Tensor:
    """(last - first, 3, H, W); past the end the last frame again."""
    import torch

    group = frames[first:last].permute(0, 3, 1, 2)
    missing = last - first - len(group)
    return torch.cat([group, group[-1:].expand(missing, -1, -1, -1)]) if missing else group


def crop_middle(frames: Tensor, size_px: tuple[int, int]) -> Tensor:
    """uint8 (n, 3, H, W) to its middle of `size_px`; what is smaller gets a black edge, as
    transformers' `center_crop` gives it."""
    height, width = size_px
    missing = [max(0, side - px) for side, px in zip(size_px, frames.shape[-2:], strict=True)]
    if any(missing):
        from torch.nn.functional import pad

        edges = (missing[1] // 2, -(-missing[1] // 2), missing[0] // 2, -(-missing[0] // 2))
        frames = pad(frames, edges)
    top, left = (frames.shape[-2] - height) // 2, (frames.shape[-1] - width) // 2
    return frames[..., top : top + height, left : left + width]


def _shape_of(steps: int, shown_px: tuple[int, int], recipe: FrameRecipe) -> tuple[int, ...]:
    """Of what is given back."""
    height, width = shown_px
    if recipe.patching is None:
        return steps, 3, height, width
    squares = (height // recipe.patching.side_px) * (width // recipe.patching.side_px)
    return steps * squares, recipe.patching.row_length


def _in_order_of_frames(values: Tensor, shown_px: tuple[int, int], recipe: FrameRecipe) -> Tensor:
    """A view of what is given back, to write frames to: (steps, frames, 3, blocks down, rows of
    squares, rows of pixels, blocks across, columns of squares, columns of pixels)."""
    patching = recipe.patching
    if patching is None:
        return values
    side, merge = patching.side_px, patching.merge
    down, across = (px // (side * merge) for px in shown_px)
    blocks = values.view(-1, down, across, merge, merge, 3, patching.frames, side, side)
    return blocks.permute(0, 6, 5, 1, 3, 7, 2, 4, 8)


def _lay_out(frames: Tensor, recipe: FrameRecipe, depth: int) -> Tensor:
    """uint8 (n, 3, H, W) as `_in_order_of_frames` has it, without a copy."""
    patching = recipe.patching
    if patching is None:
        return frames
    side, merge = patching.side_px, patching.merge
    rows = frames.unflatten(3, (-1, merge, side)).unflatten(2, (-1, merge, side))
    return rows.unflatten(0, (-1, depth))


def _check_size(shown_px: tuple[int, int], patching: Patching | None) -> None:
    multiple = patching.side_px * patching.merge if patching else 1
    if any(side % multiple for side in shown_px):
        raise VideoError(
            f"frames of {shown_px[1]}x{shown_px[0]} pixels do not divide into blocks of "
            f"{multiple}x{multiple}; let them be resized, or hand over sides that are multiples"
        )

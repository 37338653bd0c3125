"""Processors of transformers whose pixels we make ourselves, faster and to the same numbers.

Token counts, time stamps, prompts and the size that frames are brought to stay the processor's own
affair: it is asked for the size with a tensor that has a shape and no pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreason.video.encoders.preprocess.prepare import check_pixels, preprocess_frames
from mmreason.video.encoders.preprocess.recipe import (
    FrameRecipe,
    Patching,
    PreparedFrames,
    Resample,
    SizeRule,
    TileRule,
    UnknownProcessor,
)
from mmreason.video.types import VideoError

if TYPE_CHECKING:
    from torch import Tensor

_CLIPS_IN_PATCHES = ("Qwen2VLVideoProcessor", "Qwen3VLVideoProcessor")
_STILLS_IN_PATCHES = ("Qwen2VLImageProcessor",)
_CLIPS_AS_PICTURES = ("InternVLVideoProcessor",)
_STILLS = ("CLIPImageProcessor", "SiglipImageProcessor")
_STILLS_IN_TILES = ("GotOcr2ImageProcessor",)
"""InternVL's."""
_RESAMPLES: dict[int | str | None, Resample] = {
    2: "bilinear",
    3: "bicubic",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
}
"""By the number of PIL, and by the name of torchvision."""


def recipe_of(
    processor: Any, settings: Mapping[str, Any] | None = None
) -> FrameRecipe | UnknownProcessor:
    """What a video or image processor of transformers does to frames; `settings` stand in the place
    of its own, as in a call. UnknownProcessor with the reason where that is not known here: its
    class is another, or it is set to do something unusual.
    """
    name = type(processor).__name__
    known = (
        *_CLIPS_IN_PATCHES,
        *_STILLS_IN_PATCHES,
        *_CLIPS_AS_PICTURES,
        *_STILLS,
        *_STILLS_IN_TILES,
    )
    if name not in known or not type(processor).__module__.startswith("transformers."):
        return UnknownProcessor(f"{name} is none of those whose work is known")

    def read(key: str) -> Any:
        value = (settings or {}).get(key)
        return getattr(processor, key, None) if value is None else value

    if not (read("do_rescale") and read("do_normalize")):
        return UnknownProcessor(f"{name} is set not to rescale or not to normalise")
    if abs((read("rescale_factor") or 1 / 255) * 255 - 1) > 1e-12:
        return UnknownProcessor(f"{name} rescales by {read('rescale_factor')}, not by 1/255")
    mean, std = read("image_mean"), read("image_std")
    if not all(isinstance(row, list | tuple) and len(row) == 3 for row in (mean, std)):
        return UnknownProcessor(f"{name} normalises by {mean} and {std}, not by three colours")
    if not all(math.isfinite(value) for value in (*mean, *std)) or min(std) <= 0:
        return UnknownProcessor(f"{name} normalises by {mean} and {std}, which are no such numbers")
    resample = _RESAMPLES.get(getattr(read("resample"), "value", read("resample")))
    if resample is None:
        return UnknownProcessor(f"{name} resizes by {read('resample')}")
    if read("do_pad"):
        return UnknownProcessor(f"{name} is set to pad")
    cuts_tiles = name in _STILLS_IN_TILES and bool(read("crop_to_patches"))
    if cuts_tiles and not read("do_resize"):
        return UnknownProcessor(f"{name} is set to cut tiles of what it does not resize")
    patching, crop_px = None, None
    if name in _CLIPS_IN_PATCHES + _STILLS_IN_PATCHES:
        patching = Patching(
            side_px=read("patch_size"),
            merge=read("merge_size"),
            frames=read("temporal_patch_size"),
        )
    elif read("do_center_crop") and name not in _STILLS_IN_TILES:
        crop = read("crop_size")
        crop_px = (int(crop["height"]), int(crop["width"]))
    return FrameRecipe(
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
        size=_size_rule(processor, read, patching) if read("do_resize") else _as_they_are,
        resample=resample,
        crop_px=crop_px,
        patching=patching,
        tiles=_tile_rule(read) if cuts_tiles else None,
        is_still=name in _STILLS_IN_PATCHES,
    )


def _as_they_are(frames: int, height: int, width: int) -> tuple[int, int]:
    return height, width


def _size_rule(processor: Any, read: Any, patching: Patching | None) -> SizeRule:
    def measure(frames: int, height: int, width: int) -> tuple[int, int]:
        import torch

        # Nothing is computed on this device, so that only the shape comes out.
        empty = torch.empty(frames, 3, height, width, dtype=torch.uint8, device="meta")
        own: dict[str, Any] = {"size": read("size"), "resample": read("resample")}
        if patching is not None:
            own["factor"] = patching.side_px * patching.merge
        if type(processor).__name__ in _CLIPS_IN_PATCHES:
            empty = empty[None]
            own |= {
                "temporal_factor": patching.frames if patching else 1,
                "cap_pixels_per_frame": bool(read("cap_pixels_per_frame")),
            }
        try:
            resized = processor.resize(empty, **own)
        except ValueError as error:
            raise VideoError(
                f"{type(processor).__name__} does not take {frames} frames of {width}x{height} "
                f"pixels: {error}"
            ) from error
        return int(resized.shape[-2]), int(resized.shape[-1])

    return measure


def _tile_rule(read: Any) -> TileRule:
    from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas

    size = read("size")
    tile_px, fewest, most = (
        (int(size["height"]), int(size["width"])),
        int(read("min_patches")),
        int(read("max_patches")),
    )

    def count_tiles(height: int, width: int) -> tuple[int, int]:
        across, down = get_optimal_tiled_canvas((height, width), tile_px, fewest, most)
        return down, across

    return count_tiles


def make_pixels_ours(processor: Any) -> tuple[str, ...]:
    """Have the video and image processors inside `processor` (of `AutoProcessor`) make their pixels
    by `preprocess_frames`, for good and for this object alone. Gives a reason for each that keeps
    its own way.

    A call whose settings are unusual goes its own way too.
    """
    reasons = []
    for part_name in ("video_processor", "image_processor"):
        part = getattr(processor, part_name, None)
        if part is None or isinstance(part, _OurPixels):
            continue
        recipe = recipe_of(part)
        if isinstance(recipe, UnknownProcessor):
            reasons.append(recipe.reason)
            continue
        own = type(part)
        # Of the same name, so that what is saved names the class that transformers knows.
        part.__class__ = type(
            own.__name__, (_OurPixels, own), {"__module__": own.__module__, "__doc__": own.__doc__}
        )
    return tuple(reasons)


class _OurPixels:
    """Stands before the class of a processor, in the places where it touches pixels."""

    def _prepare_input_videos(self, videos: Sequence[Any], **settings: Any) -> list[Any]:
        if settings.get("input_data_format") is None and all(map(_is_clip, videos)):
            # Colours last in memory: neither copied nor turned round.
            clips = [check_pixels(video).permute(0, 3, 1, 2) for video in videos]
            device = settings.get("device")
            return clips if device is None else [clip.to(device) for clip in clips]
        return super()._prepare_input_videos(videos=videos, **settings)  # pyright: ignore[reportAttributeAccessIssue]  # of the class behind

    def _preprocess(self, *arguments: Any, **settings: Any) -> Any:
        from transformers import BatchFeature

        kind = "videos" if "videos" in settings else "images"
        frames = settings.get(kind)
        recipe = recipe_of(self, settings)
        is_ours = frames and all(map(_is_colour_bytes, frames))
        if arguments or not is_ours or isinstance(recipe, UnknownProcessor):
            if frames is not None:
                settings[kind] = [item.contiguous() for item in frames]
            return super()._preprocess(*arguments, **settings)  # pyright: ignore[reportAttributeAccessIssue]  # of the class behind
        prepared = [
            preprocess_frames(
                (item if item.ndim == 4 else item[None]).permute(0, 2, 3, 1),
                recipe,
                device=item.device,
            )
            for item in frames
        ]
        data = _gather(prepared, kind, type(self).__name__ in _STILLS_IN_TILES)
        return BatchFeature(data=data, tensor_type=settings["return_tensors"])


def _is_clip(video: Any) -> bool:
    return (
        isinstance(video, np.ndarray)
        and video.ndim == 4
        and video.shape[-1] == 3
        and video.dtype == np.uint8
        and min(video.shape[1:3]) > 3  # else rows or columns might be the colours
    )


def _is_colour_bytes(frames: Tensor) -> bool:
    """uint8, ([N,] 3, H, W), none empty."""
    import torch

    is_colour = frames.ndim in (3, 4) and frames.shape[-3] == 3
    return is_colour and frames.dtype == torch.uint8 and frames.numel() > 0


def _gather(prepared: Sequence[PreparedFrames], kind: str, counts_tiles: bool) -> dict[str, Any]:
    """What `_preprocess` of these classes gives, by name."""
    import torch

    name = {"videos": "pixel_values_videos", "images": "pixel_values"}[kind]
    if prepared and prepared[0].grid_thw is not None:
        grid = {"videos": "video_grid_thw", "images": "image_grid_thw"}[kind]
        return {
            name: torch.cat([item.values for item in prepared]),
            grid: torch.tensor([item.grid_thw for item in prepared]),
        }
    if kind == "images":
        pictures = {name: [picture for item in prepared for picture in item.values]}
        if counts_tiles:
            pictures["num_patches"] = [item.pictures_per_frame for item in prepared]
        return pictures
    return {name: [item.values for item in prepared]}

"""Frames as a Hugging Face processor takes them: as a video with its times, or as single images.

Pure functions. Leaves out what a processor does with them (`hf_traits.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from mmreason.models.base import FramesPart, time_label
from mmreason.video.types import FrameBatch

TIME_STEPS_HZ = 1000
"""Times reach the processor as whole milliseconds: "frame indices" of a 1000 Hz clock."""


def video_support(processor: Any) -> tuple[bool, tuple[str, ...]]:
    """Whether the processor and its chat template take videos, and a note where they do not."""
    if getattr(processor, "video_processor", None) is None:
        return False, ("frames are shown as single images: the processor has no video input",)
    text = {"type": "text", "text": "?"}
    with_video, without = (
        processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
        for content in ([{"type": "video"}, text], [text])
    )
    if with_video == without:
        return False, ("frames are shown as single images: the chat template leaves videos out",)
    return True, ()


def patch_factors(processor: Any) -> tuple[int, int]:
    """(sides that need no resizing are multiples of this, frames that make one visual token)."""
    for processor_name in ("video_processor", "image_processor"):
        eye = getattr(processor, processor_name, None)
        patch, merge = getattr(eye, "patch_size", None), getattr(eye, "merge_size", None)
        if isinstance(patch, int) and isinstance(merge, int):
            return patch * merge, int(getattr(eye, "temporal_patch_size", None) or 1)
    return 1, 1


def placeholder_id(config: Any, kind: str) -> int | None:
    """Id of the token that stands for an "image" or a "video": families have two names for it."""
    names = (f"{kind}_token_id", f"{kind}_token_index")
    ids = (getattr(config, name, None) for name in names)
    return next((i for i in ids if isinstance(i, int)), None)


def fill_last_pair(frames: FrameBatch, group: int) -> FrameBatch:
    """Repeat the last frame until the count is a multiple of `group`, as the processors do."""
    missing = -len(frames) % group
    if not missing:
        return frames
    order = np.r_[np.arange(len(frames)), np.full(missing, len(frames) - 1)]
    return FrameBatch(
        pixels=frames.pixels[order], times_s=frames.times_s[order], exact=frames.exact[order]
    )


def video_metadata(frames: FrameBatch) -> dict[str, Any]:
    """`transformers.video_utils.VideoMetadata` fields whose time stamps are `frames.times_s`."""
    indices = [round(float(t) * TIME_STEPS_HZ) for t in frames.times_s]
    count = len(indices)
    step = (indices[-1] - indices[0]) / (count - 1) if count > 1 else TIME_STEPS_HZ
    height, width = frames.pixels.shape[1:3]
    return {
        # Some processors take frames a second as count / total * fps: give them the true spacing.
        "total_num_frames": max(count, round(step * count)),
        "fps": float(TIME_STEPS_HZ),
        "frames_indices": indices,
        "duration": max(count, round(step * count)) / TIME_STEPS_HZ,
        "height": height,
        "width": width,
    }


def labelled_images(stills: FramesPart, *, labels: bool) -> list[dict[str, Any]]:
    """Frames as single images; with `labels` those of a clip each behind its time."""
    content: list[dict[str, Any]] = []
    for pixels, time_s in zip(stills.frames.pixels, stills.frames.times_s, strict=True):
        if labels and stills.kind == "video":
            content.append({"type": "text", "text": time_label(time_s)})
        content.append({"type": "image", "image": Image.fromarray(pixels)})
    return content

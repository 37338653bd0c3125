"""Grounding one expression in one frame with a chat model: show, ask, read the boxes.

Leaves out reading the text (`mmreason.grounding.parse`) and following things through time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreason.grounding import Grounding, GroundingStatus, parse_boxes
from mmreason.language.thoughts import split_thought
from mmreason.models.base import ChatModel, FramesPart, Message, TextPart
from mmreason.tools.calls import Watchable
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch, Span

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame in its original size."""

    pixels: np.ndarray
    """uint8 (H, W, 3) RGB."""
    time_s: float | None
    """Presentation time, or None for an image."""

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]


def is_image(source: object) -> bool:
    """Whether this is a picture: an array, a Pillow image, or a path that ends like one."""
    if isinstance(source, str | Path):
        return Path(source).suffix.lower() in IMAGE_SUFFIXES
    return isinstance(source, np.ndarray) or hasattr(source, "convert")


def frame_of_image(source: str | Path | np.ndarray | Image) -> Frame:
    """Read a picture upright, as RGB. UsageError when it is none."""
    from PIL import Image, ImageOps

    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[-1] != 3 or not source.size:
            raise UsageError(
                f"an image array must be uint8 (H, W, 3) RGB, got {source.dtype} {source.shape}"
            )
        return Frame(source, None)
    if not isinstance(source, str | Path):
        return Frame(np.asarray(ImageOps.exif_transpose(source).convert("RGB")), None)
    try:
        with Image.open(source) as picture:
            return Frame(np.asarray(ImageOps.exif_transpose(picture).convert("RGB")), None)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{source}: cannot be read as an image ({error})") from error


def frame_of_video(video: Watchable, span: Span) -> Frame:
    """The middle frame of a stretch, in its original size. VideoError when it cannot be read."""
    frames = video.frames_at([span.middle_s])
    return Frame(frames.pixels[0], float(frames.times_s[0]))


def ground_frame(model: ChatModel, frame: Frame, expression: str) -> Grounding:
    """Ask the model for the box of `expression`; a failing model gives status `error`."""
    clip = model.clip
    seen_size_px = clip.frame_size_px(*frame.size_px)
    settings: dict[str, Any] = {
        "model": {"name": model.name, "fingerprint": model.fingerprint},
        "prompts_sha256": clip.prompts.sha256,
        "dialect": str(clip.box_dialect),
        "seen_size_px": list(seen_size_px),
        "notes": list(model.notes),
    }
    batch = FrameBatch(
        pixels=_resized(frame.pixels, seen_size_px)[None],
        times_s=np.array([frame.time_s or 0.0]),
        exact=np.array([True]),
    )
    parts = (FramesPart(batch, "image"), TextPart(clip.prompts.find(expression)))
    common = {"expression": expression, "frame_time_s": frame.time_s, "settings": settings}
    try:
        reply = model.generate([[Message("user", parts)]])[0]
    except (RuntimeError, ValueError, OSError) as error:
        return Grounding(
            status=GroundingStatus.ERROR,
            issues=(f"the model failed: {error}",),
            size_px=frame.size_px,
            **common,
        )
    said = split_thought(reply.text)[1]
    found = parse_boxes(said, clip.box_dialect, frame.size_px, seen_size_px=seen_size_px)
    return replace(found, **common)


def _resized(pixels: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if (pixels.shape[1], pixels.shape[0]) == size_px:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size_px, Image.Resampling.BICUBIC))

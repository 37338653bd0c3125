"""Grounding one expression in one frame with a chat model: show, ask, read the boxes.

The text is read in `mmreason.grounding.dialects`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mmreason.grounding import Grounding, GroundingStatus, Issue, parse_boxes
from mmreason.language.thoughts import split_thought
from mmreason.models.base import ChatModel, FramesPart, GenerateRequest, Message, TextPart
from mmreason.types import UsageError
from mmreason.video.backends.base import MAX_PICTURE_PX, MAX_SIDE_PX, check_regular_file
from mmreason.video.plain_text import show_line
from mmreason.video.types import FrameBatch, FrameSource, Span, VideoError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
IMAGE_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""What a file with one of these suffixes may hold, as Pillow names it. Others it would open too, by
what the file says: PostScript, for one, which it has a program draw."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame in its original size.

    Example:
        >>> Frame(np.zeros((32, 64, 3), np.uint8), time_s=None).size_px
        (64, 32)
    """

    pixels: np.ndarray
    """uint8 (H, W, 3) RGB."""
    time_s: float | None
    """Presentation time, or None for an image."""

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]


def is_image(source: object) -> bool:
    """Whether this is a picture: an array, a Pillow image, or a path or an open file whose name
    ends like one.

    Example:
        >>> is_image("star.png"), is_image("star.mp4")
        (True, False)
    """
    if hasattr(source, "read"):
        source = getattr(source, "name", None)
    if isinstance(source, str | Path):
        return Path(source).suffix.lower() in IMAGE_SUFFIXES
    # By its method: Pillow is imported only where a picture is read.
    return isinstance(source, np.ndarray) or hasattr(source, "convert")


def frame_of_image(source: str | Path | BinaryIO | np.ndarray | Image) -> Frame:
    """Read a picture upright, as RGB. UsageError when it is none, or too large."""
    import PIL.Image
    from PIL import ImageOps

    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[-1] != 3 or not source.size:
            raise UsageError(
                f"an image array must be uint8 (H, W, 3) RGB, got {source.dtype} {source.shape}"
            )
        return Frame(source, None)
    if isinstance(source, str | Path):
        try:
            check_regular_file(Path(source), "an image")  # a pipe would hold the reader for ever
        except VideoError as error:
            raise UsageError(str(error)) from error
        return _read_picture(source, str(source))
    if isinstance(source, PIL.Image.Image):
        return Frame(np.asarray(ImageOps.exif_transpose(source).convert("RGB")), None)
    return _read_picture(source, str(getattr(source, "name", "<image>")))


def _read_picture(source: str | Path | BinaryIO, name: str) -> Frame:
    """The picture in a file. UsageError with one line, whatever its decoder meets."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Sizes are checked below, against lower limits.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(source, formats=IMAGE_FORMATS)
        with picture:
            # The header tells the size: nothing beyond the limits is decoded.
            width_px, height_px = picture.size
            if max(picture.size) > MAX_SIDE_PX or width_px * height_px > MAX_PICTURE_PX:
                raise ValueError(
                    f"{width_px:,} x {height_px:,} pixels; the limit is {MAX_SIDE_PX:,} a side and "
                    f"{MAX_PICTURE_PX / 1e6:.0f} million in all: make it smaller"
                )
            # Cameras store pictures lying down; boxes are of what people see.
            ImageOps.exif_transpose(picture, in_place=True)
            return Frame(np.asarray(picture.convert("RGB")), None)
    except UnidentifiedImageError as error:
        kinds = ", ".join(IMAGE_FORMATS)
        raise UsageError(
            f"{show_line(name)}: cannot be read as an image (expected {kinds})"
        ) from error
    except Exception as error:  # decoders of hostile files raise anything, MemoryError included
        reason = show_line(str(error)[:200]) or type(error).__name__
        raise UsageError(f"{show_line(name)}: cannot be read as an image ({reason})") from error


def frame_of_video(video: FrameSource, span: Span) -> Frame:
    """The middle frame of a stretch, in its original size. VideoError when it cannot be read."""
    frames = video.frames_at([span.middle_s])
    return Frame(frames.pixels[0], float(frames.times_s[0]))


def ground_frame(model: ChatModel, frame: Frame, expression: str) -> Grounding:
    """Ask the model for the box of `expression`; a failing model gives status `error`."""
    batch = FrameBatch(
        pixels=frame.pixels[None],
        times_s=np.array([frame.time_s or 0.0]),
        exact=np.array([True]),
    )
    seen_size_px = model.clip.frame_size_px(*frame.size_px)
    settings: dict[str, Any] = describe_model(model) | {"seen_size_px": list(seen_size_px)}
    common = {"expression": expression, "frame_time_s": frame.time_s, "settings": settings}
    try:
        (grounding,) = ask_boxes(model, batch, expression)
    except (RuntimeError, ValueError, OSError) as error:
        return Grounding(
            status=GroundingStatus.ERROR,
            issues=(Issue("failed", f"the model failed: {error}"),),
            size_px=frame.size_px,
            **common,
        )
    return replace(grounding, **common)


def ask_boxes(model: ChatModel, frames: FrameBatch, phrase: str) -> list[Grounding]:
    """Ask the model for the boxes of `phrase` in each frame by itself, all in one request; boxes
    are in pixels of `frames`. Raises what models raise."""
    height_px, width_px = frames.pixels.shape[1:3]
    clip = model.clip
    seen_size_px = clip.frame_size_px(width_px, height_px)
    conversations = [
        [
            Message(
                "user",
                (
                    FramesPart(shown_frames(frames, [index], seen_size_px), "image"),
                    TextPart(clip.prompts.find(phrase)),
                ),
            )
        ]
        for index in range(len(frames))
    ]
    replies = model.generate(GenerateRequest(conversations))
    return [
        parse_boxes(
            split_thought(reply.text)[1],
            clip.box_dialect,
            (width_px, height_px),
            seen_size_px=seen_size_px,
        )
        for reply in replies
    ]


def describe_model(model: ChatModel) -> dict[str, Any]:
    """What of a model moves its boxes, in JSON types."""
    return {
        "model": {"name": model.name, "fingerprint": model.fingerprint},
        "prompts_sha256": model.clip.prompts.sha256,
        "dialect": str(model.clip.box_dialect),
        "notes": list(model.notes),
    }


def shown_frames(
    frames: FrameBatch, indices: Sequence[int], size_px: tuple[int, int]
) -> FrameBatch:
    """Some of the frames at the (width, height) at which a model is shown them."""
    return FrameBatch(
        pixels=np.stack([_resized(frames.pixels[index], size_px) for index in indices]),
        times_s=frames.times_s[list(indices)],
        exact=frames.exact[list(indices)],
    )


def _resized(pixels: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if (pixels.shape[1], pixels.shape[0]) == size_px:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size_px, Image.Resampling.BICUBIC))

"""From a decoded frame to the picture that is delivered: colours, transparency, size.

Ordinary pictures take one call of FFmpeg's scaler. What that does not do right is done here, with
`colour_maths`: HDR and wide colours, YCgCo, grey of limited range; and transparent parts, frames of
another size than the video's. Imported lazily (it imports av at the top).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mmreason.video.backends.base import ToneMap
from mmreason.video.backends.colour import (
    Marks,
    has_alpha,
    is_gamut_converted,
    is_limited_grey,
    operator_for,
    read_colour,
)
from mmreason.video.backends.colour_maths import (
    SdrConversion,
    grey_to_rgb,
    planes_to_rgb,
    sdr_conversion,
    to_levels,
)
from mmreason.video.types import Colour, VideoError

_MAX_NOTES = 8
_BT709 = 1
_SCALER_MATRICES = {
    "bt709": _BT709, "fcc": 4, "bt470bg": 5, "smpte170m": 5, "smpte240m": 7, "bt2020nc": 9,
}  # fmt: skip
"""The scaler's numbers: `av.video.reformatter.Colorspace`, which has names for all of them only
since PyAV 18."""

Size = tuple[int, int]
"""(width, height) in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a file's frames are to be delivered, and what is found out while they are decoded."""

    stored_px: Size
    """The size that all frames are brought to, before they are turned upright."""
    pixel_aspect: float
    """Width over height of a pixel of the first frame, as its decoder has it."""
    colour: Colour
    """Of the first frame."""
    container: Marks
    tone_map: ToneMap
    later_notes: dict[str, None] = field(default_factory=dict)
    """Lines on frames that differ from the first, in order; shared by all readers of a file."""

    def add_note(self, line: str) -> None:
        if len(self.later_notes) < _MAX_NOTES:
            self.later_notes[line] = None


class PictureConverter:
    """Converts the frames of one file, for one thread at a time."""

    def __init__(self, path: Path, shown: Shown) -> None:
        self._path, self._shown = path, shown
        self._reformatter = VideoReformatter()
        self._aspects = {shown.stored_px: shown.pixel_aspect}
        # What the frame at hand says of its colours, and what follows from it.
        self._marks: tuple[object, ...] = ()
        self._colour = shown.colour
        self._sdr: SdrConversion | None = None
        self._has_alpha = False

    def picture(self, frame: av.VideoFrame, stream: VideoStream, size_px: Size) -> np.ndarray:
        """uint8 (height, width, 3) for `size_px`, not yet upright. A frame of another shape than
        the video's is shown whole between black bars. Raises VideoError."""
        self._read_marks(frame, stream)
        inner_px = self._inner_size(frame, stream, size_px)
        rgb = self._on_black(frame, inner_px) if self._has_alpha else self._rgb(frame, inner_px)
        return rgb if inner_px == size_px else _with_bars(rgb, size_px)

    def _read_marks(self, frame: av.VideoFrame, stream: VideoStream) -> None:
        """Marks are looked up only where they change."""
        marks = (
            frame.format.name, frame.colorspace, frame.color_range, frame.color_trc,
            frame.color_primaries, frame.height,
        )  # fmt: skip
        if marks == self._marks:
            return
        # A stream may change its colours on the way: every change is looked at and told.
        colour = read_colour(self._path, frame, stream, self._shown.container)
        colour = replace(colour, tone_map=operator_for(colour, self._shown.tone_map))
        if colour != self._shown.colour:
            self._shown.add_note(
                "some frames have other colours than the first: transfer "
                f"{colour.transfer}, primaries {colour.primaries}, matrix {colour.matrix}, range "
                f"{colour.range}"
            )
        needs_sdr = colour.tone_map != "none" or is_gamut_converted(colour)
        self._sdr = sdr_conversion(colour.transfer, colour.primaries) if needs_sdr else None
        self._has_alpha = has_alpha(frame.format)
        self._marks, self._colour = marks, colour

    def _inner_size(self, frame: av.VideoFrame, stream: VideoStream, size_px: Size) -> Size:
        """The part of `size_px` that the frame takes."""
        stored_px, frame_px = self._shown.stored_px, (frame.width, frame.height)
        aspect = pixel_aspect(stream)
        if frame_px == stored_px:
            if aspect != self._shown.pixel_aspect:
                self._shown.add_note(
                    f"the shape of pixels changes ({self._shown.pixel_aspect:.4g}, {aspect:.4g} "
                    "times as wide as high): frames are delivered as stored"
                )
            return size_px
        # The decoder may be at a later size than the frame it gives: the first of a size tells.
        relative = self._aspects.setdefault(frame_px, aspect) / self._shown.pixel_aspect
        inner_px = fit_inside(frame_px, stored_px, size_px, relative)
        manner = "scaled to the video's" if inner_px == size_px else "shown between black bars"
        self._shown.add_note(f"frames of another size ({frame.width}x{frame.height}) are {manner}")
        return inner_px

    def _rgb(self, frame: av.VideoFrame, size_px: Size) -> np.ndarray:
        """uint8 (H, W, 3), resized and opaque."""
        if self._sdr is not None:
            return self._sdr.convert(self._signal(frame, size_px))
        if self._colour.matrix == "ycgco" or is_limited_grey(self._colour):
            return to_levels(self._signal(frame, size_px))
        return self._scaled(frame, size_px, "rgb24").to_ndarray()

    def _signal(self, frame: av.VideoFrame, size_px: Size) -> np.ndarray:
        """uint16 (H, W, 3): signals of red, green and blue, resized.

        From resized planes, as the scaler's own RGB of 16 bits is off by more than a step of 10.
        """
        colour = self._colour
        bits = 8 if frame.format.components[0].bits == 8 else 16
        if is_limited_grey(colour):
            grey = self._scaled(frame, size_px, "gray" if bits == 8 else "gray16le").to_ndarray()
            return grey_to_rgb(grey, bits)
        # RGB has no matrix to undo, and neither has grey.
        if colour.matrix in ("gbr", "unknown"):
            rgb = np.asarray(self._scaled(frame, size_px, "rgb48le").to_ndarray(), np.uint16)
            # From 16 bits to the 12 that the tables of the curves are made for.
            return rgb >> 4
        planes = self._scaled(frame, size_px, "yuv444p" if bits == 8 else "yuv444p16le")
        samples = planes.to_ndarray(channel_last=True).astype(np.uint16, copy=False)
        return planes_to_rgb(samples, colour.matrix, colour.range, bits)

    def _on_black(self, frame: av.VideoFrame, size_px: Size) -> np.ndarray:
        """As `_rgb`, transparent parts on black. Colours are weighed before they are resized, so
        that none of a transparent part bleeds over an edge."""
        own_px = frame.width, frame.height
        # Weigh each colour by its opacity (rounded), and only then resize.
        alpha = self._scaled(frame, own_px, "rgba").to_ndarray()[..., 3:]
        if alpha.min() == 255:
            return self._rgb(frame, size_px)
        weighed = self._rgb(frame, own_px).astype(np.uint16)
        weighed *= alpha
        weighed += 127
        weighed //= 255
        opaque = av.VideoFrame.from_ndarray(weighed.astype(np.uint8), format="rgb24")
        return self._scaled(opaque, size_px, "rgb24").to_ndarray()

    def _scaled(self, frame: av.VideoFrame, size_px: Size, pixels: str) -> av.VideoFrame:
        """`frame` in other pixels. Where planes stay planes the matrix does not matter, and the
        scaler is told of one that it knows, the same on both sides."""
        matrix = _SCALER_MATRICES.get(self._colour.matrix, _BT709)
        try:
            return self._reformatter.reformat(
                frame,
                *size_px,
                pixels,
                src_colorspace=matrix,
                dst_colorspace=matrix,
                interpolation="BICUBIC",
                threads=1,
            )
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            raise VideoError(
                f"{self._path}: a frame of {frame.width}x{frame.height} pixels "
                f"({frame.format.name}, matrix {self._colour.matrix}) cannot be converted to "
                f"{size_px[0]}x{size_px[1]} RGB ({error.strerror})"
            ) from error


def pixel_aspect(stream: VideoStream) -> float:
    """Width over height of the pixels that the decoder is at, 1.0 where it is not told."""
    return float(stream.codec_context.sample_aspect_ratio or 0) or 1.0


def fit_inside(frame_px: Size, stored_px: Size, size_px: Size, relative_aspect: float) -> Size:
    """The size at which a frame of `frame_px` fits whole and unsqueezed into pictures of
    `stored_px` that are delivered as `size_px`. `relative_aspect` is how many times as wide its
    pixels are as theirs.

    Example: `fit_inside((112, 192), (192, 112), (96, 56), 1.0) == (33, 56)`.
    """
    true_width = frame_px[0] * relative_aspect
    scale = min(stored_px[0] / true_width, stored_px[1] / frame_px[1])
    return (
        max(1, round(true_width * scale * size_px[0] / stored_px[0])),
        max(1, round(frame_px[1] * scale * size_px[1] / stored_px[1])),
    )


def _with_bars(rgb: np.ndarray, size_px: Size) -> np.ndarray:
    """`rgb` in the middle of a black picture of `size_px`."""
    height_px, width_px = rgb.shape[:2]
    framed = np.zeros((size_px[1], size_px[0], 3), np.uint8)
    top_px, left_px = (size_px[1] - height_px) // 2, (size_px[0] - width_px) // 2
    framed[top_px : top_px + height_px, left_px : left_px + width_px] = rgb
    return framed

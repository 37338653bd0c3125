"""Small pictures of an object at several times, cut from a video around its box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.drawing.boxes import Colour, draw_boxes
from mmreason.grounding.tubes import Tube
from mmreason.video.sheet import jpeg_bytes
from mmreason.video.types import FrameSource

_LEAST_SIDE_PX = 64
_MARGIN = 1.6
"""Side of a crop over the longer side of its box."""
_MOST_WIDTH_PX = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """A box at a time, with what is around it.

    Example:
        >>> Crop(time_s=1.5, jpeg=b"...", observed=True).observed
        True
    """

    time_s: float
    """Of the frame that it is cut from."""
    jpeg: bytes
    observed: bool
    """Whether somebody looked at that frame; else its box was filled in."""


def crop_times(tube: Tube, most: int) -> list[int]:
    """Indices of at most `most` times at which `tube` is to be seen, spread over them, first and
    last included. Times that were looked at come before those that were filled in.

    Example:
        >>> tube = Tube.from_boxes([0, 1, 2, 3], [Box(0, 0, 8, 8), None, *[Box(4, 0, 9, 8)] * 2])
        >>> crop_times(tube, 2)
        [0, 3]
    """
    seen = np.flatnonzero(tube.present & tube.observed)
    seen = seen if len(seen) else np.flatnonzero(tube.present)
    if len(seen) > most:
        seen = seen[np.linspace(0, len(seen) - 1, most).round().astype(int)]
    return seen.tolist()


def cut_crops(video: FrameSource, tube: Tube, *, most: int, colour: Colour) -> tuple[Crop, ...]:
    """At most `most` crops of `tube`, its box drawn on. A box outside the picture has none. Raises
    VideoError."""
    crops = []
    # One frame at a time: large pictures are not held together.
    for index in crop_times(tube, most):
        batch = video.frames_at([float(tube.times_s[index])])
        box = Box(*(float(value) for value in tube.boxes_px[index]))
        is_observed = bool(tube.observed[index])
        part = _cut(batch.pixels[0], box, colour, is_dashed=not is_observed)
        if part is not None:
            jpeg = jpeg_bytes(part, max_width_px=_MOST_WIDTH_PX)
            crops.append(Crop(time_s=float(batch.times_s[0]), jpeg=jpeg, observed=is_observed))
    return tuple(crops)


def cut_box(
    video: FrameSource, boxes: Sequence[Box], time_s: float, *, colour: Colour
) -> tuple[Crop, ...]:
    """A crop of each box in the frame at `time_s`. Raises VideoError."""
    batch = video.frames_at([time_s])
    parts = [_cut(batch.pixels[0], box, colour, is_dashed=False) for box in boxes]
    return tuple(
        Crop(
            time_s=float(batch.times_s[0]),
            jpeg=jpeg_bytes(part, max_width_px=_MOST_WIDTH_PX),
            observed=True,
        )
        for part in parts
        if part is not None
    )


def _cut(pixels: np.ndarray, box: Box, colour: Colour, *, is_dashed: bool) -> np.ndarray | None:
    """A square around `box`, as far as the picture goes; None where nothing of the box is in it."""
    height, width = pixels.shape[:2]
    if box.clip(width, height).area_px2 <= 0:
        return None
    side = max(_LEAST_SIDE_PX, _MARGIN * max(box.x2_px - box.x1_px, box.y2_px - box.y1_px))
    left, right = _window((box.x1_px + box.x2_px) / 2, side, width)
    top, bottom = _window((box.y1_px + box.y2_px) / 2, side, height)
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    moved = Box(box.x1_px - left, box.y1_px - top, box.x2_px - left, box.y2_px - top)
    return draw_boxes(part, [moved], colours=[colour], dashed=[is_dashed])


def _window(middle_px: float, side_px: float, length_px: int) -> tuple[int, int]:
    """Where a stretch around `middle_px` lies in a side of the picture: moved in, then cut."""
    side = min(round(side_px), length_px)
    first = min(max(0, round(middle_px - side_px / 2)), length_px - side)
    return first, first + side

"""Pictures of objects for a page: crops at several times, and one frame with everybody's path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.drawing.boxes import Colour, draw_boxes, line_width_px
from mmreason.grounding.tubes import Tube
from mmreason.video.sheet import jpeg_bytes
from mmreason.video.types import FrameSource

_LEAST_SIDE_PX = 64
_MARGIN = 1.6
"""Side of a crop over the longer side of its box."""
_MOST_WIDTH_PX = 240
_FRAME_WIDTH_PX = 900
_MOST_PATH_POINTS = 2000


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
    indices = np.flatnonzero(tube.present & tube.observed)
    indices = indices if len(indices) else np.flatnonzero(tube.present)
    if len(indices) > most:
        indices = indices[np.linspace(0, len(indices) - 1, most).round().astype(int)]
    return indices.tolist()


def cut_crops(video: FrameSource, tube: Tube, *, most: int, colour: Colour) -> tuple[Crop, ...]:
    """At most `most` crops of `tube`, its box drawn on. A box outside the picture has none. Raises
    VideoError."""
    crops = []
    # One frame at a time: large pictures are not held together.
    for index in crop_times(tube, most):
        batch = video.frames_at([float(tube.times_s[index])])
        box = Box(*(float(value) for value in tube.boxes_px[index]))
        is_observed = bool(tube.observed[index])
        cut = _cut(batch.pixels[0], box, colour, is_dashed=not is_observed)
        if cut is not None:
            jpeg = jpeg_bytes(cut, max_width_px=_MOST_WIDTH_PX)
            crops.append(Crop(time_s=float(batch.times_s[0]), jpeg=jpeg, observed=is_observed))
    return tuple(crops)


def cut_box(
    video: FrameSource, boxes: Sequence[Box], time_s: float, *, colour: Colour
) -> tuple[Crop, ...]:
    """A crop of each box in the frame at `time_s`. Raises VideoError."""
    batch = video.frames_at([time_s])
    cuts = [_cut(batch.pixels[0], box, colour, is_dashed=False) for box in boxes]
    return tuple(
        Crop(
            time_s=float(batch.times_s[0]),
            jpeg=jpeg_bytes(cut, max_width_px=_MOST_WIDTH_PX),
            observed=True,
        )
        for cut in cuts
        if cut is not None
    )


def draw_paths(
    video: FrameSource, tubes: Sequence[Tube], titles: Sequence[str], colours: Sequence[Colour]
) -> Crop | None:
    """The frame in the middle of what is seen of the first tube, with all tubes that are to be seen
    then and the paths of all. None where the first is never to be seen. Raises VideoError."""
    present = np.flatnonzero(tubes[0].present)
    if not len(present):
        return None
    middle = int(present[len(present) // 2])
    batch = video.frames_at([float(tubes[0].times_s[middle])])
    pixels, time_s = batch.pixels[0].copy(), float(batch.times_s[0])
    for tube, colour in zip(tubes, colours, strict=True):
        _draw_path(pixels, tube, colour)
    boxes = [tube.at(time_s) for tube in tubes]
    visible = [i for i, box in enumerate(boxes) if box is not None]
    drawn = draw_boxes(
        pixels,
        [box for box in boxes if box is not None],
        [titles[i] for i in visible],
        colours=[colours[i] for i in visible],
    )
    return Crop(
        time_s=time_s,
        jpeg=jpeg_bytes(drawn, max_width_px=_FRAME_WIDTH_PX),
        observed=bool(tubes[0].observed[middle]),
    )


def _draw_path(pixels: np.ndarray, tube: Tube, colour: Colour) -> None:
    """A line through the middles of the boxes, broken where the object is absent; a dot ends it."""
    import cv2

    step = -(-len(tube) // _MOST_PATH_POINTS)
    present = tube.present[::step]
    middles_px = (tube.boxes_px[::step, :2] + tube.boxes_px[::step, 2:]) / 2
    # Far outside the picture a line is where it leaves it; OpenCV counts in 32 bits.
    middles_px = np.clip(middles_px, -1e5, 1e5).round().astype(np.int32)
    runs = np.split(np.arange(len(present)), np.flatnonzero(np.diff(present.astype(int))) + 1)
    lines = [middles_px[run] for run in runs if len(run) > 1 and present[run[0]]]
    width_px = line_width_px(pixels.shape[1], pixels.shape[0])
    cv2.polylines(pixels, lines, isClosed=False, color=colour, thickness=max(1, width_px // 2))
    if lines:
        x, y = lines[-1][-1].tolist()
        cv2.circle(pixels, (x, y), 2 * width_px, color=colour, thickness=-1)


def _cut(pixels: np.ndarray, box: Box, colour: Colour, *, is_dashed: bool) -> np.ndarray | None:
    """A square around `box`, as far as the picture goes; None where nothing of the box is in it."""
    height, width = pixels.shape[:2]
    if box.clip(width, height).area_px2 <= 0:
        return None
    side = max(_LEAST_SIDE_PX, _MARGIN * max(box.x2_px - box.x1_px, box.y2_px - box.y1_px))
    left, right = _window((box.x1_px + box.x2_px) / 2, side, width)
    top, bottom = _window((box.y1_px + box.y2_px) / 2, side, height)
    cut = np.ascontiguousarray(pixels[top:bottom, left:right])
    moved = Box(box.x1_px - left, box.y1_px - top, box.x2_px - left, box.y2_px - top)
    return draw_boxes(cut, [moved], colours=[colour], dashed=[is_dashed])


def _window(middle_px: float, side_px: float, length_px: int) -> tuple[int, int]:
    """Where a stretch around `middle_px` lies in a side of the picture: moved in, then cut."""
    side = min(round(side_px), length_px)
    first = min(max(0, round(middle_px - side_px / 2)), length_px - side)
    return first, first + side

"""Candidates with numbers, as one picture: what a model is shown that chooses one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmreason.grounding.boxes import Box
from mmreason.grounding.tubes import Tube
from mmreason.video.types import FrameBatch, format_time

COLOURS = (
    (230, 25, 75), (60, 180, 75), (0, 130, 200), (245, 130, 48), (145, 30, 180), (70, 240, 240),
    (240, 50, 230), (210, 245, 60), (250, 190, 212), (0, 128, 128), (170, 110, 40), (128, 0, 0),
)  # fmt: skip
"""One a number, again from the start after the last."""
_SAME_TIME_S = 0.05
_CONTEXT_COLUMNS = 4
_GAP_PX = 4
_LEAST_LETTER_PX = 12
_PAPER = (250, 250, 250)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedSheet:
    """A picture in which every candidate has a number.

    Example:
        >>> NumberedSheet(pixels=np.zeros((2, 2, 3), np.uint8), ids=("7",), key_time_s=0.0).ids
        ('7',)
    """

    pixels: np.ndarray
    """uint8 (H, W, 3) RGB: the key frame on top, the other frames small below it."""
    ids: tuple[str, ...]
    """Ids of tubes: that of number 1 first."""
    key_time_s: float


def number_crops(
    frames: FrameBatch, tubes: Sequence[Tube], *, width_px: int = 960
) -> NumberedSheet:
    """Draw the frame that shows most of `tubes` large, and the others small below it, with the
    number of each tube on its box (1, 2, ... in the order given; the same in every frame).

    Raises ValueError for no frames or a width below 16.

    Example:
        >>> frames = FrameBatch(
        ...     pixels=np.zeros((2, 36, 64, 3), np.uint8),
        ...     times_s=np.array([0.0, 1.0]),
        ...     exact=np.ones(2, bool),
        ... )
        >>> tube = Tube.from_boxes([0.0, 1.0], [None, Box(4, 4, 20, 20)], id="a")
        >>> number_crops(frames, [tube], width_px=640).key_time_s
        1.0
    """
    if not len(frames) or width_px < 16:
        raise ValueError(
            f"numbered candidates need a frame and 16 pixels of width or more, got {len(frames)} "
            f"frames and {width_px} px"
        )
    key = choose_key_frame(frames.times_s, tubes)
    height, width = frames.pixels.shape[1:3]
    context = [row for row in range(len(frames)) if row != key]
    small_px = (width_px - (_CONTEXT_COLUMNS - 1) * _GAP_PX) // _CONTEXT_COLUMNS
    large = _draw_frame(frames, key, tubes, width_px)
    small_height = max(1, round(small_px * height / width))
    rows = -(-len(context) // _CONTEXT_COLUMNS)
    sheet = Image.new("RGB", (width_px, large.height + rows * (small_height + _GAP_PX)), _PAPER)
    sheet.paste(large, (0, 0))
    for cell, row in enumerate(context):
        x = cell % _CONTEXT_COLUMNS * (small_px + _GAP_PX)
        y = large.height + _GAP_PX + cell // _CONTEXT_COLUMNS * (small_height + _GAP_PX)
        sheet.paste(_draw_frame(frames, row, tubes, small_px), (x, y))
    return NumberedSheet(
        pixels=np.asarray(sheet),
        ids=tuple(tube.id for tube in tubes),
        key_time_s=float(frames.times_s[key]),
    )


def choose_key_frame(times_s: np.ndarray, tubes: Sequence[Tube]) -> int:
    """Index of the time at which most of `tubes` are to be seen, and they are largest."""
    counts, areas = np.zeros(len(times_s)), np.zeros(len(times_s))
    for tube in (tube for tube in tubes if len(tube)):
        # The time of the tube that is nearest to each of `times_s`.
        after = np.searchsorted(tube.times_s, times_s).clip(1, max(len(tube) - 1, 1))
        before_s, after_s = tube.times_s[after - 1], tube.times_s[np.minimum(after, len(tube) - 1)]
        row = np.where(times_s - before_s <= after_s - times_s, after - 1, after)
        row = row.clip(0, len(tube) - 1)
        near = np.abs(tube.times_s[row] - times_s) <= _SAME_TIME_S
        visible = near & tube.present[row]
        sides = tube.boxes_px[row, 2:] - tube.boxes_px[row, :2]
        counts += visible
        areas += np.where(visible, sides.prod(axis=1), 0.0)
    return int(np.lexsort((-areas, -counts))[0]) if len(times_s) else 0


def _draw_frame(frames: FrameBatch, row: int, tubes: Sequence[Tube], width_px: int) -> Image.Image:
    height, width = frames.pixels.shape[1:3]
    scale = width_px / width
    size_px = (width_px, max(1, round(height * scale)))
    picture = Image.fromarray(frames.pixels[row]).resize(size_px)
    pen = ImageDraw.Draw(picture)
    letter_px = max(_LEAST_LETTER_PX, width_px // 40)
    font = ImageFont.load_default(size=letter_px)
    time_s = float(frames.times_s[row])
    for number, tube in enumerate(tubes, start=1):
        box = tube.at(time_s)
        if box is not None:
            _draw_number(pen, box, number, scale, font, letter_px)
    pen.text((2, size_px[1] - letter_px - 2), format_time(time_s), fill="white", font=font,
             stroke_width=1, stroke_fill="black")  # fmt: skip
    return picture


def _draw_number(
    pen: ImageDraw.ImageDraw,
    box: Box,
    number: int,
    scale: float,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    letter_px: int,
) -> None:
    """An outline, and a tag at its upper left corner."""
    colour = COLOURS[(number - 1) % len(COLOURS)]
    x1, y1, x2, y2 = (value * scale for value in box.xyxy)
    pen.rectangle((x1, y1, x2, y2), outline=colour, width=max(1, letter_px // 6))
    text = str(number)
    tag_px = font.getlength(text) + 4
    pen.rectangle((x1, y1, x1 + tag_px, y1 + letter_px + 3), fill=colour)
    # Dark letters on light colours.
    ink = "black" if sum(colour) > 420 else "white"
    pen.text((x1 + 2, y1), text, fill=ink, font=font)

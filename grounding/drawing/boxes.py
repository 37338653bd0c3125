"""Boxes with labels, and masks, on a picture: a plain way of our own, and supervision's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.masks import Mask
from mmreason.video.plain_text import show_line

DrawingStyle = Literal["plain", "supervision"]
Colour = tuple[int, int, int]
"""Red, green, blue; 0 to 255."""

BOX_COLOURS: tuple[Colour, ...] = (
    (0, 114, 200),
    (230, 97, 0),
    (0, 150, 110),
    (196, 24, 44),
    (140, 86, 200),
    (200, 160, 0),
    (220, 80, 160),
    (90, 90, 90),
)
"""Of boxes side by side, in turn."""
_MOST_LABEL_CHARACTERS = 60
_MASK_INK = 0.4
"""How much of the colour a pixel of a mask takes."""


def draw_boxes(
    pixels: np.ndarray,
    boxes: Sequence[Box],
    labels: Sequence[str] = (),
    *,
    colours: Sequence[Colour] = (),
    dashed: Sequence[bool] = (),
    style: DrawingStyle = "plain",
) -> np.ndarray:
    """A copy of `pixels`, uint8 (H, W, 3) RGB, with `boxes` in pixels of it drawn on.

    Lines lie inside their box. `labels`, `colours` and `dashed` are one a box, or empty; `dashed`
    is for boxes that nobody looked at. What lies outside the picture is cut, a box that lies
    outside it altogether is not drawn. Raises ValueError where they are not as many, and
    ImportError where supervision is asked for and missing.

    Example:
        >>> drawn = draw_boxes(np.zeros((20, 20, 3), np.uint8), [Box(2, 2, 18, 18)])
        >>> drawn[2, 10].tolist(), drawn[10, 10].tolist()
        ([0, 114, 200], [0, 0, 0])
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels must be uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
    if style not in get_args(DrawingStyle):
        raise ValueError(f"style must be one of {', '.join(get_args(DrawingStyle))}, got {style!r}")
    for name, values in (("labels", labels), ("colours", colours), ("dashed", dashed)):
        if len(values) not in (0, len(boxes)):
            raise ValueError(f"{name} must be one a box, or none: {len(boxes)}, got {len(values)}")
    texts = [_shorten(label) for label in labels] or [""] * len(boxes)
    dashed = dashed or [False] * len(boxes)
    colours = colours or [BOX_COLOURS[i % len(BOX_COLOURS)] for i in range(len(boxes))]
    drawn = pixels.copy()
    height, width = pixels.shape[:2]
    # What is outside has no area once it is cut.
    visible = [i for i, box in enumerate(boxes) if box.clip(width, height).area_px2 > 0]
    if style == "supervision":
        from mmreason.grounding.drawing.annotators import annotate

        picked = [boxes[i] for i in visible]
        return annotate(
            drawn,
            picked,
            [texts[i] for i in visible],
            [colours[i] for i in visible],
            [dashed[i] for i in visible],
        )
    for i in visible:
        _draw_frame(drawn, boxes[i], colours[i], is_dashed=dashed[i])
    # Above all lines, so that no line crosses a word.
    for i in visible:
        if texts[i]:
            _draw_label(drawn, boxes[i], texts[i], colours[i])
    return drawn


def draw_masks(
    pixels: np.ndarray, masks: Sequence[Mask], colours: Sequence[Colour] = ()
) -> np.ndarray:
    """A copy of `pixels`, uint8 (H, W, 3) RGB, with the pixels of each mask tinted. Raises
    ValueError for a mask of another size.

    Example:
        >>> mask = Mask.from_array(np.array([[True, False]]))
        >>> draw_masks(np.zeros((1, 2, 3), np.uint8), [mask], [(200, 0, 100)]).tolist()
        [[[80, 0, 40], [0, 0, 0]]]
    """
    drawn = pixels.copy()
    height, width = pixels.shape[:2]
    colours = colours or [BOX_COLOURS[i % len(BOX_COLOURS)] for i in range(len(masks))]
    for mask, colour in zip(masks, colours, strict=True):
        if mask.size_px != (width, height):
            raise ValueError(
                f"a mask of {mask.size_px[0]} x {mask.size_px[1]} pixels does not fit a picture of "
                f"{width} x {height}"
            )
        inside = mask.to_array()
        tint = (1 - _MASK_INK) * drawn[inside] + _MASK_INK * np.array(colour)
        drawn[inside] = tint.round().astype(np.uint8)
    return drawn


def _shorten(label: str) -> str:
    text = show_line(label)
    if len(text) <= _MOST_LABEL_CHARACTERS:
        return text
    return text[: _MOST_LABEL_CHARACTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def line_width_px(width_px: int, height_px: int) -> int:
    """How thick lines are in a picture of that size: seen when it is shown small.

    Example:
        >>> line_width_px(320, 180), line_width_px(1920, 1080)
        (2, 5)
    """
    return max(2, round(min(width_px, height_px) / 200))


def _draw_frame(pixels: np.ndarray, box: Box, colour: Colour, *, is_dashed: bool) -> None:
    height, width = pixels.shape[:2]
    line = line_width_px(width, height)
    edges = [round(value) for value in box.xyxy]
    x1, y1 = edges[0], edges[1]
    # At least a pixel: a box of half a pixel is still somewhere.
    x2, y2 = max(edges[2], x1 + 1), max(edges[3], y1 + 1)
    line = min(line, max(1, (x2 - x1) // 2), max(1, (y2 - y1) // 2))
    for top, bottom, left, right in (
        (y1, y1 + line, x1, x2),
        (y2 - line, y2, x1, x2),
        (y1, y2, x1, x1 + line),
        (y1, y2, x2 - line, x2),
    ):
        _fill(pixels, (top, bottom), (left, right), colour, dash_px=4 * line if is_dashed else 0)


def _fill(
    pixels: np.ndarray,
    rows: tuple[int, int],
    columns: tuple[int, int],
    colour: Colour,
    *,
    dash_px: int,
) -> None:
    """Paint a rectangle, cut to the picture; in dashes of `dash_px` along its longer side."""
    height, width = pixels.shape[:2]
    top, bottom = max(0, rows[0]), min(height, rows[1])
    left, right = max(0, columns[0]), min(width, columns[1])
    if top >= bottom or left >= right:
        return
    if not dash_px:
        pixels[top:bottom, left:right] = colour
        return
    is_row = columns[1] - columns[0] >= rows[1] - rows[0]
    along = np.arange(left, right) - columns[0] if is_row else np.arange(top, bottom) - rows[0]
    # Counted from the uncut edge: dashes do not move while a box leaves the picture.
    inked = along // dash_px % 2 == 0
    stripe = pixels[top:bottom, left:right]
    if is_row:
        stripe[:, inked] = colour
    else:
        stripe[inked] = colour


def _draw_label(pixels: np.ndarray, box: Box, text: str, colour: Colour) -> None:
    """The text on a ground of the box's colour: above the box, or inside where no room is above."""
    height, width = pixels.shape[:2]
    line = line_width_px(width, height)
    glyphs = _text_mask(text, max(10, 6 * line))
    label_height, label_width = glyphs.shape
    top = round(box.y1_px) - label_height
    top = top if top >= 0 else max(0, round(box.y1_px))
    left = min(max(0, round(box.x1_px)), max(0, width - label_width))
    ground_pixels = pixels[top : top + label_height, left : left + label_width]
    shade = glyphs[: ground_pixels.shape[0], : ground_pixels.shape[1], None] / 255.0
    ground = np.array(colour, np.float64)
    # Dark letters on light grounds: brightness as the eye weighs it (BT.709).
    ink = 0.0 if ground @ (0.2126, 0.7152, 0.0722) > 150 else 255.0
    ground_pixels[:] = (ground * (1 - shade) + ink * shade).round().astype(np.uint8)


@lru_cache(maxsize=256)
def _text_mask(text: str, size_px: int) -> np.ndarray:
    """uint8 (h, w): how much ink each pixel of a line of text has. Drawn once for all frames."""
    from PIL import Image, ImageDraw, ImageFont

    # Pillow's own font: a picture looks the same on every machine.
    font = ImageFont.load_default(size=size_px)
    margin = max(2, size_px // 5)
    left, top, right, bottom = font.getbbox(text)
    ascent_px = font.getbbox("Ag")
    height = round(max(bottom, ascent_px[3]) - min(top, ascent_px[1])) + 2 * margin
    mask = Image.new("L", (round(right - left) + 2 * margin, height))
    ImageDraw.Draw(mask).text(
        (margin - left, margin - min(top, ascent_px[1])), text, fill=255, font=font
    )
    return np.asarray(mask)

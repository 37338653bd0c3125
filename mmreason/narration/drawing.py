"""Draws the frames of a narration: slides with builds, photographs under a moving window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmreason.narration.script import PannedPhotograph, Slide
from mmreason.narration.speech import NarrationError

_FONT_HEIGHT_PX = 480
"""Heights of lines are for pictures this high."""
_MARGIN = 0.06
_INSET = (0.78, 0.68, 0.2, 0.28)
"""Where the moving inset lies: x, y, width, height in shares of the picture."""


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line of a slide and the box of its ink, (x0, y0, x1, y1) in pixels."""

    text: str
    appears: float
    x_px: int
    y_px: int
    font_px: int
    box_px: tuple[int, int, int, int]


def place_lines(slide: Slide, size_px: tuple[int, int]) -> tuple[PlacedLine, ...]:
    """Lay the lines of a slide out from the top down. NarrationError where they do not fit."""
    width, height = size_px
    x, y = round(width * _MARGIN), round(height * _MARGIN)
    placed = []
    for number, line in enumerate(slide.lines):
        font_px = max(8, round(line.height_px * height / _FONT_HEIGHT_PX))
        left, top, right, bottom = _font(font_px).getbbox(line.text)
        box = (round(x + left), round(y + top), round(x + right), round(y + bottom))
        if box[2] > width or box[3] > height:
            raise NarrationError(
                f"the line {line.text[:60]!r} does not fit a slide of {width}x{height} pixels; "
                "shorten it or make it smaller"
            )
        placed.append(PlacedLine(line.text, line.appears, x, y, font_px, box))
        y += round(font_px * (2.0 if number == 0 else 1.7))
    return tuple(placed)


def draw_slide(slide: Slide, size_px: tuple[int, int], part: float) -> Image.Image:
    """The slide after `part` (0 to 1) of its scene."""
    image = Image.new("RGB", size_px, slide.ground_rgb)
    canvas = ImageDraw.Draw(image)
    for line in place_lines(slide, size_px):
        if part >= line.appears:
            canvas.text(
                (line.x_px, line.y_px), line.text, font=_font(line.font_px), fill=slide.text_rgb
            )
    return image


def draw_photograph(
    photograph: PannedPhotograph, size_px: tuple[int, int], part: float
) -> Image.Image:
    """What the moving window shows after `part` (0 to 1) of its scene."""
    picture = _open_picture(photograph)
    width, height = size_px
    # The largest window of the frame's shape that fits the picture.
    most = min(picture.width, picture.height * width / height)
    x, y, share = (
        a + part * (b - a)
        for a, b in zip(photograph.start_window, photograph.end_window, strict=True)
    )
    box_width, box_height = share * most, share * most * height / width
    left = x * most + (picture.width - most) / 2
    top = y * most * height / width + (picture.height - most * height / width) / 2
    left = min(max(0.0, left), picture.width - box_width)
    top = min(max(0.0, top), picture.height - box_height)
    box = (left, top, left + box_width, top + box_height)
    return picture.resize(size_px, Image.Resampling.BILINEAR, box=box)


def draw_cursor(image: Image.Image, time_s: float) -> None:
    """A mouse pointer that wanders over the lower half, where few lines are."""
    width, height = image.size
    x = width * (0.5 + 0.35 * math.sin(0.9 * time_s))
    y = height * (0.75 + 0.15 * math.sin(1.7 * time_s + 1))
    unit = height / 60
    shape = [(0, 0), (0, 2.4), (0.6, 1.8), (1.1, 2.8), (1.5, 2.6), (1.0, 1.7), (1.8, 1.7)]
    points = [(x + unit * dx, y + unit * dy) for dx, dy in shape]
    ImageDraw.Draw(image).polygon(points, fill=(255, 255, 255), outline=(0, 0, 0))


def draw_inset(image: Image.Image, time_s: float, seed: int) -> None:
    """A small moving picture in the lower right corner: a head that sways before a grainy wall."""
    width, height = image.size
    x, y = round(_INSET[0] * width), round(_INSET[1] * height)
    inner = (round(_INSET[2] * width), round(_INSET[3] * height))
    frame = round(time_s * 1000)
    rng = np.random.default_rng((seed, frame))
    wall = np.full((inner[1], inner[0], 3), (96, 110, 120), np.int16)
    wall += rng.integers(-12, 13, wall.shape, dtype=np.int16)
    inset = Image.fromarray(wall.astype(np.uint8))
    canvas = ImageDraw.Draw(inset)
    sway = 0.06 * math.sin(2.1 * time_s) * inner[0]
    middle, head = inner[0] / 2 + sway, inner[1] * 0.42
    radius = inner[1] * 0.2
    canvas.ellipse(
        (middle - 1.9 * radius, inner[1] * 0.68, middle + 1.9 * radius, inner[1] * 1.5),
        fill=(60, 60, 110),
    )
    canvas.ellipse(
        (middle - 0.8 * radius, head - radius, middle + 0.8 * radius, head + radius),
        fill=(214, 170, 140),
    )
    image.paste(inset, (x, y))


@lru_cache(maxsize=16)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise NarrationError("Pillow was built without FreeType; install a wheel of Pillow")
    return font


@lru_cache(maxsize=8)
def _open_picture(photograph: PannedPhotograph) -> Image.Image:
    try:
        with Image.open(photograph.path, formats=("JPEG", "PNG")) as picture:
            return picture.convert("RGB")
    except OSError as error:
        raise NarrationError(f"{photograph.path}: cannot be read as a picture ({error})") from error

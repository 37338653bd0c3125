"""Frames as pictures for people: contact sheets and JPEG bytes. Imports Pillow, no decoder."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmreason.video.plain_text import show_line
from mmreason.video.types import FrameBatch, format_time

_GAP_PX = 6
_LABEL_PX = 20
_MIN_CELL_PX = 64
"""Room for a time under a narrow picture."""
_MAX_TALL = 1.5
"""Height of a picture over the width of its cell, at most: taller ones are made narrower."""
_MAX_JPEG_SIDE_PX = 65_500
_MOST_TITLE = 200
"""Characters of a title: a sheet is as wide as its title."""
_PAPER = (250, 250, 250)
_INK = (40, 40, 40)
_NOT_EXACT = "~ not the exact frame of its time"


def cell_size_px(size_px: tuple[int, int], cell_width_px: int) -> tuple[int, int]:
    """(width, height) at which a picture of `size_px` fits into a cell, true to shape: as wide as
    the cell, but for tall pictures, which are half as high again as the cell is wide."""
    width, height = size_px
    scale = min(cell_width_px / width, _MAX_TALL * cell_width_px / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def contact_sheet(
    batch: FrameBatch, *, columns: int = 4, cell_width_px: int = 240, title: str = ""
) -> Image.Image:
    """The frames in reading order, each above its time, below `title` where one is given. `~` marks
    a frame that is not exact, as a line at the bottom then says.

    Raises ValueError for an empty batch and for columns or cells below 1.
    """
    if not len(batch):
        raise ValueError("a contact sheet needs at least one frame, got none")
    if columns < 1 or cell_width_px < 1:
        raise ValueError(
            f"columns and cell_width_px must be 1 or more, got {columns} and {cell_width_px}"
        )
    title = show_line(title)[:_MOST_TITLE]
    columns = min(columns, len(batch))
    _, height, width, _ = batch.pixels.shape
    shown_px = cell_size_px((width, height), cell_width_px)
    # Cells of narrow frames are wide enough for the time below them.
    step_x = max(shown_px[0], min(cell_width_px, _MIN_CELL_PX)) + _GAP_PX
    step_y = shown_px[1] + _LABEL_PX + _GAP_PX
    rows = -(-len(batch) // columns)
    top = _GAP_PX + _LABEL_PX * bool(title)
    bottom = top + rows * step_y
    font = ImageFont.load_default(size=_LABEL_PX * 0.65)
    note = "" if batch.exact.all() else _NOT_EXACT
    text_px = max(round(font.getlength(text)) for text in (title, note))
    # A line longer than the columns widens the sheet, so that it is not cut off.
    sheet_px = max(columns * step_x, text_px + _GAP_PX) + _GAP_PX
    sheet = Image.new("RGB", (sheet_px, bottom + _LABEL_PX * bool(note)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP_PX, _GAP_PX // 2), title, fill=_INK, font=font)
    pen.text((_GAP_PX, bottom), note, fill=_INK, font=font)
    for i, (pixels, time_s, exact) in enumerate(
        zip(batch.pixels, batch.times_s, batch.exact, strict=True)
    ):
        x, y = _GAP_PX + i % columns * step_x, top + i // columns * step_y
        sheet.paste(Image.fromarray(pixels).resize(shown_px), (x, y))
        label = ("" if exact else "~") + format_time(float(time_s))
        pen.text((x + 2, y + shown_px[1] + 2), label, fill=_INK, font=font)
    return sheet


def jpeg_bytes(
    pixels: np.ndarray | Image.Image, quality: int = 80, max_width_px: int | None = None
) -> bytes:
    """JPEG of uint8 (H, W, 3) RGB pixels or a Pillow image, at most `max_width_px` wide, and made
    smaller where a side is longer than JPEG allows (65,500)."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    scale = _MAX_JPEG_SIDE_PX / max(image.size)
    if max_width_px is not None:
        scale = min(scale, max_width_px / image.width)
    if scale < 1:
        image = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        )
    buffer = BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()

"""Frames as pictures for people: contact sheets and JPEG bytes. Imports Pillow, no decoder."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmreason.video.types import FrameBatch, format_time

_GAP_PX = 6
_TALLEST = 1.5
"""Height of a cell over the width that is asked for, at most."""
_LABEL_PX = 20
_PAPER = (250, 250, 250)
_INK = (40, 40, 40)


def contact_sheet(batch: FrameBatch, *, columns: int = 4, cell_width_px: int = 240) -> Image.Image:
    """The frames in reading order, each above its time; `~` marks a frame that is not exact, as a
    line at the bottom says where there is one. Frames higher than wide get narrower cells, so that
    none is more than one and a half times `cell_width_px` high.

    Raises ValueError for an empty batch and for columns or cells below 1.
    """
    if not len(batch):
        raise ValueError("a contact sheet needs at least one frame, got none")
    if columns < 1 or cell_width_px < 1:
        raise ValueError(
            f"columns and cell_width_px must be 1 or more, got {columns} and {cell_width_px}"
        )
    columns = min(columns, len(batch))
    _, height, width, _ = batch.pixels.shape
    most_px = round(_TALLEST * cell_width_px)
    cell_width_px = max(1, min(cell_width_px, round(most_px * width / height)))
    cell_height_px = max(1, min(most_px, round(cell_width_px * height / width)))
    step_x, step_y = cell_width_px + _GAP_PX, cell_height_px + _LABEL_PX + _GAP_PX
    rows = -(-len(batch) // columns)
    legend_px = 0 if batch.exact.all() else _LABEL_PX
    size_px = (columns * step_x + _GAP_PX, rows * step_y + _GAP_PX + legend_px)
    sheet = Image.new("RGB", size_px, _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=_LABEL_PX * 0.65)
    for i, (pixels, time_s, exact) in enumerate(
        zip(batch.pixels, batch.times_s, batch.exact, strict=True)
    ):
        x, y = _GAP_PX + i % columns * step_x, _GAP_PX + i // columns * step_y
        sheet.paste(Image.fromarray(pixels).resize((cell_width_px, cell_height_px)), (x, y))
        label = ("" if exact else "~") + format_time(float(time_s))
        pen.text((x + 2, y + cell_height_px + 2), label, fill=_INK, font=font)
    if legend_px:
        place = (_GAP_PX + 2, rows * step_y + _GAP_PX)
        pen.text(place, "~ not the exact frame of its time", fill=_INK, font=font)
    return sheet


def jpeg_bytes(
    pixels: np.ndarray | Image.Image, quality: int = 80, max_width_px: int | None = None
) -> bytes:
    """JPEG of uint8 (H, W, 3) RGB pixels or a Pillow image, at most `max_width_px` wide."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    if max_width_px is not None and image.width > max_width_px:
        height_px = max(1, round(image.height * max_width_px / image.width))
        image = image.resize((max_width_px, height_px))
    buffer = BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()

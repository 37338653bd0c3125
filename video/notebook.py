"""How frames and what is known of a file show themselves in a notebook.

Imports Pillow, no decoder.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from html import escape

import numpy as np

from mmreason.video.plain_text import show_text
from mmreason.video.sheet import contact_sheet, jpeg_bytes
from mmreason.video.types import FrameBatch, VideoInfo, format_time

MOST_SHOWN = 32
"""Frames of a batch that are shown, spread evenly over it."""
_SHEET_WIDTH_PX = 990
_COLUMNS = 4


def frames_html(batch: FrameBatch) -> str:
    """The frames as a contact sheet below a line that says what they are."""
    head = escape(show_text(repr(batch)))
    if not len(batch):
        return f"<div>{head}</div>"
    visible = batch
    if len(batch) > MOST_SHOWN:
        # First and last included, so that the sheet shows how far the frames reach.
        picked = np.linspace(0, len(batch) - 1, MOST_SHOWN).round().astype(int)
        visible = replace(
            batch,
            pixels=batch.pixels[picked],
            times_s=batch.times_s[picked],
            exact=batch.exact[picked],
        )
        head += f": {MOST_SHOWN} of {len(batch):,} shown"
    if not visible.exact.all():
        head += "; ~ marks a frame that is not the exact one"
    sheet = jpeg_bytes(contact_sheet(visible, columns=_COLUMNS))
    src = "data:image/jpeg;base64," + base64.b64encode(sheet).decode()
    return (
        f'<div>{head}</div><img src="{src}" alt="{head}" '
        f'style="width: 100%; max-width: {_SHEET_WIDTH_PX}px">'
    )


def info_html(info: VideoInfo) -> str:
    """What a person asks first of a file, as a table; `repr` has all fields."""
    fps = f"{info.mean_fps_hz:.4g} a second on average"
    rows = {
        "file": info.path,
        "picture": f"{info.width_px} x {info.height_px} pixels, {info.codec}",
        "shown": f"{format_time(info.start_s)} to {format_time(info.span.end_s)}",
        "frames": fps if info.frame_count is None else f"{info.frame_count:,}, {fps}",
        "audio": "yes" if info.has_audio else "none",
        "read by": info.backend,
    }
    cells = [*rows.items(), *(("note", note) for note in info.notes)]
    style = "text-align: left; padding: .1rem 1rem .1rem 0"
    lines = "".join(
        f'<tr><th style="{style}; font-weight: 600">{escape(name)}</th>'
        f'<td style="{style}">{escape(show_text(value))}</td></tr>'
        for name, value in cells
    )
    return f"<table>{lines}</table>"

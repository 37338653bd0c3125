"""A small drawing surface: rectangles, lines and text, as SVG or as PNG.

Charts are lists of marks, so that both files show the same. Leaves out what is drawn (`charts.py`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Colour = tuple[int, int, int]
INK: Colour = (34, 38, 46)
FAINT: Colour = (208, 212, 220)
PAPER: Colour = (255, 255, 255)
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    fill: Colour
    title: str = ""
    """Shown where the mouse rests (SVG only)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    points: tuple[tuple[float, float], ...]
    colour: Colour
    width: float = 1.5
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    x: float
    y: float
    radius: float
    fill: Colour
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    x: float
    y: float
    """Of the middle of the line of text."""
    text: str
    size: float = 12
    colour: Colour = INK
    anchor: Literal["start", "middle", "end"] = "start"


Mark = Box | Path | Dot | Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Marks on white paper of `width` x `height`; later ones lie above."""

    width: int
    height: int
    marks: Sequence[Mark]
    title: str


def svg(drawing: Drawing) -> str:
    """One `<svg>` element; texts are escaped."""
    body = "\n".join(_element(mark) for mark in drawing.marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {drawing.width} {drawing.height}" width="{drawing.width}" '
        f'height="{drawing.height}" font-family="{_FONT}">'
        f"<title>{escape(drawing.title)}</title>\n"
        f'<rect width="100%" height="100%" fill="{_hex(PAPER)}"/>\n{body}\n</svg>\n'
    )


def _element(mark: Mark) -> str:
    if isinstance(mark, Box):
        return (
            f'<rect x="{mark.x:.1f}" y="{mark.y:.1f}" width="{mark.width:.1f}" '
            f'height="{mark.height:.1f}" fill="{_hex(mark.fill)}">{_title(mark.title)}</rect>'
        )
    if isinstance(mark, Dot):
        return (
            f'<circle cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="{mark.radius:.1f}" '
            f'fill="{_hex(mark.fill)}">{_title(mark.title)}</circle>'
        )
    if isinstance(mark, Path):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
        dash = ' stroke-dasharray="5 4"' if mark.dashed else ""
        return (
            f'<polyline points="{points}" fill="none" stroke="{_hex(mark.colour)}" '
            f'stroke-width="{mark.width:g}" stroke-linejoin="round"{dash}/>'
        )
    return (
        f'<text x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size:g}" '
        f'fill="{_hex(mark.colour)}" text-anchor="{mark.anchor}" '
        f'dominant-baseline="central">{escape(mark.text)}</text>'
    )


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def png(drawing: Drawing, scale: int = 2) -> bytes:
    """The same picture as PNG, `scale` pixels a unit."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (drawing.width * scale, drawing.height * scale), PAPER)
    pen = ImageDraw.Draw(image)
    anchors = {"start": "lm", "middle": "mm", "end": "rm"}
    for mark in drawing.marks:
        if isinstance(mark, Box):
            corner = (mark.x + mark.width) * scale - 1, (mark.y + mark.height) * scale - 1
            pen.rectangle((mark.x * scale, mark.y * scale, *corner), fill=mark.fill)
        elif isinstance(mark, Dot):
            r = mark.radius
            box = (mark.x - r, mark.y - r, mark.x + r, mark.y + r)
            pen.ellipse([v * scale for v in box], fill=mark.fill)
        elif isinstance(mark, Path):
            _draw_path(pen, mark, scale)
        else:
            font = ImageFont.load_default(size=mark.size * scale)
            at = (mark.x * scale, mark.y * scale)
            pen.text(at, mark.text, fill=mark.colour, font=font, anchor=anchors[mark.anchor])
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def _draw_path(pen, path: Path, scale: int) -> None:
    """Dashes are cut by hand: Pillow draws solid lines only."""
    width = max(1, round(path.width * scale))
    for (x1, y1), (x2, y2) in zip(path.points, path.points[1:], strict=False):
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        pieces = max(1, round(length / 9)) if path.dashed else 1
        share = 5 / 9 if path.dashed else 1.0
        for i in range(pieces):
            a, b = i / pieces, (i + share) / pieces
            line = (x1 + (x2 - x1) * a, y1 + (y2 - y1) * a, x1 + (x2 - x1) * b, y1 + (y2 - y1) * b)
            pen.line([v * scale for v in line], fill=path.colour, width=width)

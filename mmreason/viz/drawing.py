"""Boxes, lines, areas, dots and text, as SVG or as PNG.

A drawing is a list of marks, so that all files of it show the same. Texts are escaped, and what a
file cannot hold or a reader cannot see in them is U+FFFD.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from mmreason.video.plain_text import show_text

Colour = tuple[int, int, int]
"""Red, green, blue; 0 to 255."""
Paint = Colour | str
"""A colour, or the CSS classes that give one on a page with a style sheet (no PNG then)."""
Anchor = Literal["start", "middle", "end"]

INK: Colour = (34, 38, 46)
FAINT: Colour = (208, 212, 220)
PAPER: Colour = (255, 255, 255)
SERIES_COLOURS: tuple[Colour, ...] = (
    (0, 92, 175),
    (214, 92, 0),
    (0, 132, 98),
    (170, 56, 130),
    (120, 96, 0),
    (90, 90, 90),
    (196, 24, 44),
    (76, 60, 190),
    (0, 140, 180),
    (120, 160, 60),
)
"""Of series side by side, in turn."""
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_DASH, _DASH_GAP = 5, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled rectangle; (x, y) is its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    paint: Paint
    title: str = ""
    """Shown where the mouse rests (SVG only)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A line through points."""

    points: Sequence[tuple[float, float]]
    paint: Paint
    width: float = 1.5
    is_dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A filled polygon."""

    points: Sequence[tuple[float, float]]
    paint: Paint


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A filled circle around (x, y)."""

    x: float
    y: float
    radius: float
    paint: Paint
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One line of text; y is its middle."""

    x: float
    y: float
    text: str
    size: float = 12
    paint: Paint = INK
    anchor: Anchor = "start"


Mark = Box | Path | Area | Dot | Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Marks on paper of `width` x `height` units; later ones lie above.

    Example:
        >>> dot = Dot(x=5, y=5, radius=2, paint=(0, 0, 255))
        >>> "<circle" in render_svg(Drawing(width=10, height=10, marks=[dot], title="a dot"))
        True
    """

    width: int
    height: int
    marks: Sequence[Mark]
    title: str
    """What it shows, for readers who do not see it."""


def render_svg(drawing: Drawing) -> str:
    """One `<svg>` element that stands alone: a file, or a picture of its own on a page."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {drawing.width} {drawing.height}" width="{drawing.width}" '
        f'height="{drawing.height}" font-family="{_FONT}">'
        f"<title>{_text(drawing.title)}</title>\n"
        f'<rect width="100%" height="100%" {_fill(PAPER)}/>\n'
        f"{_elements(drawing)}\n</svg>\n"
    )


def render_inline_svg(drawing: Drawing) -> str:
    """One `<svg>` element for a page whose style sheet gives its size, font and colours."""
    return (
        f'<svg viewBox="0 0 {drawing.width} {drawing.height}" role="img" '
        f'aria-label="{_text(drawing.title)}">\n{_elements(drawing)}\n</svg>'
    )


def _elements(drawing: Drawing) -> str:
    return "\n".join(map(_element, drawing.marks))


def _element(mark: Mark) -> str:
    match mark:
        case Box():
            size = f'width="{mark.width:.1f}" height="{mark.height:.1f}"'
            corner = f'x="{mark.x:.1f}" y="{mark.y:.1f}"'
            return _titled("rect", f"{corner} {size} {_fill(mark.paint)}", mark.title)
        case Dot():
            centre = f'cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="{mark.radius:g}"'
            return _titled("circle", f"{centre} {_fill(mark.paint)}", mark.title)
        case Area():
            return f'<polygon points="{_points(mark.points)}" {_fill(mark.paint)}/>'
        case Path():
            dash = f' stroke-dasharray="{_DASH} {_DASH_GAP}"' if mark.is_dashed else ""
            look = _class(mark.paint) if isinstance(mark.paint, str) else _stroke(mark)
            return f'<polyline points="{_points(mark.points)}" fill="none" {look}{dash}/>'
        case Label():
            # On a page its style sheet says how large text is.
            size = "" if isinstance(mark.paint, str) else f' font-size="{mark.size:g}"'
            return (
                f'<text x="{mark.x:.1f}" y="{mark.y:.1f}"{size} {_fill(mark.paint)} '
                f'text-anchor="{mark.anchor}" dominant-baseline="central">{_text(mark.text)}</text>'
            )


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _fill(paint: Paint) -> str:
    return _class(paint) if isinstance(paint, str) else f'fill="{_hex(paint)}"'


def _stroke(path: Path) -> str:
    assert not isinstance(path.paint, str)
    return f'stroke="{_hex(path.paint)}" stroke-width="{path.width:g}" stroke-linejoin="round"'


def _class(names: str) -> str:
    return f'class="{_text(names)}"'


def _titled(tag: str, attributes: str, title: str) -> str:
    if not title:
        return f"<{tag} {attributes}/>"
    return f"<{tag} {attributes}><title>{_text(title)}</title></{tag}>"


def _text(text: str) -> str:
    return escape(show_text(text))


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def render_png(drawing: Drawing, scale: int = 2) -> bytes:
    """The same picture as PNG, `scale` pixels a unit. ValueError for marks painted by CSS."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (drawing.width * scale, drawing.height * scale), PAPER)
    pen = ImageDraw.Draw(image)
    # Pillow's names for the same: left, middle and right, each at middle height.
    anchors = {"start": "lm", "middle": "mm", "end": "rm"}
    # Pillow knows no style sheet: a mark painted by CSS would be black.
    for mark in drawing.marks:
        if isinstance(mark.paint, str):
            raise ValueError(f"a PNG needs colours, found the CSS classes {mark.paint!r}")
        match mark:
            case Box():
                corner = (mark.x + mark.width) * scale - 1, (mark.y + mark.height) * scale - 1
                pen.rectangle((mark.x * scale, mark.y * scale, *corner), fill=mark.paint)
            case Dot():
                r = mark.radius
                box = (mark.x - r, mark.y - r, mark.x + r, mark.y + r)
                pen.ellipse([v * scale for v in box], fill=mark.paint)
            case Area():
                pen.polygon([(x * scale, y * scale) for x, y in mark.points], fill=mark.paint)
            case Path():
                _draw_path(pen, mark, scale)
            case Label():
                # Pillow's own font: a PNG looks the same on every machine.
                font = ImageFont.load_default(size=mark.size * scale)
                pen.text(
                    (mark.x * scale, mark.y * scale),
                    show_text(mark.text),
                    fill=mark.paint,
                    font=font,
                    anchor=anchors[mark.anchor],
                )
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def _draw_path(pen, path: Path, scale: int) -> None:
    width = max(1, round(path.width * scale))
    dash_part = _DASH / (_DASH + _DASH_GAP) if path.is_dashed else 1.0
    # Each side by itself: dashes begin anew at a corner.
    for (x1, y1), (x2, y2) in itertools.pairwise(path.points):
        # Pillow draws solid lines only: each dash is a line of its own.
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        pieces = max(1, round(length / (_DASH + _DASH_GAP))) if path.is_dashed else 1
        for i in range(pieces):
            a, b = i / pieces, (i + dash_part) / pieces
            line = (x1 + (x2 - x1) * a, y1 + (y2 - y1) * a, x1 + (x2 - x1) * b, y1 + (y2 - y1) * b)
            pen.line([v * scale for v in line], fill=path.paint, width=width)

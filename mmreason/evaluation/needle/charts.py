"""The pictures of a run: heat maps of accuracy, and accuracy against cost.

Colours are of one hue from light to dark, readable in grey and by those who see no red or green;
every cell also holds its number. Leaves out files (`canvas.py`, `page.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmreason.evaluation.needle.canvas import (
    FAINT,
    INK,
    PAPER,
    Box,
    Colour,
    Dot,
    Drawing,
    Label,
    Mark,
    Path,
)
from mmreason.evaluation.scoring import Proportion

_CELL = 46
_LEFT = 96
_TOP = 58
_LIGHT: Colour = (238, 243, 250)
_DARK: Colour = (16, 72, 140)
_EMPTY: Colour = (246, 246, 246)
SERIES: tuple[Colour, ...] = (
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


def heat_map(
    cells: Mapping[tuple[str, str], Proportion],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    across: str,
) -> Drawing:
    """Accuracy by (row, column): number and shade, count of items below; grey where none was."""
    marks: list[Mark] = [Label(x=16, y=20, text=title, size=14)]
    marks.append(Label(x=_LEFT, y=42, text=across, size=11, colour=(110, 114, 122)))
    for i, row in enumerate(rows):
        y = _TOP + i * _CELL
        marks.append(Label(x=_LEFT - 10, y=y + _CELL / 2, text=row, anchor="end"))
        for j, column in enumerate(columns):
            marks += _cell(_LEFT + j * _CELL, y, cells.get((row, column)), f"{row}, {column}")
    bottom = _TOP + len(rows) * _CELL
    for j, column in enumerate(columns):
        x = _LEFT + (j + 0.5) * _CELL
        marks.append(Label(x=x, y=bottom + 14, text=column, size=11, anchor="middle"))
    width = max(_LEFT + len(columns) * _CELL + 16, 420)
    return Drawing(width=width, height=bottom + 30, marks=marks, title=title)


def _cell(x: float, y: float, share: Proportion | None, name: str) -> list[Mark]:
    if share is None or not share.n:
        return [Box(x=x, y=y, width=_CELL - 2, height=_CELL - 2, fill=_EMPTY, title=name)]
    fill = _mix(share.value)
    ink = PAPER if share.value > 0.55 else INK
    middle = x + (_CELL - 2) / 2
    return [
        Box(x=x, y=y, width=_CELL - 2, height=_CELL - 2, fill=fill, title=f"{name}: {share}"),
        Label(x=middle, y=y + 18, text=f"{share.value:.0%}", size=13, colour=ink, anchor="middle"),
        Label(x=middle, y=y + 34, text=f"n={share.n}", size=9, colour=ink, anchor="middle"),
    ]


def _mix(value: float) -> Colour:
    red, green, blue = (round(a + (b - a) * value) for a, b in zip(_LIGHT, _DARK, strict=True))
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Point:
    """A method at its mean cost."""

    name: str
    frames: float
    accuracy: Proportion


@dataclass(frozen=True, slots=True)
class Series:
    """Methods of one kind; joined by a line in order of cost where `joined`."""

    name: str
    points: tuple[Point, ...]
    joined: bool


_PLOT = (64, 40, 560, 300)
"""Left, top, width and height of the axes' field."""


def cost_curve(series: Sequence[Series], *, title: str) -> Drawing:
    """Accuracy (with 95 % intervals) against mean frames a question, on a logarithmic axis."""
    left, top, width, height = _PLOT
    frames = [p.frames for s in series for p in s.points if p.frames > 0]
    low = math.floor(math.log2(min(frames, default=8)))
    high = max(low + 1, math.ceil(math.log2(max(frames, default=16))))

    def x_of(value: float) -> float:
        return left + width * (math.log2(max(value, 2**low)) - low) / (high - low)

    def y_of(value: float) -> float:
        return top + height * (1 - value)

    marks: list[Mark] = [Label(x=16, y=20, text=title, size=14)]
    for step in range(0, 11, 2):
        y = y_of(step / 10)
        marks.append(Path(points=((left, y), (left + width, y)), colour=FAINT, width=1))
        marks.append(Label(x=left - 8, y=y, text=f"{step * 10}%", size=11, anchor="end"))
    for power in range(low, high + 1):
        x = x_of(2**power)
        marks.append(Path(points=((x, top), (x, top + height)), colour=FAINT, width=0.6))
        label = f"{2**power:,}"
        marks.append(Label(x=x, y=top + height + 14, text=label, size=11, anchor="middle"))
    about = "frames shown to the model a question (mean)"
    marks.append(
        Label(x=left + width / 2, y=top + height + 34, text=about, size=11, anchor="middle")
    )
    for index, one in enumerate(series):
        colour = SERIES[index % len(SERIES)]
        points = sorted(one.points, key=lambda p: p.frames)
        line = tuple((x_of(p.frames), y_of(p.accuracy.value)) for p in points)
        if one.joined and len(line) > 1:
            marks.append(Path(points=line, colour=colour))
        for (x, y), point in zip(line, points, strict=True):
            ends = [y_of(v) for v in point.accuracy.interval]
            marks.append(Path(points=((x, ends[0]), (x, ends[1])), colour=colour, width=1))
            told = f"{point.name}: {point.accuracy} at {point.frames:,.0f} frames"
            marks.append(Dot(x=x, y=y, radius=4, fill=colour, title=told))
        y = top + 10 + index * 20
        marks.append(Dot(x=left + width + 24, y=y, radius=5, fill=colour))
        marks.append(Label(x=left + width + 36, y=y, text=one.name))
    return Drawing(width=left + width + 190, height=top + height + 52, marks=marks, title=title)

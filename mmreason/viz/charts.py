"""Still charts: lines with intervals, bars, and heat maps.

Colours of a heat map are of one hue from light to dark, readable in grey and by those who see no
red or green; every cell also holds its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmreason.viz.axes import Axis
from mmreason.viz.drawing import (
    FAINT,
    INK,
    PAPER,
    SERIES_COLOURS,
    Box,
    Colour,
    Dot,
    Drawing,
    Label,
    Mark,
    Path,
)

_LEFT, _TOP, _GAP, _LEGEND = 64, 56, 66, 190
"""Room before the first plot, above the plots, between two, and for the names of the series."""
_CELL, _CELLS_LEFT, _CELLS_TOP = 46, 96, 58
_LIGHT: Colour = (238, 243, 250)
_DARK: Colour = (16, 72, 140)
_EMPTY: Colour = (246, 246, 246)
_SOFT: Colour = (110, 114, 122)
_BARS_WIDTH, _BAR_ROW, _BARS_LEFT, _BARS_RIGHT = 860, 24, 210, 120
_BAR, _BAR_OTHER, _LIMIT = (11, 114, 133), (173, 181, 189), (201, 42, 42)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalPoint:
    """A value with its interval, both ends finite; None draws none.

    Example:
        >>> IntervalPoint(x=32, y=0.58, interval=(0.32, 0.81), title="stills_32").y
        0.58
    """

    x: float
    y: float
    interval: tuple[float, float] | None = None
    title: str = ""
    """Shown where the mouse rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSeries:
    """Points of one colour, from left to right."""

    name: str
    points: Sequence[IntervalPoint]
    is_joined: bool = True
    """By a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePanel:
    """Series over one pair of axes."""

    series: Sequence[PointSeries]
    across: Axis
    up: Axis
    title: str = ""


def draw_line_charts(
    title: str, panels: Sequence[LinePanel], names: Sequence[str], *, plot: tuple[int, int]
) -> Drawing:
    """Panels side by side, each a plot of (width, height), and one legend. `names` are those of all
    series: their order gives the colours."""
    width, height = plot
    marks: list[Mark] = [Label(x=16, y=20, text=title, size=14)]
    for i, panel in enumerate(panels):
        field = _Field(_LEFT + i * (width + _GAP), _TOP, width, height, panel)
        marks += field.axes()
        for series in panel.series:
            marks += field.line(series, _colour(names.index(series.name)))
    # The gap behind the last panel is the legend's.
    legend_x = _LEFT + len(panels) * (width + _GAP) - _GAP + 30
    for i, name in enumerate(names):
        y = _TOP + 8 + 20 * i
        marks.append(Dot(x=legend_x, y=y, radius=5, paint=_colour(i)))
        marks.append(Label(x=legend_x + 12, y=y, text=name))
    # A legend of many names is higher than the plots.
    total_height = max(_TOP + height + 52, _TOP + 20 * len(names) + 20)
    return Drawing(width=legend_x + _LEGEND, height=total_height, marks=marks, title=title)


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a panel lies in the drawing."""

    left_x: float
    top_y: float
    width: float
    height: float
    panel: LinePanel

    def x_of(self, value: float) -> float:
        return self.left_x + self.width * self.panel.across.fraction(value)

    def y_of(self, value: float) -> float:
        return self.top_y + self.height * (1 - self.panel.up.fraction(value))

    def axes(self) -> Iterator[Mark]:
        across, up = self.panel.across, self.panel.up
        right, bottom = self.left_x + self.width, self.top_y + self.height
        yield Label(x=self.left_x, y=self.top_y - 14, text=self.panel.title)
        for tick in up.ticks:
            y = self.y_of(tick.value)
            yield Path(points=((self.left_x, y), (right, y)), paint=FAINT, width=1)
            yield Label(x=self.left_x - 8, y=y, text=tick.text, size=11, anchor="end")
        for tick in across.ticks:
            x = self.x_of(tick.value)
            yield Path(points=((x, self.top_y), (x, bottom)), paint=FAINT, width=0.6)
            yield Label(x=x, y=bottom + 14, text=tick.text, size=11, anchor=tick.anchor)
        middle = (self.left_x + right) / 2
        yield Label(x=middle, y=bottom + 34, text=across.about, size=11, anchor="middle")

    def line(self, series: PointSeries, colour: Colour) -> Iterator[Mark]:
        corners = [(self.x_of(point.x), self.y_of(point.y)) for point in series.points]
        if series.is_joined and len(corners) > 1:
            yield Path(points=corners, paint=colour)
        # Dots lie above lines and intervals: they are what the mouse meets.
        for (x, y), point in zip(corners, series.points, strict=True):
            if point.interval is not None:
                low, high = map(self.y_of, point.interval)
                yield Path(points=((x, low), (x, high)), paint=colour, width=0.8)
            yield Dot(x=x, y=y, radius=3, paint=colour, title=point.title)


def _colour(index: int) -> Colour:
    return SERIES_COLOURS[index % len(SERIES_COLOURS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """A cell of a heat map.

    Example:
        >>> HeatCell(value=0.5, text="50%", note="n=4").title
        ''
    """

    value: float
    """Its shade: 0 is light, 1 is dark."""
    text: str
    note: str
    """In small letters below."""
    title: str = ""
    """Shown after the cell's row and column where the mouse rests."""


def draw_heat_map(
    cells: Mapping[tuple[str, str], HeatCell],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    across: str,
) -> Drawing:
    """Cells by (row, column), grey where there is none; `across` says what the columns are."""
    marks: list[Mark] = [
        Label(x=16, y=20, text=title, size=14),
        Label(x=_CELLS_LEFT, y=42, text=across, size=11, paint=_SOFT),
    ]
    for i, row in enumerate(rows):
        y = _CELLS_TOP + i * _CELL
        marks.append(Label(x=_CELLS_LEFT - 10, y=y + _CELL / 2, text=row, anchor="end"))
        for j, column in enumerate(columns):
            x = _CELLS_LEFT + j * _CELL
            marks += _draw_cell(x, y, cells.get((row, column)), f"{row}, {column}")
    bottom = _CELLS_TOP + len(rows) * _CELL
    for j, column in enumerate(columns):
        x = _CELLS_LEFT + (j + 0.5) * _CELL
        marks.append(Label(x=x, y=bottom + 14, text=column, size=11, anchor="middle"))
    # Wide enough for the title, however few the cells are.
    width = max(_CELLS_LEFT + len(columns) * _CELL + 16, 420)
    return Drawing(width=width, height=bottom + 30, marks=marks, title=title)


def _draw_cell(x: float, y: float, cell: HeatCell | None, name: str) -> Iterator[Mark]:
    side = _CELL - 2
    if cell is None:
        yield Box(x=x, y=y, width=side, height=side, paint=_EMPTY, title=name)
        return
    shade = _mix(cell.value)
    # Text stays readable on every shade.
    ink = PAPER if cell.value > 0.55 else INK
    middle = x + side / 2
    yield Box(x=x, y=y, width=side, height=side, paint=shade, title=f"{name}: {cell.title}")
    yield Label(x=middle, y=y + 18, text=cell.text, size=13, paint=ink, anchor="middle")
    yield Label(x=middle, y=y + 34, text=cell.note, size=9, paint=ink, anchor="middle")


def _mix(value: float) -> Colour:
    red, green, blue = (round(a + (b - a) * value) for a, b in zip(_LIGHT, _DARK, strict=True))
    return red, green, blue


@dataclass(frozen=True, slots=True, kw_only=True)
class BarPanel:
    """Bars by name, drawn with the shortest first.

    Example:
        >>> panel = BarPanel(
        ...     title="s", bars={"a": 2.0, "b": 1.0}, highlight="b", limit=0.5, limit_name="floor"
        ... )
        >>> draw_bar_charts("speed", [panel]).height
        120
    """

    title: str
    bars: Mapping[str, float]
    highlight: str
    """The name whose bar stands out."""
    limit: float
    """A dashed line through all bars."""
    limit_name: str


def draw_bar_charts(title: str, panels: Sequence[BarPanel]) -> Drawing:
    """Panels of horizontal bars below each other; those without bars are left out."""
    marks: list[Mark] = []
    top = 10
    for panel in panels:
        if panel.bars:
            marks += _draw_bars(panel, top)
            top += 62 + _BAR_ROW * len(panel.bars)
    return Drawing(width=_BARS_WIDTH, height=top, marks=marks, title=title)


def _draw_bars(panel: BarPanel, top: int) -> Iterator[Mark]:
    longest = max(panel.limit, *panel.bars.values())
    # All bars and the limit on one scale; the longest fills the room.
    unit = (_BARS_WIDTH - _BARS_LEFT - _BARS_RIGHT) / longest if longest > 0 else 0.0
    yield Label(x=10, y=top + 12, text=panel.title, size=14)
    y = top + 28
    for name, value in sorted(panel.bars.items(), key=lambda item: item[1]):
        paint = _BAR if name == panel.highlight else _BAR_OTHER
        middle = y + _BAR_ROW / 2 - 1
        yield Label(x=_BARS_LEFT - 8, y=middle, text=name, size=13, anchor="end")
        yield Box(x=_BARS_LEFT, y=y + 3, width=unit * value, height=_BAR_ROW - 8, paint=paint)
        yield Label(x=_BARS_LEFT + unit * value + 6, y=middle, text=f"{value:.2f}", size=13)
        y += _BAR_ROW
    x = _BARS_LEFT + unit * panel.limit
    yield Path(points=((x, top + 26), (x, y + 4)), paint=_LIMIT, width=1, is_dashed=True)
    text = f"{panel.limit_name} {panel.limit:.2f}"
    yield Label(x=x, y=y + 14, text=text, size=13, paint=_LIMIT, anchor="middle")

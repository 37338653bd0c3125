"""The curves of a run as charts of a page: thinned, smoothed, and read off where the mouse rests.

Colours are numbers of the page's palette (`--c1` to `--c8`). Which figures share a chart is the
page's business.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.viz.axes import Axis, AxisTick, format_number, format_ticks, round_ticks
from mmreason.viz.drawing import (
    Anchor,
    Area,
    Box,
    Dot,
    Drawing,
    Label,
    Mark,
    Path,
    render_inline_svg,
)

StepCurve = tuple[tuple[int, float], ...]
"""(step, value), steps rising."""

WIDTH, HEIGHT = 400, 190
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 8, 22
MOST_POINTS = 500
COLOURS = 8
"""Of the palette; further lines take them again, dashed."""
_MOST_READINGS = 60
"""Columns in which the mouse reads values off."""
_SMOOTH_FROM = 50
"""Points from which a mean is drawn through them."""
_SMOOTH_PART = 1 / 25
"""Of the points of a curve, in one mean."""
_MOST_DOTS = 40
"""Up to so many points are marked by dots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveSeries:
    """A curve to draw, with the least and the greatest at each of its steps where it is a mean.

    Example:
        >>> CurveSeries(name="reward", curve=((1, 0.25), (2, 0.5))).colour
        0
    """

    name: str
    curve: StepCurve
    colour: int = 0
    """From 0."""
    band: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveKey:
    """A line of the legend."""

    name: str
    css: str
    last: str
    """The last value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveChart:
    """One chart of a page; `curves.html` puts it there."""

    title: str
    about: str
    keys: tuple[CurveKey, ...]
    drawing: Drawing

    @property
    def svg(self) -> str:
        """The picture, its texts escaped."""
        return render_inline_svg(self.drawing)


def draw_curves(series: Sequence[CurveSeries], *, title: str, about: str = "") -> CurveChart:
    """Draw the series that have points; at least one must have."""
    series = [line for line in series if line.curve]
    assert series, title
    field = _Field(_steps_axis(series), _values_axis(series))
    # One window for all lines, or a shorter run would look noisier than a longer one.
    window = _mean_window(series)
    lines = [field.place(line, window) for line in series]
    marks = [
        *field.axes(),
        # Bands and raw points lie under every line.
        *(mark for line in lines for mark in line.below),
        *(mark for line in lines for mark in line.above),
        *_reading_columns(series, field),
    ]
    return CurveChart(
        title=title,
        about=about,
        keys=tuple(
            CurveKey(name=line.name, css=_css(line), last=format_number(line.curve[-1][1]))
            for line in series
        ),
        drawing=Drawing(width=WIDTH, height=HEIGHT, marks=marks, title=f"{title} by step"),
    )


@dataclass(frozen=True, slots=True)
class _PlacedLine:
    below: Sequence[Mark]
    above: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class _Field:
    """The plot inside the chart's margins."""

    across: Axis
    up: Axis

    def x_of(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * self.across.fraction(step)

    def y_of(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - self.up.fraction(value))

    def points(self, curve: StepCurve) -> list[tuple[float, float]]:
        return [(self.x_of(step), self.y_of(value)) for step, value in curve]

    def axes(self) -> list[Mark]:
        marks: list[Mark] = []
        for tick in self.up.ticks:
            y = self.y_of(tick.value)
            marks.append(Path(points=((LEFT, y), (WIDTH - RIGHT, y)), paint="mmr-grid"))
            marks.append(Label(x=LEFT - 6, y=y, text=tick.text, paint="", anchor="end"))
        for tick in self.across.ticks:
            x, y = self.x_of(tick.value), HEIGHT - 11
            marks.append(Label(x=x, y=y, text=tick.text, paint="", anchor=tick.anchor))
        return marks

    def place(self, line: CurveSeries, window: int) -> _PlacedLine:
        """A long noisy curve as the mean of its neighbourhood, with what was measured behind it."""
        # Schedules and counters are drawn as they are.
        is_smoothed = len(line.curve) >= _SMOOTH_FROM and is_noisy(line.curve)
        window = window if is_smoothed else 1
        css = _css(line)
        corners = self.points(thin_curve(smooth_curve(line.curve, window)))
        below: list[Mark] = []
        if line.band:
            low, high = _smooth_edges(line, window)
            # There along the upper edge and back along the lower one.
            ring = self.points(high) + self.points(low)[::-1]
            below.append(Area(points=ring, paint=f"mmr-band {css}"))
        elif is_smoothed:
            raw = self.points(thin_curve(line.curve))
            below.append(Path(points=raw, paint=f"mmr-line mmr-raw {css}"))
        above: list[Mark] = [Path(points=corners, paint=f"mmr-line {css}")]
        if len(line.curve) <= _MOST_DOTS:
            above += [Dot(x=x, y=y, radius=2, paint=f"mmr-dot {css}") for x, y in corners]
        return _PlacedLine(below, above)


def thin_curve(curve: StepCurve, most: int = MOST_POINTS) -> StepCurve:
    """At most `most` points, of each stretch the smallest and the largest, so that no spike is
    lost; the first and the last stay.

    Example:
        >>> thin_curve(((1, 0.0), (2, 9.0), (3, 0.5), (4, 0.4), (5, 1.0)), most=4)
        ((1, 0.0), (2, 9.0), (4, 0.4), (5, 1.0))
    """
    if len(curve) <= most:
        return curve
    # Each bucket keeps two points, and the ends are apart.
    buckets = most // 2 - 1
    inner = curve[1:-1]
    thin = [curve[0]]
    for i in range(buckets):
        bucket = inner[i * len(inner) // buckets : (i + 1) * len(inner) // buckets]
        thin += sorted({min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])})
    return (*thin, curve[-1])


def smooth_curve(curve: StepCurve, window: int) -> StepCurve:
    """The mean over `window` (odd) neighbouring points around each; at the ends, of those there
    are.

    Example:
        >>> smooth_curve(((1, 0.0), (2, 3.0), (3, 6.0)), 3)
        ((1, 1.5), (2, 3.0), (3, 4.5))
    """
    # Running sums: a window costs two look-ups, however wide it is.
    sums = [0.0, *itertools.accumulate(value for _, value in curve)]
    half = window // 2
    smooth: list[tuple[int, float]] = []
    for i, (step, _) in enumerate(curve):
        start, end = max(0, i - half), min(len(curve), i + half + 1)
        smooth.append((step, (sums[end] - sums[start]) / (end - start)))
    return tuple(smooth)


def is_noisy(curve: StepCurve) -> bool:
    """Whether it turns at a tenth of its points or more: schedules and counters do not."""
    values = [value for _, value in curve]
    # Plateaus are no turns.
    changes = [b - a for a, b in itertools.pairwise(values) if b != a]
    turns = sum(a * b < 0 for a, b in itertools.pairwise(changes))
    return turns >= len(curve) / 10


def _css(line: CurveSeries) -> str:
    dashed = " mmr-dashed" if line.colour // COLOURS % 2 == 1 else ""
    return f"mmr-c{line.colour % COLOURS + 1}{dashed}"


def _mean_window(series: Sequence[CurveSeries]) -> int:
    """Points in one mean, of the longest curve: odd, and 3 at least."""
    longest = max(len(line.curve) for line in series)
    return max(3, round(longest * _SMOOTH_PART) // 2 * 2 + 1)


def _smooth_edges(line: CurveSeries, window: int) -> tuple[StepCurve, StepCurve]:
    """The band's lower and upper edge, smoothed as its curve is."""
    steps = [step for step, _ in line.curve]
    edges = (tuple(zip(steps, edge, strict=True)) for edge in zip(*line.band, strict=True))
    low, high = (thin_curve(smooth_curve(edge, window)) for edge in edges)
    return low, high


def _values_axis(series: Sequence[CurveSeries]) -> Axis:
    """All values with some air, from 0 where that is near; never empty."""
    values = [v for line in series for _, v in line.curve]
    values += [v for line in series for pair in line.band for v in pair]
    low, high = min(values), max(values)
    # A constant has no range of its own.
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        air = abs(high) / 2 or 1.0
        low, high = low - air, high + air
    else:
        # An axis that begins far above 0 makes small changes look large; one from 0 hides them
        # where
        # all values are high.
        low = 0.0 if 0 <= low < high / 3 else low
        air = 0.05 * (high - low)
        low, high = (low - air if low else low), high + air
    marked = round_ticks(low, high)
    return Axis(low=low, high=high, ticks=tuple(map(AxisTick, marked, format_ticks(marked))))


def _steps_axis(series: Sequence[CurveSeries]) -> Axis:
    """Round steps; the outermost texts stay inside the chart."""
    first = min(line.curve[0][0] for line in series)
    last = max(line.curve[-1][0] for line in series)
    if first == last:
        return Axis(low=first, high=last, ticks=(AxisTick(first, f"{first:,}"),))
    # Steps are whole numbers.
    marked = [v for v in round_ticks(first, last) if first <= v <= last and v == round(v)]
    marked = marked or [first, last]
    room = (last - first) / 12
    # The ends are named where their texts do not run into those of round steps.
    if marked[0] - first > room:
        marked = [first, *marked]
    if last - marked[-1] > room:
        marked = [*marked, last]

    def anchor(step: float) -> Anchor:
        return "start" if step - first < room / 2 else "end" if last - step < room / 2 else "middle"

    ticks = (AxisTick(step, f"{step:,.0f}", anchor(step)) for step in marked)
    return Axis(low=first, high=last, ticks=tuple(ticks))


def _reading_columns(series: Sequence[CurveSeries], field: _Field) -> list[Mark]:
    """Invisible columns side by side over the whole chart, each with the values at its step."""
    steps = sorted({step for line in series for step, _ in line.curve})
    # Columns narrower than a few pixels cannot be pointed at.
    count = min(len(steps), _MOST_READINGS)
    picked = [steps[round(i * (len(steps) - 1) / max(1, count - 1))] for i in range(count)]
    centres = [field.x_of(step) for step in picked]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(centres)]
    edges = itertools.pairwise([float(LEFT), *middles, float(WIDTH - RIGHT)])
    return [
        Box(
            x=start_x,
            y=0,
            width=end_x - start_x,
            height=HEIGHT - BOTTOM,
            paint="mmr-stop",
            title=_reading(series, step),
        )
        for (start_x, end_x), step in zip(edges, picked, strict=True)
    ]


def _reading(series: Sequence[CurveSeries], step: int) -> str:
    lines = [f"step {step:,}"]
    for line in series:
        # Lines may have other steps: those without a value here are not named.
        i = bisect_left(line.curve, step, key=lambda point: point[0])
        if i < len(line.curve) and line.curve[i][0] == step:
            text = format_number(line.curve[i][1])
            if line.band:
                low, high = line.band[i]
                text += f" ({format_number(low)} to {format_number(high)})"
            lines.append(f"{line.name}: {text}")
    return "\n".join(lines)

"""Where a curve's points lie in a chart: thinned, smoothed, with ticks that people can read.

Pure geometry in the units of the chart's own box; colours are numbers of a palette. Leaves out
drawing (`curves.html`) and which figures share a chart (`figures.py`).
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmreason.training.monitoring.runs import Curve

WIDTH, HEIGHT = 400, 190
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 8, 22
MOST_POINTS = 500
COLOURS = 8
"""Of the palette; further lines take them again, dashed."""
_MOST_STOPS = 60
"""Places where the mouse reads values off."""
_SMOOTH_FROM = 50
"""Points from which a mean is drawn through them."""
_SMOOTH_SHARE = 1 / 25
_FEW = 40
"""Up to so many points are marked by dots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A curve to draw, with the least and the greatest at each of its steps where it is a mean."""

    name: str
    curve: Curve
    colour: int = 0
    """From 0."""
    band: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series as drawn."""

    name: str
    colour: int
    """1 to `COLOURS`."""
    dashed: bool
    path: str
    """Points of a polyline."""
    raw: str
    """The same before it was smoothed; empty where it was not."""
    band: str
    """Points of a polygon; empty where there is none."""
    dots: tuple[tuple[float, float], ...]
    last: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str
    anchor: str = "end"


@dataclass(frozen=True, slots=True)
class Stop:
    """A column of the chart that tells its values."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything a template needs to draw one chart."""

    title: str
    about: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    stops: tuple[Stop, ...]


def chart(series: Sequence[Series], *, title: str, about: str = "") -> Chart:
    """Lay out the series that have points; at least one must have."""
    series = [one for one in series if one.curve]
    assert series, title
    window = _window(series)
    first = min(one.curve[0][0] for one in series)
    last = max(one.curve[-1][0] for one in series)
    values = [v for one in series for _, v in one.curve]
    values += [v for one in series for pair in one.band for v in pair]
    low, high = _shown_range(min(values), max(values))
    up = ticks(low, high)

    def x_of(step: float) -> float:
        wide = WIDTH - LEFT - RIGHT
        return LEFT + wide * ((step - first) / (last - first) if last > first else 0.5)

    def y_of(value: float) -> float:
        tall = HEIGHT - TOP - BOTTOM
        return TOP + tall * (1 - (value - low) / (high - low))

    def placed(curve: Curve) -> list[tuple[float, float]]:
        return [(x_of(step), y_of(value)) for step, value in curve]

    def line(one: Series) -> Line:
        own = window if len(one.curve) >= _SMOOTH_FROM and is_noisy(one.curve) else 1
        drawn = placed(thinned(smoothed(one.curve, own)))
        raw = placed(thinned(one.curve)) if own > 1 and not one.band else []
        low_edge, high_edge = _edges(one, own) if one.band else ((), ())
        return Line(
            name=one.name,
            colour=one.colour % COLOURS + 1,
            dashed=one.colour // COLOURS % 2 == 1,
            path=_points(drawn),
            raw=_points(raw),
            band=_points(placed(high_edge) + placed(low_edge)[::-1]),
            dots=tuple(drawn) if len(one.curve) <= _FEW else (),
            last=number_words(one.curve[-1][1]),
        )

    return Chart(
        title=title,
        about=about,
        lines=tuple(line(one) for one in series),
        across=_across(first, last, x_of),
        up=tuple(Tick(y_of(v), text) for v, text in zip(up, tick_words(up), strict=True)),
        stops=_stops(series, x_of),
    )


def thinned(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """At most `most` points, of each stretch the smallest and the largest, so that no spike is
    lost; the first and the last stay."""
    if len(curve) <= most:
        return curve
    buckets = most // 2 - 1
    inner = curve[1:-1]
    kept = [curve[0]]
    for i in range(buckets):
        part = inner[i * len(inner) // buckets : (i + 1) * len(inner) // buckets]
        ends = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
        kept += sorted(ends)
    return (*kept, curve[-1])


def smoothed(curve: Curve, window: int) -> Curve:
    """The mean over `window` (odd) neighbouring points around each; at the ends, of those there
    are."""
    sums = [0.0, *itertools.accumulate(value for _, value in curve)]
    half = window // 2
    out: list[tuple[int, float]] = []
    for i, (step, _) in enumerate(curve):
        start, end = max(0, i - half), min(len(curve), i + half + 1)
        out.append((step, (sums[end] - sums[start]) / (end - start)))
    return tuple(out)


def is_noisy(curve: Curve) -> bool:
    """Whether it turns at a tenth of its points or more: schedules and counters do not."""
    values = [value for _, value in curve]
    changes = [b - a for a, b in itertools.pairwise(values) if b != a]
    turns = sum(a * b < 0 for a, b in itertools.pairwise(changes))
    return turns >= len(curve) / 10


def ticks(low: float, high: float) -> list[float]:
    """Two to five round numbers inside low..high, which must differ."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 2.5, 5, 10) if n * power >= rough * (1 - 1e-9))
    start, end = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(start, end + 1)]


def tick_words(values: Sequence[float]) -> list[str]:
    """Texts of the same precision for ticks at even distances."""
    step = values[1] - values[0]
    largest = max(abs(v) for v in values)
    if largest >= 1e5 or largest < 1e-3:
        return [number_words(v if abs(v) > step / 2 else 0.0) for v in values]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if any(abs(v * 10**digits - round(v * 10**digits)) > 1e-6 for v in values):
        digits += 1
    return [f"{v + 0.0:,.{digits}f}" for v in values]


def number_words(value: float) -> str:
    """Three digits: `0.512`, `12,400`, `2.6e-4`."""
    if 1_000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    if 0 < abs(value) < 1e-3 and "e" not in text:
        digits, _, power = f"{value:.2e}".partition("e")
        text = digits.rstrip("0").rstrip(".") + f"e{power}"
    for long, short in (("e-0", "e-"), ("e+0", "e"), ("e+", "e")):
        text = text.replace(long, short)
    return text


def _shown_range(low: float, high: float) -> tuple[float, float]:
    """The values with some air, from 0 where that is near; never empty."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        air = abs(high) / 2 or 1.0
        return low - air, high + air
    if 0 <= low < high / 3:
        low = 0.0
    air = 0.05 * (high - low)
    return low - air if low else low, high + air


def _window(series: Sequence[Series]) -> int:
    longest = max(len(one.curve) for one in series)
    return max(3, round(longest * _SMOOTH_SHARE) // 2 * 2 + 1)


def _edges(one: Series, window: int) -> tuple[Curve, Curve]:
    """The band's lower and upper edge, smoothed as its curve is."""
    steps = [step for step, _ in one.curve]
    low, high = (tuple(zip(steps, edge, strict=True)) for edge in zip(*one.band, strict=True))
    if window > 1:
        low, high = smoothed(low, window), smoothed(high, window)
    return thinned(low), thinned(high)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _across(first: int, last: int, x_of: Callable[[float], float]) -> tuple[Tick, ...]:
    """Round steps; the outermost texts stay inside the chart."""
    if first == last:
        return (Tick(x_of(first), f"{first:,}", "middle"),)
    inside = [v for v in ticks(first, last) if first <= v <= last and v == round(v)]
    shown = inside or [first, last]
    room = (last - first) / 12
    if shown[0] - first > room:
        shown = [first, *shown]
    if last - shown[-1] > room:
        shown = [*shown, last]

    def anchor(step: float) -> str:
        return "start" if step - first < room / 2 else "end" if last - step < room / 2 else "middle"

    return tuple(Tick(x_of(v), f"{v:,.0f}", anchor(v)) for v in shown)


def _stops(series: Sequence[Series], x_of: Callable[[float], float]) -> tuple[Stop, ...]:
    steps = sorted({step for one in series for step, _ in one.curve})
    count = min(len(steps), _MOST_STOPS)
    picked = [steps[round(i * (len(steps) - 1) / max(1, count - 1))] for i in range(count)]
    centres = [x_of(step) for step in picked]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(centres)]
    edges = [float(LEFT), *middles, float(WIDTH - RIGHT)]
    return tuple(
        Stop(edges[i], edges[i + 1] - edges[i], _reading(series, step))
        for i, step in enumerate(picked)
    )


def _reading(series: Sequence[Series], step: int) -> str:
    lines = [f"step {step:,}"]
    for one in series:
        at = bisect_left(one.curve, step, key=lambda point: point[0])
        if at < len(one.curve) and one.curve[at][0] == step:
            told = number_words(one.curve[at][1])
            if one.band:
                low, high = one.band[at]
                told += f" ({number_words(low)} to {number_words(high)})"
            lines.append(f"{one.name}: {told}")
    return "\n".join(lines)

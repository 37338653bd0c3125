"""Learning curves of the arms of an experiment, as SVG: mean over seeds, 95 % band as bars.

Leaves out the drawing surface (`evaluation.needle.canvas`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.evaluation.needle.canvas import FAINT, Dot, Drawing, Label, Mark, Path, svg
from mmreason.evaluation.needle.charts import SERIES
from mmreason.training.claims.statistics import Estimate, estimate

_POINTS = 12
"""Points of a curve: each is a mean over the steps around it."""
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP, _LEGEND = 300, 190, 56, 56, 66, 190


@dataclass(frozen=True, slots=True)
class Curve:
    """One arm: a value a step for each seed."""

    name: str
    seeds: Sequence[Sequence[float]]
    """A run each, as many steps in all."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over one pair of axes."""

    title: str
    curves: Sequence[Curve]


def chart(title: str, panels: Sequence[Panel], names: Sequence[str]) -> str:
    """Panels side by side, each with its scale, and one legend; `names` give the colours."""
    marks: list[Mark] = [Label(x=16, y=20, text=title, size=14)]
    for i, panel in enumerate(panels):
        left = _LEFT + i * (_WIDTH + _GAP)
        curves = [(curve, _thinned(curve)) for curve in panel.curves]
        top_value = _round_up(max((e.mean for _, points in curves for e in points), default=1.0))
        marks += _axes(left, panel.title, top_value)
        for curve, points in curves:
            marks += _line(left, curve, points, names.index(curve.name), top_value)
    legend = _LEFT + len(panels) * (_WIDTH + _GAP) - 30
    for i, name in enumerate(names):
        y = _TOP + 8 + 20 * i
        marks.append(Dot(x=legend, y=y, radius=5, fill=SERIES[i % len(SERIES)]))
        marks.append(Label(x=legend + 12, y=y, text=name))
    height = max(_TOP + _HEIGHT + 44, _TOP + 20 * len(names) + 20)
    return svg(Drawing(width=legend + _LEGEND, height=height, marks=marks, title=title))


def _thinned(curve: Curve) -> list[Estimate]:
    """At most `_POINTS` estimates along the run."""
    steps = min(map(len, curve.seeds), default=0)
    points = min(_POINTS, steps)
    edges = [round(i * steps / points) for i in range(points + 1)] if points else []
    return [
        estimate([sum(seed[a:b]) / (b - a) for seed in curve.seeds])
        for a, b in itertools.pairwise(edges)
    ]


def _axes(left: float, title: str, top_value: float) -> list[Mark]:
    marks: list[Mark] = [Label(x=left, y=_TOP - 14, text=title, size=12)]
    for i in range(5):
        y = _TOP + _HEIGHT * (1 - i / 4)
        marks.append(Path(points=((left, y), (left + _WIDTH, y)), colour=FAINT, width=1))
        marks.append(Label(x=left - 6, y=y, text=f"{top_value * i / 4:g}", size=11, anchor="end"))
    for share, text in ((0.0, "begin"), (1.0, "end of the run")):
        anchor = "start" if share == 0 else "end"
        x = left + share * _WIDTH
        marks.append(Label(x=x, y=_TOP + _HEIGHT + 16, text=text, size=11, anchor=anchor))
    return marks


def _line(
    left: float, curve: Curve, points: Sequence[Estimate], index: int, top_value: float
) -> list[Mark]:
    colour = SERIES[index % len(SERIES)]

    def y_of(value: float) -> float:
        return _TOP + _HEIGHT * (1 - min(max(value / top_value, 0.0), 1.0))

    places = [left + _WIDTH * (i + 0.5) / len(points) for i in range(len(points))]
    line = tuple((x, y_of(e.mean)) for x, e in zip(places, points, strict=True))
    marks: list[Mark] = []
    if len(line) > 1:
        marks.append(Path(points=line, colour=colour))
    for (x, y), one in zip(line, points, strict=True):
        if one.seeds > 1:
            ends = ((x, y_of(one.low)), (x, y_of(one.high)))
            marks.append(Path(points=ends, colour=colour, width=0.7))
        told = f"{curve.name}: {one.mean:.3f} ({one.low:.3f} to {one.high:.3f})"
        marks.append(Dot(x=x, y=y, radius=2.5, fill=colour, title=told))
    return marks


def _round_up(value: float) -> float:
    """The least power of two that is not below `value`: its quarters are short numbers."""
    top = 1.0
    while top < value:
        top *= 2
    while top / 2 >= value > 0:
        top /= 2
    return top

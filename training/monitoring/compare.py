"""Several runs on one page: the same figure in one chart, and what each came to.

Runs whose names differ in the seed only (`dapo-seed0`, `dapo_s1`) are one line: their mean, with a
band from the least to the greatest of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason.training.monitoring.figures import KEY_FIGURES, FigurePanel, group_figures
from mmreason.training.monitoring.page import (
    describe_damage,
    list_constants,
    render_page,
    render_page_fragment,
)
from mmreason.training.monitoring.runs import CurveEnd, Run
from mmreason.types import UsageError
from mmreason.video.files import write_atomic
from mmreason.viz.axes import format_number
from mmreason.viz.curves import COLOURS, CurveChart, CurveSeries, draw_curves

_SEED = re.compile(r"^(?P<name>.+?)[-_. ]+(?:seed|s)[-_=]?\d+$", re.IGNORECASE)
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs that stand as one line: several seeds, or one run."""

    name: str
    runs: tuple[Run, ...]

    def series(self, name: str, colour: int) -> CurveSeries:
        """The mean over the runs at the steps that all of them have, with their extremes."""
        curves = [dict(run.curve(name)) for run in self.runs]
        curves = [curve for curve in curves if curve]
        if not curves:
            return CurveSeries(name=self.name, curve=(), colour=colour)
        # A mean over other runs at other steps would jump where a run ends.
        common = sorted(set.intersection(*(set(curve) for curve in curves)))
        values = [[curve[step] for curve in curves] for step in common]
        means = (math.fsum(v) / len(v) for v in values)
        return CurveSeries(
            name=self.name,
            curve=tuple(zip(common, means, strict=True)),
            colour=colour,
            # Extremes, since two or three seeds have no deviation worth drawing.
            band=tuple((min(v), max(v)) for v in values) if len(curves) > 1 else (),
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Example::

        Comparison.of([Run.read("runs/dapo-s0"), Run.read("runs/vespo-s0")]).save_html("both.html")
    """

    groups: tuple[RunGroup, ...]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Comparison:
        """Group the runs by name. Raises UsageError for fewer than two, or one given twice."""
        # Resolved: a run would otherwise be compared with itself under another name.
        folders = [run.folder.resolve() for run in runs]
        if len(runs) < 2:
            raise UsageError(f"a comparison needs two runs or more, got {len(runs)}")
        for folder in folders:
            if folders.count(folder) > 1:
                raise UsageError(f"{folder}: given more than once")
        members: dict[str, list[Run]] = {}
        for run in runs:
            members.setdefault(_name_without_seed(run.name), []).append(run)
        groups: list[RunGroup] = []
        for name, namesakes in members.items():
            # A seed alone keeps its whole name; two folders of one name are not seeds.
            are_seeds = len(namesakes) > 1 and all(_SEED.match(run.name) for run in namesakes)
            if are_seeds:
                groups.append(RunGroup(name, tuple(namesakes)))
            else:
                groups += [RunGroup(_unique_name(run, runs), (run,)) for run in namesakes]
        return cls(tuple(groups))

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, group by group."""
        return tuple(run for group in self.groups for run in group.runs)

    def save_html(self, path: Path | str) -> Path:
        """Write one self-contained page; returns its path."""
        title = f"{len(self.runs)} runs: " + ", ".join(group.name for group in self.groups)
        page = render_page("compare.html", _page_values(self), title=title[:_LONGEST_TITLE])
        return write_atomic(Path(path), page.encode())

    def _repr_html_(self) -> str:
        """The same in a notebook."""
        return render_page_fragment("compare.html", _page_values(self))

    def summary(self) -> list[dict[str, Any]]:
        """JSON types only: every line with its runs."""
        return [
            {"name": group.name, "runs": [run.summary() for run in group.runs]}
            for group in self.groups
        ]


def _name_without_seed(name: str) -> str:
    match = _SEED.match(name)
    return match["name"] if match else name


def _unique_name(run: Run, runs: Sequence[Run]) -> str:
    """Its name, with the folder above where another run has the same one."""
    namesakes = sum(other.name == run.name for other in runs)
    return run.name if namesakes == 1 else f"{run.folder.resolve().parent.name}/{run.name}"


def _page_values(comparison: Comparison) -> dict[str, object]:
    """What `compare.html` shows."""
    names = list(dict.fromkeys(name for run in comparison.runs for name in run.names))
    constants = list_constants(comparison.runs, names)
    # A figure that never moves is one line of text instead of a panel.
    without_curve = {name for name, _, _ in constants}
    moving = [name for name in names if name not in without_curve]
    columns = [name for name in KEY_FIGURES.values() if name in names]
    return {
        "damage": describe_damage(comparison.runs),
        "run_count": len(comparison.runs),
        "columns": columns,
        "rows": [_table_row(i, group, columns) for i, group in enumerate(comparison.groups)],
        "sections": [
            (section.title, [c for p in section.panels if (c := _draw_panel(comparison, p))])
            for section in group_figures(moving, is_shared=False)
        ],
        "still": constants,
        "seeded": any(len(group.runs) > 1 for group in comparison.groups),
    }


def _table_row(i: int, group: RunGroup, columns: Sequence[str]) -> dict[str, object]:
    done = sorted({run.done for run in group.runs})
    # Runs of a group may have come to different steps.
    steps = f"{done[0]:,}" if len(done) == 1 else f"{done[0]:,} to {done[-1]:,}"
    ends = [[run.final(name) for run in group.runs] for name in columns]
    return {
        "colour": i % COLOURS + 1,
        "name": group.name,
        "runs": len(group.runs),
        "steps": steps,
        "cells": [_table_cell([end for end in column if end is not None]) for column in ends],
    }


def _table_cell(ends: Sequence[CurveEnd]) -> tuple[str, str]:
    """(mean of the final values with their standard deviation, mean of the best)."""
    if not ends:
        return "-", ""
    bests = [end.best for end in ends if end.best is not None]
    best = f"best {format_number(math.fsum(bests) / len(bests))}" if bests else ""
    return _mean_and_deviation([end.mean for end in ends]), best


def _mean_and_deviation(values: Sequence[float]) -> str:
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return format_number(mean)
    # Of a sample: the seeds stand for all that could have been drawn.
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return f"{format_number(mean)} ± {deviation:.2g}"


def _draw_panel(comparison: Comparison, panel: FigurePanel) -> CurveChart | None:
    (name,) = panel.names
    series = [group.series(name, i) for i, group in enumerate(comparison.groups)]
    if not any(line.curve for line in series):
        return None
    return draw_curves(series, title=panel.title, about=panel.about)

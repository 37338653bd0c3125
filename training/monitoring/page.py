"""One self-contained HTML page about a run: its figures, its silenced tokens, its samples.

No script, no external file; every text of a model or a file is escaped. What is read from where is
`runs`', where things lie `viz.curves`' and `tokens`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmreason import __version__
from mmreason.training.monitoring.figures import (
    KEY_FIGURES,
    FigurePanel,
    describe_figure,
    group_figures,
)
from mmreason.training.monitoring.runs import CurveEnd, Run
from mmreason.training.monitoring.tokens import (
    count_silenced_texts,
    find_silenced,
    mark_breaks,
    select_samples,
)
from mmreason.viz.axes import format_number
from mmreason.viz.curves import CurveChart, CurveSeries, draw_curves
from mmreason.viz.pages import load_templates, render_document, render_fragment

_MOST_WARNINGS = 200
_WIDTH_REM = 84
_STYLES = ("run_style.html",)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A figure at the top of the page."""

    name: str
    about: str
    value: str
    note: str


def render_run_page(run: Run) -> str:
    """One HTML document about `run`; it needs no other file and runs no script."""
    return render_page("run.html", _run_values(run), title=f"{run.name}: step {run.done:,}")


def render_run_fragment(run: Run) -> str:
    """The same as a `<div>` with its own scoped style, to be put inside another page."""
    return render_page_fragment("run.html", _run_values(run))


def render_page(template: str, values: dict[str, object], *, title: str) -> str:
    """A template of this folder as a document."""
    templates = load_templates("mmreason.training", "monitoring")
    values = values | {"version": __version__, "top": "h1"}
    return render_document(
        templates, template, values, title=title, width_rem=_WIDTH_REM, styles=_STYLES
    )


def render_page_fragment(template: str, values: dict[str, object]) -> str:
    """A template of this folder as a fragment."""
    templates = load_templates("mmreason.training", "monitoring")
    values = values | {"version": __version__, "top": "h2"}
    return render_fragment(templates, template, values, styles=_STYLES)


def describe_damage(runs: Iterable[Run]) -> list[str]:
    """A sentence for every run some of whose lines could not be read."""
    return [
        f"{run.name}: {_count_lines(len(run.damaged))} of the log could not be read and "
        f"{'is' if len(run.damaged) == 1 else 'are'} not shown. The first: "
        f"{run.damaged[0].path.name}, line {run.damaged[0].line}: "
        f"{mark_breaks(run.damaged[0].reason)}."
        for run in runs
        if run.damaged
    ]


def constant_value(runs: Sequence[Run], name: str) -> float | None:
    """The value that the figure has at every step of all runs; None where it changes or was logged
    once."""
    values = [value for run in runs for _, value in run.curve(name)]
    return values[0] if len(values) > 1 and len(set(values)) == 1 else None


def list_constants(runs: Sequence[Run], names: Iterable[str]) -> list[tuple[str, str, str]]:
    """(name, value, what it is) of the figures that need no curve."""
    values = ((name, constant_value(runs, name)) for name in names)
    return [
        (name, format_number(value), describe_figure(name))
        for name, value in values
        if value is not None
    ]


def _count_lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _run_values(run: Run) -> dict[str, object]:
    """What `run.html` shows."""
    constants = list_constants([run], run.names)
    without_curve = {name for name, _, _ in constants}
    moving = [name for name in run.names if name not in without_curve]
    samples, steps_left_out = select_samples(run.samples)
    warnings = [(s.step, mark_breaks(line)) for s in reversed(run.steps) for line in s.warnings]
    return {
        "run": run,
        "damage": describe_damage([run]),
        "keys": _key_figures(run),
        "sections": [
            (section.title, [_draw_panel(run, panel) for panel in section.panels])
            for section in group_figures(moving)
        ],
        "still": constants,
        "silenced": find_silenced(run.samples),
        "silenced_texts": count_silenced_texts(run.samples),
        "samples": samples,
        "samples_left_out": steps_left_out,
        # The newest: a run that warns at every step would be nothing else.
        "warnings": warnings[:_MOST_WARNINGS],
        "warning_count": len(warnings),
    }


def _key_figures(run: Run) -> list[_Key]:
    ends = ((name, run.final(name)) for name in KEY_FIGURES.values())
    return [
        _Key(
            name=name,
            about=describe_figure(name),
            value=format_number(end.last),
            note=_key_note(run, name, end),
        )
        for name, end in ends
        if end is not None
    ]


def _key_note(run: Run, name: str, end: CurveEnd) -> str:
    if end.best is not None:
        return f"best {format_number(end.best)} at step {end.best_step:,}"
    return f"from {format_number(run.curve(name)[0][1])}"


def _draw_panel(run: Run, panel: FigurePanel) -> CurveChart:
    """The panel's figures; where there are several, by the part of their names after the slash."""
    several = len(panel.names) > 1
    series = [
        CurveSeries(
            name=name.partition("/")[2] if several else name, curve=run.curve(name), colour=i
        )
        for i, name in enumerate(panel.names)
    ]
    return draw_curves(series, title=panel.title, about=panel.about)

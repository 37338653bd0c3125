"""One self-contained HTML page about a run: its figures, its silenced tokens, its samples.

No script, no external file; every text of a model or a file is escaped. Leaves out what is read
from where (`runs.py`) and where things lie (`curves.py`, `tokens.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mmreason import __version__
from mmreason.training.monitoring.curves import (
    HEIGHT,
    LEFT,
    WIDTH,
    Chart,
    Series,
    chart,
    number_words,
)
from mmreason.training.monitoring.figures import KEY_FIGURES, Panel, about, sections
from mmreason.training.monitoring.runs import Final, Run
from mmreason.training.monitoring.tokens import shown_samples, silenced, silenced_texts, visible
from mmreason.video.plain_text import show_text

if TYPE_CHECKING:
    from jinja2 import Environment

_MOST_WARNINGS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A figure at the top of the page."""

    name: str
    about: str
    value: str
    note: str


def run_page(run: Run) -> str:
    """One HTML document about `run`; it needs no other file and runs no script."""
    return render("run.html", _context(run), title=f"{run.name}: step {run.done:,}", top="h1")


def run_fragment(run: Run) -> str:
    """The same as a `<div>` with its own scoped style, to be put inside another page."""
    return render("run.html", _context(run), title="", top="h2")


def render(template: str, context: dict[str, object], *, title: str, top: str) -> str:
    """The template as a document with `title`, or without one as a fragment. `top` is the element
    of the first heading."""
    environment = _environment()
    shared = {"box": (WIDTH, HEIGHT, LEFT), "version": __version__, "top": top}
    body = environment.get_template(template).render(context, **shared)
    frame = environment.get_template("document.html" if title else "piece.html")
    return show_text(frame.render(title=title, body=body))


@cache
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    # The second has `style.html`, the looks of every report.
    loaders = [PackageLoader("mmreason.training", "monitoring"), PackageLoader("mmreason", "report")]
    return Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def damage_words(runs: Iterable[Run]) -> list[str]:
    """A sentence for every run some of whose lines could not be read."""
    return [
        f"{run.name}: {_lines(len(run.damaged))} of the log could not be read and "
        f"{'is' if len(run.damaged) == 1 else 'are'} not shown. The first: "
        f"{run.damaged[0].path.name}, line {run.damaged[0].line}: "
        f"{visible(run.damaged[0].reason)}."
        for run in runs
        if run.damaged
    ]


def constant(runs: Sequence[Run], name: str) -> float | None:
    """The value that the figure has at every step of all runs; None where it changes or was told
    once."""
    values = [value for run in runs for _, value in run.curve(name)]
    return values[0] if len(values) > 1 and len(set(values)) == 1 else None


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _context(run: Run) -> dict[str, object]:
    still = {name: value for name in run.names if (value := constant([run], name)) is not None}
    moving = [name for name in run.names if name not in still]
    shown, folded_away = shown_samples(run.samples)
    warnings = [(s.step, visible(line)) for s in reversed(run.steps) for line in s.warnings]
    return {
        "run": run,
        "damage": damage_words([run]),
        "keys": _keys(run),
        "sections": [
            (section.title, [_chart(run, panel) for panel in section.panels])
            for section in sections(moving)
        ],
        "still": [(name, number_words(value), about(name)) for name, value in still.items()],
        "silenced": silenced(run.samples),
        "silenced_texts": silenced_texts(run.samples),
        "samples": shown,
        "samples_left_out": folded_away,
        "warnings": warnings[:_MOST_WARNINGS],
        "warning_count": len(warnings),
    }


def _keys(run: Run) -> list[_Key]:
    finals = ((name, run.final(name)) for name in KEY_FIGURES.values())
    return [
        _Key(name=name, about=about(name), value=number_words(one.last), note=_note(run, name, one))
        for name, one in finals
        if one is not None
    ]


def _note(run: Run, name: str, one: Final) -> str:
    if one.best is not None:
        return f"best {number_words(one.best)} at step {one.best_step:,}"
    return f"from {number_words(run.curve(name)[0][1])}"


def _chart(run: Run, panel: Panel) -> Chart:
    names = [
        (name, name.partition("/")[2] if len(panel.names) > 1 else name) for name in panel.names
    ]
    series = [
        Series(name=words, curve=run.curve(name), colour=i) for i, (name, words) in enumerate(names)
    ]
    return chart(series, title=panel.title, about=panel.about)

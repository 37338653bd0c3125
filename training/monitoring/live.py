"""A live table of a run on a terminal; one plain line a step where there is none.

It has a few figures; the page (`page.py`) has the rest.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mmreason.report.console import TextConsole
from mmreason.report.terminal import print_plain
from mmreason.report.text import shorten_text
from mmreason.training.monitoring.figures import KEY_FIGURES
from mmreason.training.runs.events import StepReport
from mmreason.viz.axes import format_number

_ROWS = 8
_MOST_WARNINGS = 4
_LONGEST_WARNING = 160
_SPARKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 40


class LiveTable:
    """Shows each step; a context manager that leaves the terminal as it was, on Ctrl-C too.

    On a terminal a table of the newest steps, a line of blocks for the reward so far and the newest
    warnings; otherwise a line a step, and a line a warning.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = TextConsole(stderr=True) if console is None else console
        self._newest: deque[StepReport] = deque(maxlen=_ROWS)
        self._rewards: list[float] = []
        self._warnings: deque[str] = deque(maxlen=_MOST_WARNINGS)
        self._live: Live | None = None

    def __enter__(self) -> LiveTable:
        if self._console.is_terminal:
            # No thread of its own: it draws when a step is there.
            live = Live(console=self._console, auto_refresh=False)
            live.start()
            self._live = live
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, report: StepReport) -> None:
        """The step as a new row, or as a line."""
        warnings = [
            f"step {report.step}: {shorten_text(text, _LONGEST_WARNING)}"
            for text in report.warnings
        ]
        if self._live is None:
            for line in (format_step(report), *(f"warning: {text}" for text in warnings)):
                print_plain(line, self._console)
            return
        self._newest.append(report)
        self._warnings += warnings
        if "reward/mean" in report.metrics:
            self._rewards.append(report.metrics["reward/mean"])
        # Refreshed by hand, as there is no thread that does.
        self._live.update(self._layout(report), refresh=True)

    def _layout(self, report: StepReport) -> Group:
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(f"step {report.step:,} of {report.steps:,}", style="bold"),
            ProgressBar(total=max(report.steps, 1), completed=report.step, width=30),
            Text("reward " + draw_sparkline(self._rewards)) if self._rewards else Text(),
        )
        warnings = [Text(text, style="yellow", overflow="fold") for text in self._warnings]
        return Group(head, _table(self._newest), *warnings)


def format_step(report: StepReport) -> str:
    """`step 12 of 200: reward 0.41, correct 0.38, ...` with what the step has of it."""
    figures = ", ".join(
        f"{heading} {format_number(report.metrics[name])}"
        for heading, name in KEY_FIGURES.items()
        if name in report.metrics
    )
    return f"step {report.step} of {report.steps}: {figures or 'no figures'}"


def draw_sparkline(values: Sequence[float], width: int = _SPARK_WIDTH) -> str:
    """One block a stretch of `values`, its mean between the least and the greatest mean.

    Example:
        >>> draw_sparkline([0.0, 0.5, 1.0])
        '▁▅█'
    """
    count = min(width, len(values))
    # Whole borders: every value lies in one block, and blocks differ by one at most.
    edges = [i * len(values) // count for i in range(count + 1)] if count else [0]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges) if b > a]
    if not means:
        return ""
    low, high = min(means), max(means)
    top = len(_SPARKS) - 1
    # Values that are all alike draw as the lowest block.
    scale = top / (high - low) if high > low else 0.0
    return "".join(_SPARKS[round((value - low) * scale)] for value in means)


def _table(reports: Sequence[StepReport]) -> Table:
    """The newest steps, with the figures that at least one of them has."""
    figures = {
        heading: name
        for heading, name in KEY_FIGURES.items()
        if any(name in report.metrics for report in reports)
    }
    table = Table("step", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        # A step without the figure leaves its cell empty.
        values = (report.metrics.get(name) for name in figures.values())
        cells = ("" if value is None else format_number(value) for value in values)
        style = "bold" if report is reports[-1] else "dim"
        table.add_row(f"{report.step:,}", *cells, style=style)
    return table

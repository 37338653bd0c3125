"""What the runs say: tables with intervals, verdicts of the claims, charts, JSON."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmreason.json_values import encode_json, with_schema
from mmreason.training.claims.experiment import Arm, Claim, Experiment
from mmreason.training.claims.runs import ArmRun
from mmreason.training.claims.statistics import (
    Estimate,
    PairedComparison,
    Verdict,
    compare_paired,
    estimate_mean,
)
from mmreason.video.files import write_atomic
from mmreason.viz.axes import Axis, AxisTick, axis_from_zero
from mmreason.viz.charts import IntervalPoint, LinePanel, PointSeries, draw_line_charts
from mmreason.viz.drawing import render_svg

if TYPE_CHECKING:
    from rich.table import Table

_ABOUT = """\
Small language models of some 50,000 parameters and a vocabulary of words learn text tasks whose
answers can be checked, from a supervised start on imperfect demonstrations. All runs go through
`mmreason.training.rl.train`. Figures are means over seeds with 95 % intervals (Student's t) on
held-out problems, 16 attempts each at temperature 1. Arms share starts, problems and random numbers
seed by seed, so claims are judged by the differences within seeds: a claim *holds* where the 95 %
interval of the difference lies on its side of zero, goes *the other way round* where it lies on the
other, and is *not shown* where it has zero in it. Settings are one for all arms, not tuned for any.
No correction is made for the number of claims. What holds at this size need not hold for large
models, and the reverse. The last experiment is about the packaged nano, a video model of 4 million
parameters, and says itself what it starts from and how it is measured."""


_CURVE_POINTS = 12
"""Points of a learning curve: each is a mean over the steps around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResult:
    """An experiment with its runs."""

    experiment: Experiment
    runs: Sequence[ArmRun]

    def values(self, arm: str, figure: str) -> dict[int, float]:
        """A figure of an arm by seed."""
        return {run.seed: run.figures[figure] for run in self.runs if run.arm == arm}

    def estimate(self, arm: str, figure: str) -> Estimate | None:
        """Its mean over the seeds; None where the arm has no run."""
        values = self.values(arm, figure)
        return estimate_mean(list(values.values())) if values else None

    def judge_claims(self) -> list[tuple[Claim, PairedComparison]]:
        """The claims that both arms have runs for."""
        comparisons = (
            compare_paired(
                self.values(claim.arm, claim.figure),
                self.values(claim.against, claim.figure),
                claim.direction,
            )
            for claim in self.experiment.claims
        )
        pairs = zip(self.experiment.claims, comparisons, strict=True)
        return [(claim, comparison) for claim, comparison in pairs if comparison is not None]


def render_markdown(results: Sequence[ExperimentResult], size: str) -> str:
    """The page `rl.md`."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    runs = [run for result in results for run in result.runs]
    minutes = math.fsum(run.seconds for run in runs) / 60
    lines = [
        "# Papers on reinforcement learning, tried small",
        "",
        _ABOUT,
        "",
        f"{len(runs)} runs, {minutes:.0f} minutes of wall time; {libraries}; size {size}.",
        "",
    ]
    verdicts = [row[3] for result in results for row in verdict_rows(result)]
    counts = ", ".join(f"{v.value} {verdicts.count(v)}" for v in Verdict)
    lines += [f"Of {len(verdicts)} claims: {counts}.", ""]
    for result in results:
        lines += _section(result, size)
    return "\n".join(lines)


def verdict_rows(result: ExperimentResult) -> Iterator[tuple[str, str, str, str]]:
    """Claim, arms, difference and verdict, as texts."""
    for claim, comparison in result.judge_claims():
        arms = f"{claim.figure}: {claim.arm} less {claim.against}"
        difference = format_estimate(comparison.difference, is_signed=True)
        yield claim.text, arms, difference, comparison.verdict.value


def format_estimate(estimate: Estimate, *, is_signed: bool = False) -> str:
    """The mean with its interval.

    Example:
        >>> format_estimate(Estimate(0.631, 0.602, 0.66, seeds=5))
        '0.631 (0.602 to 0.660)'
    """
    sign = "+" if is_signed else ""
    if estimate.seeds < 2:
        return f"{estimate.mean:{sign}.3f} (one seed)"
    low, high = f"{estimate.low:{sign}.3f}", f"{estimate.high:{sign}.3f}"
    return f"{estimate.mean:{sign}.3f} ({low} to {high})"


def draw_learning_curves(result: ExperimentResult) -> str:
    """The chart `rl_NAME.svg`: a panel a view, a curve an arm; empty without a curve."""
    views = result.experiment.views
    names = list(dict.fromkeys(name for view in views for name in view.arms))
    panels = []
    for view in views:
        lines = [
            PointSeries(name=name, points=points)
            for name, arm in view.arms.items()
            if (points := _curve_points(result, name, arm, view.metric))
        ]
        if lines:
            # By the means, not by intervals: one wild seed would flatten all curves.
            largest = max(point.y for line in lines for point in line.points)
            ends = (AxisTick(0.0, "begin", "start"), AxisTick(1.0, "end of the run", "end"))
            across = Axis(low=0.0, high=1.0, ticks=ends)
            up = axis_from_zero(largest)
            panels.append(LinePanel(title=view.title, series=lines, across=across, up=up))
    if not panels:
        return ""
    title = result.experiment.title
    return render_svg(draw_line_charts(title, panels, names, plot=(300, 190)))


def _curve_points(
    result: ExperimentResult, name: str, arm: str, metric: str
) -> list[IntervalPoint]:
    """At most `_CURVE_POINTS` means over seeds along the run, each over the steps around it."""
    runs = sorted(result.runs, key=lambda run: run.seed)
    curves = [run.curves[metric] for run in runs if run.arm == arm and metric in run.curves]
    steps = min(map(len, curves), default=0)
    # The shortest seed bounds the curve: every point is a mean over all seeds.
    count = min(_CURVE_POINTS, steps)
    edges = [round(i * steps / count) for i in range(count + 1)] if count else []
    points = []
    # First smoothed within a seed, then over seeds: the interval is that between seeds alone.
    for i, (a, b) in enumerate(itertools.pairwise(edges)):
        estimate = estimate_mean([sum(curve[a:b]) / (b - a) for curve in curves])
        low, high = estimate.low, estimate.high
        points.append(
            IntervalPoint(
                x=(i + 0.5) / count,
                y=estimate.mean,
                interval=(low, high) if estimate.seeds > 1 else None,
                title=f"{name}: {estimate.mean:.3f} ({low:.3f} to {high:.3f})",
            )
        )
    return points


def to_dict(results: Sequence[ExperimentResult], size: str) -> dict[str, Any]:
    """The file `rl.json`: estimates, claims and every run's figures."""
    return {"size": size, "experiments": [_result_dict(result, size) for result in results]}


def write_results(results: Sequence[ExperimentResult], size: str, folder: Path) -> None:
    """The page, its charts and the JSON under `folder`."""
    for result in results:
        chart = draw_learning_curves(result)
        if chart:
            write_atomic(folder / f"rl_{result.experiment.name}.svg", chart.encode())
    text = encode_json(with_schema(to_dict(results, size)), indent=1)
    write_atomic(folder / "rl.json", (text + "\n").encode())
    write_atomic(folder / "rl.md", render_markdown(results, size).encode())


def build_table(result: ExperimentResult) -> Table:
    """The claims, for a terminal."""
    from rich.table import Table

    table = Table("claim", "compared", "difference", "verdict", title=result.experiment.title)
    for row in verdict_rows(result):
        table.add_row(*row)
    return table


def make_command(result: ExperimentResult, size: str) -> str:
    """The command line that does the runs."""
    # Seeds count from 0, so that this does every run again.
    seeds = max(run.seed for run in result.runs) + 1
    quick = " --quick" if size == "quick" else ""
    return f"mmreason bench rl --only {result.experiment.name} --seeds {seeds}{quick}"


def _section(result: ExperimentResult, size: str) -> Iterator[str]:
    """An experiment on the page: what it is, its figures, its claims, its chart."""
    experiment = result.experiment
    seeds = sorted({run.seed for run in result.runs})
    yield from (f"## {experiment.title}", "", experiment.about, "")
    yield from (f"`{make_command(result, size)}`: seeds {_format_seeds(seeds)}.", "")
    # Arms of the grid stand in a table of their own, by their first figure.
    in_grid: set[str] = set()
    if (grid := experiment.grid) is not None:
        figure = next(iter(experiment.figures))
        yield from (f"{figure}, {experiment.figures[figure]}:", "")
        yield from _table(
            ("", *grid.columns),
            [
                (row, *(_cell(result, f"{row} {column}", figure) for column in grid.columns))
                for row in grid.rows
            ],
        )
        in_grid = {f"{row} {column}" for row in grid.rows for column in grid.columns}
    yield from _figures(result, [arm for arm in experiment.arms if arm.name not in in_grid])
    yield from _table(
        ("claim", "difference", "verdict"),
        [
            (text, f"{difference}<br>{arms}", verdict if verdict == "holds" else f"**{verdict}**")
            for text, arms, difference, verdict in verdict_rows(result)
        ],
    )
    unstable = sum(run.skipped for run in result.runs)
    if unstable:
        yield from (f"{unstable} updates were skipped for NaN or infinity.", "")
    if draw_learning_curves(result):
        yield from (f"![{experiment.title}](rl_{experiment.name}.svg)", "")


def _figures(result: ExperimentResult, arms: Sequence[Arm]) -> Iterator[str]:
    figures = result.experiment.figures
    rows = [(arm.name, *(_cell(result, arm.name, name) for name in figures)) for arm in arms]
    yield from _table(("", *figures), rows)
    yield from ("; ".join(f"{name}: {about}" for name, about in figures.items()) + ".", "")


def _cell(result: ExperimentResult, arm: str, figure: str) -> str:
    estimate = result.estimate(arm, figure)
    return "" if estimate is None else format_estimate(estimate)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _format_seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _result_dict(result: ExperimentResult, size: str) -> dict[str, Any]:
    experiment = result.experiment
    return {
        "name": experiment.name,
        "command": make_command(result, size),
        "arms": {
            arm.name: {
                figure: _estimate_dict(estimate)
                for figure in experiment.figures
                if (estimate := result.estimate(arm.name, figure)) is not None
            }
            for arm in experiment.arms
        },
        "claims": [
            {
                "text": claim.text,
                "figure": claim.figure,
                "arm": claim.arm,
                "against": claim.against,
                "difference": _estimate_dict(comparison.difference),
                "verdict": comparison.verdict.value,
            }
            for claim, comparison in result.judge_claims()
        ],
        "runs": [
            {
                "arm": run.arm,
                "seed": run.seed,
                "figures": dict(run.figures),
                "skipped": run.skipped,
                "seconds": run.seconds,
            }
            for run in sorted(result.runs, key=lambda run: (run.seed, run.arm))
        ],
    }


def _estimate_dict(estimate: Estimate) -> dict[str, Any]:
    # Infinite ends are no JSON.
    has_interval = estimate.seeds > 1
    return {
        "mean": estimate.mean,
        "interval": [estimate.low, estimate.high] if has_interval else None,
        "seeds": estimate.seeds,
    }

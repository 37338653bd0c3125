"""What the runs say: tables with intervals, verdicts of the claims, charts, JSON.

Leaves out doing the runs (`runs.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmreason.json_values import encode_json, with_schema
from mmreason.training.claims.chart import Curve, Panel, chart
from mmreason.training.claims.experiment import Arm, Claim, Experiment
from mmreason.training.claims.runs import Row
from mmreason.training.claims.statistics import Comparison, Estimate, Verdict, compare, estimate
from mmreason.video.files import write_atomic

if TYPE_CHECKING:
    from rich.table import Table

_WHAT = """\
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An experiment with its rows."""

    experiment: Experiment
    rows: Sequence[Row]

    def values(self, arm: str, figure: str) -> dict[int, float]:
        """A figure of an arm by seed."""
        return {row.seed: row.figures[figure] for row in self.rows if row.arm == arm}

    def judged(self) -> list[tuple[Claim, Comparison]]:
        """The claims that both arms have rows for."""
        found = []
        for claim in self.experiment.claims:
            mine, theirs = (self.values(arm, claim.figure) for arm in (claim.arm, claim.against))
            comparison = compare(mine, theirs, claim.direction)
            if comparison is not None:
                found.append((claim, comparison))
        return found


def markdown(findings: Sequence[Finding], size: str) -> str:
    """The page `rl.md`."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    runs = [row for finding in findings for row in finding.rows]
    minutes = math.fsum(row.seconds for row in runs) / 60
    lines = [
        "# Papers on reinforcement learning, tried small",
        "",
        _WHAT,
        "",
        f"{len(runs)} runs, {minutes:.0f} minutes of wall time; {libraries}; size {size}.",
        "",
    ]
    verdicts = [row[3] for finding in findings for row in verdict_rows(finding)]
    counts = ", ".join(f"{v.value} {verdicts.count(v)}" for v in Verdict)
    lines += [f"Of {len(verdicts)} claims: {counts}.", ""]
    for finding in findings:
        lines += _section(finding, size)
    return "\n".join(lines)


def verdict_rows(finding: Finding) -> Iterator[tuple[str, str, str, str]]:
    """Claim, arms, difference and verdict, as texts."""
    for claim, found in finding.judged():
        against = f"{claim.figure}: {claim.arm} less {claim.against}"
        yield claim.text, against, told(found.difference, signed=True), found.verdict.value


def told(one: Estimate, *, signed: bool = False) -> str:
    """`0.631 (0.602 to 0.660)`."""
    sign = "+" if signed else ""
    if one.seeds < 2:
        return f"{one.mean:{sign}.3f} (one seed)"
    return f"{one.mean:{sign}.3f} ({one.low:{sign}.3f} to {one.high:{sign}.3f})"


def charts(finding: Finding) -> str:
    """The chart `rl_NAME.svg`; empty without a curve."""
    panels, names = [], list(dict.fromkeys(n for v in finding.experiment.views for n in v.arms))
    for view in finding.experiment.views:
        curves = []
        for name, arm in view.arms.items():
            seeds = [
                row.curves[view.metric]
                for row in sorted(finding.rows, key=lambda row: row.seed)
                if row.arm == arm and view.metric in row.curves
            ]
            if seeds:
                curves.append(Curve(name, seeds))
        if curves:
            panels.append(Panel(view.title, curves))
    return chart(finding.experiment.title, panels, names) if panels else ""


def to_dict(findings: Sequence[Finding], size: str) -> dict[str, Any]:
    """The file `rl.json`: estimates, claims and every run's figures."""
    return {"size": size, "experiments": [_plain(finding, size) for finding in findings]}


def write(findings: Sequence[Finding], size: str, folder: Path) -> None:
    """The page, its charts and the JSON under `folder`."""
    for finding in findings:
        drawn = charts(finding)
        if drawn:
            write_atomic(folder / f"rl_{finding.experiment.name}.svg", drawn.encode())
    text = encode_json(with_schema(to_dict(findings, size)), indent=1)
    write_atomic(folder / "rl.json", (text + "\n").encode())
    write_atomic(folder / "rl.md", markdown(findings, size).encode())


def rich_table(finding: Finding) -> Table:
    """The claims, for a terminal."""
    from rich.table import Table

    table = Table("claim", "compared", "difference", "verdict", title=finding.experiment.title)
    for row in verdict_rows(finding):
        table.add_row(*row)
    return table


def command(finding: Finding, size: str) -> str:
    """What makes the rows."""
    seeds = max(row.seed for row in finding.rows) + 1
    quick = " --quick" if size == "quick" else ""
    return f"mmreason bench rl --only {finding.experiment.name} --seeds {seeds}{quick}"


def _section(finding: Finding, size: str) -> Iterator[str]:
    experiment = finding.experiment
    seeds = sorted({row.seed for row in finding.rows})
    yield from (f"## {experiment.title}", "", experiment.about, "")
    yield from (f"`{command(finding, size)}`: seeds {_ranges(seeds)}.", "")
    grid = experiment.grid
    first = next(iter(experiment.figures))
    if grid is not None:
        yield from (f"{first}, {experiment.figures[first]}:", "")
        yield from _table(
            ("", *grid.columns),
            [
                (row, *(_cell(finding, f"{row} {column}", first) for column in grid.columns))
                for row in grid.rows
            ],
        )
    in_grid = {f"{r} {c}" for r in grid.rows for c in grid.columns} if grid else set()
    rest = [arm for arm in experiment.arms if arm.name not in in_grid]
    yield from _figures(finding, rest if grid else list(experiment.arms))
    yield from _table(("claim", "difference", "verdict"), _claims(finding))
    unstable = sum(row.skipped for row in finding.rows)
    if unstable:
        yield from (f"{unstable} updates were skipped for NaN or infinity.", "")
    if charts(finding):
        yield from (f"![{experiment.title}](rl_{experiment.name}.svg)", "")


def _figures(finding: Finding, arms: Sequence[Arm]) -> Iterator[str]:
    figures = finding.experiment.figures
    rows = [(arm.name, *(_cell(finding, arm.name, name) for name in figures)) for arm in arms]
    yield from _table(("", *figures), rows)
    yield from ("; ".join(f"{name}: {what}" for name, what in figures.items()) + ".", "")


def _claims(finding: Finding) -> list[tuple[str, str, str]]:
    return [
        (text, f"{difference}<br>{against}", verdict if verdict == "holds" else f"**{verdict}**")
        for text, against, difference, verdict in verdict_rows(finding)
    ]


def _cell(finding: Finding, arm: str, figure: str) -> str:
    values = finding.values(arm, figure)
    return told(estimate(list(values.values()))) if values else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _ranges(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _plain(finding: Finding, size: str) -> dict[str, Any]:
    experiment = finding.experiment
    return {
        "name": experiment.name,
        "command": command(finding, size),
        "arms": {
            arm.name: {
                figure: _estimate(estimate(list(values.values())))
                for figure in experiment.figures
                if (values := finding.values(arm.name, figure))
            }
            for arm in experiment.arms
        },
        "claims": [
            {
                "text": claim.text,
                "figure": claim.figure,
                "arm": claim.arm,
                "against": claim.against,
                "difference": _estimate(found.difference),
                "verdict": found.verdict.value,
            }
            for claim, found in finding.judged()
        ],
        "runs": [
            {
                "arm": row.arm,
                "seed": row.seed,
                "figures": dict(row.figures),
                "skipped": row.skipped,
                "seconds": row.seconds,
            }
            for row in sorted(finding.rows, key=lambda row: (row.seed, row.arm))
        ],
    }


def _estimate(one: Estimate) -> dict[str, Any]:
    known = one.seeds > 1
    return {
        "mean": one.mean,
        "interval": [one.low, one.high] if known else None,
        "seeds": one.seeds,
    }

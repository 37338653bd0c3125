"""A diagnosis: the tables and verdicts of each subject, as JSON, Markdown and HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmreason import __version__
from mmreason.evaluation.refadv.failures import DrawnFailure
from mmreason.evaluation.refadv.figures import ClusteredFigure
from mmreason.evaluation.refadv.outcomes import CaseOutcome
from mmreason.evaluation.refadv.summary import SubjectTables, build_tables
from mmreason.evaluation.refadv.verdicts import DiagnosisVerdict, find_verdicts
from mmreason.grounding.formats.ref_adv_scores import RefAdvScore, RefAdvScores
from mmreason.json_values import encode_json, to_json, with_schema
from mmreason.video.files import write_atomic
from mmreason.video.plain_text import show_line
from mmreason.viz.axes import Axis, AxisTick, doubling_axis
from mmreason.viz.charts import IntervalPoint, LinePanel, PointSeries, draw_line_charts
from mmreason.viz.drawing import render_svg
from mmreason.viz.pages import load_templates, render_document, render_fragment

Table = tuple[str, Sequence[str], list[Sequence[str]]]
"""(title, header, rows)."""

CHANGE_WORDS = {
    "shuffle": "words shuffled",
    "delete": "a descriptor deleted",
    "strip_negation": "negation taken out",
    "swap": "attributes exchanged",
    "reverse": "video backwards",
    "single_frame": "one frame only",
    "blind": "nothing shown",
    "floor": 'only "the one"',
}
PICK_WORDS = {
    "target": "the target",
    "hard": "a hard distractor",
    "other": "another distractor",
    "background": "the background",
    "none": "nothing given",
}
_MOST_IN_FULL = 2
"""Subjects of which a page of Markdown has every table."""
_GROUP_WORDS = {
    "descriptors": "Descriptors",
    "candidates": "Candidates",
    "negation": "Negation",
    "hops": "Hops to the last landmark",
    "family": "Family",
    "look": "Ground and look",
}
_PERCENTS = Axis(
    low=0.0, high=1.0, ticks=tuple(AxisTick(tens / 10, f"{tens * 10}%") for tens in range(0, 11, 2))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDiagnosis:
    """One subject.

    Example: `[str(verdict) for verdict in subject.verdicts]`.
    """

    tables: SubjectTables
    verdicts: tuple[DiagnosisVerdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefAdvLine:
    """One way to score predictions for Ref-Adv.

    Example:
        >>> line = RefAdvLine(scoring="published", accuracies=(0.54, 0.4, 0.18), macc=0.3, miou=0.5)
        >>> line.accuracies[0]
        0.54
    """

    scoring: Literal["published", "corrected"]
    accuracies: tuple[float, float, float]
    """Acc@.5, Acc@.75 and Acc@.9."""
    macc: float
    miou: float

    @classmethod
    def of(cls, scoring: Literal["published", "corrected"], score: RefAdvScore) -> RefAdvLine:
        """From what `score_ref_adv` gave."""
        accuracy = score.overall.accuracy
        return cls(
            scoring=scoring,
            accuracies=(accuracy[0.5].value, accuracy[0.75].value, accuracy[0.9].value),
            macc=score.overall.mean_accuracy.value,
            miou=score.overall.mean_iou.value,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was measured, of every subject.

    Example:
        >>> diagnosis = build_diagnosis(outcomes, command="")  # doctest: +SKIP
        >>> diagnosis.subjects[0].verdicts[0].name  # doctest: +SKIP
        'beats chance'
    """

    command: str
    """Repeats it."""
    settings: Mapping[str, Any]
    """What the cases were made with."""
    subjects: tuple[SubjectDiagnosis, ...]
    ref_adv: tuple[RefAdvLine, ...] = ()
    """Predictions for Ref-Adv by its published scoring and by the corrected one."""
    failures: tuple[DrawnFailure, ...] = field(default=(), metadata={"json": False})
    """Drawn; of the first subject that has any."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return to_json(self)

    def write(self, folder: Path) -> Path:
        """Write `report.html`, `report.md` and `summary.json` into `folder`; returns the page."""
        text = encode_json(with_schema(self.to_dict()), indent=1)
        write_atomic(folder / "summary.json", f"{text}\n".encode())
        write_atomic(folder / "report.md", self.to_markdown().encode())
        return self.save_html(folder / "report.html")

    def save_html(self, path: Path) -> Path:
        """Write the page; returns its path."""
        page = render_document(
            load_templates("mmreason.evaluation", "refadv"),
            "page.html",
            self._page_values(),
            title="Diagnosis",
            width_rem=76,
            styles=("measures_style.html", "cases_style.html"),
        )
        return write_atomic(path, page.encode())

    def _repr_html_(self) -> str:
        return render_fragment(
            load_templates("mmreason.evaluation", "refadv"),
            "page.html",
            self._page_values(),
            styles=("measures_style.html", "cases_style.html"),
        )

    def to_markdown(self) -> str:
        """The same tables as one page of Markdown; of many subjects the most telling ones."""
        names = ", ".join(subject.tables.subject for subject in self.subjects)
        kind = self.subjects[0].tables.kind if self.subjects else ""
        blocks = [f"# Diagnosis of {_cell(names)}: {kind} items"]
        blocks += [f"```\n{show_line(self.command)}\n```", _METHOD]
        for name, header, rows in self.overview():
            blocks += [f"## {name}", _markdown_table(header, rows)]
        for subject in self.subjects:
            blocks += [f"## {_cell(subject.tables.subject)}"]
            blocks += ["\n".join(f"- {_cell(str(verdict))}" for verdict in subject.verdicts)]
            tables = subject_tables(subject.tables)
            for name, header, rows in tables if len(self.subjects) <= _MOST_IN_FULL else tables[:2]:
                blocks += [f"### {name}", _markdown_table(header, rows)]
        return "\n\n".join(blocks) + "\n"

    def overview(self) -> list[Table]:
        """One row a subject."""
        tables = _overview(self.subjects)
        if self.ref_adv:
            lines: list[Sequence[str]] = [
                (line.scoring, *(f"{v:.1%}" for v in (*line.accuracies, line.macc, line.miou)))
                for line in self.ref_adv
            ]
            header = ("", "Acc@.5", "Acc@.75", "Acc@.9", "mAcc", "mIoU")
            tables.append(("Ref-Adv, by both scorings", header, lines))
        return tables

    def _page_values(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "command": self.command,
            "method": _METHOD,
            "overview": self.overview(),
            "subjects": [
                {
                    "name": subject.tables.subject,
                    "verdicts": subject.verdicts,
                    "tables": subject_tables(subject.tables),
                }
                for subject in self.subjects
            ],
            "picture": _draw_curves(self.subjects),
            "failures": self.failures,
            "pick_words": PICK_WORDS,
        }


_METHOD = (
    "Right: the right object is chosen, whichever way its box is drawn (the candidate of largest "
    "overlap, at least 0.1). Acc@.5: its box overlaps the truth by half. Answers that fail or are "
    "no box count as wrong and stay in every share. Intervals are at 95 %, with items about one "
    "picture or video taken together; drops are paired on the same items. A hard distractor lacks "
    "one descriptor."
)


def build_diagnosis(
    outcomes: Sequence[CaseOutcome],
    *,
    command: str,
    settings: Mapping[str, Any] | None = None,
    failures: Sequence[DrawnFailure] = (),
    scores: RefAdvScores | None = None,
) -> Diagnosis:
    """The diagnosis of all subjects in `outcomes`, in the order in which they first occur."""
    groups: dict[str, list[CaseOutcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.subject, []).append(outcome)
    lines = []
    if scores is not None:
        lines = [RefAdvLine.of("corrected", scores.corrected)]
        if scores.published is not None:
            lines.insert(0, RefAdvLine.of("published", scores.published))
    all_tables = [build_tables(group) for group in groups.values()]
    return Diagnosis(
        command=command,
        settings=settings or {},
        subjects=tuple(SubjectDiagnosis(tables=t, verdicts=find_verdicts(t)) for t in all_tables),
        ref_adv=tuple(lines),
        failures=tuple(failures),
    )


def _overview(subjects: Sequence[SubjectDiagnosis]) -> list[Table]:
    """One row a subject."""
    rows: list[Sequence[str]] = []
    for subject in subjects:
        t = subject.tables
        rows.append(
            (
                t.subject,
                t.right.text,
                f"{t.floor.value:.1%}" if t.floor.n else "-",
                t.hits["Acc@.5"].text,
                _percent(t.hits["Acc@.75"]),
                _percent(t.hits["Acc@.9"]),
                _percent(t.hits["mAcc"]),
                _percent(t.hits["mIoU"]),
                t.none_accuracy.text,
                f"{t.items:,}",
                f"{t.errors:,}",
            )
        )
    header = ("", "right", "chance", "Acc@.5", "Acc@.75", "Acc@.9", "mAcc", "mIoU")
    tables: list[Table] = [("Overview", (*header, "none right", "items", "failed"), rows)]
    with_tubes = [subject.tables for subject in subjects if subject.tables.tubes]
    if with_tubes:
        names = list(with_tubes[0].tubes)
        cells: list[Sequence[str]] = [
            (t.subject, *(t.tubes[name].text for name in names)) for t in with_tubes
        ]
        tables.append(("Tubes", ("", *names), cells))
    return tables


def subject_tables(tables: SubjectTables) -> list[Table]:
    """All tables of one subject that have rows."""
    result: list[Table] = []
    if tables.changes:
        changes: list[Sequence[str]] = [
            (
                CHANGE_WORDS[row.change] + (f": {row.detail}" if row.detail else ""),
                row.before.text,
                row.after.text,
                row.drop.points,
                row.hit_drop.points,
                "-" if row.p_value is None else f"{row.p_value:.2g}",
                f"{row.drop.n:,}",
            )
            for row in tables.changes
        ]
        header = ("what is changed", "right", "still on it", "drop", "drop at Acc@.5", "p", "pairs")
        result.append(("What a change costs (points)", header, changes))
    if tables.twins:
        twins: list[Sequence[str]] = [
            (
                CHANGE_WORDS[row.change],
                row.both.text,
                f"{row.bound:.0%}",
                row.unmoved.text,
                f"{row.both.n:,}",
            )
            for row in tables.twins
        ]
        header = ("twin", "right over both", "who cannot tell, at most", "same object", "pairs")
        result.append(("Items and their twins", header, twins))
    for name, groups in tables.groups.items():
        # One value of a property tells no more than the overview.
        if len(groups) > 1:
            rows: list[Sequence[str]] = [
                (g.name, g.right.text, g.hit.text, f"{g.right.n:,}") for g in groups
            ]
            result.append((_GROUP_WORDS[name], ("", "right", "Acc@.5", "items"), rows))
    picks: list[Sequence[str]] = [
        (PICK_WORDS[pick], figure.text) for pick, figure in tables.picks.items()
    ]
    result.append(("What answers lie on", ("", "share of items"), picks))
    if tables.missed:
        missed: list[Sequence[str]] = [(name, f"{n:,}") for name, n in tables.missed.items()]
        result.append(("What the wrong choice lacks", ("descriptor", "answers"), missed))
    habits: list[Sequence[str]] = [
        (name, habit.share.text, f"{habit.chance.value:.1%}")
        for name, habit in tables.habits.items()
        if habit.share.n
    ]
    if habits:
        result.append(("Habits", ("the chosen one is", "of answers", "by chance"), habits))
    limits: list[Sequence[str]] = [
        (name, _percent(figure)) for name, figure in tables.ceiling.items() if figure.n
    ]
    if limits:
        result.append(("How well boxes are drawn", ("", "value"), limits))
    return result


def _draw_curves(subjects: Sequence[SubjectDiagnosis]) -> str:
    """Share right by descriptors and by candidates, as SVG; empty where neither varies."""
    panels = []
    for key, about in (("descriptors", "descriptors"), ("candidates", "candidates")):
        series = []
        for subject in subjects:
            points = [
                IntervalPoint(
                    x=float(group.name),
                    y=group.right.value,
                    interval=(group.right.low, group.right.high),
                    title=f"{subject.tables.subject}, {group.name} {about}: {group.right.text}",
                )
                for group in subject.tables.groups[key]
                if float(group.name) > 0
            ]
            if points:
                series.append(PointSeries(name=subject.tables.subject, points=points))
        values = sorted({point.x for line in series for point in line.points})
        if len(values) > 1:
            across = doubling_axis(values[0], values[-1], about)
            panels.append(LinePanel(series=series, across=across, up=_PERCENTS))
    if not panels:
        return ""
    names = [subject.tables.subject for subject in subjects]
    return render_svg(draw_line_charts("Right one chosen", panels, names, plot=(380, 260)))


def _percent(figure: ClusteredFigure) -> str:
    return f"{figure.value:.1%}" if figure.n else "-"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in (header, *rows)]
    lines.insert(1, "| --- |" + " ---: |" * (len(header) - 1))
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Foreign text as one line of Markdown that is no link, no element and no end of a cell."""
    return re.sub(r"[\\`<>&|\[\]]", r"\\\g<0>", show_line(text))

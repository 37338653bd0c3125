"""A run of a public benchmark as files: a page, a Markdown table, the figures as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason.evaluation.public.catalog import PublicBenchmark
from mmreason.evaluation.public.intervals import ClusteredShare
from mmreason.evaluation.public.items import BenchmarkQuestions
from mmreason.evaluation.public.summary import AccuracyRow, BenchmarkSummary
from mmreason.evaluation.scoring import Mean
from mmreason.json_values import encode_json, with_schema
from mmreason.video.files import write_atomic
from mmreason.video.plain_text import show_line, show_text
from mmreason.viz.pages import load_templates, render_document


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    """All that a report of a run tells.

    Example:
        >>> BenchmarkReport(
        ...     benchmark=benchmark, questions=questions, summary=summary, settings={},
        ...     command="mmreason eval public lvbench LVBench --out runs/lvbench",
        ... ).write(Path("runs/lvbench"))  # doctest: +SKIP
        PosixPath('runs/lvbench/report.html')
    """

    benchmark: PublicBenchmark
    questions: BenchmarkQuestions
    summary: BenchmarkSummary
    settings: Mapping[str, Any]
    """As `run.json` has them."""
    command: str

    def write(self, folder: Path) -> Path:
        """Write `report.html`, `report.md`, `summary.json` and, where rows could not be used,
        `problems.txt`; returns the page."""
        figures = self.summary.to_dict() | {"settings": self.settings, "command": self.command}
        text = encode_json(with_schema(figures), indent=1)
        write_atomic(folder / "summary.json", f"{text}\n".encode())
        write_atomic(folder / "report.md", self.to_markdown().encode())
        # All of them: the terminal names the first only.
        if self.questions.problems:
            lines = "\n".join(self.questions.problems)
            write_atomic(folder / "problems.txt", show_text(f"{lines}\n").encode())
        page = render_document(
            load_templates("mmreason.evaluation", "public"),
            "page.html",
            self._page_values(),
            title=f"{self.benchmark.title}: {self.model_name}",
            width_rem=64,
        )
        return write_atomic(folder / "report.html", page.encode())

    def to_markdown(self) -> str:
        """The same tables as one page of Markdown."""
        blocks = [f"# {self.benchmark.title}: {_cell(self.model_name)}"]
        blocks += [_cell(sentence) for sentence in self.sentences()]
        for title, header, rows in self.tables():
            cells = ["| " + " | ".join(map(_cell, row)) + " |" for row in (header, *rows)]
            cells.insert(1, "| --- |" + " ---: |" * (len(header) - 1))
            blocks += [f"## {title}", "\n".join(cells)]
        blocks.append(f"```\n{show_line(self.command)}\n```")
        return "\n\n".join(blocks) + "\n"

    @property
    def model_name(self) -> str:
        """Of the model that looks."""
        roles = self.settings.get("roles", {})
        return str(roles.get("observer", {}).get("name", "")) or "model"

    def tables(self) -> list[tuple[str, Sequence[str], list[Sequence[str]]]]:
        """(title, header, rows) of each table that has rows."""
        summary = self.summary
        header = ("", "strict", "95 %", "lenient", "95 %", "questions", "videos")
        tables: list[tuple[str, Sequence[str], list[Sequence[str]]]] = []
        sections = (
            ("Accuracy", (summary.overall,) if summary.overall.strict.n else ()),
            ("By kind of question", summary.by_category),
            ("By length of video", summary.by_duration),
        )
        # Benchmarks without kinds or lengths have no empty tables.
        for title, rows in sections:
            if rows:
                tables.append((title, header, [_accuracy_cells(row) for row in rows]))
        if summary.group_ratings:
            rated: list[Sequence[str]] = [
                (r.name, f"{r.strict:.1f}", f"{r.lenient:.1f}", f"{r.groups:,}")
                for r in summary.group_ratings
            ]
            tables.append(("Grouped rating", ("", "strict", "lenient", "groups"), rated))
        costs = (
            ("frames shown", summary.frames),
            ("tokens", summary.tokens),
            ("model calls", summary.model_calls),
            ("seconds", summary.seconds),
            ("evidence tIoU", summary.evidence_iou),
        )
        means: list[Sequence[str]] = [(name, _mean_cell(m)) for name, m in costs if m.n]
        if means:
            tables.append(("A question, on average", ("", "mean"), means))
        settings: list[Sequence[str]] = [
            (name, json.dumps(value, ensure_ascii=False)) for name, value in self.settings.items()
        ]
        return [*tables, ("Settings", ("", "value"), settings)]

    def sentences(self) -> list[str]:
        """What was asked, what is missing, and how the tables count."""
        summary, (present, named) = self.summary, self.questions.found_videos
        lines = [
            f"{summary.asked:,} of {len(self.questions.items):,} questions asked; {present:,} of "
            f"{named:,} videos found; {len(self.questions.problems):,} rows not used.",
            f"Failed: {summary.failed:,}; declined: {summary.abstained:,}; both count as wrong. "
            f"The benchmark's rule finds no option in {summary.unread_strictly:,} of the others. "
            f"Without a published answer, and not scored: {summary.unscored:,}.",
        ]
        policies = ", ".join(f"{name} {count:,}" for name, count in summary.policies.items())
        if policies:
            lines.append(f"Answered by {policies}, with mmreason {', '.join(summary.versions)}.")
        if summary.overall.strict.n:
            lines.append(
                "Strict: the benchmark's own rule. Lenient: the reader of mmreason. Guessing "
                f"gives {summary.chance:.1%}. Intervals are at 95 %, with questions about one "
                "video taken together."
            )
        if summary.category_means is not None and not math.isnan(summary.category_means[0]):
            strict, lenient = summary.category_means
            lines.append(f"Mean over kinds: {strict:.1%} strict, {lenient:.1%} lenient.")
        if summary.judged.n or summary.unjudged:
            lines.append(
                f"Open answers that the judge takes for right: {summary.judged}; without a "
                f"verdict: {summary.unjudged:,}."
            )
        if summary.incomplete_groups:
            lines.append(f"{summary.incomplete_groups:,} groups are not whole, and not rated.")
        return lines

    def _page_values(self) -> dict[str, Any]:
        return {
            "title": self.benchmark.title,
            "model": self.model_name,
            "sentences": self.sentences(),
            "tables": self.tables(),
            "command": self.command,
        }


def _accuracy_cells(row: AccuracyRow) -> Sequence[str]:
    return (
        row.name,
        f"{row.strict.value:.1%}",
        _interval(row.strict),
        f"{row.lenient.value:.1%}",
        _interval(row.lenient),
        f"{row.strict.n:,}",
        f"{row.strict.clusters:,}",
    )


def _interval(share: ClusteredShare) -> str:
    low, high = share.interval
    return f"{low:.1%} to {high:.1%}"


def _mean_cell(mean: Mean) -> str:
    return f"{mean.value:,.3f}" if mean.value < 10 else f"{mean.value:,.1f}"


def _cell(text: str) -> str:
    """Foreign text as one line of Markdown that is no link, no element and no end of a cell."""
    return re.sub(r"[\\`<>&|\[\]]", r"\\\g<0>", show_line(text))

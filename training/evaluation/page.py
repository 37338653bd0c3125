"""The page of an evaluation: scores, the audit, and failing cases with what the model was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason import __version__
from mmreason.library.thumbnails import to_data_url
from mmreason.models.base import ClipRecipe, FramesPart
from mmreason.tools.calls import FAILURES
from mmreason.training.data.conversation import to_conversation
from mmreason.training.data.sample import Sample, SampleMessage
from mmreason.training.evaluation.compare import ScoresComparison
from mmreason.training.evaluation.rows import EvalRow
from mmreason.training.evaluation.summary import ProblemScores
from mmreason.training.evaluation.tables import (
    audit_tables,
    comparison_tables,
    score_tables,
)
from mmreason.video.files import write_atomic
from mmreason.video.sheet import jpeg_bytes
from mmreason.video.types import format_time
from mmreason.viz.pages import load_templates, render_document

MOST_FAILING = 12
"""Questions that are shown with their frames."""
_FRAMES = ClipRecipe(frames=4, leaf_s=4.0, longest_px=240)
_QUALITY = 75
_MOST_CHARACTERS = 600
"""Of a question or a reply on the page; the rest is in the rows."""

METHOD = (
    "Strict: the reply is the right answer in the form asked, and no word more. Lenient: the one "
    "reader that rewards and the agent use finds the right answer in it. Intervals are at 95 %, "
    "with questions about one video taken together. Rows that could not be asked count as wrong "
    "where it says so, and never silently."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingCase:
    """A question that was answered wrongly.

    Example: `FailingCase(...).pictures[0].url` begins with "data:image/jpeg".
    """

    row: EvalRow
    pictures: tuple[CasePicture, ...]
    """Some frames of what the row shows; none where it shows nothing, or cannot be read."""

    @property
    def question(self) -> str:
        """Cut where it is long."""
        return _cut(self.row.question)

    @property
    def reply(self) -> str:
        """Cut where it is long."""
        return _cut(self.row.reply)


@dataclass(frozen=True, slots=True)
class CasePicture:
    """A frame.

    Example: `CasePicture("data:image/jpeg;base64,...", "0:03.5").caption`.
    """

    url: str
    caption: str


def find_failing(
    scores: ProblemScores, samples: Sequence[Sample], most: int = MOST_FAILING
) -> tuple[FailingCase, ...]:
    """Questions that are wrong by the lenient reader, of each kind of answer in turn."""
    sample_of = {sample.id: sample for sample in samples}
    wrong = [row for row in scores.main_rows if row.lenient is False]
    kinds = {row.kind: [r for r in wrong if r.kind == row.kind] for row in wrong}
    chosen: list[EvalRow] = []
    while len(chosen) < most and any(kinds.values()):
        chosen += [rows.pop(0) for rows in kinds.values() if rows]
    return tuple(
        FailingCase(row=row, pictures=_pictures(sample_of.get(row.id))) for row in chosen[:most]
    )


def save_page(
    scores: ProblemScores,
    path: Path,
    *,
    command: str = "",
    failing: Sequence[FailingCase] = (),
    comparison: ScoresComparison | None = None,
) -> Path:
    """Write the page of a run; returns its path."""
    values: dict[str, Any] = {
        "version": __version__,
        "command": command,
        "method": METHOD,
        "name": scores.name,
        "tables": score_tables(scores),
        "audit": None if scores.audit is None else audit_tables(scores.audit),
        "audited": 0 if scores.audit is None else scores.audit.questions,
        "comparison": None if comparison is None else comparison_tables(comparison),
        "verdict": "" if comparison is None else comparison.verdict,
        "failing": failing,
        "settings": list(_flat(scores.settings)),
    }
    return _write(path, values, f"Evaluation of {scores.name}")


def save_comparison(comparison: ScoresComparison, path: Path, *, command: str = "") -> Path:
    """Write the page of a comparison alone; returns its path."""
    values: dict[str, Any] = {
        "version": __version__,
        "command": command,
        "method": METHOD,
        "name": f"{comparison.first} and {comparison.second}",
        "tables": [],
        "audit": None,
        "audited": 0,
        "comparison": comparison_tables(comparison),
        "verdict": comparison.verdict,
        "failing": (),
        "settings": [],
    }
    return _write(path, values, "Comparison")


def _write(path: Path, values: Mapping[str, Any], title: str) -> Path:
    page = render_document(
        load_templates("mmreason.training", "evaluation"),
        "page.html",
        values,
        title=title,
        width_rem=76,
        styles=("measures_style.html", "page_style.html"),
    )
    return write_atomic(path, page.encode())


def _pictures(sample: Sample | None) -> tuple[CasePicture, ...]:
    pictures: list[CasePicture] = []
    for medium in () if sample is None else sample.media:
        try:
            shown = to_conversation([SampleMessage(role="user", parts=(medium,))], _FRAMES)
        except FAILURES:
            continue  # a picture beside a table is not worth an error
        for part in shown[0].parts:
            if isinstance(part, FramesPart):
                frames = part.frames
                pictures += [
                    CasePicture(to_data_url(jpeg_bytes(pixels, _QUALITY)), format_time(time_s))
                    for pixels, time_s in zip(
                        frames.pixels, map(float, frames.times_s), strict=True
                    )
                ]
        if len(pictures) >= _FRAMES.frames:
            break
    return tuple(pictures[: _FRAMES.frames])


def _cut(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + " [...]"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, str(value)))
    return rows

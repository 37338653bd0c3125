"""`mmreason data check`: data sets of referring expressions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import print_json, print_line, show_progress
from mmreason.grounding.formats.annotated_images import ImageReport
from mmreason.grounding.formats.rows import Form, RowError
from mmreason.grounding.formats.shared_media import SharedMedia
from mmreason.json_values import to_json

if TYPE_CHECKING:
    from mmreason.grounding.formats import DetectedForm, OpenedFile, ReferringRow

MOST_SHOWN = 10
"""Of one kind of finding, for people; JSON has all."""

FormName = Annotated[
    Form | None, typer.Option("--form", help="What the file is to be; default: by its content.")
]
Boxes = Annotated[
    Path | None,
    typer.Option(
        "--boxes", help="Boxes or masks, where the form keeps them in another file or folder."
    ),
]
Fps = Annotated[
    float | None,
    typer.Option("--fps", min=0.001, help="Rate of numbered frames, where no file says it."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """One file of referring expressions, and what is in it."""

    file: str
    form: Form
    reason: str
    """By what the form was told."""
    rows: int
    """Expressions that could be read."""
    no_target: int
    """Of them, those that refer to nothing."""
    several_targets: int
    without_truth: int
    media: int
    """Different images or videos."""
    mended: tuple[RowError, ...]
    """Rows with boxes that were clipped, or clocks that disagree."""
    errors: tuple[RowError, ...]
    """Rows that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCheckOutput:
    """What is in files of referring expressions, and what is wrong with it."""

    files: tuple[CheckedFile, ...]
    shared: tuple[SharedMedia, ...]
    """Images and videos that several splits have rows about; files without splits are one each."""
    images: tuple[ImageReport, ...]
    """Of images that are annotated with attributes or expressions."""
    problems: int
    """Rows that could not be read, media in several splits, expressions that are ambiguous,
    redundant or wrong."""


def check_referring(
    files: Sequence[Path], form: Form | None, boxes: Path | None, fps: float | None, as_json: bool
) -> None:
    """Check data sets of referring expressions: bad rows, images shared between splits, and, of
    annotated images, look-alikes and expressions that are ambiguous or say too much.

    Exit code 1 where a problem was found.
    """
    from mmreason.grounding.formats import find_shared_media

    tallies: list[_Tally] = []
    # Rows pass by one at a time: a data set need not fit into memory.
    shared = find_shared_media(_read_files(files, form, boxes, fps, tallies))
    checked = [tally.to_output() for tally in tallies]
    reports = [report for tally in tallies for report in tally.images]
    flagged = [c for report in reports for c in report.expressions if c.status in _PROBLEMS]
    output = DataCheckOutput(
        files=tuple(checked),
        shared=shared,
        images=tuple(reports),
        problems=sum(len(each.errors) for each in checked) + len(shared) + len(flagged),
    )
    if as_json:
        print_json(to_json(output))
    else:
        for line in describe_check(output):
            print_line(line)
    if output.problems:
        raise typer.Exit(1)


_PROBLEMS = ("ambiguous", "redundant", "wrong")


def open_form(path: Path, form: Form | None) -> OpenedFile:
    """A data set whose form is known. Raises UsageError."""
    from mmreason.grounding.formats import FormError, open_rows
    from mmreason.types import UsageError

    try:
        return open_rows(path, form)
    except FormError as error:
        raise UsageError(str(error)) from error


@dataclass(slots=True)
class _Tally:
    """What was counted of one file so far."""

    path: Path
    detected: DetectedForm
    rows: int = 0
    no_target: int = 0
    several_targets: int = 0
    without_truth: int = 0
    media: set[str] = field(default_factory=set)
    mended: list[RowError] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    images: list[ImageReport] = field(default_factory=list)

    def add(self, row: ReferringRow) -> None:
        self.rows += 1
        self.no_target += row.is_no_target
        self.several_targets += len(row.boxes_px) + len(row.tubes) > 1
        self.without_truth += not row.truth_known
        self.media.add(row.media_id)
        self.mended += [RowError(row.source, row.row, note) for note in row.notes]

    def to_output(self) -> CheckedFile:
        return CheckedFile(
            file=str(self.path),
            form=self.detected.form,
            reason=self.detected.reason,
            rows=self.rows,
            no_target=self.no_target,
            several_targets=self.several_targets,
            without_truth=self.without_truth,
            media=len(self.media),
            mended=tuple(self.mended),
            errors=tuple(self.errors),
        )


def _read_files(
    files: Sequence[Path],
    form: Form | None,
    boxes: Path | None,
    fps: float | None,
    tallies: list[_Tally],
) -> Iterator[ReferringRow]:
    """The rows of all files; what is counted of each is added to `tallies`."""
    from mmreason.grounding.formats import FormError, rows_of
    from mmreason.types import UsageError

    for path in files:
        with show_progress(f"reading {path.name}"):
            opened = open_form(path, form)
            tally = _Tally(path, opened.detected)
            tallies.append(tally)
            try:
                for reading in rows_of(opened, boxes=boxes, fps_hz=fps):
                    if isinstance(reading, RowError):
                        tally.errors.append(reading)
                    else:
                        tally.add(reading)
                        yield reading
            except FormError as error:
                raise UsageError(str(error)) from error
            _report_images(opened, tally)


def _report_images(opened: OpenedFile, tally: _Tally) -> None:
    """What a COCO file's annotated images hold."""
    from mmreason.grounding.formats.annotated_images import read_annotated_images, report_image

    if opened.detected.form is not Form.COCO:
        return
    bad_rows = {error.row for error in tally.errors}
    for image in read_annotated_images(opened.document, str(opened.path)):
        if not isinstance(image, RowError):
            tally.images.append(report_image(image))
        elif image.row not in bad_rows:  # a bad box was told as a row already
            tally.errors.append(image)


def describe_check(output: DataCheckOutput) -> list[str]:
    """A check for people, line by line.

    Example:
        >>> describe_check(DataCheckOutput(files=(), shared=(), images=(), problems=0))
        ['no problems']
    """
    from mmreason.report.text import format_count

    lines = []
    for each in output.files:
        lines.append(f"{each.file}: {each.form} ({each.reason})")
        lines.append(
            f"  {format_count(each.rows, 'expression')}, {each.media:,} images or videos; "
            f"{each.no_target:,} without target, {each.several_targets:,} with several, "
            f"{each.without_truth:,} without known truth"
        )
        lines += list_some("mended", each.mended)
        lines += list_some("not read", each.errors)
    lines += list_some("in several splits", output.shared)
    for report in output.images:
        lines += _describe_image(report)
    count = output.problems
    return [*lines, "no problems" if not count else format_count(count, "problem")]


def _describe_image(report: ImageReport) -> list[str]:
    from mmreason.report.text import format_count

    lines = [f"{report.image}: {format_count(report.objects, 'object')}"]
    pairs = [
        f"{pair.first} and {pair.second} ({pair.category}): "
        + (f"differ in {', '.join(pair.differ)}" if pair.differ else "nothing tells them apart")
        for pair in report.look_alikes
    ]
    lines += list_some("look alike", pairs)
    described = [
        f"{each.target}: {', '.join(str(d) for d in each.descriptors) or 'is alone'}"
        + ("" if each.is_smallest else " (perhaps not the smallest)")
        if each.is_sufficient
        else f"{each.target}: none, {', '.join(each.twins)} fit all that is known of it"
        for each in report.descriptions
    ]
    lines += list_some("smallest descriptions", described)
    expressions = [
        f"{check.status}: {check.expression!r}: {check.reason}"
        for check in report.expressions
        if check.status != "good"
    ]
    return lines + list_some("expressions", expressions)


def list_some(name: str, findings: Iterable[object]) -> list[str]:
    """Findings under a heading, the first ones in full."""
    texts = [str(finding) for finding in findings]
    if not texts:
        return []
    lines = [f"  {name} ({len(texts):,}):", *(f"    {text}" for text in texts[:MOST_SHOWN])]
    if len(texts) > MOST_SHOWN:
        lines.append(f"    and {len(texts) - MOST_SHOWN:,} more")
    return lines

"""`mmreason data convert`: a data set in another dialect of fine-tuning, or in another form of
referring expressions. The kind of `--to` decides which of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import (
    Json,
    print_json,
    print_line,
    print_notice,
    quiet_libraries,
    show_progress,
)
from mmreason.cli.data_referring import Boxes, FormName, Fps, list_some, open_form
from mmreason.grounding.formats.convert import WrittenForm
from mmreason.grounding.formats.rows import Form, RowError
from mmreason.json_values import to_json
from mmreason.types import UsageError

if TYPE_CHECKING:
    from mmreason.training.data.sample import Sample

MOST_WARNED_OF = 10
"""Samples without their file that are named; the rest is counted."""


class ConvertTarget(StrEnum):
    """What a data set may become: a dialect of docs/own_data.md, or a form of
    docs/grounding_data.md."""

    PROBLEMS = "problems"
    LLAVA = "llava"
    TWO_U1 = "2u1"
    SHAREGPT = "sharegpt"
    MS_SWIFT = "ms-swift"
    MESSAGES = "messages"
    VIDEO_R1 = "video-r1"
    EASYR1 = "easyr1"
    VERL = "verl"
    ONETHINKER = "onethinker"
    TRL = "trl"
    ROWS = "rows"
    COCO = "coco"
    ODVG = "odvg"
    VIDSTG = "vidstg"
    MOT = "mot"
    LABEL_STUDIO = "label-studio"
    FIFTYONE = "fiftyone"
    WEBVTT = "webvtt"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConvertOutput:
    """What was written in another dialect or form."""

    files: tuple[str, ...]
    source: str
    """The dialect or form of the file that was read."""
    reason: str
    """By what it was told."""
    form: str
    """The dialect or form that was written."""
    rows: int
    """Written."""
    notes: tuple[str, ...]
    """What to know of the file that was read, and of how others will read the new one."""
    skipped: tuple[RowError, ...]
    """Rows that the dialect or form cannot hold."""
    errors: tuple[RowError, ...]
    """Rows that could not be read."""
    missing: dict[str, str]
    """Files that are not there, by the id of the row that names them first."""


def convert_data(
    source: Annotated[
        Path, typer.Argument(help="A data set in any dialect of docs/own_data.md or form.")
    ],
    to: Annotated[ConvertTarget, typer.Option("--to", help="The dialect or form to write.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    dialect: Annotated[
        str | None,
        typer.Option("--from", help="The dialect of SOURCE; default: by its content."),
    ] = None,
    media_root: Annotated[
        Path | None, typer.Option("--media-root", help="Folder that relative paths start from.")
    ] = None,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Name files in full, not from the folder of --out.")
    ] = False,
    form: FormName = None,
    boxes: Boxes = None,
    fps: Fps = None,
    split: Annotated[
        str | None, typer.Option(help="Of referring expressions: only the rows of this split.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a data set in another dialect of fine-tuning, or in another form of referring
    expressions. Rows that cannot be read or held are told; the rest is written."""
    from mmreason.video.files import check_writable

    quiet_libraries()
    check_writable(out)
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{out}: is the very file that is to be read; give another name")
    if to.value in {item.value for item in WrittenForm}:
        _refuse_options(to, {"--from": dialect, "--media-root": media_root})
        output = _convert_form(source, out, WrittenForm(to.value), form, boxes, fps, split)
    else:
        _refuse_options(to, {"--form": form, "--boxes": boxes, "--fps": fps, "--split": split})
        output = _convert_dialect(source, out, to.value, dialect, media_root, absolute=absolute)
    if as_json:
        print_json(to_json(output))
        return
    for line in describe_conversion(output):
        print_line(line)
    _warn_of_missing(output.missing)


def describe_conversion(output: DataConvertOutput) -> list[str]:
    """A conversion for people, line by line.

    Example:
        >>> output = DataConvertOutput(files=("b.jsonl",), source="llava", reason="2 of 2 rows",
        ...     form="problems", rows=2, notes=(), skipped=(), errors=(), missing={})
        >>> describe_conversion(output)
        ['2 rows of llava (2 of 2 rows) as problems: b.jsonl']
    """
    from mmreason.report.text import format_count

    read = f"{format_count(output.rows, 'row')} of {output.source} ({output.reason})"
    return [
        f"{read} as {output.form}: {', '.join(output.files)}",
        *(f"  note: {note}" for note in output.notes),
        *list_some("not held", output.skipped),
        *list_some("not read", output.errors),
    ]


def _refuse_options(to: StrEnum, options: dict[str, object]) -> None:
    """What says nothing about the kind of data set must not look as if it did."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UsageError(f"{given[0]} says nothing where a file is written as {to.value}")


def _convert_dialect(
    source: Path,
    out: Path,
    to: str,
    dialect: str | None,
    media_root: Path | None,
    *,
    absolute: bool,
) -> DataConvertOutput:
    from mmreason.training.data.dialects.detect import open_samples
    from mmreason.training.data.dialects.write import write_samples
    from mmreason.training.data.sample import RowFault, Sample

    with show_progress(f"reading {source.name}"):
        opened = open_samples(source, dialect, media_root=media_root)
        rows = list(opened.rows())
    samples = [row for row in rows if isinstance(row, Sample)]
    faults = [row for row in rows if isinstance(row, RowFault)]
    if not samples:
        first = f": {faults[0]}" if faults else ""
        raise UsageError(f"{source}: is {opened.dialect}, and no row of it can be read{first}")
    written = write_samples(out, samples, to, paths="absolute" if absolute else "relative")
    return DataConvertOutput(
        files=(str(written.path),),
        source=str(opened.dialect),
        reason=opened.reason,
        form=to,
        rows=written.rows,
        notes=(*opened.notes, *written.notes),
        skipped=tuple(map(_to_error, written.faults)),
        errors=tuple(map(_to_error, faults)),
        missing=_missing_files(samples),
    )


def _to_error(fault: object) -> RowError:
    from mmreason.training.data.sample import RowFault

    assert isinstance(fault, RowFault)
    return RowError(fault.source.file, fault.source.row, fault.reason)


def _missing_files(samples: Sequence[Sample]) -> dict[str, str]:
    """Told, not refused: rows are often written on another machine than the one that trains."""
    is_there: dict[str, bool] = {}
    missing: dict[str, str] = {}
    for sample in samples:
        for medium in sample.media:
            for path in medium.paths:
                if path not in is_there:
                    is_there[path] = "://" in path or _is_file(path)
                if not is_there[path]:
                    missing.setdefault(sample.id, path)
    return missing


def _is_file(path: str) -> bool:
    """False too for a name that no file can have."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _warn_of_missing(missing: dict[str, str]) -> None:
    """Say on stderr which rows (id: path) name a file that is not there."""
    from mmreason.report.text import format_count

    if not missing:
        return
    verb = "names" if len(missing) == 1 else "name"
    print_notice(f"warning: {format_count(len(missing), 'row')} {verb} a file that is not there:")
    for row_id, path in list(missing.items())[:MOST_WARNED_OF]:
        print_notice(f"  {row_id}: {path}")
    if len(missing) > MOST_WARNED_OF:
        print_notice(f"  and {len(missing) - MOST_WARNED_OF:,} more")


def _convert_form(
    source: Path,
    out: Path,
    to: WrittenForm,
    form: Form | None,
    boxes: Path | None,
    fps: float | None,
    split: str | None,
) -> DataConvertOutput:
    from mmreason.grounding.formats import FormError, ReferringRow, rows_of
    from mmreason.grounding.formats.convert import convert_rows

    opened = open_form(source, form)
    try:
        readings = list(rows_of(opened, boxes=boxes, fps_hz=fps))
        rows = [
            reading
            for reading in readings
            if isinstance(reading, ReferringRow) and split in (None, reading.split)
        ]
        if split is not None and not rows:
            raise FormError(f"{source}: no row is of the split {split!r}")
        converted = convert_rows(rows, to, out, fps_hz=fps)
    except FormError as error:
        raise UsageError(str(error)) from error
    return DataConvertOutput(
        files=tuple(str(path) for path in converted.paths),
        source=str(opened.detected.form),
        reason=opened.detected.reason,
        form=str(to),
        rows=converted.rows,
        notes=(),
        skipped=converted.skipped,
        errors=tuple(reading for reading in readings if isinstance(reading, RowError)),
        missing={},
    )

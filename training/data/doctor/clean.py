"""A clean copy of a data set, and a list of what it leaves out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmreason.json_lines import encode_json_line
from mmreason.training.data.dialects.rows import Dialect
from mmreason.training.data.dialects.write import ENDINGS, write_samples
from mmreason.training.data.doctor.findings import Finding
from mmreason.training.data.doctor.sample_file import SampleFile
from mmreason.training.data.sample import Sample
from mmreason.video.files import write_atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanCopy:
    """What was written.

    Example:
        >>> CleanCopy(path="clean.json", rows=95, left_out=5, list_path="l.jsonl", notes=()).rows
        95
    """

    path: str
    rows: int
    left_out: int
    list_path: str
    """JSON lines: each row that is left out, with all reasons."""
    notes: tuple[str, ...]


def write_clean_copy(file: SampleFile, findings: Sequence[Finding], out: Path) -> CleanCopy:
    """The rows of a data set without those that have a problem, in its dialect. Raises UsageError
    where nothing is left, or where the ending of `out` is not of the dialect."""
    reasons: defaultdict[int, list[str]] = defaultdict(list)
    for finding in findings:
        is_of_row = finding.source.file == file.name and finding.source.row
        if finding.level == "problem" and is_of_row:
            reasons[finding.source.row].append(f"{finding.kind}: {finding.reason}")
    kept = [sample for sample in file.samples if sample.source.row not in reasons]
    dialect, notes = writable_dialect(file.dialect)
    written = write_samples(out, kept, dialect)
    for fault in written.faults:
        reasons[fault.source.row].append(fault.reason)
    ids = {sample.source.row: sample.id for sample in file.samples}
    rows = [
        {"file": file.name, "row": row, "id": ids.get(row), "reasons": reasons[row]}
        for row in sorted(reasons)
    ]
    list_path = out.with_name(f"{out.name}.left_out.jsonl")
    write_atomic(list_path, b"".join(map(encode_json_line, rows)))
    return CleanCopy(
        path=str(out),
        rows=written.rows,
        left_out=len(rows),
        list_path=str(list_path),
        notes=(*notes, *written.notes),
    )


def writable_dialect(name: str) -> tuple[Dialect, tuple[str, ...]]:
    """The dialect that rows of another are written in, and a note where it is not the same."""
    dialect = Dialect(name)
    if dialect in ENDINGS:
        return dialect, ()
    return Dialect.PROBLEMS, (f"{name} is read and not written: the copy is a file of problems",)


def write_rows(path: Path, samples: Sequence[Sample], dialect: str) -> tuple[str, ...]:
    """Samples in the dialect that they came in; what other programs will see otherwise."""
    target, notes = writable_dialect(dialect)
    return (*notes, *write_samples(path, samples, target).notes)

"""Data sets whose dialect is told by their content, and their rows as samples.

opened = open_samples("train.json")
print(opened.dialect, opened.reason, *opened.notes)
for row in opened.rows():                    # Sample | RowFault
    ...
"""

from __future__ import annotations

import itertools
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mmreason.training.data.dialects.dataset_info import FILE_NAME, read_dataset_info
from mmreason.training.data.dialects.files import RawRow, first_rows, open_raw
from mmreason.training.data.dialects.readers import READERS
from mmreason.training.data.dialects.recognise import Recognised, recognise_row
from mmreason.training.data.dialects.referring import MakeRows, open_referring
from mmreason.training.data.dialects.rows import Dialect, RowContext, read_dialect
from mmreason.training.data.dialects.traps import find_traps
from mmreason.training.data.sample import RowFault, Sample, SourceLine
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

ROWS_LOOKED_AT = 200
"""Of a file, until its dialect is told."""
ROWS_FOR_ROOT = 20
"""With files, by which the folder is told that their paths start from."""
REFERRING = (Dialect.COCO, Dialect.VIDSTG, Dialect.CHARADES_STA)
"""Read as whole files, by `referring.py`."""
MOST_NAMED = 3
"""Faults that an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSamples:
    """A data set whose dialect is known, and of which nothing is refused yet.

    Example:
        >>> opened = open_samples("train.json")  # doctest: +SKIP
        >>> opened.dialect, opened.reason  # doctest: +SKIP
        (<Dialect.LLAVA: 'llava'>, "200 of 200 rows have 'conversations' and 'video'")
    """

    path: Path
    dialect: Dialect
    container: str
    """"JSON", "JSON lines", "Parquet", "CSV", "TSV" or a folder of `datasets`."""
    reason: str
    """By what the dialect was told."""
    notes: tuple[str, ...]
    """What people fall over, each a line: rows of another dialect, empty columns that change what
    is read, paths that start from another folder."""
    media_root: Path
    """Folder that relative paths start from."""
    _make_rows: MakeRows = field(repr=False)

    def rows(self) -> Iterator[Sample | RowFault]:
        """Each row as a sample, or why it is none; as often as need be. A row whose id another one
        had before is a fault."""
        row_of_id: dict[str, SourceLine] = {}
        for row in self._make_rows(self.media_root):
            if isinstance(row, Sample):
                # What looks the same is the same: one id may be written in several ways.
                key = unicodedata.normalize("NFC", row.id)
                first = row_of_id.setdefault(key, row.source)
                if first is not row.source:
                    reason = f"the id {show_line(row.id)[:60]!r} is that of row {first.row}"
                    row = RowFault(row.source, reason)
            yield row


@dataclass(frozen=True, slots=True)
class ReadSamples:
    """All samples of one or several data sets.

    Example:
        >>> ReadSamples((), ()).faults
        ()
    """

    samples: tuple[Sample, ...]
    faults: tuple[RowFault, ...]
    """Rows that could not be read."""


def open_samples(
    path: str | Path, dialect: Dialect | str | None = None, *, media_root: str | Path | None = None
) -> OpenedSamples:
    """A file or folder whose dialect is known, by its content where `dialect` is None. Relative
    paths are meant from `media_root`, else from the file's folder or the one above, whichever has
    the files. Raises UsageError for what is no data set that is known."""
    path, asked_for = Path(path), None if dialect is None else read_dialect(dialect)
    if path.suffix.lower() == ".txt" and path.is_file():
        referring = open_referring(path, None)
        if referring is None:
            raise UsageError(f"{show_line(str(path))}: is text, and no lines of Charades-STA")
        return _open(path, "lines", *referring, media_root=media_root, asked_for=asked_for)
    raw = open_raw(path)
    rows = first_rows(raw, ROWS_LOOKED_AT)
    info = read_dataset_info(path)
    values = [row.value for row in rows if isinstance(row.value, dict)]
    recognised = [recognise_row(value) for value in values]
    if asked_for in (None, *REFERRING) and not any(each.dialects for each in recognised):
        referring = open_referring(path, raw.document) if path.is_file() else None
        if referring is not None:
            container = raw.container
            return _open(path, container, *referring, media_root=media_root, asked_for=asked_for)
    if asked_for in REFERRING:
        raise UsageError(f"{show_line(str(path))}: is no file of {asked_for}")
    notes: list[str] = []
    if asked_for is not None:
        told, reason = asked_for, "as it was asked for"
    elif info is not None:
        told, reason = Dialect.SHAREGPT, f"{FILE_NAME} beside it has it as {show_line(info.name)!r}"
    elif not any(each.dialects for each in recognised):
        raise UsageError(_unknown(path, rows))
    else:
        told, reason, notes = _tell_dialect(recognised)
    packed = len({row.number for row in rows if row.packed_index is not None})
    if packed:
        notes.append(f"{packed} of the first rows pack several; each is a sample of its own")
    notes += find_traps(told, values)

    def make_rows(root: Path) -> Iterator[Sample | RowFault]:
        for row in raw.rows():
            context = RowContext(
                source=SourceLine(str(path), row.number),
                root=root,
                packed_index=row.packed_index,
                tags=None if info is None else info.tags,
                columns={} if info is None else info.columns,
            )
            yield _read_row(row, told, context, is_given=info is not None)

    return _open(path, raw.container, told, reason, make_rows, notes=notes, media_root=media_root)


def _open(
    path: Path,
    container: str,
    dialect: Dialect,
    reason: str,
    make_rows: MakeRows,
    *,
    media_root: str | Path | None,
    notes: Sequence[str] = (),
    asked_for: Dialect | None = None,
) -> OpenedSamples:
    if asked_for is not None and asked_for is not dialect:
        raise UsageError(f"{show_line(str(path))}: is {dialect} ({reason}), not {asked_for}")
    root, root_notes = _choose_root(make_rows, _roots(path, media_root))
    return OpenedSamples(
        path=path,
        dialect=dialect,
        container=container,
        reason=reason,
        notes=(*notes, *root_notes),
        media_root=root,
        _make_rows=make_rows,
    )


def read_samples(
    paths: str | Path | Sequence[str | Path],
    *,
    dialect: Dialect | str | None = None,
    media_root: str | Path | None = None,
    bad_rows: Literal["refuse", "skip"] = "refuse",
) -> ReadSamples:
    """The samples of one or several data sets. Raises UsageError where nothing can be read and,
    unless bad rows are to be skipped, where a row is a fault."""
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    rows = [
        row for file in files for row in open_samples(file, dialect, media_root=media_root).rows()
    ]
    samples = tuple(row for row in rows if isinstance(row, Sample))
    faults = tuple(row for row in rows if isinstance(row, RowFault))
    names = ", ".join(show_line(str(file)) for file in files)
    if faults and (bad_rows == "refuse" or not samples):
        first = "; ".join(str(fault) for fault in faults[:MOST_NAMED])
        more = f"; and {len(faults) - MOST_NAMED:,} more" if len(faults) > MOST_NAMED else ""
        raise UsageError(
            f"{len(faults):,} of {len(rows):,} rows cannot be used: {first}{more}. "
            f"See all with: mmreason data check {names}; --fix CLEAN writes a copy without them"
        )
    if not samples:
        raise UsageError(f"{names}: holds no row")
    return ReadSamples(samples, faults)


def _read_row(
    raw: RawRow, dialect: Dialect, context: RowContext, *, is_given: bool
) -> Sample | RowFault:
    if isinstance(raw.value, str):
        return RowFault(context.source, raw.value)
    recognised = recognise_row(raw.value)
    # Where a file beside it says what the fields are called, their names say nothing.
    if recognised.dialects and dialect not in recognised.dialects and not is_given:
        other = recognised.dialects[0]
        if not _reads_alike(dialect, other):
            reason = f"is a row of {other} ({recognised.reason}) among rows of {dialect}"
            return RowFault(context.source, f"{reason}; put each dialect in a file of its own")
    try:
        return READERS[dialect](raw.value, context)
    except ValueError as error:
        # BadRow of readers, UsageError of records that check themselves.
        return RowFault(context.source, show_line(str(error)))


def _reads_alike(dialect: Dialect, other: Dialect) -> bool:
    """Whether the reader of the first is to judge rows of the second: the same fields, another rule
    for placeholders, which the reader names."""
    pair = {Dialect.LLAVA, Dialect.TWO_U1, Dialect.VLM_R1}
    table = {Dialect.TABLE}
    return {dialect, other} <= pair or dialect in table


def _tell_dialect(recognised: Sequence[Recognised]) -> tuple[Dialect, str, list[str]]:
    counts = Counter(dialect for each in recognised for dialect in each.dialects)
    most = max(counts.values())
    # Of those that fit equally many rows the one that most rows name first.
    first_counts = Counter(each.dialects[0] for each in recognised if each.dialects)
    best = max(
        (dialect for dialect, count in counts.items() if count == most),
        key=lambda dialect: (first_counts[dialect], -list(Dialect).index(dialect)),
    )
    fitting = [each for each in recognised if best in each.dialects]
    reason = Counter(each.reason for each in fitting).most_common(1)[0][0]
    others = [each for each in recognised if best not in each.dialects]
    notes = _mixed_notes(best, len(fitting), others)
    return best, f"{len(fitting)} of {len(recognised)} rows have {reason}", notes


def _mixed_notes(best: Dialect, fitting: int, others: Sequence[Recognised]) -> list[str]:
    counts = Counter(each.dialects[0] if each.dialects else None for each in others)
    return [
        f"mixed: {count} of the first {fitting + len(others)} rows "
        + (f"are of {dialect}, not {best}" if dialect else "are of no dialect that is known")
        for dialect, count in counts.items()
    ]


def _unknown(path: Path, rows: Sequence[RawRow]) -> str:
    first = next((row.value for row in rows if isinstance(row.value, dict)), None)
    name = show_line(str(path))
    if first is None:
        why = next((row.value for row in rows if isinstance(row.value, str)), "it holds no row")
        return f"{name}: holds no row that is an object of fields ({why})"
    fields = ", ".join(repr(str(field)[:40]) for field in list(first)[:8]) or "nothing"
    return (
        f"{name}: is in no dialect that is known; its rows have {fields}. docs/own_data.md has the "
        "fields of each"
    )


def _roots(path: Path, media_root: str | Path | None) -> list[tuple[str, Path]]:
    """Folders that paths may start from, the likeliest first, and what they are called."""
    # A link stays one: who links to a file elsewhere may keep its videos here.
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    roots = [("the file's folder", folder), ("the folder above the file's", folder.parent)]
    if path.is_symlink() and path.is_file():
        roots.append(("the folder of the file that is linked to", path.resolve().parent))
    if media_root is not None:
        roots.insert(0, ("the media root", Path(media_root)))
    return roots


def _choose_root(
    make_rows: MakeRows, candidates: Sequence[tuple[str, Path]]
) -> tuple[Path, list[str]]:
    """The folder under which most of the first files are; the first one where none has more."""
    counts = [_count_files(make_rows(root)) for _, root in candidates]
    best = counts.index(max(counts))
    name, root = candidates[best]
    if best == 0:
        return root, []
    note = (
        f"paths start from {name} ({show_line(str(root))}): {counts[best]} of the first files are "
        f"there, {counts[0]} from {candidates[0][0]}"
    )
    return root, [note]


def _count_files(rows: Iterator[Sample | RowFault]) -> int:
    """How many files of the first rows exist."""
    samples = (row for row in itertools.islice(rows, ROWS_LOOKED_AT) if isinstance(row, Sample))
    with_files = itertools.islice((s for s in samples if s.media), ROWS_FOR_ROOT)
    return sum(_is_file(medium.path) for sample in with_files for medium in sample.media)


def _is_file(path: str) -> bool:
    """False too for a name that no file can have."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False

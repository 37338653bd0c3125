"""Samples written as a data set of another program.

What a dialect has no field for goes under our own key `mmreason`, so that each file reads back to
equal samples here and stays loadable there; a sample that cannot is told and not written.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mmreason.json_lines import encode_json_line
from mmreason.training.data.dialects import writers
from mmreason.training.data.dialects.own_key import OWN_KEY, make_own_key
from mmreason.training.data.dialects.own_problems import write_problem
from mmreason.training.data.dialects.readers import READERS
from mmreason.training.data.dialects.recognise import recognise_row
from mmreason.training.data.dialects.row_errors import BadRow
from mmreason.training.data.dialects.rows import Dialect, RowContext, read_dialect
from mmreason.training.data.sample import MediaKind, MediaRef, RowFault, Sample, SampleMessage
from mmreason.types import UsageError
from mmreason.video.files import write_atomic
from mmreason.video.plain_text import show_line

Paths = Literal["relative", "absolute"]
"""How files are named: from the folder of the file that is written, or in full."""

_JSON, _LINES, _PARQUET = ".json", ".jsonl", ".parquet"
ENDINGS: Mapping[Dialect, tuple[str, ...]] = {
    Dialect.PROBLEMS: (_LINES,),
    Dialect.LLAVA: (_JSON, _LINES),
    Dialect.TWO_U1: (_JSON,),
    Dialect.SHAREGPT: (_JSON, _LINES),
    Dialect.MS_SWIFT: (_LINES, _JSON),
    Dialect.MESSAGES: (_LINES, _JSON),
    Dialect.VIDEO_R1: (_JSON, _LINES),
    Dialect.EASYR1: (_PARQUET, _LINES, _JSON),
    Dialect.VERL: (_PARQUET,),
    Dialect.ONETHINKER: (_JSON, _LINES, _PARQUET),
    Dialect.TRL: (_LINES, _PARQUET),
}
"""The dialects that are written, and the endings of files that their programs read; the first is
the usual one."""
_WITH_OBJECT = (Dialect.PROBLEMS, Dialect.LLAVA, Dialect.TWO_U1)
"""Their programs parse JSON row by row; all others load tables, in which a column has one type, so
that our own key is a text there."""


@dataclass(frozen=True, slots=True)
class WrittenSamples:
    """What was written, and the samples that the dialect cannot hold.

    Example:
        >>> WrittenSamples(Path("train.json"), 12, (), ()).rows
        12
    """

    path: Path
    rows: int
    faults: tuple[RowFault, ...]
    notes: tuple[str, ...]
    """What other programs will see otherwise, each a line."""


def write_samples(
    path: str | Path,
    samples: Iterable[Sample],
    dialect: Dialect | str,
    *,
    paths: Paths = "relative",
) -> WrittenSamples:
    """Write samples in a dialect. Atomic. Each row is read back before it is written: what does not
    come out equal is a fault. Raises UsageError for an ending that the program would not read, and
    where nothing can be written."""
    path, dialect = Path(path), read_dialect(dialect)
    if paths not in ("relative", "absolute"):
        raise UsageError(f"paths must be 'relative' or 'absolute', got {paths!r}")
    if dialect not in ENDINGS:
        raise UsageError(f"{dialect} is read and not written; written are {', '.join(ENDINGS)}")
    if path.suffix not in ENDINGS[dialect]:
        endings = " or ".join(ENDINGS[dialect])
        raise UsageError(f"{show_line(str(path))}: a file for {dialect} must end in {endings}")
    samples = list(samples)
    if not samples:
        raise UsageError("there is no sample to write")
    to_row = _row_writer(dialect, samples)
    rows: list[dict[str, Any]] = []
    written: list[Sample] = []
    faults: list[RowFault] = []
    for sample in samples:
        try:
            rows.append(_write_row(_with_paths(sample, path, paths), dialect, to_row, path))
            written.append(sample)
        except (BadRow, UsageError) as error:
            faults.append(RowFault(sample.source, f"{show_line(str(error))} (to {dialect})"))
    if not rows:
        raise UsageError(f"none of {len(samples):,} samples can be written: {faults[0]}")
    write_atomic(path, _encode(rows, path.suffix))
    return WrittenSamples(path, len(rows), tuple(faults), _notes(written, dialect, rows))


def _row_writer(dialect: Dialect, samples: Sequence[Sample]) -> Callable[[Sample], dict[str, Any]]:
    # Typed parts and plain texts do not fit into one column.
    typed = any(item.kind is MediaKind.IMAGE for sample in samples for item in sample.media)
    functions: dict[Dialect, Callable[[Sample], dict[str, Any]]] = {
        Dialect.PROBLEMS: write_problem,
        Dialect.LLAVA: writers.write_llava,
        Dialect.TWO_U1: writers.write_two_u1,
        Dialect.SHAREGPT: writers.write_sharegpt,
        Dialect.MS_SWIFT: writers.write_swift,
        Dialect.MESSAGES: writers.write_messages,
        Dialect.VIDEO_R1: writers.write_video_r1,
        Dialect.EASYR1: writers.write_easyr1,
        Dialect.VERL: writers.write_verl,
        Dialect.ONETHINKER: writers.write_onethinker,
        Dialect.TRL: partial(writers.write_trl, typed=typed),
    }
    return functions[dialect]


def _write_row(
    sample: Sample,
    dialect: Dialect,
    to_row: Callable[[Sample], dict[str, Any]],
    path: Path,
) -> dict[str, Any]:
    """A row that reads back to the sample. Raises BadRow where none does."""
    row = to_row(sample)
    free = {name: value for name, value in sample.columns.items() if name not in row}
    if free and path.suffix != _PARQUET and dialect is not Dialect.PROBLEMS:
        # Free columns stay columns, unless one looks like a field of a dialect.
        try:
            return _complete(free | row, sample, dialect)
        except BadRow:
            pass
    return _complete(row, sample, dialect)


def _complete(row: dict[str, Any], sample: Sample, dialect: Dialect) -> dict[str, Any]:
    """The row with our own key, where it does not read back to the sample without."""
    plain = _read_back(row, dialect, sample)
    own = make_own_key(sample, plain)
    if own:
        row[OWN_KEY] = own if dialect in _WITH_OBJECT else _to_text(own)
        plain = _read_back(row, dialect, sample)
    if plain != sample:
        raise BadRow(f"cannot hold {_difference(sample, plain)}")
    if dialect not in recognise_row(row).dialects:
        raise BadRow("would be read as a row of another dialect")
    return row


def _read_back(row: dict[str, Any], dialect: Dialect, sample: Sample) -> Sample:
    # Relative paths stay as they are: only equality counts here.
    context = RowContext(source=sample.source, root=Path())
    # Lists and objects as a file has them: no tuples, keys that are texts.
    return READERS[dialect](json.loads(_to_text(row)), context)


def _to_text(value: dict[str, Any]) -> str:
    try:
        return encode_json_line(value).decode().rstrip("\n")
    except (ValueError, TypeError) as error:
        raise BadRow(" ".join(str(error).split())) from error


def _difference(sample: Sample, plain: Sample) -> str:
    """What of a sample is not read back, in words."""
    if sample.messages != plain.messages:
        if len(sample.messages) != len(plain.messages):
            return f"its {len(sample.messages)} messages"
        if sample.media != plain.media:
            return "its files as they are"
        return "its texts as they are"
    names = ("id", "truth", "rejected", "transcript", "channel", "columns")
    changed = [name for name in names if getattr(sample, name) != getattr(plain, name)]
    return f"its {' and '.join(changed)}"


def _with_paths(sample: Sample, path: Path, paths: Paths) -> Sample:
    """The sample with its files named as asked for, and with what rows hold of its truth."""
    truth = replace(sample.truth, columns=sample.columns, tree=None)
    return replace(sample, messages=_map_paths(sample.messages, path, paths), truth=truth)


def _map_paths(
    messages: Sequence[SampleMessage], path: Path, paths: Paths
) -> tuple[SampleMessage, ...]:
    return tuple(
        replace(
            message,
            parts=tuple(
                _renamed(item, path, paths) if isinstance(item, MediaRef) else item
                for item in message.parts
            ),
        )
        for message in messages
    )


def _renamed(medium: MediaRef, path: Path, paths: Paths) -> MediaRef:
    names = []
    for name in medium.paths:
        if "://" not in name:
            absolute = os.path.abspath(name)  # noqa: PTH100 (a link stays one)
            folder = os.path.abspath(path.parent)  # noqa: PTH100
            name = os.path.relpath(absolute, folder) if paths == "relative" else absolute
        names.append(name)
    return replace(medium, paths=tuple(names))


def _notes(
    written: Sequence[Sample], dialect: Dialect, rows: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    notes = []
    shows_stretch = dialect in (Dialect.PROBLEMS, Dialect.VERL)
    spans = sum(any(item.span for item in sample.media) for sample in written)
    if spans and not shows_stretch:
        notes.append(
            f"{spans:,} rows show a stretch of their video, which {dialect} cannot say: other "
            "programs will show all of it; cut the videos where that matters"
        )
    both = any(row.get("images") for row in rows) and any(row.get("videos") for row in rows)
    if both and dialect in (Dialect.EASYR1, Dialect.ONETHINKER):
        notes.append(
            "some rows have images and some videos: EasyR1 reads one of the two columns from a "
            "file; write them to two files"
        )
    if dialect is Dialect.TRL and any(row.get("video") for row in rows):
        notes.append("TRL shows no video: the column 'video' is a path for an environment")
    return tuple(notes)


def _encode(rows: Sequence[dict[str, Any]], ending: str) -> bytes:
    if ending == _PARQUET:
        return _to_parquet(rows)
    if ending == _LINES:
        return b"".join(map(encode_json_line, rows))
    lines = [encode_json_line(row).rstrip(b"\n") for row in rows]
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


def _to_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            'Parquet needs pyarrow; in the clone of mmreason: pip install ".[train]"'
        ) from error
    # A column that is empty in every row goes: a reader may take its presence for a sign. All
    # others are in every row.
    names = list(dict.fromkeys(name for row in rows for name in row))
    filled = [name for name in names if any(row.get(name) not in (None, [], "") for row in rows)]
    file = io.BytesIO()
    try:
        table = pyarrow.Table.from_pylist(
            [{name: row.get(name) for name in filled} for row in rows]
        )
        parquet.write_table(table, file)
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"the rows do not fit into one table of Parquet ({reason:.200})"
        ) from error
    return file.getvalue()

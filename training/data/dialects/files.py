"""The raw rows of a file: JSON, JSON lines, Parquet, CSV, TSV, or a folder of `datasets`.

All is read within limits. A row that cannot be read is told with its number, and costs no other.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mmreason.json_lines import JsonLine, read_json_lines
from mmreason.training.data.dialects.row_errors import describe
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line

MOST_DOCUMENT_BYTES = 1_000_000_000
"""Of a JSON document, which is held in memory."""
MOST_LINE_BYTES = 16_000_000
"""Of one line of JSON, and of one row of CSV or TSV."""
MOST_TABLE_ROWS = 10_000_000
"""Of a Parquet file or a folder of `datasets`."""
MOST_BATCH_BYTES = 512_000_000
"""Of the rows of a table that are in memory at a time, unpacked."""
MOST_COLUMN_BYTES = 2_000_000_000
"""Of one column of a group of rows in Parquet, unpacked."""
MOST_COLUMNS = 1_000
"""Of a table."""
BATCH_ROWS = 64

LINE_ENDINGS = (".jsonl", ".ndjson")
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in the file.

    Example:
        >>> RawRow(3, {"id": "a"}).number
        3
    """

    number: int
    """From 1 on; of lines the line's."""
    value: dict[str, Any] | str
    """Its fields, or why it is none."""
    packed_index: int | None = None
    """Its place, from 1, in a row that packs several."""


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file whose rows can be gone through, as often as need be.

    Example:
        >>> RawFile("JSON", lambda: iter([RawRow(1, {"id": "a"})])).container
        'JSON'
    """

    container: str
    """What the file is, for people."""
    rows: Callable[[], Iterator[RawRow]]
    document: Any = None
    """Of JSON that is no list of rows: the whole value."""


def open_raw(path: Path) -> RawFile:
    """A file or folder of rows. Raises UsageError for what cannot be read at all."""
    if path.is_dir():
        from mmreason.training.data.dialects.dataset_folders import open_folder

        return open_folder(path)
    start = _read_start(path)
    ending = path.suffix.lower()
    if start.startswith(b"PAR1") or ending == ".parquet":
        return RawFile("Parquet", lambda: read_parquet(path))
    if ending in (".csv", ".tsv"):
        delimiter = "," if ending == ".csv" else "\t"
        return RawFile(ending[1:].upper(), lambda: read_table(path, delimiter))
    if start.startswith(b"\x1f\x8b"):
        raise UsageError(f"{show_line(str(path))}: is packed by gzip; unpack it first")
    if ending in LINE_ENDINGS or _is_lines(path):
        return RawFile("JSON lines", lambda: read_lines(path))
    return _open_document(path)


def read_lines(path: Path) -> Iterator[RawRow]:
    """Each line that is not blank."""
    for line in read_json_lines(
        path, dict, most_line_bytes=MOST_LINE_BYTES, refuse_half_pairs=True
    ):
        if isinstance(line, JsonLine):
            yield RawRow(line.number, line.row)
        else:
            yield RawRow(line.line, line.reason)


def read_values(values: list[Any]) -> Iterator[RawRow]:
    """The rows of a list; a list in the place of a row packs several."""
    for number, value in enumerate(values, start=1):
        yield from unpack(number, value)


def unpack(number: int, value: Any) -> Iterator[RawRow]:
    """A row, or the rows that it packs."""
    if isinstance(value, dict):
        yield RawRow(number, value)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for index, item in enumerate(value, start=1):
            yield RawRow(number, item, index)
    else:
        yield RawRow(number, f"expected an object of fields, found {describe(value)}")


def read_table(path: Path, delimiter: str) -> Iterator[RawRow]:
    """The rows of CSV or TSV with a header; empty cells are no fields. The number is the line's on
    which the row ends."""
    with path.open("rb") as file:
        bounded = io.BufferedReader(_Bounded(file, path))
        text = io.TextIOWrapper(bounded, encoding="utf-8-sig", newline="")
        csv.field_size_limit(MOST_LINE_BYTES)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            try:
                cells = next(reader, None)
            except (csv.Error, UnicodeDecodeError) as error:
                yield RawRow(max(1, reader.line_num), f"is no row of a table: {error}")
                # The reader does not say where the next row begins.
                return
            if cells is None:
                return
            if header is None:
                header = _check_header(cells, path)
            elif cells:
                yield RawRow(reader.line_num, _row_of_cells(header, cells))


def _check_header(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if len(names) > MOST_COLUMNS or not all(names) or repeated is not None:
        what = (
            f"names {repeated!r:.60} twice"
            if repeated
            else f"has {len(names)} columns"
            if len(names) > MOST_COLUMNS
            else "has a column without a name"
        )
        raise UsageError(f"{show_line(str(path))}: its header {what}")
    return names


def _row_of_cells(header: list[str], cells: list[str]) -> dict[str, Any] | str:
    if len(cells) != len(header):
        return f"has {len(cells)} cells, the header has {len(header)}"
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}


class _Bounded(io.RawIOBase):
    """Bytes of a file in which no line is longer than the limit: a reader of tables would hold all
    of it."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path, self._pending = file, path, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._pending:
            self._pending = self._file.readline(MOST_LINE_BYTES + 1)
            if len(self._pending) > MOST_LINE_BYTES:
                raise UsageError(
                    f"{show_line(str(self._path))}: a line has more than the limit of "
                    f"{MOST_LINE_BYTES:,} bytes"
                )
        count = min(len(buffer), len(self._pending))
        buffer[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count


def read_parquet(path: Path) -> Iterator[RawRow]:
    """The rows of a Parquet file, a few at a time. Raises UsageError where it is none, or where its
    rows unpack to more than the limit."""
    parquet = _import_parquet(path)
    from pyarrow import ArrowException

    try:
        with parquet.ParquetFile(path) as file:
            batch_rows = _batch_rows(file, path)
            number = 0
            for batch in file.iter_batches(batch_size=batch_rows):
                if batch.nbytes > MOST_BATCH_BYTES:
                    raise UsageError(
                        f"{show_line(str(path))}: {batch_rows} rows after row {number} unpack to "
                        f"{batch.nbytes:,} bytes, the limit is {MOST_BATCH_BYTES:,}"
                    )
                for value in batch.to_pylist():
                    number += 1
                    yield RawRow(number, value)
    except (OSError, ArrowException, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{show_line(str(path))}: cannot be read as Parquet ({reason:.200})"
        ) from error


def _batch_rows(file: Any, path: Path) -> int:
    """How many rows are unpacked at a time, by the file's own figures. Raises UsageError where it
    has too many rows or columns, or a column that unpacks to more than all rows may."""
    metadata = file.metadata
    if metadata.num_rows > MOST_TABLE_ROWS:
        raise UsageError(
            f"{show_line(str(path))}: has {metadata.num_rows:,} rows, the limit is "
            f"{MOST_TABLE_ROWS:,}"
        )
    if metadata.num_columns > MOST_COLUMNS:
        raise UsageError(
            f"{show_line(str(path))}: has {metadata.num_columns:,} columns, the limit is "
            f"{MOST_COLUMNS:,}"
        )
    # A value that stands once in a dictionary may stand in each row of the batch.
    most = max(
        (
            metadata.row_group(group).column(column).total_uncompressed_size
            for group in range(metadata.num_row_groups)
            for column in range(metadata.num_columns)
        ),
        default=0,
    )
    if most > MOST_COLUMN_BYTES:
        raise UsageError(
            f"{show_line(str(path))}: a column unpacks to {most:,} bytes, the limit is "
            f"{MOST_COLUMN_BYTES:,}"
        )
    return max(1, min(BATCH_ROWS, MOST_BATCH_BYTES // max(1, most)))


def _import_parquet(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            f"{show_line(str(path))}: Parquet needs pyarrow; in the clone of mmreason: "
            'pip install ".[train]"'
        ) from error
    return parquet


def _read_start(path: Path) -> bytes:
    name = show_line(str(path)[:300])
    try:
        if not path.is_file():
            raise UsageError(f"{name}: there is no such file")
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{name}: cannot be read ({error})") from error
    if start == _LFS_POINTER:
        raise UsageError(f"{name}: is a pointer of Git LFS, not the file; run git lfs pull")
    if not start.strip():
        raise UsageError(f"{name}: is empty")
    return start


def _is_lines(path: Path) -> bool:
    """Whether a file holds one JSON object a line, whatever its name ends in."""
    with path.open("rb") as file:
        first = file.readline(MOST_LINE_BYTES)
        has_more = bool(file.read(1))
    if not has_more or not first.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return False
    try:
        return isinstance(parse_json(first, most_bytes=MOST_LINE_BYTES), dict)
    except JsonInputError:
        return False


def _open_document(path: Path) -> RawFile:
    name = show_line(str(path))
    with path.open("rb") as file:
        data = file.read(MOST_DOCUMENT_BYTES + 1)
    try:
        value = parse_json(data, most_bytes=MOST_DOCUMENT_BYTES, refuse_half_pairs=True)
    except JsonInputError as error:
        entries = _split_list(data)
        if entries is None:
            raise UsageError(f"{name}: {error}") from error
        # One bad number must not cost the file: each entry is judged for itself.
        return RawFile("JSON", lambda: _parse_entries(entries))
    if isinstance(value, list):
        return RawFile("JSON", lambda: read_values(value))
    if isinstance(value, dict):
        return RawFile("JSON", lambda: iter([RawRow(1, value)]), value)
    raise UsageError(f"{name}: expected a list of rows, found {describe(value)}")


def _split_list(data: bytes) -> list[str] | None:
    """The texts of the entries of a JSON list; None where it is no well-formed list."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    # Numbers stay texts here: those of any length cost nothing.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    place = _skip(text, 0)
    if text[place : place + 1] != "[":
        return None
    entries: list[str] = []
    place = _skip(text, place + 1)
    try:
        while text[place : place + 1] != "]":
            end = decoder.raw_decode(text, place)[1]
            entries.append(text[place:end])
            place = _skip(text, end)
            if text[place : place + 1] == ",":
                place = _skip(text, place + 1)
            elif text[place : place + 1] != "]":
                return None
    except (ValueError, RecursionError):
        return None
    return entries


_BLANKS = re.compile(r"[ \t\r\n]*")


def _skip(text: str, place: int) -> int:
    match = _BLANKS.match(text, place)
    return place if match is None else match.end()


def _parse_entries(entries: list[str]) -> Iterator[RawRow]:
    for number, entry in enumerate(entries, start=1):
        try:
            value = parse_json(entry, most_bytes=MOST_LINE_BYTES, refuse_half_pairs=True)
        except JsonInputError as error:
            yield RawRow(number, str(error))
        else:
            yield from unpack(number, value)


def first_rows(raw: RawFile, count: int) -> list[RawRow]:
    """The first rows of a file."""
    return list(itertools.islice(raw.rows(), count))

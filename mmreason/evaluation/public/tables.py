"""Rows of the files that benchmarks publish: Parquet, JSON, JSON lines, CSV; read within limits.

A file that cannot be read is a UsageError. A row that is not what was expected is a `RowError`,
which names the file, the row, the field and what is there instead; the other rows are read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason.json_lines import JsonLineError, read_json_lines
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.plain_text import show_line

MOST_BYTES = 256_000_000
"""Of one file of questions; the largest that is published has about 30 million."""
MOST_ROWS = 1_000_000
_LFS_POINTER = b"version https://git-lfs"
"""How a file begins that was cloned without its content."""
_MOST_NAMED = 8
"""Fields named in an error."""


class RowError(ValueError):
    """A row that is no question, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One row of a file, and where it stands.

    Example:
        >>> row = SourceRow(path=Path("lvb_val.json"), number=3, values={"id": "a_0"})
        >>> row.text("id")
        'a_0'
        >>> row.text("question")
        Traceback (most recent call last):
        ...
        mmreason.evaluation.public.tables.RowError: lvb_val.json, row 3: lacks 'question'; has 'id'
    """

    path: Path
    number: int
    """From 1; of a file that holds rows in rows, of the inner one."""
    values: Mapping[str, Any]

    def error(self, reason: str) -> RowError:
        """The error that says where this row stands."""
        return RowError(show_line(f"{self.path}, row {self.number}: {reason}"))

    def has(self, name: str) -> bool:
        """Whether the field is there and not empty."""
        return self.values.get(name) not in (None, "")

    def field(self, name: str) -> Any:
        """Its value. RowError where it is not there."""
        if not self.has(name):
            raise self.error(f"lacks {name!r}; has {_name_fields(self.values)}")
        return self.values[name]

    def text(self, name: str) -> str:
        """A text that is not blank, or a number as text: ids are written both ways."""
        value = self.field(name)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.error(f"{name!r} must be a text, found {_describe(value)}")
        text = str(value).strip()
        if not text:
            raise self.error(f"{name!r} is blank")
        return text

    def optional_text(self, name: str) -> str:
        """The same, "" where it is not there."""
        return self.text(name) if self.has(name) else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts, or of numbers as texts."""
        value = self.field(name)
        if not isinstance(value, list) or not all(isinstance(v, str | int | float) for v in value):
            raise self.error(f"{name!r} must be a list of texts, found {_describe(value)}")
        return tuple(str(item).strip() for item in value)

    def optional_number(self, name: str) -> float | None:
        """A number, or one that is written as text; None where it is not there."""
        if not self.has(name):
            return None
        value = self.values[name]
        try:
            if isinstance(value, bool):
                raise TypeError
            return float(value)
        except (TypeError, ValueError) as error:
            raise self.error(f"{name!r} must be a number, found {_describe(value)}") from error

    def inner(self, name: str) -> Iterator[SourceRow | RowError]:
        """The rows in a field of this one. RowError where it holds no list of objects."""
        value = self.field(name)
        if not isinstance(value, list):
            raise self.error(f"{name!r} must be a list of objects, found {_describe(value)}")
        yield from _numbered(self.path, value)


def read_rows(path: Path) -> Iterator[SourceRow | RowError]:
    """The rows of a file, by its ending. A JSON file holds a list of objects, or an object of
    objects, whose keys become the field "key". Raises UsageError for a file that cannot be read.

    Example:
        >>> list(read_rows(Path("val.csv")))  # doctest: +SKIP
        [SourceRow(path=PosixPath('val.csv'), number=1, values={'video': '4010069381'})]
    """
    # By the ending, which the adapters' patterns choose; content is checked by each reader.
    ending = path.suffix.lower()
    if ending == ".jsonl":
        return _read_json_lines(path)
    if ending == ".parquet":
        return _numbered(path, _read_parquet(path))
    if ending == ".csv":
        return _numbered(path, _read_csv(path))
    if ending == ".json":
        return _numbered(path, _read_json(path))
    raise UsageError(f"{path}: expected a .parquet, .json, .jsonl or .csv file of questions")


def _numbered(path: Path, values: Sequence[Any]) -> Iterator[SourceRow | RowError]:
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            yield SourceRow(path=path, number=number, values=value)
        else:
            description = _describe(value)
            yield RowError(f"{path}, row {number}: expected an object, found {description}")


def _read_json_lines(path: Path) -> Iterator[SourceRow | RowError]:
    # A line of LVBench holds all questions about one video.
    for line in read_json_lines(path, dict, most_line_bytes=16_000_000):
        if isinstance(line, JsonLineError):
            yield RowError(show_line(f"{path}, row {line.line}: {line.reason}"))
        else:
            yield SourceRow(path=path, number=line.number, values=line.row)


def _read_json(path: Path) -> list[Any]:
    _check_size(path)
    try:
        # A number that is none costs its field, and not the file.
        value = read_json(path, most_bytes=MOST_BYTES, odd_numbers_as_null=True)
    except (JsonInputError, OSError) as error:
        raise UsageError(f"{path}: {error}") from error
    if isinstance(value, dict):
        return [v | {"key": key} if isinstance(v, dict) else v for key, v in value.items()]
    if not isinstance(value, list):
        raise UsageError(f"{path}: expected a list of questions, found {_describe(value)}")
    return value


def _read_csv(path: Path) -> list[Any]:
    _check_size(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # Fields beyond the header are kept under a name that no adapter asks for.
            return list(csv.DictReader(file, restkey="further columns"))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as CSV ({error})") from error


def _read_parquet(path: Path) -> list[Any]:
    _check_size(path)
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UsageError(
            f"{path}: Parquet needs pyarrow; in the clone of mmreason: pip install '.[benchmarks]'"
        ) from error
    try:
        # Small on disk may be huge in memory: how many rows there are is known before.
        with parquet.ParquetFile(path) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise UsageError(
                    f"{path}: has {file.metadata.num_rows:,} rows, the limit is {MOST_ROWS:,}"
                )
            return file.read().to_pylist()
    except (OSError, ArrowException) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: cannot be read as Parquet ({reason:.200})") from error


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path}: is no regular file")
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise UsageError(f"{path}: is a pointer of Git LFS, not the file; run git lfs pull")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise UsageError(f"{path}: has {size:,} bytes, the limit is {MOST_BYTES:,}")


def _name_fields(values: Mapping[str, Any]) -> str:
    names = [repr(str(name)) for name in values]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "") or "nothing"


def _describe(value: Any) -> str:
    """What a value is, in a few words."""
    if value is None:
        return "null"
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text[:40]}{'...' if len(text) > 40 else ''}"

"""Rows of files of others (JSON, JSON lines, Parquet), read within limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmreason.grounding.formats.rows import FormError, describe
from mmreason.video.json_input import JsonInputError, parse_json, read_json
from mmreason.video.plain_text import show_line

MOST_DOCUMENT_BYTES = 1_000_000_000
"""Of one JSON document, which is held in memory: COCO's instances of 2017 have half of that."""
MOST_LINE_BYTES = 16_000_000
"""Of one line: files of lines are read line by line, and may be of any length."""
MOST_PARQUET_ROWS = 10_000_000
_PARQUET_BATCH = 256
"""Rows in memory at a time."""
LINE_SUFFIXES = (".jsonl", ".ndjson")
_LFS_POINTER = b"version https://git-lfs"
"""How a file begins that was cloned without its content."""


def source_name(path: Path) -> str:
    """What rows of a file name it by: as it was given, since files of two folders may share one
    name."""
    return str(path)


def check_file(path: Path) -> None:
    """Raise FormError where there is no file with content."""
    text = show_line(str(path)[:300])
    try:
        if not path.is_file():
            what = "is a folder; give a file in it" if path.is_dir() else "there is no such file"
            raise FormError(f"{text}: {what}")
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except (OSError, ValueError) as error:
        if isinstance(error, FormError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise FormError(f"{text}: cannot be read ({reason})") from error
    if start == _LFS_POINTER:
        raise FormError(f"{text}: is a pointer of Git LFS, not the file; run git lfs pull")
    if not start:
        raise FormError(f"{text}: is empty")


def read_document(path: Path) -> Any:
    """The value of a JSON file; a number that is not finite is None, so that it costs one row and
    not the file. FormError where it cannot be read."""
    check_file(path)
    try:
        return read_json(path, most_bytes=MOST_DOCUMENT_BYTES, odd_numbers_as_null=True)
    except (JsonInputError, OSError) as error:
        raise FormError(f"{show_line(str(path))}: {error}") from error


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each line's number and object, or why it is none; blank lines are passed over."""
    check_file(path)
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_LINE_BYTES + 1):
            number += 1
            if len(line) > MOST_LINE_BYTES:
                yield number, f"the line has more than the limit of {MOST_LINE_BYTES:,} bytes"
                while line and not line.endswith(b"\n"):
                    line = file.readline(MOST_LINE_BYTES)
                continue
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                yield number, _parse_line(line)


def _parse_line(line: bytes) -> dict[str, Any] | str:
    try:
        value = parse_json(line, most_bytes=MOST_LINE_BYTES, odd_numbers_as_null=True)
    except JsonInputError as error:
        return str(error)
    return value if isinstance(value, dict) else f"expected an object, found {describe(value)}"


def number_rows(values: Sequence[Any]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The same of a list."""
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            yield number, value
        else:
            yield number, f"expected an object, found {describe(value)}"


def is_lines(path: Path) -> bool:
    """Whether a file of JSON holds one object a line, whatever its name ends in."""
    check_file(path)
    if path.suffix.lower() in LINE_SUFFIXES:
        return True
    with path.open("rb") as file:
        first = file.readline(MOST_LINE_BYTES)
        while first and not first.strip(b"\xef\xbb\xbf \t\r\n"):
            first = file.readline(MOST_LINE_BYTES)
        has_more = bool(file.read(1))
    # A document that is pretty printed has no whole object in its first line.
    starts_object = first.lstrip(b"\xef\xbb\xbf \t").startswith(b"{")
    return starts_object and has_more and isinstance(_parse_line(first), dict)


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Names of the columns of a Parquet file. FormError where it is none."""
    with _open_parquet(path) as file:
        return tuple(file.schema_arrow.names)


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row's number and those of `columns` that there are, some rows at a time: columns of
    pictures are never loaded. FormError where it cannot be read."""
    from pyarrow import ArrowException

    with _open_parquet(path) as file:
        if file.metadata.num_rows > MOST_PARQUET_ROWS:
            count = f"{file.metadata.num_rows:,}"
            raise FormError(f"{path}: has {count} rows, the limit is {MOST_PARQUET_ROWS:,}")
        names = [name for name in file.schema_arrow.names if name in columns]
        number = 0
        try:
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH, columns=names):
                for values in batch.to_pylist():
                    number += 1
                    yield number, values
        except (OSError, ArrowException) as error:
            raise _bad_parquet(path, error) from error


def _open_parquet(path: Path) -> Any:
    check_file(path)
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise FormError(
            f"{path}: Parquet needs pyarrow; in the clone of mmreason: pip install '.[benchmarks]'"
        ) from error
    try:
        return parquet.ParquetFile(path)
    except (OSError, ArrowException) as error:
        raise _bad_parquet(path, error) from error


def _bad_parquet(path: Path, error: Exception) -> FormError:
    reason = " ".join(str(error).split())
    return FormError(f"{show_line(str(path))}: cannot be read as Parquet ({reason:.200})")

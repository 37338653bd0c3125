"""JSON lines: a JSON object a line, read within limits and appended whole.

One rule for all files of ours and of others:

- lines end with a line feed; blank ones are passed over, and so is a byte order mark at the start;
- a line that is too long, no JSON or not what was expected is an error that names file and line,
  and the next line is read all the same;
- a last line without its line feed counts where it is whole. Where it begins as an object and is
  none, an interruption cut it short (`is_torn`): whoever resumes passes over it, and
  `mend_last_line` cuts it off.

    row, row, error, row = read_json_lines(path, parse)
    for line in require_json_lines(path, parse, is_resumed=True): ...
    append_lines(path, encode_json_line(row))
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json

MOST_ROW_BYTES = 1_000_000
"""Of a line that people or other programs wrote."""
MOST_RESULT_BYTES = 32_000_000
"""Of a line that this package wrote: an answer with all its steps, the samples of a step."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK_BYTES = 1 << 20

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class JsonLine(Generic[Row]):
    """A line that could be read.

    Example:
        >>> JsonLine(number=2, start_byte=17, end_byte=29, row={"id": "a"}).number
        2
    """

    number: int
    """From 1, as editors count."""
    start_byte: int
    """Where the line begins in the file."""
    end_byte: int
    """Where the next line begins."""
    row: Row


class JsonLineError(UsageError):
    """A line that could not be read, or does not hold what it should."""

    def __init__(self, path: Path, number: int, reason: str, *, is_torn: bool = False) -> None:
        super().__init__(f"{path}, line {number}: {reason}")
        self.path = path
        self.line = number
        """Its number, from 1."""
        self.reason = reason
        """Without file and line."""
        self.is_torn = is_torn
        """True of a last line that begins as an object, and lacks its end and its line feed."""


def read_json_lines(
    path: Path,
    parse: Callable[[dict[str, Any]], Row],
    *,
    most_line_bytes: int = MOST_ROW_BYTES,
    refuse_half_pairs: bool = False,
) -> Iterator[JsonLine[Row] | JsonLineError]:
    """Every line that is not blank: what `parse` made of its object, or the error it is.

    `parse` raises ValueError, TypeError or KeyError for what is wrong. No more than one line is in
    memory, and of one that is too long no more than the limit. Raises UsageError where the file
    cannot be read at all.

    Example:
        >>> list(read_json_lines(Path("rows.jsonl"), dict))  # doctest: +SKIP
        [JsonLine(number=1, start_byte=0, end_byte=12, row={'id': 'a'})]
    """
    try:
        if not path.is_file():
            raise UsageError(f"{path}: cannot be read ({_why_no_file(path)})")
        with path.open("rb") as file:
            for raw in _read_raw_lines(file, most_line_bytes):
                try:
                    if len(raw.text) > most_line_bytes:
                        raise JsonInputError(
                            f"has more than the limit of {most_line_bytes:,} bytes"
                        )
                    value = parse_json(
                        raw.text, most_bytes=most_line_bytes, refuse_half_pairs=refuse_half_pairs
                    )
                    if not isinstance(value, dict):
                        raise TypeError(f"expected a JSON object, found {_json_name(value)}")
                    line = JsonLine(raw.number, raw.start_byte, raw.end_byte, parse(value))
                except (ValueError, TypeError, KeyError) as error:
                    # Whole JSON of the wrong kind is a mistake, and no interruption.
                    is_torn = isinstance(error, JsonInputError) and raw.is_begun_only
                    yield JsonLineError(path, raw.number, _one_line(error), is_torn=is_torn)
                else:
                    yield line
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UsageError(f"{path}: cannot be read ({why})") from error


def require_json_lines(
    path: Path,
    parse: Callable[[dict[str, Any]], Row],
    *,
    is_resumed: bool = False,
    most_line_bytes: int = MOST_ROW_BYTES,
    refuse_half_pairs: bool = False,
) -> Iterator[JsonLine[Row]]:
    """As `read_json_lines`, but the first error is raised (JsonLineError); a torn last line is
    none where the file `is_resumed`."""
    for line in read_json_lines(
        path, parse, most_line_bytes=most_line_bytes, refuse_half_pairs=refuse_half_pairs
    ):
        if isinstance(line, JsonLine):
            yield line
        elif not (is_resumed and line.is_torn):
            raise line


def encode_json_line(row: dict[str, Any]) -> bytes:
    """One whole line. Raises ValueError (one line) for what JSON or UTF-8 cannot hold: NaN,
    infinity, half a surrogate pair.

    Example:
        >>> encode_json_line({"id": "a", "count": 2})
        b'{"id": "a", "count": 2}\\n'
    """
    try:
        return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except UnicodeEncodeError as error:
        raise ValueError("holds half a surrogate pair, which stands for no character") from error


def append_lines(path: Path, lines: bytes, *, wait_for_disk: bool = False) -> None:
    """Add whole lines at the end of the file, or nothing. Raises OSError naming the file where
    the disk is full: no half line is left then."""
    # Unbuffered: how much was written is known at once, and can be cut off again.
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        written = 0
        try:
            # A write may take less than it is given.
            while written < len(lines):
                written += file.write(memoryview(lines)[written:])
            if wait_for_disk:
                os.fsync(file.fileno())
        except OSError as error:
            if file.seek(0, os.SEEK_END) == before + written:  # no other process wrote meanwhile
                file.truncate(before)
            error.filename = error.filename or str(path)
            raise


def mend_last_line(path: Path) -> None:
    """Cut off a last line that is torn, and end any other that lacks its line feed. Nothing where
    the file ends as it should, or is not there."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        start = _start_of_last_line(file, size)
        if start == size:
            return
        file.seek(start)
        # A byte beyond the limit, so that a longer line is refused and not read in part.
        raw = file.read(MOST_RESULT_BYTES + 1)
        try:
            parse_json(raw, most_bytes=MOST_RESULT_BYTES)
            is_torn = False
        except JsonInputError:
            is_torn = raw.lstrip().startswith(b"{")
        if is_torn:
            file.truncate(start)
        else:
            # Whole but for its line feed: the next line would be joined to it.
            file.seek(0, os.SEEK_END)
            file.write(b"\n")


def _start_of_last_line(file: BinaryIO, size: int) -> int:
    """Where the text after the last line feed begins; `size` where there is none."""
    end = size
    # Backwards in blocks: files of results are large, their last lines are not.
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        feed = file.read(end - start).rfind(b"\n")
        if feed >= 0:
            return start + feed + 1
        end = start
    return 0


@dataclass(frozen=True, slots=True)
class _RawLine:
    number: int
    start_byte: int
    end_byte: int
    text: bytes
    """Without its line feed; of a line beyond the limit one byte more than the limit."""
    is_begun_only: bool
    """Whether it begins as an object and has no line feed."""


def _read_raw_lines(file: BinaryIO, most_line_bytes: int) -> Iterator[_RawLine]:
    """The lines that are not blank, with no more than the limit of each in memory."""
    number = start_byte = 0
    while text := file.readline(most_line_bytes + 1):
        number += 1
        end_byte = start_byte + len(text)
        # What lies beyond the limit is read in blocks and thrown away.
        block = text
        while not block.endswith(b"\n") and (block := file.readline(_BLOCK_BYTES)):
            end_byte += len(block)
        if number == 1:
            text = text.removeprefix(_BYTE_ORDER_MARK)
        # Blanks that go on beyond the limit may hide something: they are no blank line.
        if text.strip() or end_byte - start_byte > most_line_bytes + 1:
            is_begun_only = text.lstrip().startswith(b"{") and not block.endswith(b"\n")
            text = text.removesuffix(b"\n")
            yield _RawLine(number, start_byte, end_byte, text, is_begun_only)
        start_byte = end_byte


def _why_no_file(path: Path) -> str:
    if not path.exists():
        return "there is no such file"
    return "is a folder" if path.is_dir() else "is no regular file"


def _json_name(value: Any) -> str:
    """What a JSON value that is no object is called in errors."""
    return "null" if value is None else type(value).__name__


def _one_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"lacks {error.args[0]!r}"
    return " ".join(str(error).split()) or type(error).__name__

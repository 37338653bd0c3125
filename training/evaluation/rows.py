"""The file of a run: a header with every setting that moves a number, then a row a question.

Rows are added a batch at a time and never changed. A run that is cut short goes on behind its last
whole batch, so that the file is the same as that of a run in one piece.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mmreason.json_lines import (
    MOST_RESULT_BYTES,
    append_lines,
    encode_json_line,
    mend_last_line,
    require_json_lines,
)
from mmreason.types import UsageError
from mmreason.video.json_input import replace_half_pairs
from mmreason.video.plain_text import show_line

ROWS_FILE = "rows.jsonl"
FORMAT = 1
"""Of the file; part of its header."""
TOLD_ONLY = frozenset({"absent", "questions", "conversations"})
"""Of the header: follows from the data and its settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRow:
    """One conversation, answered or failed.

    Example: `EvalRow.from_dict(row.to_dict()) == row`.
    """

    id: str
    condition: str = "video"
    rotation: int = 0
    video: str
    """The source file; rows that share one are not independent."""
    channel: str = ""
    kind: str
    """Of `TruthKind`."""
    digest: str = ""
    """Of question, truth and files."""
    question: str = ""
    options: tuple[str, ...] = ()
    """As they were shown."""
    truth: str = ""
    """The right answer for people."""
    right_texts: tuple[str, ...] = ()
    """All that are right, in words."""
    choice: int | None = None
    """Of a choice the right option, from 0."""
    reply: str = ""
    """All that was written."""
    answer: str = ""
    """What was read in it."""
    picked: int | None = None
    strict: bool | None = None
    lenient: bool | None = None
    overlap: float | None = None
    format_failed: bool = False
    refused: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    note: str = ""
    """What was done to question or reply on its way."""
    logprob: float | None = None
    """Log-probability of the right answer as the row writes it, nats; None where it is not
    measured."""
    is_audited: bool = False
    error: str = ""
    """Why it was not answered; empty where it was."""
    by_model: bool = False
    """Of an error: whether the model failed, and not the row or its files."""
    judged: bool | None = field(default=None, metadata={"in_file": False})
    """By the judge; kept in a file of its own, since a judge may be asked again later."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Names it in a run."""
        return self.id, self.condition, self.rotation

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        values = asdict(self)
        del values["judged"]
        return replace_half_pairs(values)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EvalRow:
        """What `to_dict` gave. ValueError for anything else: the file may be anybody's."""
        try:
            return _ROWS.validate_python(data)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(step) for step in first["loc"])
            raise ValueError(f"is no row of an evaluation: {name}: {first['msg']}") from error


_ROWS = TypeAdapter(EvalRow)


class RowFile:
    """The rows of a run on disk; `rows` are those that are there."""

    def __init__(
        self,
        folder: Path,
        header: Mapping[str, Any],
        keys: Sequence[tuple[str, str, int]],
        batch_size: int,
    ):
        """Open or begin it. UsageError where the folder holds a run of other settings, which are
        named, or rows of other questions."""
        self.path = folder / ROWS_FILE
        self.rows: list[EvalRow] = []
        self._ends: list[int] = []
        folder.mkdir(parents=True, exist_ok=True)
        mend_last_line(self.path)
        if not self.path.is_file() or not self.path.stat().st_size:
            append_lines(self.path, encode_json_line(replace_half_pairs(dict(header))))
            self._ends.append(self.path.stat().st_size)
            return
        stored, self.rows, self._ends = _read(self.path)
        _check_header(stored, header, self.path)
        for row, key in zip(self.rows, keys, strict=False):
            if row.key != key:
                raise UsageError(
                    f"{self.path}: holds {show_line(str(row.key))} where {show_line(str(key))} is "
                    "asked; give a new folder"
                )
        # A batch that was written in part is asked anew: as a whole it is read as it would be.
        whole = len(self.rows) // batch_size * batch_size
        self.cut(len(keys) if len(self.rows) >= len(keys) else whole)

    def append(self, rows: Sequence[EvalRow]) -> None:
        """Add a batch."""
        lines = [encode_json_line(row.to_dict()) for row in rows]
        append_lines(self.path, b"".join(lines))
        self.rows += rows
        for line in lines:
            self._ends.append(self._ends[-1] + len(line))

    def cut(self, count: int) -> None:
        """Keep the first `count` rows alone."""
        if count < len(self.rows):
            os.truncate(self.path, self._ends[count])
            del self.rows[count:], self._ends[count + 1 :]


def read_rows(folder: Path) -> tuple[dict[str, Any], tuple[EvalRow, ...]]:
    """Header and rows of a run. UsageError naming the first line that is none."""
    path = folder / ROWS_FILE
    if not path.is_file():
        raise UsageError(
            f"{folder}: holds no {ROWS_FILE}; name a folder of `mmreason eval problems`"
        )
    header, rows, _ = _read(path)
    return header, tuple(rows)


def _read(path: Path) -> tuple[dict[str, Any], list[EvalRow], list[int]]:
    """(header, rows, where each line ends, the header's first)."""
    header: dict[str, Any] = {}
    rows: list[EvalRow] = []
    ends: list[int] = []

    def parse(values: dict[str, Any]) -> EvalRow | None:
        if header:
            return EvalRow.from_dict(values)
        if values.get("format") != FORMAT:
            raise ValueError(f"is no header of an evaluation of format {FORMAT}")
        header.update(values)
        return None

    for line in require_json_lines(path, parse, is_resumed=True, most_line_bytes=MOST_RESULT_BYTES):
        ends.append(line.end_byte)
        if line.row is not None:
            rows.append(line.row)
    if not header:
        raise UsageError(f"{path}: has no header; give a new folder")
    return header, rows, ends


def _check_header(stored: Mapping[str, Any], header: Mapping[str, Any], path: Path) -> None:
    differ = [
        f"{name} is {_short(old)} there and {_short(new)} here"
        for name, old, new in flat_differences(stored, header)
        if name.split(".")[0] not in TOLD_ONLY
    ]
    if differ:
        raise UsageError(
            f"{path}: is of other settings ({'; '.join(differ[:6])}); give a new folder with --out"
        )


def flat_differences(
    first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
    """(name, value in the first, value in the second) of settings that differ, in order.

    Example:
        >>> flat_differences({"a": 1, "clip": {"frames": 4}}, {"a": 1, "clip": {"frames": 8}})
        [('clip.frames', 4, 8)]
    """
    differ: list[tuple[str, Any, Any]] = []
    for name in dict.fromkeys([*first, *second]):
        old, new = first.get(name), second.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            differ += flat_differences(old, new, f"{prefix}{name}.")
        elif old != new:
            differ.append((prefix + name, old, new))
    return differ


def _short(value: object) -> str:
    text = show_line(str(value))
    return text if len(text) <= 40 else f"{text[:39]}\N{HORIZONTAL ELLIPSIS}"

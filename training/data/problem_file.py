"""Problems as JSON lines: the format in which one's own data sets are given.

One object a line; `docs/problems.md` describes the fields. A line that cannot be read is one error
that names the file, the line and the field. Trees are not kept: they are made anew from the video.
Rows of other programs: `dialects`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mmreason.grounding import Box, Dialect
from mmreason.json_lines import JsonLineError, encode_json_line, require_json_lines
from mmreason.training.rewards import Frame, Mark, Truth
from mmreason.training.rollouts.types import Problem
from mmreason.types import UsageError
from mmreason.video.files import write_atomic
from mmreason.video.types import Span

FIELDS = (
    "id",
    "question",
    "video",
    "kind",
    "span",
    "options",
    "choice",
    "answer",
    "answers",
    "number",
    "spans",
    "duration_s",
    "frame",
    "boxes",
    "marks",
    "tube",
    "tube_times_s",
    "columns",
    "transcript",
    "mmreason",
)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_MAGNITUDE = 1e300
"""Of a number, so that sums and differences stay finite."""


def read_problems(path: str | Path) -> list[Problem]:
    """The problems of a file, in order; empty lines are skipped.

    A relative `video` is meant from the file's folder. Raises UsageError for a file or a line that
    cannot be read, and where two problems have one id.
    """
    path = Path(path)
    try:
        return _read_all(path)
    except UsageError as error:
        # Only a file that was refused is looked at again; the readers of dialects read ours too.
        from mmreason.training.data.dialects.advice import advise_conversion

        advice = advise_conversion(path)
        if not advice:
            raise
        raise UsageError(f"{error}; {advice}") from error


def _read_all(path: Path) -> list[Problem]:
    problems: list[Problem] = []
    line_of_id: dict[str, int] = {}
    for line in require_json_lines(
        path, partial(from_row, folder=path.parent), refuse_half_pairs=True
    ):
        problem = line.row
        if problem.id in line_of_id:
            reason = f"the id {problem.id!r:.60} is that of line {line_of_id[problem.id]}"
            raise JsonLineError(path, line.number, reason)
        line_of_id[problem.id] = line.number
        problems.append(problem)
    if not problems:
        raise UsageError(f"{path}: expected one JSON object a line, found no problem")
    return problems


def write_problems(path: str | Path, problems: Iterable[Problem]) -> Path:
    """Write problems so that `read_problems` gives them back (without trees, and with the question
    as that of the truth). Relative paths of videos are rewritten to the file's folder. Atomic.
    UsageError for a problem that no file can hold (half a surrogate pair in a text)."""
    path = Path(path)
    lines = []
    for problem in problems:
        row = to_row(problem)
        if "video" in row and not Path(row["video"]).is_absolute():
            # `read_problems` takes relative paths from the folder of the file, not from where it
            # runs.
            row["video"] = os.path.relpath(row["video"], path.parent)
        try:
            lines.append(encode_json_line(row))
        except ValueError as error:
            raise UsageError(f"{path}: the problem {problem.id!r:.60} {error}") from error
    return write_atomic(path, b"".join(lines))


def to_row(problem: Problem) -> dict[str, Any]:
    """A problem as JSON types; what is not known has no field.

    Example:
        >>> to_row(Problem(id="1", question="Is it hot?", truth=Truth(answer="yes")))
        {'id': '1', 'question': 'Is it hot?', 'answer': 'yes'}
    """
    row: dict[str, Any] = {
        "id": problem.id,
        "question": problem.question,
        "video": problem.video,
        "kind": problem.kind or None,
        "span": None if problem.span is None else _span_pair(problem.span),
        **truth_to_row(replace(problem.truth, question="")),
    }
    # None is "not known"; an empty list of spans is a truth ("never") and stays.
    return {name: value for name, value in row.items() if value is not None}


def truth_to_row(truth: Truth) -> dict[str, Any]:
    """A truth as JSON types, without its tree; what is not known has no field.

    Example:
        >>> truth_to_row(Truth(answer="yes", spans=()))
        {'answer': 'yes', 'spans': []}
    """
    frame = truth.frame
    row = {
        "question": truth.question or None,
        "options": list(truth.options) or None,
        "choice": truth.choice,
        "answer": truth.answer,
        "answers": list(truth.answers) or None,
        "number": truth.number,
        "spans": None if truth.spans is None else [_span_pair(span) for span in truth.spans],
        "duration_s": truth.duration_s,
        "frame": None if frame is None else _frame_to_row(frame),
        "boxes": None if truth.boxes is None else [list(box.xyxy) for box in truth.boxes],
        "marks": _marks_to_row(truth.marks),
        "tube": _marks_to_row(truth.tube),
        "tube_times_s": list(truth.tube_times_s) or None,
        "columns": dict(truth.columns) or None,
    }
    return {name: value for name, value in row.items() if value is not None}


def from_row(row: Mapping[str, Any], *, folder: Path | None = None) -> Problem:
    """The problem of one object. UsageError (one line) for fields that are missing, unknown or of
    another type, and for truths that contradict each other.

    Example:
        >>> from_row({"id": "1", "question": "Is it hot?", "answer": "yes"}).truth.answer
        'yes'
    """
    # A misspelt field would be a truth that silently is not there.
    unknown = [name for name in row if name not in FIELDS]
    if unknown:
        raise UsageError(f"unknown field {unknown[0]!r:.60}; the fields are {', '.join(FIELDS)}")
    question = _read_text(row, "question")
    video = _read_text(row, "video", needed=False)
    # Meant from the file's folder, so that a data set can be moved as a whole.
    if video is not None and folder is not None and not Path(video).is_absolute():
        video = os.path.normpath(folder / video)
    span = _read_spans(row, "span", [row["span"]]) if row.get("span") is not None else None
    truth = truth_from_row(row)
    return Problem(
        id=_read_text(row, "id") or "",
        question=question or "",
        truth=truth,
        kind=_read_text(row, "kind", needed=False) or "",
        video=video,
        span=None if span is None else span[0],
    )


def truth_from_row(row: Mapping[str, Any]) -> Truth:
    """The truth in the fields of `truth_to_row`; other fields are passed over. UsageError (one
    line) for fields of another type, and for truths that contradict each other.

    Example:
        >>> truth_from_row({"options": ["red", "blue"], "choice": "B"}).choice
        1
    """
    options, answers = _read_texts(row, "options"), _read_texts(row, "answers")
    answer = _read_text(row, "answer", needed=False)
    return Truth(
        question=_read_text(row, "question", needed=False) or "",
        answer=answers[0] if answers and answer is None else answer,
        answers=answers,
        options=options,
        choice=_read_choice(row, options),
        number=_read_number(row, "number"),
        spans=None
        if row.get("spans") is None
        else _read_spans(row, "spans", _read_list(row, "spans")),
        duration_s=_read_number(row, "duration_s"),
        frame=_read_frame(row),
        boxes=None
        if row.get("boxes") is None
        else tuple(_read_box(box, "boxes") for box in _read_list(row, "boxes")),
        marks=_read_marks(row, "marks"),
        tube=_read_marks(row, "tube"),
        tube_times_s=()
        if row.get("tube_times_s") is None
        else tuple(
            _check_number(value, "tube_times_s") for value in _read_list(row, "tube_times_s")
        ),
        columns=_read_columns(row),
    )


def _read_text(row: Mapping[str, Any], name: str, *, needed: bool = True) -> str | None:
    value = row.get(name)
    if value is None and not needed:
        return None
    # A text of blanks only is as good as none.
    if not isinstance(value, str) or (needed and not value.strip()):
        raise UsageError(f"{name}: expected a text, found {value!r:.60}")
    return value


def _read_list(row: Mapping[str, Any], name: str) -> list[Any]:
    value = row.get(name)
    if not isinstance(value, list):
        raise UsageError(f"{name}: expected a list, found {value!r:.60}")
    return value


def _read_number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return None if value is None else _check_number(value, name)


def _check_number(value: Any, name: str) -> float:
    # Compared, not converted: an integer of 400 digits has no float.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -MOST_MAGNITUDE <= value <= MOST_MAGNITUDE:
        raise UsageError(f"{name}: expected a number, found {value!r:.60}")
    return float(value)


def _read_texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    if row.get(name) is None:
        return ()
    texts = _read_list(row, name)
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise UsageError(f"{name}: expected a list of texts, found {texts!r:.60}")
    return tuple(texts)


def _read_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    value = row.get("columns")
    if value is not None and not isinstance(value, dict):
        raise UsageError(f"columns: expected an object, found {value!r:.60}")
    return value or {}


def _read_choice(row: Mapping[str, Any], options: tuple[str, ...]) -> int | None:
    """An index from 0, or a letter."""
    value = row.get("choice")
    if value is None:
        return None
    if isinstance(value, str):
        # One letter alone: "" and "BC" would be found in the alphabet too.
        value = LETTERS.find(value.strip().upper()) if len(value.strip()) == 1 else -1
    # True is an int in Python, and no index.
    if type(value) is int and 0 <= value < len(options):
        return value
    raise UsageError(
        f"choice: expected the letter or the index (from 0) of one of {len(options)} options, "
        f"found {row['choice']!r:.60}"
    )


def _read_spans(row: Mapping[str, Any], name: str, values: list[Any]) -> tuple[Span, ...]:
    spans = []
    for value in values:
        if not isinstance(value, list) or len(value) != 2:
            raise UsageError(f"{name}: expected [start_s, end_s], found {value!r:.60}")
        start_s, end_s = (_check_number(number, name) for number in value)
        # A span without a length can be neither shown nor overlapped.
        if not 0 <= start_s < end_s:
            raise UsageError(f"{name}: expected 0 <= start_s < end_s, found {value!r:.60}")
        spans.append(Span(start_s, end_s))
    return tuple(spans)


def _read_box(value: Any, name: str) -> Box:
    if not isinstance(value, list) or len(value) != 4:
        raise UsageError(f"{name}: expected [x1, y1, x2, y2] in pixels, found {value!r:.60}")
    return Box(*(_check_number(number, name) for number in value))


def _read_marks(row: Mapping[str, Any], name: str) -> tuple[Mark, ...] | None:
    if row.get(name) is None:
        return None
    marks = []
    for value in _read_list(row, name):
        if not isinstance(value, dict) or set(value) != {"time_s", "box"}:
            raise UsageError(
                f'{name}: expected {{"time_s": ..., "box": [...]}}, found {value!r:.60}'
            )
        marks.append(Mark(_check_number(value["time_s"], name), _read_box(value["box"], name)))
    return tuple(marks)


def _read_frame(row: Mapping[str, Any]) -> Frame | None:
    value = row.get("frame")
    if value is None:
        return None
    # The size is needed, the other two are optional, and nothing else is known.
    if not isinstance(value, dict) or not {"size_px"} <= set(value) <= {
        "size_px",
        "dialect",
        "seen_size_px",
    }:
        raise UsageError(f'frame: expected {{"size_px": [width, height]}}, found {value!r:.60}')
    dialects = [dialect.value for dialect in Dialect]
    dialect = value.get("dialect", Dialect.NORM_1000.value)
    if dialect not in dialects:
        raise UsageError(f"frame: dialect must be {' or '.join(dialects)}, found {dialect!r:.60}")
    seen_size = value.get("seen_size_px")
    return Frame(
        size_px=_read_size(value["size_px"]),
        dialect=Dialect(dialect),
        seen_size_px=None if seen_size is None else _read_size(seen_size),
    )


def _read_size(value: Any) -> tuple[int, int]:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(type(side) is int and side > 0 for side in value)
    ):
        raise UsageError(f"frame: expected [width, height] in pixels, found {value!r:.60}")
    return value[0], value[1]


def _span_pair(span: Span) -> list[float]:
    return [span.start_s, span.end_s]


def _marks_to_row(marks: tuple[Mark, ...] | None) -> list[dict[str, Any]] | None:
    if marks is None:
        return None
    return [{"time_s": mark.time_s, "box": list(mark.box.xyxy)} for mark in marks]


def _frame_to_row(frame: Frame) -> dict[str, Any]:
    row: dict[str, Any] = {"size_px": list(frame.size_px), "dialect": frame.dialect.value}
    if frame.seen_size_px is not None:
        row["seen_size_px"] = list(frame.seen_size_px)
    return row

"""Many questions at once: read from a file, driven together, written as they finish.

Questions in flight share calls to a model (`scheduler.py`); what one of them has asked for, the
others wait for. What is done is on disk at once and is not done again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mmreason.agent.driver import AgentRun
from mmreason.agent.question import Question
from mmreason.agent.scheduler import answer_requests, run_together
from mmreason.json_lines import (
    MOST_RESULT_BYTES,
    JsonLineError,
    append_lines,
    encode_json_line,
    mend_last_line,
    read_json_lines,
    require_json_lines,
)
from mmreason.json_values import with_schema
from mmreason.models.base import Reply
from mmreason.tools.calls import ModelRequest, Reserve
from mmreason.types import Answer, Step, UsageError
from mmreason.video.files import write_atomic
from mmreason.video.json_input import replace_half_pairs
from mmreason.video.plain_text import show_line

UNREADABLE_ROW = "UnreadableRow"
"""Kind of the failure of a row that is no question."""
_ROW_ID = re.compile(r"line \d+")
"""What such a row is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a question got no answer."""

    kind: str
    """Name of the error's type, such as `VideoError`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one question: an answer or a failure."""

    id: str
    """The question's, or "line 3" of a row that is none."""
    question: Question | None = None
    """None for a row that is none."""
    answer: Answer | None = None
    failure: Failure | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        row = with_schema({"id": self.id})
        if self.failure is not None:
            return row | {"failure": {"kind": self.failure.kind, "message": self.failure.message}}
        assert self.answer is not None
        return row | self.answer.to_dict()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFile:
    """What a file of questions holds."""

    questions: tuple[Question, ...]
    unreadable: tuple[Result, ...]
    """Rows that are no question, each as its failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTotals:
    """What came of a file of questions."""

    answers: str
    """Path of the file of answers."""
    questions: int
    answered_before: int
    """Of these, done by an earlier run."""
    unanswered: int
    """Of these, without an answer: looked at, and nothing supports one."""
    failed: int
    """Of these, failed, now or in an earlier run."""


def drive_questions(
    questions: Iterable[Question], start: Callable[[Question], AgentRun[Answer]], workers: int
) -> Iterator[Result]:
    """Answer questions, `workers` at a time in flight; results come as they are done.

    `start` gives the run of one question. An error ends that question only.
    """
    if workers < 1:
        raise UsageError(f"workers must be 1 or more, got {workers}")
    reserved: set[str] = set()
    states = (QuestionState(question, start, reserved) for question in questions)
    for state in run_together(states, answer_requests, most_in_flight=workers):
        assert state.result is not None
        yield state.result


class QuestionState:
    """A question in flight. It waits for the replies to `request`; without one for the keys that it
    wants and that another question has reserved.

    Keys are held from when they are granted until the run yields again after its request: what was
    asked for is in the store by then. Who waits holds none, so that no two wait for each other.
    """

    def __init__(
        self,
        question: Question,
        start: Callable[[Question], AgentRun[Answer]],
        reserved: set[str],
    ):
        """`reserved` are the keys that questions in flight hold, one set for all of them."""
        self.question = question
        self.request: ModelRequest | None = None
        self.result: Result | None = None
        self.replies: list[Reply] | None = None
        self.failure: Exception | None = None
        self._start = start
        self._reserved = reserved
        self._run: AgentRun[Answer] | None = None
        self._wanted: frozenset[str] = frozenset()
        self._held: frozenset[str] = frozenset()

    @property
    def is_over(self) -> bool:
        """Whether there is a result."""
        return self.result is not None

    def advance(self) -> None:
        """Go on to the next request, to keys that others have reserved, or to the result."""
        try:
            self._run = self._run or self._start(self.question)
            while self._may_go_on():
                # Once it yields again after its replies, they are in the store: the keys are free.
                is_answered, self.request = self.request is not None, None
                item = self._resume(self._run)
                if is_answered or not isinstance(item, ModelRequest):
                    self._release()
                if isinstance(item, Reserve):
                    self._wanted = item.keys
                elif isinstance(item, ModelRequest):
                    self.request = item
                    return
        except StopIteration as end:
            self.result = self._result(answer=end.value)
        except Exception as error:  # whatever it is, the other questions go on
            # On one line, as logs and tables show it; some errors have no text at all.
            line = " ".join(str(error).split()) or type(error).__name__
            self.result = self._result(failure=Failure(kind=type(error).__name__, message=line))
        if self.result is not None:
            self._release()

    def _result(self, answer: Answer | None = None, failure: Failure | None = None) -> Result:
        return Result(id=self.question.id, question=self.question, answer=answer, failure=failure)

    def _may_go_on(self) -> bool:
        """Whether the wanted keys are free; they are this question's then."""
        if not self._wanted.isdisjoint(self._reserved):
            return False
        # In place: all questions in flight share the set.
        self._reserved |= self._wanted
        self._held, self._wanted = self._held | self._wanted, frozenset()
        return True

    def _release(self) -> None:
        self._reserved -= self._held
        self._held = frozenset()

    def _resume(self, run: AgentRun[Answer]) -> Step | ModelRequest | Reserve:
        replies, failure = self.replies, self.failure
        self.replies = self.failure = None
        return run.send(replies) if failure is None else run.throw(failure)


def read_questions(path: Path) -> QuestionFile:
    """Rows of a JSON-lines file: `video` and `question`, perhaps `options`, `subtitles` (a file,
    "auto", which is the default, or null for none) and `id`.

    Videos and subtitles are looked for beside the file. A row that is no question is that row's
    failure, and so is one with the id of a row before it. UsageError where no row is a question.
    """
    questions: list[Question] = []
    unreadable: list[Result] = []
    line_of_id: dict[str, int] = {}

    def refuse_row(line: int, reason: str) -> None:
        failure = Failure(kind=UNREADABLE_ROW, message=show_line(f"{path}, line {line}: {reason}"))
        unreadable.append(Result(id=f"line {line}", failure=failure))

    parse = partial(_parse_question, folder=path.parent)
    for line in read_json_lines(path, parse, refuse_half_pairs=True):
        if isinstance(line, JsonLineError):
            refuse_row(line.line, line.reason)
            continue
        question = line.row if line.row.id else replace(line.row, id=str(line.number))
        first_line_number = line_of_id.setdefault(question.id, line.number)
        if first_line_number != line.number:
            reason = f"has the id {question.id!r:.60} of line {first_line_number}; ids must differ"
            refuse_row(line.number, reason)
        elif _ROW_ID.fullmatch(question.id):
            refuse_row(line.number, f"the id {question.id!r} is kept for rows that cannot be read")
        else:
            questions.append(question)
    if not questions:
        why = f": {unreadable[0].failure.message}" if unreadable and unreadable[0].failure else ""
        raise UsageError(f"{path}: holds no question{why}; write one JSON object a line")
    return QuestionFile(questions=tuple(questions), unreadable=tuple(unreadable))


def _parse_question(row: dict[str, Any], folder: Path) -> Question:
    """The question of a row, with "" for an id that it does not have."""
    video, text = row.get("video"), row.get("question")
    if not isinstance(video, str) or not isinstance(text, str):
        raise UsageError('needs the texts "video" and "question"')
    options, subtitles = row.get("options"), row.get("subtitles", "auto")
    if options is not None and not (
        isinstance(options, list) and all(isinstance(option, str) for option in options)
    ):
        raise UsageError('"options" must be a list of texts')
    if subtitles is not None and not isinstance(subtitles, str):
        raise UsageError('"subtitles" must be the name of a file, "auto" or null')
    row_id = row.get("id", "")
    # True is an int in Python, and no id.
    if isinstance(row_id, bool) or not isinstance(row_id, str | int | float):
        raise UsageError('"id" must be a text or a number')
    return Question(
        video=str(folder / video),
        text=text,
        options=tuple(options or ()),
        subtitles=subtitles if subtitles in (None, "auto") else str(folder / subtitles),
        id=str(row_id),
    )


class ResultsFile:
    """Results as JSON lines, each on disk as soon as it is there."""

    def __init__(self, path: Path, *, retry_failed: bool = False):
        """Take up what `path` holds, without a torn last line. UsageError where it cannot be read
        or is something else: it is left as it is then."""
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        if not path.exists():
            return
        is_dropped = False
        for row in _read_results(path):
            kind = row["failure"]["kind"] if "failure" in row else None
            # Rows of questions are read anew each time: whether one can be is no old result.
            if kind == UNREADABLE_ROW or (retry_failed and kind is not None):
                is_dropped = True
            else:
                self.rows[row["id"]] = row
        # Only when every line has been read: a file of something else stays as it is.
        mend_last_line(path)
        # Appended to, the file would hold the dropped row beside its new result.
        if is_dropped:
            self._rewrite(self.rows.values())

    def unfinished(self, questions: Sequence[Question]) -> list[Question]:
        """The questions that have no result yet. UsageError where a result is of another one."""
        waiting = []
        for question in questions:
            row = self.rows.get(question.id)
            if row is None:
                waiting.append(question)
            # A failure holds no text to compare: its id alone tells whose it is.
            elif "failure" not in row and row.get("question") != question.text:
                raise UsageError(
                    f"{self.path}: its result {question.id!r:.60} is of another question; give "
                    "another --out, or remove that file"
                )
        return waiting

    def add(self, result: Result) -> None:
        """Append one result and wait until it is on disk. Half surrogate pairs are written as
        U+FFFD; one that JSON cannot hold is written as a failure. Raises OSError where nothing can
        be written: the file is as it was, and `rows` holds the result."""
        row = replace_half_pairs(result.to_dict())
        try:
            line = _encode_result(row)
        except (ValueError, TypeError) as error:
            failure = Failure(kind=type(error).__name__, message=f"cannot be written: {error}")
            row = replace_half_pairs(replace(result, answer=None, failure=failure).to_dict())
            line = _encode_result(row)
        self.rows[row["id"]] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_lines(self.path, line, wait_for_disk=True)

    def sort(self, ids_in_order: Sequence[str]) -> None:
        """Put the file into the order of the questions, whatever order they were answered in."""
        # Results of questions that are no longer asked stay, behind the others.
        in_order = dict.fromkeys(row_id for row_id in ids_in_order if row_id in self.rows)
        ids = [*in_order, *(row_id for row_id in self.rows if row_id not in in_order)]
        if ids != list(self.rows):
            self._rewrite(self.rows[row_id] for row_id in ids)

    def _rewrite(self, rows: Iterable[dict[str, Any]]) -> None:
        write_atomic(self.path, b"".join(map(encode_json_line, rows)))


def _encode_result(row: dict[str, Any]) -> bytes:
    line = encode_json_line(row)
    if len(line) > MOST_RESULT_BYTES:
        raise ValueError(f"has {len(line):,} bytes, the limit is {MOST_RESULT_BYTES:,}")
    return line


def _read_results(path: Path) -> Iterator[dict[str, Any]]:
    lines = require_json_lines(
        path, _checked_result, is_resumed=True, most_line_bytes=MOST_RESULT_BYTES
    )
    try:
        for line in lines:
            yield line.row
    except JsonLineError as error:
        raise UsageError(
            f"{path}: is no file of results (line {error.line}: {error.reason}); give another"
        ) from error


def _checked_result(row: dict[str, Any]) -> dict[str, Any]:
    if "schema" not in row or not isinstance(row.get("id"), str):
        raise TypeError("needs a schema, and a text as id")
    failure = row.get("failure", {"kind": "", "message": ""})
    if not isinstance(failure, dict) or not all(
        isinstance(failure.get(name), str) for name in ("kind", "message")
    ):
        raise TypeError("its failure has no kind and message")
    return row

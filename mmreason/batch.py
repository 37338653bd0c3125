"""Many questions at once: read from a file, driven together, written as they finish.

Questions in flight share calls to a model: their requests are put together, so that a local model
sees batches and an endpoint is asked side by side; what one of them has asked for, the others wait
for. What is done is on disk at once and is not done again. Leaves out how one question is answered
(`reasoner.py`).
"""

from __future__ import annotations

import json
import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmreason.calls import FAILURES, Awaited, Request
from mmreason.json_values import with_schema
from mmreason.models.base import ModelError, Reply
from mmreason.types import Answer, Step, UsageError
from mmreason.video.files import write_atomic

ROW_LIMIT = 1_000_000
"""Characters of one row of a file of questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One row of a batch."""

    video: str
    question: str
    options: tuple[str, ...] | None = None
    subtitles: str | None = "auto"
    """A file, "auto" for those beside or inside the video, None for none."""
    id: str = ""
    """Names the row in results; its line number where the file gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a question got no answer."""

    kind: str
    """Name of the error's type, such as `VideoError`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one question: an answer or a failure."""

    question: Question
    answer: Answer | None = None
    failure: Failure | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        row = with_schema({"id": self.question.id})
        if self.failure is not None:
            return row | {"failure": {"kind": self.failure.kind, "message": self.failure.message}}
        assert self.answer is not None
        return row | self.answer.to_dict()


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


Run = Generator[Step | Request | Awaited, Any, Answer]


def drive(
    questions: Iterable[Question], start: Callable[[Question], Run], workers: int
) -> Iterator[Result]:
    """Answer questions, `workers` at a time in flight; results come as they are done.

    `start` gives the run of one question. An error ends that question only.
    """
    if workers < 1:
        raise UsageError(f"workers must be 1 or more, got {workers}")
    waiting = iter(questions)
    flights: list[_Flight] = []
    while True:
        while len(flights) < workers and (question := next(waiting, None)) is not None:
            flights.append(_Flight(question, start))
        if not flights:
            return
        for flight in flights:
            flight.advance()
        yield from (flight.result for flight in flights if flight.result is not None)
        flights = [flight for flight in flights if flight.result is None]
        answer_requests([flight for flight in flights if flight.request is not None])


class Waiting(Protocol):
    """Something that waits for models: it is given the replies, or the failure, to its request."""

    request: Request | None
    replies: list[Reply] | None
    failure: Exception | None


class _Flight:
    """A question in flight: it waits for the replies to `request`; without one for those that
    another question has asked for."""

    def __init__(self, question: Question, start: Callable[[Question], Run]):
        self.question = question
        self.request: Request | None = None
        self.result: Result | None = None
        self.replies: list[Reply] | None = None
        self.failure: Exception | None = None
        self._start = start
        self._run: Run | None = None

    def advance(self) -> None:
        """Go on to the next request, or to the result."""
        try:
            self._run = self._run or self._start(self.question)
            item = self._next(self._run)
            while isinstance(item, Step):
                item = next(self._run)
            self.request = item if isinstance(item, Request) else None
        except StopIteration as end:
            self.result = Result(question=self.question, answer=end.value)
        except Exception as error:  # whatever it is, the other questions go on
            line = " ".join(str(error).split()) or type(error).__name__
            failure = Failure(kind=type(error).__name__, message=line)
            self.result = Result(question=self.question, failure=failure)

    def _next(self, run: Run) -> Step | Request | Awaited:
        replies, failure = self.replies, self.failure
        self.replies = self.failure = None
        return run.send(replies) if failure is None else run.throw(failure)


def answer_requests(flights: Sequence[Waiting]) -> None:
    """Ask for all that is waited for, one call for what can go together."""
    groups: dict[tuple[int, int, float, int], list[Waiting]] = {}
    for flight in flights:
        request = flight.request
        assert request is not None
        same = (id(request.model), request.max_new_tokens, request.temperature, request.seed)
        groups.setdefault(same, []).append(flight)
    for group in groups.values():
        _answer_group(group)


def _answer_group(group: Sequence[Waiting]) -> None:
    requests = [flight.request for flight in group if flight.request is not None]
    together = [c for request in requests for c in request.conversations]
    first = requests[0]
    deadlines_s: list[float] = []
    if any(request.deadlines_s for request in requests):
        for request in requests:
            deadlines_s += request.deadlines_s or [math.inf] * len(request.conversations)
    replies: Sequence[Reply | None]
    try:
        replies = Request(
            first.model,
            together,
            first.max_new_tokens,
            first.temperature,
            first.seed,
            deadlines_s,
        ).perform()
        errors: dict[int, str] = {}
    except ModelError as error:
        replies, errors = error.replies, error.errors
    except FAILURES as error:
        if len(group) == 1:
            group[0].failure = error
            return
        for flight in group:
            _answer_group([flight])
        return
    at = 0
    for flight, request in zip(group, requests, strict=True):
        own = replies[at : at + len(request.conversations)]
        lost = {i - at: why for i, why in errors.items() if at <= i < at + len(own)}
        at += len(own)
        if lost:
            flight.failure = ModelError(next(iter(lost.values())), replies=own, errors=lost)
        else:
            flight.replies = [reply for reply in own if reply is not None]


def read_questions(path: Path) -> list[Question]:
    """Rows of a JSON-lines file: `video` and `question`, perhaps `options`, `subtitles` (a file,
    "auto", which is the default, or null for none) and `id`.

    Videos and subtitles are looked for beside the file. UsageError names the first wrong line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    questions = [
        _question(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()
    ]
    if not questions:
        raise UsageError(f"{path}: holds no question; write one JSON object a line")
    seen: dict[str, int] = {}
    for number, question in enumerate(questions, start=1):
        if question.id in seen:
            raise UsageError(f"{path}: two questions have the id {question.id!r}; ids must differ")
        seen[question.id] = number
    return questions


def _question(path: Path, number: int, line: str) -> Question:
    where = f"{path}, line {number}"
    try:
        row = json.loads(line) if len(line) <= ROW_LIMIT else None
    except ValueError as error:
        raise UsageError(f"{where}: is no JSON ({error})") from error
    if not isinstance(row, dict):
        raise UsageError(f"{where}: expected one JSON object of reasonable size")
    video, question = row.get("video"), row.get("question")
    if not isinstance(video, str) or not isinstance(question, str):
        raise UsageError(f'{where}: needs the texts "video" and "question"')
    options, subtitles = row.get("options"), row.get("subtitles", "auto")
    if options is not None and not (
        isinstance(options, list) and all(isinstance(option, str) for option in options)
    ):
        raise UsageError(f'{where}: "options" must be a list of texts')
    if subtitles is not None and not isinstance(subtitles, str):
        raise UsageError(f'{where}: "subtitles" must be the name of a file, "auto" or null')
    return Question(
        video=str(path.parent / video),
        question=question,
        options=tuple(options) if options else None,
        subtitles=subtitles if subtitles in (None, "auto") else str(path.parent / subtitles),
        id=str(row.get("id", number)),
    )


class ResultsFile:
    """Results as JSON lines, each on disk as soon as it is there; torn lines are dropped."""

    def __init__(self, path: Path, *, retry_failed: bool = False):
        """Take up what `path` holds. UsageError where it cannot be read or is something else."""
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        if path.exists():
            for row in _rows(path):
                if not (retry_failed and "failure" in row):
                    self.rows[row["id"]] = row
            self._rewrite(self.rows.values())

    def left(self, questions: Sequence[Question]) -> list[Question]:
        """The questions that have no result yet. UsageError where a result is of another one."""
        left = []
        for question in questions:
            row = self.rows.get(question.id)
            if row is None:
                left.append(question)
            elif "failure" not in row and row.get("question") != question.question.strip():
                raise UsageError(
                    f"{self.path}: its result {question.id!r} is of another question; give another "
                    "--out, or remove that file"
                )
        return left

    def add(self, result: Result) -> None:
        """Append one result and wait until it is on disk."""
        row = result.to_dict()
        self.rows[row["id"]] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def sort(self, questions: Sequence[Question]) -> None:
        """Put the file into the order of the questions, whatever order they were answered in."""
        order = [self.rows[q.id] for q in questions if q.id in self.rows]
        known = {row["id"] for row in order}
        self._rewrite([*order, *(row for i, row in self.rows.items() if i not in known)])

    def _rewrite(self, rows: Iterable[dict[str, Any]]) -> None:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomic(self.path, "".join(lines).encode())


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        # Not `splitlines`: JSON strings may hold characters that it takes for the end of a line.
        lines = deque(path.read_text(encoding="utf-8", errors="replace").split("\n"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    while lines:
        line = lines.popleft()
        try:
            row = json.loads(line)
            if not isinstance(row["id"], str):
                raise TypeError("the id is no text")
        except (ValueError, TypeError, KeyError) as error:
            if not lines:
                return  # torn by an interruption: that question is asked again
            raise UsageError(f"{path}: is no file of results ({error}); give another") from error
        yield row

"""What came of one question of a benchmark, as a line of `results.jsonl`.

Only what was answered is kept, not whether it is right: scores are made of it anew each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

from mmreason import __version__
from mmreason.agent.batch import Result
from mmreason.json_lines import MOST_RESULT_BYTES, require_json_lines
from mmreason.language.answer_reading import read_answer
from mmreason.types import Answer, StopReason
from mmreason.video.types import Span

FAILED = "failed"
"""In place of a stop reason, where no question was answered."""

_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "text", "reply", "stop_reason", "error", "policy", "version"), (str,)),
    **dict.fromkeys(("frames", "tokens", "model_calls"), (int,)),
    "choice": (int, NoneType),
    "confidence": (float, int, NoneType),
    "seconds": (float, int),
    "judged_right": (bool, NoneType),
}
"""What a line holds, but for its evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOutcome:
    """One question, answered, declined or failed.

    Example:
        >>> BenchmarkOutcome(id="001-1", text="B", choice=1, stop_reason="answered").failed
        False
    """

    id: str
    text: str = ""
    """What was answered; empty without an answer. Where there are options, policies put the words
    of the chosen one here."""
    reply: str = ""
    """What the model wrote to the question, which the answer was read from; empty where a policy
    or a call of a tool decided, and for models that are not shown options."""
    choice: int | None = None
    stop_reason: str
    confidence: float | None = None
    evidence: tuple[Span, ...] = ()
    frames: int = 0
    """Shown to models."""
    tokens: int = 0
    """Read and written."""
    model_calls: int = 0
    seconds: float = 0.0
    error: str = ""
    """Kind and message of what went wrong."""
    policy: str = ""
    """That answered; "auto" chooses another."""
    version: str = __version__
    """Of mmreason, which may change in the course of a run."""
    judged_right: bool | None = None
    """By the judge of the run; None without one, and where its reply said neither."""

    @property
    def failed(self) -> bool:
        return self.stop_reason == FAILED

    @property
    def abstained(self) -> bool:
        """Whether no answer was given, and none was lost to an error."""
        return not self.text and not self.failed

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        row = {name: getattr(self, name) for name in self.__slots__}
        return row | {"evidence": [span.to_list() for span in self.evidence]}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> BenchmarkOutcome:
        """What `to_dict` gave. KeyError, TypeError or ValueError for anything else."""
        values: dict[str, Any] = {name: row[name] for name in cls.__slots__}
        for name, kinds in _KINDS.items():
            if not isinstance(values[name], kinds):
                raise TypeError(f"has no {name!r} of an outcome: {values[name]!r:.40}")
        values["evidence"] = tuple(Span(*pair) for pair in values["evidence"])
        return cls(**values)


def outcome_of(result: Result, *, reads_options: bool) -> BenchmarkOutcome:
    """Keep of a result what is scored. `reads_options`: whether the model is shown options."""
    # Not the trace: a run has thousands of questions, and all of its file is read to go on.
    answer, failure = result.answer, result.failure
    if answer is None:
        error = "" if failure is None else f"{failure.kind}: {failure.message}"
        return BenchmarkOutcome(id=result.id, stop_reason=FAILED, error=error)
    return BenchmarkOutcome(
        id=result.id,
        text=answer.text,
        reply=_find_reply(answer) if reads_options else "",
        choice=answer.choice,
        stop_reason=str(StopReason(answer.stop_reason)),
        confidence=answer.confidence,
        evidence=tuple(evidence.span for evidence in answer.evidence),
        frames=answer.cost.frames,
        tokens=answer.cost.tokens_in + answer.cost.tokens_out,
        model_calls=answer.cost.model_calls,
        seconds=round(answer.cost.seconds, 3),
        policy=answer.settings["policy"]["name"],
    )


def _find_reply(answer: Answer) -> str:
    """The quote of its first evidence, where the choice can be read from that and no turn of a
    model that decides gave it."""
    if answer.choice is None or not answer.evidence:
        return ""
    if any(step.call.name == "answer" for step in answer.trace):
        return ""
    quote = answer.evidence[0].quote
    reading = read_answer(quote, answer.options, answer.question)
    return quote if reading.choice == answer.choice else ""


def read_outcomes(path: Path) -> dict[str, BenchmarkOutcome]:
    """The last outcome of each question by id: one that failed may have been asked again. Raises
    UsageError naming the first line that is none, but for a torn last one."""
    if not path.is_file():
        return {}
    # Lines are added and never changed, so that a crash can cost one at most.
    lines = require_json_lines(
        path, BenchmarkOutcome.from_dict, is_resumed=True, most_line_bytes=MOST_RESULT_BYTES
    )
    return {line.row.id: line.row for line in lines}

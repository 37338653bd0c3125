"""Steps and samples as lines of JSON, and back from files that anyone may have touched.

`metrics.jsonl` has a line a step, `samples.jsonl` a line a sample. When they are written is
`run_log`'s business, what is made of them `runs`'.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from mmreason.json_lines import MOST_RESULT_BYTES, JsonLine, JsonLineError, read_json_lines
from mmreason.training.rollouts.types import Role
from mmreason.training.runs.events import SampleToken, SampleView, StepReport

Parsed = TypeVar("Parsed")

_LONGEST_NAME = 200
_MOST_TOKENS = 4_096
"""Tokens kept of a sequence; the middle of a longer one is left out and said to be."""
_MOST_ALIKE = 3
"""Neighbours with the same text that are kept as they are where the model did not write them."""


def encode_step(report: StepReport) -> bytes:
    """One line without the samples. A figure that is not finite is left out, with a warning.

    Example:
        >>> encode_step(StepReport(step=1, steps=9, metrics={"reward/mean": 0.5}))
        b'{"step":1,"steps":9,"metrics":{"reward/mean":0.5}}\\n'
    """
    # JSON has no NaN, and a word in its place would break every reader of the log.
    numbers = {name: float(value) for name, value in report.metrics.items()}
    bad = [name for name, value in numbers.items() if not math.isfinite(value)]
    warnings = list(report.warnings) + [f"{name} was {numbers[name]}: not logged" for name in bad]
    row: dict[str, Any] = {
        "step": report.step,
        "steps": report.steps,
        "metrics": {name: value for name, value in numbers.items() if name not in bad},
    }
    return _line(row | ({"warnings": warnings} if warnings else {}))


def encode_sample(step: int, view: SampleView) -> bytes:
    """One line; long runs of a token in what the model read, and what exceeds 4,096 tokens of a
    sequence, are told instead of kept."""
    row = {
        "step": step,
        "problem": view.problem,
        "question": view.question,
        "wanted": view.wanted,
        "sample": view.sample,
        "reward": _plain(view.reward),
        "components": {name: _plain(value) for name, value in view.components.items()},
        "correct": view.correct,
        "advantage": _plain(view.advantage),
        "truncated": view.truncated,
        "sequences": [
            [_token_row(token) for token in _shorten(sequence)] for sequence in view.sequences
        ],
    }
    return _line(row)


def parse_step(row: dict[str, Any]) -> StepReport:
    """What `encode_step` wrote. Raises ValueError."""
    metrics = _dict(row, "metrics")
    return StepReport(
        step=_count(row, "step"),
        steps=_count(row, "steps"),
        metrics={_name(name): _number(value, name) for name, value in metrics.items()},
        warnings=tuple(_text(line, "a warning") for line in _list(row.get("warnings", []))),
    )


def parse_sample(row: dict[str, Any]) -> tuple[int, SampleView]:
    """(step, sample) as `encode_sample` wrote them. Raises ValueError."""
    components = _dict(row, "components").items()
    correct = row.get("correct")
    if correct is not None and not isinstance(correct, bool):
        raise ValueError("'correct' must be true, false or null")
    view = SampleView(
        problem=_text(row.get("problem"), "'problem'"),
        question=_text(row.get("question"), "'question'"),
        wanted=_text(row.get("wanted"), "'wanted'"),
        sample=_whole(row.get("sample"), "'sample'"),
        reward=_maybe(row.get("reward"), "reward"),
        components={_name(name): _maybe(value, name) for name, value in components},
        correct=correct,
        # An advantage that was not finite is null in the file.
        advantage=_maybe(row.get("advantage"), "advantage") or 0.0,
        truncated=row.get("truncated") is True,
        sequences=tuple(
            tuple(_token(token) for token in _list(sequence))
            for sequence in _list(row.get("sequences"))
        ),
    )
    return _count(row, "step"), view


def read_rows(
    path: Path, parse: Callable[[dict[str, Any]], Parsed]
) -> Iterator[JsonLine[Parsed] | JsonLineError]:
    """Every line as a row, or as the error that says what is wrong with it; none where there is no
    file. Raises UsageError where the file cannot be read at all."""
    return (
        read_json_lines(path, parse, most_line_bytes=MOST_RESULT_BYTES)
        if path.exists()
        else iter(())
    )


def _line(row: dict[str, Any]) -> bytes:
    # ASCII, so that a model's half of a surrogate pair can be written.
    return json.dumps(row, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _plain(value: float | None) -> float | None:
    """A finite number with six digits, else None."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _token_row(token: SampleToken) -> list[Any]:
    row = [token.text, int(token.role), _plain(token.logprob), _plain(token.entropy)]
    # A fifth field where it says something: most lines of a log are tokens.
    return [*row, 1] if token.silenced else row


def _token(row: Any) -> SampleToken:
    if not isinstance(row, list) or not 4 <= len(row) <= 5:
        raise ValueError("a token must be [text, role, logprob, entropy] or with 1 for silenced")
    try:
        role = Role(_whole(row[1], "a role"))
    except ValueError as error:
        raise ValueError(f"a role must be 0, 1 or 2, found {row[1]!r}") from error
    return SampleToken(
        text=_text(row[0], "a token's text"),
        role=role,
        logprob=_maybe(row[2], "a log-probability"),
        entropy=_maybe(row[3], "an entropy"),
        silenced=len(row) == 5 and row[4] == 1,
    )


def _shorten(sequence: tuple[SampleToken, ...]) -> list[SampleToken]:
    tokens: list[SampleToken] = []
    for (role, text), run in groupby(sequence, lambda t: (t.role, t.text)):
        alike = list(run)
        # The places of frames: hundreds of one token, which tell nothing each.
        if role is not Role.ASSISTANT and len(alike) > _MOST_ALIKE:
            alike = [replace(alike[0], text=f"{text} \N{MULTIPLICATION SIGN} {len(alike):,}")]
        tokens += alike
    # Both ends of a long sequence: the prompt's and the answer's.
    if len(tokens) > _MOST_TOKENS:
        half = _MOST_TOKENS // 2
        gone = SampleToken(
            text=f" [{len(tokens) - 2 * half:,} tokens are not shown] ", role=Role.PROMPT
        )
        tokens = [*tokens[:half], gone, *tokens[-half:]]
    return tokens


def _dict(row: dict[str, Any], key: str) -> dict[str, Any]:
    value = row.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"'{key}' must be an object")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, found {type(value).__name__}")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a text, found {type(value).__name__}")
    return value


def _name(value: str) -> str:
    if not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise ValueError(f"{value[:40]!r} is no name of a figure")
    return value


def _count(row: dict[str, Any], key: str) -> int:
    value = _whole(row.get(key), f"'{key}'")
    if not 1 <= value < 1 << 53:
        raise ValueError(f"'{key}' must be 1 or more, found {value}")
    return value


def _whole(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{what} must be a whole number, found {str(value)[:40]!r}")
    return value


def _number(value: Any, what: str) -> float:
    # Compared before conversion: float() of a very long integer raises another error.
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        raise ValueError(f"'{what}' must be a finite number, found {str(value)[:40]!r}")
    if not math.isfinite(value):
        raise ValueError(f"'{what}' must be a finite number, found {value}")
    return float(value)


def _maybe(value: Any, what: str) -> float | None:
    return None if value is None else _number(value, what)

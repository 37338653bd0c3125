"""Times and spans in a model's text: seconds, clock times, words."""

from __future__ import annotations

import math
import re
from typing import Any

from mmreason.grounding.dialects.answer_text import answer_body, find_values, says_none
from mmreason.grounding.dialects.choose import Answer
from mmreason.grounding.dialects.status import finish_grounding
from mmreason.grounding.results import Grounding, Issue, Target
from mmreason.video.types import Span

LONGEST_S = 1e7
"""No video is longer: a larger number is no time."""
SPAN_LIMIT = 100
"""Spans of one reply."""

_CLOCK = r"(?:[0-9]{1,3}:)?[0-9]{1,4}:[0-9]{1,2}(?:\.[0-9]{1,9})?"
_SECONDS = r"[0-9]{1,9}(?:\.[0-9]{0,9})?"
_UNIT = r"(?:\s?(?:seconds|second|secs|sec|s)\b)"
_TIME = re.compile(rf"\s*<?\s*(?:({_CLOCK})|({_SECONDS}){_UNIT}?)\s*>?\s*", re.IGNORECASE)
_JOIN = r"\s{0,3}>?\s{0,3}(?:[-\u2013\u2014]|to|until|and)\s{0,3}<?\s{0,3}"
"""A hyphen or a dash of either length, or a word."""
_IN_WORDS = re.compile(
    rf"({_CLOCK}){_JOIN}({_CLOCK})"
    rf"|({_SECONDS}){_UNIT}?{_JOIN}({_SECONDS}){_UNIT}"
    rf"|\b(?:from|between)\s{{1,3}}<?({_SECONDS}){_UNIT}?{_JOIN}({_SECONDS})(?![0-9:])",
    re.IGNORECASE,
)
_START_KEYS = ("start", "start_time", "start_s", "begin", "from")
_END_KEYS = ("end", "end_time", "end_s", "to")
_SPAN_KEYS = ("time", "times", "span", "spans", "segment", "segments", "timestamp", "timestamps")


def to_seconds(value: Any) -> float | None:
    """A time as models write it: 9, "9.5", "9 s", "<9.0 seconds>", "01:05"; None for anything else
    and for what no video reaches.

    Example:
        >>> to_seconds("1:05"), to_seconds("<9.0 seconds>"), to_seconds("soon")
        (65.0, 9.0, None)
    """
    if isinstance(value, str):
        match = _TIME.fullmatch(value[:60])
        if match is None:
            return None
        if match[1] is None:
            value = float(match[2])
        else:
            value = 0.0
            for number in match[1].split(":"):
                value = value * 60 + float(number)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= LONGEST_S and math.isfinite(value) else None


def read_span(start: Any, end: Any, issues: list[Issue]) -> Span | None:
    """The span between two times; None, with its complaint, where one is no time or the end does
    not come after the start: times are never swapped."""
    start_s, end_s = to_seconds(start), to_seconds(end)
    if start_s is None or end_s is None:
        issues.append(Issue("dropped_span", f"no times: {str([start, end])[:60]}"))
        return None
    if end_s < start_s:
        issues.append(
            Issue("dropped_span", f"a span that ends before it starts: {start_s:g} to {end_s:g}")
        )
        return None
    return Span(start_s, end_s)


def parse_spans(text: str, *, duration_s: float | None = None, strict: bool = False) -> Grounding:
    """Read the spans of time in `text`: JSON (`{"start": 3, "end": 5}`, `[[3, 5]]`, `"time": [3,
    5]`), else words ("from 3 to 5 seconds", "0:03 - 0:05"). One target a span; see `parse_boxes`
    for the statuses and `strict`. Spans are clipped to `duration_s` where it is given.

    Example:
        >>> [target.span for target in parse_spans("It is from 1:05 to 1:20.").targets]
        [Span(start_s=65.0, end_s=80.0)]
        >>> parse_spans("from 9 to 3 seconds").status
        <GroundingStatus.UNPARSED: 'unparsed'>
    """
    issues: list[Issue] = []
    body = answer_body(text, issues)
    answer, spans, complaints = _read_spans(body, issues)
    issues += complaints
    answer.has_complaints = bool(complaints)
    distinct: list[Span] = []
    for span in spans[:SPAN_LIMIT]:
        clipped = span
        if duration_s is not None and span.end_s > duration_s:
            if span.start_s >= duration_s:
                issues.append(Issue("dropped_span", f"a span after the end: {span.start_s:g} s"))
                continue
            issues.append(Issue("dropped_span", f"a span was cut at the end, {duration_s:g} s"))
            clipped = Span(span.start_s, duration_s)
        if clipped not in distinct:
            distinct.append(clipped)
    if len(spans) > SPAN_LIMIT:
        issues.append(Issue("cut", f"only the first {SPAN_LIMIT} spans were read"))
    targets = tuple(Target(span=span) for span in distinct)
    return finish_grounding(targets, answer, issues, text=text, strict=strict)


def _read_spans(body: str, issues: list[Issue]) -> tuple[Answer, list[Span], list[Issue]]:
    """The last JSON with a span, else those in words; and what could not be used."""
    complaints: list[Issue] = []
    answer = Answer()
    for value in reversed(find_values(body, issues)):
        spans: list[Span] = []
        problems: list[Issue] = []
        _walk(value.value, spans, problems, depth=0)
        if spans or problems:
            issues += value.issues
            answer.rule = value.rule
            return answer, spans, problems
        if value.value == []:
            answer.says_none, answer.rule = True, value.rule
            return answer, [], []
    spans = []
    for match in _IN_WORDS.finditer(body):
        start, end = (group for group in match.groups() if group is not None)
        span = read_span(start, end, complaints)
        if span is not None:
            spans.append(span)
    if spans or complaints:
        answer.rule = "words"
    elif says_none(body):
        answer.says_none, answer.rule = True, "refusal"
    return answer, spans, complaints


def _walk(value: Any, spans: list[Span], issues: list[Issue], *, depth: int) -> None:
    if depth > 6 or len(spans) > SPAN_LIMIT:
        return
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(to_seconds(v) is not None for v in value)
    ):
        span = read_span(value[0], value[1], issues)
        spans += [] if span is None else [span]
    elif isinstance(value, list):
        for item in value:
            _walk(item, spans, issues, depth=depth + 1)
    elif isinstance(value, dict):
        start = next((value[key] for key in _START_KEYS if key in value), None)
        end = next((value[key] for key in _END_KEYS if key in value), None)
        if start is not None and end is not None:
            span = read_span(start, end, issues)
            spans += [] if span is None else [span]
            return
        named = [value[key] for key in _SPAN_KEYS if key in value]
        for item in named or [item for item in value.values() if isinstance(item, dict | list)]:
            if isinstance(item, dict | list):
                _walk(item, spans, issues, depth=depth + 1)

"""Which part of a model's text is its answer, the JSON in it, and whether it says "not there"."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from mmreason.grounding.dialects.loose_json import find_loose_values
from mmreason.grounding.results import Issue

TEXT_LIMIT = 100_000
"""Characters of a reply that are read."""

_THINK = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>|◁(/?)think▷", re.IGNORECASE)
_ANSWER = re.compile(r"<(/?)answer>", re.IGNORECASE)
_FENCE = re.compile(r"```")
_BETWEEN_ITEMS = re.compile(r"[\s,;]*(?:(?:[-*•]|\d{1,3}[.)])\s*)?")
"""Between values that belong to one list: commas, line ends, the signs of a list in prose."""
_SEEN = (
    "present|visible|shown|there|found|find|exist|see|seen|appear|locate|located|detect|detected"
)
_NOT = r"(?:\bnot|n['\u2019]t|\bcannot)"
_REFUSAL = re.compile(
    r"^\W*(?:none|null|nothing|no|n/a)\W*$|\bthere (?:is|are|was|were) (?:no|none|nothing)\b"
    r"|\bthere (?:isn|aren|wasn|weren)['\u2019]t\b|\bno such\b"
    r"|\bno (?:\w+ ){1,6}(?:visible|found|present|shown|seen|detected)\b"
    rf"|{_NOT} (?:be )?(?:{_SEEN})\b"
    rf"|{_NOT} in (?:the|this) (?:image|picture|photo|frame|scene|video|clip)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class AnswerValue:
    """JSON in an answer: its value, where it is, and by which rule it was found."""

    value: Any
    start: int
    end: int
    rule: str
    """fence, json, repaired or cut_list."""
    fence: int | None
    """Number of the code fence that it is in."""
    issues: tuple[Issue, ...]


def answer_body(text: str, issues: list[Issue]) -> str:
    """The part of `text` that answers: without thoughts, within limits."""
    if len(text) > TEXT_LIMIT:
        issues.append(Issue("cut", f"text cut to its last {TEXT_LIMIT} of {len(text)} characters"))
        # The end, since models answer after their thoughts.
        text = text[-TEXT_LIMIT:]
    # Boxes that a model only weighs in its thoughts are no answer. Thoughts may hold thoughts, and
    # templates may have written the opening tag into the prompt.
    closing = opening = None
    for tag in _THINK.finditer(text):
        if tag[1] or tag[2]:
            closing = tag
        elif closing is None or tag.start() > closing.end():
            opening = opening if opening and closing is None else tag
    if closing is not None and (opening is None or opening.start() < closing.start()):
        text = text[closing.end() :]
    elif opening is not None:
        issues.append(Issue("cut", "thoughts never closed; nothing after them"))
        text = text[closing.end() if closing else 0 : opening.start()]
    return _last_answer(text)


def _last_answer(text: str) -> str:
    """Between the last pair of answer tags that holds something; all of it where there is none."""
    start, answer = None, None
    for tag in _ANSWER.finditer(text):
        if not tag[1]:
            start = tag.end()
        elif start is not None:
            answer, start = text[start : tag.start()].strip() or answer, None
    if start is not None and text[start:].strip():
        return text[start:]
    return text if answer is None else answer


def find_values(body: str, issues: list[Issue]) -> list[AnswerValue]:
    """The JSON values in an answer, in order; neighbours of one list are one value.

    Example:
        >>> [value.value for value in find_values('{"a": 1}, {"a": 2} or [3]', [])]
        [[{'a': 1.0}, {'a': 2.0}], [3.0]]
    """
    fences = [match.start() for match in _FENCE.finditer(body)]
    values, is_complete = find_loose_values(body)
    if not is_complete:
        issues.append(Issue("cut", "too many brackets that close nowhere; the rest was not read"))
    groups: list[list[Any]] = []
    for value in values:
        fence = _fence_of(value.start, fences)
        gap = groups and _BETWEEN_ITEMS.fullmatch(body, groups[-1][-1].end, value.start)
        if gap and fence == _fence_of(groups[-1][-1].start, fences):
            groups[-1].append(value)
        else:
            groups.append([value])
    return [_answer_value(group, _fence_of(group[0].start, fences)) for group in groups]


def says_none(body: str) -> bool:
    """Whether words say that it is not there.

    Example:
        >>> says_none("There is no dog."), says_none("the dog on the left")
        (True, False)
    """
    return _REFUSAL.search(body) is not None


def _fence_of(position: int, fences: list[int]) -> int | None:
    """Number of the fence around a position: its opening is the odd one before it."""
    before = bisect_left(fences, position)
    return before // 2 if before % 2 else None


def _answer_value(group: list[Any], fence: int | None) -> AnswerValue:
    repairs = dict.fromkeys(repair for value in group for repair in value.repairs)
    is_cut = any(value.is_cut for value in group)
    issues = [Issue("repaired", f"JSON mended: {', '.join(repairs)}")] if repairs else []
    if is_cut:
        issues.append(Issue("cut", "JSON was cut off; what was complete is kept"))
    if len(group) > 1:
        issues.append(Issue("repaired", f"{len(group)} JSON values taken as one list"))
    if is_cut or len(group) > 1:
        rule = "cut_list"
    else:
        rule = "fence" if fence is not None else "repaired" if repairs else "json"
    return AnswerValue(
        value=group[0].value if len(group) == 1 else [value.value for value in group],
        start=group[0].start,
        end=group[-1].end,
        rule=rule,
        fence=fence,
        issues=tuple(issues),
    )

"""Which of the things that look like an answer is the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from mmreason.grounding.dialects.answer_text import AnswerValue, find_values, says_none
from mmreason.grounding.dialects.dialect import BoxNotation
from mmreason.grounding.dialects.rows import ROW_LIMIT, Reading, Row, RowShape, read_rows
from mmreason.grounding.dialects.tokens import find_bracket_rows, find_tokens, tokens_of_others
from mmreason.grounding.results import Issue


@dataclass(slots=True)
class Answer:
    """The rows that count, by which rule, and whether the text says that nothing is there."""

    rows: list[Row] = field(default_factory=list)
    rule: str = ""
    says_none: bool = False
    has_complaints: bool = False
    """Whether something hints at a box that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Find:
    """Something in the text that could be the answer."""

    start: int
    rule: str
    reading: Reading
    is_row: bool
    """Whether it is a bare row in prose: several of them are one answer."""
    fence: int | None = None

    @property
    def counts(self) -> bool:
        return bool(self.reading.rows) or (
            self.reading.says_none and not self.reading.has_complaints
        )


def read_answer(
    body: str,
    notation: BoxNotation,
    shape: RowShape,
    issues: list[Issue],
    *,
    pick: Literal["all", "first", "last", "best_score"],
) -> Answer:
    """The rows of the answer: of the last code fence that has any, else the last JSON, else all
    bare rows in prose. With pick "first" or "last", those of the whole text."""
    finds = _find_all(body, notation, shape, issues)
    usable = [find for find in finds if find.counts]
    answer = Answer()
    if usable:
        chosen = _chosen(usable, pick)
        for find in chosen:
            answer.rows += find.reading.rows
            answer.says_none = answer.says_none or find.reading.says_none
            issues += find.reading.issues
        answer.rule = chosen[-1].rule
        row_count = sum(len(find.reading.rows) for find in usable)
        skipped = row_count - len(answer.rows)
        if skipped:
            issues.append(
                Issue("skipped", f"{skipped} earlier in the text not read: the last answer counts")
            )
        if len(answer.rows) > ROW_LIMIT:
            issues.append(Issue("cut", f"only the first {ROW_LIMIT} were read"))
            del answer.rows[ROW_LIMIT:]
    for find in finds:
        if not find.counts and find.reading.issues:
            answer.has_complaints = answer.has_complaints or find.reading.has_complaints
            answer.rule = answer.rule or find.rule
            issues += find.reading.issues
    if not answer.rows:
        foreign = tokens_of_others(body, notation)
        if foreign is not None:
            answer.has_complaints = True
            issues.append(Issue("no_box", f"{foreign} is of another dialect and was not read"))
        if not usable and not answer.has_complaints and says_none(body):
            answer.says_none, answer.rule = True, "refusal"
    return answer


def _find_all(
    body: str, notation: BoxNotation, shape: RowShape, issues: list[Issue]
) -> list[_Find]:
    if notation.form == "digits":
        # CogVLM writes several boxes in one pair of brackets.
        body = re.sub(r"([0-9])\s{0,9};\s{0,9}([0-9])", r"\1],[\2", body)
    tokens, body = find_tokens(body, notation, shape)
    finds = [_Find(find.start, find.rule, find.reading, is_row=True) for find in tokens]
    values = find_values(body, issues)
    for value in values:
        reading = read_rows(value.value, shape)
        if reading.rows or reading.issues or reading.says_none:
            reading.issues |= dict.fromkeys(value.issues)
            finds.append(_Find(value.start, value.rule, reading, _is_flat(value), value.fence))
    unread, position = [], 0
    for value in values:
        unread += [body[position : value.start], " " * (value.end - value.start)]
        position = value.end
    body = "".join([*unread, body[position:]])
    finds += [
        _Find(find.start, find.rule, find.reading, is_row=True)
        for find in find_bracket_rows(body, shape)
    ]
    return sorted(finds, key=lambda find: find.start)


def _is_flat(value: AnswerValue) -> bool:
    return (
        isinstance(value.value, list)
        and all(isinstance(item, int | float) for item in value.value)
        and bool(value.value)
    )


def _chosen(usable: list[_Find], pick: str) -> list[_Find]:
    with_rows = [find for find in usable if find.reading.rows]
    if pick in ("first", "last") and with_rows:
        return with_rows
    fenced = [find for find in usable if find.fence is not None]
    if fenced:
        return [find for find in fenced if find.fence == fenced[-1].fence]
    if not usable[-1].is_row:
        return usable[-1:]
    # Bare rows in prose, back to the last answer of another kind.
    first = next((i + 1 for i in range(len(usable) - 1, -1, -1) if not usable[i].is_row), 0)
    return usable[first:]

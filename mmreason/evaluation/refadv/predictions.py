"""Predictions that somebody made elsewhere, in one of three forms of JSON lines.

    results.jsonl      outcomes of `mmreason eval refadv`, with all that scores them
    answers            {"item": ID, "change": "original", "box_px": [x1, y1, x2, y2]}
    Ref-Adv            its prediction rows, with `pred_box_xyxy_first`

An answer gives no box where nothing is there, and of a video a tube as `Tube.to_dict` writes it;
`change` and `number` (from 0, in the order of the item's variants) name what was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mmreason.evaluation.refadv.cases import RefAdvCase, item_cases
from mmreason.evaluation.refadv.outcomes import CHANGES, CaseOutcome, Change
from mmreason.evaluation.refadv.scoring import score_answer
from mmreason.grounding import Box, Grounding, GroundingStatus, Issue, Target, Tube
from mmreason.grounding.refadv import Item
from mmreason.json_lines import (
    MOST_RESULT_BYTES,
    JsonLine,
    read_json_lines,
    require_json_lines,
)
from mmreason.types import UsageError

_Corners = tuple[float, float, float, float]


class PredictionForm(StrEnum):
    """What lines of predictions are."""

    OUTCOMES = "outcomes"
    ANSWERS = "answers"
    REF_ADV = "ref-adv"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTube:
    """A tube as `Tube.to_dict` writes it; other fields are passed over.

    Example:
        >>> AnswerTube(times_s=(0.0,), boxes_px=(None,)).boxes_px
        (None,)
    """

    times_s: tuple[float, ...]
    boxes_px: tuple[_Corners | None, ...]
    """xyxy in pixels of the original frame; None where it is not to be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAnswer:
    """What somebody's model answered to an item, or to a change of it.

    Example:
        >>> ItemAnswer(item="image-7-0", box_px=(0, 0, 8, 8)).change
        'original'
    """

    item: str
    change: Change = "original"
    number: int = 0
    box_px: _Corners | None = None
    tube: AnswerTube | None = None
    error: str = ""
    """Why there is no answer: it counts as wrong, also where nothing is there."""
    subject: str = "predictions"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ItemAnswer:
        """Raises ValueError, in one line, for anything else."""
        try:
            return _ANSWERS.validate_python(data)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(step) for step in first["loc"])
            raise ValueError(f"is no answer: {field}: {first['msg']}") from error

    def grounding(self) -> Grounding:
        """Raises ValueError where its box or tube is malformed."""
        if self.error:
            return _failed(self.error)
        box = None if self.box_px is None else Box(*self.box_px)
        tube = None
        if self.tube is not None:
            boxes = [None if row is None else Box(*row) for row in self.tube.boxes_px]
            tube = Tube.from_boxes(self.tube.times_s, boxes)
        if box is None and tube is None:
            return Grounding(status=GroundingStatus.NONE)
        return Grounding(status=GroundingStatus.FOUND, targets=(Target(box=box, tube=tube),))


_ANSWERS = TypeAdapter(ItemAnswer)


def detect_predictions(path: Path) -> PredictionForm:
    """By the first line that can be read. Raises UsageError where it is none of the three."""
    for line in read_json_lines(path, dict, most_line_bytes=MOST_RESULT_BYTES):
        if not isinstance(line, JsonLine):
            continue
        row = line.row
        if "pred_box_xyxy_first" in row:
            return PredictionForm.REF_ADV
        if "pick" in row and "cluster" in row:
            return PredictionForm.OUTCOMES
        if "item" in row:
            return PredictionForm.ANSWERS
        break
    raise UsageError(
        f"{path}: is no file of predictions: expected JSON lines with 'item' (answers to items), "
        "'pred_box_xyxy_first' (Ref-Adv), or results.jsonl of mmreason eval refadv"
    )


def find_answered(path: Path, items: Sequence[Item]) -> list[Item]:
    """Those of `items` that a file of answers has any answer to, in their order."""
    lines = require_json_lines(path, ItemAnswer.from_dict, most_line_bytes=MOST_RESULT_BYTES)
    answered = {line.row.item for line in lines}
    return [item for item in items if item.id in answered]


def score_answers(path: Path, items: Sequence[Item]) -> tuple[list[CaseOutcome], list[RefAdvCase]]:
    """Outcomes of a file of answers to `items`, and the cases. An item without an answer counts as
    wrong, under each change of which the file has any answer. Raises UsageError naming the first
    line that is no answer, is of no item, or is the second to one case."""
    answers: dict[tuple[str, str, int], ItemAnswer] = {}
    lines = require_json_lines(path, ItemAnswer.from_dict, most_line_bytes=MOST_RESULT_BYTES)
    for line in lines:
        key = (line.row.item, line.row.change, line.row.number)
        if key in answers:
            raise UsageError(f"{path}, line {line.number}: is the second answer to {key[0]!r}")
        answers[key] = line.row
    given = {answer.change for answer in answers.values()}
    changes: tuple[Change, ...] = tuple(
        change for change in CHANGES if change == "original" or change in given
    )
    shuffles = max((a.number + 1 for a in answers.values() if a.change == "shuffle"), default=1)
    cases = [case for item in items for case in item_cases(item, changes, shuffles=shuffles)]
    strays = sorted(answers.keys() - {case.key for case in cases})
    if strays:
        item, change, number = strays[0]
        raise UsageError(
            f"{path}: no item has {item!r}, {change} {number}; give the items with --items"
        )
    subject = next((answer.subject for answer in answers.values()), "predictions")
    outcomes = []
    for case in cases:
        answer = answers.get(case.key)
        try:
            grounding = (
                _failed("the file has no answer to it") if answer is None else answer.grounding()
            )
        except ValueError as error:
            grounding = _failed(str(error))
        outcomes.append(score_answer(case, subject, grounding, ceiling=None, seconds=0.0))
    return outcomes, cases


def _failed(reason: str) -> Grounding:
    return Grounding(status=GroundingStatus.ERROR, issues=(Issue("failed", reason),))

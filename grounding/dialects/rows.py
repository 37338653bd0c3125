"""Rows of numbers in JSON: boxes of four and points of two, whatever keys stand around them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmreason.grounding.dialects.answer_text import says_none
from mmreason.grounding.results import Issue, IssueKind

ROW_LIMIT = 100
"""Boxes or points of one reply."""
NUMBER_LIMIT = 1e9
_DEPTH_LIMIT = 8
"""Nobody nests boxes deeper, and text made to cost time does."""

NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_NUMBERS_ONLY = re.compile(rf"[\s\[(]*{NUMBER}(?:[\s,;]+{NUMBER}){{0,9}}[\s\])]*")

# In order of preference, as letters and digits: an object that has two of them is read by the
# first. Keys of boxes come before those of lists, which some models wrap around everything.
_BOX_KEYS = (
    "bbox2d",
    "bbox",
    "bboxes",
    "boxes",
    "box2d",
    "box",
    "boundingbox",
    "boundingboxes",
    "bboxxyxy",
    "xyxy",
    "coordinates",
    "coords",
)
_XYWH_KEYS = ("bboxxywh", "boxxywh", "xywh")
_POINT_KEYS = ("point2d", "point", "points", "coordinates", "coords")
_NEST_KEYS = ("predictions", "results", "objects", "detections", "answer")
_LABEL_KEYS = ("label", "name", "text", "description")
_PRESENCE_KEYS = ("found", "present", "visible", "exists")
_SCORE_KEYS = ("score", "confidence", "conf", "probability")
_BOX_CORNERS = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
)
_CORNER_PAIRS = (("topleft", "bottomright"), ("upperleft", "lowerright"))
_XYWH_CORNERS = (("x", "y", "w", "h"), ("x", "y", "width", "height"))


@dataclass(slots=True)
class Row:
    """The numbers of one box or point as they stand in the text, in the dialect's order."""

    numbers: tuple[float, ...]
    label: str = ""
    score: float | None = None


@dataclass(slots=True)
class Reading:
    """Rows found so far, with complaints."""

    rows: list[Row] = field(default_factory=list)
    issues: dict[Issue, None] = field(default_factory=dict)
    """In order, each once, however often a text gives cause for it."""
    says_none: bool = False

    @property
    def has_complaints(self) -> bool:
        """Whether something hints at a box or point that cannot be used."""
        return any(issue.kind in ("dropped_box", "no_box") for issue in self.issues)

    def note(self, kind: IssueKind, text: str) -> None:
        self.issues[Issue(kind, text)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowShape:
    """What rows are looked for."""

    count: int
    """4 numbers of a box or 2 of a point."""
    y_first: bool = False
    xywh: bool = False
    """Whether four numbers are a corner, a width and a height."""

    @property
    def name(self) -> str:
        return "box" if self.count == 4 else "point"

    @property
    def keys(self) -> tuple[str, ...]:
        return (*_BOX_KEYS, *_XYWH_KEYS) if self.count == 4 else _POINT_KEYS


def read_rows(value: Any, shape: RowShape) -> Reading:
    """The rows in a JSON value. A bare list of one number is no row but a citation.

    Example:
        >>> reading = read_rows([{"bbox_2d": [1, 2, 3, 4], "label": "dog"}], RowShape(count=4))
        >>> reading.rows
        [Row(numbers=(1.0, 2.0, 3.0, 4.0), label='dog', score=None)]
    """
    reading = Reading()
    if isinstance(value, list) and len(value) == 1 and _is_number(value[0]):
        return reading
    _Walk(shape, reading).walk(value, Row(()), depth=0)
    return reading


def add_row(
    values: Sequence[Any], shape: RowShape, reading: Reading, context: Row, *, xywh: bool = False
) -> None:
    """One row, or the complaint why it is none."""
    if len(values) != shape.count:
        count = f"a {shape.name} needs {shape.count} numbers"
        reading.note("dropped_box", f"{count}, got {len(values)}")
        return
    # Compared before conversion: float() of a very long int raises.
    numbers = [
        float(v) if isinstance(v, str) or abs(v) <= NUMBER_LIMIT else math.inf for v in values
    ]
    if not all(abs(v) <= NUMBER_LIMIT for v in numbers):
        reading.note("dropped_box", f"a {shape.name} with a number out of all bounds was dropped")
        return
    if len(reading.rows) >= ROW_LIMIT:
        reading.note("cut", f"only the first {ROW_LIMIT} were read")
        return
    if shape.count == 4 and (xywh or shape.xywh):
        numbers[2], numbers[3] = numbers[0] + numbers[2], numbers[1] + numbers[3]
    reading.rows.append(Row(tuple(numbers), context.label, context.score))


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 40 and re.fullmatch(rf"\s*{NUMBER}\s*", value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _may_hold_row(item: Any) -> bool:
    return isinstance(item, dict | list) or item is None or _is_number(item)


def _letters(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key[:40].lower())


@dataclass(frozen=True, slots=True)
class _Walk:
    """Down into parsed JSON, whatever its shape."""

    shape: RowShape
    reading: Reading

    def walk(self, value: Any, context: Row, *, depth: int, xywh: bool = False) -> None:
        if depth > _DEPTH_LIMIT:
            return
        if isinstance(value, dict):
            self._walk_object(value, context, depth)
        elif isinstance(value, list) and value and all(_is_number(item) for item in value):
            add_row(value, self.shape, self.reading, context, xywh=xywh)
        elif isinstance(value, list) and self._is_pair_of_corners(value):
            corners = [number for corner in value for number in corner]
            self.reading.note("repaired", "two corners taken as one box")
            add_row(corners, self.shape, self.reading, context, xywh=xywh)
        elif isinstance(value, list):
            # An empty list says that nothing is there.
            self.reading.says_none = self.reading.says_none or not value
            if any(map(_is_number, value)):
                name = self.shape.name
                self.reading.note("dropped_box", f"a {name} with something else than numbers")
            for item in value:
                if isinstance(item, dict | list):
                    self.walk(item, context, depth=depth + 1, xywh=xywh)

    def _is_pair_of_corners(self, value: list[Any]) -> bool:
        return (
            self.shape.count == 4
            and len(value) == 2
            and all(
                isinstance(item, list) and len(item) == 2 and all(map(_is_number, item))
                for item in value
            )
        )

    def _walk_object(self, value: Mapping[str, Any], outer: Row, depth: int) -> None:
        # The label of an object is that of all boxes inside it.
        by_letters = {_letters(key): item for key, item in value.items()}
        label = next((str(by_letters[k]) for k in _LABEL_KEYS if by_letters.get(k)), outer.label)
        score = next((by_letters[k] for k in _SCORE_KEYS if k in by_letters), None)
        is_score = isinstance(score, float | int) and 0 <= score <= 1
        context = Row((), label, float(score) if is_score and score is not None else outer.score)
        if self._add_named_corners(by_letters, context):
            return
        if any(by_letters.get(name) is False for name in _PRESENCE_KEYS):
            self.reading.says_none = True
        key = next((key for key in self.shape.keys if key in by_letters), None)
        nests = [by_letters[nest] for nest in _NEST_KEYS if nest in by_letters]
        if key is not None and not self._add_columns(by_letters[key], by_letters, context):
            self._walk_member(key, by_letters[key], context, depth)
            nests = [nest for nest in nests if nest]
        for nest in nests:
            # {"bbox_2d": null} is how several models say that they see no such thing.
            if nest is None or (isinstance(nest, str) and says_none(nest)):
                self.reading.says_none = True
            else:
                self.walk(nest, context, depth=depth + 1)
        if key is None and not nests:
            for name, item in value.items():
                if isinstance(item, dict | list) and item:
                    # {"dog": [...]} names its box; numbers are seconds or ids.
                    named = label or ("" if _is_number(name) else name)
                    self.walk(item, Row((), named, context.score), depth=depth + 1)

    def _walk_member(self, key: str, value: Any, context: Row, depth: int) -> None:
        if value is None or (isinstance(value, str) and says_none(value)):
            self.reading.says_none = True
        elif isinstance(value, list) and value and not any(map(_may_hold_row, value)):
            self.reading.note("dropped_box", f"{key} holds no numbers: {str(value)[:40]}")
        elif isinstance(value, dict | list):
            self.walk(value, context, depth=depth + 1, xywh=key in _XYWH_KEYS)
        elif isinstance(value, str) and _NUMBERS_ONLY.fullmatch(value[:400]):
            self.reading.note("repaired", f"numbers of {key} read from a string")
            numbers = re.findall(NUMBER, value[:400])
            add_row(numbers, self.shape, self.reading, context, xywh=key in _XYWH_KEYS)
        else:
            self.reading.note("dropped_box", f"{key} is no list of numbers: {str(value)[:40]!r}")

    def _add_columns(self, value: Any, members: Mapping[str, Any], context: Row) -> bool:
        """`{"boxes": [...], "labels": [...], "scores": [...]}`: one entry a box in each."""
        columns = [members.get("labels"), members.get("scores")]
        if not isinstance(value, list) or not any(isinstance(column, list) for column in columns):
            return False
        labels, scores = (
            column if isinstance(column, list) and len(column) == len(value) else None
            for column in columns
        )
        for index, item in enumerate(value):
            label = context.label if labels is None else str(labels[index])
            score = scores[index] if scores is not None else context.score
            is_score = isinstance(score, float | int) and 0 <= score <= 1
            self.walk(item, Row((), label, score if is_score else None), depth=1)
        return bool(value)

    def _add_named_corners(self, members: Mapping[str, Any], context: Row) -> bool:
        """Corners with names say which is x and which is a width; the dialect's order is not
        theirs."""
        corners = (*_BOX_CORNERS, *_XYWH_CORNERS) if self.shape.count == 4 else (("x", "y"),)
        for names in corners:
            values = [members.get(name) for name in names]
            if not all(_is_number(item) for item in values):
                continue
            if self.shape.y_first:
                values = [values[index] for index in ((1, 0, 3, 2) if len(names) == 4 else (1, 0))]
            plain = RowShape(count=self.shape.count)
            add_row(values, plain, self.reading, context, xywh=names in _XYWH_CORNERS)
            return True
        for first, last in _CORNER_PAIRS if self.shape.count == 4 else ():
            pair = [members.get(first), members.get(last)]
            if self._is_pair_of_corners(pair):
                self.walk(pair, context, depth=1)
                return True
        return False

"""From a model's text to boxes in pixels of the original frame. Tolerant, and never silent.

The scale of the numbers is declared by the caller's `Dialect` and never guessed; what was mended is
in `issues`, the rule that found the boxes in `rule`.

    parse_boxes('[{"bbox_2d": [0, 0, 500, 500]}]', Dialect.NORM_1000, (640, 360)).boxes
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mmreason.grounding.boxes import Box, iou
from mmreason.grounding.results import Grounding, GroundingStatus, Issue, Target

# Limits on what a model writes, so that no reply is slow to read or overflows.
TEXT_LIMIT = 20_000
BOX_LIMIT = 100
JSON_TRIES = 200
# Models say a box again with a little difference: nearer than this it is the same one.
SAME_BOX_IOU = 0.95
NUMBER_LIMIT = 1e9


class Dialect(StrEnum):
    """What the four numbers of a box mean: two corners, x before y where not said otherwise."""

    NORM_1000 = "norm_1000"
    """0..1000 of width and of height: Qwen3-VL, Qwen3.5, InternVL, GLM-V, nano."""
    SEEN_PX = "seen_px"
    """Pixels of the frame as the model saw it, after resizing: Qwen2.5-VL."""
    NORM_1000_YX = "norm_1000_yx"
    """0..1000 of height and of width, y before x: Gemma 3 and 4, Gemini."""
    NORM_1 = "norm_1"
    """0..1 of width and of height: LLaVA."""


_SCALES = {Dialect.NORM_1000: 1000, Dialect.NORM_1000_YX: 1000, Dialect.NORM_1: 1}
"""The largest number of dialects that have one."""


# In order of preference: an object that has two of them is read by the first. Keys of boxes come
# before those of lists, which some models wrap around everything.
_BOX_KEYS = ("bbox_2d", "bbox", "bboxes", "boxes", "box_2d", "box", "coordinates")
_NEST_KEYS = ("predictions", "results", "objects", "detections", "answer")
_LABEL_KEYS = ("label", "name", "text", "description")
_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_ROW = re.compile(
    rf"[\[(]\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*[\])]"
)
_TAGGED = re.compile(
    rf"<box>\s*({_NUMBER})[\s,]+({_NUMBER})[\s,]+({_NUMBER})[\s,]+({_NUMBER})\s*</box>"
)
_PAIRS = re.compile(
    rf"\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)\s*,\s*\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)"
)
_FENCE = re.compile(r"```[a-zA-Z]*\s*(.*?)(?:```|\Z)", re.DOTALL)
_REFUSAL = re.compile(
    r"^\W*(?:none|null|nothing|no)\W*$|\bthere (?:is|are|was|were) no\b|\bno such\b"
    r"|\b(?:not|n't) (?:present|visible|shown|there|in the|be found|find|exist|see)\b|\bnot there\b"
    r"|\boutside my world\b",
    re.IGNORECASE,
)


@dataclass
class _Reading:
    """Rows of four numbers found so far, with labels and complaints."""

    rows: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    says_none: bool = False


def parse_boxes(
    text: str,
    dialect: Dialect,
    size_px: tuple[int, int],
    *,
    seen_size_px: tuple[int, int] | None = None,
) -> Grounding:
    """Read the boxes in `text`.

    `size_px` is the (width, height) of the original frame; `seen_size_px` that of the frame the
    model saw, needed by `Dialect.SEEN_PX` where it differs. Never raises for any text: a text
    without a usable box gives status `none` (it says so) or `unparsed` (it does not).

    Example:
        >>> reading = parse_boxes("[{'bbox_2d': [0, 0, 500, 500]}]", Dialect.NORM_1000, (640, 360))
        >>> reading.boxes
        (Box(x1_px=0.0, y1_px=0.0, x2_px=320.0, y2_px=180.0),)
    """
    issues: list[Issue] = []
    body = _body(text, issues)
    reading, rule = _read(body)
    issues += reading.issues
    scale = _SCALES.get(dialect)
    grid = (seen_size_px or size_px) if scale is None else (scale, scale)
    if dialect is Dialect.NORM_1000_YX:
        # From here on x comes first, whatever the model writes.
        reading.rows = [(x1, y1, x2, y2) for y1, x1, y2, x2 in reading.rows]
    boxes, labels = _to_pixels(reading, scale, grid, size_px, issues)
    if boxes:
        status = GroundingStatus.FOUND if len(boxes) == 1 else GroundingStatus.AMBIGUOUS
    # "None" counts only where nothing hints at a box: an unusable box is not its absence.
    elif reading.says_none and not reading.rows and not reading.issues:
        status = GroundingStatus.NONE
    else:
        status = GroundingStatus.UNPARSED
        issues.append(Issue("no_box", "no usable box in the text"))
    return Grounding(
        status=status,
        targets=tuple(
            Target(box=box, label=label) for box, label in zip(boxes, labels, strict=True)
        ),
        rule=rule,
        issues=tuple(issues),
        raw_text=text,
        size_px=size_px,
    )


def _body(text: str, issues: list[Issue]) -> str:
    """The part of `text` that answers: without thoughts, within limits."""
    if len(text) > TEXT_LIMIT:
        issues.append(Issue("cut", f"text cut to its last {TEXT_LIMIT} of {len(text)} characters"))
        # The end, since models answer after their thoughts.
        text = text[-TEXT_LIMIT:]
    if "</think>" in text:
        # Boxes that a model only weighs in its thoughts are no answer.
        text = text.rsplit("</think>", 1)[1]
    elif "<think>" in text:
        issues.append(Issue("cut", "thoughts never closed; nothing after them"))
        text = text.split("<think>", 1)[0]
    answer = re.search(r"<answer>(.*?)(?:</answer>|\Z)", text, re.DOTALL)
    return answer.group(1) if answer else text


def _read(body: str) -> tuple[_Reading, str]:
    """The first rule that finds rows, complaints or an explicit "none", and its name."""
    # 1. JSON, which says which numbers are a box. 2. Rows of four by their brackets. 3. Words.
    for rule, value in _json_candidates(body):
        reading = _Reading()
        _walk(value, "", reading, depth=0)
        if reading.rows or reading.says_none or reading.issues:
            return reading, rule
    for rule, pattern in (("tags", _TAGGED), ("pairs", _PAIRS), ("rows", _ROW)):
        reading = _Reading()
        for row in pattern.findall(body)[:BOX_LIMIT]:
            _add_row(row, "", reading)
        # Complaints end the search too: a looser rule could read another box out of the same text.
        if reading.rows or reading.issues:
            return reading, rule
    return (_Reading(says_none=True), "refusal") if _REFUSAL.search(body) else (_Reading(), "")


def _json_candidates(body: str) -> Iterator[tuple[str, Any]]:
    """JSON values in order of trust: last fence first, then last value in the text, then mended."""
    for fence in reversed(_FENCE.findall(body)):
        try:
            yield "fence", json.loads(fence)
        except (ValueError, RecursionError):
            continue
    yield from _embedded_json(body, "json")
    yield from _embedded_json(_repair(body), "repaired")


def _embedded_json(text: str, rule: str) -> list[tuple[str, Any]]:
    """Every outermost list or object inside `text`, last first.

    Objects that follow each other with only commas between them are what is left of a list that was
    cut off: they become one value under the rule "cut_list".
    """
    decoder, groups, offset, end = json.JSONDecoder(), [], 0, -1
    for _ in range(JSON_TRIES):
        opening = re.compile(r"[\[{]").search(text, offset)
        if opening is None:
            break
        try:
            # A bracket may begin prose: what does not parse is searched on one character later.
            value, offset = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            offset = opening.start() + 1
            continue
        # Anything else between two values means that they are two answers.
        if groups and end >= 0 and re.fullmatch(r"\s*,\s*", text[end : opening.start()]):
            groups[-1].append(value)
        else:
            groups.append([value])
        end = offset
    return [
        (rule, group[0]) if len(group) == 1 else ("cut_list", group) for group in reversed(groups)
    ]


def _repair(text: str) -> str:
    """Single quotes to double, commas before a closing bracket removed."""
    return re.sub(r",\s*([\]}])", r"\1", text.replace("'", '"'))


def _add_row(values: Sequence[Any], label: str, out: _Reading) -> None:
    if len(values) != 4:
        out.issues.append(Issue("dropped_box", f"a box needs 4 numbers, got {len(values)}"))
        return
    # Compared before conversion: float() of a very long int raises.
    numbers = [
        float(v) if isinstance(v, str) or abs(v) <= NUMBER_LIMIT else math.inf for v in values
    ]
    if not all(abs(v) <= NUMBER_LIMIT for v in numbers):
        out.issues.append(Issue("dropped_box", "a box with a number out of all bounds was dropped"))
        return
    out.rows.append((numbers[0], numbers[1], numbers[2], numbers[3]))
    out.labels.append(label)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(rf"\s*{_NUMBER}\s*", value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _walk(value: Any, label: str, out: _Reading, *, depth: int) -> None:
    """Collect rows from parsed JSON, whatever its shape."""
    # Nobody nests boxes deeper, and text made to cost time does.
    if depth > 8 or len(out.rows) >= BOX_LIMIT:
        return
    if isinstance(value, dict):
        _walk_object(value, out, depth)
    elif isinstance(value, list) and value and all(_is_number(item) for item in value):
        _add_row(value, label, out)
    elif isinstance(value, list):
        # An empty list says that nothing is there.
        out.says_none = out.says_none or not value
        for item in value:
            if isinstance(item, dict | list):
                _walk(item, label, out, depth=depth + 1)


def _walk_object(value: dict[str, Any], out: _Reading, depth: int) -> None:
    # The label of an object is that of all boxes inside it.
    label = next((str(value[key]) for key in _LABEL_KEYS if value.get(key) is not None), "")
    key = next((key for key in (*_BOX_KEYS, *_NEST_KEYS) if key in value), None)
    if key is None:
        for item in value.values():
            if isinstance(item, dict | list) and item:
                _walk(item, label, out, depth=depth + 1)
    # {"bbox_2d": null} is how several models say that they see no such thing.
    elif value[key] is None:
        out.says_none = True
    elif isinstance(value[key], dict | list):
        _walk(value[key], label, out, depth=depth + 1)
    else:
        out.issues.append(
            Issue("dropped_box", f"{key} is no list of numbers: {str(value[key])[:40]!r}")
        )


def _to_pixels(
    reading: _Reading,
    scale: int | None,
    grid: tuple[int, int],
    size_px: tuple[int, int],
    issues: list[Issue],
) -> tuple[list[Box], list[str]]:
    """Rows in the model's own grid to distinct boxes in original pixels."""
    if scale is not None and reading.rows:
        # Numbers beyond the scale, or fractions on one of 1000, are another dialect. That is told
        # and not mended: a guess would put the box somewhere else without a word.
        largest = max(max(row) for row in reading.rows)
        if largest > scale or (scale > 1 and largest <= 1):
            issues.append(
                Issue(
                    "scale_conflict",
                    f"scale_conflict: largest number is {largest:g} but the scale is 0..{scale}",
                )
            )
    width, height = size_px
    boxes: list[Box] = []
    labels: list[str] = []
    for row, label in zip(reading.rows, reading.labels, strict=True):
        box = _box(row, (width / grid[0], height / grid[1]), issues)
        # A little over the edge is rounding and clipped; mostly outside is a wrong scale.
        inside = box.clip(width, height)
        if box.area_px2 <= 0:
            issues.append(Issue("dropped_box", f"a box without area was dropped: {list(row)}"))
        elif inside.area_px2 < box.area_px2 / 2:
            issues.append(
                Issue("dropped_box", f"a box mostly outside the frame was dropped: {list(row)}")
            )
        elif any(iou(inside, other) > SAME_BOX_IOU for other in boxes):
            issues.append(Issue("merged_box", f"a repeated box was merged: {list(row)}"))
        else:
            if inside != box:
                issues.append(Issue("clipped_box", f"a box was clipped to the frame: {list(row)}"))
            boxes.append(inside)
            labels.append(label)
    return boxes, labels


def _box(
    row: tuple[float, float, float, float], scale: tuple[float, float], issues: list[Issue]
) -> Box:
    x1, y1, x2, y2 = row
    if x1 > x2 or y1 > y2:
        issues.append(Issue("swapped_corners", f"corners were swapped: {list(row)}"))
    (x1, x2), (y1, y2) = sorted((x1, x2)), sorted((y1, y2))
    return Box(x1 * scale[0], y1 * scale[1], x2 * scale[0], y2 * scale[1])

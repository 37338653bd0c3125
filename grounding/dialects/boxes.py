"""From a model's text to boxes in pixels of the original frame. Tolerant, and never silent.

The scale of the numbers is declared by the caller's `Dialect` and never guessed; what was mended is
in `issues`, the rule that found the boxes in `rule`.

    parse_boxes('[{"bbox_2d": [0, 0, 500, 500]}]', Dialect.NORM_1000, (640, 360)).boxes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from mmreason.grounding.boxes import Box, iou
from mmreason.grounding.dialects.answer_text import answer_body
from mmreason.grounding.dialects.choose import read_answer
from mmreason.grounding.dialects.dialect import NOTATIONS, Dialect, from_numbers
from mmreason.grounding.dialects.rows import Row, RowShape
from mmreason.grounding.dialects.status import finish_grounding
from mmreason.grounding.results import Grounding, Issue, Target
from mmreason.grounding.spaces import Size, Transform, seen_transform

SAME_BOX_IOU = 0.95
"""Models say a box again with a little difference: nearer than this it is the same one."""

Pick = Literal["all", "first", "last", "best_score"]
"""Which boxes of a reply count."""
Layout = Literal["xyxy", "xywh"]
"""Whether four numbers are two corners, or a corner, a width and a height."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _PlacedBox:
    """A row and the box that it is in the original frame."""

    box: Box
    row: Row


def parse_boxes(
    text: str,
    dialect: Dialect,
    size_px: Size,
    *,
    seen_size_px: Size | None = None,
    transform: Transform | None = None,
    pick: Pick = "all",
    layout: Layout = "xyxy",
    scale: Literal["declared", "auto"] = "declared",
    strict: bool = False,
) -> Grounding:
    """Read the boxes in `text`. Never raises for any text: one without a usable box gives status
    `none` (it says so) or `unparsed` (it does not).

    Args:
        text: The model's reply, thoughts included.
        dialect: What its numbers mean; a property of the family, see `dialect_of`.
        size_px: (width, height) of the original frame.
        seen_size_px: (width, height) that the frame was resized to before the model saw it;
            `Dialect.SEEN_PX` needs it, and says `unsure` without.
        transform: From the original frame to the one the model saw, where that is more than a
            resize (a crop, a letterbox, a tile).
        pick: Every box of the answer, the first or the last of the whole reply, or the one with
            the best score that the model stated. What is not taken is counted in `issues`.
        layout: What the four numbers are, where they have no names.
        scale: "auto" reads numbers that contradict the dialect on the scale they fit, and says so.
        strict: Refuse instead of mending: any issue but `picked` gives status `unparsed`.

    Example:
        >>> reading = parse_boxes("[{'bbox_2d': [0, 0, 500, 500]}]", Dialect.NORM_1000, (640, 360))
        >>> reading.boxes
        (Box(x1_px=0.0, y1_px=0.0, x2_px=320.0, y2_px=180.0),)
        >>> [str(issue) for issue in reading.issues]
        ['JSON mended: single quotes']
    """
    to_seen = seen_transform(size_px, seen_size_px, transform)
    notation = NOTATIONS[dialect]
    shape = RowShape(count=4, y_first=notation.y_first, xywh=layout == "xywh")
    issues: list[Issue] = []
    answer = read_answer(answer_body(text, issues), notation, shape, issues, pick=pick)
    if not notation.has_boxes:
        issues.append(Issue("no_box", f"dialect {dialect} writes points, not boxes"))
        answer.rows.clear()
    note_unknown_size(answer.rows, dialect, seen_size_px, transform, issues)
    read_as = check_scale(answer.rows, dialect, to_seen.to_size, issues, switch=scale == "auto")
    placed = _place(answer.rows, read_as, to_seen, issues)
    taken = pick_items(placed, [item.row.score for item in placed], pick, issues)
    targets = tuple(
        Target(
            box=item.box,
            label=item.row.label,
            score=item.row.score,
            score_kind=None if item.row.score is None else "stated",
        )
        for item in taken
    )
    return finish_grounding(
        targets, answer, issues, text=text, size_px=size_px, transform=to_seen, strict=strict
    )


def note_unknown_size(
    rows: Sequence[Row],
    dialect: Dialect,
    seen_size_px: Size | None,
    transform: Transform | None,
    issues: list[Issue],
) -> None:
    """Say that pixels of a resized frame cannot be undone without its size."""
    if dialect is Dialect.SEEN_PX and rows and seen_size_px is None and transform is None:
        issues.append(
            Issue("unsure", "the size that the model saw is not known: taken as the original one")
        )


def check_scale(
    rows: Sequence[Row], dialect: Dialect, seen_size: Size, issues: list[Issue], *, switch: bool
) -> Dialect:
    """The dialect to read the rows by: the declared one, unless their numbers contradict it and
    `switch` allows another. A contradiction is told either way: a guess would put the box somewhere
    else without a word."""
    notation = NOTATIONS[dialect]
    if not rows or notation.form == "patches":
        return dialect
    largest = max(max(row.numbers) for row in rows)
    side = notation.side
    too_small = (side is None or side > 1) and largest <= 1 and not notation.is_tokens
    if not too_small and (side is None or largest <= side):
        return dialect
    scale = "pixels" if side is None else f"0..{side}"
    conflict = f"scale_conflict: largest number is {largest:g} but the scale is {scale}"
    if not switch:
        issues.append(Issue("scale_conflict", conflict))
        return dialect
    # Tokens name their own scale, so that only numbers can be on another one.
    by_order = Dialect.NORM_1000_YX if notation.y_first else Dialect.NORM_1000
    if notation.is_tokens or (too_small and notation.y_first):
        read_as = dialect
    elif too_small:
        read_as = Dialect.NORM_1
    elif largest <= 1000 and side is not None:
        read_as = by_order
    elif largest <= max(seen_size) and not notation.y_first:
        read_as = Dialect.SEEN_PX
    else:
        read_as = dialect
    issues.append(Issue("scale_conflict", f"{conflict}; read as {read_as}"))
    return read_as


def place_box(corners: np.ndarray, row: Row, to_seen: Transform, issues: list[Issue]) -> Box | None:
    """The box in the original frame of the corners (4,) in the frame as seen; None, with its
    complaint, where it has no area or lies mostly outside."""
    numbers = f"{[float(f'{value:g}') for value in row.numbers]}"
    x1, y1, x2, y2 = (float(value) for value in corners)
    if x1 > x2 or y1 > y2:
        issues.append(Issue("swapped_corners", f"corners were swapped: {numbers}"))
    seen_box = Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    # A little over the edge is rounding and clipped; mostly outside is a wrong scale.
    inside = seen_box.clip(*to_seen.to_size)
    box = to_seen.inverse().apply(inside).clip(*to_seen.from_size)
    if seen_box.area_px2 > 0 and inside.area_px2 < seen_box.area_px2 / 2:
        issues.append(
            Issue("dropped_box", f"a box mostly outside the frame was dropped: {numbers}")
        )
        return None
    if seen_box.area_px2 <= 0 or box.area_px2 <= 0:
        issues.append(Issue("dropped_box", f"a box without area was dropped: {numbers}"))
        return None
    # Less than this is the arithmetic: 999 of 999 is the edge, give or take a rounding.
    if max(abs(a - b) for a, b in zip(inside.xyxy, seen_box.xyxy, strict=True)) > 1e-6:
        issues.append(Issue("clipped_box", f"a box was clipped to the frame: {numbers}"))
    return box


def _place(
    rows: Sequence[Row], dialect: Dialect, to_seen: Transform, issues: list[Issue]
) -> list[_PlacedBox]:
    """Rows in the dialect's numbers to distinct boxes in original pixels."""
    if not rows:
        return []
    placed: list[_PlacedBox] = []
    numbers = np.array([row.numbers for row in rows])
    for row, corners in zip(rows, from_numbers(numbers, dialect, to_seen.to_size), strict=True):
        box = place_box(corners, row, to_seen, issues)
        if box is None:
            continue
        if any(iou(box, other.box) > SAME_BOX_IOU for other in placed):
            issues.append(Issue("merged_box", f"a repeated box was merged: {list(row.numbers)}"))
        else:
            placed.append(_PlacedBox(box, row))
    return placed


def pick_items(
    items: Sequence[Item], scores: Sequence[float | None], pick: Pick, issues: list[Issue]
) -> Sequence[Item]:
    """The boxes or points that count, each with its score or None; what is not taken is told."""
    if pick == "all" or len(items) <= 1:
        return items
    index = 0 if pick == "first" else len(items) - 1
    if pick == "best_score":
        numbers = [-1.0 if score is None else score for score in scores]
        index = numbers.index(max(numbers))
        if max(numbers) < 0:
            issues.append(Issue("unsure", "none has a score: the first was taken"))
    issues.append(Issue("picked", f"{index + 1} of {len(items)} was taken: {pick}"))
    return [items[index]]

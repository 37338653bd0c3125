"""ODVG lines, which Grounding DINO and mmdet train on: classes, or a caption with its regions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from mmreason.grounding.formats.rows import (
    BadRow,
    Form,
    FormError,
    NumberedRows,
    Reading,
    ReferringRow,
    check_object,
    get_expression,
    get_field,
    get_list,
    get_object,
    get_optional_text,
    get_size,
    get_text,
    read_boxes,
    read_each,
)

_ROW_FIELDS = ("row_id", "group_id", "category", "split", "tags")
"""Beside ODVG's own fields, which its readers pass over; with them nothing of a row is lost."""


def read_odvg(rows: NumberedRows, source: str) -> Iterator[Reading]:
    """One row a phrase of a caption, or a class: regions of one phrase are its targets. A caption
    without regions refers to nothing in the image."""
    return read_each(rows, source, partial(_read_line, source=source))


def _read_line(values: dict[str, Any], number: int, source: str) -> list[ReferringRow]:
    size_px = get_size(values)
    boxes: dict[str, list[Any]] = defaultdict(list)
    caption = ""
    if "grounding" in values:
        grounding = get_object(values, "grounding")
        caption = get_expression(grounding, "caption")
        for region in get_list(grounding, "regions"):
            fields = check_object(region, "a region")
            box = get_field(fields, "bbox")
            is_nested = isinstance(box, list) and bool(box) and isinstance(box[0], list)
            boxes[get_expression(fields, "phrase")] += box if is_nested else [box]
        if not boxes:
            boxes[caption] = []
    elif "detection" in values:
        for instance in get_list(get_object(values, "detection"), "instances"):
            fields = check_object(instance, "an instance")
            boxes[get_text(fields, "category")].append(get_field(fields, "bbox"))
    else:
        raise BadRow("has neither 'grounding' nor 'detection'")
    read = []
    for phrase_index, (phrase, numbers) in enumerate(boxes.items()):
        targets, notes = read_boxes(numbers, size_px)
        tags = check_object(values.get("tags", {}), "'tags'")
        category = get_optional_text(values, "category") or ("" if caption else phrase)
        read.append(
            ReferringRow(
                source=source,
                row=number,
                row_id=get_optional_text(values, "row_id") or f"{number}:{phrase_index}",
                form=Form.ODVG,
                expression=phrase,
                image=get_text(values, "filename"),
                group_id=get_optional_text(values, "group_id"),
                size_px=size_px,
                boxes_px=targets,
                category=category,
                split=get_optional_text(values, "split"),
                tags=tags if phrase == caption or not caption else tags | {"caption": caption},
                notes=notes,
            )
        )
    return read


def write_odvg(rows: Sequence[ReferringRow]) -> str:
    """Lines of rows about images, one an expression. Raises FormError for a row that ODVG cannot
    hold."""
    return "".join(f"{json.dumps(_to_line(row), ensure_ascii=False)}\n" for row in rows)


def _to_line(row: ReferringRow) -> dict[str, Any]:
    if not row.image or row.size_px is None:
        what = "is about a video" if not row.image else "has no size of its image"
        raise FormError(f"{row.source}, row {row.row}: {what}, which ODVG cannot hold")
    if not row.truth_known:
        raise FormError(f"{row.source}, row {row.row}: has no truth, which ODVG cannot say")
    width, height = row.size_px
    regions = [{"bbox": list(box.xyxy), "phrase": row.expression} for box in row.boxes_px]
    line: dict[str, Any] = {"filename": row.image, "height": height, "width": width}
    line["grounding"] = {"caption": row.expression, "regions": regions}
    return line | {name: getattr(row, name) for name in _ROW_FIELDS if getattr(row, name)}

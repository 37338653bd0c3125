"""Our own form: a row a line, with all that is known of it. What is written is read back as it
was: boxes exactly, tubes to a microsecond and a thousandth of a pixel, with their masks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from mmreason.grounding.formats.rows import (
    ROW_FORMAT,
    BadRow,
    Form,
    NumberedRows,
    Reading,
    ReferringRow,
    check_number,
    check_object,
    describe,
    get_count,
    get_expression,
    get_field,
    get_list,
    get_optional_text,
    get_size,
    get_span,
    get_text,
    read_box,
    read_each,
)
from mmreason.grounding.tubes import Tube


def write_rows(rows: Iterable[ReferringRow]) -> str:
    """Lines of our own form."""
    return "".join(f"{json.dumps(row.to_dict(), ensure_ascii=False)}\n" for row in rows)


def read_own_rows(rows: NumberedRows, source: str) -> Iterator[Reading]:
    """What `write_rows` wrote, each row with the place that it had in its first file."""
    return read_each(rows, source, _read_row)


def _read_row(values: dict[str, Any], number: int) -> list[ReferringRow]:
    if values.get("format") != ROW_FORMAT:
        raise BadRow(f"'format' must be {ROW_FORMAT}, found {describe(values.get('format'))}")
    form = get_text(values, "form")
    if form not in list(Form):
        raise BadRow(f"'form' is none that is known: {describe(form)}")
    image, video = get_optional_text(values, "image"), get_optional_text(values, "video")
    if bool(image) == bool(video):
        raise BadRow("must have either an 'image' or a 'video'")
    size_px = None
    if values.get("size_px") is not None:
        sides = get_list(values, "size_px")
        if len(sides) != 2:
            raise BadRow(f"'size_px' must be [width, height], found {describe(sides)}")
        size_px = get_size({"width": sides[0], "height": sides[1]})
    boxes = tuple(read_box(value, None)[0] for value in get_list(values, "boxes_px"))
    span = values.get("span")
    if span is not None:
        numbers = get_list(values, "span")
        if len(numbers) != 2:
            raise BadRow(f"'span' must be two numbers, found {describe(span)}")
        span = get_span(*(check_number(number, "a time of 'span'") for number in numbers))
    row = ReferringRow(
        source=get_text(values, "source"),
        row=get_count(values, "row") or number,
        row_id=get_text(values, "row_id"),
        form=Form(form),
        expression=get_expression(values, "expression"),
        image=image,
        video=video,
        group_id=get_optional_text(values, "group_id"),
        size_px=size_px,
        boxes_px=boxes,
        tubes=tuple(_read_tube(value) for value in get_list(values, "tubes")),
        span=span,
        truth_known=bool(get_field(values, "truth_known")),
        category=get_optional_text(values, "category"),
        split=get_optional_text(values, "split"),
        tags=check_object(values.get("tags", {}), "'tags'"),
        notes=tuple(str(note) for note in get_list(values, "notes")),
    )
    return [row]


def _read_tube(value: Any) -> Tube:
    try:
        return Tube.from_dict(value)
    except ValueError as error:
        raise BadRow(str(error)) from error

"""Ref-Adv: its rows, and prediction rows as its `report.py` reads them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, get_args

from mmreason.grounding.boxes import Box, iou
from mmreason.grounding.formats.rows import (
    BadRow,
    Form,
    NumberedRows,
    Reading,
    ReferringRow,
    RowError,
    check_number,
    describe,
    get_count,
    get_expression,
    get_field,
    get_optional_text,
    get_size,
    get_text,
    read_boxes,
    read_each,
)
from mmreason.grounding.formats.sources import read_lines, read_parquet, source_name

COLUMNS = (
    *("file_name", "normal_caption", "solution", "width", "height", "image_source"),
    *("human_authored", "use_negation", "distractors"),
)
"""Of the data set, without the pictures."""
BoxFormat = Literal["abs_xyxy", "norm_1000_xyxy", "norm_1_xyxy"]
"""What numbers of a model mean: pixels of the picture that it saw, 0..1000, or 0..1."""
HIT_IOU = 0.5


def read_ref_adv(rows: NumberedRows, source: str) -> Iterator[Reading]:
    """Rows of Ref-Adv; `row_id` is its `row_idx`, which counts from 0."""
    return read_each(rows, source, partial(_read_row, source=source))


def read_ref_adv_parquet(path: Path) -> Iterator[Reading]:
    """The same of the Parquet file that is published."""
    return read_ref_adv(read_parquet(path, COLUMNS), source_name(path))


def _read_row(values: dict[str, Any], number: int, source: str) -> list[ReferringRow]:
    size_px = get_size(values)
    solution = get_field(values, "solution")
    if not isinstance(solution, list | tuple):
        raise BadRow(f"'solution' must be four numbers, found {describe(solution)}")
    is_nested = bool(solution) and isinstance(solution[0], list | tuple)
    boxes, notes = read_boxes(solution if is_nested else [solution] if solution else [], size_px)
    tags: dict[str, Any] = {"image_source": get_optional_text(values, "image_source")}
    if values.get("distractors") is not None:
        tags["distractors"] = count_distractors(values["distractors"])
    for name, column in (("negation", "use_negation"), ("human_authored", "human_authored")):
        if values.get(column) is not None:
            tags[name] = bool(values[column])
    row = ReferringRow(
        source=source,
        row=number,
        row_id=str(number - 1),
        form=Form.REF_ADV,
        expression=get_expression(values, "normal_caption"),
        image=get_text(values, "file_name"),
        size_px=size_px,
        boxes_px=boxes,
        tags=tags,
        notes=notes,
    )
    return [row]


def count_distractors(value: Any) -> int:
    """How many distractors a row has: a number, a list of them, or either as text.

    Example:
        >>> count_distractors("[4, 8, 15]"), count_distractors(3)
        (3, 3)
    """
    if isinstance(value, list | tuple):
        return len(value)
    if isinstance(value, int):
        return max(0, value)
    text = str(value).strip()
    return int(text) if text.isdecimal() and len(text) < 9 else len(re.findall(r"\d+", text))


@dataclass(frozen=True, slots=True, kw_only=True)
class RefAdvPrediction:
    """What a model answered to one row of Ref-Adv.

    Example:
        >>> prediction = RefAdvPrediction.from_numbers(
        ...     4, (10, 20, 500, 700), "norm_1000_xyxy", size_px=(640, 480))
        >>> prediction.box_px
        (6.4, 9.6, 320.0, 336.0)
    """

    row_idx: int
    """From 0 on; the row's `row_id`."""
    box_px: tuple[float, float, float, float] | None
    """The first box, x1 <= x2 and y1 <= y2, as the published scoring takes it: numbers of
    `abs_xyxy` stand as the model wrote them, whatever picture it saw. None where there is none."""
    box_format: BoxFormat
    seen_size_px: tuple[int, int] | None = None
    """(width, height) of the picture as the model saw it; None where nobody says."""
    box_count: int = 1
    """Boxes in the answer, of which the first is scored."""
    parse_error: str = ""
    """Why the text gave no box; empty where it gave one."""
    retry_used: bool = False
    model: str = ""
    prompt_id: str = ""
    expression: str = ""
    """Of the row, where the prediction says it: numbers alone do not tell whether rows have been
    put into another order."""

    @classmethod
    def from_numbers(
        cls,
        row_idx: int,
        numbers: tuple[float, float, float, float] | None,
        box_format: BoxFormat,
        *,
        size_px: tuple[int, int],
        seen_size_px: tuple[int, int] | None = None,
        box_count: int = 1,
        parse_error: str = "",
        retry_used: bool = False,
        model: str = "",
        prompt_id: str = "",
    ) -> RefAdvPrediction:
        """From a model's numbers and the (width, height) of the original image."""
        box_px = None
        if numbers is not None and not all(math.isfinite(number) for number in numbers):
            numbers, parse_error = None, parse_error or "not_finite"
        if numbers is not None:
            scale = {"abs_xyxy": 0.0, "norm_1000_xyxy": 1000.0, "norm_1_xyxy": 1.0}[box_format]
            width, height = (side / scale if scale else 1.0 for side in size_px)
            x1, y1, x2, y2 = (float(number) for number in numbers)
            xs, ys = sorted((x1 * width, x2 * width)), sorted((y1 * height, y2 * height))
            box_px = (xs[0], ys[0], xs[1], ys[1])
        return cls(
            row_idx=row_idx,
            box_px=box_px,
            box_format=box_format,
            seen_size_px=seen_size_px,
            box_count=box_count if numbers is not None else 0,
            parse_error=parse_error or ("" if numbers is not None else "no_bbox_found"),
            retry_used=retry_used,
            model=model,
            prompt_id=prompt_id,
        )

    def published_box(self, size_px: tuple[int, int]) -> Box | None:
        """As the published scoring has it: clipped to the image, never rescaled."""
        return None if self.box_px is None else Box(*self.box_px).clip(*size_px)

    def corrected_box(self, size_px: tuple[int, int]) -> Box | None:
        """In pixels of the original: what was read in pixels of a resized picture is scaled
        back, where its size is known."""
        if self.box_px is None or self.box_format != "abs_xyxy" or self.seen_size_px is None:
            return self.published_box(size_px)
        across = size_px[0] / self.seen_size_px[0]
        down = size_px[1] / self.seen_size_px[1]
        x1, y1, x2, y2 = self.box_px
        return Box(x1 * across, y1 * down, x2 * across, y2 * down).clip(*size_px)


def to_prediction_row(row: ReferringRow, prediction: RefAdvPrediction) -> dict[str, Any]:
    """A line of a prediction file, with exactly the published fields, as its `report.py` reads
    them. `first_iou` is the published one: without rescaling."""
    if row.size_px is None:
        raise BadRow(f"row {row.row} has no size of its image, which its scoring needs")
    predicted = prediction.published_box(row.size_px)
    truth = row.boxes_px[0] if row.boxes_px else None
    overlap = iou(truth, predicted) if truth is not None and predicted is not None else 0.0
    return {
        "row_idx": prediction.row_idx,
        "file_name": row.image,
        "normal_caption": row.expression,
        "image_source": row.tags.get("image_source", ""),
        "human_authored": row.tags.get("human_authored", False),
        "use_negation": row.tags.get("negation", False),
        "distractor_count": row.tags.get("distractors", 0),
        "gt_bbox_xyxy": [] if truth is None else [float(value) for value in truth.xyxy],
        "pred_box_xyxy_first": [] if predicted is None else [float(v) for v in predicted.xyxy],
        "first_iou": float(overlap),
        "first_hit": bool(overlap >= HIT_IOU),
        "parse_error": prediction.parse_error,
        "retry_followup_used": prediction.retry_used,
        "model_full_name": prediction.model,
        "prompt_id": prediction.prompt_id,
        "pred_box_expected_format": prediction.box_format,
    }


def write_predictions(pairs: Iterable[tuple[ReferringRow, RefAdvPrediction]]) -> str:
    """A prediction file: one line a row."""
    lines = (json.dumps(to_prediction_row(row, p), ensure_ascii=False) for row, p in pairs)
    return "".join(f"{line}\n" for line in lines)


def read_predictions(path: Path) -> Iterator[RefAdvPrediction | RowError]:
    """Rows of a prediction file, of this project or as published."""
    source = source_name(path)
    for number, values in read_lines(path):
        if isinstance(values, str):
            yield RowError(source, number, values)
            continue
        try:
            yield _read_prediction(values)
        except BadRow as error:
            yield RowError(source, number, str(error))


def _read_prediction(values: dict[str, Any]) -> RefAdvPrediction:
    box_format = get_text(values, "pred_box_expected_format")
    if box_format not in get_args(BoxFormat):
        raise BadRow(
            f"'pred_box_expected_format' must be one of {', '.join(get_args(BoxFormat))}, found "
            f"{describe(box_format)}"
        )
    numbers = values.get("pred_box_xyxy_first")
    box_px = None
    if numbers:
        if not isinstance(numbers, list) or len(numbers) != 4:
            raise BadRow(
                f"'pred_box_xyxy_first' must be four numbers or [], found {describe(numbers)}"
            )
        x1, y1, x2, y2 = (check_number(value, "a number of the box") for value in numbers)
        box_px = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    parse_error = values.get("parse_error") or ""
    return RefAdvPrediction(
        row_idx=get_count(values, "row_idx"),
        box_px=box_px,
        box_format=cast(BoxFormat, box_format),
        box_count=int(box_px is not None),
        parse_error=str(parse_error)[:200] or ("" if box_px else "no_bbox_found"),
        retry_used=bool(values.get("retry_followup_used")),
        model=get_optional_text(values, "model_full_name"),
        prompt_id=get_optional_text(values, "prompt_id"),
        expression=get_optional_text(values, "normal_caption"),
    )

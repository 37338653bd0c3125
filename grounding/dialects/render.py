"""Boxes, points and tubes as the text that a model of a dialect would write: for training rows,
for scripted models, and to hold reading to account."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.dialects.dialect import NOTATIONS, BoxNotation, Dialect, to_numbers
from mmreason.grounding.spaces import Size, Transform, seen_transform
from mmreason.grounding.tubes import Tube

TubeForm = Literal["seconds", "rows"]
"""How tubes are written: `{"time": [s, e], "boxes": {"9": [...]}}` of OneThinker, or Qwen's
`[{"time": 9.0, "bbox_2d": [...], "label": ""}, ...]`."""


def render_boxes(
    boxes: Sequence[Box],
    dialect: Dialect,
    size_px: Size,
    *,
    labels: Sequence[str] = (),
    seen_size_px: Size | None = None,
    transform: Transform | None = None,
) -> str:
    """The boxes (pixels of the original frame) as the dialect writes them; `labels` one a box or
    none. No boxes: what says that nothing is there. Read back, a box is within half a quantum of
    what it was, wherever the dialect has a number for it.

    Raises ValueError for a dialect without boxes and for labels that do not match.

    Example:
        >>> render_boxes([Box(0, 0, 320, 180)], Dialect.NORM_1000, (640, 360), labels=["dog"])
        '[{"bbox_2d": [0, 0, 500, 500], "label": "dog"}]'
        >>> render_boxes([Box(0, 0, 320, 180)], Dialect.PALIGEMMA, (640, 360), labels=["dog"])
        '<loc0000><loc0000><loc0512><loc0512> dog'
    """
    notation = NOTATIONS[dialect]
    if not notation.has_boxes:
        raise ValueError(f"dialect {dialect} writes points, not boxes")
    if labels and len(labels) != len(boxes):
        raise ValueError(f"{len(boxes)} boxes need as many labels, got {len(labels)}")
    if not boxes:
        return "[]" if notation.form in ("json", "glm box") else "none"
    rows = _numbers([box.xyxy for box in boxes], dialect, size_px, seen_size_px, transform)
    names = _names(labels, notation) or [""] * len(boxes)
    return _written(list(zip(rows, names, strict=True)), notation, named=bool(labels))


def render_points(
    points_px: Sequence[tuple[float, float]],
    dialect: Dialect,
    size_px: Size,
    *,
    labels: Sequence[str] = (),
    seen_size_px: Size | None = None,
    transform: Transform | None = None,
) -> str:
    """Points (x, y in pixels of the original frame) as the dialect writes them; see `render_boxes`.

    Raises ValueError for a dialect without points and for labels that do not match.

    Example:
        >>> render_points([(64, 36)], Dialect.MOLMO, (640, 360), labels=["dog"])
        '<point x="10.0" y="10.0" alt="dog">dog</point>'
    """
    notation = NOTATIONS[dialect]
    if not notation.has_points:
        raise ValueError(f"dialect {dialect} writes boxes, not points")
    if labels and len(labels) != len(points_px):
        raise ValueError(f"{len(points_px)} points need as many labels, got {len(labels)}")
    if not points_px:
        return "[]" if notation.form == "json" else "There are none."
    rows = _numbers(list(points_px), dialect, size_px, seen_size_px, transform)
    names = _names(labels, notation) or [""] * len(points_px)
    if notation.form == "json":
        objects = [
            {notation.point_key: _json_row(row, notation)} | ({"label": name} if labels else {})
            for row, name in zip(rows, names, strict=True)
        ]
        return json.dumps(objects, ensure_ascii=False)
    if notation.form == "numbers":
        return "".join(_rex(row, name) for row, name in zip(rows, names, strict=True))
    if notation.form == "point tags":
        return " ".join(
            f'<point x="{row[0]:.1f}" y="{row[1]:.1f}" alt="{name}">{name}</point>'
            for row, name in zip(rows, names, strict=True)
        )
    return " ".join(
        f'<points coords="1 1 {round(row[0]):03d} {round(row[1]):03d}">{name}</points>'
        for row, name in zip(rows, names, strict=True)
    )


def render_tubes(
    tubes: Sequence[Tube],
    dialect: Dialect,
    size_px: Size,
    *,
    form: TubeForm = "rows",
    seen_size_px: Size | None = None,
    transform: Transform | None = None,
) -> str:
    """Tubes (pixels of the original frame) as JSON: a box at each time at which the object is to be
    seen, times in seconds to the millisecond. Several tubes in `rows` are told apart by `id`.

    Raises ValueError for a dialect whose boxes are not JSON.

    Example:
        >>> tube = Tube.from_boxes([9.0], [Box(0, 0, 320, 180)], label="dog")
        >>> render_tubes([tube], Dialect.NORM_1000, (640, 360))
        '[{"time": 9.0, "bbox_2d": [0, 0, 500, 500], "label": "dog"}]'
        >>> render_tubes([tube], Dialect.NORM_1000, (640, 360), form="seconds")
        '{"time": [9.0, 9.0], "boxes": {"9": [0, 0, 500, 500]}, "label": "dog"}'
    """
    notation = NOTATIONS[dialect]
    if notation.form != "json":
        raise ValueError(f"tubes are written as JSON, which dialect {dialect} is not")
    objects: list[dict[str, Any]] = []
    for index, tube in enumerate(tubes):
        if tube.span is None:
            continue
        times_s = [round(float(time_s), 3) for time_s in tube.times_s[tube.present]]
        rows = _numbers(tube.boxes_px[tube.present], dialect, size_px, seen_size_px, transform)
        written = [_json_row(row, notation) for row in rows]
        if form == "seconds":
            boxes = {f"{time_s:g}": row for time_s, row in zip(times_s, written, strict=True)}
            named = {"label": tube.label} if tube.label else {}
            objects.append({"time": [times_s[0], times_s[-1]], "boxes": boxes} | named)
        else:
            id_of = {"id": tube.id or str(index + 1)} if len(tubes) > 1 else {}
            objects += [
                {"time": time_s, notation.key: row, "label": tube.label} | id_of
                for time_s, row in zip(times_s, written, strict=True)
            ]
    single = form == "seconds" and len(objects) == 1
    return json.dumps(objects[0] if single else objects, ensure_ascii=False)


def _numbers(
    rows: Sequence[Sequence[float]] | np.ndarray,
    dialect: Dialect,
    size_px: Size,
    seen_size_px: Size | None,
    transform: Transform | None,
) -> np.ndarray:
    to_seen = seen_transform(size_px, seen_size_px, transform)
    array = np.asarray(rows, np.float64)
    seen_rows = to_seen.apply_boxes(array) if array.shape[1] == 4 else to_seen.apply_points(array)
    return to_numbers(seen_rows, dialect, to_seen.to_size, rounding="nearest")


def _json_row(row: np.ndarray, notation: BoxNotation) -> list[float]:
    if notation.quantum < 1:
        return [round(float(value), 2) for value in row]
    return [round(float(value)) for value in row]


def _names(labels: Sequence[str], notation: BoxNotation) -> list[str]:
    """Labels that cannot be mistaken for signs of the dialect; JSON has its own escapes."""
    if notation.form == "json":
        return list(labels)
    signs = str.maketrans(dict.fromkeys('<>"[]{}();', " "))
    return [" ".join(label.translate(signs).split()) for label in labels]


def _rex(row: np.ndarray, name: str) -> str:
    ref = f"<|object_ref_start|>{name}<|object_ref_end|>" if name else ""
    return f"{ref}<|box_start|>{''.join(f'<{round(value)}>' for value in row)}<|box_end|>"


def _written(rows: list[tuple[np.ndarray, str]], notation: BoxNotation, *, named: bool) -> str:
    if notation.form == "json":
        objects = [
            {notation.key: _json_row(row, notation)} | ({"label": name} if named else {})
            for row, name in rows
        ]
        return json.dumps(objects, ensure_ascii=False)
    whole = [([round(float(value)) for value in row], name) for row, name in rows]
    if notation.form == "glm box":
        return f"<|begin_of_box|>{json.dumps([row for row, _ in whole])}<|end_of_box|>"
    if notation.form == "digits":
        return f"[[{';'.join(','.join(f'{v:03d}' for v in row) for row, _ in whole)}]]"
    if notation.form == "loc":
        return " ; ".join(
            "".join(f"<loc{v:04d}>" for v in row) + (f" {name}" if name else "")
            for row, name in whole
        )
    return "".join(_tagged(row, name, notation) for row, name in whole)


def _tagged(row: list[int], name: str, notation: BoxNotation) -> str:
    """One box between the tokens of its family."""
    if notation.form == "qwen tokens":
        ref = f"<|object_ref_start|>{name}<|object_ref_end|>" if name else ""
        return f"{ref}<|box_start|>({row[0]},{row[1]}),({row[2]},{row[3]})<|box_end|>"
    if notation.form == "ref box":
        return (f"<ref>{name}</ref>" if name else "") + f"<box>[{row}]</box>"
    if notation.form == "det":
        return (f"<|ref|>{name}<|/ref|>" if name else "") + f"<|det|>[{row}]<|/det|>"
    if notation.form == "loc_":
        return name + "".join(f"<loc_{value}>" for value in row)
    if notation.form == "patches":
        first, last = row[1] * 32 + row[0], row[3] * 32 + row[2]
        phrase = f"<phrase>{name}</phrase>" if name else ""
        return f"{phrase}<object><patch_index_{first:04d}><patch_index_{last:04d}></object>"
    return _rex(np.array(row), name)

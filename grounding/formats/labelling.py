"""Rows as imports of tools that people label with: Label Studio and FiftyOne."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from mmreason.grounding.boxes import Box
from mmreason.grounding.formats.rows import FormError, ReferringRow
from mmreason.grounding.formats.tubes_of_frames import frames_of
from mmreason.grounding.tubes import Tube

LABEL = "target"
"""Of boxes whose class nobody knows."""


def to_label_studio(
    rows: Sequence[ReferringRow], fps_hz: float | None = None
) -> list[dict[str, Any]]:
    """Label Studio's tasks, one an expression: boxes in percent of the image, tubes as key frames
    counted from 1. The controls are named `label` and `image` or `video`. Raises FormError for a
    row without a size, or tubes without a frame rate (`tags["fps_hz"]` where `fps_hz` is None)."""
    return [_to_task(row, fps_hz or row.tags.get("fps_hz")) for row in rows]


def _to_task(row: ReferringRow, fps_hz: Any) -> dict[str, Any]:
    if row.size_px is None and (row.boxes_px or row.tubes):
        raise FormError(f"{row.source}, row {row.row}: has no size; percent need one")
    if row.tubes and not isinstance(fps_hz, int | float):
        raise FormError(f"{row.source}, row {row.row}: says no frame rate; give one")
    kind = "image" if row.image else "video"
    label = row.category or LABEL
    results = [_box_result(box, label, row.size_px) for box in row.boxes_px if row.size_px]
    results += [_tube_result(tube, label, row.size_px, fps_hz) for tube in row.tubes if row.size_px]
    if row.video and not row.tubes and row.span is not None:
        raise FormError(f"{row.source}, row {row.row}: has a span and no boxes, which is not drawn")
    data = {kind: row.image or row.video, "expression": row.expression, "row_id": row.row_id}
    task: dict[str, Any] = {"data": data | ({"split": row.split} if row.split else {})}
    # An annotation without results says that nothing is meant; no annotation, that nobody said.
    return task | ({"annotations": [{"result": results}]} if row.truth_known else {})


def _percent(box: Box, size_px: tuple[int, int]) -> dict[str, float]:
    width, height = size_px
    return {
        "x": 100 * box.x1_px / width,
        "y": 100 * box.y1_px / height,
        "width": 100 * (box.x2_px - box.x1_px) / width,
        "height": 100 * (box.y2_px - box.y1_px) / height,
        "rotation": 0,
    }


def _box_result(box: Box, label: str, size_px: tuple[int, int]) -> dict[str, Any]:
    return {
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": size_px[0],
        "original_height": size_px[1],
        "image_rotation": 0,
        "value": _percent(box, size_px) | {"rectanglelabels": [label]},
    }


def _tube_result(tube: Tube, label: str, size_px: tuple[int, int], fps_hz: float) -> dict[str, Any]:
    frames = frames_of(tube, fps_hz)
    sequence = []
    for index, frame in enumerate(frames):
        if tube.present[index]:
            box = Box(*(float(value) for value in tube.boxes_px[index]))
            # A key frame that is not enabled is the last before the object is gone.
            lasts = index + 1 < len(frames) and bool(tube.present[index + 1])
            entry = {"frame": frame + 1, "time": float(tube.times_s[index]), "enabled": lasts}
            sequence.append(entry | _percent(box, size_px))
    count = frames[-1] + 1
    value = {"framesCount": count, "duration": count / fps_hz, "sequence": sequence}
    return {
        "type": "videorectangle",
        "from_name": "label",
        "to_name": "video",
        "value": value | {"labels": [tube.label or label]},
    }


def to_fiftyone(rows: Sequence[ReferringRow]) -> dict[str, Any]:
    """`labels.json` of FiftyOne's image detection data set: boxes as parts of the image, by the
    image's name without its ending; each box says its expression. An image that no expression finds
    anything in has an empty list. Raises FormError for a row about a video, without a size, or of
    an image whose name another image shares."""
    labels: dict[str, list[dict[str, Any]]] = {}
    images: dict[str, str] = {}
    for row in rows:
        if not row.image or row.size_px is None:
            what = "is about a video" if not row.image else "has no size of its image"
            raise FormError(
                f"{row.source}, row {row.row}: {what}, which its detections cannot hold"
            )
        key = PurePosixPath(row.image).stem
        if images.setdefault(key, row.image) != row.image:
            other = images[key]
            raise FormError(
                f"{row.source}, row {row.row}: {row.image!r} and {other!r} have one name there"
            )
        width, height = row.size_px
        labels.setdefault(key, [])
        for box in row.boxes_px:
            x1, y1, x2, y2 = box.xyxy
            corners = [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]
            attributes = {"expression": row.expression, "row_id": row.row_id}
            detection = {"label": row.category or LABEL, "bounding_box": corners}
            labels[key].append(detection | {"attributes": attributes})
    return {"classes": None, "labels": labels}

"""HC-STVG: people in clips of 20 seconds, version 1 and 2. Frames count from 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmreason.grounding.formats.rows import (
    BadRow,
    Form,
    Reading,
    ReferringRow,
    describe,
    get_count,
    get_expression,
    get_list,
    get_number,
    get_optional_size,
    get_span,
    read_box,
    read_guarded,
)
from mmreason.grounding.formats.tubes_of_frames import build_tube

CLIP_S = 20.0
"""Length of every clip; the frame rate of a clip is its number of frames over this."""
_CLOCK_GAP_S = 0.5
"""Frames and seconds of a row that differ by more are told."""
_CAPTIONS = ("English", "caption")
"""Version 2 keeps the Chinese original beside the English caption."""


def read_hcstvg(document: dict[str, Any], source: str) -> Iterator[Reading]:
    """One row a clip: its tube by frames, its span by the seconds that the row gives."""
    for number, (video, values) in enumerate(document.items(), start=1):
        yield from read_guarded(source, number, _read_clip, video, values, number, source)


def _read_clip(video: str, values: Any, number: int, source: str) -> list[ReferringRow]:
    if not isinstance(values, dict):
        raise BadRow(f"{video!r} must be an object of fields, found {describe(values)}")
    size = values.get("img_size")
    if isinstance(size, list) and len(size) == 2:
        values = {**values, "height": size[0], "width": size[1]}
    size_px = get_optional_size(values)
    numbers = get_list(values, "bbox")
    if not numbers:
        raise BadRow("'bbox' is empty: the clip has no box")
    frame_count = get_count(values, "img_num", 1)
    if not isinstance(values.get("st_frame"), int) or values["st_frame"] < 1:
        raise BadRow(f"'st_frame' counts from 1, found {describe(values.get('st_frame'))}")
    first = get_count(values, "st_frame", 1) - 1
    if first + len(numbers) > frame_count:
        raise BadRow(
            f"'bbox' has {len(numbers)} frames from frame {first + 1} on, the clip has "
            f"{frame_count} ('img_num')"
        )
    boxes, notes = {}, []
    for frame, value in enumerate(numbers, start=first):
        name = f"the box of frame {frame + 1}"
        boxes[frame], note = read_box(value, size_px, xywh=True, name=name)
        notes += [note] if note else []
    fps_hz = frame_count / CLIP_S
    tube = build_tube(boxes, range(first, first + len(numbers)), fps_hz, id="1", label="person")
    span = get_span(get_number(values, "st_time"), get_number(values, "ed_time"))
    gap_s = abs(span.start_s - first / fps_hz)
    if gap_s > _CLOCK_GAP_S:
        notes.append(
            f"two clocks: 'st_time' is {span.start_s:g} s, frame {first + 1} of {frame_count} is "
            f"at {first / fps_hz:g} s"
        )
    caption = next((name for name in _CAPTIONS if values.get(name)), _CAPTIONS[-1])
    row = ReferringRow(
        source=source,
        row=number,
        row_id=video,
        form=Form.HCSTVG,
        expression=get_expression(values, caption),
        video=video,
        size_px=size_px,
        tubes=(tube,),
        span=span,
        category="person",
        tags={"fps_hz": fps_hz, "frame_count": frame_count},
        notes=tuple(notes),
    )
    return [row]

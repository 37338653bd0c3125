"""Rows of ms-swift: messages with placeholders, files beside them, and `objects`.

    {"messages": [{"role": "user", "content": "<image>Where is <ref-object>?"},
                  {"role": "assistant", "content": "<bbox>"}], "images": ["a.png"],
     "objects": {"ref": ["the sheep"], "bbox": [[90, 160, 135, 212]]}}

`<ref-object>` and `<bbox>` are filled in their order, each kind for itself. A box is written as
`[x1, y1, x2, y2]` in whole pixels of the original image, since ms-swift leaves the space to the
model's template; where the size of the image can be read, the boxes are the truth as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmreason.grounding import Box
from mmreason.training.data.dialects.conversations import (
    PLURAL,
    SINGULAR,
    read_turns,
    truth_of_target,
)
from mmreason.training.data.dialects.media_values import read_media
from mmreason.training.data.dialects.placeholders import MediaByName, place_media
from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.dialects.rows import (
    RowContext,
    TurnTags,
    check_turns,
    has_value,
    make_sample,
    read_list,
    read_text,
)
from mmreason.training.data.dialects.truths import read_truth
from mmreason.training.data.dialects.typed_messages import read_typed
from mmreason.training.data.sample import Sample, SampleMessage
from mmreason.training.rewards import Frame, Truth

_PLACE = re.compile("<(ref-object|bbox)>")
_BOX_PLACE = re.compile("<bbox>")
_TAGS = TurnTags("role", "content", "user", "assistant")
_PICTURES = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_MOST_PIXELS = 1e6
"""Of a coordinate: no picture is as wide."""


def read_swift(row: Mapping[str, Any], context: RowContext) -> Sample:
    """A row of ms-swift. Raises BadRow."""
    if any(
        isinstance(turn, dict) and isinstance(turn.get("content"), list)
        for turn in read_list(row, "messages")
    ):
        messages: Sequence[SampleMessage] = read_typed(row, "messages", context)
        media: MediaByName = {}
    else:
        messages = read_turns(read_list(row, "messages"), _TAGS)
        media = read_media(row, PLURAL | SINGULAR, context.root)
    system = read_text(row, "system", default="")
    if system:
        messages = [SampleMessage(role="system", parts=(system,)), *messages]
    objects, filled = _fill_objects(row, messages, media)
    if media or not any(message.media for message in filled):
        filled = place_media(filled, media)
    rejected = _read_rejected(row, filled)
    truth, answer_used = _read_answer(row, filled)
    if objects is not None:
        # The boxes are the truth, not the numbers that they are written in.
        truth = replace(truth, answer=None, number=None, **objects)
    # A row for rewards ends with the question: its solution is what the assistant would say.
    if answer_used is not None and filled[-1].role != "assistant":
        filled = (*filled, SampleMessage(role="assistant", parts=(answer_used,)))
    check_turns(filled)
    used = {"messages", "system", "rejected_response", "rejected_messages", *PLURAL, *SINGULAR}
    used |= {"objects"} if objects is not None else set()
    used |= {"solution"} if answer_used is not None else set()
    return make_sample(row, context, filled, truth, used=used, rejected=rejected)


def _read_answer(
    row: Mapping[str, Any], messages: Sequence[SampleMessage]
) -> tuple[Truth, str | None]:
    if not has_value(row, "solution"):
        return truth_of_target(messages), None
    value = row["solution"]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    solution = str(value) if is_number else read_text(row, "solution")
    question = next((m.text.strip() for m in reversed(messages) if m.role == "user"), "")
    return read_truth(question, solution), solution


def _read_rejected(
    row: Mapping[str, Any], messages: Sequence[SampleMessage]
) -> tuple[SampleMessage, ...]:
    if has_value(row, "rejected_response"):
        text = read_text(row, "rejected_response")
    elif has_value(row, "rejected_messages"):
        text = read_turns(read_list(row, "rejected_messages"), _TAGS)[-1].text
    else:
        return ()
    if messages[-1].role != "assistant":
        raise BadRow("has a rejected answer, and its messages do not end with the better one")
    if text.strip() == messages[-1].text.strip():
        raise BadRow("has a rejected answer that is the answer itself")
    return (SampleMessage(role="assistant", parts=(text,)),)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A box or a point, in the numbers of the row."""

    numbers: tuple[float, ...]
    size_px: tuple[int, int] | None
    """Of its image, where that can be read."""

    def text(self) -> str:
        return "[" + ", ".join(str(round(number)) for number in self.numbers) + "]"


def _fill_objects(
    row: Mapping[str, Any], messages: Sequence[SampleMessage], media: MediaByName
) -> tuple[dict[str, Any] | None, tuple[SampleMessage, ...]]:
    """(what the truth says of the boxes, None where they stay a free column; the filled
    messages)."""
    if not has_value(row, "objects"):
        _check_places(messages, 0, 0)
        return None, tuple(messages)
    objects = row["objects"]
    if not isinstance(objects, dict):
        raise BadRow(f"'objects' must be an object, found {describe(objects)}")
    refs, boxes = read_list(objects, "ref"), read_list(objects, "bbox")
    if not all(isinstance(text, str) and text.strip() for text in refs):
        raise BadRow("'ref' must be a list of texts")
    shapes = _read_shapes(objects, boxes, media)
    _check_places(messages, len(refs), len(shapes))
    next_ref, next_shape = iter(refs), iter(shapes)

    def fill(match: re.Match[str]) -> str:
        return next(next_ref) if match[1] == "ref-object" else next(next_shape).text()

    filled = tuple(
        replace(
            message,
            parts=tuple(
                _PLACE.sub(fill, item) if isinstance(item, str) else item for item in message.parts
            ),
        )
        for message in messages
    )
    answered = len(_BOX_PLACE.findall(messages[-1].text)) if shapes else 0
    is_answer = messages[-1].role == "assistant" and answered == len(shapes) > 0
    return (_truth_of_shapes(shapes) if is_answer else None), filled


def _check_places(messages: Sequence[SampleMessage], refs: int, boxes: int) -> None:
    kinds = [kind for message in messages for kind in _PLACE.findall(message.text)]
    for kind, count in (("ref-object", refs), ("bbox", boxes)):
        # Boxes of an image may stand in no text at all; some in it, and some not, is a mistake.
        if kinds.count(kind) != count and (kinds or not count):
            raise BadRow(f"{kinds.count(kind)} placeholders <{kind}> for {count} in 'objects'")


def _read_shapes(objects: Mapping[str, Any], boxes: list[Any], media: MediaByName) -> list[_Shape]:
    kind = objects.get("bbox_type") or "real"
    if kind not in ("real", "norm1"):
        raise BadRow(f"'bbox_type' must be real or norm1, found {describe(kind)}")
    images = media.get("image", ())
    indices = objects.get("image_id")
    if indices is None:
        indices = [0] * len(boxes)
    if not isinstance(indices, list) or len(indices) != len(boxes):
        raise BadRow(f"'image_id' must have one number for each of {len(boxes)} boxes")
    shapes = []
    for box, index in zip(boxes, indices, strict=True):
        if type(index) is not int or not 0 <= index < max(1, len(images)):
            raise BadRow(f"'image_id' must be places of {len(images)} images, from 0 on")
        size_px = read_size_px(images[index].path) if index < len(images) else None
        shapes.append(_read_shape(box, kind, size_px))
    return shapes


def _read_shape(value: Any, kind: str, size_px: tuple[int, int] | None) -> _Shape:
    is_shape = isinstance(value, list) and len(value) in (2, 4)
    if not is_shape or not all(
        type(number) in (int, float) and 0 <= number <= _MOST_PIXELS for number in value
    ):
        raise BadRow(f"'bbox' must hold boxes of 4 numbers or points of 2, found {str(value)[:60]}")
    if kind == "norm1":
        if any(number > 1 for number in value):
            raise BadRow(f"a box of norm1 must have numbers from 0 to 1, found {value}")
        if size_px is None:
            raise BadRow("boxes of norm1 need the size of their image, which cannot be read")
        value = [number * side for number, side in zip(value, size_px * 2, strict=False)]
    if len(value) == 4 and (value[2] <= value[0] or value[3] <= value[1]):
        raise BadRow(f"the box {value} has no area; corners must be x1 < x2 and y1 < y2")
    if size_px is not None and any(
        number > side for number, side in zip(value, size_px * 2, strict=False)
    ):
        raise BadRow(f"the box {value} lies outside of its image of {size_px[0]} x {size_px[1]}")
    return _Shape(tuple(map(float, value)), size_px)


def _truth_of_shapes(shapes: Sequence[_Shape]) -> dict[str, Any] | None:
    sizes = {shape.size_px for shape in shapes}
    if len(sizes) != 1 or None in sizes or any(len(shape.numbers) != 4 for shape in shapes):
        return None
    size_px = sizes.pop()
    assert size_px is not None
    boxes = tuple(Box(*shape.numbers) for shape in shapes)
    return {"boxes": boxes, "frame": Frame(size_px=size_px)}


def read_size_px(path: str) -> tuple[int, int] | None:
    """(width, height) of an image file, of which only the header is read; None where it cannot
    be."""
    from PIL import Image

    try:
        if not Path(path).is_file():  # a pipe would wait for ever
            return None
        with Image.open(path, formats=_PICTURES) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None

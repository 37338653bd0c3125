"""Rows of ms-swift with `objects`: texts and boxes that fill places in the messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mmreason.grounding.formats.rows import (
    BadRow,
    Form,
    NumberedRows,
    Reading,
    ReferringRow,
    check_number,
    describe,
    get_expression,
    get_list,
    get_object,
    read_boxes,
    read_each,
)

_PLACE = re.compile(r"<(ref-object|bbox)>")
_ORIENTATION = 0x0112
"""EXIF tag; 1 is upright."""
_PICTURES = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def read_ms_swift(rows: NumberedRows, source: str, folder: Path) -> Iterator[Reading]:
    """One row a text of `objects.ref`, with the boxes that stand after its place in the messages.
    Boxes of 0..1 (`norm1`) need the size of the image, which is read from the file in `folder`."""
    return read_each(rows, source, partial(_read_row, source=source, folder=folder))


def _read_row(values: dict[str, Any], number: int, source: str, folder: Path) -> list[ReferringRow]:
    objects = get_object(values, "objects")
    texts, boxes = get_list(objects, "ref"), get_list(objects, "bbox")
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise BadRow(f"'ref' must be a list of texts, found {describe(texts)}")
    kind = objects.get("bbox_type", "real")
    if kind not in ("real", "norm1"):
        raise BadRow(f"'bbox_type' must be real or norm1, found {describe(kind)}")
    images = values.get("images") or values.get("image")
    images = [images] if isinstance(images, str) else images
    if not isinstance(images, list) or not images:
        raise BadRow(f"'images' must be a list of files, found {describe(images)}")
    names = [image.get("path") if isinstance(image, dict) else image for image in images]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise BadRow("'images' must hold names of files")
    image_indices = objects.get("image_id", [0] * len(boxes))
    if not isinstance(image_indices, list) or len(image_indices) != len(boxes):
        raise BadRow(f"'image_id' must have one entry a box, found {describe(image_indices)}")
    if not all(type(index) is int and 0 <= index < len(names) for index in image_indices):
        raise BadRow(f"'image_id' must be places of {len(names)} image(s), from 0 on")
    pairs = _pair(texts, boxes, values.get("messages"))
    rows = []
    for text_index, (text, indices) in enumerate(pairs):
        used = {image_indices[index] for index in indices} or {0}
        if len(used) > 1:
            raise BadRow(f"boxes of {text[:40]!r} are in {len(used)} images, expected one")
        name = names[used.pop()]
        size_px, turned = _size_of(folder / name) if kind == "norm1" else (None, "")
        scaled = [_scale(boxes[index], size_px) for index in indices]
        targets, notes = read_boxes(scaled, size_px)
        rows.append(
            ReferringRow(
                source=source,
                row=number,
                row_id=f"{number}:{text_index}" if len(pairs) > 1 else str(number),
                form=Form.MS_SWIFT,
                expression=get_expression({"ref": text}, "ref"),
                image=name,
                size_px=size_px,
                boxes_px=targets,
                notes=(*notes, turned) if turned else notes,
            )
        )
    return rows


def _pair(texts: list[str], boxes: list[Any], messages: Any) -> list[tuple[str, list[int]]]:
    """Each different text, and the indices of its boxes: those that follow it in the messages."""
    turns = messages if isinstance(messages, list) else []
    contents = [turn.get("content") for turn in turns if isinstance(turn, dict)]
    kinds = [kind for text in contents if isinstance(text, str) for kind in _PLACE.findall(text)]
    counts = (kinds.count("ref-object"), kinds.count("bbox"))
    paired: dict[str, list[int]] = {}
    if counts != (0, 0) and counts != (len(texts), len(boxes)):
        raise BadRow(
            f"mismatched: messages have {counts[0]} <ref-object> and {counts[1]} <bbox>, 'ref' has "
            f"{len(texts)} texts and 'bbox' {len(boxes)} boxes"
        )
    if kinds and kinds[0] == "ref-object":
        remaining, next_box, text = iter(texts), 0, ""
        for kind in kinds:
            if kind == "ref-object":
                text = next(remaining)
                paired.setdefault(text, [])
            else:
                paired[text].append(next_box)
                next_box += 1
        return list(paired.items())
    if len(texts) == 1:
        return [(texts[0], list(range(len(boxes))))]
    if len(texts) != len(boxes):
        raise BadRow(f"mismatched: {len(texts)} texts in 'ref' and {len(boxes)} boxes in 'bbox'")
    for index, text in enumerate(texts):
        paired.setdefault(text, []).append(index)
    return list(paired.items())


def _scale(box: Any, size_px: tuple[int, int] | None) -> Any:
    """Pixels, where the box is of 0..1; what is no box is told when it is read."""
    if size_px is None or not isinstance(box, list) or len(box) != 4:
        return box
    numbers = [check_number(value, "a number of a box") for value in box]
    if any(not 0 <= value <= 1 for value in numbers):
        raise BadRow(f"a box of norm1 must have numbers from 0 to 1, found {numbers}")
    return [value * side for value, side in zip(numbers, (*size_px, *size_px), strict=True)]


def _size_of(path: Path) -> tuple[tuple[int, int], str]:
    """(width, height) of the pixels as they are stored, and a note where viewers turn them."""
    from PIL import Image

    try:
        if not path.is_file():  # a pipe would wait for ever
            raise FileNotFoundError
        with Image.open(path, formats=_PICTURES) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            note = f"the picture is shown turned (EXIF orientation {orientation})"
            return image.size, f"{note}; boxes are in stored pixels" if orientation != 1 else ""
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadRow(
            f"boxes of norm1 need the size of the image, and {path.name!r} cannot be read beside "
            f"the file ({type(error).__name__})"
        ) from error

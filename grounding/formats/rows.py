"""One row of a referring data set, whatever file it came from, and what is told of a bad one.

A reader gives a `ReferringRow` or a `RowError` for each row of a file; only a file that cannot be
read at all raises `FormError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mmreason.grounding.boxes import Box
from mmreason.grounding.tubes import Tube
from mmreason.video.plain_text import show_line
from mmreason.video.types import Span

ROW_FORMAT = "mmreason-referring-1"
"""Marks each line of our own form, which loses nothing."""
MOST_EXPRESSION_LETTERS = 20_000
"""Letters: ten thousand words pass, a file in the place of a sentence does not."""
_MOST_NAMED = 8
"""Fields named in an error."""


class Form(StrEnum):
    """In which form a file holds referring expressions; docs/grounding_data.md has the fields."""

    ROWS = "rows"
    """Our own JSON lines."""
    REF_ADV = "ref-adv"
    REFCOCO = "refcoco"
    """Pickled or JSON references of RefCOCO, RefCOCO+, RefCOCOg, with `instances.json`."""
    GREFCOCO = "grefcoco"
    """The same with none, one or several targets."""
    COCO = "coco"
    """Boxes of COCO; referring where images have a caption, as MDETR and mmdet keep it."""
    ODVG = "odvg"
    VIDSTG = "vidstg"
    HCSTVG = "hcstvg"
    MEVIS = "mevis"
    REF_YOUTUBE_VOS = "ref-youtube-vos"
    CHARADES_STA = "charades-sta"
    TIMELENS = "timelens"
    MS_SWIFT = "ms-swift"


class FormError(ValueError):
    """A file that cannot be read or written in the form; one line that says what to do."""


class BadRow(ValueError):
    """Why one row is none; readers turn it into a `RowError`."""


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that could not be read, which others do not suffer from.

    Example:
        >>> str(RowError("val.jsonl", 3, "lacks 'solution'"))
        "val.jsonl, row 3: lacks 'solution'"
    """

    source: str
    """The file, as it was given."""
    row: int
    """From 1 on. Of COCO without captions: of the annotation in its list."""
    reason: str

    def __str__(self) -> str:
        return show_line(f"{self.source}, row {self.row}: {self.reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferringRow:
    """One expression about one image or video, and what it refers to. Raises ValueError where it is
    about neither or both, or is empty.

    Example:
        >>> row = ReferringRow(
        ...     source="val.jsonl", row=1, row_id="7", form=Form.REF_ADV, image="dogs.jpg",
        ...     expression="the dog that is not lying", boxes_px=(Box(4, 8, 20, 30),))
        >>> row.media_id, row.is_no_target
        ('dogs.jpg', False)
    """

    source: str
    """The file, as it was given."""
    row: int
    """In the file, from 1 on."""
    row_id: str
    """The data set's own id of the expression, else the row's number."""
    form: Form
    expression: str
    image: str = ""
    """Name of the image; empty for a video."""
    video: str = ""
    """Name or id of the video; empty for an image."""
    group_id: str = ""
    """What the data set calls the image or video; empty where its name is its id."""
    size_px: tuple[int, int] | None = None
    """(width, height) of the original; None where the file does not say."""
    boxes_px: tuple[Box, ...] = ()
    """Targets in an image, in pixels of the original."""
    tubes: tuple[Tube, ...] = ()
    """Targets in a video."""
    span: Span | None = None
    """When it happens, where the data set says."""
    truth_known: bool = True
    """False where the file holds expressions without answers, as test splits do."""
    category: str = ""
    """Class of the targets, where they have one."""
    split: str = ""
    tags: Mapping[str, Any] = field(default_factory=dict)
    """What else the data set says: distractors, negation, author, frame rate, ...; JSON types."""
    notes: tuple[str, ...] = ()
    """What was mended: boxes clipped to the image, clocks that disagree."""

    def __post_init__(self) -> None:
        if bool(self.image) == bool(self.video):
            raise BadRow("a row must be about an image or a video, and must say its name")
        if not self.expression:
            raise BadRow("a row must have an expression")

    @property
    def media_id(self) -> str:
        """The image or video: rows of one are no independent ones, and splits must not share it."""
        return self.group_id or self.image or self.video

    @property
    def is_no_target(self) -> bool:
        """Whether the truth is that nothing in the image or video is meant."""
        is_empty = not self.boxes_px and not self.tubes and self.span is None
        return self.truth_known and is_empty

    @property
    def tube(self) -> Tube | None:
        """The target in a video that has one; None where there are none or several."""
        return self.tubes[0] if len(self.tubes) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; a line of our own form."""
        return {
            "format": ROW_FORMAT,
            "source": self.source,
            "row": self.row,
            "row_id": self.row_id,
            "form": str(self.form),
            "expression": self.expression,
            "image": self.image,
            "video": self.video,
            "group_id": self.group_id,
            "size_px": None if self.size_px is None else list(self.size_px),
            "boxes_px": [list(box.xyxy) for box in self.boxes_px],
            "tubes": [tube.to_dict() for tube in self.tubes],
            "span": None if self.span is None else self.span.to_list(),
            "truth_known": self.truth_known,
            "category": self.category,
            "split": self.split,
            "tags": dict(self.tags),
            "notes": list(self.notes),
        }


Reading = ReferringRow | RowError
"""What readers give for each row."""


NumberedRows = Iterable[tuple[int, dict[str, Any] | str]]
"""Rows of a file with their numbers, each an object of fields or why it is none."""


def read_guarded(
    source: str, number: int, read: Callable[..., Sequence[ReferringRow]], *arguments: Any
) -> Iterator[Reading]:
    """The rows that `read` makes of row `number`, or why it makes none."""
    try:
        yield from read(*arguments)
    except BadRow as error:
        yield RowError(source, number, str(error))


def read_each(
    rows: NumberedRows, source: str, read: Callable[[dict[str, Any], int], Sequence[ReferringRow]]
) -> Iterator[Reading]:
    """What `read` makes of each row and its number."""
    for number, values in rows:
        if isinstance(values, str):
            yield RowError(source, number, values)
        else:
            yield from read_guarded(source, number, read, values, number)


# What follows reads fields of a row: each raises BadRow that names the field and what is there.


def get_field(values: Mapping[str, Any], name: str) -> Any:
    """What stands under `name`."""
    if name not in values or values[name] is None:
        names = ", ".join(repr(str(key)[:40]) for key in list(values)[:_MOST_NAMED])
        is_null = "is null (or no finite number)" if name in values else "is missing"
        raise BadRow(f"{name!r} {is_null}; the row has {names or 'no fields'}")
    return values[name]


def get_text(values: Mapping[str, Any], name: str) -> str:
    """A text that is not blank, or a number as text: ids are written both ways."""
    value = get_field(values, name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRow(f"{name!r} must be a text, found {describe(value)}")
    text = str(value).strip()
    if not text:
        raise BadRow(f"{name!r} is blank")
    return text


def get_optional_text(values: Mapping[str, Any], name: str) -> str:
    """The same, "" where it is not there."""
    return get_text(values, name) if values.get(name) not in (None, "") else ""


def get_expression(values: Mapping[str, Any], name: str) -> str:
    """An expression: a text that is not blank and no longer than can be meant."""
    if not isinstance(get_field(values, name), str):
        raise BadRow(f"{name!r} must be a text, found {describe(values[name])}")
    text = get_text(values, name)
    if len(text) > MOST_EXPRESSION_LETTERS:
        raise BadRow(
            f"{name!r} has {len(text):,} letters, the limit is {MOST_EXPRESSION_LETTERS:,}"
        )
    return text


def get_number(values: Mapping[str, Any], name: str) -> float:
    """A finite number."""
    return check_number(get_field(values, name), repr(name))


def get_count(values: Mapping[str, Any], name: str, least: int = 0) -> int:
    """A whole number of at least `least`."""
    value = get_number(values, name)
    if value != int(value) or value < least:
        raise BadRow(f"{name!r} must be a whole number from {least} on, found {value:g}")
    return int(value)


def get_list(values: Mapping[str, Any], name: str) -> list[Any]:
    """A list, empty or not."""
    value = get_field(values, name)
    if not isinstance(value, list):
        raise BadRow(f"{name!r} must be a list, found {describe(value)}")
    return value


def get_object(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object of fields."""
    return check_object(get_field(values, name), repr(name))


def check_object(value: Any, name: str) -> dict[str, Any]:
    """`value`, which is to be an object of fields."""
    if not isinstance(value, dict):
        raise BadRow(f"{name} must be an object of fields, found {describe(value)}")
    return value


def check_number(value: Any, name: str) -> float:
    """`value`, which is to be a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(f"{name} must be a number, found {describe(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadRow(f"{name} must be a finite number, found {number}")
    return number


def get_size(
    values: Mapping[str, Any], width: str = "width", height: str = "height"
) -> tuple[int, int]:
    """(width, height) of an image or video, each at least one pixel."""
    return get_count(values, width, 1), get_count(values, height, 1)


def get_optional_size(values: Mapping[str, Any]) -> tuple[int, int] | None:
    """The same; None where neither is there."""
    if values.get("width") is None and values.get("height") is None:
        return None
    return get_size(values)


def get_span(start_s: float, end_s: float) -> Span:
    """A span that does not end before it starts; ends are never swapped."""
    if end_s < start_s:
        raise BadRow(f"ends before it starts: {start_s:g} to {end_s:g}")
    return Span(start_s, end_s)


def read_box(
    value: Any, size_px: tuple[int, int] | None, *, xywh: bool = False, name: str = "box"
) -> tuple[Box, str]:
    """A box of four numbers, corners or (x, y, width, height), and a note where it was clipped to
    the image. What has no area, or lies outside the image, is no box.

    Example:
        >>> read_box([10, 20, 30, 5], (32, 32), xywh=True)
        (Box(x1_px=10.0, y1_px=20.0, x2_px=32.0, y2_px=25.0), \
'box [10, 20, 40, 25] was clipped to 32 x 32')
    """
    if not isinstance(value, list | tuple) or len(value) != 4:
        raise BadRow(f"{name} must be four numbers, found {describe(value)}")
    x1, y1, c, d = (check_number(number, f"a number of {name}") for number in value)
    if xywh and (c <= 0 or d <= 0):
        raise BadRow(f"{name} has the size {c:g} x {d:g}; width and height must be above 0")
    x2, y2 = (x1 + c, y1 + d) if xywh else (c, d)
    corners = f"[{x1:g}, {y1:g}, {x2:g}, {y2:g}]"
    if x2 <= x1 or y2 <= y1:
        raise BadRow(f"{name} {corners} has no area; corners must be x1 < x2 and y1 < y2")
    box = Box(x1, y1, x2, y2)
    if size_px is None:
        return box, ""
    width, height = size_px
    clipped = box.clip(width, height)
    if clipped.area_px2 <= 0:
        raise BadRow(f"{name} {corners} lies outside the image of {width} x {height}")
    return (
        (box, "")
        if clipped == box
        else (
            Box(*(float(number) for number in clipped.xyxy)),
            f"{name} {corners} was clipped to {width} x {height}",
        )
    )


def read_boxes(
    values: Sequence[Any], size_px: tuple[int, int] | None, *, xywh: bool = False
) -> tuple[tuple[Box, ...], tuple[str, ...]]:
    """Boxes and the notes about them; see `read_box`."""
    pairs = [
        read_box(value, size_px, xywh=xywh, name=f"box {number}" if len(values) > 1 else "box")
        for number, value in enumerate(values, start=1)
    ]
    return tuple(box for box, _ in pairs), tuple(note for _, note in pairs if note)


def describe(value: Any) -> str:
    """What is there instead, short and without looking into containers."""
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return "null" if value is None else f"{type(value).__name__} {str(value)[:40]}"

"""Data sets of referring expressions, captions and moments as samples: COCO, VidSTG, Charades-STA.

`mmreason.grounding.formats` reads them; here an expression becomes a question in plain words, and
its boxes, tube or span the truth. There is no answer to learn where it would be of boxes: in which
numbers a model writes them is the model's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

from mmreason.grounding.formats import (
    Form,
    FormError,
    OpenedFile,
    ReferringRow,
    RowError,
    open_rows,
    rows_of,
)
from mmreason.training.data.dialects.own_problems import answer_text, messages_of
from mmreason.training.data.dialects.rows import Dialect
from mmreason.training.data.sample import (
    MediaKind,
    MediaRef,
    RowFault,
    Sample,
    SourceLine,
    resolve_path,
)
from mmreason.training.rewards import Frame, Mark, Truth
from mmreason.types import UsageError

CAPTION_QUESTION = "Describe the image."
VIDEO_ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
"""Tried, in this order, where a data set names its videos without one."""
_DIALECTS = {
    Form.COCO: Dialect.COCO,
    Form.VIDSTG: Dialect.VIDSTG,
    Form.CHARADES_STA: Dialect.CHARADES_STA,
}

MakeRows = Callable[[Path], Iterator[Sample | RowFault]]
"""The rows of a file, whose relative paths start from the folder that is given."""


def open_referring(path: Path, document: Any) -> tuple[Dialect, str, MakeRows] | None:
    """(dialect, by what it was told, rows) of a data set of these three; None for any other file.
    Raises UsageError where it is one of them and lacks a file beside it."""
    if _has_captions(document):
        return Dialect.COCO, "annotations with 'caption'", _caption_maker(path, document)
    try:
        opened = open_rows(path)
    except FormError:
        return None
    dialect = _DIALECTS.get(opened.detected.form)
    if dialect is None:
        return None
    return dialect, opened.detected.reason, _referring_maker(opened)


def _referring_maker(opened: OpenedFile) -> MakeRows:
    def make_rows(root: Path) -> Iterator[Sample | RowFault]:
        try:
            for reading in rows_of(opened):
                if isinstance(reading, RowError):
                    yield RowFault(SourceLine(reading.source, reading.row), reading.reason)
                else:
                    yield to_sample(reading, root)
        except FormError as error:
            raise UsageError(str(error)) from error

    return make_rows


def to_sample(row: ReferringRow, root: Path) -> Sample | RowFault:
    """An expression as a question with its truth; a fault where the row has boxes, and no size of
    the frame that they are in."""
    source = SourceLine(row.source, row.row)
    if row.size_px is None and (row.boxes_px or row.tubes):
        return RowFault(source, "has boxes, and the file does not say how large the frame is")
    if row.image:
        medium = MediaRef(kind=MediaKind.IMAGE, paths=(resolve_path(row.image, root),))
    else:
        medium = MediaRef(kind=MediaKind.VIDEO, paths=(find_video(row.video, root),))
    question = question_of(row)
    truth = _truth_of(row, question)
    return Sample(
        id=f"{PurePath(row.source).name}#{row.row_id}",
        messages=messages_of(question, answer_text(truth), (medium,)),
        truth=truth,
        channel=row.category,
        source=source,
    )


def question_of(row: ReferringRow) -> str:
    """The expression as a question in plain words.

    Example:
        >>> row = ReferringRow(source="a", row=1, row_id="1", form=Form.COCO, image="a.jpg",
        ...     expression="the dog that lies")
        >>> question_of(row)
        'Where in the image is this: the dog that lies'
    """
    if row.image:
        return f"Where in the image is this: {row.expression}"
    if row.tubes:
        return f"When and where in the video is this: {row.expression}"
    return f"When in the video does this happen: {row.expression}"


def find_video(name: str, root: Path) -> str:
    """The path of a video that may be named without its ending."""
    path = resolve_path(name, root)
    if PurePath(path).suffix.lower() in VIDEO_ENDINGS:
        return path
    existing = (path + ending for ending in VIDEO_ENDINGS if Path(path + ending).is_file())
    return next(existing, path + VIDEO_ENDINGS[0])


def _truth_of(row: ReferringRow, question: str) -> Truth:
    if not row.truth_known:
        return Truth(question=question)
    spans = None if row.span is None else (row.span,)
    duration_s = row.tags.get("duration_s")
    truth: dict[str, Any] = {"question": question, "spans": spans}
    if isinstance(duration_s, int | float) and duration_s > 0:
        truth["duration_s"] = float(duration_s)
    if row.size_px is None:
        return Truth(**truth)
    truth["frame"] = Frame(size_px=row.size_px)
    if row.image:
        return Truth(**truth, boxes=row.boxes_px)
    times_s = {
        tube.id or str(index): tuple(float(t) for t in tube.times_s)
        for index, tube in enumerate(row.tubes)
    }
    marks = tuple(
        Mark(float(time_s), box)
        for tube in row.tubes
        for time_s in tube.times_s
        if (box := tube.at(float(time_s))) is not None
    )
    if len(row.tubes) == 1:
        return Truth(**truth, tube=marks, tube_times_s=next(iter(times_s.values())))
    return Truth(**truth, marks=marks or None)


def _has_captions(document: Any) -> bool:
    """Whether a document is COCO's captions: sentences where instances have boxes."""
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        return False
    annotations = document.get("annotations")
    objects = (
        [a for a in annotations if isinstance(a, dict)] if isinstance(annotations, list) else []
    )
    return any("caption" in a and "bbox" not in a for a in objects[:100])


def _caption_maker(path: Path, document: dict[str, Any]) -> MakeRows:
    names = {
        str(image.get("id")): image.get("file_name")
        for image in document["images"]
        if isinstance(image, dict)
    }

    def make_rows(root: Path) -> Iterator[Sample | RowFault]:
        for number, annotation in enumerate(document["annotations"], start=1):
            yield _caption_sample(annotation, SourceLine(str(path), number), names, root)

    return make_rows


def _caption_sample(
    annotation: Any, source: SourceLine, names: dict[str, Any], root: Path
) -> Sample | RowFault:
    fields = annotation if isinstance(annotation, dict) else {}
    caption, name = fields.get("caption"), names.get(str(fields.get("image_id")))
    if not isinstance(caption, str) or not caption.strip():
        return RowFault(source, "has no 'caption'")
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        return RowFault(source, f"'image_id' names no image: {str(fields.get('image_id'))[:40]}")
    caption = caption.strip()
    medium = MediaRef(kind=MediaKind.IMAGE, paths=(resolve_path(name, root),))
    return Sample(
        id=f"{PurePath(source.file).name}#{fields.get('id', source.row)}",
        messages=messages_of(CAPTION_QUESTION, caption, (medium,)),
        truth=Truth(question=CAPTION_QUESTION, answer=caption),
        source=source,
    )

"""Which form a file is in, told by its content, and its rows.

for reading in read_rows(Path("refs(unc).p")):
    ...
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason.grounding.formats.coco import parse_coco
from mmreason.grounding.formats.hcstvg import read_hcstvg
from mmreason.grounding.formats.moments import SEPARATOR, read_charades_sta, read_timelens
from mmreason.grounding.formats.ms_swift import read_ms_swift
from mmreason.grounding.formats.odvg import read_odvg
from mmreason.grounding.formats.own_rows import read_own_rows
from mmreason.grounding.formats.ref_adv import read_ref_adv, read_ref_adv_parquet
from mmreason.grounding.formats.refcoco import PICKLE_SUFFIXES, load_references, parse_references
from mmreason.grounding.formats.rows import ROW_FORMAT, Form, FormError, Reading, describe
from mmreason.grounding.formats.sources import (
    check_file,
    is_lines,
    number_rows,
    parquet_columns,
    read_document,
    read_lines,
    source_name,
)
from mmreason.grounding.formats.video_masks import read_mevis, read_ref_youtube_vos
from mmreason.grounding.formats.vidstg import parse_vidstg
from mmreason.video.plain_text import show_line

_MOST_LOOKED_AT = 100
"""Rows until one says what form the file is in."""


@dataclass(frozen=True, slots=True)
class DetectedForm:
    """In which form a file is, and by what it was told.

    Example:
        >>> str(DetectedForm(Form.COCO, "an object with 'images' and 'annotations'"))
        "coco (an object with 'images' and 'annotations')"
    """

    form: Form
    reason: str

    def __str__(self) -> str:
        return f"{self.form} ({self.reason})"


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file of referring data, its form known and nothing of it refused yet."""

    path: Path
    detected: DetectedForm
    document: Any = None
    """Of JSON and pickles, which are read as a whole; None of lines and Parquet."""


def detect_form(path: Path) -> DetectedForm:
    """The form of a file by its content. Raises FormError where it is none that is known.

    Example:
        >>> detect_form(Path("instances.json")).form  # doctest: +SKIP
        <Form.COCO: 'coco'>
    """
    return open_rows(path).detected


def open_rows(path: Path, form: Form | None = None) -> OpenedFile:
    """A file whose form is known, by its content where `form` is None. Raises FormError."""
    check_file(path)
    suffix = path.suffix.lower()
    document = None
    if suffix == ".parquet":
        detected = _of_fields(path, dict.fromkeys(parquet_columns(path), 0), "columns")
    elif suffix in PICKLE_SUFFIXES:
        document = load_references(path)
        detected = _of_references(path, document)
    elif suffix == ".txt":
        detected = _of_text(path)
    elif is_lines(path):
        detected = _of_rows(path, (row for _, row in read_lines(path)), "lines")
    else:
        document = read_document(path)
        detected = _of_document(path, document)
    if form is not None and form is not detected.form:
        # A reader of another form would refuse every row, each with a reason that misleads.
        raise FormError(f"{show_line(str(path))}: is {detected}, not {form}")
    return OpenedFile(path, detected, document)


def _of_rows(path: Path, rows: Iterable[Any], what: str) -> DetectedForm:
    """By the first row that says it: one that lacks fields is not the whole file's fault."""
    refused: FormError | None = None
    for row in itertools.islice(rows, _MOST_LOOKED_AT):
        if isinstance(row, dict):
            try:
                return _of_fields(path, row, what)
            except FormError as error:
                refused = refused or error
    if refused is not None:
        raise refused
    raise FormError(f"{show_line(str(path))}: holds no row that is an object of fields")


def _of_fields(path: Path, fields: dict[str, Any], what: str) -> DetectedForm:
    if fields.get("format") == ROW_FORMAT:
        return DetectedForm(Form.ROWS, f"{what} that say {ROW_FORMAT}")
    if "pred_box_xyxy_first" in fields:
        raise FormError(
            f"{show_line(str(path))}: holds predictions of Ref-Adv, no data set; score them with "
            "score_ref_adv"
        )
    for form, names in (
        (Form.REF_ADV, ("normal_caption", "solution")),
        (Form.ODVG, ("filename", "grounding")),
        (Form.ODVG, ("filename", "detection")),
        (Form.MS_SWIFT, ("objects",)),
    ):
        if all(name in fields for name in names):
            return DetectedForm(form, f"{what} with {' and '.join(map(repr, names))}")
    names = ", ".join(repr(str(name)[:40]) for name in list(fields)[:8])
    raise FormError(
        f"{show_line(str(path))}: is in no form that is known; its {what} have {names or 'nothing'}"
    )


def _of_references(path: Path, document: list[Any]) -> DetectedForm:
    objects = [row for row in document if isinstance(row, dict)]
    first = objects[0] if objects else {}
    if not any("ann_id" in row and "sentences" in row for row in objects):
        names = ", ".join(repr(str(name)[:40]) for name in list(first)[:8])
        raise FormError(
            f"{show_line(str(path))}: references need 'ann_id' and 'sentences', found "
            f"{names or 'no fields'}"
        )
    if any(isinstance(row, dict) and isinstance(row.get("ann_id"), list) for row in document):
        return DetectedForm(Form.GREFCOCO, "references with lists in 'ann_id'")
    return DetectedForm(Form.REFCOCO, "references with 'ann_id' and 'sentences'")


def _of_text(path: Path) -> DetectedForm:
    with path.open("rb") as file:
        start = file.read(65_536)
    if SEPARATOR.encode() in start:
        return DetectedForm(Form.CHARADES_STA, f"lines with {SEPARATOR}")
    raise FormError(
        f"{show_line(str(path))}: is in no form that is known; lines of Charades-STA have "
        f"{SEPARATOR} before the sentence"
    )


def _of_document(path: Path, document: Any) -> DetectedForm:
    if isinstance(document, list):
        samples = [row for row in document[:_MOST_LOOKED_AT] if isinstance(row, dict)]
        if any("sentences" in row for row in samples):
            return _of_references(path, document)
        if any("temporal_gt" in row for row in samples):
            return DetectedForm(Form.VIDSTG, "a list with 'temporal_gt'")
        return _of_rows(path, document, "entries")
    if not isinstance(document, dict):
        description = describe(document)
        raise FormError(f"{show_line(str(path))}: is in no form that is known; it is {description}")
    if "images" in document and "annotations" in document:
        return DetectedForm(Form.COCO, "an object with 'images' and 'annotations'")
    if isinstance(document.get("videos"), dict):
        return _of_videos(document["videos"])
    values = itertools.islice(document.values(), _MOST_LOOKED_AT)
    samples = [value for value in values if isinstance(value, dict)]
    if any("st_frame" in value and "bbox" in value for value in samples):
        return DetectedForm(Form.HCSTVG, "clips with 'st_frame' and 'bbox'")
    if any("queries" in value and "spans" in value for value in samples):
        return DetectedForm(Form.TIMELENS, "videos with 'spans' and 'queries'")
    return _of_fields(path, document, "object")


def _of_videos(videos: dict[str, Any]) -> DetectedForm:
    """MeViS names annotations where Ref-YouTube-VOS names one object; without either, a test split,
    the two read alike."""
    expressions = [
        fields
        for values in videos.values()
        if isinstance(values, dict) and isinstance(values.get("expressions"), dict)
        for fields in values["expressions"].values()
        if isinstance(fields, dict)
    ]
    if any("anno_id" in fields for fields in expressions):
        return DetectedForm(Form.MEVIS, "expressions with 'anno_id'")
    reason = (
        "expressions with 'obj_id'"
        if any("obj_id" in f for f in expressions)
        else ("expressions without objects")
    )
    return DetectedForm(Form.REF_YOUTUBE_VOS, reason)


def read_rows(
    path: Path,
    form: Form | None = None,
    *,
    boxes: Path | None = None,
    fps_hz: float | None = None,
) -> Iterator[Reading]:
    """The rows of a file, and a `RowError` for each that is none. `boxes` is the file or folder of
    boxes or masks where the form keeps them beside the expressions; `fps_hz` the rate at which
    frames are numbered, where the form does not say. Raises FormError where the file is none.

    Example:
        >>> [str(row) for row in read_rows(Path("val.jsonl"))]  # doctest: +SKIP
        ["val.jsonl, row 3: 'solution' is missing; the row has 'file_name', 'normal_caption'"]
    """
    return rows_of(open_rows(path, form), boxes=boxes, fps_hz=fps_hz)


def rows_of(
    opened: OpenedFile, *, boxes: Path | None = None, fps_hz: float | None = None
) -> Iterator[Reading]:
    """The same of a file that was opened."""
    path, source, document = opened.path, source_name(opened.path), opened.document
    match opened.detected.form:
        case Form.REF_ADV if path.suffix.lower() == ".parquet":
            return read_ref_adv_parquet(path)
        case Form.REFCOCO | Form.GREFCOCO:
            return parse_references(document, path, boxes)
        case Form.COCO:
            return parse_coco(document, source)
        case Form.VIDSTG:
            return parse_vidstg(document, path, boxes)
        case Form.HCSTVG:
            return read_hcstvg(document, source)
        case Form.MEVIS:
            return read_mevis(document, path, fps_hz, boxes)
        case Form.REF_YOUTUBE_VOS:
            return read_ref_youtube_vos(document, path, fps_hz, boxes)
        case Form.CHARADES_STA:
            return read_charades_sta(path)
        case Form.TIMELENS:
            return read_timelens(document, source)
    if path.suffix.lower() == ".parquet":
        raise FormError(f"{show_line(str(path))}: {opened.detected.form} is not read as Parquet")
    rows = (
        read_lines(path)
        if document is None
        else number_rows(document if isinstance(document, list) else [document])
    )
    match opened.detected.form:
        case Form.REF_ADV:
            return read_ref_adv(rows, source)
        case Form.ODVG:
            return read_odvg(rows, source)
        case Form.MS_SWIFT:
            return read_ms_swift(rows, source, path.parent)
    return read_own_rows(rows, source)

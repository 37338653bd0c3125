"""Rows written in another form: what it cannot hold is told row by row, the rest is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mmreason.grounding.formats.coco import to_coco
from mmreason.grounding.formats.cues import write_webvtt
from mmreason.grounding.formats.labelling import to_fiftyone, to_label_studio
from mmreason.grounding.formats.odvg import write_odvg
from mmreason.grounding.formats.own_rows import write_rows
from mmreason.grounding.formats.rows import FormError, ReferringRow, RowError
from mmreason.grounding.formats.tracks import write_mot
from mmreason.grounding.formats.vidstg import BOXES_SUFFIX, to_vidstg
from mmreason.video.files import write_atomic


class WrittenForm(StrEnum):
    """What rows can be written as."""

    ROWS = "rows"
    COCO = "coco"
    ODVG = "odvg"
    VIDSTG = "vidstg"
    MOT = "mot"
    LABEL_STUDIO = "label-studio"
    FIFTYONE = "fiftyone"
    WEBVTT = "webvtt"


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written, and the rows that the form cannot hold."""

    paths: tuple[Path, ...]
    rows: int
    """Written."""
    skipped: tuple[RowError, ...]


def convert_rows(
    rows: Sequence[ReferringRow], form: WrittenForm, path: Path, *, fps_hz: float | None = None
) -> Converted:
    """Write rows as `form` to `path`; VidSTG's boxes go beside it, to `NAME.vidor.json`. `fps_hz`
    is the rate of frames, by default each row's own. Raises FormError where no row can be held.

    Example:
        >>> convert_rows(rows, WrittenForm.COCO, Path("val.json")).rows  # doctest: +SKIP
        1142
    """
    render = _renderer(form, path, fps_hz)
    good: list[ReferringRow] = []
    skipped: list[RowError] = []
    for row in rows:
        # A row that cannot be written alone is the row's own fault.
        try:
            render([row])
            good.append(row)
        except FormError as error:
            reason = str(error).removeprefix(f"{row.source}, row {row.row}: ")
            skipped.append(RowError(row.source, row.row, reason))
    if not good:
        first = f": {skipped[0].reason}" if skipped else ""
        raise FormError(f"{path}: none of {len(rows)} rows can be written as {form}{first}")
    files = render(good)
    for file, text in files.items():
        write_atomic(file, text.encode("utf-8", "replace"))
    return Converted(tuple(files), len(good), tuple(skipped))


def _renderer(
    form: WrittenForm, path: Path, fps_hz: float | None
) -> Callable[[Sequence[ReferringRow]], dict[Path, str]]:
    """Texts of files from rows."""

    def render(rows: Sequence[ReferringRow]) -> dict[Path, str]:
        match form:
            case WrittenForm.ROWS:
                return {path: write_rows(rows)}
            case WrittenForm.COCO:
                return {path: _to_json(to_coco(rows))}
            case WrittenForm.ODVG:
                return {path: write_odvg(rows)}
            case WrittenForm.VIDSTG:
                entries, boxes = to_vidstg(rows, fps_hz)
                return {
                    path: _to_json(entries),
                    path.with_suffix(BOXES_SUFFIX): _to_json(boxes),
                }
            case WrittenForm.MOT:
                return {path: _to_mot(rows, fps_hz)}
            case WrittenForm.LABEL_STUDIO:
                return {path: _to_json(to_label_studio(rows, fps_hz))}
            case WrittenForm.FIFTYONE:
                return {path: _to_json(to_fiftyone(rows))}
            case WrittenForm.WEBVTT:
                return {path: write_webvtt(rows)}

    return render


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _to_mot(rows: Sequence[ReferringRow], fps_hz: float | None) -> str:
    """Tubes of the rows of one video."""
    videos = {row.media_id for row in rows}
    if len(videos) > 1:
        raise FormError(f"a file of MOT is about one video, the rows are about {len(videos)}")
    for row in rows:
        rate_hz = fps_hz or row.tags.get("fps_hz")
        if not row.tubes or not isinstance(rate_hz, int | float):
            what = "has no tube" if not row.tubes else "says no frame rate; give one"
            raise FormError(f"{row.source}, row {row.row}: {what}")
    rates_hz = {fps_hz or row.tags["fps_hz"] for row in rows}
    if len(rates_hz) > 1:
        raise FormError(f"rows of one video count frames at {len(rates_hz)} rates; give one")
    return write_mot([tube for row in rows for tube in row.tubes], rates_hz.pop())

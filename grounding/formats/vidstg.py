"""VidSTG: sentences about tubes, whose boxes are in VidOR's files beside it.

Frames count from 0; `end_fid` is not included. The clock is the frame's number over `fps`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmreason.grounding.boxes import Box
from mmreason.grounding.formats.rows import (
    BadRow,
    Form,
    FormError,
    Reading,
    ReferringRow,
    RowError,
    check_object,
    describe,
    get_count,
    get_expression,
    get_list,
    get_number,
    get_object,
    get_optional_text,
    get_size,
    get_text,
    read_box,
    read_guarded,
)
from mmreason.grounding.formats.sources import number_rows, read_document, source_name
from mmreason.grounding.formats.tubes_of_frames import build_tube, frames_of
from mmreason.grounding.tubes import Tube
from mmreason.video.types import Span

_KINDS = (("captions", "caption"), ("questions", "question"))
_OBJECTS = "subject/objects"
BOXES_SUFFIX = ".vidor.json"
"""Ends the name of the file of boxes that is written beside the sentences."""


@dataclass(slots=True)
class _Boxes:
    """VidOR's annotations: one file of all, by video, or a folder of a file each."""

    path: Path
    by_video: Mapping[str, Any] | None = None
    files: dict[str, Path] = field(default_factory=dict)
    last: tuple[str, dict[str, Any]] | None = None

    @classmethod
    def open(cls, path: Path) -> _Boxes:
        if path.is_dir():
            return cls(path, files={file.stem: file for file in path.rglob("*.json")})
        document = read_document(path)
        if not isinstance(document, dict):
            raise FormError(f"{path}: expected boxes by video, found {describe(document)}")
        # One video's own file serves too.
        is_single = "trajectories" in document
        return cls(path, {str(document.get("video_id")): document} if is_single else document)

    def of(self, video: str) -> dict[str, Any]:
        if self.by_video is not None:
            if video not in self.by_video:
                raise BadRow(f"{self.path.name} has no boxes of the video {video!r}")
            return check_object(self.by_video[video], f"boxes of {video!r}")
        if video not in self.files:
            raise BadRow(f"{self.path.name} has no file of the video {video!r}")
        # Rows of one video follow each other, and its file is large.
        if self.last is None or self.last[0] != video:
            try:
                document = read_document(self.files[video])
            except FormError as error:
                raise BadRow(str(error)) from error
            self.last = (video, check_object(document, f"boxes of {video!r}"))
        return self.last[1]


def parse_vidstg(document: list[Any], path: Path, boxes: Path | None = None) -> Iterator[Reading]:
    """One row a caption and a question of the list in `path`. `boxes` is a folder of VidOR's files
    or one file of all videos, by default `NAME.vidor.json` beside `path`."""
    boxes_path = path.with_suffix(BOXES_SUFFIX) if boxes is None else boxes
    if not boxes_path.exists():
        raise FormError(
            f"{path}: boxes of VidSTG are in VidOR's annotations; give their folder or file "
            f"(there is no {boxes_path.name})"
        )
    opened, source = _Boxes.open(boxes_path), source_name(path)
    for number, values in number_rows(document):
        if isinstance(values, str):
            yield RowError(source, number, values)
            continue
        yield from _read_entry(values, number, source, opened)


def _read_entry(
    values: dict[str, Any], number: int, source: str, boxes: _Boxes
) -> Iterator[Reading]:
    tubes: dict[str, tuple[Tube, tuple[str, ...]]] = {}
    sentences = 0
    for name, kind in _KINDS:
        entries = values.get(name) or []
        if not isinstance(entries, list):
            yield RowError(source, number, f"{name!r} must be a list, found {describe(entries)}")
            continue
        for sentence in entries:
            sentence_index, sentences = sentences, sentences + 1
            yield from read_guarded(
                source,
                number,
                _read_sentence,
                values,
                sentence,
                kind,
                f"{number}:{sentence_index}",
                number,
                source,
                boxes,
                tubes,
            )
    if not sentences:
        yield RowError(source, number, "has neither 'captions' nor 'questions'")


def _read_sentence(
    values: dict[str, Any],
    sentence: Any,
    kind: str,
    row_id: str,
    number: int,
    source: str,
    boxes: _Boxes,
    tubes: dict[str, tuple[Tube, tuple[str, ...]]],
) -> list[ReferringRow]:
    fields = check_object(sentence, f"a {kind}")
    video, fps_hz = get_text(values, "vid"), get_number(values, "fps")
    if fps_hz <= 0:
        raise BadRow(f"'fps' must be above 0, found {fps_hz:g}")
    target = get_text(fields, "target_id")
    entry = boxes.of(video)
    size_px = get_size(values)
    begin, end = _get_range(values, "temporal_gt")
    if target not in tubes:
        tubes[target] = _read_tube(values, entry, target, (begin, end), fps_hz, size_px)
    tube, notes = tubes[target]
    used = values.get("used_segment")
    row = ReferringRow(
        source=source,
        row=number,
        row_id=get_optional_text(fields, "row_id") or row_id,
        form=Form.VIDSTG,
        expression=get_expression(fields, "description"),
        video=get_optional_text(entry, "video_path") or video,
        group_id=video,
        size_px=size_px,
        tubes=(tube,),
        span=Span(begin / fps_hz, end / fps_hz),
        category=tube.label,
        split=get_optional_text(values, "split"),
        tags={
            "kind": kind,
            "type": get_optional_text(fields, "type"),
            "fps_hz": fps_hz,
            "frame_count": get_count(values, "frame_count", 1),
            "used_frames": None if used is None else list(_get_range(values, "used_segment")),
        },
        notes=notes,
    )
    return [row]


def _get_range(values: dict[str, Any], name: str) -> tuple[int, int]:
    """Frames, the end not included."""
    fields = get_object(values, name)
    begin, end = get_count(fields, "begin_fid"), get_count(fields, "end_fid")
    if end <= begin:
        raise BadRow(f"{name!r} ends before it begins: {begin} to {end}")
    return begin, end


def _read_tube(
    values: dict[str, Any],
    entry: dict[str, Any],
    target: str,
    frames: tuple[int, int],
    fps_hz: float,
    size_px: tuple[int, int],
) -> tuple[Tube, tuple[str, ...]]:
    """The target's tube over `frames`, and a note where boxes were clipped to the picture."""
    trajectories = get_list(entry, "trajectories")
    begin, end = frames
    if end > len(trajectories):
        raise BadRow(
            f"'temporal_gt' ends at frame {end}, the boxes of the video have {len(trajectories)}"
        )
    # Frames of one video in two clocks would pair boxes with other moments.
    rate = entry.get("fps")
    if rate is not None and get_number(entry, "fps") != fps_hz:
        raise BadRow(f"'fps' is {fps_hz:g} here and {rate} in the file of boxes")
    names = {
        str(item.get("tid")): str(item.get("category", ""))
        for item in values.get(_OBJECTS) or entry.get(_OBJECTS) or []
        if isinstance(item, dict)
    }
    if target not in names:
        raise BadRow(f"'target_id' {target} is none of the objects {', '.join(list(names)[:8])}")
    boxes = {}
    clipped, generated = 0, set()
    for frame in range(begin, end):
        for item in trajectories[frame] if isinstance(trajectories[frame], list) else []:
            if isinstance(item, dict) and str(item.get("tid")) == target:
                corners = get_object(item, "bbox")
                numbers = [corners.get(key) for key in ("xmin", "ymin", "xmax", "ymax")]
                boxes[frame], note = read_box(numbers, size_px, name=f"the box of frame {frame}")
                clipped += bool(note)
                # Between frames that people drew in, VidOR's boxes are a tracker's or a line's.
                generated |= {frame} if item.get("generated") else set()
    tube = build_tube(
        boxes, range(begin, end), fps_hz, id=target, label=names[target], filled_in=generated
    )
    return tube, (f"{clipped} boxes were clipped to the picture",) if clipped else ()


def to_vidstg(
    rows: Sequence[ReferringRow], fps_hz: float | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """VidSTG's list and the boxes by video, in VidOR's form, of rows with one tube each. The rate
    is the row's own (`tags["fps_hz"]`) where `fps_hz` is None. Raises FormError for a row that the
    form cannot hold."""
    entries: list[dict[str, Any]] = []
    videos: dict[str, dict[str, Any]] = {}
    for row in rows:
        tube, rate_hz = row.tube, fps_hz or row.tags.get("fps_hz")
        text = f"{row.source}, row {row.row}"
        if tube is None or row.size_px is None or row.span is None:
            what = "one tube" if tube is None else "a size" if row.size_px is None else "a span"
            raise FormError(f"{text}: has not {what}, which VidSTG needs")
        if not isinstance(rate_hz, int | float) or rate_hz <= 0:
            raise FormError(f"{text}: says no frame rate; give one")
        begin, end = (round(time_s * rate_hz) for time_s in (row.span.start_s, row.span.end_s))
        frame_numbers = frames_of(tube, rate_hz)
        count = max([row.tags.get("frame_count") or 0, end, *(n + 1 for n in frame_numbers)])
        entry = videos.setdefault(row.media_id, _new_video(row, rate_hz))
        target = len(entry[_OBJECTS])
        entry[_OBJECTS].append({"tid": target, "category": tube.label or row.category or "object"})
        _add_trajectory(entry, tube, frame_numbers, target, count)
        used = row.tags.get("used_frames") or [0, count]
        sentence = {"description": row.expression, "type": row.tags.get("type", "")}
        sentence |= {"target_id": target, "row_id": row.row_id}
        kind = row.tags.get("kind", "caption")
        item: dict[str, Any] = {"vid": row.media_id, "frame_count": count, "fps": rate_hz}
        item |= {"width": row.size_px[0], "height": row.size_px[1], "split": row.split}
        item |= {"used_segment": {"begin_fid": used[0], "end_fid": used[1]}}
        item |= {"temporal_gt": {"begin_fid": begin, "end_fid": end}}
        item |= {name: [sentence] if kind == each else [] for name, each in _KINDS}
        entries.append(item)
    for item in entries:
        # Objects of the video, known only now that all of its rows are there.
        item[_OBJECTS] = videos[item["vid"]][_OBJECTS]
    return entries, videos


def _new_video(row: ReferringRow, rate_hz: float) -> dict[str, Any]:
    assert row.size_px is not None
    entry: dict[str, Any] = {"video_id": row.media_id, "video_path": row.video, "fps": rate_hz}
    entry |= {"width": row.size_px[0], "height": row.size_px[1], "frame_count": 0}
    return entry | {_OBJECTS: [], "trajectories": []}


def _add_trajectory(
    entry: dict[str, Any], tube: Tube, frames: Sequence[int], target: int, count: int
) -> None:
    trajectories = entry["trajectories"]
    trajectories += [[] for _ in range(count - len(trajectories))]
    entry["frame_count"] = len(trajectories)
    rows = zip(frames, tube.present, tube.observed, tube.boxes_px, strict=True)
    for frame, is_present, is_observed, row in rows:
        if is_present:
            box = Box(*(float(value) for value in row))
            corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), box.xyxy, strict=True))
            trajectories[frame].append(
                {
                    "tid": target,
                    "bbox": corners,
                    "generated": int(not is_observed),
                    "tracker": "none",
                }
            )

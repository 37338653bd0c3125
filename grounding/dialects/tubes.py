"""From a model's text to tubes: boxes with times, of one object or of several.

Read are `{"time": [s, e], "boxes": {"9": [x1, y1, x2, y2], ...}}` of OneThinker, Qwen's
`[{"time": 9.0, "bbox_2d": [...], "label": ""}, ...]`, and both inside objects with an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.dialects.answer_text import answer_body, find_values, says_none
from mmreason.grounding.dialects.boxes import check_scale, note_unknown_size, place_box
from mmreason.grounding.dialects.choose import Answer
from mmreason.grounding.dialects.dialect import NOTATIONS, Dialect, from_numbers
from mmreason.grounding.dialects.rows import Row, RowShape, read_rows
from mmreason.grounding.dialects.status import finish_grounding
from mmreason.grounding.dialects.times import read_span, to_seconds
from mmreason.grounding.results import Grounding, Issue, IssueKind, Target
from mmreason.grounding.spaces import Size, Transform, seen_transform
from mmreason.grounding.tubes import Tube
from mmreason.video.types import Span

SIGHTING_LIMIT = 10_000
"""Boxes of all tubes of one reply."""

_TIME_KEYS = ("time", "timestamp", "time_s", "second", "seconds", "sec", "t")
_FRAME_KEYS = ("frame", "frame_index", "frame_id", "frame_idx")
_ID_KEYS = ("id", "object_id", "track_id", "tid")
_BOX_KEYS = ("bbox_2d", "bbox", "box_2d", "box")


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A box at a time, or an explicit absence."""

    time_s: float
    row: Row | None


@dataclass(slots=True)
class _Track:
    """What is said of one object."""

    label: str
    sightings: list[_Sighting] = field(default_factory=list)
    span: Span | None = None


@dataclass(slots=True)
class _TubeReading:
    """Tracks by id and label, with complaints."""

    shape: RowShape
    times_s: Sequence[float] | None
    first_frame: int
    tracks: dict[tuple[str, str], _Track] = field(default_factory=dict)
    issues: dict[Issue, None] = field(default_factory=dict)
    says_none: bool = False
    sighting_count: int = 0

    def note(self, kind: IssueKind, text: str) -> None:
        self.issues[Issue(kind, text)] = None

    def track(self, key: tuple[str, str]) -> _Track:
        return self.tracks.setdefault(key, _Track(key[1]))


def parse_tubes(
    text: str,
    dialect: Dialect,
    size_px: Size,
    *,
    seen_size_px: Size | None = None,
    transform: Transform | None = None,
    times_s: Sequence[float] | None = None,
    first_frame: int = 0,
    strict: bool = False,
) -> Grounding:
    """Read the tubes in `text`, one target an object; see `parse_boxes` for the sizes, the statuses
    and `strict`. Never raises for any text.

    Args:
        times_s: The times that the model was asked about, rising. A box counts for the nearest of
            them, and the object is absent, looked for, at those that have none. Without them a
            tube has the times that the model names.
        first_frame: The number of the first of `times_s`, for models that answer with numbers of
            frames (0 or 1); without `times_s` such numbers are refused, since they are no seconds.

    Example:
        >>> text = '{"time": [9, 10], "boxes": {"9": [0, 0, 500, 500], "10": [0, 0, 500, 600]}}'
        >>> (target,) = parse_tubes(text, Dialect.NORM_1000, (640, 360)).targets
        >>> target.span, target.tube.at(10.0)
        (Span(start_s=9.0, end_s=10.0), Box(x1_px=0.0, y1_px=0.0, x2_px=320.0, y2_px=216.0))
    """
    to_seen = seen_transform(size_px, seen_size_px, transform)
    shape = RowShape(count=4, y_first=NOTATIONS[dialect].y_first)
    issues: list[Issue] = []
    body = answer_body(text, issues)
    answer, reading = _read(body, issues, _TubeReading(shape, times_s, first_frame))
    issues += reading.issues
    answer.has_complaints = any(issue.kind == "dropped_box" for issue in reading.issues)
    rows = [s.row for track in reading.tracks.values() for s in track.sightings if s.row]
    answer.rows = rows
    note_unknown_size(rows, dialect, seen_size_px, transform, issues)
    check_scale(rows, dialect, to_seen.to_size, issues, switch=False)
    targets: list[Target] = []
    for (track_id, label), track in reading.tracks.items():
        tube = _tube(track, track_id, dialect, to_seen, times_s, issues)
        if tube is None:
            continue
        targets.append(Target(tube=tube, label=label, span=track.span))
        _check_span(track, tube, issues)
    return finish_grounding(
        tuple(targets), answer, issues, text=text, size_px=size_px, transform=to_seen, strict=strict
    )


def _read(body: str, issues: list[Issue], empty: _TubeReading) -> tuple[Answer, _TubeReading]:
    """The last JSON that holds a box with a time or says that there is none."""
    answer = Answer()
    values = find_values(body, issues)
    fences = [value.fence for value in values if value.fence is not None]
    # JSON in the last fence comes before JSON in prose around it.
    in_order = sorted(values, key=lambda value: (value.fence == fences[-1:], value.start))
    complaints = empty
    for value in reversed(in_order):
        reading = _TubeReading(empty.shape, empty.times_s, empty.first_frame)
        _walk(value.value, ("", ""), reading, depth=0)
        if any(track.sightings for track in reading.tracks.values()) or reading.says_none:
            issues += value.issues
            answer.rule, answer.says_none = value.rule, reading.says_none
            return answer, reading
        if reading.issues and not complaints.issues:
            complaints = reading
            answer.rule = value.rule
    if not complaints.issues and says_none(body):
        answer.says_none, answer.rule = True, "refusal"
    return answer, complaints


def _walk(value: Any, key: tuple[str, str], reading: _TubeReading, *, depth: int) -> None:
    if depth > 6:
        return
    if isinstance(value, list):
        reading.says_none = reading.says_none or not value
        for item in value:
            if isinstance(item, dict | list):
                _walk(item, key, reading, depth=depth + 1)
        return
    if not isinstance(value, dict):
        return
    label = value.get("label", value.get("name"))
    identity = next((value[name] for name in _ID_KEYS if value.get(name) is not None), None)
    key = (
        key[0] if identity is None else _as_id(identity),
        key[1] if not isinstance(label, str) else label,
    )
    boxes = value.get("boxes", value.get("bboxes"))
    box_key = next((name for name in _BOX_KEYS if name in value), None)
    if isinstance(boxes, dict) or ("boxes" in value and boxes is None):
        _add_timed_boxes(value.get("time", value.get("span")), boxes or {}, key, reading)
    elif box_key is not None:
        time_s = _time_of(value, reading)
        if time_s is not None:
            _add_sighting(time_s, value[box_key], key, reading)
    elif value and all(to_seconds(name) is not None for name in value):
        _add_timed_boxes(None, value, key, reading)
    else:
        for item in value.values():
            if isinstance(item, dict | list) and item:
                _walk(item, key, reading, depth=depth + 1)


def _as_id(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)[:60]


def _time_of(value: dict[str, Any], reading: _TubeReading) -> float | None:
    """When a row is, in seconds; None with its complaint."""
    name = next((name for name in _TIME_KEYS if name in value), None)
    if name is not None:
        time_s = to_seconds(value[name])
        if time_s is None:
            reading.note(
                "dropped_box", f"a box with a time that is none: {str(value[name])[:40]!r}"
            )
        return time_s
    name = next((name for name in _FRAME_KEYS if name in value), None)
    number = None if name is None else to_seconds(value[name])
    if number is None:
        reading.note("dropped_box", "a box without a time was dropped")
        return None
    index = number - reading.first_frame
    if reading.times_s is None or index != int(index) or not 0 <= index < len(reading.times_s):
        what = "is not known" if reading.times_s is None else "was not shown"
        reading.note("dropped_box", f"a box in frame {number:g}, whose time {what}, was dropped")
        return None
    return float(reading.times_s[int(index)])


def _add_timed_boxes(
    span: Any, boxes: dict[str, Any], key: tuple[str, str], reading: _TubeReading
) -> None:
    """Boxes by their times, with the span that the model states for all."""
    track = reading.track(key)
    if isinstance(span, list) and len(span) == 2:
        problems: list[Issue] = []
        track.span = read_span(span[0], span[1], problems)
        reading.issues |= dict.fromkeys(problems)
    elif span is None and not boxes:
        reading.says_none = True
    for name, box in boxes.items():
        time_s = to_seconds(name)
        if time_s is None:
            reading.note("dropped_box", f"a box with a time that is none: {name[:40]!r}")
        else:
            _add_sighting(time_s, box, key, reading)


def _add_sighting(time_s: float, box: Any, key: tuple[str, str], reading: _TubeReading) -> None:
    if reading.sighting_count >= SIGHTING_LIMIT:
        reading.note("cut", f"only the first {SIGHTING_LIMIT} boxes were read")
        return
    reading.sighting_count += 1
    track = reading.track(key)
    if box is None or box == []:
        # Said in so many words: looked for, and not to be seen.
        track.sightings.append(_Sighting(time_s, None))
        return
    rows = read_rows({"bbox": box}, reading.shape)
    reading.issues |= rows.issues
    if len(rows.rows) > 1:
        reading.note("dropped_box", f"{len(rows.rows)} boxes of one object at {time_s:g} s")
    track.sightings += [_Sighting(time_s, row) for row in rows.rows[:1]]


def _tube(
    track: _Track,
    track_id: str,
    dialect: Dialect,
    to_seen: Transform,
    times_s: Sequence[float] | None,
    issues: list[Issue],
) -> Tube | None:
    """The tube of a track in original pixels; None where nothing of it can be used."""
    at_times: dict[float, Box | None] = {}
    for sighting in sorted(track.sightings, key=lambda sighting: sighting.time_s):
        time_s = _nearest(sighting.time_s, times_s, issues)
        if time_s is None:
            continue
        box = None
        if sighting.row is not None:
            numbers = np.array([sighting.row.numbers])
            corners = from_numbers(numbers, dialect, to_seen.to_size)[0]
            box = place_box(corners, sighting.row, to_seen, issues)
            if box is None:
                continue
        if at_times.get(time_s) is not None:
            issues.append(
                Issue("dropped_box", f"a second box at {time_s:g} s was dropped: the first counts")
            )
        else:
            at_times[time_s] = box
    if not any(at_times.values()):
        return None
    times = sorted(at_times) if times_s is None else [float(time_s) for time_s in times_s]
    boxes = [at_times.get(time_s) for time_s in times]
    return Tube.from_boxes(times, boxes, id=track_id, label=track.label)


def _nearest(time_s: float, times_s: Sequence[float] | None, issues: list[Issue]) -> float | None:
    """The nearest of the times asked about, not further than half the way between two of them."""
    if times_s is None or not len(times_s):
        return time_s
    times = np.asarray(times_s, np.float64)
    index = int(np.abs(times - time_s).argmin())
    reach_s = float(np.diff(times).max()) / 2 if len(times) > 1 else 0.5
    if abs(times[index] - time_s) > reach_s + 1e-6:
        issues.append(Issue("dropped_box", f"a box at {time_s:g} s, where no frame was shown"))
        return None
    return float(times[index])


def _check_span(track: _Track, tube: Tube, issues: list[Issue]) -> None:
    span = track.span
    if span is None:
        return
    outside = tube.present & ((tube.times_s < span.start_s) | (tube.times_s > span.end_s))
    if outside.any():
        issues.append(
            Issue("unsure", f"{int(outside.sum())} boxes lie outside the span that is stated")
        )

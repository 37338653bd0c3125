"""What a timeline of a video shows: lanes of lines by time, shots, pictures. No HTML here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mmreason.library.thumbnails import read_thumbnails
from mmreason.library.videos import LibraryVideo
from mmreason.memory.records import Channel, MemoryRecord
from mmreason.video import Video
from mmreason.video.types import Span

MOST_PICTURES = 160
"""Of one page: half a megabyte."""
PICTURE_PX = 160
MOST_LINE_CHARACTERS = 600
"""Of a line in a page; the records have all of it."""
_PICTURES_APART = 40
"""Parts of a video that get a picture each, whatever its shots are."""
_LANES: tuple[tuple[str, str, tuple[Channel, ...]], ...] = (
    ("Speech", "speech", ("speech",)),
    ("Screen", "screen", ("screen_text",)),
    ("Labels", "label", ("label",)),
    ("Described", "event", ("event",)),
    ("Named", "entity", ("entity",)),
)
"""Name, kind (its colour in the style sheet) and channels, from the top down."""


@dataclass(frozen=True, slots=True)
class TimedLine:
    """One thing that was said, written, seen or described."""

    span: Span
    text: str
    detail: str = ""
    """Who says so: source, model, confidence."""


@dataclass(frozen=True, slots=True)
class LineLane:
    """Lines of one kind, by time."""

    name: str
    kind: str
    lines: tuple[TimedLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTimeline:
    """Everything that is known of a video, by time.

    Example:
        >>> VideoTimeline(span=Span(0, 9), lanes=(), shots=(Span(0, 9),)).shots[0].duration_s
        9
    """

    span: Span
    lanes: tuple[LineLane, ...]
    shots: tuple[Span, ...]
    """Empty where the video was not looked through for cuts."""
    picture_times_s: tuple[float, ...] = ()
    pictures: tuple[bytes, ...] = ()
    """JPEGs, one a time."""

    @property
    def line_count(self) -> int:
        return sum(len(lane.lines) for lane in self.lanes)


def make_timeline(
    library_video: LibraryVideo,
    records: Sequence[MemoryRecord],
    *,
    most_pictures: int = MOST_PICTURES,
    on_progress: Callable[[str], None] | None = None,
) -> VideoTimeline:
    """The timeline of a video with these records, its pictures decoded. VideoError."""
    shots = tuple(sorted({r.span for r in records if r.channel == "shot"}))
    with Video.open(library_video.path) as video:
        span = video.info.span
        chapters = [TimedLine(c.span, c.title or "untitled") for c in video.info.chapters]
        times_s = plan_picture_times(span, shots, most_pictures)
        if on_progress is not None:
            on_progress(f"{library_video.name}: {len(times_s)} pictures")
        pictures = read_thumbnails(video, times_s, PICTURE_PX)
    lanes = [_make_lane(*lane, records) for lane in _LANES]
    lanes.append(LineLane("Chapters", "chapter", tuple(chapters)))
    return VideoTimeline(
        span=span,
        lanes=tuple(lane for lane in lanes if lane.lines),
        shots=shots,
        picture_times_s=tuple(times_s),
        pictures=tuple(pictures),
    )


def plan_picture_times(span: Span, shots: Sequence[Span], most: int) -> list[float]:
    """Ascending times for at most `most` pictures: the middle of each shot, and of each part of a
    shot that is long in this video.

    Example:
        >>> plan_picture_times(Span(0, 100), [Span(0, 98), Span(98, 100)], 4)
        [12.25, 36.75, 61.25, 85.75]
        >>> len(plan_picture_times(Span(0, 100), [Span(0, 98), Span(98, 100)], 100))
        40
    """
    longest_s = max(span.duration_s / min(_PICTURES_APART, most), 1e-3)
    times_s: list[float] = []
    for shot in shots or [span]:
        inside = shot.clip(span)
        parts = max(1, round(inside.duration_s / longest_s))
        step_s = inside.duration_s / parts
        times_s += [inside.start_s + (i + 0.5) * step_s for i in range(parts)]
    if len(times_s) > most:
        # More shots than pictures: some shots of each stretch stand for it.
        times_s = [times_s[i * len(times_s) // most] for i in range(most)]
    return sorted(times_s)


def _make_lane(
    name: str, kind: str, channels: tuple[Channel, ...], records: Iterable[MemoryRecord]
) -> LineLane:
    lines = [
        TimedLine(record.span, _shorten(record), describe_origin(record))
        for record in records
        if record.channel in channels
    ]
    return LineLane(name, kind, tuple(sorted(lines, key=lambda line: line.span)))


def _shorten(record: MemoryRecord) -> str:
    text = f"{record.speaker}: {record.text}" if record.speaker else record.text
    return text if len(text) <= MOST_LINE_CHARACTERS else f"{text[:MOST_LINE_CHARACTERS]} ..."


def describe_origin(record: MemoryRecord) -> str:
    """Who says so, in words.

    Example:
        >>> describe_origin(MemoryRecord("label", Span(0, 1), "cat", "labels", "b0", 0, 0.812))
        'labels, b0, confidence 0.81'
    """
    sure = "" if record.confidence is None else f"confidence {record.confidence:.2f}"
    return ", ".join(filter(None, (record.source, record.model, sure)))

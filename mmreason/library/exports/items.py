"""What is exported: texts over spans of videos, brought into the bounds of a file format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath

from mmreason.memory.records import MemoryRecord
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line
from mmreason.video.types import Span

LEAST_SPAN_S = 0.5
"""What shorter spans are lengthened to: a cue of no length is never shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """A line of an export: what was said, written or seen, and when. Raises UsageError without a
    text.

    Example:
        >>> ExportItem(span=Span(12, 31), text="Budget 2025", channel="screen_text").text
        'Budget 2025'
    """

    span: Span
    text: str
    """On one line, hidden characters shown as U+FFFD."""
    channel: str = ""
    source: str = ""
    """Who or what wrote it: "screen reading", "talk.srt"."""
    speaker: str = ""
    video: str = ""
    """Path of the video."""
    confidence: float | None = None
    box_px: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("text", "speaker"):
            object.__setattr__(self, name, show_line(getattr(self, name)))
        if not self.text:
            raise UsageError(f"an exported line needs a text, got none at {self.span}")

    @property
    def video_name(self) -> str:
        """Of the video's file, without its folders."""
        return show_line(PurePath(self.video).name)


@dataclass(frozen=True, slots=True)
class FittedItems:
    """Items in order of time inside their video, and what had to be changed for it."""

    items: tuple[ExportItem, ...]
    notes: tuple[str, ...]


def to_export_item(record: MemoryRecord, video: str = "") -> ExportItem:
    """The item of a record.

    Example:
        >>> record = MemoryRecord("speech", Span(4, 8), "Good morning.", "talk.srt", speaker="Ann")
        >>> to_export_item(record, "talk.mp4").speaker
        'Ann'
    """
    return ExportItem(
        span=record.span,
        text=record.text or f"({record.channel})",
        channel=record.channel,
        source=record.source,
        speaker=record.speaker,
        video=video,
        confidence=record.confidence,
        box_px=record.box_px,
    )


def fit_items(items: Iterable[ExportItem], duration_s: float | None = None) -> FittedItems:
    """`items` in order of time, from 0 to `duration_s`: spans that reach beyond are cut, what lies
    outside is left out, and what has no length is lengthened. Each is told.

    Example:
        >>> fitted = fit_items([ExportItem(span=Span(-2, 0), text="before")], 60)
        >>> fitted.notes
        ('1 line outside of 0 to 60 s was left out',)
    """
    inside: list[ExportItem] = []
    left_out = cut = lengthened = 0
    most_s = float("inf") if duration_s is None else duration_s
    for item in items:
        start_s, end_s = item.span.start_s, item.span.end_s
        if start_s >= most_s or (end_s <= 0 and start_s < 0):
            left_out += 1
            continue
        fitted_s = max(0.0, start_s), min(most_s, end_s)
        cut += fitted_s != (start_s, end_s)
        if fitted_s[1] - fitted_s[0] < 1e-3:
            lengthened += 1
            end_s = min(most_s, fitted_s[0] + LEAST_SPAN_S)
            fitted_s = max(0.0, end_s - LEAST_SPAN_S), end_s
        inside.append(replace(item, span=Span(*fitted_s)))
    bounds = "before 0 s" if duration_s is None else f"outside of 0 to {duration_s:g} s"
    notes = [
        f"{count} {'line' if count == 1 else 'lines'} {text}"
        for count, text in (
            (left_out, f"{bounds} {'was' if left_out == 1 else 'were'} left out"),
            (cut, "reached beyond the video: cut to it"),
            (lengthened, f"without length got {LEAST_SPAN_S:g} s"),
        )
        if count
    ]
    ordered = sorted(inside, key=lambda item: (item.span.start_s, item.span.end_s))
    return FittedItems(tuple(ordered), tuple(notes))

"""What is known of a video without looking: its overview, what a search finds, what is said.

Pure: from records and lines to the results of tools. Files and limits are `service`'s.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from mmreason.memory.records import ROOT, Channel, MemoryQuery, MemoryRecord
from mmreason.memory.video_memory import VideoMemory
from mmreason.server.results import ToolResult
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import Span

MOST_LINES = 200
"""Lines of a transcript in one call."""
MOST_SCENES = 60
"""Scenes of an overview in one call."""

_CONFIG = ConfigDict(frozen=True, use_attribute_docstrings=True)


class RecordResult(BaseModel):
    """Something that is known of a stretch of the video: a cue where to look, not evidence."""

    model_config = _CONFIG

    id: str
    channel: Channel
    start_s: float
    end_s: float
    """Not included."""
    text: str
    source: str
    """frames, or the name of the subtitles."""

    @classmethod
    def of(cls, record: MemoryRecord) -> RecordResult:
        start_s, end_s = record.span.to_list()
        return cls(
            id=record.id,
            channel=record.channel,
            start_s=start_s,
            end_s=end_s,
            text=record.text,
            source=record.source,
        )


class HitResult(RecordResult):
    """A record that a search found."""

    similarity: float
    """How well it fits, 0 to 1."""


class OverviewResult(ToolResult):
    """What is known of a video as a whole, and of its scenes."""

    start_s: float
    duration_s: float
    covered_s: float
    """Seconds of the video that were described so far; what is not described may hold anything."""
    text: str
    """Of the whole; empty where nothing was described."""
    scenes: list[RecordResult]
    records: dict[str, int]
    """How much is known, by channel."""
    note: str
    """What to do where little is known; empty where enough is."""


class SearchToolResult(ToolResult):
    """Records that fit, the best first: cues where to look, not evidence."""

    hits: list[HitResult]
    covered_s: float
    """Seconds of the video that were described so far."""
    duration_s: float
    note: str
    """Why nothing was found, or what was not searched. Nothing found is not an answer."""


class LineResult(BaseModel):
    """One line of subtitles."""

    model_config = _CONFIG

    start_s: float
    end_s: float
    text: str


class TranscriptResult(ToolResult):
    """What is said in the video, from its subtitles, in order of time."""

    lines: list[LineResult]
    line_count: int
    """Lines of the whole stretch."""
    next_s: float | None
    """Where to go on (start_s of the next call); null where all lines are given."""
    source: str
    """Name of the subtitles; empty where there are none."""
    notes: list[str]


class ScreenTextResult(ToolResult):
    """What stands written on the screen, in order of time, as far as it was read before."""

    lines: list[RecordResult]
    line_count: int
    """Lines of the whole stretch."""
    note: str
    """What to do where nothing is known."""


def tell_overview(memory: VideoMemory, video: Span, part: Span | None) -> OverviewResult:
    """Root and scenes, of which those of `part` alone where it is given."""
    upper = memory.overview(part)
    covered_s = memory.measure_covered_s()
    is_little = covered_s < 0.99 * video.duration_s
    return OverviewResult(
        start_s=round(video.start_s, 6),
        duration_s=round(video.duration_s, 6),
        covered_s=round(covered_s, 3),
        text=next((r.text for r in upper if r.level == ROOT), ""),
        scenes=[RecordResult.of(r) for r in upper if r.level < ROOT][:MOST_SCENES],
        records={str(channel): count for channel, count in memory.count_channels().items()},
        note=(
            "not all of the video was described: `mmreason index` does, and sheet and ask look now"
            if is_little
            else ""
        ),
    )


def tell_hits(memory: VideoMemory, query: MemoryQuery, video: Span) -> SearchToolResult:
    """What a search of the memory finds."""
    found = memory.search(query)
    return SearchToolResult(
        hits=[
            HitResult(
                **RecordResult.of(hit.record).model_dump(), similarity=round(hit.similarity, 4)
            )
            for hit in found.hits
        ],
        covered_s=round(memory.measure_covered_s(), 3),
        duration_s=round(video.duration_s, 6),
        note=found.note,
    )


def tell_screen_text(memory: VideoMemory, part: Span) -> ScreenTextResult:
    """The texts whose time meets `part`, as many as one call gives."""
    records = memory.select_leaves("screen_text")
    inside = [record for record in records if record.span.overlap_s(part) > 0]
    return ScreenTextResult(
        lines=[RecordResult.of(record) for record in inside[:MOST_LINES]],
        line_count=len(inside),
        note="" if inside else "no screen was read here: `mmreason index --with screen` does",
    )


def tell_transcript(subtitles: Subtitles | None, part: Span) -> TranscriptResult:
    """The lines that overlap `part`, as many as one call gives."""
    lines = [line for line in subtitles or () if line.span.overlap_s(part) > 0]
    return TranscriptResult(
        lines=[
            LineResult(
                start_s=round(line.span.start_s, 6),
                end_s=round(line.span.end_s, 6),
                text=line.text,
            )
            for line in lines[:MOST_LINES]
        ],
        line_count=len(lines),
        next_s=round(lines[MOST_LINES].span.start_s, 6) if len(lines) > MOST_LINES else None,
        source="" if subtitles is None else subtitles.name,
        notes=list(subtitles.notes) if subtitles else ["no subtitles beside or in the video"],
    )

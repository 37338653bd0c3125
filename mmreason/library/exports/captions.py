"""Exports for players: SRT, WebVTT, chapters for FFmpeg and for YouTube."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.library.exports.items import ExportItem
from mmreason.video.subtitles import Line, Subtitles

_VTT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "{": "&#123;"}
"""A brace begins a style in the other format, which some players obey in this one too."""
_FFMETADATA = re.compile(r"([=;#\\])")
_YOUTUBE_LEAST_S = 10.0
"""The shortest chapter that YouTube takes."""
_YOUTUBE_LEAST_COUNT = 3


@dataclass(frozen=True, slots=True)
class ChapterText:
    """A list of chapters, and what had to be changed for it."""

    text: str
    notes: tuple[str, ...] = ()


def format_srt(items: Sequence[ExportItem]) -> str:
    """The items as subtitles, a speaker's name before what is said.

    Example:
        >>> from mmreason.video.types import Span
        >>> print(format_srt([ExportItem(span=Span(1, 2.5), text="a --> b")]), end="")
        1
        00:00:01,000 --> 00:00:02,500
        a --&#62; b
    """
    lines = sorted(
        Line(item.span, f"{item.speaker}: {item.text}" if item.speaker else item.text)
        for item in items
    )
    return Subtitles(lines=tuple(lines)).to_srt()


def format_vtt(items: Sequence[ExportItem]) -> str:
    """The items as WebVTT, a speaker as a voice tag.

    Example:
        >>> from mmreason.video.types import Span
        >>> print(format_vtt([ExportItem(span=Span(1, 2.5), text="a < b", speaker="Ann")]), end="")
        WEBVTT
        <BLANKLINE>
        00:00:01.000 --> 00:00:02.500
        <v Ann>a &lt; b
    """
    blocks = ["WEBVTT\n"]
    for item in items:
        # A voice tag ends at the first ">", and has no way to hold one.
        speaker = re.sub(r"[<>&]", "", item.speaker).strip()
        voice = f"<v {speaker}>" if speaker else ""
        text = "".join(_VTT.get(character, character) for character in item.text)
        times = f"{_vtt_stamp(item.span.start_s)} --> {_vtt_stamp(item.span.end_s)}"
        blocks.append(f"{times}\n{voice}{text}\n")
    return "\n".join(blocks)


def format_ffmetadata(items: Sequence[ExportItem], duration_s: float) -> str:
    """Chapters that FFmpeg reads: each item begins one, which lasts until the next. Put into a file
    by `ffmpeg -i talk.mp4 -i chapters.ffmetadata -map_chapters 1 -c copy out.mp4`.

    Example:
        >>> from mmreason.video.types import Span
        >>> print(format_ffmetadata([ExportItem(span=Span(0, 4), text="a=b")], 60.0), end="")
        ;FFMETADATA1
        [CHAPTER]
        TIMEBASE=1/1000
        START=0
        END=60000
        title=a\\=b
    """
    rows = [";FFMETADATA1"]
    starts_ms = [round(item.span.start_s * 1000) for item in items]
    ends_ms = [*starts_ms[1:], round(duration_s * 1000)]
    for item, start_ms, end_ms in zip(items, starts_ms, ends_ms, strict=True):
        # Two that begin together: FFmpeg refuses a chapter without length, the later one stays.
        if end_ms <= start_ms:
            continue
        title = _FFMETADATA.sub(r"\\\1", item.text)
        rows += [
            "[CHAPTER]",
            "TIMEBASE=1/1000",
            f"START={start_ms}",
            f"END={end_ms}",
            f"title={title}",
        ]
    return "\n".join(rows) + "\n"


def format_youtube_chapters(items: Sequence[ExportItem]) -> ChapterText:
    """Chapters as lines of a description: they begin at 0:00, ascend and last ten seconds at least;
    with fewer than three YouTube shows none, which is told.

    Example:
        >>> from mmreason.video.types import Span
        >>> items = [ExportItem(span=Span(s, s + 5), text=f"part {s}") for s in (0, 4, 75)]
        >>> chapters = format_youtube_chapters(items)
        >>> print(chapters.text, end="")
        0:00 part 0
        1:15 part 75
        >>> len(chapters.notes)
        2
    """
    chosen: list[tuple[int, str]] = []
    dropped = 0
    for item in items:
        start_s = int(item.span.start_s)
        if chosen and start_s - chosen[-1][0] < _YOUTUBE_LEAST_S:
            dropped += 1
        elif not chosen and 0 < start_s < _YOUTUBE_LEAST_S:
            chosen.append((0, item.text))
        else:
            chosen += [(0, "Start")] * (not chosen and start_s > 0)
            chosen.append((start_s, item.text))
    notes = []
    if dropped:
        notes.append(f"{dropped} that begin within 10 s of another were left out")
    if len(chosen) < _YOUTUBE_LEAST_COUNT:
        notes.append(
            f"YouTube shows chapters from {_YOUTUBE_LEAST_COUNT} on, here are {len(chosen)}"
        )
    rows = (f"{_youtube_stamp(start_s)} {text}\n" for start_s, text in chosen)
    return ChapterText("".join(rows), tuple(notes))


def _vtt_stamp(time_s: float) -> str:
    seconds, ms = divmod(round(max(0.0, time_s) * 1000), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"


def _youtube_stamp(seconds: int) -> str:
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

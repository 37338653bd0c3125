"""Spans as WebVTT, so that a player shows each expression while it holds."""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.grounding.formats.rows import FormError, ReferringRow
from mmreason.video.plain_text import show_line


def write_webvtt(rows: Sequence[ReferringRow]) -> str:
    """A cue a row of one video, by its span or those of its tubes. Raises FormError for rows of
    several videos, or without a span.

    Example:
        >>> from mmreason.video.types import Span
        >>> row = ReferringRow(source="a", row=1, row_id="1", form="timelens", video="v",
        ...     expression="he sits", span=Span(2, 61.5))
        >>> print(write_webvtt([row]), end="")
        WEBVTT
        <BLANKLINE>
        00:00:02.000 --> 00:01:01.500
        he sits
    """
    videos = {row.video for row in rows}
    if len(videos) > 1:
        raise FormError(f"WebVTT is about one video, the rows are about {len(videos)}")
    cues = ["WEBVTT\n"]
    for row in sorted(rows, key=_start_s):
        spans = [row.span] if row.span is not None else [tube.span for tube in row.tubes]
        for span in spans:
            if span is not None:
                times = f"{_format_s(span.start_s)} --> {_format_s(span.end_s)}"
                cues.append(f"\n{times}\n{_escape(row.expression)}\n")
    return "".join(cues)


def _start_s(row: ReferringRow) -> float:
    spans = [row.span, *(tube.span for tube in row.tubes)]
    starts = [span.start_s for span in spans if span is not None]
    if not starts:
        raise FormError(f"{row.source}, row {row.row}: has no span, which a cue needs")
    return starts[0]


def _format_s(time_s: float) -> str:
    ms = round(time_s * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def _escape(text: str) -> str:
    """One line; what a player would read as markup or as times is text."""
    text = show_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text or "-"

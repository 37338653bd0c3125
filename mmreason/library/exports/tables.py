"""Exports for people and tables: CSV, a Markdown list."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from mmreason.library.exports.items import ExportItem
from mmreason.video.plain_text import show_line
from mmreason.video.types import format_time

CSV_COLUMNS = (
    *("video", "start_s", "end_s", "start", "end", "channel", "speaker", "text"),
    *("confidence", "x1_px", "y1_px", "x2_px", "y2_px", "source"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")


def format_csv(items: Sequence[ExportItem]) -> str:
    """A table with a header, one row an item, by RFC 4180. Text that a spreadsheet would run as a
    formula has an apostrophe before it: it was read from a video.

    Example:
        >>> from mmreason.video.types import Span
        >>> items = [ExportItem(span=Span(1, 2.5), text="=1+1")]
        >>> format_csv(items).splitlines()[1]
        ",1.000,2.500,0:01.00,0:02.50,,,'=1+1,,,,,,"
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(CSV_COLUMNS)
    for item in items:
        box = ("",) * 4 if item.box_px is None else tuple(f"{value:.1f}" for value in item.box_px)
        confidence = "" if item.confidence is None else f"{item.confidence:.4f}"
        span = item.span
        writer.writerow(
            (
                _defuse(show_line(item.video)),
                *(f"{span.start_s:.3f}", f"{span.end_s:.3f}"),
                *(format_time(span.start_s), format_time(span.end_s)),
                item.channel,
                *(_defuse(item.speaker), _defuse(item.text)),
                confidence,
                *box,
                _defuse(show_line(item.source)),
            )
        )
    return buffer.getvalue()


def format_markdown(items: Sequence[ExportItem], title: str = "") -> str:
    """A list, one line an item, whose texts show as they are written.

    Example:
        >>> from mmreason.video.types import Span
        >>> print(format_markdown([ExportItem(span=Span(1, 2), text="a *b*")]), end="")
        - **0:01.00-0:02.00** a \\*b\\*
    """
    rows = [f"# {_escape(show_line(title))}", ""] if title else []
    for item in items:
        speaker = f"{_escape(item.speaker)}: " if item.speaker else ""
        origins = [item.video_name, item.channel, show_line(item.source)]
        origin = ", ".join(_escape(text) for text in origins if text)
        rows.append(
            f"- **{item.span}** {speaker}{_escape(item.text)}" + (f" ({origin})" if origin else "")
        )
    return "\n".join(rows) + "\n"


def _defuse(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _escape(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)

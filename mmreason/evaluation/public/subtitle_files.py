"""Subtitles of benchmarks that are JSON, as subtitles of ours.

LongVideoBench has a list of `{"start": "00:00:01.000", "end": ..., "line": ...}` or of
`{"timestamp": [1.0, 2.5], "text": ...}` for a whole video of which the published one is a part.
Video-MME-v2 has a word a line, `{"text": ..., "start_time": ..., "end_time": ...}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmreason.evaluation.public.fields import parse_clock
from mmreason.evaluation.public.items import BenchmarkItem
from mmreason.json_lines import JsonLine, read_json_lines
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import Span, VideoError

_PAUSE_S = 0.5
"""Words further apart are of two lines."""
_MOST_WORDS = 16
"""Of a line that is put together from words."""
_SENTENCE_ENDS = (".", "?", "!", "\u3002", "\uff1f", "\uff01")


def prepare_subtitles(item: BenchmarkItem, folder: Path) -> Path | None:
    """The subtitles of an item as a file that `Reasoner.ask` takes: its own where that is text,
    else one that is written into `folder`. None without any. VideoError for what cannot be read."""
    source = item.subtitles
    if source is None or source.suffix.lower() not in (".json", ".jsonl"):
        return source
    # Two videos that are cut from one share its subtitles, and begin at other times of it.
    target = folder / f"{source.stem}@{item.subtitle_start_s}.srt"
    return read_json_subtitles(source, start_s=item.subtitle_start_s).save(target)


def read_json_subtitles(path: Path, *, start_s: float = 0.0) -> Subtitles:
    """Read either form; times count from `start_s`, and what was said before is left out. Raises
    VideoError naming the file and what is wrong.

    Example:
        >>> read_json_subtitles(Path("subtitles/86CxyhFV9MI_en.json"))  # doctest: +SKIP
        Subtitles(lines=(Line(span=Span(start_s=1.0, end_s=3.5), text='Hello.'), ...))
    """
    try:
        if path.suffix.lower() == ".jsonl":
            lines = _join_words(_read_words(path))
        else:
            rows = read_json(path, most_bytes=64_000_000, odd_numbers_as_null=True)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise TypeError("expected a list of objects")
            lines = [_line_of(row) for row in rows]
    except (JsonInputError, OSError, KeyError, TypeError, ValueError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise VideoError(f"{path}: no subtitles of a known form: {reason}") from error
    # The published video is a part of a longer one: its subtitles go on before and behind it.
    moved = [
        Line(Span(max(0.0, line.span.start_s - start_s), line.span.end_s - start_s), line.text)
        for line in lines
        if line.text and line.span.end_s > start_s
    ]
    return Subtitles(lines=tuple(sorted(moved)), path=str(path))


def _line_of(row: dict[str, Any]) -> Line:
    if "timestamp" in row:
        start_s, end_s = row["timestamp"]
        # The last line of some files has no end.
        span = Span(float(start_s), float(start_s) + 2.0 if end_s is None else float(end_s))
        return Line(span, " ".join(str(row["text"]).split()))
    span = Span(parse_clock(str(row["start"])), parse_clock(str(row["end"])))
    return Line(span, " ".join(str(row["line"]).split()))


def _read_words(path: Path) -> Iterable[Line]:
    for line in read_json_lines(path, dict):
        if not isinstance(line, JsonLine):
            raise ValueError(line.reason)
        word = line.row
        yield Line(Span(float(word["start_time"]), float(word["end_time"])), str(word["text"]))


def _join_words(words: Iterable[Line]) -> list[Line]:
    """Lines that end at a pause, at the end of a sentence, or when they are long enough."""
    lines: list[Line] = []
    # By time, whatever the order of the file.
    for word in sorted(words):
        last = lines[-1] if lines else None
        if (
            last is None
            or word.span.start_s - last.span.end_s > _PAUSE_S
            or last.text.endswith(_SENTENCE_ENDS)
            or last.text.count(" ") >= _MOST_WORDS - 1
        ):
            lines.append(Line(word.span, word.text.strip()))
        else:
            end_s = max(last.span.end_s, word.span.end_s)
            lines[-1] = Line(Span(last.span.start_s, end_s), f"{last.text} {word.text.strip()}")
    return lines

"""Sentences about spans of videos: Charades-STA's lines and TimeLens' JSON. No boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmreason.grounding.formats.rows import (
    BadRow,
    Form,
    Reading,
    ReferringRow,
    check_number,
    check_object,
    describe,
    get_expression,
    get_list,
    get_number,
    get_span,
    read_guarded,
)
from mmreason.grounding.formats.sources import MOST_LINE_BYTES, check_file, source_name
from mmreason.video.types import Span

SEPARATOR = "##"
"""Between the times and the sentence of a line of Charades-STA."""


def read_charades_sta(path: Path) -> Iterator[Reading]:
    """One row a line: `VIDEO START END##SENTENCE`, in seconds."""
    check_file(path)
    source = source_name(path)
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_LINE_BYTES):
            number += 1
            if line.strip():
                yield from read_guarded(source, number, _read_line, line, number, source)


def _read_line(line: bytes, number: int, source: str) -> list[ReferringRow]:
    try:
        times, separator, sentence = line.decode("utf-8-sig").strip().partition(SEPARATOR)
    except UnicodeDecodeError as error:
        raise BadRow("is not UTF-8") from error
    cells = times.split()
    if not separator or len(cells) != 3:
        raise BadRow("expected 'VIDEO START END##SENTENCE'")
    video, start_s, end_s = cells[0], _seconds(cells[1]), _seconds(cells[2])
    row = ReferringRow(
        source=source,
        row=number,
        row_id=str(number),
        form=Form.CHARADES_STA,
        expression=get_expression({"sentence": sentence}, "sentence"),
        video=video,
        span=_positive_span(start_s, end_s),
    )
    return [row]


def _seconds(word: str) -> float:
    try:
        return check_number(float(word), "a time")
    except ValueError as error:
        raise BadRow(f"a time must be a finite number of seconds, found {word[:20]!r}") from error


def _positive_span(start_s: float, end_s: float) -> Span:
    if start_s < 0:
        raise BadRow(f"starts before the video: {start_s:g} s")
    span = get_span(start_s, end_s)
    if span.duration_s == 0:
        raise BadRow(f"has no length: {start_s:g} to {end_s:g}")
    return span


def read_timelens(document: dict[str, Any], source: str) -> Iterator[Reading]:
    """One row a query of a video; spans that end after the video are clipped, and told."""
    for number, (video, values) in enumerate(document.items(), start=1):
        yield from read_guarded(source, number, _read_video, video, values, number, source)


def _read_video(video: str, values: Any, number: int, source: str) -> list[ReferringRow]:
    fields = check_object(values, f"{video!r}")
    duration_s = get_number(fields, "duration")
    spans, queries = get_list(fields, "spans"), get_list(fields, "queries")
    if len(spans) != len(queries):
        raise BadRow(f"mismatched: {len(spans)} spans and {len(queries)} queries of {video!r}")
    rows = []
    for query_index, (pair, query) in enumerate(zip(spans, queries, strict=True)):
        if not isinstance(pair, list) or len(pair) != 2:
            raise BadRow(f"a span must be two numbers, found {describe(pair)}")
        start_s, end_s = (check_number(value, "a time") for value in pair)
        span, notes = _positive_span(start_s, end_s), ()
        if start_s >= duration_s:
            raise BadRow(f"starts at {start_s:g} s, the video has {duration_s:g} s")
        if end_s > duration_s:
            notes = (f"the span to {end_s:g} s was clipped to the video's {duration_s:g} s",)
            span = Span(start_s, duration_s)
        rows.append(
            ReferringRow(
                source=source,
                row=number,
                row_id=f"{video}:{query_index}",
                form=Form.TIMELENS,
                expression=get_expression({"query": query}, "query"),
                video=video,
                span=span,
                tags={"duration_s": duration_s},
                notes=notes,
            )
        )
    return rows

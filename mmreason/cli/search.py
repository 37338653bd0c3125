"""`mmreason search`: find words in what is known of a video. Asks no model.

What is known are the subtitles, what `mmreason index` made, and captions that earlier questions
left. Hits say where to look.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.common import (
    NO_ANSWER,
    EmbedderName,
    FullHash,
    Json,
    StorePath,
    print_json,
    print_line,
    quiet_libraries,
)
from mmreason.json_values import to_json
from mmreason.memory.records import Channel, SearchResult
from mmreason.video.types import Span, format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class HitOutput:
    """One record that was found: a cue where to look, not evidence."""

    id: str
    channel: Channel
    span: Span
    text: str
    source: str
    """What it was read from."""
    model: str
    """Which model wrote it; empty where none did."""
    similarity: float
    """How well it fits, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutput:
    """What a search of a video's memory found, the best first."""

    video: str
    text: str
    """What was looked for."""
    hits: tuple[HitOutput, ...]
    note: str
    """Why nothing was found, or what was not searched."""
    covered_s: float
    """Seconds of the video that descriptions speak of."""
    duration_s: float


def search_memory(
    video: Annotated[str, typer.Argument(help="Video file, or a scripted world (.json).")],
    text: Annotated[str, typer.Argument(help="Words or a question, in any language.")],
    channel: Annotated[
        list[str] | None,
        typer.Option(help="Only event, entity, screen_text, speech or still; may be repeated."),
    ] = None,
    start: Annotated[float | None, typer.Option(help="First second; default: the start.")] = None,
    end: Annotated[float | None, typer.Option(help="Last second; default: the end.")] = None,
    limit: Annotated[int, typer.Option(help="Most hits.")] = 8,
    model: Annotated[
        str | None,
        typer.Option(help="Search what this model described; default: the one with most."),
    ] = None,
    embedder: EmbedderName = None,
    store: StorePath = None,
    full_hash: FullHash = False,
    as_json: Json = False,
) -> None:
    """Find words in what is known of a video: subtitles, its index, captions of questions."""
    from mmreason.language.validate import checked_part
    from mmreason.memory.caption_records import make_speech_records
    from mmreason.memory.records import MemoryQuery, read_channels
    from mmreason.memory.store import Store
    from mmreason.memory.video_memory import VideoMemory
    from mmreason.video import Video
    from mmreason.video.subtitles import find_subtitles

    query = MemoryQuery(text, read_channels(channel or ()), limit=limit)
    loaded = None
    if embedder is not None:
        from mmreason.tools.text_embedder import load_embedder

        quiet_libraries()
        loaded = load_embedder(embedder)
    with Video.open(video, full_hash=full_hash) as opened:
        info = opened.info
        if start is not None or end is not None:
            query = replace(query, span=checked_part(start, end, info))
        with Store.open_default() if store is None else Store.open(store) as open_store:
            memory = VideoMemory.of_video(opened, open_store, model=model, embedder=loaded)
            # An address has no folder in which subtitles could lie beside it.
            subtitles = find_subtitles(opened.path) if Path(info.path).is_file() else None
            memory.add(make_speech_records(subtitles) if subtitles else ())
            result = memory.search(query)
            covered_s = memory.measure_covered_s()
    if as_json:
        print_json(to_json(_to_output(video, text, result, covered_s, info.duration_s)))
    else:
        _print_hits(result, covered_s, info.duration_s)
    if not result.hits:
        raise typer.Exit(NO_ANSWER)


def _to_output(
    video: str, text: str, result: SearchResult, covered_s: float, duration_s: float
) -> SearchOutput:
    return SearchOutput(
        video=video,
        text=text,
        hits=tuple(
            HitOutput(
                id=hit.record.id,
                channel=hit.record.channel,
                span=hit.record.span,
                text=hit.record.text,
                source=hit.record.source,
                model=hit.record.model,
                similarity=round(hit.similarity, 4),
            )
            for hit in result.hits
        ),
        note=result.note,
        covered_s=round(covered_s, 3),
        duration_s=round(duration_s, 3),
    )


def _print_hits(result: SearchResult, covered_s: float, duration_s: float) -> None:
    for hit in result.hits:
        record = hit.record
        print_line(f"{record.span}  {record.channel}  {record.text}")
    if result.note:
        print_line(f"note: {result.note}")
    if covered_s < 0.99 * duration_s:
        described = f"{format_time(covered_s)} of {format_time(duration_s)}"
        print_line(f"note: described so far: {described}; mmreason index describes it all")

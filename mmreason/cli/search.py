"""`mmreason search`: find what was said, written or seen in videos. Asks no model but the small one
that compares meanings.

What is searched are the subtitles, what `mmreason index` found, and captions that earlier questions
left. Hits say where to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmreason.cli.common import (
    NO_ANSWER,
    EmbedderName,
    FrameEncoderName,
    FullHash,
    Json,
    StorePath,
    print_json,
    print_line,
    print_notice,
    quiet_libraries,
    show_progress,
)
from mmreason.json_values import to_json
from mmreason.memory.records import Channel
from mmreason.types import UsageError
from mmreason.video.types import Span, format_time

if TYPE_CHECKING:
    from mmreason.library.library import Library
    from mmreason.library.results import LibraryHit, LibraryResult
    from mmreason.memory.vector_index import Embedder

MOST_UNREADABLE = 5
"""Files that cannot be read which are named; JSON has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HitOutput:
    """A stretch of a video that was found: a cue where to look, not evidence."""

    video: str
    """Path of the file."""
    id: str
    """Of the record that fits best."""
    ids: tuple[str, ...]
    """Of all records that were joined, by time."""
    channel: Channel
    span: Span
    text: str
    """What was said, read or seen, word for word."""
    source: str
    """What it was read from."""
    model: str
    """Which model wrote it; empty where none did."""
    speaker: str
    """Who says it, of speech that tells."""
    confidence: float | None
    """Of who wrote it, 0 to 1; null where that does not tell."""
    box_px: tuple[float, float, float, float] | None
    """Where it is in the picture, in pixels of the original frame."""
    similarity: float
    """How well it fits, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableOutput:
    """A file that is no video which can be read."""

    path: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutput:
    """What a search of videos found, the best first."""

    video: str
    """Path of the video where one was searched; empty for several."""
    text: str
    """What was looked for."""
    hits: tuple[HitOutput, ...]
    note: str
    """Why nothing was found, or what was not searched."""
    videos: int
    """Videos that were searched."""
    not_indexed: int
    """Of those, videos of which nothing but subtitles is known."""
    unreadable: tuple[UnreadableOutput, ...]
    covered_s: float
    """Seconds of the videos that descriptions speak of."""
    duration_s: float
    """Seconds of the videos together."""


def search_videos(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS... QUERY",
            help="Videos, folders or patterns, and last the words or a question, in any language; "
            "with --like no words.",
        ),
    ],
    like: Annotated[
        Path | None, typer.Option(help="Find frames that look like this picture instead of words.")
    ] = None,
    encoder: FrameEncoderName = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="Only speech, screen, labels, visual, event or entity; may be repeated."),
    ] = None,
    start: Annotated[float | None, typer.Option(help="First second of each video.")] = None,
    end: Annotated[float | None, typer.Option(help="Last second of each video.")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="From 1:30 of each video on; or files of 2026-11-30 and later."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Up to 1:30 of each video; or files before 2026-11-30.")
    ] = None,
    limit: Annotated[int, typer.Option("--n", "--limit", help="Most hits.")] = 8,
    model: Annotated[
        str | None,
        typer.Option(help="Search what this model described; default: the one with most."),
    ] = None,
    embedder: EmbedderName = None,
    html: Annotated[Path | None, typer.Option(help="Write the hits as a page.")] = None,
    open_hit: Annotated[
        int | None,
        typer.Option("--open", help="Open the hit of this number (from 1) in a video player."),
    ] = None,
    store: StorePath = None,
    full_hash: FullHash = False,
    as_json: Json = False,
) -> None:
    """Find what was said, written or seen in videos: subtitles, their index, captions."""
    from mmreason.cli.inputs import expand_paths
    from mmreason.cli.search_like import search_like
    from mmreason.library.library import Library
    from mmreason.memory.store import Store
    from mmreason.video.files import check_writable

    if encoder is not None and like is None:
        raise UsageError("--encoder compares pictures: it goes with --like picture.png")
    if like is None and len(arguments) < 2:
        raise UsageError(
            "search takes files or folders and then what to look for: "
            'mmreason search talks/ "the budget"'
        )
    if like is not None and (channel or model is not None or embedder is not None):
        raise UsageError(
            "--channel, --model and --embedder are of words: they do not go with --like"
        )
    *patterns, text = arguments if like is None else (*arguments, "")
    if open_hit is not None and open_hit < 1:
        raise UsageError(f"--open takes the number of a hit from 1 on, got {open_hit}")
    if html is not None:
        check_writable(html)
    part = _read_part(start, end, since, until)
    paths = expand_paths(patterns).files
    with Store.open_default() if store is None else Store.open(store) as open_store:
        library = Library(
            paths,
            open_store,
            embedder=_load_embedder(embedder),
            model=model,
            full_hash=full_hash,
        )
        _check_part(part, library)
        if like is not None:
            search_like(
                library,
                like,
                encoder,
                limit=limit,
                part=part,
                html=html,
                open_hit=open_hit,
                as_json=as_json,
            )
            return
        result = _search(library, text, channel or (), limit, part)
        if html is not None:
            _write_page(result, html)
    if as_json:
        print_json(to_json(_to_output(result, str(paths[0]) if len(paths) == 1 else "")))
    else:
        _print_result(result, patterns)
    if not result.hits:
        raise typer.Exit(NO_ANSWER)
    if open_hit is not None:
        _open_hit(result, open_hit)


@dataclass(frozen=True, slots=True)
class SearchPart:
    """What of a library is searched."""

    start_s: float | None = None
    end_s: float | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def span(self) -> Span | None:
        from mmreason.library.library import LONGEST_TIME_S

        if self.start_s is None and self.end_s is None:
            return None
        start_s = self.start_s or 0.0
        end_s = LONGEST_TIME_S if self.end_s is None else self.end_s
        if not 0 <= start_s < end_s:
            raise UsageError(f"a part begins before it ends, got {start_s:g} s to {end_s:g} s")
        return Span(start_s, end_s)


def _check_part(part: SearchPart, library: Library) -> None:
    """UsageError where every video ends before the part begins."""
    ends_s = [video.span.end_s for video in library.videos]
    if part.start_s is not None and ends_s and part.start_s >= max(ends_s):
        raise UsageError(
            f"nothing begins at {format_time(part.start_s)}: the longest of the videos ends at "
            f"{format_time(max(ends_s))}"
        )


def _read_part(
    start: float | None, end: float | None, since: str | None, until: str | None
) -> SearchPart:
    from mmreason.library.times import read_time_or_date

    first = None if since is None else read_time_or_date(since, "--since")
    last = None if until is None else read_time_or_date(until, "--until")
    part = SearchPart(
        first if isinstance(first, float) else start,
        last if isinstance(last, float) else end,
        first if isinstance(first, datetime) else None,
        last if isinstance(last, datetime) else None,
    )
    _ = part.span  # refused now, not after files were read
    return part


def _load_embedder(name: str | None) -> Embedder | Literal["auto"]:
    from mmreason.library.library import find_default_embedder

    if name is None:
        # The libraries take seconds to load: only where there is something to load with them.
        if find_default_embedder() is not None:
            quiet_libraries()
        return "auto"
    quiet_libraries()
    from mmreason.tools.text_embedder import load_embedder

    return load_embedder(name)


def _search(
    library: Library, text: str, channels: tuple[str, ...] | list[str], limit: int, part: SearchPart
) -> LibraryResult:
    with show_progress("reading what is known") as say:
        result = library.search(
            text,
            channels,
            limit=limit,
            span=part.span,
            since=part.since,
            until=part.until,
            on_progress=lambda done: say(f"reading what is known: {done} videos"),
        )
    if not library.videos:
        first = library.unreadable[0]
        raise UsageError(f"{first.path}: {first.reason}")
    return result


def _to_output(result: LibraryResult, video: str) -> SearchOutput:
    return SearchOutput(
        video=video,
        text=result.text,
        hits=tuple(
            HitOutput(
                video=str(hit.path),
                id=hit.best_id,
                ids=hit.ids,
                channel=hit.channel,
                span=hit.span,
                text=hit.quote,
                source=hit.source,
                model=hit.model,
                speaker=hit.speaker,
                confidence=hit.confidence,
                box_px=hit.box_px,
                similarity=hit.similarity,
            )
            for hit in result.hits
        ),
        note=result.note,
        videos=result.videos,
        not_indexed=result.not_indexed,
        unreadable=tuple(
            UnreadableOutput(path=str(u.path), error=u.reason) for u in result.unreadable
        ),
        covered_s=round(result.covered_s, 3),
        duration_s=round(result.duration_s, 3),
    )


def _print_result(result: LibraryResult, patterns: list[str]) -> None:
    for number, hit in enumerate(result.hits, start=1):
        print_line(_describe_hit(number, hit, with_path=result.videos > 1))
    if result.note:
        print_line(f"note: {result.note}")
    for line in describe_gaps(result, patterns):
        print_line(f"note: {line}")


def _describe_hit(number: int, hit: LibraryHit, *, with_path: bool) -> str:
    from mmreason.library.channels import CHANNEL_WORDS

    video = f"{hit.path}  " if with_path else ""
    speaker = f"{hit.speaker}: " if hit.speaker else ""
    # The number is what --open takes; of one hit there is nothing to choose.
    return f"{number}. {video}{hit.span}  {CHANNEL_WORDS[hit.channel]}  {speaker}{hit.quote}"


def describe_gaps(result: LibraryResult, patterns: list[str]) -> list[str]:
    """What was not searched, a line each, with what to do."""
    lines = []
    for unreadable in result.unreadable[:MOST_UNREADABLE]:
        lines.append(f"{unreadable.path}: not searched: {unreadable.reason}")
    if len(result.unreadable) > MOST_UNREADABLE:
        lines.append(f"{len(result.unreadable) - MOST_UNREADABLE} more files were not searched")
    if result.not_indexed:
        count = (
            "this video was"
            if result.videos == 1
            else f"{result.not_indexed} of {result.videos} videos were"
        )
        lines.append(f"{count} not indexed: mmreason index {' '.join(patterns)}")
    elif 0 < result.covered_s < 0.99 * result.duration_s:
        described = f"{format_time(result.covered_s)} of {format_time(result.duration_s)}"
        lines.append(f"described so far: {described}; mmreason index describes it all")
    return lines


def _write_page(result: LibraryResult, html: Path) -> None:
    from mmreason.library.pages import search_page
    from mmreason.video.files import write_atomic

    with show_progress("decoding thumbnails"):
        page = search_page(result, html)
    write_atomic(html, page.encode("utf-8"))
    print_notice(f"page: {html}")


def _open_hit(result: LibraryResult, number: int) -> None:
    from mmreason.library.players import open_in_player

    if number > len(result.hits):
        raise UsageError(f"--open {number}: there are only {len(result.hits)} hits")
    hit = result.hits[number - 1]
    print_notice(open_in_player(hit.path, hit.span.start_s))

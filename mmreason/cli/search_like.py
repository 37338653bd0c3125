"""`mmreason search --like picture.png`: frames that look like a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mmreason.cli.common import (
    NO_ANSWER,
    print_json,
    print_line,
    print_notice,
    quiet_libraries,
    show_progress,
)
from mmreason.cli.search import MOST_UNREADABLE, SearchPart, UnreadableOutput
from mmreason.json_values import to_json
from mmreason.types import UsageError
from mmreason.video.types import Span, format_time

if TYPE_CHECKING:
    from mmreason.library.library import Library
    from mmreason.library.picture_search import PictureResult


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHitOutput:
    """A stretch of a video that looks like the picture: a cue where to look, not evidence."""

    video: str
    """Path of the file."""
    span: Span
    time_s: float
    """Of the frame that is most like the picture."""
    cosine: float
    """Of that frame and the picture, -1 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLikeOutput:
    """What a search by picture found, the most alike first."""

    picture: str
    """Path of what was looked for."""
    encoder: str
    """Name of what compared."""
    floor: float
    """Cosine below which a frame counts as another picture."""
    hits: tuple[PictureHitOutput, ...]
    note: str
    """Why nothing was found."""
    videos: int
    """Videos that were looked through."""
    frames: int
    """Frames that were compared."""
    computed: int
    """Of those, frames that were not in the store."""
    unreadable: tuple[UnreadableOutput, ...]


def search_like(
    library: Library,
    like: Path,
    encoder: str | None,
    *,
    limit: int,
    part: SearchPart,
    html: Path | None,
    open_hit: int | None,
    as_json: bool,
) -> None:
    """Search, print, write the page, open a hit. Exit code 3 where nothing is near enough."""
    result = _search(library, like, encoder, limit, part)
    if html is not None:
        _write_page(result, html)
    if as_json:
        print_json(to_json(_to_output(result)))
    else:
        _print_result(result)
    if not result.hits:
        raise typer.Exit(NO_ANSWER)
    if open_hit is not None:
        _open_hit(result, open_hit)


def _search(
    library: Library, like: Path, encoder: str | None, limit: int, part: SearchPart
) -> PictureResult:
    from mmreason.library.library import DEFAULT_ENCODER

    quiet_libraries()
    with show_progress("looking at frames") as say:
        result = library.search_frames(
            like,
            encoder=encoder or DEFAULT_ENCODER,
            limit=limit,
            span=part.span,
            since=part.since,
            until=part.until,
            on_progress=lambda name, done, total: say(f"looking at {name}: {done} of {total}"),
        )
    if not library.videos:
        first = library.unreadable[0]
        raise UsageError(f"{first.path}: {first.reason}")
    return result


def _to_output(result: PictureResult) -> SearchLikeOutput:
    return SearchLikeOutput(
        picture=result.picture,
        encoder=result.encoder,
        floor=result.floor,
        hits=tuple(
            PictureHitOutput(
                video=str(hit.path), span=hit.span, time_s=hit.time_s, cosine=hit.cosine
            )
            for hit in result.hits
        ),
        note=result.note,
        videos=result.videos,
        frames=result.frames,
        computed=result.computed,
        unreadable=tuple(
            UnreadableOutput(path=str(u.path), error=u.reason) for u in result.unreadable
        ),
    )


def _print_result(result: PictureResult) -> None:
    for number, hit in enumerate(result.hits, start=1):
        best = f"most alike at {format_time(hit.time_s)}, cosine {hit.cosine:.2f}"
        print_line(f"{number}. {hit.path}  {hit.span}  {best}")
    if result.note:
        print_line(f"note: {result.note}")
    for unreadable in result.unreadable[:MOST_UNREADABLE]:
        print_line(f"note: {unreadable.path}: not searched: {unreadable.reason}")
    if len(result.unreadable) > MOST_UNREADABLE:
        print_line(f"note: {len(result.unreadable) - MOST_UNREADABLE} more files were not searched")


def _write_page(result: PictureResult, html: Path) -> None:
    from mmreason.library.pages import picture_page
    from mmreason.video.files import write_atomic

    with show_progress("decoding thumbnails"):
        page = picture_page(result, html)
    write_atomic(html, page.encode("utf-8"))
    print_notice(f"page: {html}")


def _open_hit(result: PictureResult, number: int) -> None:
    from mmreason.library.players import open_in_player

    if number > len(result.hits):
        raise UsageError(f"--open {number}: there are only {len(result.hits)} hits")
    hit = result.hits[number - 1]
    print_notice(open_in_player(hit.path, hit.time_s))

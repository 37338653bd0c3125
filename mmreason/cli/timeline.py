"""`mmreason timeline`: all that is known of a video by time, in the terminal or as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import (
    FullHash,
    Json,
    StorePath,
    print_json,
    print_line,
    print_notice,
    show_progress,
)
from mmreason.json_values import to_json
from mmreason.memory.records import Channel
from mmreason.types import UsageError
from mmreason.video.types import Span

if TYPE_CHECKING:
    from mmreason.library.library import Library
    from mmreason.library.videos import LibraryVideo
    from mmreason.memory.records import MemoryRecord

MOST_PRINTED = 400
"""Lines of a table; a page and JSON have all."""
FOLDER_PICTURES = 60
"""Of each timeline page that belongs to the page of a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRecord:
    """One thing that is known of a stretch of video."""

    id: str
    channel: Channel
    span: Span
    text: str
    source: str
    """What it was read from."""
    model: str
    """Which model wrote it; empty where none did."""
    speaker: str
    confidence: float | None
    """Of who wrote it, 0 to 1; null where that does not tell."""
    box_px: tuple[float, float, float, float] | None
    """Where it is in the picture, in pixels of the original frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineOutput:
    """All that is known of a video, by time."""

    video: str
    span: Span
    records: tuple[TimelineRecord, ...]
    html: str | None
    """Path of the page, where one was asked for."""


def show_timeline(
    path: Annotated[Path, typer.Argument(help="Video file, or a folder of videos (with --html).")],
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write one page with film strip, lanes and a search box; of a folder a page that "
            "leads to one for each video, in a folder of the same name beside it."
        ),
    ] = None,
    store: StorePath = None,
    full_hash: FullHash = False,
    as_json: Json = False,
) -> None:
    """Show what is said, written and seen in a video, by time. Its page searches offline."""
    from mmreason.library.library import Library
    from mmreason.memory.store import Store
    from mmreason.video.files import check_writable

    if path.is_dir() and html is None:
        raise UsageError(f"{path}: is a folder; give --html PAGE, or name a video")
    if html is not None:
        check_writable(html)
    with Store.open_default() if store is None else Store.open(store) as open_store:
        library = Library(path, open_store, embedder=None, full_hash=full_hash)
        if not library.videos:
            raise UsageError(f"{library.unreadable[0].path}: {library.unreadable[0].reason}")
        if path.is_dir():
            assert html is not None
            if as_json:
                raise UsageError(f"{path}: --json is of one video; name a file")
            _write_folder(library, str(path), html)
            return
        video = library.videos[0]
        records = library.read_records(video)
    if html is not None:
        _write_video(video, records, html)
    if as_json:
        print_json(to_json(_to_output(video, records, html)))
    elif html is None:
        _print_table(video, records)


def _write_video(video: LibraryVideo, records: Sequence[MemoryRecord], html: Path) -> None:
    from mmreason.library.pages import timeline_page
    from mmreason.library.timeline import make_timeline
    from mmreason.video.files import write_atomic

    with show_progress("decoding pictures") as say:
        timeline = make_timeline(video, records, on_progress=say)
    page = timeline_page(video, timeline, html, notes=_list_notes(video, records))
    write_atomic(html, page.encode("utf-8"))
    print_notice(f"page: {html}")


def _write_folder(library: Library, folder: str, html: Path) -> None:
    from mmreason.library.pages import FolderEntry, folder_page, timeline_page
    from mmreason.library.timeline import make_timeline
    from mmreason.video.files import write_atomic
    from mmreason.video.types import VideoError

    entries: list[FolderEntry] = []
    notes = [f"{u.path}: not shown: {u.reason}" for u in library.unreadable]
    pages = html.with_suffix("")
    if pages == html:
        pages = html.with_name(f"{html.name}-videos")
    with show_progress("decoding pictures") as say:
        for number, video in enumerate(library.videos, start=1):
            records = library.read_records(video)
            try:
                timeline = make_timeline(
                    video, records, most_pictures=FOLDER_PICTURES, on_progress=say
                )
            except VideoError as error:
                notes.append(f"{video.path}: not shown: {error}")
                continue
            # Numbered, so that files of one name from two folders do not meet.
            page = pages / f"{number:03d}-{video.path.stem[:80]}.html"
            text = timeline_page(video, timeline, page, notes=_list_notes(video, records))
            write_atomic(page, text.encode("utf-8"))
            entries.append(FolderEntry(video=video, timeline=timeline, page=page))
    text = folder_page(folder, entries, html, notes=notes)
    write_atomic(html, text.encode("utf-8"))
    print_notice(f"page: {html} ({len(entries)} videos in {pages})")
    for note in notes:
        print_notice(f"note: {note}")


def _list_notes(video: LibraryVideo, records: Sequence[MemoryRecord]) -> list[str]:
    if records:
        return []
    return [f"nothing is known of this video yet: mmreason index {video.path}"]


def _print_table(video: LibraryVideo, records: Sequence[MemoryRecord]) -> None:
    from mmreason.library.channels import CHANNEL_WORDS

    for record in records[:MOST_PRINTED]:
        speaker = f"{record.speaker}: " if record.speaker else ""
        span = f"{record.span}"
        print_line(f"{span:<19}  {CHANNEL_WORDS[record.channel]:<7}  {speaker}{record.text}")
    if len(records) > MOST_PRINTED:
        print_line(f"note: {len(records) - MOST_PRINTED:,} more lines; --html PAGE shows all")
    for note in _list_notes(video, records):
        print_line(f"note: {note}")


def _to_output(
    video: LibraryVideo, records: Sequence[MemoryRecord], html: Path | None
) -> TimelineOutput:
    return TimelineOutput(
        video=str(video.path),
        span=video.span,
        records=tuple(
            TimelineRecord(
                id=record.id,
                channel=record.channel,
                span=record.span,
                text=record.text,
                source=record.source,
                model=record.model,
                speaker=record.speaker,
                confidence=record.confidence,
                box_px=record.box_px,
            )
            for record in records
        ),
        html=None if html is None else str(html),
    )

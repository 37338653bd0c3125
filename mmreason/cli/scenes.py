"""`mmreason scenes`: a video from cut to cut, with what is said, written and seen in each part."""

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
from mmreason.types import UsageError
from mmreason.video.types import Span

if TYPE_CHECKING:
    from mmreason.library.scenes import SceneList
    from mmreason.memory.records import MemoryRecord

MOST_PRINTED_CHARACTERS = 200
"""Of what is said, written or seen in a scene; a page and JSON have all."""
_SCENE_SUFFIXES = (".ffmetadata", ".txt", ".edl", ".otio")
"""Formats that hold scenes; the others hold each line that was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOutput:
    """A stretch of video between two cuts."""

    number: int
    """From 1, by time."""
    span: Span
    said: tuple[str, ...]
    written: tuple[str, ...]
    """Texts that can be read in it, each once."""
    seen: tuple[str, ...]
    """Labels and descriptions, each once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenesOutput:
    """The scenes of a video; they tile it."""

    video: str
    scenes: tuple[SceneOutput, ...]
    note: str
    """What was not known; empty where nothing is lacking."""
    html: str | None
    """Path of the page, where one was asked for."""


def list_video_scenes(
    path: Annotated[Path, typer.Argument(help="Video file, or a scripted world (.json).")],
    html: Annotated[
        Path | None, typer.Option(help="Write the scenes as a page with a picture each.")
    ] = None,
    export: Annotated[
        list[Path] | None,
        typer.Option(
            help="Write what was found: lines to .csv, .md, .srt or .vtt; scenes as chapters to "
            ".ffmetadata or .txt (YouTube), as a cut list to .edl or .otio. May be repeated."
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            help="Of exported lines only speech, screen, labels, visual; may be repeated."
        ),
    ] = None,
    store: StorePath = None,
    full_hash: FullHash = False,
    as_json: Json = False,
) -> None:
    """List the scenes of a video with what is said, written and seen in each."""
    from mmreason.library.channels import read_channel_names
    from mmreason.library.exports import check_export
    from mmreason.library.library import Library
    from mmreason.memory.store import Store
    from mmreason.video.files import check_writable

    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a video")
    if html is not None:
        check_writable(html)
    for target in export or ():
        check_export(target)
    channels = read_channel_names(channel or ())
    with Store.open_default() if store is None else Store.open(store) as open_store:
        library = Library(path, open_store, embedder=None, full_hash=full_hash)
        if not library.videos:
            raise UsageError(f"{library.unreadable[0].path}: {library.unreadable[0].reason}")
        with show_progress("reading scenes"):
            scenes = library.scenes(library.videos[0])
        records = library.read_records(library.videos[0])
    for target in export or ():
        _write_export(scenes, [r for r in records if r.channel in channels], target)
    if html is not None:
        _write_page(scenes, html)
    if as_json:
        print_json(to_json(_to_output(scenes, html)))
    elif html is None and not export:
        _print_scenes(scenes)


def _write_page(scenes: SceneList, html: Path) -> None:
    from mmreason.library.pages import scenes_page
    from mmreason.library.thumbnails import read_thumbnails
    from mmreason.video import Video
    from mmreason.video.files import write_atomic

    with show_progress("decoding pictures"), Video.open(scenes.video.path) as video:
        pictures = read_thumbnails(video, scenes.picture_times_s)
    write_atomic(html, scenes_page(scenes, pictures, html).encode("utf-8"))
    print_notice(f"page: {html}")


def _write_export(scenes: SceneList, records: Sequence[MemoryRecord], target: Path) -> None:
    from mmreason.library.exports import ExportItem, to_export_item, write_export
    from mmreason.library.exports.timecode import find_frame_rate
    from mmreason.video import Video

    path = str(scenes.video.path)
    if target.suffix.lower() in _SCENE_SUFFIXES:
        items = [ExportItem(span=s.span, text=s.title, video=path) for s in scenes.scenes]
    else:
        items = [to_export_item(record, path) for record in records]
    with Video.open(scenes.video.path) as video:
        rate_hz: float | None = video.info.mean_fps_hz
    try:
        find_frame_rate(rate_hz)
    except UsageError:
        # What timecode does not count (a phone's own rate) is written at 25, which is told.
        rate_hz = None
    written = write_export(
        items,
        target,
        duration_s=scenes.video.span.end_s,
        fps_hz=rate_hz,
        title=scenes.video.path.stem,
    )
    print_notice(f"export: {target}, {len(items)} {'line' if len(items) == 1 else 'lines'}")
    for note in written.notes:
        print_notice(f"note: {note}")


def _print_scenes(scenes: SceneList) -> None:
    from mmreason.report.text import shorten_text

    for scene in scenes.scenes:
        print_line(f"{scene.number:>4}  {scene.span}")
        for kind, texts in scene.list_lines():
            if texts:
                print_line(
                    f"      {kind}: {shorten_text(' / '.join(texts), MOST_PRINTED_CHARACTERS)}"
                )
    if scenes.note:
        print_line(f"note: {scenes.note}")


def _to_output(scenes: SceneList, html: Path | None) -> ScenesOutput:
    return ScenesOutput(
        video=str(scenes.video.path),
        scenes=tuple(
            SceneOutput(
                number=scene.number,
                span=scene.span,
                said=scene.said,
                written=scene.written,
                seen=scene.seen,
            )
            for scene in scenes.scenes
        ),
        note=scenes.note,
        html=None if html is None else str(html),
    )

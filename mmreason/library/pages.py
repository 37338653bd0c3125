"""Pages of a library: hits of a search, the timeline of a video, a folder, scenes.

The pages of a timeline and of a folder have a script, for zoom and search without a network. It is
named in the page's Content-Security-Policy by its digest, and puts texts into the page as text.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mmreason.library.channels import CHANNEL_WORDS
from mmreason.library.players import format_mpv_command
from mmreason.library.results import LibraryHit, LibraryResult
from mmreason.library.thumbnails import to_data_url
from mmreason.library.timeline import VideoTimeline
from mmreason.library.videos import LibraryVideo
from mmreason.report.text import format_count
from mmreason.video.plain_text import show_line
from mmreason.video.types import Span, format_time
from mmreason.viz.pages import PageScript, load_templates, render_document, render_fragment

if TYPE_CHECKING:
    from mmreason.library.picture_search import PictureResult
    from mmreason.library.scenes import SceneList

_STYLES = ("library_style.html",)
_WIDTH_REM = 70
_STRIP_PICTURES = 10
"""Of each video on the page of a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderEntry:
    """One video on the page of a folder."""

    video: LibraryVideo
    timeline: VideoTimeline
    page: Path
    """Its own timeline page."""


def search_page(result: LibraryResult, page: Path) -> str:
    """A document with the hits of a search; links lead to the videos from where `page` lies."""
    return render_document(
        load_templates("mmreason", "library"),
        "hits.html",
        {"top": "h1", **_search_values(result, page.parent)},
        title=result.text,
        width_rem=54,
        styles=_STYLES,
    )


def search_fragment(result: LibraryResult) -> str:
    """The same as a `<div>`, for a notebook."""
    return render_fragment(
        load_templates("mmreason", "library"),
        "hits.html",
        {"top": "h2", **_search_values(result, Path())},
        styles=_STYLES,
    )


def picture_page(result: PictureResult, page: Path) -> str:
    """A document with the hits of a search by picture."""
    return render_document(
        load_templates("mmreason", "library"),
        "hits.html",
        {"top": "h1", **_picture_values(result, page.parent)},
        title=f"Like {result.picture}",
        width_rem=54,
        styles=_STYLES,
    )


def picture_fragment(result: PictureResult) -> str:
    """The same as a `<div>`, for a notebook."""
    return render_fragment(
        load_templates("mmreason", "library"),
        "hits.html",
        {"top": "h2", **_picture_values(result, Path(), has_commands=False)},
        styles=_STYLES,
    )


def timeline_page(
    video: LibraryVideo, timeline: VideoTimeline, page: Path, *, notes: Sequence[str] = ()
) -> str:
    """A document that shows all that is known of a video by time; `page` is where it will lie."""
    source = link_file(video.path, page.parent)
    lanes = (f"{len(lane.lines):,} {lane.name.lower()}" for lane in timeline.lanes)
    shots = format_count(len(timeline.shots), "shot") if timeline.shots else ""
    return render_document(
        load_templates("mmreason", "library"),
        "timeline.html",
        {
            "name": video.name,
            "title": video.path.stem,
            "duration": format_time(timeline.span.duration_s),
            "facts": [fact for fact in (shots, *lanes) if fact],
            "notes": list(notes),
            "source": source,
            "quoted_path": _quote_path(video.path),
        },
        title=video.name,
        width_rem=_WIDTH_REM,
        styles=_STYLES,
        script=PageScript(
            ("page_search.js", "timeline.js"),
            _timeline_data(video, timeline, source),
            plays_videos=bool(source),
        ),
    )


def folder_page(
    folder: str, entries: Sequence[FolderEntry], page: Path, *, notes: Sequence[str] = ()
) -> str:
    """A document that lists videos with their pictures and searches all of them; each leads to its
    timeline page."""
    kinds = {
        lane.kind: lane.name for entry in entries for lane in entry.timeline.lanes
    }  # in order of appearance
    numbers = {kind: number for number, kind in enumerate(kinds)}
    lines = sum(entry.timeline.line_count for entry in entries)
    total_s = sum(entry.timeline.span.duration_s for entry in entries)
    facts = f"{format_count(len(entries), 'video')}, {format_time(total_s)} together"
    return render_document(
        load_templates("mmreason", "library"),
        "folder.html",
        {
            "folder": show_line(folder),
            "title": "Videos",
            "facts": f"{facts}, {format_count(lines, 'line')}",
            "notes": list(notes),
            "entries": [
                {
                    "page": link_file(entry.page, page.parent),
                    "name": entry.video.name,
                    "duration": format_time(entry.timeline.span.duration_s),
                    "facts": ", ".join(
                        f"{len(lane.lines):,} {lane.name.lower()}" for lane in entry.timeline.lanes
                    ),
                    "pictures": _spread_pictures(entry.timeline),
                }
                for entry in entries
            ],
        },
        title=f"Videos of {show_line(folder)}",
        width_rem=_WIDTH_REM,
        styles=_STYLES,
        script=PageScript(
            ("page_search.js", "folder.js"),
            {
                "kinds": [[kind, name] for kind, name in kinds.items()],
                "videos": [
                    {
                        "name": entry.video.name,
                        "page": link_file(entry.page, page.parent),
                        "rows": [
                            [round(line.span.start_s, 3), numbers[lane.kind], line.text]
                            for lane in entry.timeline.lanes
                            for line in lane.lines
                        ],
                    }
                    for entry in entries
                ],
            },
        ),
    )


def scenes_page(scenes: SceneList, pictures: Sequence[bytes], page: Path) -> str:
    """A document that lists scenes with a picture each."""
    href = link_file(scenes.video.path, page.parent)
    return render_document(
        load_templates("mmreason", "library"),
        "scenes.html",
        {
            "name": scenes.video.name,
            "title": "Scenes",
            "duration": format_time(scenes.video.span.duration_s),
            "counts": format_count(len(scenes.scenes), "scene"),
            "notes": [scenes.note] if scenes.note else [],
            "scenes": [
                {
                    "number": scene.number,
                    "time": format_time(scene.span.middle_s),
                    "span": _dash(scene.span),
                    "picture": to_data_url(picture),
                    "href": _at_time(href, scene.span),
                    "lines": [
                        (kind, " / ".join(texts)) for kind, texts in scene.list_lines() if texts
                    ],
                }
                for scene, picture in zip(scenes.scenes, pictures, strict=True)
            ],
        },
        title=f"Scenes of {scenes.video.name}",
        width_rem=54,
        styles=_STYLES,
    )


def link_file(path: Path, folder: Path) -> str:
    """The relative address of a file for a page in `folder`; empty where there is none (another
    drive). Every character that means something in an address is escaped.

    Example:
        >>> link_file(Path("/v/a #1.mp4"), Path("/v/pages"))
        '../a%20%231.mp4'
    """
    try:
        relative = os.path.relpath(path.absolute(), folder.absolute())
    except ValueError:
        return ""
    # Colons too, so that no name of a file reads as a scheme.
    return quote(Path(relative).as_posix().encode(errors="surrogateescape"), safe="/.")


def _at_time(href: str, span: Span) -> str:
    return f"{href}#t={span.start_s:.2f},{span.end_s:.2f}" if href else ""


def _timeline_data(video: LibraryVideo, timeline: VideoTimeline, source: str) -> dict[str, Any]:
    return {
        "source": source,
        "quoted_path": _quote_path(video.path),
        "start_s": round(timeline.span.start_s, 3),
        "end_s": round(timeline.span.end_s, 3),
        "shot_starts_s": [round(shot.start_s, 3) for shot in timeline.shots],
        "picture_times_s": [round(time_s, 3) for time_s in timeline.picture_times_s],
        "pictures": [to_data_url(picture) for picture in timeline.pictures],
        "lanes": [
            {
                "name": lane.name,
                "kind": lane.kind,
                "rows": [
                    [round(line.span.start_s, 3), round(line.span.end_s, 3), line.text, line.detail]
                    for line in lane.lines
                ],
            }
            for lane in timeline.lanes
        ],
    }


def _search_values(result: LibraryResult, folder: Path) -> dict[str, object]:
    videos = format_count(result.videos, "video")
    return {
        "counts": f"{format_count(len(result.hits), 'hit')} in {videos}",
        "text": show_line(result.text),
        "notes": [result.note] if result.note else [],
        "hits": [_hit_values(hit, folder) for hit in result.hits],
    }


def _hit_values(hit: LibraryHit, folder: Path) -> dict[str, str]:
    details = (hit.speaker, hit.source, hit.model, f"similarity {hit.similarity:.2f}")
    return {
        "picture": to_data_url(hit.thumbnail),
        "time": format_time(hit.span.middle_s),
        "span": _dash(hit.span),
        "kind": "screen" if hit.channel == "screen_text" else hit.channel,
        "channel": CHANNEL_WORDS[hit.channel],
        "name": hit.path.name,
        "quote": hit.quote,
        "detail": ", ".join(filter(None, details)),
        "href": _at_time(link_file(hit.path, folder), hit.span),
        "command": format_mpv_command(hit.path, hit.span.start_s),
    }


def _picture_values(
    result: PictureResult, folder: Path, *, has_commands: bool = True
) -> dict[str, object]:
    counts = (format_count(len(result.hits), "hit"), format_count(result.videos, "video"))
    name = Path(result.picture).name if result.picture else "a picture"
    return {
        "counts": " in ".join(counts),
        "text": f"like {show_line(name)}",
        "notes": [result.note] if result.note else [],
        "hits": [
            {
                "picture": to_data_url(hit.thumbnail),
                "time": format_time(hit.time_s),
                "span": _dash(hit.span),
                "kind": "label",
                "channel": "frame",
                "name": hit.path.name,
                "quote": f"most alike at {format_time(hit.time_s)}",
                "detail": f"{result.encoder}, cosine {hit.cosine:.2f}",
                "href": _at_time(link_file(hit.path, folder), hit.span),
                # A notebook is passed on: it names no folder of this machine.
                "command": format_mpv_command(hit.path, hit.time_s) if has_commands else "",
            }
            for hit in result.hits
        ],
    }


def _spread_pictures(timeline: VideoTimeline) -> list[str]:
    count = len(timeline.pictures)
    picked = sorted({i * count // _STRIP_PICTURES for i in range(_STRIP_PICTURES)}) if count else []
    return [to_data_url(timeline.pictures[i]) for i in picked]


def _quote_path(path: Path) -> str:
    return show_line(shlex.quote(str(path)))


def _dash(span: Span) -> str:
    return f"{format_time(span.start_s)} \N{EN DASH} {format_time(span.end_s)}"

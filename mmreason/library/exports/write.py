"""Writing an export: the format is that of the file's name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmreason.library.exports.captions import (
    format_ffmetadata,
    format_srt,
    format_vtt,
    format_youtube_chapters,
)
from mmreason.library.exports.cut_lists import format_edl, format_otio
from mmreason.library.exports.items import ExportItem, fit_items
from mmreason.library.exports.tables import format_csv, format_markdown
from mmreason.types import UsageError
from mmreason.video.files import check_writable, write_atomic

EXPORT_SUFFIXES = (".csv", ".srt", ".vtt", ".md", ".ffmetadata", ".txt", ".edl", ".otio")
"""A table, subtitles (two), a list, chapters for FFmpeg and for YouTube, cut lists (two)."""
_FPS_HZ = 25.0


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file that was written.

    Example:
        >>> ExportFile(Path("found.csv"), 12).notes
        ()
    """

    path: Path
    items: int
    notes: tuple[str, ...] = ()
    """What was changed or left out to fit the format."""


def check_export(path: Path) -> str:
    """The suffix of `path` in small letters. UsageError where it is that of no export, VideoError
    where the file cannot be written: asked before work of which the result goes there.

    Example:
        >>> check_export(Path("found.CSV"))
        '.csv'
    """
    suffix = path.suffix.lower()
    if suffix not in EXPORT_SUFFIXES:
        raise UsageError(
            f"{path}: exports end in {', '.join(EXPORT_SUFFIXES)} (.txt: chapters for YouTube), "
            f"got {suffix or 'no suffix'}"
        )
    check_writable(path)
    return suffix


def write_export(
    items: Iterable[ExportItem],
    path: str | Path,
    *,
    duration_s: float | None = None,
    fps_hz: float | None = None,
    title: str = "mmreason",
) -> ExportFile:
    """Write `items` to `path`, in the format of its suffix (`EXPORT_SUFFIXES`).

    `duration_s` is that of their video, where they are of one: what reaches beyond is cut. `fps_hz`
    is the rate of cut lists, 25 where it is not given (told). Raises UsageError for another suffix
    and what a format cannot hold, VideoError where the file cannot be written.

    Example:
        >>> from mmreason.video.types import Span
        >>> items = [ExportItem(span=Span(12, 31), text="Budget 2025")]
        >>> write_export(items, "found.vtt").items  # doctest: +SKIP
        1
    """
    path = Path(path).expanduser()
    suffix = check_export(path)
    fitted = fit_items(items, duration_s)
    notes = list(fitted.notes)
    if suffix in (".edl", ".otio") and fps_hz is None:
        notes.append(f"no rate was given: frames are counted at {_FPS_HZ:g} a second")
    rate_hz = _FPS_HZ if fps_hz is None else fps_hz
    ends_s = [item.span.end_s for item in fitted.items]
    match suffix:
        case ".csv":
            text = format_csv(fitted.items)
        case ".md":
            text = format_markdown(fitted.items, title)
        case ".srt":
            text = format_srt(fitted.items)
        case ".vtt":
            text = format_vtt(fitted.items)
        case ".ffmetadata":
            text = format_ffmetadata(fitted.items, duration_s or max(ends_s, default=0.0))
        case ".txt":
            chapters = format_youtube_chapters(fitted.items)
            text, notes = chapters.text, [*notes, *chapters.notes]
        case ".edl":
            text = format_edl(fitted.items, rate_hz, title)
        case _:
            text = format_otio(fitted.items, rate_hz, title)
    write_atomic(path, text.encode())
    return ExportFile(path, len(fitted.items), tuple(notes))

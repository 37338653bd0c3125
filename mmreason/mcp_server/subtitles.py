"""The subtitles of an open video, from files that may be read and nowhere else.

As `mmreason.video.subtitles.find_subtitles` finds them, with each file opened through `roots`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mmreason.mcp_server.roots import Roots
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line
from mmreason.video.subtitles import Subtitles, find_subtitles, place_on_video
from mmreason.video.subtitles.files import read_open_subtitles
from mmreason.video.subtitles.find import match_subtitle_files
from mmreason.video.types import VideoError


def read_subtitles(roots: Roots, name: str, video: Path) -> Subtitles:
    """The subtitle file that `name` leads to, on the clock of the video that can be opened at
    `video`. UsageError and VideoError where it cannot be read."""
    with roots.open(name, "a subtitle file") as file:
        path = Path(file.name)
        try:
            subtitles = read_open_subtitles(file, path)
        except OSError as error:
            raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    return place_on_video(subtitles, video)


def find_subtitles_below(roots: Roots, video_name: str, video: Path) -> Subtitles | None:
    """A file beside the video of that path, else a track inside it, which is read at `video`;
    None where there are none. What cannot be read is passed over with a note."""
    notes: list[str] = []
    for match in match_subtitle_files(Path(video_name), roots.names_beside(video_name)):
        if match.is_forced:
            continue
        try:
            subtitles = read_subtitles(roots, str(match.path), video)
        except (UsageError, VideoError) as error:
            notes.append(f"{match.path.name} was not read: {show_line(str(error))}")
            continue
        found_note = f"read from {match.path.name}, found beside the video"
        return replace(
            subtitles, language=match.language, notes=(found_note, *notes, *subtitles.notes)
        )
    inside = find_subtitles(video)
    if inside is not None:
        return replace(inside, path=video_name, notes=(*notes, *inside.notes))
    return Subtitles(lines=(), path=video_name, notes=tuple(notes)) if notes else None

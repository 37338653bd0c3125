"""The subtitles of an open video, from files that may be read and nowhere else.

As `mmreason.video.subtitles.find_subtitles` finds them, with each file opened through `roots` and
the video read within the limits of the call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mmreason.server.roots import Roots
from mmreason.types import UsageError
from mmreason.video.backends.base import ReadOptions
from mmreason.video.file_kinds import is_world_script
from mmreason.video.plain_text import show_line
from mmreason.video.subtitles import Subtitles, find_subtitles
from mmreason.video.subtitles.files import read_open_subtitles
from mmreason.video.subtitles.find import (
    ContainerTimes,
    container_times,
    match_subtitle_files,
    place_in_times,
)
from mmreason.video.types import VideoError


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleReader:
    """Reads the subtitles of one open video.

    Example: `SubtitleReader(roots=roots, video_name=file.name, video_path=video.path,
    options=ReadOptions(memory_limit_mb=512)).find()`.
    """

    roots: Roots
    video_name: str
    """The path of the video, beside which subtitles may lie."""
    video_path: Path
    """Where it can be opened: the file that was opened already, whatever its name stands for."""
    options: ReadOptions

    def read(self, name: str) -> Subtitles:
        """The subtitle file that `name` leads to, on the clock of the video. UsageError and
        VideoError where it cannot be read."""
        with self.roots.open(name, "a subtitle file") as file:
            path = Path(file.name)
            try:
                subtitles = read_open_subtitles(file, path)
            except OSError as error:
                raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
        try:
            times = self._container_times()
        except VideoError as error:
            note = f"the start of the video was not read: {self._reason(error)}"
            return replace(subtitles, notes=(*subtitles.notes, note))
        return subtitles if times is None else place_in_times(subtitles, times)

    def find(self) -> Subtitles | None:
        """A file beside the video, else a track inside it; None where there are none. What cannot
        be read is passed over with a note."""
        notes: list[str] = []
        beside = self.roots.names_beside(self.video_name)
        for match in match_subtitle_files(Path(self.video_name), beside):
            # Forced subtitles hold foreign passages only and would pass for all that is said.
            if match.is_forced:
                continue
            name = match.path.name
            try:
                subtitles = self.read(str(match.path))
            except (UsageError, VideoError) as error:
                notes.append(f"{name} was not read: {show_line(str(error))}")
                continue
            notes = [f"read from {name}, found beside the video", *notes, *subtitles.notes]
            return replace(subtitles, language=match.language, notes=tuple(notes))
        try:
            inside = self._find_inside()
        except VideoError as error:
            notes.append(f"subtitles inside the video were not read: {self._reason(error)}")
            inside = None
        if inside is not None:
            return replace(inside, path=self.video_name, notes=(*notes, *inside.notes))
        # An empty set carries the notes of what could not be read, where None would hide them.
        return Subtitles(lines=(), path=self.video_name, notes=tuple(notes)) if notes else None

    def _container_times(self) -> ContainerTimes | None:
        # A scripted world has no container whose clock could begin elsewhere.
        if is_world_script(self.video_path):
            return None
        # Without a limit of memory there is no process apart in which to read.
        if self.options.memory_limit_mb is None:
            return container_times(self.video_path)
        from mmreason.video.isolation.subtitles import container_times_in_process

        return container_times_in_process(self.video_path, self.options)

    def _find_inside(self) -> Subtitles | None:
        if is_world_script(self.video_path):
            return None
        if self.options.memory_limit_mb is None:
            return find_subtitles(self.video_path)
        from mmreason.video.isolation.subtitles import find_subtitles_in_process

        return find_subtitles_in_process(self.video_path, self.options)

    def _reason(self, error: VideoError) -> str:
        return show_line(str(error).removeprefix(f"{self.video_path}: "))

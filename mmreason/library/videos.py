"""The videos of a library: which files, what each is, and how much is known of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmreason.memory.records import MemoryRecord
from mmreason.memory.store import Store
from mmreason.video import Video
from mmreason.video.plain_text import show_line
from mmreason.video.types import Span, VideoError


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryVideo:
    """One video of a library.

    Example:
        >>> from mmreason import Library
        >>> Library("talks").videos[0].name  # doctest: +SKIP
        'keynote.mp4'
    """

    path: Path
    content_hash: str
    """Names the content in the store, whatever the file is called."""
    span: Span
    """From the first frame to the end of the last."""
    modified_s: float
    """When the file was written last, seconds since 1970."""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def memory_name(self) -> str:
        """What the store calls it where people read that."""
        return f"{self.name} [{self.content_hash[:8]}]"


@dataclass(frozen=True, slots=True)
class UnreadableVideo:
    """A file of a library that is no video which can be read."""

    path: Path
    reason: str
    """One line, without the path."""


def open_videos(
    paths: Iterable[Path], *, full_hash: bool = False
) -> tuple[tuple[LibraryVideo, ...], tuple[UnreadableVideo, ...]]:
    """What each file is, in the order given, and those that cannot be read. Two files of the same
    content are two videos."""
    videos: list[LibraryVideo] = []
    unreadable: list[UnreadableVideo] = []
    for path in paths:
        try:
            with Video.open(path, full_hash=full_hash) as video:
                videos.append(
                    LibraryVideo(
                        path=path,
                        content_hash=video.content_hash,
                        span=video.info.span,
                        modified_s=path.stat().st_mtime,
                    )
                )
        except (VideoError, OSError) as error:
            reason = show_line(str(error)).removeprefix(f"{show_line(str(path))}: ")
            unreadable.append(UnreadableVideo(path, reason))
    return tuple(videos), tuple(unreadable)


def is_indexed(records: Iterable[MemoryRecord]) -> bool:
    """Whether anything but subtitles was made of a video: subtitles are read without an index.

    Example:
        >>> is_indexed([MemoryRecord("speech", Span(0, 2), "Good morning.", "talk.srt")])
        False
    """
    return any(record.model for record in records if record.channel != "still")


def add_subtitles(video: LibraryVideo, store: Store) -> None:
    """Take the subtitles beside or inside a video into its memory, where no speech is in it."""
    from mmreason.memory.caption_records import make_speech_records
    from mmreason.video.subtitles import find_subtitles

    try:
        subtitles = find_subtitles(video.path)
    except VideoError:
        return  # the file is gone since it was opened; what is known of it stays
    if subtitles is not None:
        store.add_records(
            video.content_hash, make_speech_records(subtitles), name=video.memory_name
        )

"""The record of subtitles: lines of plain text over spans of time, windowed, searched and saved."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from mmreason.video.files import write_atomic
from mmreason.video.types import Span, VideoError

if TYPE_CHECKING:
    pass

_MISREAD = re.compile(r"&(?=#?\w{1,31};)|<(?=[/\w])|\{|(?<=-)>")
"""What a reader of srt files would take for an entity, a tag, a style or the arrow of a time."""


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """What is written over a span of time: plain text on one line.

    Example: `Line(Span(1.0, 2.5), "Good morning, everybody.")`.
    """

    span: Span
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtitles:
    """Lines of text in order of time. They may overlap."""

    lines: tuple[Line, ...]
    path: str = ""
    """The file that they were read from: of text, or the video that carries them."""
    format: str = "srt"
    """srt, vtt or ass; the codec's name for a track inside a video."""
    language: str = ""
    """As the file's name or the track states it, "" where neither does."""
    notes: tuple[str, ...] = ()
    """What was guessed, chosen, moved or left out while reading."""

    def __post_init__(self) -> None:
        if list(self.lines) != sorted(self.lines):
            raise ValueError("subtitle lines must be in ascending order of time")

    @property
    def name(self) -> str:
        """Of the file, without its folders; "subtitles" where there is none."""
        return PurePath(self.path).name or "subtitles"

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        encoding: str | None = None,
        track: int | None = None,
        language: str | None = None,
    ) -> Subtitles:
        """Read an srt, vtt, ass or ssa file, or a track of text inside a video (mp4, mkv, webm).

        `encoding` is a name that Python knows (`cp1251`, `gbk`, `utf-16-le`); without one the file
        is utf-8, or has a mark, or is guessed to be cp1252 with a note. In a video `track` is the
        index of a stream (`subtitle_tracks` lists them) and `language` a code such as `en`; without
        either the track that players show is read. Times are those that the file states: use
        `place_on_video` for a file of text, whose times count from the start of the video.
        Raises VideoError naming the file and what is wrong with it.
        """
        from mmreason.video.subtitles import files, tracks

        path = Path(path)
        if files.is_subtitle_file(path):
            if track is not None or language is not None:
                raise VideoError(f"{path}: holds no tracks; leave out track and language")
            return files.read_subtitle_file(path, encoding)
        return tracks.read_subtitle_track(path, track, language, encoding)

    def during(self, span: Span) -> tuple[Line, ...]:
        """The lines that are shown at some time inside `span`, in order. An empty span asks for
        one moment."""
        if span.duration_s == 0:
            return tuple(line for line in self.lines if line.span.contains(span.start_s))
        return tuple(line for line in self.lines if line.span.overlap_s(span) > 0)

    def search(self, text: str) -> tuple[Line, ...]:
        """The lines in which every word of `text` occurs, in order; case and accents do not count.

        Raises ValueError where `text` holds no word.
        """
        terms = _folded(text).split()
        if not terms:
            raise ValueError("search needs at least one word, got none")
        return tuple(
            line for line in self.lines if all(word in _folded(line.text) for word in terms)
        )

    def shifted(self, offset_s: float) -> Subtitles:
        """The same lines `offset_s` seconds later (earlier where negative), with a note."""
        moved = (
            Line(Span(line.span.start_s + offset_s, line.span.end_s + offset_s), line.text)
            for line in self.lines
        )
        note = f"times were moved by {offset_s:+.3f} s"
        return replace(self, lines=tuple(sorted(moved)), notes=(*self.notes, note))

    def to_srt(self) -> str:
        """The lines as the text of an srt file. Text that would read as markup is escaped."""
        blocks = (
            f"{number}\n{_stamp(line.span.start_s)} --> {_stamp(line.span.end_s)}\n"
            f"{_MISREAD.sub(_as_entity, line.text)}\n"
            for number, line in enumerate(self.lines, 1)
        )
        return "\n".join(blocks)

    def save(self, path: str | Path) -> Path:
        """Write an srt file. Raises VideoError where it cannot be written or is named otherwise."""
        path = Path(path)
        if path.suffix.lower() != ".srt":
            raise VideoError(f"{path}: give a name that ends in .srt")
        try:
            return write_atomic(path, self.to_srt().encode())
        except OSError as error:
            raise VideoError(f"{path}: cannot be written ({error})") from error

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _as_entity(misread: re.Match[str]) -> str:
    return f"&#{ord(misread[0])};"


def _stamp(time_s: float) -> str:
    """`3723.5` -> `01:02:03,500`."""
    sign = "-" if time_s < 0 else ""
    seconds, ms = divmod(round(abs(time_s) * 1000), 1000)
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{ms:03d}"

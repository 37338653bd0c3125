"""Subtitle tracks inside video files, read through PyAV: which there are, and their text.

The packets of a text track hold the same markup as files do, so nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from mmreason.video.backends.base import check_regular_file
from mmreason.video.file_kinds import describe_other_kind
from mmreason.video.plain_text import show_line
from mmreason.video.subtitles.cues import Cue
from mmreason.video.subtitles.files import SUFFIXES, decode_text, guess_notes, lines_of
from mmreason.video.subtitles.languages import same_language
from mmreason.video.subtitles.limits import MAX_BYTES, MAX_LABEL, MAX_PACKETS
from mmreason.video.subtitles.lines import Subtitles
from mmreason.video.subtitles.markup import name_first, strip_ass, strip_tags
from mmreason.video.types import VideoError
from mmreason.video.unreadable import explain_unreadable

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet

_BITMAPS = {"dvb_subtitle", "dvd_subtitle", "hdmv_pgs_subtitle", "xsub"}
_EXPECTED = f"a subtitle file ({', '.join(SUFFIXES)}) or a video that carries subtitles"
# As long as two lines of text take to be read.
_LAST_LINE_US = 5_000_000
"""How long a line without a stated length is shown at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleTrack:
    """A subtitle stream of a container.

    Example: `SubtitleTrack(index=2, codec="subrip", language="eng", is_default=True)`.
    """

    index: int
    """Index of the stream in its container: what `Subtitles.load(track=)` takes."""
    codec: str
    """As FFmpeg names it: subrip, ass, webvtt, mov_text, dvd_subtitle, ..."""
    language: str = ""
    """As stated, most often three letters; "" where it is not."""
    title: str = ""
    is_default: bool = False
    is_forced: bool = False
    """Whether it holds only what is to be read in any case, such as signs."""
    why_unreadable: str | None = None
    """None where its text can be read."""

    def __str__(self) -> str:
        marks = [self.language, self.title, "default" * self.is_default, "forced" * self.is_forced]
        label = ", ".join(mark for mark in (f"track {self.index}", self.codec, *marks) if mark)
        return label + (f" (not read: {self.why_unreadable})" if self.why_unreadable else "")


def subtitle_tracks(path: str | Path) -> tuple[SubtitleTrack, ...]:
    """The subtitle tracks inside a video file, in order. Raises VideoError where it cannot be
    opened."""
    with open_for_subtitles(Path(path)) as container:
        return _tracks(container)


def choose_track(
    tracks: tuple[SubtitleTrack, ...], language: str | None = None
) -> SubtitleTrack | None:
    """The track that players show: one that can be read and holds all that is said, the default one
    before others; None where there is none (in that language, unless one states no language)."""
    # Forced ones hold signs alone: they would pass for a film in which hardly anyone speaks.
    fitting = [t for t in tracks if t.why_unreadable is None and not t.is_forced]
    if language is not None:
        # A track that states no language may be in any; one that states another is not taken.
        named = [t for t in fitting if same_language(t.language, language)]
        fitting = named or [t for t in fitting if t.language in ("", "und")]
    return min(fitting, key=lambda t: (not t.is_default, t.index), default=None)


def read_subtitle_track(
    path: Path, track: int | None = None, language: str | None = None, encoding: str | None = None
) -> Subtitles:
    """Read the text of one track. A Matroska file is read to its end for it.

    Raises VideoError where the file cannot be opened, has no such track, or only bitmaps."""
    with open_for_subtitles(path) as container:
        tracks = _tracks(container)
        chosen = _named_track(path, tracks, track, language)
        cues, notes = _read_cues(container, chosen, path, encoding)
    lines, more = lines_of(cues, f"{path}: track {chosen.index}")
    return Subtitles(
        lines=lines,
        path=str(path),
        format=chosen.codec,
        language=chosen.language,
        notes=(*notes, *more),
    )


def open_for_subtitles(path: Path) -> InputContainer:
    """Open a local file of any kind that FFmpeg knows. Raises VideoError."""
    check_regular_file(path, _EXPECTED)
    if other := describe_other_kind(path):
        raise VideoError(f"{path}: {other.partition(';')[0]}; expected {_EXPECTED}")
    import av.error

    from mmreason.video.backends.container import open_container_file

    try:
        return open_container_file(path, {})
    except av.error.FFmpegError as error:
        raise VideoError(f"{path}: {explain_unreadable(path)}; expected {_EXPECTED}") from error


def _tracks(container: InputContainer) -> tuple[SubtitleTrack, ...]:
    from av.stream import Disposition

    tracks = []
    for stream in container.streams.subtitles:
        context = stream.codec_context
        codec = "unknown" if context is None else context.codec.canonical_name
        # `und` is how containers say that no language is stated.
        tracks.append(
            SubtitleTrack(
                index=stream.index,
                codec=codec,
                language=show_line((stream.language or "").replace("und", ""))[:MAX_LABEL],
                title=show_line(stream.metadata.get("title", ""))[:MAX_LABEL],
                is_default=bool(stream.disposition & Disposition.default),
                is_forced=bool(stream.disposition & Disposition.forced),
                why_unreadable=_why_unreadable(codec),
            )
        )
    return tuple(tracks)


def _why_unreadable(codec: str) -> str | None:
    if codec in _PAYLOADS:
        return None
    return "it holds pictures of text" if codec in _BITMAPS else "its format is not read"


def _named_track(
    path: Path, tracks: tuple[SubtitleTrack, ...], index: int | None, language: str | None
) -> SubtitleTrack:
    listed = name_first([str(track) for track in tracks])
    if not tracks:
        raise VideoError(f"{path}: carries no subtitles; give a subtitle file")
    if index is None:
        chosen = choose_track(tracks, language)
        if chosen is None:
            in_language = f"in {language!r} " if language is not None else ""
            raise VideoError(
                f"{path}: carries no subtitles {in_language}that can be read: {listed}"
            )
        return chosen
    chosen = next((t for t in tracks if t.index == index), None)
    if chosen is None:
        raise VideoError(f"{path}: track {index} holds no subtitles; there are: {listed}")
    if chosen.why_unreadable is not None:
        raise VideoError(f"{path}: {chosen}; there are: {listed}")
    return chosen


def _read_cues(
    container: InputContainer, track: SubtitleTrack, path: Path, encoding: str | None
) -> tuple[list[Cue], list[str]]:
    source = f"{path}: track {track.index}"
    cues: list[Cue] = []
    guessed = size_bytes = 0
    for count, (start_us, length_us, packet) in enumerate(_packets(container, track.index), 1):
        # A subtitle stream may be made of any bytes, a film's worth of them.
        size_bytes += packet.size
        if size_bytes > MAX_BYTES or count > MAX_PACKETS:
            raise VideoError(
                f"{source} holds more than {MAX_BYTES // 2**20} MiB or {MAX_PACKETS:,} packets, "
                "the limit for subtitles"
            )
        text, guesses = decode_text(_PAYLOADS[track.codec](bytes(packet)), source, encoding)
        guessed += guesses
        text = _ass_text(text) if track.codec == "ass" else strip_tags(text)
        rows = tuple(row.strip() for row in text.split("\n") if row.strip())
        if rows:
            cues.append(Cue(start_us, start_us + length_us, rows))
    return _with_lengths(cues), guess_notes(guessed)


def _packets(container: InputContainer, index: int) -> Iterator[tuple[int, int, Packet]]:
    """(start, length, packet) of each packet with data, in microseconds. Ends early at damage."""
    import av.error
    import av.stream

    stream = container.streams[index]
    discard = getattr(av.stream, "Discard", None)  # PyAV 16 has none, and reads the pictures too
    for other in container.streams:
        if discard is not None and other.index != index:
            # Else FFmpeg would read every picture of the film to reach its text.
            other.discard = discard.all
    try:
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None and packet.time_base is not None:
                tick_us = packet.time_base * 1_000_000
                length_us = round((packet.duration or 0) * tick_us)
                yield round(packet.pts * tick_us), length_us, packet
    except (av.error.FFmpegError, IndexError):  # the latter for a stream that appears late
        return


def _with_lengths(cues: list[Cue]) -> list[Cue]:
    """Lines without a length last until the next one begins."""
    cues.sort(key=lambda cue: cue.start_us)
    ended = []
    for cue, following in zip_longest(cues, cues[1:]):
        end_us = cue.end_us
        if end_us <= cue.start_us:
            # A line at the very end, or before a long silence, does not stay for ever.
            end_us = cue.start_us + _LAST_LINE_US
            if following is not None:
                end_us = min(end_us, following.start_us)
        ended.append(Cue(cue.start_us, end_us, cue.rows))
    return ended


def _whole(data: bytes) -> bytes:
    # UTF-16, told by its mark, is full of zeros; other text that has them was padded.
    return data.replace(b"\0", b"") if data[:2] not in (b"\xff\xfe", b"\xfe\xff") else data


def _counted(data: bytes) -> bytes:
    """A sample of mov_text: its length in two bytes, text, boxes of styles."""
    return _whole(data[2 : 2 + int.from_bytes(data[:2])])


def _ass_text(text: str) -> str:
    """An event of ass without its fields: order, layer, style, name, three margins, effect."""
    return strip_ass(text.split(",", 8)[-1])


_PAYLOADS: Mapping[str, Callable[[bytes], bytes]] = {
    "ass": _whole,
    "mov_text": _counted,
    "subrip": _whole,
    "text": _whole,
    "webvtt": _whole,
}
"""The text inside a packet of each codec that is read."""

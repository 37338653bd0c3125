"""Decoding one track of sound into pieces that stand on the video's clock.

Imported lazily (it imports av at the top). Stamps say where sound stands and samples how long it
is: frames that follow each other within `_TOLERANCE_S` are one run, which is resampled as a whole;
a later stamp begins a new run after a gap, an earlier one drops what was given already.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import av.error
import av.stream
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from mmreason.video.audio.tracks import choose_stream
from mmreason.video.backends.base import Deadline, check_file
from mmreason.video.backends.container import open_container_file
from mmreason.video.backends.tracks import film_streams
from mmreason.video.types import Span, VideoError, format_time
from mmreason.video.unreadable import explain_unreadable

_TOLERANCE_S = 0.005
"""Stamps of Matroska are rounded to 1 ms, those of recorders waver by some; a lost packet is 20 ms
or more."""
_PREROLL_S = 0.5
"""Decoded before the start that is asked for: a decoder needs packets before it (Opus 80 ms, MP3
several frames), and the resampler some samples."""
_MOST_SILENCE_S = 12 * 3600.0
"""Of all gaps together. More is damage: silence would be made for days."""
_TOLD_GAP_S = 0.02
_SEEKABLE = ("mov", "matroska", "mpegts", "wav", "flac", "ogg", "avi", "asf", "w64")
"""Formats whose stamps after a seek are those before it; any other is read from its start."""
_DELAYED = {"mp3", "mp2", "aac", "ac3", "eac3", "opus", "vorbis"}
"""Codecs whose encoders put silence before the sound, which AVI has no field for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples in a row: float32 (n,) from `position`, counted in samples from second 0."""

    position: int
    samples: np.ndarray


@dataclass(slots=True, kw_only=True)
class Oddities:
    """What was met while decoding, told in notes. Counts, as a made-up file may have any number."""

    rate_hz: int
    fixed: list[str] = field(default_factory=list)
    """What is known at opening, or met once."""
    damaged: int = 0
    """Packets that could not be decoded."""
    damaged_s: Span | None = None
    """From the first to the last of them."""
    gaps: int = 0
    gaps_s: float = 0.0
    """Their length together."""
    first_gap: Span | None = None
    repeated_s: float = 0.0
    """Seconds of sound whose stamps go back, which are left out."""

    def add_damage(self, time_s: float) -> None:
        """One more damaged packet."""
        first_s = time_s if self.damaged_s is None else self.damaged_s.start_s
        self.damaged, self.damaged_s = self.damaged + 1, Span(first_s, max(first_s, time_s))

    def add_gap(self, gap: Span) -> None:
        """One more stretch that no sample is stored for."""
        self.first_gap = self.first_gap or gap
        self.gaps, self.gaps_s = self.gaps + 1, self.gaps_s + gap.duration_s

    def notes(self) -> tuple[str, ...]:
        """A line for each kind."""
        notes = list(self.fixed)
        if self.damaged_s is not None:
            first, last = map(format_time, self.damaged_s.to_list())
            packets = (
                "1 damaged packet" if self.damaged == 1 else f"{self.damaged:,} damaged packets"
            )
            where = f"at {first}" if self.damaged == 1 else f"between {first} and {last}"
            notes.append(f"{packets} of sound {where}: silence stands there")
        if self.first_gap is not None:
            gaps = "a gap" if self.gaps == 1 else f"{self.gaps:,} gaps"
            first = "at" if self.gaps == 1 else "the first at"
            notes.append(
                f"{gaps} of {self.gaps_s:.2f} s in the sound, {first} {self.first_gap}: silence "
                "stands there"
            )
        if self.repeated_s > _TOLD_GAP_S:
            notes.append(f"{self.repeated_s:.2f} s of sound whose times go back were left out")
        return tuple(notes)


@dataclass(slots=True)
class Sound:
    """One open track. Close it."""

    path: Path
    rate_hz: int
    deadline: Deadline
    container: InputContainer
    stream: AudioStream
    is_timed_by_film: bool
    """Whether there is a film, whose clock holds; else the first sample is at second 0."""
    oddities: Oddities

    def close(self) -> None:
        self.container.close()


def open_sound(path: Path, track: int | None, rate_hz: int, deadline: Deadline) -> Sound:
    """Raises VideoError, and NoAudioError where there is no such track."""
    container = open_for_sound(path, deadline)
    try:
        stream = choose_stream(container, path, track)
        stream.codec_context.thread_count = 1
        for other in container.streams:
            # Else FFmpeg would read every picture of the film to reach its sound.
            if other.index != stream.index:
                other.discard = av.stream.Discard.all
        sound = Sound(
            path=path,
            rate_hz=rate_hz,
            deadline=deadline,
            container=container,
            stream=stream,
            is_timed_by_film=bool(film_streams(container)),
            oddities=Oddities(rate_hz=rate_hz),
        )
        codec = stream.codec_context.codec.canonical_name
        if container.format.name == "avi" and codec in _DELAYED and sound.is_timed_by_film:
            sound.oddities.fixed.append(
                f"AVI does not tell the delay of {codec}: sound may lie up to 0.05 s beside the "
                "picture"
            )
        return sound
    except BaseException:
        container.close()
        raise


def open_for_sound(path: Path, deadline: Deadline) -> InputContainer:
    """Raises VideoError."""
    check_file(path)
    deadline.check()
    try:
        return open_container_file(path, {}, deadline.left_s)
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise VideoError(f"{path}: {explain_unreadable(path)}") from error


def decode_pieces(sound: Sound, span: Span | None) -> Iterator[Piece]:
    """Pieces in ascending order, never overlapping, of the part that lies in `span` (the whole
    track for None). Raises VideoError where the time is over."""
    if span is not None and span.start_s > _PREROLL_S and _can_seek(sound):
        aim_s = span.start_s - _PREROLL_S
        tick_s = sound.stream.time_base
        assert tick_s is not None
        try:
            sound.container.seek(math.floor(aim_s / tick_s), stream=sound.stream)
            yield from _place(sound, span, latest_first_s=aim_s)
            return
        # Landed too late, or nowhere: read from the start.
        except (_LandedLateError, av.error.FFmpegError):
            again = open_sound(sound.path, sound.stream.index, sound.rate_hz, sound.deadline)
            sound.close()
            sound.container, sound.stream = again.container, again.stream
    yield from _place(sound, span)


class _LandedLateError(Exception):
    """A seek went past the time that was aimed at."""


def _can_seek(sound: Sound) -> bool:
    # Second 0 of a file without a film is its first sample, which is known from the start alone.
    start = sound.stream.start_time
    names = sound.container.format.name
    return (sound.is_timed_by_film or not start) and names.startswith(_SEEKABLE)


def _place(sound: Sound, span: Span | None, latest_first_s: float = math.inf) -> Iterator[Piece]:
    """Runs of frames, resampled and cut to `span`."""
    rate_hz, oddities = sound.rate_hz, sound.oddities
    # Up to here everything was given.
    next_position = -(2**62) if span is None else round(span.start_s * rate_hz)
    end = 2**62 if span is None else next_position + round(span.duration_s * rate_hz)
    run: _Run | None = None
    # After a seek the first sample is not met; `_can_seek` knows that it stands at 0.
    origin_s = 0.0 if sound.is_timed_by_film or latest_first_s < math.inf else None
    for frame in _frames(sound):
        time_s = _time_of(frame)
        if time_s is not None:
            # The first sample of a file without a film is its second 0.
            origin_s = time_s if origin_s is None else origin_s
            time_s -= origin_s
        # Without a stamp it is not known where the seek has landed.
        is_unknown = time_s is None and latest_first_s < math.inf
        if run is None and (is_unknown or (time_s or 0.0) > latest_first_s):
            raise _LandedLateError
        if run is None:
            run = _Run(frame, time_s or 0.0, rate_hz)
        elif not run.takes(frame, time_s):
            for piece in _cut(run.finish(), next_position, end):
                next_position = piece.position + len(piece.samples)
                yield piece
            start_s = run.end_s if time_s is None else time_s
            if oddities.gaps_s + start_s - run.end_s > _MOST_SILENCE_S:
                oddities.fixed.append(
                    f"its times jump by hours: what follows {format_time(run.end_s)} was not read"
                )
                return
            if start_s - run.end_s >= _TOLD_GAP_S:
                oddities.add_gap(Span(run.end_s, start_s))
            oddities.repeated_s += max(0.0, run.end_s - start_s)
            run = _Run(frame, start_s, rate_hz)
        if run.end_s * rate_hz > end:
            break
        for piece in _cut(run.add(frame), next_position, end):
            next_position = piece.position + len(piece.samples)
            yield piece
    if run is not None:
        yield from _cut(run.finish(), next_position, end)


def _time_of(frame: av.AudioFrame) -> float | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return float(frame.pts * frame.time_base)


def _cut(piece: Piece | None, start: int, end: int) -> Iterator[Piece]:
    """The part of `piece` from `start` to `end`."""
    if piece is None:
        return
    first = max(0, start - piece.position)
    samples = piece.samples[first : max(first, end - piece.position)]
    if len(samples):
        yield Piece(piece.position + first, samples)


class _Run:
    """Frames that follow each other without a gap, and their resampler."""

    def __init__(self, frame: av.AudioFrame, start_s: float, rate_hz: int) -> None:
        self._form = _form_of(frame)
        self._rate_hz = frame.sample_rate
        self._start_s = start_s
        self._read = 0
        self._given = round(start_s * rate_hz)
        # Speakers without a known order cannot be mixed by FFmpeg: they are averaged.
        self._mixes = frame.layout.nb_channels <= 2 or "channels" not in frame.layout.name
        layout = "mono" if self._mixes else frame.layout
        self._resampler = AudioResampler(format="fltp", layout=layout, rate=rate_hz)

    @property
    def end_s(self) -> float:
        """Where the next frame belongs."""
        return self._start_s + self._read / self._rate_hz

    def takes(self, frame: av.AudioFrame, time_s: float | None) -> bool:
        """Whether `frame`, shown at `time_s`, goes on with the run."""
        if _form_of(frame) != self._form:
            return False
        return time_s is None or abs(time_s - self.end_s) <= _TOLERANCE_S

    def add(self, frame: av.AudioFrame) -> Piece | None:
        """What can be given after `frame`."""
        self._read += frame.samples
        frame.pts = None  # where it belongs is known, and the resampler would count by it
        return self._piece(frame)

    def finish(self) -> Piece | None:
        """What the resampler holds back."""
        return self._piece(None) if self._read else None

    def _piece(self, frame: av.AudioFrame | None) -> Piece | None:
        planes = [out.to_ndarray() for out in self._resampler.resample(frame)]
        planes = [plane for plane in planes if plane.size]
        if not planes:
            return None
        samples = np.concatenate([plane.mean(0, dtype=np.float32) for plane in planes])
        # Samples of a float format may be anything.
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        piece = Piece(self._given, np.clip(samples, -8.0, 8.0).astype(np.float32, copy=False))
        self._given += len(samples)
        return piece


def _form_of(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _frames(sound: Sound) -> Iterator[av.AudioFrame]:
    """Decoded frames from the present position on. Damaged packets are counted and passed over."""
    context, last_s = sound.stream.codec_context, 0.0
    for packet in _packets(sound):
        if packet is not None and packet.pts is not None and packet.time_base is not None:
            last_s = float(packet.pts * packet.time_base)
        try:
            frames = context.decode(packet)
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            if packet is not None:
                sound.oddities.add_damage(last_s)
            continue
        yield from frames


def _packets(sound: Sound) -> Iterator[av.Packet | None]:
    """Packets with data, then None, which brings out what the decoder holds back."""
    packets = sound.container.demux(sound.stream)
    try:
        for packet in packets:
            sound.deadline.check()
            if packet.size:
                yield packet
    except MemoryError:
        raise
    except av.error.FFmpegError:
        sound.deadline.check()
        sound.oddities.fixed.append("the file is damaged: sound was read up to there")
    except IndexError:  # PyAV, at the end of a file in which a stream appeared after opening
        pass
    yield None

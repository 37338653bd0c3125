"""Tracks of sound in an open container: listing them and choosing one.

Imported lazily (it imports av at the top).
"""

from __future__ import annotations

from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from mmreason.video.audio.samples import LEAST_RATE_HZ, MOST_RATE_HZ, AudioTrack, NoAudioError
from mmreason.video.plain_text import show_line

_ASIDE = (
    Disposition.comment
    | Disposition.visual_impaired
    | Disposition.hearing_impaired
    | Disposition.karaoke
)
_MAX_LABEL = 100
"""Characters kept of a language and a title."""
_MAX_CHANNELS = 64


def describe_tracks(container: InputContainer) -> tuple[AudioTrack, ...]:
    """All tracks of sound, in the container's order."""
    return tuple(_describe(container, stream) for stream in container.streams.audio)


def choose_stream(container: InputContainer, path: Path, index: int | None) -> AudioStream:
    """The track `index`, or for None the one that players take. Raises NoAudioError."""
    tracks = describe_tracks(container)
    if not tracks:
        raise NoAudioError(f"{path}: has no sound")
    listed = "; ".join(map(str, tracks[:8]))
    if index is None:
        # The sound of the film before comments on it, then what is marked as the one to play.
        readable = [t for t in tracks if t.why_unreadable is None]
        if not readable:
            raise NoAudioError(f"{path}: has no sound that can be read: {listed}")
        chosen = min(readable, key=lambda t: (t.is_comment, not t.is_default, t.index))
    else:
        named = [track for track in tracks if track.index == index]
        if not named or named[0].why_unreadable is not None:
            raise NoAudioError(f"{path}: track {index} is no sound that can be read; has {listed}")
        chosen = named[0]
    return next(s for s in container.streams.audio if s.index == chosen.index)


def _describe(container: InputContainer, stream: AudioStream) -> AudioTrack:
    context = stream.codec_context
    rate_hz = 0 if context is None else context.sample_rate or 0
    channels = 0 if context is None else context.channels or 0
    return AudioTrack(
        index=stream.index,
        codec="unknown" if context is None else context.codec.canonical_name,
        channels=channels,
        rate_hz=rate_hz,
        duration_s=_duration_s(container, stream),
        language=show_line(stream.metadata.get("language", "").replace("und", ""))[:_MAX_LABEL],
        title=show_line(stream.metadata.get("title", ""))[:_MAX_LABEL],
        is_default=bool(stream.disposition & Disposition.default),
        is_comment=bool(stream.disposition & _ASIDE),
        why_unreadable=_why_unreadable(context is not None, rate_hz, channels),
    )


def _duration_s(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


def _why_unreadable(has_decoder: bool, rate_hz: int, channels: int) -> str | None:
    if not has_decoder:
        return "its codec is not known to this decoder"
    # A header may claim any rate: each of its samples would become thousands.
    if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
        limits = f"{LEAST_RATE_HZ:,} and {MOST_RATE_HZ:,}"
        return f"it says {rate_hz:,} samples a second, the limits are {limits}"
    if not 1 <= channels <= _MAX_CHANNELS:
        return f"it says {channels} channels, the limits are 1 and {_MAX_CHANNELS}"
    return None

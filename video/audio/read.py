"""Reading sound: by span, and block by block in bounded memory; limits as for pictures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmreason.video.audio.samples import (
    LEAST_RATE_HZ,
    MOST_RATE_HZ,
    AudioSamples,
    AudioTrack,
    NoAudioError,
)
from mmreason.video.backends.base import Deadline, ReadOptions
from mmreason.video.file_kinds import is_world_script
from mmreason.video.types import Span, VideoError, format_time

if TYPE_CHECKING:
    from mmreason.video.audio.decode import Oddities, Piece

MOST_SAMPLES = 2**28
"""Of one call of `read_audio`: 1 GiB, 4.6 hours at 16,000 a second."""
MOST_BLOCK_S = 600.0


def list_audio_tracks(
    path: str | Path, *, options: ReadOptions | None = None
) -> tuple[AudioTrack, ...]:
    """The tracks of sound in a file, in its order; empty where it has none. Raises VideoError where
    the file cannot be read. With `options.memory_limit_mb` a process of its own reads it.

    Example:
        >>> list_audio_tracks("talk.mp4")  # doctest: +SKIP
        (AudioTrack(index=1, codec='aac', channels=2, rate_hz=48000, ...),)
    """
    path, options = Path(path), options or ReadOptions()
    if is_world_script(path):
        return ()
    if options.memory_limit_mb is not None:
        from mmreason.video.isolation.audio import list_tracks_in_process

        return list_tracks_in_process(path, options)
    from mmreason.video.audio.decode import open_for_sound
    from mmreason.video.audio.tracks import describe_tracks

    with open_for_sound(path, Deadline(path, options.time_limit_s)) as container:
        return describe_tracks(container)


def read_audio(
    path: str | Path,
    span: Span | None = None,
    *,
    track: int | None = None,
    rate_hz: int = 16_000,
    options: ReadOptions | None = None,
) -> AudioSamples:
    """The sound over `span` seconds of the video as one channel at `rate_hz`.

    With a span there are `round(span.duration_s * rate_hz)` samples from `span.start_s` on, silence
    where the track has nothing, which `notes` tell. Without one it is the whole track, from where
    it begins (`start_s`). `track` is the index of a stream (`list_audio_tracks`); None takes the
    one that players take. Raises VideoError, and NoAudioError where there is no sound.

    Example:
        >>> read_audio("talk.mp4", Span(60, 75))  # doctest: +SKIP
        AudioSamples(240,000 samples at 16,000 Hz, 1:00.00-1:15.00)
    """
    if span is not None and span.duration_s * rate_hz > MOST_SAMPLES:
        raise _too_long(path, span.duration_s * rate_hz)
    blocks: list[AudioSamples] = []
    count = 0
    for block in stream_audio(
        path, span, track=track, rate_hz=rate_hz, block_s=60.0, options=options
    ):
        blocks.append(block)
        count += len(block)
        if count > MOST_SAMPLES:
            raise _too_long(path, count)
    if not blocks:
        # An empty span, or a track that holds nothing.
        empty = np.zeros(0, np.float32)
        start_s = 0.0 if span is None else span.start_s
        return AudioSamples(samples=empty, rate_hz=rate_hz, start_s=start_s)
    return AudioSamples(
        samples=np.concatenate([block.samples for block in blocks]),
        rate_hz=rate_hz,
        start_s=blocks[0].start_s,
        notes=blocks[-1].notes,
    )


def stream_audio(
    path: str | Path,
    span: Span | None = None,
    *,
    track: int | None = None,
    rate_hz: int = 16_000,
    block_s: float = 30.0,
    options: ReadOptions | None = None,
) -> Iterator[AudioSamples]:
    """As `read_audio`, in blocks of `block_s` seconds that follow each other without a gap; the
    last one is shorter. `notes` of a block hold all that was met up to its end. Raises VideoError.

    Example:
        >>> for block in stream_audio("talk.mp4", block_s=30):  # doctest: +SKIP
        ...     print(block)
    """
    path, options = Path(path), options or ReadOptions()
    if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
        raise VideoError(
            f"rate_hz must be {LEAST_RATE_HZ:,} to {MOST_RATE_HZ:,} samples a second, got {rate_hz}"
        )
    if not 0.01 <= block_s <= MOST_BLOCK_S:
        raise VideoError(f"block_s must be 0.01 to {MOST_BLOCK_S:g} seconds, got {block_s}")
    if is_world_script(path):
        raise NoAudioError(f"{path}: has no sound: it is a scripted world")
    if options.memory_limit_mb is not None:
        from mmreason.video.isolation.audio import stream_in_process

        return stream_in_process(path, span, track, rate_hz, block_s, options)
    return stream_blocks(path, span, track, rate_hz, block_s, options)


def stream_blocks(
    path: Path,
    span: Span | None,
    track: int | None,
    rate_hz: int,
    block_s: float,
    options: ReadOptions,
) -> Iterator[AudioSamples]:
    """`stream_audio` in this process; `rate_hz` and `block_s` are checked."""
    from mmreason.video.audio.decode import decode_pieces, open_sound

    deadline = Deadline(path, options.time_limit_s)
    sound = open_sound(path, track, rate_hz, deadline)
    try:
        size = max(1, round(block_s * rate_hz))
        pieces = decode_pieces(sound, span)
        first = next(pieces, None)
        if span is None:
            # The whole track begins where its first sample is.
            start = 0 if first is None else first.position
            start_s, end = start / rate_hz, None
        else:
            start, start_s = round(span.start_s * rate_hz), span.start_s
            end = start + round(span.duration_s * rate_hz)
        filled = 0
        chunks = _fill_gaps(first, pieces, start, end, size, sound.oddities)
        for samples in _cut_blocks(chunks, size):
            yield AudioSamples(
                samples=samples,
                rate_hz=rate_hz,
                start_s=start_s + filled / rate_hz,
                notes=sound.oddities.notes(),
            )
            filled += len(samples)
            # The time limit is for one block, as for one call.
            deadline.restart()
    finally:
        sound.close()


def _fill_gaps(
    first: Piece | None,
    pieces: Iterator[Piece],
    start: int,
    end: int | None,
    size: int,
    oddities: Oddities,
) -> Iterator[np.ndarray]:
    """Samples from `start` to `end` (the last piece for None) without a gap, `size` at most of
    silence at a time."""
    position, least_told = start, round(0.02 * oddities.rate_hz)
    if first is not None and first.position - start > least_told:
        begin = format_time(first.position / oddities.rate_hz)
        oddities.fixed.append(f"the sound begins at {begin}: silence before it")
    if first is None and end is not None and end > start:
        oddities.fixed.append("there is no sound in this part of the track: silence stands there")
    for piece in () if first is None else chain((first,), pieces):
        yield from _silence(piece.position - position, size)
        yield piece.samples
        position = piece.position + len(piece.samples)
    if end is not None and end > position:
        if first is not None and end - position > least_told:
            stop = format_time(position / oddities.rate_hz)
            oddities.fixed.append(f"the sound ends at {stop}: silence after it")
        yield from _silence(end - position, size)


def _silence(count: int, size: int) -> Iterator[np.ndarray]:
    while count > 0:
        yield np.zeros(min(count, size), np.float32)
        count -= size


def _cut_blocks(chunks: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """`chunks` as blocks of `size` samples, the last one shorter."""
    waiting: list[np.ndarray] = []
    count = 0
    for chunk in chunks:
        waiting.append(chunk)
        count += len(chunk)
        while count >= size:
            joined = np.concatenate(waiting)
            yield joined[:size].copy()
            waiting, count = [joined[size:]], count - size
    if count:
        yield np.concatenate(waiting)


def _too_long(path: str | Path, count: float) -> VideoError:
    return VideoError(
        f"{path}: {count:,.0f} samples or more in one call, the limit is {MOST_SAMPLES:,}; give a "
        "shorter span or a lower rate_hz, or use stream_audio"
    )

"""The sound of a file, read by a process of its own within limits of memory and time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmreason.video.audio.samples import AudioSamples, AudioTrack, NoAudioError
from mmreason.video.backends.base import ReadOptions
from mmreason.video.isolation.process import ReadingProcess
from mmreason.video.isolation.source import checked_answer, checked_field, file_request
from mmreason.video.types import Span, VideoError


def list_tracks_in_process(path: Path, options: ReadOptions) -> tuple[AudioTrack, ...]:
    """`list_audio_tracks` within the limits of `options`. Raises VideoError."""
    process = ReadingProcess(path, options, ["pyav", "audio"])
    try:
        answer, _ = process.ask(file_request("audio tracks", path, options), process.deadline())
        answer = checked_answer(answer, path, options)
        return checked_field(process, tuple[AudioTrack, ...], answer, "value")
    finally:
        process.close()


def stream_in_process(
    path: Path,
    span: Span | None,
    track: int | None,
    rate_hz: int,
    block_s: float,
    options: ReadOptions,
) -> Iterator[AudioSamples]:
    """`stream_audio` within the limits of `options`, each block within the time limit. Raises
    VideoError."""
    process = ReadingProcess(path, options, ["pyav", "audio"])
    try:
        begin = {
            **file_request("audio", path, options),
            "span_s": None if span is None else [span.start_s, span.end_s],
            "track": track,
            "rate_hz": rate_hz,
            "block_s": block_s,
        }
        process.ask(begin, process.deadline())
        most = max(1, round(block_s * rate_hz))
        while (block := _read_block(process, path, rate_hz, most, options)) is not None:
            yield block
    finally:
        process.close()


def _read_block(
    process: ReadingProcess, path: Path, rate_hz: int, most: int, options: ReadOptions
) -> AudioSamples | None:
    """The next block; None at the end."""
    deadline = process.deadline()
    answer, array_bytes = process.ask({"action": "next audio"}, deadline)
    # Typed across the border: callers tell a file without sound from one that cannot be read.
    if answer.get("has_no_audio"):
        try:
            checked_answer(answer, path, options)
        except VideoError as error:
            raise NoAudioError(str(error).rpartition(" (read within")[0]) from error
    answer = checked_answer(answer, path, options)
    count = checked_field(process, int, answer, "count")
    # The process has read a hostile file: what it answers is checked like the file itself.
    if not 0 <= count <= most or array_bytes != 4 * count:
        process.fail(f"{array_bytes} bytes for {count} samples")
    if not count:
        return None
    samples = np.empty(count, np.float32)
    process.read(samples.data.cast("B"), deadline)
    if not np.isfinite(samples).all():
        process.fail("samples that are none")
    return AudioSamples(
        samples=samples,
        rate_hz=rate_hz,
        start_s=checked_field(process, float, answer, "start_s"),
        notes=checked_field(process, tuple[str, ...], answer, "notes"),
    )

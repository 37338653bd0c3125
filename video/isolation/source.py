"""Frames of a file that another process reads: as any source, within limits of memory and time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mmreason.video.backends.base import (
    BackendError,
    ReadOptions,
    checked_request,
    stream_times,
)
from mmreason.video.file_kinds import is_world_script
from mmreason.video.isolation.process import ReadingProcess
from mmreason.video.isolation.records import RecordError, record_from_json
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo

if TYPE_CHECKING:
    from mmreason.video.backends.choose import Backend
    from mmreason.video.inspect import FileReport

_MOST_FRAMES = 1024
_LEAST_CHUNK_BYTES, _MOST_CHUNK_BYTES = 2**20, 32 * 2**20
_MOST_ARRAY_BYTES = 2**30
"""Of what is not pictures: times of 134 million frames."""


class IsolatedSource:
    """One open file, meeting the `Source` protocol. Calls from several threads take turns.

    A call that takes too long or too much ends the process: then every later call is refused.
    """

    def __init__(self, path: Path, backend: Backend, options: ReadOptions) -> None:
        """Start a process and have it open `path`. Raises VideoError.

        "auto" is PyAV here: what else a process loads would count against its limit.
        """
        self._backend: Backend = "pyav" if backend == "auto" else backend
        self._path, self._options = path, options
        self._process = ReadingProcess(path, options, _decoders(path, self._backend))
        self._stream_ids = itertools.count()
        try:
            answer = self._ask({"backend": self._backend, **file_request("open", path, options)})
        except BaseException:
            self._process.close()
            raise
        self._info = _record(self._process, VideoInfo, answer, "info", path)
        self._has_damage = False

    @property
    def info(self) -> VideoInfo:
        if not self._has_damage:
            return self._info
        # FFmpeg's decoders take some of the memory that they do not get for damage of the file.
        note = (
            "frames that are not exact could not be decoded, or not within the limit of "
            f"{self._options.memory_limit_mb:,} MB of memory"
        )
        return replace(self._info, notes=(*self._info.notes, note))

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        return tuple(self._read_times("keyframes").tolist())

    def read_frame_times(self) -> np.ndarray:
        """See `Source.read_frame_times`."""
        return self._read_times("frame times")

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `Source.frames_at`. Asks for some frames at a time, so that the process needs memory
        for those only."""
        times, size_px = checked_request(self._info, times_s, size_px)
        batch = FrameBatch(
            pixels=np.empty((len(times), size_px[1], size_px[0], 3), np.uint8),
            times_s=np.empty(len(times)),
            exact=np.empty(len(times), np.bool_),
        )
        # In order of time, so that parts that follow each other decode forward.
        order = np.argsort(times, kind="stable")
        step = max(1, min(_MOST_FRAMES, self._chunk_bytes() // (size_px[0] * size_px[1] * 3)))
        with self._process.lock:
            self._process.check_open()
            # One limit for the whole call, however many parts it has.
            deadline = self._process.deadline()
            for first in range(0, len(times), step):
                rows = order[first : first + step]
                request = {"action": "frames", "times_s": times[rows].tolist(), "size_px": size_px}
                answer = self._ask(request, deadline)
                chunk = self._read_batch(answer, size_px, deadline)
                # The process has read a hostile file: what it answers is checked like the file
                # itself.
                if len(chunk) != len(rows):
                    self._process.fail(f"{len(chunk)} frames for {len(rows)}")
                batch.pixels[rows] = chunk.pixels
                batch.times_s[rows] = chunk.times_s
                batch.exact[rows] = chunk.exact
        span = self._info.span
        # Outside the video no frame is exact, and nothing is damaged.
        is_inside = (times >= span.start_s) & (times < span.end_s)
        self._has_damage |= bool((is_inside & ~batch.exact).any())
        return batch

    def stream(
        self, fps_hz: float | None, size_px: tuple[int, int] | None, span: Span
    ) -> Iterator[FrameBatch]:
        """See `Source.stream`."""
        if fps_hz is not None:
            # For its errors: they come at the call and not at the first frame.
            stream_times(fps_hz, span)
        _, size_px = checked_request(self._info, [], size_px)
        self._process.check_open()
        return self._streamed(fps_hz, size_px, span)

    def reopened(self) -> Self:
        return type(self)(self._path, self._backend, self._options)

    def close(self) -> None:
        """End the process, also in the middle of a call."""
        self._process.close()

    def _streamed(
        self, fps_hz: float | None, size_px: tuple[int, int], span: Span
    ) -> Iterator[FrameBatch]:
        stream_id = next(self._stream_ids)
        self._ask(
            {
                "action": "stream",
                "id": stream_id,
                "fps_hz": fps_hz,
                "size_px": size_px,
                "span_s": [span.start_s, span.end_s],
            }
        )
        try:
            while True:
                # Held for a part only: between two parts the source answers other calls.
                with self._process.lock:
                    deadline = self._process.deadline()
                    answer = self._ask({"action": "next", "id": stream_id}, deadline)
                    batch = self._read_batch(answer, size_px, deadline)
                if not len(batch):
                    return
                self._has_damage |= not batch.exact.all()
                yield batch
        finally:
            # A stream given up half way keeps its decoder open over there otherwise.
            if not self._process.closed:
                with suppress(VideoError):
                    self._ask({"action": "end", "id": stream_id})

    def _ask(self, request: dict[str, Any], deadline: float | None = None) -> dict[str, Any]:
        """An answer without arrays, or one whose arrays the caller reads, who then holds the lock.
        Raises VideoError with what the process says of the file."""
        with self._process.lock:
            deadline = self._process.deadline() if deadline is None else deadline
            answer, self._array_bytes = self._process.ask(request, deadline)
        return checked_answer(answer, self._path, self._options)

    def _read_batch(
        self, answer: dict[str, Any], size_px: tuple[int, int], deadline: float
    ) -> FrameBatch:
        count = checked_field(self._process, int, answer, "count")
        frame_bytes = size_px[0] * size_px[1] * 3
        # A picture, a time (8 bytes) and a mark (1 byte) for each frame, and nothing else.
        due_bytes = count * (frame_bytes + 8 + 1)
        # One frame may be larger than any part, which it then is alone.
        most_bytes = max(_MOST_CHUNK_BYTES * 4, frame_bytes + 9)
        if not 0 <= due_bytes <= most_bytes or due_bytes != self._array_bytes:
            self._process.fail(f"{self._array_bytes} bytes for {count} frames")
        batch = FrameBatch(
            pixels=np.empty((count, size_px[1], size_px[0], 3), np.uint8),
            times_s=np.empty(count, np.float64),
            exact=np.empty(count, np.bool_),
        )
        if count:
            for array in (batch.pixels, batch.times_s, batch.exact.view(np.uint8)):
                self._process.read(array.data.cast("B"), deadline)
            # A bool of another byte than 0 or 1 is undefined; a time may be any bit pattern.
            if batch.exact.view(np.uint8).max() > 1 or not np.isfinite(batch.times_s).all():
                self._process.fail("times that are none")
            # Notes grow while frames are decoded, as damage is met.
            notes = checked_field(self._process, tuple[str, ...], answer, "notes")
            if notes != self._info.notes:
                self._info = replace(self._info, notes=notes)
        return batch

    def _read_times(self, action: str) -> np.ndarray:
        """float64 (N,), finite."""
        with self._process.lock:
            deadline = self._process.deadline()
            self._ask({"action": action}, deadline)
            if self._array_bytes > _MOST_ARRAY_BYTES or self._array_bytes % 8:
                self._process.fail(f"{self._array_bytes} bytes of times")
            times_s = np.empty(self._array_bytes // 8, np.float64)
            if len(times_s):
                self._process.read(times_s.data.cast("B"), deadline)
        if not np.isfinite(times_s).all():
            self._process.fail("times that are none")
        return times_s

    def _chunk_bytes(self) -> int:
        """What a part of the frames asked for may take of the memory allowed."""
        # The decoder's own pictures, the resized ones and the pipe's copies have to fit beside it.
        limit_bytes = (self._options.memory_limit_mb or 0) * 1_000_000 // 16
        return min(_MOST_CHUNK_BYTES, max(_LEAST_CHUNK_BYTES, limit_bytes))


def inspect_in_process(path: Path, try_backends: bool, options: ReadOptions) -> FileReport:
    """`inspect_file` in a process of its own. Raises VideoError."""
    from mmreason.video.backends.choose import BACKENDS
    from mmreason.video.inspect import FileReport

    backends = BACKENDS if try_backends else ()
    decoders = {name for backend in backends for name in _decoders(path, backend)}
    process = ReadingProcess(path, options, ["inspect", "pyav", *sorted(decoders)])
    try:
        request = {"try_backends": try_backends, **file_request("inspect", path, options)}
        answer, _ = process.ask(request, process.deadline())
        return _record(process, FileReport, checked_answer(answer, path, options), "report", path)
    finally:
        process.close()


def _decoders(path: Path, backend: Backend) -> list[str]:
    """What the process is to load: keys of `worker.DECODERS`."""
    if is_world_script(path):
        return ["world"]
    return ["pyav", backend.removesuffix("-cuda")]


def file_request(action: str, path: Path, options: ReadOptions) -> dict[str, Any]:
    """What the process is asked to do with the file at `path`."""
    # Without the limit, or the process would start one of its own.
    inner = asdict(replace(options, memory_limit_mb=None))
    return {"action": action, "path": str(path), "options": inner}


def checked_answer(answer: dict[str, Any], path: Path, options: ReadOptions) -> dict[str, Any]:
    """`answer`, unless it is an error of the file's. FFmpeg passes over some of the memory that it
    does not get, so each error tells the limit."""
    if "error" not in answer:
        return answer
    # The name may hold bytes that do not go through JSON: it is put before the line anew.
    text = str(answer["error"])[:4000].partition(f"{path}: ")[2] or str(answer["error"])[:4000]
    kind = BackendError if answer.get("is_backend_error") else VideoError
    raise kind(f"{path}: {text} (read within {options.memory_limit_mb:,} MB of memory)")


def _record(
    process: ReadingProcess, kind: Any, answer: dict[str, Any], key: str, path: Path
) -> Any:
    """As `checked_field`, for a record with a `path`, whose bytes may not go through JSON."""
    return replace(checked_field(process, kind, answer, key), path=str(path))


def checked_field(process: ReadingProcess, kind: Any, answer: dict[str, Any], key: str) -> Any:
    """A field of `answer`, as `kind`; what is none ends the process."""
    try:
        return record_from_json(kind, answer.get(key))
    except RecordError as error:
        process.fail(f"{key}: {error}")

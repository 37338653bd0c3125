"""The decord source: decord 0.6 in a worker process, ended when it does not answer in time.

Refuses what decord is known to get wrong (AV1, VP9, HEVC and H.264 with open groups, WebM, MPEG-TS,
edit lists, damaged files) and decord2, which returns wrong frames without an error. The time decord
gives for every frame is compared with the container's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from mmreason.video.backends.base import (
    BackendError,
    Deadline,
    ReadOptions,
    checked_request,
    resize_picture,
    short_reason,
    stream_by_times,
    stream_times,
)
from mmreason.video.backends.colour import refuse_colour
from mmreason.video.backends.key_headers import read_key_headers
from mmreason.video.backends.timeline import Timeline, read_timeline
from mmreason.video.descriptors import open_unnamed
from mmreason.video.file_kinds import is_webm
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo

# decord hangs on some files; its process is given up after this long without an answer.
_ANSWER_LIMIT_S = 60.0
_AT_ONCE_BYTES = 64 * 2**20
# Stamps pass through floats on their way; the next frame is further off than this.
_TIME_TOLERANCE_S = 0.002
_INSTALL = 'in the clone of mmreason: pip install ".[decord]"'


class DecordSource:
    """One open file, meeting the `Source` protocol. Calls from several threads take turns."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Read every packet's time and start a worker. Raises VideoError."""
        self._path, self._options = path, options
        self._lock = threading.Lock()
        deadline = Deadline(path, options.time_limit_s)
        self._timeline = read_timeline(path, deadline, options.track)
        self._refuse(self._timeline, deadline)
        with open_unnamed(path) as (name, descriptor):
            self._worker = _Worker(path, descriptor)
            opened = self._opened(name, deadline)
        self._early_s = float(self._timeline.times_s[0]) - opened["start_s"]
        self._info = self._timeline.info("decord", tuple(opened["size_px"]))

    def _opened(self, name: str, deadline: Deadline) -> dict[str, Any]:
        """What decord says of the file called `name` in its process."""
        try:
            opened = self._worker.ask({"path": name}, deadline)
            if opened["frames"] != len(self._timeline.times_s):
                raise BackendError(
                    f"{self._path}: decord counts {opened['frames']} frames, "
                    f"{len(self._timeline.times_s)} are shown"
                )
        except BaseException:
            self._worker.close()
            raise
        return opened

    @property
    def info(self) -> VideoInfo:
        return self._info

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        self._check_open()
        return self._timeline.keyframe_times_s

    def read_frame_times(self) -> np.ndarray:
        """See `Source.read_frame_times`."""
        self._check_open()
        return self._timeline.times_s.copy()

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `Source.frames_at`. Raises VideoError where decord gives another frame, fails or does
        not answer."""
        times, size_px = checked_request(self.info, times_s, size_px)
        rows, exact = self._timeline.rows(times)
        pixels = np.empty((len(times), size_px[1], size_px[0], 3), np.uint8)
        # A row that is asked for twice is decoded once.
        distinct_rows = np.unique(rows)
        step = max(1, _AT_ONCE_BYTES // (self.info.width_px * self.info.height_px * 3))
        # Questions and answers go through one pipe, in turns.
        with self._lock:
            deadline = Deadline(self._path, self._options.time_limit_s)
            for first in range(0, len(distinct_rows), step):
                self._check_open()
                step_rows = distinct_rows[first : first + step].tolist()
                for row, picture in zip(
                    step_rows, self._pictures(step_rows, deadline), strict=True
                ):
                    pixels[rows == row] = resize_picture(picture, size_px)
        return FrameBatch(pixels=pixels, times_s=self._timeline.times_s[rows], exact=exact)

    def stream(
        self, fps_hz: float | None, size_px: tuple[int, int] | None, span: Span
    ) -> Iterator[FrameBatch]:
        """See `Source.stream`."""
        self._check_open()
        times_s = self._timeline.within(span) if fps_hz is None else stream_times(fps_hz, span)
        return stream_by_times(self, times_s, size_px)

    def reopened(self) -> Self:
        return type(self)(self._path, self._options)

    def close(self) -> None:
        self._worker.close()

    def _check_open(self) -> None:
        if self._worker.closed:
            raise VideoError(f"{self._path}: is closed; open it again")

    def _refuse(self, timeline: Timeline, deadline: Deadline) -> None:
        if refusal := timeline.refusal():
            raise BackendError(f"{self._path}: {refusal} decord does not tell")
        # Kinds of files of which decord gives other frames or other times, without an error.
        reasons = {
            "WebM": is_webm(timeline.path),
            "MPEG-TS": "mpegts" in timeline.container,
            "edit lists": timeline.hidden > 0,
            "open groups of pictures": timeline.leading > 0,
            "damaged files": timeline.damaged > 0,
            "mirrored files": timeline.display.mirrored,
            timeline.codec.upper(): timeline.codec in ("av1", "vp9"),
        }
        wrong = [name for name, met in reasons.items() if met]
        # Reads all packets once more, so only where nothing else speaks against the file.
        if not wrong:
            headers = read_key_headers(self._path, timeline.codec, deadline, timeline.track)
            if headers.without_idr:
                wrong = ["key frames that need more than themselves"]
            elif headers.sizes > 1:
                wrong = ["pictures that change their size"]
        if wrong:
            raise BackendError(f"{self._path}: decord does not read {wrong[0]} correctly")
        refuse_colour(self._path, timeline.colour, "decord", self._options.tone_map)

    def _pictures(self, rows: list[int], deadline: Deadline) -> np.ndarray:
        """uint8 (N, H, W, 3) at full size, with their times checked."""
        answer = self._worker.ask({"rows": rows}, deadline)
        data = self._worker.read(int(np.prod(answer["shape"])), deadline)
        starts_s = np.asarray(answer["spans_s"])[:, 0] + self._early_s
        due_s = self._timeline.times_s[rows]
        # Checked each time: decord skips what it cannot decode and says nothing.
        off = np.abs(starts_s - due_s) > _TIME_TOLERANCE_S
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise BackendError(
                f"{self._path}: decord shows a frame of {starts_s[row]:.3f} s where "
                f"{due_s[row]:.3f} s is due; use another back end"
            )
        return np.frombuffer(data, np.uint8).reshape(answer["shape"])


class _Worker:
    """The process that imports decord, and its two pipes."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """`descriptor` of the file at `path` is passed on under its number."""
        self._path = path
        script = Path(__file__).with_name("decord_worker.py")
        # `-P`, or this folder would come first on the path, whose decord.py hides the library.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(descriptor,) if os.name == "posix" else (),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.closed = False
        try:
            version = self._answer(Deadline(path, None))["version"]
        except BackendError as error:
            self.close()
            raise BackendError(f"{error}; {_INSTALL}") from error
        # Both projects install a module of that name, so only the version tells them apart.
        if not version.startswith("0."):
            self.close()
            raise BackendError(
                f"{path}: decord {version} is decord2, which returns wrong frames; {_INSTALL}"
            )

    def ask(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        """The worker's answer. Raises BackendError with decord's words, or after the limit."""
        line = json.dumps(request).encode() + b"\n"
        try:
            # A process that was killed closes its end; that shows only when we write.
            stdin = self._pipe(self._process.stdin)
            stdin.write(line)
            stdin.flush()
        except OSError as error:
            raise BackendError(f"{self._path}: decord's process has ended") from error
        return self._answer(deadline)

    def read(self, count: int, deadline: Deadline) -> bytes:
        """Exactly `count` bytes that follow an answer."""
        data = self._in_time(lambda pipe: pipe.read(count), deadline)
        if len(data) < count:
            raise BackendError(f"{self._path}: decord's process has ended")
        return data

    def close(self) -> None:
        self.closed = True
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was written may no longer find a reader
                self._pipe(pipe).close()
        self._process.wait()

    def _answer(self, deadline: Deadline) -> dict[str, Any]:
        line = self._in_time(lambda pipe: pipe.readline(), deadline)
        if not line:
            raise BackendError(f"{self._path}: decord's process has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise BackendError(f"{self._path}: decord failed ({short_reason(answer['error'])})")
        return answer

    def _in_time(self, action: Any, deadline: Deadline) -> bytes:
        """What `action` reads, unless the limit passes first: then the process is ended, so that
        reading ends too."""
        left_s = deadline.left_s
        limit_s = _ANSWER_LIMIT_S if left_s is None else min(left_s, _ANSWER_LIMIT_S)
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        # A blocking read cannot be given up, only made to end: by the death of who should write.
        timer = threading.Timer(limit_s, end)
        timer.start()
        try:
            data = action(self._pipe(self._process.stdout))
        finally:
            timer.cancel()
        if late.is_set():
            self.closed = True
            raise BackendError(f"{self._path}: decord did not answer within {limit_s:.3g} s")
        return data

    def _pipe(self, pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

"""The protocol every source of frames meets: a decoder for files, a renderer for scripted worlds.

With what they share: limits, checks of a request, reading in small batches.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np

from mmreason.video.file_kinds import describe_other_kind, is_world_script
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo
from mmreason.video.urls import explain_url, is_url

MAX_BATCH_BYTES = 4 * 2**30
"""Largest pixel array one call may ask for."""
MAX_BATCH_FRAMES = 2**20
MAX_PICTURE_PX = 2**26
"""Largest picture a file may hold (8192 x 8192): a header can claim anything."""
MAX_SIDE_PX = 2**15
"""Longest side of a picture: thin ones cost far more than their pixels."""
MEMORY_LIMITS_MB = (16, 2**20)
"""Least and most that `memory_limit_mb` may be."""
SLACK_S = 1e-6
"""A time this little before a frame counts as that frame: room for rounding to microseconds."""
_STREAM_FRAMES = 16
_STREAM_BYTES = 64 * 2**20


ToneMap = Literal["auto", "none"]


class BackendError(VideoError):
    """This back end cannot read the file correctly; another one may."""


class OutOfMemoryError(VideoError):
    """Reading the file takes more memory than there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How a file is to be read, whichever back end reads it.

    Example: `ReadOptions(track=1, time_limit_s=10)`.
    """

    workers: int = 2
    """Threads that decode at the same time at most (PyAV only)."""
    time_limit_s: float | None = None
    """Ends any one call that takes longer; None for no limit."""
    track: int | None = None
    """Index of the video stream in its container (as in `VideoInfo.tracks`); None takes the one
    that players take."""
    memory_limit_mb: int | None = None
    """Megabytes (10^6 bytes) that reading may take in a process of its own, beyond the program
    itself; None reads in this process, without a limit."""
    tone_map: ToneMap = "auto"
    """"auto" brings high dynamic range to a standard screen, "none" delivers its values as
    stored."""

    def __post_init__(self) -> None:
        if self.memory_limit_mb is None:
            return
        if not sys.platform.startswith("linux"):
            raise VideoError(
                f"memory_limit_mb can be kept on Linux only, not on {sys.platform}; leave it out"
            )
        least_mb, most_mb = MEMORY_LIMITS_MB
        if type(self.memory_limit_mb) is not int or not least_mb <= self.memory_limit_mb <= most_mb:
            raise VideoError(
                f"memory_limit_mb must be {least_mb} to {most_mb:,}, got {self.memory_limit_mb!r}"
            )


class Deadline:
    """Ends a piece of work that takes too long, or whose other parts have failed.

    Example:
        >>> deadline = Deadline(Path("clip.mp4"), limit_s=None)
        >>> deadline.check()
        >>> deadline.stopped = True
        >>> deadline.check()
        Traceback (most recent call last):
        ...
        mmreason.video.types.VideoError: clip.mp4: reading was stopped
    """

    def __init__(self, path: Path, limit_s: float | None) -> None:
        self._path, self._limit_s = path, limit_s
        self._started = time.monotonic()
        self._pid = os.getpid()
        self.stopped = False

    def restart(self) -> None:
        """Give the next piece of work the whole limit again."""
        self._started = time.monotonic()

    @property
    def left_s(self) -> float | None:
        """Seconds left, None for no limit."""
        if self._limit_s is None:
            return None
        # Never 0, which many calls take for "without a limit".
        return max(0.001, self._limit_s - (time.monotonic() - self._started))

    def check(self) -> None:
        """Raise VideoError where the work must end."""
        if self._pid != os.getpid():  # a forked process shares the place in the file
            raise VideoError(f"{self._path}: was being read when the process forked; read it anew")
        if self.stopped:
            raise VideoError(f"{self._path}: reading was stopped")
        if self._limit_s is not None and time.monotonic() - self._started > self._limit_s:
            raise VideoError(f"{self._path}: took longer than the limit of {self._limit_s:g} s")


class Source(Protocol):
    """Frames by presentation time. Time is the contract; frame indices do not appear."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        """Presentation times of the frames that decode without another, ascending."""
        ...

    def read_frame_times(self) -> np.ndarray:
        """Presentation times of all displayed frames, float64 (N,), ascending."""
        ...

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """The frames displayed at `times_s`, in the order asked for; duplicates are allowed.

        A time before the first or after the last frame gives that frame with `exact` False.
        `size_px` is (width, height), None for the video's own. Raises VideoError.
        """
        ...

    def stream(
        self, fps_hz: float | None, size_px: tuple[int, int] | None, span: Span
    ) -> Iterator[FrameBatch]:
        """Frames over `span` in order, a few at a time: those displayed every `1 / fps_hz` seconds
        from its start, or, for None, each frame displayed in it once. Raises VideoError."""
        ...

    def reopened(self) -> Self:
        """The same file, open anew: what a forked process uses in place of its parent's."""
        ...

    def close(self) -> None:
        """Release the file. May be called twice; reading afterwards raises VideoError."""
        ...


def stream_length(info: VideoInfo, size_px: tuple[int, int] | None) -> int:
    """How many frames of this size a streaming source hands over together."""
    _, (width_px, height_px) = checked_request(info, [0.0], size_px)
    return max(1, min(_STREAM_FRAMES, _STREAM_BYTES // (width_px * height_px * 3)))


def stream_times(fps_hz: float, span: Span) -> np.ndarray:
    """Every `1 / fps_hz` seconds from the start of `span`, float64 (N,). Raises VideoError.

    Example:
        >>> stream_times(2.0, Span(1, 3)).tolist()
        [1.0, 1.5, 2.0, 2.5]
    """
    if not (np.isfinite(fps_hz) and 0 < fps_hz <= 1000):
        raise VideoError(f"fps_hz must be above 0 and at most 1000, got {fps_hz}")
    # 0.3 s at 10 Hz is 3 frames, though 0.3 * 10 is a little more in floats.
    count = np.ceil(span.duration_s * fps_hz - 1e-6)
    if count > 2**27:
        raise VideoError(f"{count:.3g} frames are too many for one stream; give a shorter span")
    return span.start_s + np.arange(int(count)) / fps_hz


def stream_by_times(
    source: Source, times_s: np.ndarray, size_px: tuple[int, int] | None
) -> Iterator[FrameBatch]:
    """The frames displayed at ascending `times_s`, for a source that reads forward cheaply."""
    step = stream_length(source.info, size_px)
    for first in range(0, len(times_s), step):
        yield source.frames_at(times_s[first : first + step], size_px)


def checked_request(
    info: VideoInfo, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None
) -> tuple[np.ndarray, tuple[int, int]]:
    """`times_s` as finite float64 (N,) and the (width, height) to deliver. Raises VideoError."""
    # Checked before any allocation: what is asked for may be larger than the machine.
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1:
        raise VideoError(f"times_s must be a list of seconds, got an array of shape {times.shape}")
    if not np.isfinite(times).all():
        raise VideoError("times_s must be finite seconds, got nan or infinity")
    if len(times) > MAX_BATCH_FRAMES:
        raise VideoError(
            f"{info.path}: {len(times)} frames in one call, the limit is {MAX_BATCH_FRAMES}; "
            "use stream"
        )
    width_px, height_px = size_px or (info.width_px, info.height_px)
    if width_px < 1 or height_px < 1:
        raise VideoError(f"size_px must be (width, height) of 1 or more, got {size_px}")
    wanted_bytes = len(times) * width_px * height_px * 3
    if wanted_bytes > MAX_BATCH_BYTES:
        raise VideoError(
            f"{info.path}: {len(times)} frames of {width_px}x{height_px} need "
            f"{wanted_bytes / 2**30:.1f} GiB, the limit is {MAX_BATCH_BYTES / 2**30:.0f} GiB; "
            "ask for fewer frames or a smaller size_px"
        )
    return times, (width_px, height_px)


def check_file(path: Path) -> None:
    """Raise VideoError unless `path` is a regular file that may be a video (or a scripted world):
    playlists, archives, pages and the like are told apart by `file_kinds`."""
    check_regular_file(path, "a video file")
    try:
        other = None if is_world_script(path) else describe_other_kind(path)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    if other is not None:
        raise VideoError(f"{path}: {other}")


def check_regular_file(path: Path, expected: str) -> None:
    """Raise VideoError unless `path` is a file that holds something; `expected` says of what kind.
    A URL gets the line that helps."""
    try:
        if path.is_dir():
            raise VideoError(f"{path}: is a folder, expected {expected}")
        if not path.exists():
            raise VideoError(_why_missing(path))
        # A pipe or a device could hold its reader up for ever.
        if not path.is_file():
            raise VideoError(f"{path}: is not a regular file, expected {expected}")
        if path.stat().st_size == 0:
            raise VideoError(f"{path}: is empty (0 bytes), expected {expected}")
    # A name too long for the system ends here: cut, so that the error stays a line.
    except OSError as error:
        raise VideoError(f"{str(path)[:200]}: cannot be read ({error.strerror})") from error


_SOURCE_PLACE = re.compile(r"\[\d\d:\d\d:\d\d\] |(?:\w+, )?/\S+\.(?:cc|cpp|cu|h|hpp):\d+[:,] ")


def short_reason(error: Exception | str) -> str:
    """The first line of another library's error, without the place in that library's source.

    Example:
        >>> short_reason("[00:00:01] /src/video.cc:12: cannot open\\n  at ...")
        'cannot open'
    """
    lines = str(error).strip().splitlines()
    return _SOURCE_PLACE.sub("", lines[0])[:120] if lines else type(error).__name__


def _why_missing(path: Path) -> str:
    if is_url(str(path)):
        return explain_url(str(path))
    if not path.is_symlink():
        return f"{path}: no such file"
    # A data set of git-annex has such links for files that are not fetched yet.
    target = path.readlink()
    fetch = f"; fetch it: `git annex get {path}`" if "annex" in target.parts else ""
    return f"{path}: is a link to {target}, which is not there{fetch}"


def resize_picture(rgb: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width, 3) for `size_px` (width, height): averaged where it shrinks."""
    height_px, width_px = rgb.shape[:2]
    if (width_px, height_px) == size_px:
        return rgb
    import cv2

    shrinks = size_px[0] <= width_px and size_px[1] <= height_px
    # Averaging keeps thin lines and text that other methods would skip, and has no sense upwards.
    way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(rgb), size_px, interpolation=way)

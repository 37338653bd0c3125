"""The protocol every source of frames meets: a decoder for files, a renderer for scripted worlds.

Leaves out how a source is chosen for a path (`mmreason.video.reader`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from mmreason.video.types import FrameBatch, VideoError, VideoInfo

MAX_BATCH_BYTES = 4 * 2**30
"""Largest pixel array one call may ask for."""


class Source(Protocol):
    """Frames by presentation time. Time is the contract; frame indices do not appear."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        """Presentation times of the frames that decode without another, ascending."""
        ...

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """The frames displayed at `times_s`, in the order asked for; duplicates are allowed.

        A time before the first or after the last frame gives that frame with `exact` False.
        `size_px` is (width, height), None for the video's own. Raises VideoError.
        """
        ...

    def close(self) -> None:
        """Release the file. May be called twice; reading afterwards raises VideoError."""
        ...


def checked_request(
    info: VideoInfo, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None
) -> tuple[np.ndarray, tuple[int, int]]:
    """`times_s` as finite float64 (N,) and the (width, height) to deliver. Raises VideoError."""
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1:
        raise VideoError(f"times_s must be a list of seconds, got an array of shape {times.shape}")
    if not np.isfinite(times).all():
        raise VideoError("times_s must be finite seconds, got nan or infinity")
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
    """Raise VideoError unless `path` is a regular file that holds something."""
    if path.is_dir():
        raise VideoError(f"{path}: is a folder, expected a video file")
    if not path.exists():
        raise VideoError(f"{path}: no such file")
    if not path.is_file():
        raise VideoError(f"{path}: is not a regular file, expected a video file")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: is empty (0 bytes), expected a video file")

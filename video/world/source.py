"""Opens a world script as a video that is drawn on demand: ten hours cost nothing until they are
looked at.

Frames sit on the script's own frame grid (`i / fps_hz`), as an encoded file of the same script
would have them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from mmreason.video.backends.base import checked_request, stream_by_times, stream_times
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo
from mmreason.video.world.script import World

CODEC = "scripted world"


class WorldSource:
    """Meets `mmreason.video.backends.base.Source`."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path = world, path
        self._closed = False
        count = world.frame_count
        self._info = VideoInfo(
            path=str(path),
            duration_s=count / world.fps_hz,
            start_s=0.0,
            width_px=world.width_px,
            height_px=world.height_px,
            codec=CODEC,
            mean_fps_hz=world.fps_hz,
            frame_count=count,
            rotation_deg=0,
            has_audio=False,
            backend="world",
            size_bytes=path.stat().st_size,
        )

    @property
    def info(self) -> VideoInfo:
        return self._info

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        """The first frame of every scene; any other could be one, since each is drawn by itself."""
        if self.world.playback != "forward":
            return (0.0,)
        fps_hz = self.world.fps_hz
        first = (math.ceil(scene.start_s * fps_hz - 1e-6) for scene in self.world.scenes)
        return tuple(i / fps_hz for i in dict.fromkeys(first) if i < self.world.frame_count)

    def read_frame_times(self) -> np.ndarray:
        """See `Source.read_frame_times`."""
        return np.arange(self.world.frame_count) / self.world.fps_hz

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """Draw the frames displayed at `times_s`; a time outside the video gives its first or last
        frame."""
        if self._closed:
            raise VideoError(f"{self.path}: the video is closed")
        times, (width, height) = checked_request(self.info, times_s, size_px)
        assert self.info.frame_count is not None
        # A time that rounding puts just below a frame's own is that frame's.
        index = np.floor(times * self.world.fps_hz + 1e-5)
        inside = index.clip(0, self.info.frame_count - 1)
        pixels = np.empty((len(times), height, width, 3), np.uint8)
        shown_s = inside / self.world.fps_hz
        for row, time_s in enumerate(shown_s):
            pixels[row] = self.world.frame(float(time_s), (width, height))
        return FrameBatch(pixels=pixels, times_s=shown_s, exact=index == inside)

    def stream(
        self, fps_hz: float | None, size_px: tuple[int, int] | None, span: Span
    ) -> Iterator[FrameBatch]:
        """See `Source.stream`."""
        if fps_hz is None:
            first = np.floor(span.start_s * self.world.fps_hz + 1e-5)
            last = np.ceil(span.end_s * self.world.fps_hz - 1e-5)
            times_s = np.arange(first, last if span.duration_s else first) / self.world.fps_hz
        else:
            times_s = stream_times(fps_hz, span)
        return stream_by_times(self, times_s, size_px)

    def reopened(self) -> Self:
        return self

    def close(self) -> None:
        self._closed = True


def open_world(path: Path) -> WorldSource:
    """Raises `VideoError` where the script is not valid."""
    return WorldSource(World.load(path), path)

"""The OpenCV source: reads forward only, and checks the time of every frame it hands over.

OpenCV seeks by frame number unreliably, so a time before the present one begins the file anew:
right but slow, for files that no other back end decodes. Imported lazily (it imports cv2 at the
top). Refuses what OpenCV is known to get wrong: edit lists, damaged, interlaced and mirrored files,
AV1.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from mmreason.video.backends.base import (
    BackendError,
    Deadline,
    ReadOptions,
    checked_request,
    resize_picture,
    stream_by_times,
    stream_times,
)
from mmreason.video.backends.colour import refuse_colour
from mmreason.video.backends.key_headers import read_key_headers
from mmreason.video.backends.timeline import read_timeline
from mmreason.video.descriptors import open_unnamed
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo

# OpenCV's FFmpeg prints what it meets in damaged files; results tell it already.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_TIME_TOLERANCE_S = 0.002
"""OpenCV's times are rounded; frames lie further apart than this."""


class OpenCVSource:
    """One open file, meeting the `Source` protocol. Calls from several threads take turns."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Read every packet's time and decode the first frame. Raises VideoError."""
        self._path, self._options = path, options
        self._lock = threading.Lock()
        deadline = Deadline(path, options.time_limit_s)
        self._timeline = read_timeline(path, deadline, options.track)
        self._closed = False
        if refusal := self._timeline.refusal():
            raise BackendError(f"{path}: {refusal} OpenCV does not tell")
        if self._timeline.hidden:
            raise BackendError(f"{path}: has an edit list, which OpenCV does not follow")
        if self._timeline.damaged:
            raise BackendError(f"{path}: is damaged, which OpenCV passes over in silence")
        if self._timeline.display.mirrored:
            raise BackendError(f"{path}: is stored mirrored, which OpenCV does not set right")
        if self._timeline.interlaced:
            raise BackendError(f"{path}: is interlaced, of which OpenCV may show black frames")
        refuse_colour(
            path,
            self._timeline.colour,
            "opencv",
            options.tone_map,
            # From version 5 on OpenCV looks at the matrix of a file.
            takes_all_as_bt601=int(cv2.__version__.split(".")[0]) < 5,
        )
        # Last of the checks, as it reads all packets once more.
        headers = read_key_headers(path, self._timeline.codec, deadline, self._timeline.track)
        if headers.sizes > 1:
            raise BackendError(f"{path}: changes the size of its pictures, which OpenCV squeezes")
        self._capture, self._row = self._opened(), -1
        try:
            # The size of a picture as it comes, turned or not.
            first = self._frame(0, deadline)
        except BaseException:
            self._capture.release()
            raise
        self._info = self._timeline.info("opencv", (first.shape[1], first.shape[0]))

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
        """See `Source.frames_at`. Raises VideoError where OpenCV's time of a frame is another than
        the container's."""
        times, (width_px, height_px) = checked_request(self.info, times_s, size_px)
        rows, exact = self._timeline.rows(times)
        pixels = np.empty((len(times), height_px, width_px, 3), np.uint8)
        with self._lock:
            self._check_open()
            deadline = Deadline(self._path, self._options.time_limit_s)
            for row in np.unique(rows).tolist():
                bgr = self._frame(row, deadline)
                pixels[rows == row] = resize_picture(bgr[..., ::-1], (width_px, height_px))
        return FrameBatch(pixels=pixels, times_s=self._timeline.times_s[rows], exact=exact)

    def stream(
        self, fps_hz: float | None, size_px: tuple[int, int] | None, span: Span
    ) -> Iterator[FrameBatch]:
        """See `Source.stream`."""
        times_s = self._timeline.within(span) if fps_hz is None else stream_times(fps_hz, span)
        return self._streamed(times_s, size_px)

    def reopened(self) -> Self:
        return type(self)(self._path, self._options)

    def close(self) -> None:
        self._closed = True
        with self._lock:
            self._capture.release()

    def _check_open(self) -> None:
        if self._closed:
            raise VideoError(f"{self._path}: is closed; open it again")

    def _streamed(
        self, times_s: np.ndarray, size_px: tuple[int, int] | None
    ) -> Iterator[FrameBatch]:
        """Through a capture of its own, so that other calls do not throw it back to the start."""
        reader = self.reopened()
        try:
            for batch in stream_by_times(reader, times_s, size_px):
                yield batch
                self._check_open()
        finally:
            reader.close()

    def _opened(self) -> cv2.VideoCapture:
        with open_unnamed(self._path) as (name, _):
            try:
                name.encode()
            except UnicodeEncodeError as error:  # OpenCV would end the process
                raise BackendError(f"{self._path}: OpenCV takes names in UTF-8 only") from error
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not capture.isOpened():
            raise BackendError(f"{self._path}: cannot be opened by OpenCV")
        return capture

    def _frame(self, row: int, deadline: Deadline) -> np.ndarray:
        """uint8 (H, W, 3), BGR: frame `row` of the timeline, with its time checked."""
        # It cannot be trusted to seek, so the way back is from the start.
        if row < self._row:
            self._capture.release()
            self._capture, self._row = self._opened(), -1
        while self._row < row:
            deadline.check()
            if not self._capture.grab():
                raise BackendError(
                    f"{self._path}: OpenCV finds no frame after {self._row + 1}, "
                    f"{len(self._timeline.times_s)} are there"
                )
            self._row += 1
        # OpenCV counts from the first frame, the timeline from the zero of the container.
        start_s, wanted_s = self._timeline.times_s[[0, row]]
        found_s = start_s + self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if abs(found_s - wanted_s) > _TIME_TOLERANCE_S:
            raise BackendError(
                f"{self._path}: OpenCV shows a frame of {found_s:.3f} s where {wanted_s:.3f} s is "
                "due; use another back end"
            )
        has_picture, bgr = self._capture.retrieve()
        if not has_picture:
            raise BackendError(f"{self._path}: OpenCV cannot decode the frame at {wanted_s:.3f} s")
        return bgr

"""The torchcodec source, on the CPU or a CUDA device: its exact mode, frames asked for by number.

The time torchcodec gives for every frame is compared with the container's. torchcodec and torch are
imported when a source is made; whatever goes wrong then says how to install them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self

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
from mmreason.video.backends.timeline import Timeline, read_timeline
from mmreason.video.descriptors import open_unnamed
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo

_AT_ONCE_BYTES = 64 * 2**20
_TIME_TOLERANCE_S = 0.002


class TorchCodecSource:
    """One open file, meeting the `Source` protocol. Calls from several threads take turns."""

    def __init__(
        self, path: Path, options: ReadOptions, device: Literal["cpu", "cuda"] = "cpu"
    ) -> None:
        """Read every packet's time, scan the file and decode its first frame. Raises VideoError."""
        self._path, self._options = path, options
        self._device: Literal["cpu", "cuda"] = device
        self._name = "torchcodec-cuda" if device == "cuda" else "torchcodec"
        self._lock = threading.Lock()
        decoders = _import_decoders(path, device)
        self._timeline = read_timeline(path, self._deadline(), options.track)
        self._refuse(self._timeline)
        self._decoder: Any = None
        with open_unnamed(path) as (name, _):
            try:
                self._decoder = decoders.VideoDecoder(
                    name,
                    stream_index=self._timeline.track,
                    dimension_order="NHWC",
                    num_ffmpeg_threads=1,
                    device=device,
                )
            except Exception as error:
                raise BackendError(
                    f"{path}: torchcodec cannot open it ({short_reason(error)})"
                ) from error
        # Frames are asked for by number, so both counts have to agree.
        count = self._asked(lambda decoder: decoder.metadata.num_frames)
        if count != len(self._timeline.times_s):
            raise BackendError(
                f"{path}: torchcodec counts {count} frames, {len(self._timeline.times_s)} are shown"
            )
        # The size of a picture as it comes, turned or not.
        height_px, width_px = self._pictures([0])[0].shape[:2]
        info = self._timeline.info(self._name, (width_px, height_px))
        # Told, since who asked for the GPU would look for the speed.
        if device == "cuda" and getattr(self._decoder, "cpu_fallback", False):
            notes = ("the CUDA device cannot decode it: decoded on the CPU", *info.notes)
            info = replace(info, notes=notes)
        self._info = info

    @property
    def info(self) -> VideoInfo:
        return self._info

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        """From the file's packets, read through PyAV: torchcodec does not tell."""
        self._check_open()
        return self._timeline.keyframe_times_s

    def read_frame_times(self) -> np.ndarray:
        """See `Source.read_frame_times`."""
        self._check_open()
        return self._timeline.times_s.copy()

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `Source.frames_at`. Raises VideoError where torchcodec gives another frame or
        fails."""
        times, size_px = checked_request(self.info, times_s, size_px)
        rows, exact = self._timeline.rows(times)
        pixels = np.empty((len(times), size_px[1], size_px[0], 3), np.uint8)
        distinct_rows = np.unique(rows)
        step = max(1, _AT_ONCE_BYTES // (self.info.width_px * self.info.height_px * 3))
        with self._lock:
            deadline = self._deadline()
            for first in range(0, len(distinct_rows), step):
                self._check_open()
                deadline.check()
                step_rows = distinct_rows[first : first + step].tolist()
                for row, picture in zip(step_rows, self._pictures(step_rows), strict=True):
                    pixels[rows == row] = resize_picture(picture, size_px)
            self._check_open()
        return FrameBatch(pixels=pixels, times_s=self._timeline.times_s[rows], exact=exact)

    def stream(
        self, fps_hz: float | None, size_px: tuple[int, int] | None, span: Span
    ) -> Iterator[FrameBatch]:
        """See `Source.stream`."""
        self._check_open()
        times_s = self._timeline.within(span) if fps_hz is None else stream_times(fps_hz, span)
        return stream_by_times(self, times_s, size_px)

    def reopened(self) -> Self:
        return type(self)(self._path, self._options, self._device)

    def close(self) -> None:
        self._decoder = None

    def _check_open(self) -> None:
        if self._decoder is None:
            raise VideoError(f"{self._path}: is closed; open it again")

    def _deadline(self) -> Deadline:
        return Deadline(self._path, self._options.time_limit_s)

    def _refuse(self, timeline: Timeline) -> None:
        if refusal := timeline.refusal(takes_track=True):
            raise BackendError(f"{self._path}: {refusal} torchcodec does not tell")
        if timeline.display.mirrored:
            raise BackendError(
                f"{self._path}: is stored mirrored, which torchcodec does not set right"
            )
        refuse_colour(self._path, timeline.colour, self._name, self._options.tone_map)

    def _pictures(self, rows: list[int]) -> list[np.ndarray]:
        """uint8 (H, W, 3) at full size for each of `rows`, with their times checked."""
        batch = self._asked(lambda decoder: decoder.get_frames_at(rows))
        shown_s, due_s = batch.pts_seconds.cpu().numpy(), self._timeline.times_s[rows]
        off = np.flatnonzero(np.abs(shown_s - due_s) > _TIME_TOLERANCE_S)
        if len(off):
            raise BackendError(
                f"{self._path}: torchcodec gave the frame of {shown_s[off[0]]:.3f} s for "
                f"{due_s[off[0]]:.3f} s; use another back end"
            )
        return [picture.cpu().numpy() for picture in batch.data]

    def _asked(self, question: Any) -> Any:
        """What torchcodec answers; its errors (of several kinds) as BackendError."""
        try:
            return question(self._decoder)
        except Exception as error:
            raise BackendError(
                f"{self._path}: torchcodec failed ({short_reason(error)})"
            ) from error


def _import_decoders(path: Path, device: str) -> Any:
    try:
        torch = import_module("torch")
        decoders = import_module("torchcodec.decoders")
    except Exception as error:  # no torchcodec, no FFmpeg libraries, no CUDA library, ...
        raise BackendError(
            f"{path}: torchcodec cannot be used ({short_reason(error)}); it needs FFmpeg's "
            'shared libraries and, in the clone of mmreason, pip install ".[torchcodec]"'
        ) from error
    if device == "cuda" and not torch.cuda.is_available():
        raise BackendError(f"{path}: torchcodec-cuda needs a CUDA device, none is there")
    return decoders

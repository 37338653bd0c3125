"""The torchcodec source, on the CPU or a CUDA device: its exact mode, frames asked for by time.

torchcodec and torch are imported when a source is made; whatever goes wrong then says how to
install them. Leaves out its approximate mode, which is wrong on variable frame rates.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from mmreason.video.backends.base import (
    SLACK_S,
    BackendError,
    ReadOptions,
    Watch,
    checked_request,
    fitted,
    short_reason,
    stream_by_times,
    stream_length,
    stream_times,
)
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo

if TYPE_CHECKING:
    from torch import Tensor

    from mmreason.video.backends.display import Display

_AT_ONCE_BYTES = 64 * 2**20


class TorchCodecSource:
    """One open file, meeting the `Source` protocol. Calls from several threads take turns."""

    def __init__(
        self, path: Path, options: ReadOptions, device: Literal["cpu", "cuda"] = "cpu"
    ) -> None:
        """Scan the file and decode its first frame. Raises VideoError."""
        self._path, self._options = path, options
        self._device: Literal["cpu", "cuda"] = device
        self._lock = threading.Lock()
        self._key_times_s: tuple[float, ...] | None = None
        self._decoder = _decoder(path, device)
        self._display = self._read_display()
        first = self._asked(  # by time, which fails on files without a usable index
            lambda decoder: decoder.get_frames_played_at([decoder.metadata.begin_stream_seconds])
        )
        self._last = int(self._asked(lambda decoder: decoder.metadata.num_frames)) - 1
        last = self._asked(lambda decoder: decoder.get_frame_at(self._last))
        self._last_s = float(last.pts_seconds)
        height_px, width_px = first.data.shape[1:3]
        self._info = self._describe(height_px, width_px, float(last.duration_seconds))

    @property
    def info(self) -> VideoInfo:
        return self._info

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        """Read from the file's packets through PyAV, on first use: torchcodec does not tell."""
        with self._lock:
            self._check_open()
            if self._key_times_s is None:
                from mmreason.video.backends.timeline import read_timeline

                timeline = read_timeline(self._path, self._watch(), self._options.track)
                self._key_times_s = timeline.keyframe_times_s
            return self._key_times_s

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `Source.frames_at`. Raises VideoError where torchcodec cannot decode."""
        times, size_px = checked_request(self.info, times_s, size_px)
        pixels = np.empty((len(times), size_px[1], size_px[0], 3), np.uint8)
        shown_s = np.empty(len(times))
        span = self.info.span
        order = np.argsort(times, kind="stable")
        step = max(1, _AT_ONCE_BYTES // (self.info.width_px * self.info.height_px * 3))
        with self._lock:
            self._check_open()
            watch = self._watch()
            for first in range(0, len(times), step):
                watch.check()
                rows = order[first : first + step]
                # torchcodec may end a video as its last frame begins: that one is asked for by row.
                is_last = times[rows] + SLACK_S >= self._last_s
                inside = (times[rows[~is_last]] + SLACK_S).clip(span.start_s)
                found = [
                    (rows[~is_last], lambda d, at=inside: d.get_frames_played_at(at.tolist())),
                    (rows[is_last], lambda d: d.get_frames_at([self._last])),
                ]
                for some, question in found:
                    if not len(some):
                        continue
                    answer = self._asked(question)
                    shown_s[some] = answer.pts_seconds.cpu().numpy()
                    pictures = [fitted(picture, size_px) for picture in _pictures(answer.data)]
                    pixels[some] = pictures
        self._check_times(times, shown_s)
        exact = (times >= span.start_s - SLACK_S) & (times < span.end_s)
        return FrameBatch(pixels=pixels, times_s=shown_s, exact=exact)

    def stream(
        self, fps_hz: float | None, size_px: tuple[int, int] | None, span: Span
    ) -> Iterator[FrameBatch]:
        """See `Source.stream`."""
        length = stream_length(self.info, size_px)
        self._check_open()
        if fps_hz is not None:
            return stream_by_times(self, stream_times(fps_hz, span), size_px)
        return self._every_frame(span, size_px, length)

    def _read_display(self) -> Display:
        """Through PyAV: torchcodec does not tell. Raises BackendError for what it does not do."""
        from mmreason.video.backends.timeline import read_display

        display, _ = read_display(self._path, self._watch(), self._options.track)
        if display.mirrored:
            raise BackendError(
                f"{self._path}: is stored mirrored, which torchcodec does not set right"
            )
        return display

    def reopened(self) -> Self:
        return type(self)(self._path, self._options, self._device)

    def close(self) -> None:
        self._decoder = None

    def _check_open(self) -> None:
        if self._decoder is None:
            raise VideoError(f"{self._path}: is closed; open it again")

    def _watch(self) -> Watch:
        return Watch(self._path, self._options.time_limit_s)

    def _asked(self, question: Any) -> Any:
        """What torchcodec answers; its errors (of several kinds) as BackendError."""
        try:
            return question(self._decoder)
        except Exception as error:
            raise BackendError(
                f"{self._path}: torchcodec failed ({short_reason(error)})"
            ) from error

    def _check_times(self, times: np.ndarray, shown_s: np.ndarray) -> None:
        """A frame shown after the time it was asked for is another one than was asked for."""
        late = shown_s > np.maximum(times, self.info.start_s) + 2 * SLACK_S
        if late.any():
            row = int(np.flatnonzero(late)[0])
            raise BackendError(
                f"{self._path}: torchcodec gave the frame of {shown_s[row]:.3f} s for "
                f"{times[row]:.3f} s; use another back end"
            )

    def _every_frame(
        self, span: Span, size_px: tuple[int, int] | None, length: int
    ) -> Iterator[FrameBatch]:
        if span.duration_s <= 0:
            return
        _, size_px = checked_request(self.info, [], size_px)
        count, end_s = self.info.frame_count or 0, span.end_s - SLACK_S
        row = self._row_at(span.start_s + SLACK_S)
        while row < count:
            with self._lock:
                self._check_open()
                found = self._asked(
                    lambda d, at=row: d.get_frames_in_range(at, min(at + length, count))
                )
            times_s = found.pts_seconds.cpu().numpy().astype(np.float64)
            keep = int(np.searchsorted(times_s, end_s, "right"))
            if keep:
                pictures = [fitted(picture, size_px) for picture in _pictures(found.data[:keep])]
                yield FrameBatch(
                    pixels=np.stack(pictures), times_s=times_s[:keep], exact=np.ones(keep, np.bool_)
                )
            if keep < len(times_s):
                return
            row += length

    def _row_at(self, time_s: float) -> int:
        """Index of the frame displayed at `time_s`, by halving."""
        low, high = 0, (self.info.frame_count or 1) - 1
        while low < high:
            middle = (low + high + 1) // 2
            found = self._asked(lambda d, at=middle: d.get_frame_at(at))
            low, high = (middle, high) if found.pts_seconds <= time_s else (low, middle - 1)
        return low

    def _describe(self, height_px: int, width_px: int, last_length_s: float) -> VideoInfo:
        facts = self._asked(lambda decoder: decoder.metadata)
        start_s, end_s = facts.begin_stream_seconds, facts.end_stream_seconds
        if last_length_s <= 0:  # not stated: as long as frames are on average
            end_s = self._last_s + (self._last_s - start_s or 1 / 25) / max(1, self._last)
        notes = ()
        if self._device == "cuda" and getattr(self._decoder, "cpu_fallback", False):
            notes = ("the CUDA device cannot decode it: decoded on the CPU",)
        return VideoInfo(
            path=str(self._path),
            duration_s=end_s - start_s,
            start_s=start_s,
            width_px=width_px,
            height_px=height_px,
            codec=facts.codec,
            mean_fps_hz=facts.num_frames / (end_s - start_s),
            frame_count=facts.num_frames,
            rotation_deg=round(getattr(facts, "rotation", None) or 0) % 360,
            has_audio=_has_audio(self._path),
            backend="torchcodec" if self._device == "cpu" else "torchcodec-cuda",
            size_bytes=self._path.stat().st_size,
            pixel_aspect=self._display.pixel_aspect,
            notes=notes,
        )


def _decoder(path: Path, device: str) -> Any:
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
    try:
        return decoders.VideoDecoder(
            str(path), dimension_order="NHWC", num_ffmpeg_threads=1, device=device
        )
    except Exception as error:
        raise BackendError(f"{path}: torchcodec cannot open it ({short_reason(error)})") from error


def _has_audio(path: Path) -> bool:
    try:
        import_module("torchcodec.decoders").AudioDecoder(str(path))
    except Exception:  # says so by failing
        return False
    return True


def _pictures(data: Tensor) -> Iterator[np.ndarray]:
    for picture in data:
        yield picture.cpu().numpy()

"""`Video`: an opened file or scripted world that gives frames at times."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, cast

from mmreason.video.backends.base import OutOfMemoryError, ReadOptions, Source, ToneMap
from mmreason.video.backends.choose import Backend, open_source
from mmreason.video.file_kinds import is_world_script
from mmreason.video.files import hash_content
from mmreason.video.inputs import PrivateFile, VideoInput, as_path, copy_bytes
from mmreason.video.plain_text import show_line, show_text
from mmreason.video.types import (
    FrameBatch,
    FrameSource,
    SamplePlan,
    Span,
    VideoError,
    VideoInfo,
    format_time,
)

if TYPE_CHECKING:
    import numpy as np

    from mmreason.video.audio import AudioSamples, AudioTrack

T = TypeVar("T")

_PREVIEW_FRAMES = 8
_PREVIEW_CELL_PX = 160


class Video:
    """An opened video. Use it as a context manager, or call `close`.

    Pickles as its path (or its bytes, where it was opened from some) and settings and is opened
    again where it is unpickled, and in a forked process; serves several threads.
    """

    def __init__(
        self,
        path: Path,
        source: Source,
        *,
        backend: Backend = "auto",
        options: ReadOptions | None = None,
        full_hash: bool = False,
        notes: tuple[str, ...] = (),
        private: PrivateFile | None = None,
    ) -> None:
        """Wrap an open `source`; people call `Video.open`, whose choices are kept for pickling."""
        self.path = path
        self._private = private
        self._source = source
        self._backend: Backend = backend
        self._options = options or ReadOptions()
        self._full_hash = full_hash
        self._notes = notes
        self._pid = os.getpid()
        self._closed = False
        self._content_hash: str | None = None
        self._frame_times_s: np.ndarray | None = None

    @classmethod
    def open(
        cls,
        path: VideoInput,
        backend: Backend = "auto",
        *,
        workers: int = 2,
        time_limit_s: float | None = None,
        memory_limit_mb: int | None = None,
        track: int | None = None,
        tone_map: ToneMap = "auto",
        full_hash: bool = False,
        name: str | None = None,
    ) -> Video:
        """Open a video file, or a scripted world (`.json`). Raises VideoError.

        `path` may also be a file that is open as binary, or the bytes of a file. An open file of
        the disk is read through its descriptor, whatever its name stands for by now (Linux); bytes
        and other files are copied to a private temporary file, which is removed when the video is
        closed or forgotten. `name` is what messages call them.
        `backend` is "pyav", "torchcodec", "torchcodec-cuda", "opencv" or "decord"; "auto" takes
        the first that can read the file, and `info` tells which one it was and what kept the
        others from it. `workers` threads at most decode at the same time (PyAV only).
        `time_limit_s` and `memory_limit_mb` are for files that nobody vouches for: the first ends
        any one call that takes longer. With the second (Linux) a process of its own reads the file
        and may take that many megabytes (10^6 bytes) beyond the program itself, through PyAV where
        `backend` is "auto"; it is ended when a limit is met, a call is interrupted or the video is
        closed.
        `track` is the index of a video stream (`info.tracks` lists them); None takes the one that
        players take. `tone_map="none"` delivers high dynamic range as stored instead of brought
        to a standard screen.
        `full_hash` has `content_hash`, and so the keys of a store, cover every byte of the file.
        """
        options = ReadOptions(
            workers=workers,
            time_limit_s=time_limit_s,
            memory_limit_mb=memory_limit_mb,
            track=track,
            tone_map=tone_map,
        )
        return _open(as_path(path, name), backend, options, full_hash)

    @property
    def options(self) -> ReadOptions:
        """How it is read: limits, track, tone map."""
        return self._options

    @property
    def info(self) -> VideoInfo:
        info = self._source.info
        if self._notes:
            info = replace(info, notes=(*info.notes, *self._notes))
        return info if self._private is None else replace(info, path=self._private.name)

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        """Presentation times of frames that decode by themselves, ascending; read on first use."""
        with self._naming():
            return self._here().keyframe_times_s

    @property
    def frame_times_s(self) -> np.ndarray:
        """Presentation times of all displayed frames, float64 (N,), ascending. Every packet of a
        file is read for it, once, on first use: about a second for an hour of video."""
        if self._frame_times_s is None:
            with self._naming():
                self._frame_times_s = self._here().read_frame_times()
            self._frame_times_s.flags.writeable = False
        return self._frame_times_s

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """The frames displayed at `times_s` (seconds; any order, duplicates allowed), as ordered.

        `size_px` is (width, height), None for the video's own. A time outside the video gives its
        first or last frame, with `exact` False. Raises VideoError.
        """
        with self._naming():
            return self._here().frames_at(times_s, size_px)

    def stream(
        self,
        fps: float | None = None,
        size_px: tuple[int, int] | None = None,
        span: Span | None = None,
    ) -> Iterator[FrameBatch]:
        """Read forward in constant memory: batches of a few frames, in order.

        With `fps` the frames displayed every `1 / fps` seconds from the start of `span` (the whole
        video for None); without, each frame displayed in it, once. Several streams and other calls
        may go on at the same time. Raises VideoError.

            for frames in video.stream(fps=2, size_px=(320, 180)):
                ...
        """
        whole = self.info.span
        with self._naming():
            batches = self._here().stream(fps, size_px, whole if span is None else span.clip(whole))
        return batches if self._private is None else self._hold_file(batches)

    @property
    def audio_tracks(self) -> tuple[AudioTrack, ...]:
        """The tracks of sound, in the container's order. Raises VideoError."""
        from mmreason.video.audio import list_audio_tracks

        self._here()
        with self._naming():
            return list_audio_tracks(self.path, options=self._options)

    def audio(
        self, span: Span | None = None, *, track: int | None = None, rate_hz: int = 16_000
    ) -> AudioSamples:
        """The sound over `span` as one channel of float32 at `rate_hz`, on the clock of the
        pictures; the whole track for None. Silence stands where the track has nothing, which
        `notes` tell. Raises VideoError, and NoAudioError where there is no sound.

            samples = video.audio(Span(60, 75)).samples
        """
        from mmreason.video.audio import read_audio

        self._here()
        with self._naming():
            return read_audio(self.path, span, track=track, rate_hz=rate_hz, options=self._options)

    def stream_audio(
        self,
        span: Span | None = None,
        *,
        track: int | None = None,
        rate_hz: int = 16_000,
        block_s: float = 30.0,
    ) -> Iterator[AudioSamples]:
        """As `audio`, in blocks of `block_s` seconds, in bounded memory. Raises VideoError."""
        from mmreason.video.audio import stream_audio

        self._here()
        blocks = stream_audio(
            self.path,
            span,
            track=track,
            rate_hz=rate_hz,
            block_s=block_s,
            options=self._options,
        )
        return self._hold_file(blocks)

    def _hold_file(self, batches: Iterator[T]) -> Iterator[T]:
        """`batches`, with the file that they are read from kept as long as they are read."""
        with self._naming():
            yield from batches

    def _naming(self) -> AbstractContextManager[None]:
        return _errors_told(self.path, self._private)

    def _here(self) -> Source:
        """The source, opened anew where this process was forked from the one that opened it: they
        would share a place in the file. The parent's is left alone."""
        if self._closed:
            name = self.path if self._private is None else self._private.name
            raise VideoError(f"{name}: is closed; open it again")
        if self._pid != os.getpid():
            # The parent's source is held, not closed: it still reads from it.
            self._inherited, self._source = self._source, self._source.reopened()
            self._pid = os.getpid()
        return self._source

    def sample(self, plan: SamplePlan) -> FrameBatch:
        """Decode what `plan` says, in its order; frames that it moved are not `exact`. Raises
        VideoError."""
        batch = self.frames_at(plan.times_s, plan.size_px)
        if not any(plan.moved):
            return batch
        return replace(batch, exact=batch.exact & [not moved for moved in plan.moved])

    @property
    def content_hash(self) -> str:
        """sha256 (hex) that names the content: of a world its bytes, of a file its size and blocks
        of 64 KiB at its start, at its end and evenly between; every byte where the video was opened
        with `full_hash`."""
        if self._content_hash is None:
            if self._private is not None and self._private.closed:
                raise VideoError(f"{self._private.name}: is closed; open it again")
            whole = self._full_hash or is_world_script(self.path)
            self._content_hash = hash_content(self.path, whole=whole)
        return self._content_hash

    def close(self) -> None:
        """Release the file. May be called twice; reading afterwards raises VideoError."""
        self._closed = True
        if self._pid == os.getpid():
            self._source.close()
        if self._private is not None:
            self._private.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        settings = (self._backend, self._options, self._full_hash)
        if self._private is None:
            return _open, (self.path, *settings)
        if self._private.closed:
            raise VideoError(
                f"{self._private.name}: is closed and cannot be pickled; open it again"
            )
        return _open_bytes, (self.path.read_bytes(), self._private.name, *settings)

    def __repr__(self) -> str:
        info, path = self.info, show_line(self.info.path)
        return (
            f"Video({path}, {format_time(info.duration_s)}, {info.width_px}x{info.height_px}, "
            f"{info.mean_fps_hz:.4g} fps, {info.codec})"
        )

    def _repr_html_(self) -> str:
        """A contact sheet with a caption; the reason instead of pictures where nothing is read."""
        from base64 import b64encode
        from html import escape

        from mmreason.video import plan
        from mmreason.video.sheet import cell_size_px, contact_sheet, jpeg_bytes

        caption = f"<div>{escape(repr(self))}</div>"
        size_px = cell_size_px(self.info.square_size_px, _PREVIEW_CELL_PX)
        try:
            frames = self.sample(plan.uniform(self, _PREVIEW_FRAMES, size_px=size_px))
        except VideoError as error:
            return f"{caption}<div>{escape(show_text(str(error)))}</div>"
        sheet = contact_sheet(frames, columns=4, cell_width_px=_PREVIEW_CELL_PX)
        data = b64encode(jpeg_bytes(sheet)).decode()
        return f'{caption}<img alt="frames of the video" src="data:image/jpeg;base64,{data}">'


def _open(
    file: Path | PrivateFile, backend: Backend, options: ReadOptions, full_hash: bool
) -> Video:
    private = file if isinstance(file, PrivateFile) else None
    path = file.path if isinstance(file, PrivateFile) else file
    with _errors_told(path, private):
        source, notes = open_source(path, backend, options)
    return Video(
        path,
        source,
        backend=backend,
        options=options,
        full_hash=full_hash,
        notes=notes,
        private=private,
    )


@contextmanager
def _errors_told(path: Path, private: PrivateFile | None) -> Iterator[None]:
    """Errors of the block name what was given; a lack of memory is one too."""
    with nullcontext() if private is None else private.naming():
        try:
            yield
        except MemoryError as error:
            raise OutOfMemoryError(f"{path}: needs more memory than there is") from error


def _open_bytes(
    data: bytes, name: str, backend: Backend, options: ReadOptions, full_hash: bool
) -> Video:
    """Where a video that was opened from bytes is unpickled."""
    return _open(copy_bytes(data, name), backend, options, full_hash)


def keep_open(video: VideoInput | FrameSource) -> AbstractContextManager[FrameSource]:
    """What is open already stays open; a path, bytes or a binary file is opened and closed.
    VideoError where it cannot be opened."""
    if hasattr(video, "info"):
        return nullcontext(cast("FrameSource", video))
    return closing(Video.open(cast("VideoInput", video)))

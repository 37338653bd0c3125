"""`Video`: an opened file or scripted world that gives frames at times.

Leaves out how frames are made (`backends/`, `world/`) and which frames to take (`plan`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mmreason.video.backends.base import Source, check_file
from mmreason.video.types import FrameBatch, SamplePlan, VideoError, VideoInfo, format_time

if TYPE_CHECKING:
    import numpy as np

_HASH_BLOCKS = 16
_HASH_BLOCK_BYTES = 64 * 1024
_PREVIEW_FRAMES = 8
_PREVIEW_CELL_PX = 160


class Video:
    """An opened video. Use it as a context manager, or call `close`.

    Pickles as its path and is opened again where it is unpickled.
    """

    def __init__(self, path: Path, source: Source) -> None:
        """Wrap an open `source`; people call `Video.open`."""
        self.path = path
        self._source = source
        self._content_hash: str | None = None

    @classmethod
    def open(cls, path: str | Path) -> Video:
        """Open a video file, or a scripted world (`.json`). Raises VideoError."""
        path = Path(path)
        check_file(path)
        if path.suffix.lower() == ".json":
            from mmreason.video.world.source import open_world

            return cls(path, open_world(path))
        from mmreason.video.backends.pyav import PyAVSource

        return cls(path, PyAVSource(path))

    @property
    def info(self) -> VideoInfo:
        return self._source.info

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        """Presentation times of frames that decode by themselves, ascending; read on first use."""
        return self._source.keyframe_times_s

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """The frames displayed at `times_s` (seconds; any order, duplicates allowed), as ordered.

        `size_px` is (width, height), None for the video's own. A time outside the video gives its
        first or last frame, with `exact` False. Raises VideoError.
        """
        return self._source.frames_at(times_s, size_px)

    def sample(self, plan: SamplePlan) -> FrameBatch:
        """Decode what `plan` says, in its order. Raises VideoError."""
        return self.frames_at(plan.times_s, plan.size_px)

    @property
    def content_hash(self) -> str:
        """sha256 (hex) that names the content: of a world its bytes, of a file its size and blocks
        of 64 KiB at its start, at its end and evenly between."""
        if self._content_hash is None:
            self._content_hash = self._hash()
        return self._content_hash

    def _hash(self) -> str:
        if self.path.suffix.lower() == ".json":
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        size = self.path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        last_start = max(0, size - _HASH_BLOCK_BYTES)
        with self.path.open("rb") as file:
            for start in sorted(
                {last_start * i // (_HASH_BLOCKS - 1) for i in range(_HASH_BLOCKS)}
            ):
                file.seek(start)
                digest.update(file.read(_HASH_BLOCK_BYTES))
        return digest.hexdigest()

    def close(self) -> None:
        """Release the file. May be called twice; reading afterwards raises VideoError."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Video.open, (str(self.path),)

    def __repr__(self) -> str:
        info = self.info
        return (
            f"Video({info.path}, {format_time(info.duration_s)}, {info.width_px}x{info.height_px}, "
            f"{info.mean_fps_hz:.4g} fps, {info.codec})"
        )

    def _repr_html_(self) -> str:
        """A contact sheet with a caption; the reason instead of pictures where nothing is read."""
        from base64 import b64encode
        from html import escape

        from mmreason.video import plan
        from mmreason.video.sheet import contact_sheet, jpeg_bytes

        caption = f"<div>{escape(repr(self))}</div>"
        info = self.info
        height_px = max(1, round(_PREVIEW_CELL_PX * info.height_px / info.width_px))
        try:
            frames = self.sample(
                plan.uniform(self, _PREVIEW_FRAMES, size_px=(_PREVIEW_CELL_PX, height_px))
            )
        except VideoError as error:
            return f"{caption}<div>{escape(str(error))}</div>"
        sheet = contact_sheet(frames, columns=4, cell_width_px=_PREVIEW_CELL_PX)
        data = b64encode(jpeg_bytes(sheet)).decode()
        return f'{caption}<img alt="frames of the video" src="data:image/jpeg;base64,{data}">'

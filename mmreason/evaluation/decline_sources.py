"""Sources of footage that is no scripted world: files of a folder, and drawn ones.

A source is split into the train half or the held-out half by a hash of its name, before anything is
tuned on it, and is shown at five brightnesses. `declines.py` asks a model about them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmreason.evaluation.drawn_sources import drawn_sources
from mmreason.types import UsageError
from mmreason.video import plan
from mmreason.video.types import FrameBatch, Span, VideoError

LIGHTS = (1.0, 0.6, 0.35, 0.15, 0.05)
"""Brightnesses: each level of a picture times this."""
CLIP_S = 2.0
"""Length of a window."""
MOST_WINDOWS = 4
"""Windows of one clip, evenly over it."""
DRAWN_STEP_S = 0.25
MEDIA = (
    *(".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"),
    *(".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One independent piece of footage."""

    name: str
    """FOLDER/FILE below the folder that was given, or drawn/KIND-NN. Decides its half."""
    group: str
    """Where it comes from: a package's folder, or "drawn"."""
    read: Callable[[int, tuple[int, int] | None], list[FrameBatch]]
    """(frames, (width, height) or None) to its windows."""

    @property
    def is_held_out(self) -> bool:
        """Whether it is kept for the final measurement."""
        # By name, not by order: a source that is added or removed moves no other into the other
        # half.
        return hashlib.sha256(self.name.encode()).digest()[0] % 2 == 1

    def windows(self, frames: int, size_px: tuple[int, int] | None) -> list[FrameBatch]:
        """Up to `MOST_WINDOWS` windows of `frames` frames, at `size_px` where given. VideoError
        where the file cannot be read."""
        return self.read(frames, size_px)


def find_sources(paths: Iterable[Path]) -> list[Source]:
    """A source for each picture and clip among `paths` and below the folders among them, by name.

    UsageError for a path that is not there and for a folder without any.
    """
    sources: dict[str, Source] = {}
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in MEDIA and p.is_file())
            if not files:
                raise UsageError(f"{path}: no pictures or clips in this folder")
        elif path.is_file():
            files = [path]
        else:
            raise UsageError(f"{path}: no such file or folder")
        # Names are below the folder that was given, so that they do not change with where it lies.
        root = path if path.is_dir() else path.parent
        for file in files:
            name = file.relative_to(root).as_posix()
            group = file.parent.name if file.parent != root else root.name
            sources[name] = Source(name=name, group=group, read=_FileReader(file))
    return [sources[name] for name in sorted(sources)]


def list_drawn_sources() -> list[Source]:
    """The sources of `drawn_sources.py`."""
    return [
        Source(name=name, group="drawn", read=_DrawnReader(draw))
        for name, draw in drawn_sources().items()
    ]


def at_light(frames: FrameBatch, light: float) -> FrameBatch:
    """The same frames with all levels times `light`."""
    if light == 1.0:
        return frames
    # Rounded, so that brightness 1 and brightness 0.999 do not differ by a level everywhere.
    dim = (frames.pixels * np.float32(light) + 0.5).astype(np.uint8)
    return FrameBatch(pixels=dim, times_s=frames.times_s, exact=frames.exact)


@dataclass(frozen=True, slots=True)
class _FileReader:
    path: Path

    def __call__(self, frames: int, size_px: tuple[int, int] | None) -> list[FrameBatch]:
        from mmreason.tools.ground import frame_of_image, is_image

        if is_image(self.path):
            try:
                picture = frame_of_image(self.path).pixels
            # A picture that cannot be read is a finding about the source, not about how it was
            # called.
            except UsageError as error:
                raise VideoError(str(error)) from error
            return [_still_clip(picture, frames, size_px)]
        return list(_clip_windows(self.path, frames, size_px))


@dataclass(frozen=True, slots=True)
class _DrawnReader:
    draw: Callable[[], np.ndarray]

    def __call__(self, frames: int, size_px: tuple[int, int] | None) -> list[FrameBatch]:
        drawings = self.draw()
        order = np.linspace(0, len(drawings) - 1, frames).round().astype(int)
        pixels = np.stack([_resized(drawings[i], size_px) for i in order])
        return [_batch(pixels, DRAWN_STEP_S)]


def _clip_windows(path: Path, frames: int, size_px: tuple[int, int] | None) -> Iterator[FrameBatch]:
    from mmreason.video.reader import Video

    with Video.open(path) as video:
        span = video.info.span
        # Windows do not overlap: two of one clip would be nearly one.
        count = min(MOST_WINDOWS, max(1, int(span.duration_s / CLIP_S)))
        step_s = span.duration_s / count
        for index in range(count):
            start_s = span.start_s + index * step_s
            # The last window may reach beyond the end by rounding.
            window = Span(start_s, start_s + min(CLIP_S, step_s)).clip(span)
            yield video.frames_at(plan.uniform(window, frames).times_s, size_px)


def _still_clip(picture: np.ndarray, frames: int, size_px: tuple[int, int] | None) -> FrameBatch:
    still = _resized(picture, size_px)
    return _batch(np.repeat(still[None], frames, 0), DRAWN_STEP_S)


def _batch(pixels: np.ndarray, step_s: float) -> FrameBatch:
    times_s = (np.arange(len(pixels)) + 0.5) * step_s
    return FrameBatch(pixels=pixels, times_s=times_s, exact=np.ones(len(pixels), bool))


def _resized(pixels: np.ndarray, size_px: tuple[int, int] | None) -> np.ndarray:
    from PIL import Image

    if size_px is None or (pixels.shape[1], pixels.shape[0]) == size_px:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size_px, Image.Resampling.BICUBIC))

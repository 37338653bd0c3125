"""What a case shows, and where everything in it is: a scripted world, or one picture."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from mmreason.grounding import Box, Tube
from mmreason.video.types import FrameBatch, FrameSource, VideoInfo
from mmreason.video.world import World
from mmreason.video.world.truth import boxes_at

TUBE_FPS_HZ = 5.0
"""How often tubes are compared, as `Reasoner.ground` samples them."""
GREY = 128
"""Of every pixel of a blind case."""


class CaseFootage(Protocol):
    """A picture or a video with its truth."""

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        ...

    @property
    def moment_s(self) -> float | None:
        """Time of the one frame that stands for it; None of a picture."""
        ...

    def picture(self, time_s: float | None = None) -> np.ndarray:
        """The frame at a time, that one by default: uint8 (H, W, 3) RGB. Raises UsageError where
        it cannot be read."""
        ...

    def video(self, *, is_grey: bool = False) -> FrameSource | None:
        """None of a picture."""
        ...

    def boxes(self, time_s: float | None) -> Mapping[str, Box]:
        """Where each candidate is at a time, by id; without those that are not to be seen."""
        ...

    @property
    def tube_times_s(self) -> tuple[float, ...]:
        """Times at which tubes are compared; empty of a picture."""
        ...

    def tubes(self, times_s: Sequence[float]) -> Mapping[str, Tube]:
        """Where each candidate is at several times."""
        ...


class DrawnWorld:
    """The video of a world, drawn on demand without a file, or as long a one of grey. Meets
    `FrameSource`."""

    def __init__(self, world: World, *, is_grey: bool = False) -> None:
        self._world, self._is_grey = world, is_grey
        content = f"grey {world.duration_s}" if is_grey else world.to_json()
        self._hash = hashlib.sha256(content.encode()).hexdigest()

    @property
    def info(self) -> VideoInfo:
        """See `FrameSource`."""
        world = self._world
        return VideoInfo(
            path=world.name,
            duration_s=world.frame_count / world.fps_hz,
            start_s=0.0,
            width_px=world.width_px,
            height_px=world.height_px,
            codec="scripted world",
            mean_fps_hz=world.fps_hz,
            frame_count=world.frame_count,
            rotation_deg=0,
            has_audio=False,
            backend="world",
            size_bytes=0,
        )

    @property
    def content_hash(self) -> str:
        """See `FrameSource`."""
        return self._hash

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `FrameSource`."""
        world = self._world
        # A time that rounding puts just below a frame's own is that frame's.
        index = np.floor(np.asarray(times_s, np.float64) * world.fps_hz + 1e-5)
        inside = index.clip(0, world.frame_count - 1)
        shown_s = inside / world.fps_hz
        width, height = size_px or world.size_px
        pixels = np.full((len(shown_s), height, width, 3), GREY, np.uint8)
        for row, time_s in enumerate(() if self._is_grey else shown_s):
            pixels[row] = world.frame(float(time_s), (width, height))
        return FrameBatch(pixels=pixels, times_s=shown_s, exact=index == inside)


@dataclass(frozen=True, slots=True)
class WorldFootage:
    """Footage of a scripted world.

    Example:
        >>> from mmreason.video.world import generate
        >>> WorldFootage(generate.demo(0), None).size_px
        (640, 360)
    """

    world: World
    frame_time_s: float | None
    """Of an item about one picture: its time in the world. None of a video."""

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return self.world.size_px

    @property
    def moment_s(self) -> float | None:
        """The middle of a video."""
        return None if self.frame_time_s is not None else self._time_s(None)

    def picture(self, time_s: float | None = None) -> np.ndarray:
        """See `CaseFootage`."""
        return self.world.frame(self._time_s(time_s))

    def video(self, *, is_grey: bool = False) -> FrameSource | None:
        """See `CaseFootage`."""
        if self.frame_time_s is not None:
            return None
        return DrawnWorld(self.world, is_grey=is_grey)

    def boxes(self, time_s: float | None) -> Mapping[str, Box]:
        """See `CaseFootage`."""
        width_px, height_px = self.size_px
        return {
            name: Box(x1 * width_px, y1 * height_px, x2 * width_px, y2 * height_px)
            for name, (x1, y1, x2, y2) in boxes_at(self.world, self._time_s(time_s)).items()
        }

    @property
    def tube_times_s(self) -> tuple[float, ...]:
        """See `CaseFootage`. Frames of the world's own grid."""
        if self.frame_time_s is not None:
            return ()
        step = max(1, round(self.world.fps_hz / TUBE_FPS_HZ))
        return tuple(i / self.world.fps_hz for i in range(0, self.world.frame_count, step))

    def tubes(self, times_s: Sequence[float]) -> Mapping[str, Tube]:
        """See `CaseFootage`."""
        return _tubes_of(self, tuple(times_s))

    def _time_s(self, time_s: float | None) -> float:
        if time_s is not None:
            return time_s
        if self.frame_time_s is not None:
            return self.frame_time_s
        world = self.world
        # A frame of the grid, so that truth and picture are of the same time.
        return (world.frame_count // 2) / world.fps_hz


@lru_cache(maxsize=4)
def _tubes_of(footage: WorldFootage, times_s: tuple[float, ...]) -> Mapping[str, Tube]:
    """Measured once for all that is asked about a world."""
    at_times = [footage.boxes(time_s) for time_s in times_s]
    ids = dict.fromkeys(actor.id for scene in footage.world.scenes for actor in scene.actors)
    return {
        name: Tube.from_boxes(times_s, [boxes.get(name) for boxes in at_times], id=name)
        for name in ids
    }


@dataclass(frozen=True, slots=True)
class PictureFootage:
    """Footage of one picture of somebody's, with the boxes of its objects.

    Example:
        >>> footage = PictureFootage("dogs.jpg", (640, 480), {"target": Box(0, 0, 8, 8)})
        >>> list(footage.boxes(None))
        ['target']
    """

    path: str
    size_px: tuple[int, int]
    boxes_px: Mapping[str, Box]

    @property
    def moment_s(self) -> float | None:
        """See `CaseFootage`."""
        return None

    def picture(self, time_s: float | None = None) -> np.ndarray:
        """See `CaseFootage`."""
        from mmreason.tools.ground import frame_of_image

        return frame_of_image(self.path).pixels

    def video(self, *, is_grey: bool = False) -> FrameSource | None:
        """See `CaseFootage`."""
        return None

    def boxes(self, time_s: float | None) -> Mapping[str, Box]:
        """See `CaseFootage`."""
        return self.boxes_px

    @property
    def tube_times_s(self) -> tuple[float, ...]:
        """See `CaseFootage`."""
        return ()

    def tubes(self, times_s: Sequence[float]) -> Mapping[str, Tube]:
        """See `CaseFootage`."""
        return {
            name: Tube.from_boxes(times_s, [box] * len(times_s), id=name)
            for name, box in self.boxes_px.items()
        }

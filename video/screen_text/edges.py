"""When a line came and when it went: found among the frames between two readings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmreason.video.content.changes import find_change_time, to_greys
from mmreason.video.reader import Video
from mmreason.video.screen_text.matching import crop_box, find_end_row, is_same_picture
from mmreason.video.screen_text.types import BoxPx

_MOST_EDGE_FRAMES = 60


@dataclass(kw_only=True)
class BracketFrames:
    """The frames between two readings, small and grey, decoded when a line first asks for them.

    Example:
        >>> frames = BracketFrames(video=video, start_s=11, end_s=12, scale=0.5)  # doctest: +SKIP
        >>> frames.find_start((40, 30, 190, 62), is_running=False)  # doctest: +SKIP
        11.4
    """

    video: Video
    start_s: float
    end_s: float
    scale: float

    @cached_property
    def _frames(self) -> tuple[np.ndarray, np.ndarray]:
        """int16 (N, H, W) and their times (N,): of both readings, and some between them."""
        all_s = self.video.frame_times_s
        inside_s = all_s[(all_s > self.start_s + 1e-6) & (all_s <= self.end_s + 1e-6)]
        if len(inside_s) > _MOST_EDGE_FRAMES:
            rows = np.linspace(0, len(inside_s) - 1, _MOST_EDGE_FRAMES).round().astype(int)
            inside_s = inside_s[rows]
        times_s = np.concatenate(([self.start_s], inside_s))
        info = self.video.info
        size_px = tuple(max(1, round(px * self.scale)) for px in (info.width_px, info.height_px))
        batch = self.video.frames_at(times_s, (size_px[0], size_px[1]))
        return to_greys(batch.pixels), batch.times_s

    def stays_same(self, box_px: BoxPx) -> bool:
        """Whether both readings show the same picture in the box."""
        greys, _ = self._frames
        first, last = (crop_box(greys[i], box_px, self.scale) for i in (0, -1))
        return is_same_picture(first, last)

    def find_start(self, box_px: BoxPx, *, is_running: bool) -> float | None:
        """When the picture in the box became that of the later reading; None where it did not.
        `is_running`: other things were shown between."""
        crops = self._crops(box_px)
        if crops is None:
            return None
        if is_running:
            row = find_end_row(crops[::-1])
            return self._time_s(None if row is None else len(crops) - row)
        return self._time_s(find_change_time(crops[0], crops[-1], crops))

    def find_end(self, box_px: BoxPx, *, is_running: bool) -> float | None:
        """When the picture in the box was no longer that of the earlier reading; None where it
        stayed so."""
        crops = self._crops(box_px)
        if crops is None:
            return None
        if is_running:
            return self._time_s(find_end_row(crops))
        return self._time_s(find_change_time(crops[0], crops[-1], crops))

    def _crops(self, box_px: BoxPx) -> np.ndarray | None:
        """(N, H, W): the box in all frames; None where its picture stayed the same."""
        greys, _ = self._frames
        if len(greys) < 2 or self.stays_same(box_px):
            return None
        return np.stack([crop_box(grey, box_px, self.scale) for grey in greys])

    def _time_s(self, row: int | None) -> float | None:
        return None if row is None else float(max(self.start_s, self._frames[1][row]))

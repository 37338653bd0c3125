"""A natural video whose cards are drawn once: a frame of a shot is the picture of that shot."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from mmreason.natural.records import VideoScript
from mmreason.video.types import FrameBatch, FrameSource, VideoInfo

_SLACK = 1e-5
"""Of a frame's time, as the drawn source rounds it."""


class CardVideo:
    """Wraps the open video of a script; delivers what it does, without drawing a card twice.

    A scan of two hours compares thousands of frames, of which a hundred differ.
    """

    def __init__(self, video: FrameSource, script: VideoScript):
        self._video = video
        self._starts_s = [shot.span.start_s for shot in script.shots]
        self._cards: dict[tuple[int, tuple[int, int] | None], np.ndarray] = {}

    @property
    def info(self) -> VideoInfo:
        """See `FrameSource`."""
        return self._video.info

    @property
    def content_hash(self) -> str:
        """See `FrameSource`."""
        return self._video.content_hash

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `FrameSource`."""
        info = self.info
        assert info.frame_count is not None
        index = np.floor(np.asarray(times_s, np.float64) * info.mean_fps_hz + _SLACK)
        inside = index.clip(0, info.frame_count - 1)
        shown_s = inside / info.mean_fps_hz
        shots = [bisect_right(self._starts_s, time_s) - 1 for time_s in shown_s.tolist()]
        for shot, time_s in zip(shots, shown_s.tolist(), strict=True):
            if (shot, size_px) not in self._cards:
                drawn = self._video.frames_at([time_s], size_px)
                self._cards[shot, size_px] = drawn.pixels[0]
        pixels = np.stack([self._cards[shot, size_px] for shot in shots])
        return FrameBatch(pixels=pixels, times_s=shown_s, exact=index == inside)

"""A part of a video, taken for a video of its own: same times, same content, nothing outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmreason.video.types import FrameBatch, FrameSource, Span, VideoInfo

_BEFORE_END_S = 1e-3
"""So far before its end, which is not part of it, a window still shows its last frame."""


@dataclass(frozen=True, slots=True)
class VideoWindow:
    """A `FrameSource` over one span of an open video. Frames that are asked for outside of it are
    those of its nearer end, as past the ends of a file, and are marked as not exact.

    Example:
        >>> window = VideoWindow(Video.open("talk.mp4"), Span(600, 660))  # doctest: +SKIP
        >>> Reasoner.load("nano").ask(window, "Who speaks?")  # doctest: +SKIP
    """

    video: FrameSource
    span: Span
    """Inside the video, and not empty."""

    def __post_init__(self) -> None:
        assert self.span.clip(self.video.info.span) == self.span, (self.span, self.video.info.span)
        assert self.span.duration_s > 0, self.span

    @property
    def info(self) -> VideoInfo:
        """That of the video, with the start and length of the window."""
        info = self.video.info
        share = self.span.duration_s / info.duration_s
        count = None if info.frame_count is None else max(1, round(info.frame_count * share))
        return replace(
            info,
            start_s=self.span.start_s,
            duration_s=self.span.duration_s,
            frame_count=count,
        )

    @property
    def content_hash(self) -> str:
        """That of the video: what was seen through a window is known of the whole."""
        return self.video.content_hash

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `FrameSource.frames_at`."""
        last_s = max(self.span.start_s, self.span.end_s - _BEFORE_END_S)
        inside_s = np.clip(np.asarray(times_s, np.float64), self.span.start_s, last_s)
        batch = self.video.frames_at(inside_s.tolist(), size_px)
        return replace(batch, exact=batch.exact & (inside_s == np.asarray(times_s)))

"""Which frames to take, decided before anything is decoded. Pure: reads `info`, never pixels.

frames = video.sample(plan.uniform(video, n=32))
"""

from __future__ import annotations

from operator import index
from typing import Protocol

from mmreason.video.types import SamplePlan, Span, VideoInfo


class HasInfo(Protocol):
    """Anything that knows what video it is, such as `Video`."""

    @property
    def info(self) -> VideoInfo: ...


def uniform(
    video_or_span: HasInfo | Span, n: int = 32, *, size_px: tuple[int, int] | None = None
) -> SamplePlan:
    """The middles of `n` equal parts: away from black first and last frames, never past the end.

    `size_px` is (width, height) to deliver, None for the video's own. Raises ValueError for n < 1
    and for an empty span.
    """
    span = video_or_span if isinstance(video_or_span, Span) else video_or_span.info.span
    if index(n) < 1:
        raise ValueError(f"n must be 1 or more frames, got {n}")
    if span.duration_s <= 0:
        raise ValueError(
            f"cannot sample an empty span ({span}); give one that ends after it starts"
        )
    return SamplePlan(
        times_s=tuple(span.start_s + (k + 0.5) * span.duration_s / n for k in range(n)),
        size_px=size_px,
        method="uniform",
        reasons=tuple(f"middle of part {k + 1} of {n}" for k in range(n)),
        settings={"n": n, "span": span.to_list()},
    )

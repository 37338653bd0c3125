"""The records of sound: a track of a container, and samples on a video's clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmreason.video.types import Span, VideoError, format_time

LEAST_RATE_HZ, MOST_RATE_HZ = 1_000, 768_000
"""Rates that a track may have and that samples may be asked for."""


class NoAudioError(VideoError):
    """A file has no sound that can be read, or not the track that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """A stream of sound in a container.

    Example: `AudioTrack(index=1, codec="aac", channels=6, rate_hz=48_000, language="eng")`.
    """

    index: int
    """Index of the stream in its container: what `track=` takes."""
    codec: str
    channels: int
    rate_hz: int
    duration_s: float | None = None
    """As the container states it, None where it does not."""
    language: str = ""
    """As stated, most often three letters; "" where it is not."""
    title: str = ""
    is_default: bool = False
    is_comment: bool = False
    """Whether it is marked as no plain sound of the film: comments, or a description of pictures.
    """
    why_unreadable: str | None = None
    """None where it can be decoded."""

    def __str__(self) -> str:
        marks = [self.language, self.title, "default" * self.is_default]
        label = ", ".join(mark for mark in (f"track {self.index}", self.codec, *marks) if mark)
        return label + (f" (not read: {self.why_unreadable})" if self.why_unreadable else "")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioSamples:
    """A stretch of sound as one channel; sample `i` is heard at `start_s + i / rate_hz`.

    Example:
        >>> AudioSamples(samples=np.zeros(8_000, np.float32), rate_hz=16_000, start_s=2.0)
        AudioSamples(8,000 samples at 16,000 Hz, 0:02.00-0:02.50)
    """

    samples: np.ndarray
    """float32 (n,), -1 to 1 at full scale."""
    rate_hz: int
    start_s: float
    """On the clock of the video (`VideoInfo.span`)."""
    notes: tuple[str, ...] = ()
    """Gaps, damage and what else is odd, as far as it was met."""

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(
                f"samples must be float32 (n,), got {self.samples.dtype} {self.samples.shape}"
            )
        if self.rate_hz <= 0 or not np.isfinite(self.start_s):
            raise ValueError(
                f"rate_hz must be above 0 and start_s finite, got {self.rate_hz}, {self.start_s}"
            )

    @property
    def span(self) -> Span:
        return Span(self.start_s, self.start_s + len(self.samples) / self.rate_hz)

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        start, end = format_time(self.span.start_s), format_time(self.span.end_s)
        return f"AudioSamples({len(self):,} samples at {self.rate_hz:,} Hz, {start}-{end})"

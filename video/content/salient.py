"""Moments of a long video that look unlike each other, found without a model.

Small frames are compared by how much of each colour they hold, wherever in the picture: what moves
about stays the same, what comes or goes does not. Moments are chosen by farthest point (Gonzalez'
greedy k-center, 1985), so that a short event counts as much as a long one. Changes that keep all
colours are not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from mmreason.video.types import FrameSource, Span, VideoInfo

SCAN_HZ = 2.0
"""Frames a second that are compared, as long as `MOST_SCANNED` allows."""
MOST_SCANNED = 14_400
"""Frames compared of a whole video: two hours at the full rate, ten hours one every 2.5 s."""
RECIPE = "5x5x5 colours of 16x16x16, 48x27, 2 Hz up to 14400"
"""Names everything that moves the result, for the keys of a store."""

_AREA_PX = 48 * 27
_CHUNK_FRAMES = 256
_LEVELS = 5
"""Levels of each colour channel; a pixel is shared out between the nearest ones."""
_SAME = 1e-6
"""Frames no further apart than this show the same."""


@dataclass(frozen=True, slots=True)
class SalientFrame:
    """A frame with the stretch around it that looks more like it than like other moments."""

    time_s: float
    span: Span


@dataclass(frozen=True, slots=True)
class SalientScan:
    """Moments of a stretch, the most telling first, and what was compared for them."""

    moments: tuple[SalientFrame, ...]
    frames: int


def find_salient(video: FrameSource, span: Span, count: int) -> SalientScan:
    """Up to `count` moments of `span` that differ most; fewer where less differs.

    Decodes small frames at `SCAN_HZ`, in memory of 500 bytes a frame. Raises VideoError for a video
    that cannot be read.

    Example:
        >>> scan = find_salient(video, Span(0, 600), count=8)  # doctest: +SKIP
        >>> [frame.time_s for frame in scan.moments]  # doctest: +SKIP
        [281.25, 34.75, 590.25]
    """
    assert count >= 1 and span.duration_s > 0, (count, span)
    times_s = scan_times(video.info, span)
    size_px = _small_size(video.info)
    points = [
        describe_colours(
            video.frames_at(times_s[first : first + _CHUNK_FRAMES].tolist(), size_px).pixels
        )
        for first in range(0, len(times_s), _CHUNK_FRAMES)
    ]
    return SalientScan(select_salient(np.concatenate(points), times_s, span, count), len(times_s))


def scan_times(info: VideoInfo, span: Span) -> np.ndarray:
    """float64 (N,): what is compared of `span`: middles of equal steps.

    Example:
        >>> scan_times(Video.open("clip.mp4").info, Span(0, 4)).tolist()  # doctest: +SKIP
        [0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75]
    """
    rate_hz = min(SCAN_HZ, MOST_SCANNED / max(info.duration_s, 1e-9))
    if info.mean_fps_hz > 0:
        rate_hz = min(rate_hz, info.mean_fps_hz)
    count = max(1, round(span.duration_s * rate_hz))
    return span.start_s + (np.arange(count) + 0.5) * (span.duration_s / count)


def describe_colours(pixels: np.ndarray) -> np.ndarray:
    """float32 (N, 125) of uint8 (N, H, W, 3): roots of the shares of colours, so that squared
    distances are those of Hellinger and small things count."""
    count, area = len(pixels), pixels.shape[1] * pixels.shape[2]
    fine = (pixels.reshape(count, area, 3) >> 4).astype(np.int32)
    cells = (fine[..., 0] * 16 + fine[..., 1]) * 16 + fine[..., 2]
    cells += np.arange(count, dtype=np.int32)[:, None] * 16**3
    # 1. Count 16 x 16 x 16 colours of all frames at once, each in cells of its own.
    counts = np.bincount(cells.ravel(), minlength=count * 16**3).reshape(count, 16**3)
    present = np.flatnonzero(counts.any(axis=0))
    # 2. Spread each colour over the nearest of 5 x 5 x 5, so that a small change of light is small.
    coarse = counts[:, present].astype(np.float32) @ _shared_out()[present]
    return np.sqrt(coarse / area)


@cache
def _shared_out() -> np.ndarray:
    """float32 (4096, 125): how each of 16 x 16 x 16 colours is shared out between the nearest of
    5 x 5 x 5."""
    apart = np.abs(np.linspace(0, _LEVELS - 1, 16)[:, None] - np.arange(_LEVELS))
    near = (1 - apart).clip(0)
    joint = np.einsum("ri,gj,bk->rgbijk", near, near, near)
    return joint.reshape(16**3, _LEVELS**3).astype(np.float32)


def select_salient(
    points: np.ndarray, times_s: np.ndarray, span: Span, count: int
) -> tuple[SalientFrame, ...]:
    """Up to `count` of `points` (N, D) at ascending `times_s` (N,), each least like those before
    it; the first is the one nearest to the mean. Ties go to the earliest.

    Example:
        >>> points = np.array([[0.0], [0.0], [1.0]], np.float32)
        >>> frames = select_salient(points, np.array([0.5, 1.5, 2.5]), Span(0, 3), count=2)
        >>> [(frame.time_s, str(frame.span)) for frame in frames]
        [(0.5, '0:00.00-0:02.00'), (2.5, '0:02.00-0:03.00')]
    """
    nearest = np.full(len(points), np.inf, np.float32)
    owner = np.zeros(len(points), np.int64)
    chosen: list[int] = []
    # The most typical frame first; then always the one farthest from all chosen.
    row = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())
    while len(chosen) < count and nearest[row] > _SAME:
        apart = ((points - points[row]) ** 2).sum(axis=1)
        owner[apart < nearest] = len(chosen)
        nearest = np.minimum(nearest, apart)
        chosen.append(row)
        row = int(nearest.argmax())
    return tuple(_moment(i, owner, times_s, span) for i in chosen)


def _moment(row: int, owner: np.ndarray, times_s: np.ndarray, span: Span) -> SalientFrame:
    first = last = row
    while first > 0 and owner[first - 1] == owner[row]:
        first -= 1
    while last + 1 < len(owner) and owner[last + 1] == owner[row]:
        last += 1
    # Borders lie half way to the nearest frames that stand for something else.
    start_s = span.start_s if first == 0 else (times_s[first - 1] + times_s[first]) / 2
    end_s = span.end_s if last + 1 == len(owner) else (times_s[last] + times_s[last + 1]) / 2
    return SalientFrame(float(times_s[row]), Span(float(start_s), float(end_s)))


def _small_size(info: VideoInfo) -> tuple[int, int]:
    scale = (_AREA_PX / (info.width_px * info.height_px)) ** 0.5
    sides = (round(side * scale) for side in (info.width_px, info.height_px))
    width, height = (min(160, max(8, side)) for side in sides)
    return width, height

"""Small JPEG pictures of what an answer rests on, for reports. Decodes again, at report size."""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.tools.calls import FAILURES
from mmreason.types import Evidence, Step
from mmreason.video.types import FrameSource

THUMBNAILS_LIMIT = 40
WIDTH_PX = 320
BATCH = 8


def take_thumbnails(
    video: FrameSource, evidence: Sequence[Evidence], trace: Sequence[Step]
) -> tuple[dict[float, bytes], tuple[str, ...]]:
    """(JPEG bytes by time in seconds, notes on what failed).

    Frames of the evidence come first, then the middle frame of each look, then of the other steps;
    40 at most.
    """
    from mmreason.video.sheet import jpeg_bytes

    wanted = dict.fromkeys(t for one in evidence for t in one.frame_times_s)
    for step in sorted(trace, key=lambda step: not step.call.asks):
        times_s = step.observation.frame_times_s
        if times_s:
            wanted.setdefault(times_s[len(times_s) // 2])
    times = sorted(list(wanted)[:THUMBNAILS_LIMIT])
    info = video.info
    width_px = min(WIDTH_PX, info.width_px)
    size_px = (width_px, max(1, round(info.height_px * width_px / info.width_px)))
    pictures: dict[float, bytes] = {}
    try:
        for start in range(0, len(times), BATCH):
            part = times[start : start + BATCH]
            frames = video.frames_at(part, size_px)
            for time_s, pixels in zip(part, frames.pixels, strict=True):
                pictures[time_s] = jpeg_bytes(pixels, max_width_px=WIDTH_PX)
    except FAILURES as error:
        return pictures, (f"not all thumbnails could be taken: {error}",)
    return pictures, ()

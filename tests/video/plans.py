"""A stand-in for an opened video, and what holds for every plan over candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmreason.video import SamplePlan, VideoInfo


@dataclass(frozen=True)
class Clip:
    """A video of constant frame rate that was never a file."""

    info: VideoInfo
    keyframe_times_s: tuple[float, ...] = ()


def clip(
    total: int = 300,
    fps_hz: float = 30.0,
    size_px: tuple[int, int] = (1280, 720),
    *,
    start_s: float = 0.0,
    keyframe_times_s: tuple[float, ...] = (),
) -> Clip:
    info = VideoInfo(
        path="clip.mp4",
        duration_s=total / fps_hz,
        start_s=start_s,
        width_px=size_px[0],
        height_px=size_px[1],
        codec="h264",
        mean_fps_hz=fps_hz,
        frame_count=total,
        rotation_deg=0,
        has_audio=False,
        backend="pyav",
        size_bytes=1,
    )
    return Clip(info, keyframe_times_s)


def chosen(plan: SamplePlan, times_s: np.ndarray) -> list[int]:
    """The candidates a plan took, each once and in order."""
    found = np.searchsorted(times_s, plan.times_s)
    assert (times_s[found] == plan.times_s).all()
    assert (np.diff(found) > 0).all()
    return found.tolist()

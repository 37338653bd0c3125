"""The two sampling rules that Qwen models were trained and are measured with, frame for frame.

`qwen` follows qwen-vl-utils 0.0.14 (`smart_nframes`, `calculate_video_frame_range`, the sizes of
`fetch_video`), `qwen3` the Qwen3-VL video processor of transformers 5. Both count frames, not time.
Where the presentation times of all frames are known (`Video.frame_times_s` has them), each frame is
asked for by its own, whatever the frame rate does; for anything else a constant rate is assumed,
and each time lies in the middle of its frame's display, where rounded stamps cannot pick a
neighbour. Hand the frames over with `do_resize=False`.

Three differences are meant. A video of one frame gives that frame; both references raise. A frame
is never less than one token high or wide; qwen-vl-utils can come to 0. Indices are rounded in
float64; qwen-vl-utils uses float32, which from about 5,000 frames on picks a neighbour here and
there, and not the same one on every processor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mmreason.video.plan.budget import FrameBudget, Shape
from mmreason.video.plan.build import HasInfo, build_plan, checked_count, resolve_scope
from mmreason.video.plan.families import (
    QWEN2_5_VL,
    QWEN3_VL,
    QWEN3_VL_BY_FRAME,
    Family,
    FamilyName,
)
from mmreason.video.types import SamplePlan, Span, VideoInfo

_PAIR = 2
_BY_FRAME = {"qwen2_5_vl": QWEN2_5_VL, "qwen3_vl": QWEN3_VL_BY_FRAME}


@runtime_checkable
class HasFrameTimes(HasInfo, Protocol):
    """A video that knows when each of its frames is shown, such as `Video`."""

    @property
    def frame_times_s(self) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class _Range:
    """The frames to choose from, counted from the start of the video."""

    first: int
    total: int
    fps_hz: float
    times_s: np.ndarray | None
    """Presentation times of all frames of the video, where they are known."""


def qwen(
    video: HasInfo,
    *,
    n: int | None = None,
    fps: float = 2.0,
    min_frames: int = 4,
    max_frames: int = 768,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    total_pixels: float | None = None,
    span: Span | None = None,
    family: FamilyName = "qwen2_5_vl",
    budget: FrameBudget | None = None,
) -> SamplePlan:
    """What qwen-vl-utils would sample: an even number of frames, first and last included.

    `n` replaces `fps` (and its `min_frames`, `max_frames`). `min_pixels` and `max_pixels` limit a
    frame (128 to 768 tokens if None), `total_pixels` the clip, all as there. `family` "qwen3_vl"
    stands for `image_patch_size=16`. `budget` then makes frames smaller, then fewer.
    `settings["sample_fps_hz"]` is the rate that Qwen2.5-VL's positions need, `["frame_indices"]`
    the frames. Raises ValueError for counts and rates out of range and for an empty span.
    """
    if family not in _BY_FRAME:
        raise ValueError(f"family must be one of {', '.join(_BY_FRAME)}, got {family!r}")
    base = _BY_FRAME[family]
    scope, frames = resolve_scope(video, None, within=span), _range(video, span)
    if frames.total == 1:
        frame_count = 1
    elif n is not None:
        frame_count = round(checked_count(n) / _PAIR) * _PAIR
    else:
        # As `smart_nframes`: bounds are rounded to pairs first, the rate afterwards.
        least = math.ceil(min_frames / _PAIR) * _PAIR
        most = math.floor(min(max_frames, frames.total) / _PAIR) * _PAIR
        rate = frames.total / frames.fps_hz * _checked_rate(fps)
        frame_count = math.floor(min(max(rate, least), most, frames.total) / _PAIR) * _PAIR
    if frames.total > 1 and not _PAIR <= frame_count <= frames.total:
        raise ValueError(
            f"{video.info.path}: these settings ask for {frame_count} frames, which must lie in "
            f"{_PAIR}..{frames.total}, the frames there are; change n, or min_frames and max_frames"
        )
    # A limit of the caller lowers the largest frame and never raises it, as in the reference.
    model = replace(
        base,
        min_pixels=base.min_pixels if min_pixels is None else min_pixels,
        max_pixels=base.max_pixels if max_pixels is None else min(max_pixels, base.max_pixels),
        clip_pixels=base.clip_pixels if total_pixels is None else total_pixels,
    )
    shape = scope.fit(frame_count, model, budget, multiple=_PAIR)
    settings = {"n": n} if n is not None else {"fps": fps, "min": min_frames, "max": max_frames}
    return _plan("qwen", video, frames, shape, settings, model, budget, scope.span, frame_count)


def qwen3(
    video: HasInfo,
    *,
    n: int | None = None,
    fps: float = 2.0,
    min_frames: int = 4,
    max_frames: int = 768,
    min_pixels: int = int(QWEN3_VL.min_pixels),
    max_pixels: int = int(QWEN3_VL.max_pixels),
    cap_pixels_per_frame: bool = False,
    span: Span | None = None,
    budget: FrameBudget | None = None,
) -> SamplePlan:
    """What transformers' Qwen3-VL processor would sample: first and last frame included, any count.

    `min_pixels` and `max_pixels` limit all frames together: the processor's `shortest_edge` and
    `longest_edge`, here those that Qwen3-VL checkpoints ship (a processor made without a checkpoint
    has 131,072 and 786,432). `cap_pixels_per_frame` is its option of that name. `n` replaces `fps`.
    `span` takes the frames inside as if they were the video, which the processor cannot.
    Raises ValueError for counts and rates out of range and for an empty span.
    """
    scope, frames = resolve_scope(video, None, within=span), _range(video, span)
    if n is not None:
        frame_count = min(checked_count(n), frames.total)
    else:
        # As the processor: the rate is cut to a whole number before the bounds hold.
        rate = int(frames.total / frames.fps_hz * _checked_rate(fps))
        frame_count = min(max(rate, min_frames), checked_count(max_frames), frames.total)
    model = replace(
        QWEN3_VL,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        frame_cap_pixels=768 * QWEN3_VL.grid_px**2 if cap_pixels_per_frame else math.inf,
    )
    shape = scope.fit(frame_count, model, budget)
    settings = {"n": n} if n is not None else {"fps": fps, "min": min_frames, "max": max_frames}
    return _plan("qwen3", video, frames, shape, settings, model, budget, scope.span, frame_count)


def _range(video: HasInfo, span: Span | None) -> _Range:
    """All frames, or those of `span`: from its start rounded up to its end rounded down, by the
    mean rate, as the references have it."""
    info = video.info
    fps_hz = info.mean_fps_hz
    times_s = video.frame_times_s if isinstance(video, HasFrameTimes) else None
    if times_s is not None:
        total = len(times_s)
    else:
        total = info.frame_count or max(1, round(info.duration_s * fps_hz))
    if span is None:
        return _Range(0, total, fps_hz, times_s)
    longest_s = total / fps_hz
    start_s, end_s = (
        min(max(t - info.start_s, 0.0), longest_s) for t in (span.start_s, span.end_s)
    )
    first = math.ceil(start_s * fps_hz)
    last = min(math.floor(end_s * fps_hz), total - 1)
    if first >= last:
        raise ValueError(
            f"{info.path}: no two frames begin in {span} ({fps_hz:.4g} frames a second); "
            "give a longer span"
        )
    return _Range(first, last - first + 1, fps_hz, times_s)


def _times_s(indices: list[int], frames: _Range, info: VideoInfo) -> list[float]:
    if frames.times_s is not None:
        return frames.times_s[indices].tolist()
    # Middles of frames, so that rounding cannot give the neighbour.
    half_s = 0.5 / frames.fps_hz
    last_s = info.span.end_s - half_s
    return [min(info.start_s + i / frames.fps_hz + half_s, last_s) for i in indices]


def _checked_rate(fps: float) -> float:
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be above 0 frames a second, got {fps}")
    return fps


def _plan(
    method: str,
    video: HasInfo,
    frames: _Range,
    shape: Shape,
    settings: dict[str, Any],
    family: Family,
    budget: FrameBudget | None,
    span: Span,
    frames_asked: int,
) -> SamplePlan:
    last = frames.first + frames.total - 1
    # First and last frame included, and rounded as the reference does.
    indices = np.linspace(frames.first, last, shape.frames).round().astype(int).tolist()
    times_s = _times_s(indices, frames, video.info)
    settings = settings | {
        "span": span.to_list(),
        "frame_indices": indices,
        "sample_fps_hz": shape.frames / frames.total * frames.fps_hz,
    }
    return build_plan(
        times_s,
        [f"frame {i} of {frames.first}..{last}" for i in indices],
        method=method,
        shape=shape,
        settings=settings,
        span=span,
        family=family,
        budget=budget,
        frames_asked=frames_asked,
    )

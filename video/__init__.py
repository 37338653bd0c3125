"""Opening, timing, sampling and drawing video. Knows nothing of models or questions.

    from mmreason.video import Video, plan
    with Video.open("clip.mp4") as video:
        frames = video.sample(plan.uniform(video, n=8))

Names load on first use, so importing this package imports no decoder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmreason.video import plan, world
    from mmreason.video.content import shots
    from mmreason.video.inspect import inspect_file
    from mmreason.video.reader import Video
    from mmreason.video.subtitles import Subtitles
    from mmreason.video.types import FrameBatch, SamplePlan, Span, VideoError, VideoInfo

__all__ = [
    "FrameBatch",
    "SamplePlan",
    "Span",
    "Subtitles",
    "Video",
    "VideoError",
    "VideoInfo",
    "inspect_file",
    "plan",
    "shots",
    "world",
]

_HOMES = {
    "FrameBatch": "mmreason.video.types",
    "SamplePlan": "mmreason.video.types",
    "Span": "mmreason.video.types",
    "Subtitles": "mmreason.video.subtitles",
    "Video": "mmreason.video.reader",
    "VideoError": "mmreason.video.types",
    "VideoInfo": "mmreason.video.types",
    "inspect_file": "mmreason.video.inspect",
}
_MODULES = {
    "plan": "mmreason.video.plan",
    "shots": "mmreason.video.content.shots",
    "world": "mmreason.video.world",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

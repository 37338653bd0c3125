"""Frames and text to vectors: preprocessing, packed attention, encoders, fewer tokens.

    from mmreason.video.encoders import load_encoder
    encoder = load_encoder()
    vectors = encoder.encode_frames(video.sample(plan.uniform(video, n=8)))

Names load on first use, so importing this package imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmreason.video.encoders.encoder import FrameEncoder
    from mmreason.video.encoders.load import load_encoder

__all__ = ["FrameEncoder", "load_encoder"]

_HOMES = {
    "FrameEncoder": "mmreason.video.encoders.encoder",
    "load_encoder": "mmreason.video.encoders.load",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

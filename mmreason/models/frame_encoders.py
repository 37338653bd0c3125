"""Encoders of frames by name, our own pair of scripted worlds among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmreason.video.encoders import FrameEncoder

DEFAULT = "efficientnet-lite0"
SCRIPTED_PAIR = "scripted-pair"


def load_frame_encoder(name: str = DEFAULT) -> FrameEncoder:
    """What `mmreason.video.encoders.load_encoder` loads, and "scripted-pair", which reads text
    without a hub and knows scripted worlds alone. VideoError for a name that is none.

    Example:
        >>> load_frame_encoder("scripted-pair").takes_text
        True
    """
    from mmreason.video.encoders import load_encoder

    if name != SCRIPTED_PAIR:
        return load_encoder(name)
    from mmreason.models.scripted_pair import load_scripted_pair
    from mmreason.video.encoders import FrameEncoder

    return FrameEncoder(load_scripted_pair(), device="cpu")

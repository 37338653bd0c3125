"""Fewer frames where a conversation is longer than a context. Leaves out counting tokens."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mmreason.models.base import Conversation, FramesPart, Message, Part
from mmreason.video.types import FrameBatch


def halve_frames(conversation: Conversation) -> Conversation | None:
    """The conversation with half of the frames of each clip, evenly spread, first and last kept.

    None where no part has more than one frame: there is nothing to leave out.
    """
    if not any(len(part.frames) > 1 for part in _shown(conversation)):
        return None
    return [
        Message(message.role, tuple(_halved(part) for part in message.parts))
        for message in conversation
    ]


def count_frames(conversation: Conversation) -> int:
    """Frames of all parts together."""
    return sum(len(part.frames) for part in _shown(conversation))


def _shown(conversation: Conversation) -> list[FramesPart]:
    return [
        part for message in conversation for part in message.parts if isinstance(part, FramesPart)
    ]


def _halved(part: Part) -> Part:
    if not isinstance(part, FramesPart) or len(part.frames) < 2:
        return part
    frames = part.frames
    kept = np.linspace(0, len(frames) - 1, math.ceil(len(frames) / 2)).round().astype(int)
    return replace(
        part,
        frames=FrameBatch(
            pixels=frames.pixels[kept], times_s=frames.times_s[kept], exact=frames.exact[kept]
        ),
    )

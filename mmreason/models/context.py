"""Fewer frames where a conversation is longer than a context. Leaves out counting tokens."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mmreason.models.base import Conversation, FramesPart, Part, Reply
from mmreason.video.types import FrameBatch


def halve_frames(conversation: Conversation) -> Conversation | None:
    """The conversation with half of the frames of each clip, evenly spread, first and last kept.

    None where no part has more than one frame: there is nothing to leave out.
    """
    if not any(len(item.frames) > 1 for item in _shown(conversation)):
        return None
    return [
        replace(message, parts=tuple(_halved(item) for item in message.parts))
        for message in conversation
    ]


def count_frames(conversation: Conversation) -> int:
    """Frames of all parts together."""
    return sum(len(item.frames) for item in _shown(conversation))


def _shown(conversation: Conversation) -> list[FramesPart]:
    return [
        item for message in conversation for item in message.parts if isinstance(item, FramesPart)
    ]


def _halved(item: Part) -> Part:
    if not isinstance(item, FramesPart) or len(item.frames) < 2:
        return item
    frames = item.frames
    kept_indices = np.linspace(0, len(frames) - 1, math.ceil(len(frames) / 2)).round().astype(int)
    return replace(
        item,
        frames=FrameBatch(
            pixels=frames.pixels[kept_indices],
            times_s=frames.times_s[kept_indices],
            exact=frames.exact[kept_indices],
        ),
    )


def note_missing_frames(reply: Reply, shown: int, planned: int) -> Reply:
    """The reply, with a note where it is to fewer frames than were planned."""
    if shown == planned:
        return reply
    note = f"{shown} of {planned} frames were shown: the model's context holds no more"
    return replace(reply, note="; ".join(filter(None, (reply.note, note))))

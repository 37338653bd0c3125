"""Fewer frames where a conversation is longer than a context. Leaves out counting tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mmreason.models.base import Conversation, FramesPart, Part
from mmreason.video.types import FrameBatch


@dataclass(frozen=True, slots=True)
class ContextFit:
    """What is to be done about one conversation: nothing, ask the shorter one, or give up."""

    shorter: Conversation | None = None
    note: str = ""
    error: str = ""


def fit_to_context(
    conversation: Conversation, tokens: int, max_new_tokens: int, context_tokens: int | None
) -> ContextFit:
    """Of a prompt of `tokens` and its reply in a context (None for no limit): with half of its
    frames where it does not fit, and an error where it has no frames to leave out.

    Example:
        >>> fit_to_context([], 100, 20, context_tokens=128)
        ContextFit(shorter=None, note='', error='')
    """
    if context_tokens is None or tokens + max_new_tokens <= context_tokens:
        return ContextFit()
    halved = halve_frames(conversation)
    if halved is None:
        return ContextFit(
            error=f"a prompt of {tokens} tokens and {max_new_tokens} to write do not fit into its "
            f"context of {context_tokens} tokens; ask less at once or name a model with a longer "
            "context"
        )
    return ContextFit(
        shorter=halved,
        note=f"the model's context of {context_tokens} tokens does not hold "
        f"{count_frames(conversation)} frames of a look with its text: {count_frames(halved)} are "
        "shown",
    )


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

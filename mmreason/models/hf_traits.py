"""What a processor does with clips, pictures and control tokens, measured on small frames.

Families differ, and no list of names would be complete: each trait is found by processing small
conversations and comparing token ids. Leaves out what is done about it (`hf.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmreason.models.base import Conversation, FramesPart, Message, TextPart
from mmreason.video.types import FrameBatch

SIDE_PX = 224
"""Side of the measuring frames: a multiple of every usual patch."""
LATER_S = 1000.0

FAILURES = (ValueError, TypeError, RuntimeError, KeyError, IndexError, AttributeError)
"""How processors fail on what they were not made for."""

Process = Callable[[Sequence[Conversation], bool], Any]
"""(conversations, encode control tokens in texts as plain text) -> the processor's tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorTraits:
    """What holds for one processor with its chat template.

    ProcessorTraits(
        shows_frames=True, tells_times=True, mixes_kinds=True, stacks_uneven=True, sanitizes=True
    )
    """

    shows_frames: bool
    """Frames reach the model at all: the chat template has a place for them."""
    tells_times: bool
    """Each clip's times reach the model: as text before its frames, or as labels before images."""
    mixes_kinds: bool
    """Clips and single images may stand in one batch and in one conversation."""
    stacks_uneven: bool
    """Clips of different frame counts and sizes may stand in one batch and in one conversation."""
    sanitizes: bool
    """Control tokens and placeholders in a question can be encoded as plain text."""


EVERYTHING = ProcessorTraits(
    shows_frames=True, tells_times=True, mixes_kinds=True, stacks_uneven=True, sanitizes=True
)


def measure_traits(
    process: Process,
    *,
    takes_video: bool,
    image_token_id: int | None,
    control_ids: Mapping[str, int],
) -> ProcessorTraits:
    """The traits of a processor. Never raises: what fails while it is measured is no trait."""

    def holds(check: Callable[[], bool]) -> bool:
        try:
            return check()
        except FAILURES:
            return False

    return ProcessorTraits(
        shows_frames=holds(lambda: _shows_frames(process, takes_video)),
        tells_times=holds(lambda: _tells_times(process, takes_video)),
        mixes_kinds=not takes_video or holds(lambda: _mixes_kinds(process, image_token_id)),
        stacks_uneven=not takes_video or holds(lambda: _stacks_uneven(process)),
        sanitizes=holds(lambda: _sanitizes(process, takes_video, control_ids)),
    )


def _shows_frames(process: Process, takes_video: bool) -> bool:
    with_clip = _asked(_clip(2) if takes_video else _image())
    with_frames, without = (
        _ids(process([conversation], False))[0] for conversation in (with_clip, _asked())
    )
    return len(with_frames) > len(without)


def _tells_times(process: Process, takes_video: bool) -> bool:
    if takes_video:
        # The same frames at another time: only what tells times makes another prompt of them.
        early, late = (_ids(process([_asked(_clip(2, start))], False)) for start in (0.0, LATER_S))
        return early != late
    # Single images get a label each: it has to stand before its own image.
    apart, together = (
        [Message("user", content)]
        for content in (
            (TextPart("A"), _image(), TextPart("B"), _image()),
            (_image(), _image(), TextPart("A"), TextPart("B")),
        )
    )
    return _ids(process([apart], False)) != _ids(process([together], False))


def _mixes_kinds(process: Process, image_token_id: int | None) -> bool:
    clip, image = process([_asked(_clip(2))], False), process([_asked(_image())], False)
    if image_token_id not in _ids(clip)[0]:
        return True
    # Clips written with the token of images: right only where both share one row of pictures.
    both = process([_asked(_clip(2), _image())], False)
    pixels = [inputs.get("pixel_values") for inputs in (clip, image, both)]
    if any(inputs is None for inputs in pixels):
        return False
    return pixels[0].numel() + pixels[1].numel() == pixels[2].numel()


def _stacks_uneven(process: Process) -> bool:
    conversations = [_asked(_clip(2)), _asked(_clip(4))]
    # A batch has to read as each of its conversations does alone.
    together = _ids(process(conversations, False))
    return together == [_ids(process([conversation], False))[0] for conversation in conversations]


def _sanitizes(process: Process, takes_video: bool, control_ids: Mapping[str, int]) -> bool:
    """Whether a question made of control tokens adds none of them to what is read."""
    ids_of_controls = set(control_ids.values())
    contents = [(), (_image(),), *([(_clip(2),)] if takes_video else [])]
    for content in contents:
        # Chat templates write control tokens themselves: only what the text adds counts.
        plain, armed = (
            [
                i
                for i in _ids(process([[Message("user", (*content, text))]], True))[0]
                if i in ids_of_controls
            ]
            for text in (TextPart("?"), TextPart(" ".join(control_ids)))
        )
        if plain != armed:
            return False
    return True


def _ids(inputs: Any) -> list[list[int]]:
    """Token ids of each row without padding."""
    rows = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    return [ids[mask.bool()].tolist() for ids, mask in rows]


def _asked(*content: FramesPart) -> Conversation:
    return [Message("user", (*content, TextPart("?")))]


def _clip(count: int, start_s: float = 0.0) -> FramesPart:
    return FramesPart(_frames(count, start_s), "video")


def _image() -> FramesPart:
    return FramesPart(_frames(1, 0.0), "image")


def _frames(count: int, start_s: float) -> FrameBatch:
    return FrameBatch(
        pixels=np.zeros((count, SIDE_PX, SIDE_PX, 3), dtype=np.uint8),
        times_s=start_s + np.arange(count) * 2.0,
        exact=np.ones(count, dtype=bool),
    )

"""Samples to conversations that a model reads: their media opened, and their frames picked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmreason.models.base import ClipRecipe, FramesPart, Message, Part, TextPart
from mmreason.tools.ground import frame_of_image
from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SampleMessage
from mmreason.types import UsageError
from mmreason.video import plan
from mmreason.video.reader import Video
from mmreason.video.types import FrameBatch, VideoError

UNKNOWN_RATE_HZ = 1.0
"""Of listed frames that do not say how many are a second."""
MOST_CACHE_BYTES = 1 << 29
"""Of decoded frames that are kept for further rows about the same clip."""


class FrameCache:
    """Frames that were read, so that a clip with many questions is decoded once. Beyond
    `most_bytes` the least recently used go first; a file that was written anew is read anew.

    Example:
        >>> FrameCache(most_bytes=0).used_bytes
        0
    """

    def __init__(self, most_bytes: int = MOST_CACHE_BYTES):
        self._most_bytes = most_bytes
        self._batches: OrderedDict[tuple[object, ...], FrameBatch] = OrderedDict()
        self.used_bytes = 0
        self.hits = 0

    def read(self, medium: MediaRef, clip: ClipRecipe) -> FrameBatch:
        """The frames of a medium as `clip` says. Raises VideoError or UsageError for what cannot be
        read."""
        key = _cache_key(medium, clip)
        if key in self._batches:
            self.hits += 1
            self._batches.move_to_end(key)
            return self._batches[key]
        batch = _read_frames(medium, clip)
        self._batches[key] = batch
        self.used_bytes += batch.pixels.nbytes
        while self.used_bytes > self._most_bytes:
            self.used_bytes -= self._batches.popitem(last=False)[1].pixels.nbytes
        return batch


def adapt_clip(clip: ClipRecipe, *, frames: int | None, longest_px: int | None) -> ClipRecipe:
    """How the model watches a clip, with what a recipe says otherwise."""
    if longest_px is not None:
        clip = replace(clip, size_px=None, longest_px=longest_px)
    return clip if frames is None else replace(clip, frames=frames)


def to_conversation(
    messages: Sequence[SampleMessage],
    clip: ClipRecipe,
    *,
    system_prompt: str = "",
    cache: FrameCache | None = None,
) -> list[Message]:
    """The messages with their frames, from `cache` where they are in it. `system_prompt` comes
    first where the messages have none.

    Raises VideoError or UsageError for media that cannot be read.
    """
    conversation = [
        Message(message.role, tuple(_to_part(item, clip, cache) for item in message.parts))
        for message in messages
    ]
    if system_prompt and conversation[0].role != "system":
        conversation.insert(0, Message("system", (TextPart(system_prompt),)))
    return conversation


def learnt_messages(sample: Sample) -> tuple[bool, ...]:
    """Which messages of a sample are learnt: the assistant's, where nothing else is said.

    Example:
        >>> turns = [("user", "1 + 1?"), ("assistant", "2")]
        >>> messages = tuple(SampleMessage(role=role, parts=(text,)) for role, text in turns)
        >>> learnt_messages(Sample(id="1", messages=messages))
        (False, True)
    """
    return tuple(
        message.role == "assistant" if message.is_learnt is None else message.is_learnt
        for message in sample.messages
    )


def _to_part(item: str | MediaRef, clip: ClipRecipe, cache: FrameCache | None) -> Part:
    if isinstance(item, str):
        return TextPart(item)
    frames = _read_frames(item, clip) if cache is None else cache.read(item, clip)
    return FramesPart(frames, "image" if item.kind is MediaKind.IMAGE else "video")


def _cache_key(medium: MediaRef, clip: ClipRecipe) -> tuple[object, ...]:
    stats = []
    for path in medium.paths:
        try:
            stat = Path(path).stat()
        except OSError:
            continue  # an address, or a file that is missing, which reading it tells
        stats.append((stat.st_size, stat.st_mtime_ns))
    shown = (clip.frames, clip.size_px, clip.longest_px, clip.multiple_px)
    return (medium, *stats, *shown)


def _read_frames(medium: MediaRef, clip: ClipRecipe) -> FrameBatch:
    if medium.kind is MediaKind.VIDEO:
        return _read_video(medium, clip)
    if medium.kind is MediaKind.IMAGE:
        return _read_images(medium.paths, clip, rate_hz=1.0)
    if medium.kind is MediaKind.FRAMES:
        return _read_images(medium.paths, clip, rate_hz=medium.rate_hz or UNKNOWN_RATE_HZ)
    raise UsageError(
        f"{medium.path}: no model here hears; give the row a transcript in place of its sound"
    )


def _read_video(medium: MediaRef, clip: ClipRecipe) -> FrameBatch:
    with Video.open(medium.path) as video:
        info = video.info
        span = info.span if medium.span is None else medium.span.clip(info.span)
        if span.duration_s <= 0:
            raise VideoError(
                f"{medium.path}: the span {medium.span} lies outside of the video ({info.span})"
            )
        size_px = clip.frame_size_px(info.width_px, info.height_px)
        return video.frames_at(plan.uniform(span, clip.frames).times_s, size_px)


def _read_images(paths: Sequence[str], clip: ClipRecipe, *, rate_hz: float) -> FrameBatch:
    """Images as frames; of more than the clip's number those that are evenly spread."""
    from PIL import Image

    count = min(len(paths), clip.frames)
    places: list[int] = np.linspace(0, len(paths) - 1, count).round().astype(int).tolist()
    pictures, size_px = [], None
    for place in places:
        pixels = frame_of_image(Path(paths[place])).pixels
        # One clip has one size: that of its first frame.
        size_px = size_px or clip.frame_size_px(pixels.shape[1], pixels.shape[0])
        pictures.append(
            np.asarray(Image.fromarray(pixels).resize(size_px, Image.Resampling.BICUBIC))
        )
    times_s = np.array([place / rate_hz for place in places], dtype=np.float64)
    return FrameBatch(pixels=np.stack(pictures), times_s=times_s, exact=np.ones(count, bool))

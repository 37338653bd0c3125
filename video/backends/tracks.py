"""Which video stream of a container is the film: listing them and choosing one.

Imported lazily (it imports av at the top).
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from mmreason.video.types import VideoTrack

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_MAX_PEEKED = 4000
"""Packets read in search of a second frame of every stream."""


def list_tracks(container: InputContainer) -> tuple[VideoTrack, ...]:
    """All video streams of an open container, in its order; covers and other pictures too."""
    return tuple(_describe(stream) for stream in container.streams.video)


def film_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams that are no pictures beside the film."""
    return [s for s in container.streams.video if not s.disposition & _PICTURES]


def choose_stream(container: InputContainer) -> VideoStream:
    """The film among several streams: one that moves, marked as default, large, long.

    Packets are read from the present position to learn which ones move, so the container has to
    be opened again to read it from its start.
    """
    streams = film_streams(container)
    moving = _moving(container, streams)

    def rank(stream: VideoStream) -> tuple[bool, bool, bool, int, float, int]:
        context = stream.codec_context
        # From the strongest reason to the weakest; of equals the first track of the file.
        return (
            context is not None,
            stream.index in moving,
            bool(stream.disposition & Disposition.default),
            context.width * context.height if context is not None else 0,
            _duration_s(stream) or 0.0,
            -stream.index,
        )

    return max(streams, key=rank)


def _moving(container: InputContainer, streams: list[VideoStream]) -> set[int]:
    """Indices of the streams that have more than one frame, as far as can be seen early on."""
    counts = Counter({stream.index: stream.frames for stream in streams})
    waiting = {index for index, count in counts.items() if not count}
    counts.subtract(waiting)  # those are counted anew: below zero until a packet is seen
    try:
        for packet in islice(container.demux(streams), _MAX_PEEKED):
            if packet.size and packet.stream_index in waiting:
                counts[packet.stream_index] += 1
                if counts[packet.stream_index] > 1:
                    waiting.remove(packet.stream_index)
            if not waiting:
                break
    except (av.error.FFmpegError, IndexError):
        pass  # damage: what was seen so far has to do
    return {index for index, count in counts.items() if count > 1}


def _describe(stream: VideoStream) -> VideoTrack:
    context = stream.codec_context
    return VideoTrack(
        index=stream.index,
        codec="unknown" if context is None else context.codec.canonical_name,
        width_px=0 if context is None else context.width,
        height_px=0 if context is None else context.height,
        duration_s=_duration_s(stream),
        is_default=bool(stream.disposition & Disposition.default),
        is_picture=bool(stream.disposition & _PICTURES),
        title=stream.metadata.get("title", ""),
        language=stream.metadata.get("language", "").replace("und", ""),
    )


def _duration_s(stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    clock = _CLOCK.match(stream.metadata.get("DURATION", ""))  # Matroska keeps it in a tag
    if clock is None:
        return None
    hours, minutes, seconds = clock.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)

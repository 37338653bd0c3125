"""The head of a file: its first packets, and the first frame that they bring out.

Imported lazily (it imports av at the top).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise

import av
import av.error
from av.video.stream import VideoStream

from mmreason.video.backends.base import BackendError, Deadline
from mmreason.video.backends.colour import (
    Marks,
    container_marks,
    read_colour,
)
from mmreason.video.backends.display import Display, display_of
from mmreason.video.backends.packets import (
    Access,
    Opened,
    presentation_stamp,
    read_packets,
)
from mmreason.video.backends.pictures import pixel_aspect
from mmreason.video.types import Colour, VideoError

_MAX_FIRST = 5000
"""Packets read in search of a first frame."""
_HEAD_PACKETS = 24
"""Packets whose stamps are looked at to tell whether they can be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first packets of a file and the first frame that they bring out."""

    first: av.VideoFrame
    display: Display
    colour: Colour
    container: Marks
    """What the container says of colours."""
    pixel_aspect: float
    """Of the first frame as stored and as its decoder has it, which may not be the container's."""
    start_pts: int
    reorder_pts: int
    """From the decoding stamp of the first packet to its presentation, in ticks."""
    is_stamped: bool
    """Whether all packets carry a presentation stamp."""
    is_as_coded: bool
    """Whether these rise in the order of coding, so that nothing would be reordered."""
    undecodable: int
    """Packets that are to be shown before the first frame that can be decoded."""


def read_head(access: Access, opened: Opened, deadline: Deadline) -> Head:
    """Raises VideoError where no frame has a time or none can be decoded."""
    container, stream = opened
    stamps: list[tuple[int | None, int | None]] = []
    shown_pts: list[int] = []
    first, display, colour, aspect, untimed = None, None, Colour(), 1.0, 0
    marks = container_marks(stream)
    packets = chain(read_packets(container, stream, deadline, access.repair), (None,))
    for row, packet in enumerate(packets):
        # Go on past the first frame for a while: reordering shows in the packets after it.
        if row >= _MAX_FIRST or (first is not None and row >= _HEAD_PACKETS):
            break
        if packet is not None:
            stamps.append((packet.pts, packet.dts))
            pts = presentation_stamp(packet)
            if pts is not None and not packet.is_discard:
                shown_pts.append(pts)
        # A repaired file starts at the first frame that is shown, others at the first with a time.
        for frame in _decoded(stream, packet) if first is None else ():
            pts = presentation_stamp(frame)
            if pts is not None and (access.repair is None or pts >= access.repair.start_pts):
                first = frame
                display = display_of(frame, stream, packet)
                colour = read_colour(access.path, frame, stream, marks)
                aspect = pixel_aspect(stream)
                break
            untimed += pts is None
    if first is None and untimed:
        raise VideoError(
            f"{access.path}: its frames carry no times; write it anew into a container with the "
            f"frame rate it has: ffmpeg -r 25 -i {access.path.name} -c:v libx264 out.mp4"
        )
    if first is None or display is None:
        raise BackendError(f"{access.path}: no frame of it can be decoded")
    start_pts = presentation_stamp(first) or 0
    # The delay between decoding and showing, by the first packet that has both stamps.
    both = [(pts, dts) for pts, dts in stamps if pts is not None and dts is not None]
    return Head(
        first=first,
        display=display,
        colour=colour,
        container=marks,
        pixel_aspect=aspect,
        start_pts=start_pts,
        reorder_pts=both[0][0] - both[0][1] if both else 0,
        is_stamped=all(pts is not None for pts, _ in stamps),
        is_as_coded=all(a < b for a, b in pairwise(pts for pts, _ in stamps if pts is not None)),
        undecodable=sum(pts < start_pts for pts in shown_pts),
    )


def _decoded(stream: VideoStream, packet: av.Packet | None) -> list[av.VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except MemoryError:  # no damage
        raise
    except av.error.FFmpegError:  # the first packets may be damaged: later ones are tried
        return []

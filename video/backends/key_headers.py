"""What key frames say at their head, read without decoding: whether they reset the decoder, and
whether the size of pictures changes. For back ends that pass over both in silence.

Imported lazily (it imports av through `packets`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmreason.video.backends.base import Deadline
from mmreason.video.backends.packets import Access, open_container, read_packets

_H264_IDR, _H264_PARAMETERS, _HEVC_PARAMETERS = 5, 7, 33


@dataclass(frozen=True, slots=True)
class KeyHeaders:
    """Of the key frames of one track."""

    without_idr: int
    """H.264 key frames that hold no picture that resets the decoder, as with intra refresh."""
    sizes: int
    """How many different headers that tell the size of pictures there are: one, or none where the
    container alone tells, in a file whose pictures keep their size."""


def read_key_headers(path: Path, codec: str, deadline: Deadline, track: int) -> KeyHeaders:
    """Reads every packet of the track. Raises VideoError."""
    container, stream = open_container(Access(path=path, track=track), deadline)
    without_idr, sizes = 0, set[bytes]()
    with container:
        head = bytes(stream.codec_context.extradata or b"")
        length_bytes = _length_bytes(codec, head)
        for packet in read_packets(container, stream, deadline):
            if not packet.is_keyframe:
                continue
            data = bytes(packet)
            if codec in ("h264", "hevc"):
                units = list(_units(data, length_bytes))
                types = [_unit_type(codec, unit) for unit in units]
                # Recovery points are marked as key frames too, and need frames from before them.
                without_idr += codec == "h264" and _H264_IDR not in types
                parameter_type = _H264_PARAMETERS if codec == "h264" else _HEVC_PARAMETERS
                # Zeros at the end of a unit are padding, not another header.
                parameters = [
                    u.rstrip(b"\0")
                    for u, t in zip(units, types, strict=True)
                    if t == parameter_type
                ]
                sizes.update(parameters)
            # These codecs have no parameter sets: the size is in the head of each key frame.
            else:
                sizes.update(_size_bytes(codec, data))
    return KeyHeaders(without_idr, len(sizes))


def _length_bytes(codec: str, head: bytes) -> int:
    """Bytes that tell the length of each unit, 0 where units follow a start code."""
    offset = 4 if codec == "h264" else 21
    return (head[offset] & 3) + 1 if len(head) > offset and head[0] == 1 else 0


def _units(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """The units in one packet."""
    if not length_bytes:
        yield from re.split(rb"\x00\x00\x01", data)[1:]
        return
    offset = 0
    while offset + length_bytes < len(data):
        start = offset + length_bytes
        offset = start + int.from_bytes(data[offset:start], "big")
        yield data[start:offset]


def _unit_type(codec: str, unit: bytes) -> int:
    if not unit:
        return -1
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def _size_bytes(codec: str, data: bytes) -> set[bytes]:
    """The bytes of a key frame that hold its size, of codecs that have them at a fixed place."""
    if codec == "vp8":
        return {data[6:10]}
    if codec == "vp9":
        return {data[4:9]}
    if codec in ("mpeg1video", "mpeg2video"):
        return set(re.findall(rb"\x00\x00\x01\xb3([\x00-\xff]{4})", data))
    return set()

"""How many samples an mp4 or mov file says it holds, against how many it has room for.

FFmpeg makes an index entry for each of them before it looks for one: 2 KB that claim 60 million
frames of a fixed size take 4 GB of memory. Nothing but headers of boxes is read here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

_MOST_BOXES = 4000
_OUTER = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"uuid"}
_WITH_BOXES_INSIDE = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
_READ = {b"hdlr", b"stts", b"stsz", b"trun"}
_BODY_BYTES = 16
"""Of a box that is read: version and flags, then up to three numbers."""


@dataclass(frozen=True, slots=True)
class _Box:
    name: bytes
    body: bytes
    """Its first 16 bytes where the name is in `_READ`, else nothing."""


def describe_false_count(descriptor: int) -> str | None:
    """Why the sample counts in the mp4 file of `descriptor` cannot be true; None where they can,
    and for files of other kinds. Raises OSError."""
    size_bytes = os.fstat(descriptor).st_size
    if os.pread(descriptor, 8, 0)[4:] not in _OUTER:
        return None
    samples = _count_samples(_boxes(descriptor, size_bytes))
    if samples <= size_bytes:
        return None
    return (
        f"is damaged or made up: it lists {samples:,} samples, more than the {size_bytes:,} bytes "
        "that it has; copy or download it again"
    )


def _count_samples(boxes: Iterator[_Box]) -> int:
    """Samples that are listed without a table of theirs: all of one size (`stsz`) or of what a
    fragment says (`trun`). Plain sound, whose samples FFmpeg takes by the chunk, does not count."""
    samples, of_track, is_sound, is_plain = 0, 0, False, False
    for box in boxes:
        first, second, third = (int.from_bytes(box.body[i : i + 4]) for i in (4, 8, 12))
        if box.name == b"trak":
            samples += 0 if is_sound and is_plain else of_track
            of_track, is_sound, is_plain = 0, False, False
        elif box.name == b"hdlr":
            is_sound = box.body[8:12] == b"soun"
        elif box.name == b"stts":
            is_plain = (first, third) == (1, 1)  # one entry, of one tick a sample
        elif box.name == b"stsz":
            of_track += second if first else 0
        elif box.name == b"trun":
            samples += first
    return samples + (0 if is_sound and is_plain else of_track)


def _boxes(descriptor: int, size_bytes: int) -> Iterator[_Box]:
    """Boxes of a file of `size_bytes` and those inside them, in order, up to a limit."""
    ranges = [(0, size_bytes)]
    for _ in range(_MOST_BOXES):
        while ranges and ranges[-1][0] + 8 > ranges[-1][1]:
            ranges.pop()
        if not ranges:
            return
        start, end = ranges.pop()
        header = os.pread(descriptor, 16, start)
        length, name, body = int.from_bytes(header[:4]), header[4:8], start + 8
        if length == 1:
            length, body = int.from_bytes(header[8:16]), start + 16
        elif length == 0:
            length = end - start
        if length < body - start:
            continue  # damaged: what follows in this box is not known
        ranges.append((start + length, end))
        yield _Box(name, os.pread(descriptor, _BODY_BYTES, body) if name in _READ else b"")
        if name in _WITH_BOXES_INSIDE:
            ranges.append((body, min(end, start + length)))

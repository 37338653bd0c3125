"""How many samples an mp4 or mov file says it holds, against how many it has room for.

FFmpeg makes an index entry for each of them before it looks for one: 2 KB that claim 60 million
frames of a fixed size take 4 GB of memory. Headers of boxes are read here, and an index that is
packed (`cmov`, of old QuickTime files) is unpacked up to a limit, as those may say the same.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

_MOST_BOXES = 4000
_OUTER = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"uuid"}
_WITH_BOXES_INSIDE = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"cmov"}
_MOST_INDEX_BYTES = 64 * 2**20
"""Of a packed index, once it is unpacked: some forty hours of frames."""
_READ = {b"hdlr": 16, b"stts": 16, b"stsz": 16, b"trun": 16, b"cmvd": _MOST_INDEX_BYTES}
"""Bytes read of a box: version and flags, then up to three numbers; a packed index whole."""

_Read = Callable[[int, int], bytes]
"""Bytes by their number and where they begin."""


class _LargeIndexError(ValueError):
    """A packed index is longer than the limit."""


@dataclass(frozen=True, slots=True)
class _Box:
    name: bytes
    body: bytes
    """As many of its first bytes as `_READ` says."""


def describe_false_count(descriptor: int) -> str | None:
    """Why the sample counts in the mp4 file of `descriptor` cannot be true; None where they can,
    and for files of other kinds. Raises OSError."""
    size_bytes = os.fstat(descriptor).st_size
    # Files of other kinds have no counts that could be wrong here.
    if os.pread(descriptor, 8, 0)[4:] not in _OUTER:
        return None
    try:
        samples = _count_samples(_unpack_boxes(_boxes(partial(os.pread, descriptor), size_bytes)))
    except _LargeIndexError:
        return (
            "is damaged or made up: its index is packed more than once or unpacks to more than "
            f"{_MOST_INDEX_BYTES:,} bytes; copy or download it again"
        )
    # A sample takes a byte at least; FFmpeg would set memory aside for every one listed.
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
        # A new track: the samples of the one before count now that its kind is known.
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


def _boxes(read: _Read, size_bytes: int) -> Iterator[_Box]:
    """Boxes of `size_bytes` and those inside them, in order, up to a limit."""
    ranges = [(0, size_bytes)]
    for _ in range(_MOST_BOXES):
        # A stack of byte ranges still to read: inner boxes first, then what follows their parent.
        while ranges and ranges[-1][0] + 8 > ranges[-1][1]:
            ranges.pop()
        if not ranges:
            return
        start, end = ranges.pop()
        header = read(16, start)
        length, name, body = int.from_bytes(header[:4]), header[4:8], start + 8
        # 1: the length is in the next 8 bytes. 0: the box goes on to the end of its parent.
        if length == 1:
            length, body = int.from_bytes(header[8:16]), start + 16
        elif length == 0:
            length = end - start
        if length < body - start:
            continue  # damaged: what follows in this box is not known
        # Pushed first, so that what lies inside is taken from the stack before it.
        ranges.append((start + length, end))
        inside = min(end, start + length)
        body_bytes = min(inside - body, _READ.get(name, 0))
        yield _Box(name, read(body_bytes, body) if body_bytes > 0 else b"")
        if name in _WITH_BOXES_INSIDE:
            ranges.append((body, inside))


def _unpack_boxes(boxes: Iterator[_Box]) -> Iterator[_Box]:
    """`boxes` with those of a packed index in its place. Raises _LargeIndexError where there is a
    second one, beside it or in it: each may unpack to the whole limit."""
    has_packed = False
    for box in boxes:
        if box.name != b"cmvd":
            yield box
            continue
        if has_packed:
            raise _LargeIndexError
        has_packed = True
        for inner in _boxes(*_unpack_index(box.body)):
            if inner.name == b"cmvd":
                raise _LargeIndexError
            yield inner


def _unpack_index(body: bytes) -> tuple[_Read, int]:
    """A reader of the index in a `cmvd` box, and its length; empty where it is damaged. The body is
    the true length, then the packed bytes. Raises _LargeIndexError."""
    stated_bytes = int.from_bytes(body[:4])
    if stated_bytes > _MOST_INDEX_BYTES:
        raise _LargeIndexError
    try:
        index = zlib.decompressobj().decompress(body[4:], max(1, stated_bytes))
    except zlib.error:
        index = b""
    return lambda count, start: index[start : start + count], len(index)

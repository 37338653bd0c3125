"""Mp4 files made box by box, so that their tables can say anything."""

from __future__ import annotations

import struct

SAMPLES = 60_000_000
"""More than a file of a few hundred bytes can hold: 4 GB of index in FFmpeg."""
_SIZE = struct.pack(">II", 160 << 16, 96 << 16)
_MATRIX = struct.pack(">9I", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)


def box(name: bytes, *parts: bytes) -> bytes:
    """A box with its length and name."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def table(name: bytes, flags: int, *numbers: int) -> bytes:
    """A box with flags and numbers of 4 bytes."""
    return box(name, struct.pack(f">{1 + len(numbers)}I", flags, *numbers))


def movie(
    *tables: bytes, handler: bytes = b"vide", tail: bytes = b"", extends: bytes = b""
) -> bytes:
    """A file of one track with the sample tables given; `tail` stands between it and its data."""
    entry = struct.pack(">6xH16xHHIIIH32xHh", 1, 160, 96, 0x480000, 0x480000, 0, 1, 24, -1)
    description = box(b"stsd", struct.pack(">II", 0, 1), box(b"jpeg", entry))
    reference = box(b"dref", struct.pack(">II", 0, 1), table(b"url ", 1))
    media = box(
        b"minf",
        table(b"vmhd", 1, 0, 0),
        box(b"dinf", reference),
        box(b"stbl", description, *tables),
    )
    track = box(
        b"trak",
        box(b"tkhd", struct.pack(">6I16x", 3, 0, 0, 1, 0, 60000), _MATRIX, _SIZE),
        box(
            b"mdia",
            table(b"mdhd", 0, 0, 0, 1000, 60000, 0x55C40000),
            box(b"hdlr", bytes(8), handler, bytes(13)),
            media,
        ),
    )
    head = box(
        b"mvhd", struct.pack(">5IIH10x", 0, 0, 0, 1000, 60000, 65536, 256), _MATRIX, bytes(28)
    )
    return (
        box(b"ftyp", b"isom", bytes(4), b"isom")
        + box(b"moov", head, track, extends)
        + tail
        + box(b"mdat", bytes(100))
    )


def _sized(count: int, ticks: int = 1, samples_per_chunk: int = 0) -> tuple[bytes, ...]:
    """Sample tables of `count` samples of 4 bytes."""
    return (
        table(b"stts", 0, 1, count, ticks),
        table(b"stsc", 0, 1, 1, samples_per_chunk or count, 1),
        table(b"stsz", 0, 4, count),
        table(b"stco", 0, 1, 600),
    )


def _fragmented(samples: int, fragments: int) -> bytes:
    none = (
        table(b"stts", 0, 0),
        table(b"stsc", 0, 0),
        table(b"stsz", 0, 0, 0),
        table(b"stco", 0, 0),
    )
    head = table(b"tfhd", 0x20018, 1, 40, 4)
    fragment = box(
        b"moof",
        table(b"mfhd", 0, 1),
        box(b"traf", head, table(b"trun", 1, samples // fragments, 100)),
    )
    extends = box(b"mvex", table(b"trex", 0, 1, 1, 40, 4, 0))
    return movie(*none, tail=fragment * fragments, extends=extends)


FALSE_COUNTS = {
    "frames of one size": movie(*_sized(SAMPLES)),
    "a chunk for each frame": movie(*_sized(SAMPLES, samples_per_chunk=1)),
    "sound that is not plain": movie(*_sized(SAMPLES, ticks=2), handler=b"soun"),
    "subtitles": movie(*_sized(SAMPLES, ticks=2), handler=b"text"),
    "tables in another order": movie(*reversed(_sized(SAMPLES))),
    "one fragment": _fragmented(SAMPLES, 1),
    "many fragments": _fragmented(SAMPLES, 300),
}
"""Of each a file of less than 50 KB that takes FFmpeg gigabytes."""

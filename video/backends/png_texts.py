"""How much text a PNG file carries beside its picture, against what a picture needs.

FFmpeg unpacks compressed text and colour profiles whole, and looks through all texts for each new
one: a megabyte of such chunks costs it many seconds and gigabytes with every opening. Chunks are
unpacked here only as far as the limit goes, and thrown away.
"""

from __future__ import annotations

import os
import zlib

MOST_TEXT_BYTES = 16 * 2**20
"""Text and colour profiles of one picture, packed or not; profiles take some megabytes at most."""
MOST_TEXTS = 1000

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = {b"tEXt", b"zTXt", b"iTXt", b"iCCP"}
_MOST_CHUNKS = 200_000
"""A picture of the largest size in pieces of 8 KB, as libpng writes them, has a fifth of that."""
_STEP_BYTES = 2**16


def describe_large_text(descriptor: int) -> str | None:
    """Why the PNG file of `descriptor` is refused for its texts; None where they are of a usual
    size, and for files of other kinds. Raises OSError."""
    if os.pread(descriptor, len(_SIGNATURE), 0) != _SIGNATURE:
        return None
    size_bytes, start = os.fstat(descriptor).st_size, len(_SIGNATURE)
    texts, text_bytes = 0, 0
    for _ in range(_MOST_CHUNKS):
        # A chunk: length, name, body, checksum. Bodies of other chunks are passed over.
        header = os.pread(descriptor, 8, start)
        length, name = int.from_bytes(header[:4]), header[4:]
        if len(header) < 8 or name == b"IEND":
            return None
        if name in _TEXTS:
            texts += 1
            # The length is a claim of the file: never more than the file has.
            end = min(start + 8 + length, size_bytes)
            text_bytes += _count_text_bytes(descriptor, name, start + 8, end)
            if texts > MOST_TEXTS or text_bytes > MOST_TEXT_BYTES:
                return (
                    "carries too much text beside its picture: more than "
                    f"{MOST_TEXTS:,} texts or {MOST_TEXT_BYTES // 2**20} MB unpacked; save the "
                    "picture without its metadata"
                )
        start += 12 + length  # length, name and checksum are 4 bytes each
    return f"is made of more than {_MOST_CHUNKS:,} chunks; save the picture again"


def _count_text_bytes(descriptor: int, name: bytes, start: int, end: int) -> int:
    """Bytes of the chunk between `start` and `end`, or of what is packed in it where that is more;
    counted no further than just past the limit."""
    head = os.pread(descriptor, min(_STEP_BYTES, end - start), start)
    packed_offset = _packed_offset(name, head)
    if packed_offset is None:
        return end - start
    unpacker, unpacked_bytes = zlib.decompressobj(), 0
    # In steps, since a few kilobytes may unpack to gigabytes.
    for step_start in range(start + packed_offset, end, _STEP_BYTES):
        data = os.pread(descriptor, min(_STEP_BYTES, end - step_start), step_start)
        try:
            while data and unpacked_bytes <= MOST_TEXT_BYTES:
                unpacked_bytes += len(unpacker.decompress(data, _STEP_BYTES))
                data = unpacker.unconsumed_tail
        # A broken text is for the decoder to refuse; what it unpacked to counts.
        except zlib.error:
            break
        # Packed bytes may stand for nothing at all: they count by themselves, too.
        if max(unpacked_bytes, step_start - start) > MOST_TEXT_BYTES:
            break
    return max(unpacked_bytes, end - start)


def _packed_offset(name: bytes, head: bytes) -> int | None:
    """Where the packed part of a chunk begins; None where nothing in it is packed."""
    keyword_end = head.find(b"\0")
    if name == b"tEXt" or keyword_end < 0:
        return None
    if name != b"iTXt":
        return keyword_end + 2  # a zero, and the method of packing
    if head[keyword_end + 1 : keyword_end + 2] != b"\1":
        return None
    language_end = head.find(b"\0", keyword_end + 3)
    translated_end = head.find(b"\0", language_end + 1)
    return None if min(language_end, translated_end) < 0 else translated_end + 1

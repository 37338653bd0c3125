"""How many files a file is made of: whole ones copied one behind the other, of which a reader may
stop after the first.

Reads heads of top-level boxes, chunks and elements only.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

_MAX_HEADS = 10_000
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def count_parts(path: Path, container: str) -> int:
    """How many whole files of the format `container` lie in the file, as far as their heads tell;
    1 where the format has no such heads."""
    with path.open("rb") as file:
        end = file.seek(0, SEEK_END)
        file.seek(0)
        if "mp4" in container:
            return max(1, sum(kind == b"ftyp" for kind in _boxes(file, end)))
        if container == "avi":
            return max(1, sum(kind == b"AVI " for kind in _riffs(file, end)))
        if "matroska" in container:
            return max(1, sum(kind == _EBML for kind in _elements(file, end)))
    return 1


def _boxes(file: BinaryIO, end: int) -> Iterator[bytes]:
    offset = 0
    for _ in range(_MAX_HEADS):
        head = _read_at(file, offset, end)
        if len(head) < 8 or not head[4:8].isalnum():
            return
        size = int.from_bytes(head[:4])
        size = int.from_bytes(head[8:16]) if size == 1 else size or end - offset
        yield head[4:8]
        offset += max(8, size)


def _riffs(file: BinaryIO, end: int) -> Iterator[bytes]:
    offset = 0
    for _ in range(_MAX_HEADS):
        head = _read_at(file, offset, end)
        if len(head) < 12 or head[:4] != b"RIFF":
            return
        yield head[8:12]
        size = int.from_bytes(head[4:8], "little")
        offset += 8 + size + size % 2


def _elements(file: BinaryIO, end: int) -> Iterator[int]:
    """Kinds of the top-level elements, up to one whose length is not known."""
    offset = 0
    for _ in range(_MAX_HEADS):
        head = _read_at(file, offset, end)
        if len(head) < 12 or not head[0]:
            return
        id_bytes = 9 - head[0].bit_length()
        kind = int.from_bytes(head[:id_bytes])
        if kind not in (_EBML, _SEGMENT) and id_bytes == 4:
            return
        size_field = head[id_bytes:]
        if not size_field[0]:
            return
        size_bytes = 9 - size_field[0].bit_length()
        size = int.from_bytes(size_field[:size_bytes]) & ((1 << (7 * size_bytes)) - 1)
        yield kind
        if size == (1 << (7 * size_bytes)) - 1:
            return
        offset += id_bytes + size_bytes + size


def _read_at(file: BinaryIO, offset: int, end: int) -> bytes:
    """Up to 16 bytes; none past the end, where a damaged length may lead."""
    if offset >= end:
        return b""
    file.seek(offset)
    return file.read(16)

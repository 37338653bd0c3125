"""Pictures and clips that stand in the rows themselves: as bytes (Hugging Face `datasets`), or as
base64. They become files of the cache, named by their content."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

from mmreason.cache_folder import CacheFolderError, cache_folder
from mmreason.training.data.dialects.row_errors import BadRow
from mmreason.types import UsageError
from mmreason.video.files import write_atomic

MOST_EMBEDDED_BYTES = 64_000_000
"""Of one picture or clip."""
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", 0, ".png"),
    (b"\xff\xd8\xff", 0, ".jpg"),
    (b"GIF8", 0, ".gif"),
    (b"BM", 0, ".bmp"),
    (b"WEBP", 8, ".webp"),
    (b"ftyp", 4, ".mp4"),
    (b"\x1aE\xdf\xa3", 0, ".mkv"),
    (b"WAVE", 8, ".wav"),
    (b"ID3", 0, ".mp3"),
    (b"fLaC", 0, ".flac"),
    (b"OggS", 0, ".ogg"),
)
"""Bytes, where they stand, and the ending of files that have them."""


def keep_bytes(data: bytes, name: str) -> str:
    """The path of a file with these bytes, which is written where it is not there yet. `name` is
    the field that holds them. Raises BadRow for what is no picture and no clip that is known."""
    if len(data) > MOST_EMBEDDED_BYTES:
        raise BadRow(f"{name!r} holds {len(data):,} bytes, the limit is {MOST_EMBEDDED_BYTES:,}")
    ending = next((e for start, at, e in _STARTS if data[at : at + len(start)] == start), None)
    if ending is None:
        raise BadRow(f"{name!r} holds bytes of no picture, clip or sound that is known")
    digest = hashlib.sha256(data).hexdigest()
    try:
        path = cache_folder() / "rows" / digest[:2] / f"{digest}{ending}"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
    except (OSError, CacheFolderError) as error:
        raise UsageError(f"pictures inside of rows need a folder to be kept in: {error}") from error
    return str(Path(path))


def keep_base64(text: str, name: str) -> str:
    """The same of `data:image/png;base64,...`. Raises BadRow."""
    head, _, body = text.partition(",")
    if not head.endswith(";base64"):
        raise BadRow(f"{name!r} holds data that is not base64: {head[:40]!r}")
    if len(body) > MOST_EMBEDDED_BYTES * 4 // 3:
        raise BadRow(f"{name!r} holds more than {MOST_EMBEDDED_BYTES:,} bytes")
    try:
        return keep_bytes(base64.b64decode(body, validate=True), name)
    except binascii.Error as error:
        raise BadRow(f"{name!r} holds base64 that is broken") from error

"""Opening a file with FFmpeg so that this file is read and nothing else. Imported lazily (it
imports av at the top).

FFmpeg gets a descriptor, and may open nothing but descriptors: no name to expand (`img%03d.png`),
no folder to look in for siblings (`.sub` of `.idx`), no playlist to follow, no network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from mmreason.video.backends.mp4_counts import describe_false_count
from mmreason.video.backends.png_texts import describe_large_text
from mmreason.video.descriptors import open_regular, open_unnamed
from mmreason.video.types import VideoError


def open_container_file(
    path: Path, options: Mapping[str, str], limit_s: float | None = None
) -> InputContainer:
    """The container in the file at `path`, opened within `limit_s` seconds, with `options` of
    FFmpeg's demuxers. Raises VideoError, MemoryError and av.error.FFmpegError."""
    if os.name != "posix":  # Python's descriptors may not be those of FFmpeg's C library
        with open_unnamed(path) as (name, _):
            return _open(name, {**options, "protocol_whitelist": "file"}, limit_s)
    descriptor = open_regular(path)
    try:
        if reason := describe_false_count(descriptor) or describe_large_text(descriptor):
            raise VideoError(f"{path}: {reason}")
        by_descriptor = {"fd": str(descriptor), "protocol_whitelist": "fd"}
        return _open("fd:", {**options, **by_descriptor}, limit_s)
    finally:
        os.close(descriptor)  # FFmpeg has a copy of its own


def _open(name: str, options: dict[str, str], limit_s: float | None) -> InputContainer:
    titles = "replace"  # they are not always utf-8
    return av.open(name, options=options, metadata_errors=titles, timeout=limit_s)

"""Files by descriptor instead of by name, so that nothing reads more into a name than one file.

Media libraries take `img%03d.png` for a sequence, open what lies beside a file, and open by name
what was checked by name a moment ago. A descriptor is one file for good.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmreason.video.types import VideoError

_FOLDER = Path("/proc/self/fd")
"""Linux only: opening `/proc/self/fd/7` opens the file of descriptor 7 anew, with a position of its
own, wherever that file lies by now."""
_PATTERN_SIGNS = frozenset("%*?[]{}")


def is_descriptor_path(path: Path) -> bool:
    """Whether `path` names an open descriptor of this process."""
    return path.parent == _FOLDER and path.name.isdecimal()


def open_regular(path: Path) -> int:
    """A descriptor of the regular file at `path`, for reading; the caller closes it. Raises
    VideoError, also for anything else (a pipe does not hold it up)."""
    flags = (getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
    try:
        descriptor = os.open(path, os.O_RDONLY | sum(flags))
    except OSError as error:
        raise VideoError(f"{path}: cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise VideoError(f"{path}: is not a regular file, expected a video file")
    return descriptor


def descriptor_path(descriptor: int) -> Path | None:
    """A path that opens the very file of `descriptor`; None where the platform has none."""
    if not sys.platform.startswith("linux"):
        return None
    path = _FOLDER / str(descriptor)
    with suppress(OSError):
        if os.path.samestat(path.stat(), os.fstat(descriptor)):
            return path
    return None


@contextmanager
def open_unnamed(path: Path) -> Iterator[tuple[str, int]]:
    """A name for a library that opens by name, and the descriptor that it stands for, both valid
    inside the block: it says nothing of what the file is called or lies beside.

    Raises VideoError. Errors of the block tell the path in place of that name. Where there are no
    such names, a path that could be taken for a pattern is refused.

    Example:
        >>> with open_unnamed(Path("img%03d.png")) as (name, descriptor):  # doctest: +SKIP
        ...     name
        '/proc/self/fd/7'
    """
    descriptor = open_regular(path)
    try:
        name = descriptor_path(descriptor)
        if name is None:
            if _PATTERN_SIGNS.intersection(path.name):
                raise VideoError(f"{path}: could be taken for a pattern of names; rename it")
            name = path
        try:
            yield str(name), descriptor
        # The name of a descriptor would tell a person nothing.
        except VideoError as error:
            raise type(error)(str(error).replace(str(name), str(path))) from error
    finally:
        os.close(descriptor)


def reopen_descriptor(file: Any) -> int | None:
    """A descriptor of its own for the regular file behind an open binary `file` that stands at its
    start; None where `file` is something else (a pipe, bytes in memory, a decompressor), stands
    elsewhere, or the platform cannot open it anew."""
    raw = _raw_file(file)
    if raw is None or raw.closed or not raw.readable() or file.tell() != 0:
        return None
    if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        return None
    if file.writable():
        file.flush()
    path = descriptor_path(raw.fileno())
    if path is None:
        return None
    with suppress(OSError):  # a file that this process was handed and may not open itself
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if os.path.samestat(os.fstat(descriptor), os.fstat(raw.fileno())):
            return descriptor
        os.close(descriptor)
    return None


def _raw_file(file: Any) -> io.FileIO | None:
    """Known kinds only: others have a `fileno` too, as gzip's, whose bytes are not the video's."""
    if isinstance(file, tempfile._TemporaryFileWrapper):
        file = file.file
    if type(file) in (io.BufferedReader, io.BufferedRandom):
        file = file.raw
    return file if type(file) is io.FileIO else None

"""What a video may be given as: a path, bytes, or an open binary file.

Back ends read files, so bytes become a private file (mode 0600) in the folder for temporary files;
it is removed when its video is closed or forgotten. Leaves out what a file is (`file_kinds`).
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from mmreason.video.types import VideoError
from mmreason.video.urls import explain_url, is_url

VideoInput = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


class _Written(Protocol):
    def __call__(self, file: BinaryIO, /) -> object: ...


class TemporaryCopy:
    """Bytes of a video as a private file, which goes when `close` is called or nobody holds it."""

    def __init__(self, name: str, head: bytes, write: _Written) -> None:
        """Have `write` write the bytes, of which `head` are the first. Raises VideoError."""
        self.name = name
        """What people are shown in place of the file's path."""
        try:
            handle, path = tempfile.mkstemp(prefix="mmreason-", suffix=_suffix_of(head))
        except OSError as error:
            raise VideoError(f"{name}: cannot be put into a temporary file ({error})") from error
        self.path = Path(path)
        self._remove = weakref.finalize(self, _remove, self.path, os.getpid())
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
        except BaseException:
            self._remove()
            raise

    @property
    def closed(self) -> bool:
        return not self._remove.alive

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Have errors of the block name the bytes, not the file that nobody knows."""
        try:
            yield
        except VideoError as error:
            told = str(error).replace(str(self.path), self.name)
            raise type(error)(told) from error

    def close(self) -> None:
        """Remove the file. May be called twice."""
        self._remove()


def as_path(given: VideoInput) -> Path | TemporaryCopy:
    """The file to read for what a caller gave. Raises VideoError for URLs, text files and what is
    nothing of all this.

    An open file is read from where it stands to its end, and left where it stood.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(os.fsdecode(given))
        if isinstance(given, str) and is_url(given) and not _exists(path):
            raise VideoError(explain_url(given))  # as it was written: a `Path` drops a slash
        return path
    if isinstance(given, bytes | bytearray | memoryview):
        data = memoryview(given)
        data = data if data.c_contiguous else memoryview(data.tobytes())
        return copy_bytes(data, "<bytes>")
    if hasattr(given, "read"):
        return _copy_file(given)
    raise VideoError(
        f"a video is given as a path, bytes or an open binary file, got {type(given).__name__}"
    )


def copy_bytes(data: bytes | memoryview, name: str) -> TemporaryCopy:
    """A private file of `data`. Raises VideoError."""
    return TemporaryCopy(name, bytes(data[:64]), lambda file: file.write(data))


def _copy_file(given: BinaryIO) -> TemporaryCopy:
    name = _name_of(given)
    try:
        start = given.tell() if _seekable(given) else None
        head = given.read(64)
        if not isinstance(head, bytes):
            raise VideoError(f"{name}: is open as text; open it as binary: open(path, 'rb')")
        if not head and start:
            raise VideoError(f"{name}: is open at its end; call seek(0) first")

        def write(file: BinaryIO) -> None:
            file.write(head)
            shutil.copyfileobj(given, file)

        copy = TemporaryCopy(name, head, write)
        if start is not None:
            given.seek(start)
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, VideoError):
            raise
        raise VideoError(f"{name}: cannot be read as a binary file ({error})") from error
    return copy


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have
        return False


def _seekable(given: BinaryIO) -> bool:
    return bool(hasattr(given, "seekable") and given.seekable())


def _name_of(given: BinaryIO) -> str:
    name = getattr(given, "name", None)
    if isinstance(name, str) and name:
        return name
    return "<bytes>" if isinstance(given, io.BytesIO) else f"<{type(given).__name__}>"


def _suffix_of(head: bytes) -> str:
    """The end of a name for what is told by its name: scripted worlds, and WebM."""
    if head.lstrip().startswith(b"{"):
        return ".json"
    return ".webm" if head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head else ""


def _remove(path: Path, owner_pid: int) -> None:
    """A forked process leaves the file to the one that made it."""
    if os.getpid() == owner_pid:
        path.unlink(missing_ok=True)

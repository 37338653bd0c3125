"""What a video may be given as: a path, bytes, or an open binary file.

Back ends read files: an open file is read through its descriptor where the platform can, and bytes
become a private file (mode 0600) in the folder for temporary files, removed when its video is
closed or forgotten.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mmreason.video.descriptors import descriptor_path, reopen_descriptor
from mmreason.video.types import VideoError
from mmreason.video.urls import explain_url, is_url

VideoInput = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
_Write = Callable[[BinaryIO], object]


class PrivateFile:
    """A file that is read by a path which only this process knows: a temporary copy of bytes, or an
    open descriptor. It goes when `close` is called or nobody holds it."""

    def __init__(self, name: str, path: Path, release: Callable[[], None]) -> None:
        """`release` frees what `path` stands for; it is called once."""
        self.name = name
        """What people are shown in place of the file's path."""
        self.path = path
        self._release = weakref.finalize(self, release)

    @property
    def closed(self) -> bool:
        return not self._release.alive

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Have errors of the block name what was given, not the path that nobody knows."""
        try:
            yield
        except VideoError as error:
            text = str(error).replace(str(self.path), self.name)
            raise type(error)(text) from error

    def close(self) -> None:
        """Free the file. May be called twice."""
        self._release()


def as_path(source: VideoInput, name: str | None = None) -> Path | PrivateFile:
    """The file to read for what a caller gave; `name` is what people are shown in place of bytes'
    and open files' own. Raises VideoError for URLs, text files and what is nothing of all this.

    An open file is read from where it stands to its end, and left where it stood. One that stands
    at its start is read through its descriptor (Linux), others through a copy.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(source))
        if isinstance(source, str) and is_url(source) and not _exists(path):
            raise VideoError(explain_url(source))  # as it was written: a `Path` drops a slash
        return path
    if isinstance(source, bytes | bytearray | memoryview):
        data = memoryview(source)
        # A view with gaps, such as every other byte, is made one piece first.
        data = data if data.c_contiguous else memoryview(data.tobytes())
        return copy_bytes(data, name or "<bytes>")
    if hasattr(source, "read"):
        return _open_file(source, name or _name_of(source))
    raise VideoError(
        f"a video is given as a path, bytes or an open binary file, got {type(source).__name__}"
    )


def copy_bytes(data: bytes | memoryview, name: str) -> PrivateFile:
    """A private file of `data`. Raises VideoError."""
    return _copy(name, bytes(data[:64]), lambda file: file.write(data))


def _copy(name: str, head: bytes, write: _Write) -> PrivateFile:
    """A temporary file (mode 0600) that `write` writes, of which `head` are the first bytes."""
    try:
        handle, text = tempfile.mkstemp(prefix="mmreason-", suffix=_suffix_of(head))
    except OSError as error:
        raise VideoError(f"{name}: cannot be put into a temporary file ({error})") from error
    # A forked child must not remove the file of its parent.
    path, owner_pid = Path(text), os.getpid()
    private = PrivateFile(name, path, lambda: _remove(path, owner_pid))
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
    except BaseException:
        private.close()
        raise
    return private


def _open_file(file: BinaryIO, name: str) -> PrivateFile:
    try:
        # A descriptor of its own, so that the caller may close or move the file.
        descriptor = reopen_descriptor(file)
        if descriptor is None:
            return _copy_file(file, name)
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, VideoError):
            raise
        raise VideoError(f"{name}: cannot be read as a binary file ({error})") from error
    path = descriptor_path(descriptor)
    assert path is not None
    return PrivateFile(name, path, lambda: os.close(descriptor))


def _copy_file(file: BinaryIO, name: str) -> PrivateFile:
    # Left where it stood, if it can be moved at all.
    start = file.tell() if _seekable(file) else None
    head = file.read(64)
    if not isinstance(head, bytes):
        raise VideoError(f"{name}: is open as text; open it as binary: open(path, 'rb')")
    if not head and start:
        raise VideoError(f"{name}: is open at its end; call seek(0) first")

    def write(copy: BinaryIO) -> None:
        copy.write(head)
        shutil.copyfileobj(file, copy)

    copy = _copy(name, head, write)
    if start is not None:
        file.seek(start)
    return copy


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have
        return False


def _seekable(file: BinaryIO) -> bool:
    return bool(hasattr(file, "seekable") and file.seekable())


def _name_of(file: BinaryIO) -> str:
    name = getattr(file, "name", None)
    if isinstance(name, str) and name:
        return name
    return "<bytes>" if isinstance(file, io.BytesIO) else f"<{type(file).__name__}>"


def _suffix_of(head: bytes) -> str:
    """The end of a name for what is told by its name: scripted worlds."""
    return ".json" if head.lstrip().startswith(b"{") else ""


def _remove(path: Path, owner_pid: int) -> None:
    """A forked process leaves the file to the one that made it."""
    if os.getpid() == owner_pid:
        path.unlink(missing_ok=True)

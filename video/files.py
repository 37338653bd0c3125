"""Names of video files, and writing files so that a reader never sees half of one."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from pathlib import Path

from mmreason.video.plain_text import show_line
from mmreason.video.types import VideoError

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""What a folder is searched for."""
_HASH_BLOCKS = 16
_HASH_BLOCK_BYTES = 64 * 1024
_WORLD_MARK = b'"mmreason-world-'


def list_videos(folder: Path) -> list[Path]:
    """The videos and scripted worlds inside a folder and its folders, by name."""
    return [file for file in sorted(folder.rglob("*")) if _is_video(file)]


def _is_video(file: Path) -> bool:
    if file.suffix.lower() in VIDEO_SUFFIXES:
        return file.is_file()
    if file.suffix.lower() != ".json" or not file.is_file():
        return False
    try:
        # The mark is near the start: folders may hold large files of JSON.
        with file.open("rb") as opened:
            # A folder may hold any JSON; only scripted worlds are videos.
            return _WORLD_MARK in opened.read(4096)
    except OSError:
        return True  # told as a failure when it is opened


def hash_content(path: Path, *, whole: bool = False) -> str:
    """sha256 (hex) that names the content of a file: its size and blocks of 64 KiB at its start, at
    its end and evenly between, or every byte of it. Raises OSError.

    Example:
        >>> hash_content(Path("clip.mp4"))[:8]  # doctest: +SKIP
        '9f86d081'
    """
    if whole:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    # Samples of a large file name it well enough, in milliseconds instead of minutes.
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    last_start = max(0, size - _HASH_BLOCK_BYTES)
    with path.open("rb") as file:
        for start in sorted({last_start * i // (_HASH_BLOCKS - 1) for i in range(_HASH_BLOCKS)}):
            file.seek(start)
            digest.update(file.read(_HASH_BLOCK_BYTES))
    return digest.hexdigest()


def write_atomic(path: Path, data: bytes) -> Path:
    """Write `data` beside `path`, then rename over it. Creates missing folders. Raises OSError that
    names `path`.

    A new file gets the mode that the umask leaves (0666 & ~umask), a replaced one keeps its own. A
    link is followed: the file that it names is replaced, and the link stays. What is no regular
    file (a pipe, `/dev/null`) is written to as it is.

    Example:
        >>> write_atomic(Path("out/report.html"), b"<p>done</p>")  # doctest: +SKIP
        PosixPath('out/report.html')
    """
    try:
        target = Path(os.path.realpath(path))
        mode = _mode_of(path)
        if mode is not None and not stat.S_ISREG(mode):
            path.write_bytes(data)
            return path
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, data, mode)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # not the temporary name
        raise
    return path


def check_writable(path: Path) -> None:
    """Raise VideoError where `write_atomic` could not write to `path` as things are now: asked
    before work of which the result goes there. Nothing is made or changed.

    Example:
        >>> check_writable(Path("/dev/null/a.html"))
        Traceback (most recent call last):
        ...
        mmreason.video.types.VideoError: /dev/null/a.html: cannot be written: /dev/null is not a \
folder; give another name
    """
    try:
        reason = _why_unwritable(path)
    except (OSError, ValueError) as error:  # a name that no file can have
        reason = f"{getattr(error, 'strerror', None) or error}; give another name"
    if reason is not None:
        raise VideoError(f"{show_line(str(path)[:300])}: cannot be written: {reason}")


def _why_unwritable(path: Path) -> str | None:
    mode = _mode_of(path)
    if mode is not None and stat.S_ISDIR(mode):
        return "is a folder; give the name of a file"
    if mode is not None and not stat.S_ISREG(mode):
        return None if os.access(path, os.W_OK) else "permission denied; give another name"
    target = Path(os.path.realpath(path))
    _mode_of(target)  # a name that is too long is an error here
    folder = target.parent
    while (folder_mode := _mode_of(folder)) is None:
        folder = folder.parent
    folder_text = show_line(str(folder))
    if not stat.S_ISDIR(folder_mode):
        return f"{folder_text} is not a folder; give another name"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"nothing may be written into {folder_text}; give another folder"
    return None


def _replace(target: Path, data: bytes, mode: int | None) -> None:
    """The temporary name is short, so that any name that the folder takes will do."""
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    # A replaced file may be private: nobody else may read the new one before it has that mode.
    first_mode = 0o666 if mode is None else 0o600

    def create(name: str, flags: int) -> int:
        return os.open(name, flags, first_mode)

    try:
        with open(temporary, "xb", opener=create) as file:
            file.write(data)
        if mode is not None:
            temporary.chmod(mode & 0o777)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mode_of(path: Path) -> int | None:
    """As `stat` tells, links followed; None where nothing is there."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None

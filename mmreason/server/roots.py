"""Which files a client may have opened: regular files below some folders, and no others.

A name is checked by opening it: folder by folder, each through the descriptor of the one before it,
links read as text and followed here. So what was checked is what is read, whoever moves files or
changes links meanwhile, and all work goes on with the opened file, never with its name.
"""

from __future__ import annotations

import errno
import functools
import io
import operator
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

MAX_PATH_BYTES = 4_096
"""Of a path that a client gives."""
MAX_NAME_BYTES = 255
"""Of one name in it: no file system has longer ones."""
MAX_LINKS = 40
"""Links that are followed for one path, as many as Linux follows."""
MAX_FOLDERS = 64
"""Folders inside each other on the way to a file; a walk holds a descriptor of each."""
MAX_LISTED_FILES = 10_000
"""Entries of one folder that are looked at for subtitles beside a video."""


def _flags(*names: str) -> int:
    """Flags of `os.open`; Windows lacks some, and `Roots.of` refuses it."""
    return functools.reduce(operator.or_, (getattr(os, name, 0) for name in names))


# Where there is O_PATH a folder is passed through without being read, as by the system itself.
_PASS = _flags("O_PATH", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC")
_LIST = _flags("O_RDONLY", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC")
# A pipe or a device that takes a file's name at the last moment must not make the call wait.
_READ = _flags("O_RDONLY", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC")

_Identity = tuple[int, int]
"""Device and inode: what a folder is, whatever its name."""


class _OutsideError(Exception):
    """The path leads out of all folders."""


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders, absolute and without links; `of` makes them so.

    Example: `Roots.of([Path("Videos")]).open("talk.mp4")`.
    """

    folders: tuple[Path, ...]
    identities: tuple[_Identity, ...]
    """Of the folders when the server started: another one in the place of one is no root."""

    @classmethod
    def of(cls, folders: Sequence[Path]) -> Roots:
        """Resolve the folders. UsageError for one that is not there, and on systems where files
        cannot be opened relative to a folder that is open (Windows)."""
        if os.open not in os.supports_dir_fd or os.readlink not in os.supports_dir_fd:
            raise UsageError(
                "this system cannot open a file relative to an open folder, so that --root could "
                "not be kept to; run the server on Linux or macOS"
            )
        resolved = tuple(folder.expanduser().resolve() for folder in folders)
        for root, folder in zip(folders, resolved, strict=True):
            if not folder.is_dir():
                raise UsageError(
                    f"{show_line(str(root))}: is not a folder; --root names folders that are there"
                )
        return cls(resolved, tuple(_identity(folder.stat()) for folder in resolved))

    def open(self, name: str, expected: str = "a video file") -> BinaryIO:
        """Open the regular file that `name` leads to, links followed, for reading. Relative names
        are looked for in each folder, in order. The file's `name` is its path without links.

        UsageError where it leads out of all folders, is not there, or is no regular file
        (`expected` says of what kind).
        """
        with self._parent_of(name) as (walk, last):
            path = walk.path_of(last)
            # Looked at before it is opened, since opening a pipe or a device may have effects.
            try:
                kind = os.stat(last, dir_fd=walk.here, follow_symlinks=False).st_mode
                if stat.S_ISREG(kind):
                    # Opened from the folder of the walk; the path is only the file's name.
                    raw = io.FileIO(path, opener=lambda _, __: walk.open_file(last))
                    return io.BufferedReader(raw)
            except OSError as error:
                raise UsageError(f"{show_line(name)}: {_reason(error)}") from error
        what = "is a folder" if stat.S_ISDIR(kind) else "is not a regular file"
        raise UsageError(f"{show_line(name)}: {what}, expected {expected}")

    def names_beside(self, path: str) -> list[str]:
        """Names of the entries of the folder of a file that `open` has opened, sorted; none where
        the folder cannot be read or has too many."""
        try:
            with self._parent_of(path) as (walk, _):
                # A descriptor made with O_PATH cannot be listed, so that the folder is opened anew.
                descriptor = os.open(".", _LIST, dir_fd=walk.here)
                try:
                    with os.scandir(descriptor) as entries:
                        # One more than the limit tells a folder that has too many.
                        names = [entry.name for entry in islice(entries, MAX_LISTED_FILES + 1)]
                finally:
                    os.close(descriptor)
        except (UsageError, OSError):
            return []
        return sorted(names) if len(names) <= MAX_LISTED_FILES else []

    @contextmanager
    def _parent_of(self, name: str) -> Iterator[tuple[_Walk, str]]:
        """The walk to the folder that holds what `name` leads to, and the name of that in it."""
        line = show_line(name[:MAX_PATH_BYTES])
        steps = _parts(name)
        # An absolute path is walked from the top, a relative one from each folder in turn.
        starts = [[]] if name.startswith("/") else self._starts()
        dangling: list[str] = []
        for start in starts:
            with _Walk(self.identities) as walk:
                try:
                    last = walk.go([*start, *steps])
                    is_there = _exists(last, walk.here)
                except _OutsideError as error:
                    raise UsageError(
                        f"{line}: lies outside the folders that may be read ({self}); use a file "
                        "in them, or start the server with --root FOLDER for its folder too"
                    ) from error
                except OSError as error:
                    # Only what is not there is looked for in the next folder.
                    if error.errno != errno.ENOENT:
                        raise UsageError(f"{line}: {_reason(error)}") from error
                    is_there = False
                if is_there:
                    yield walk, last
                    return
                dangling = dangling or walk.links
        target = f" (a link to {show_line(dangling[-1])})" if dangling else ""
        raise UsageError(f"{line}: no such file{target}")

    def _starts(self) -> list[list[str]]:
        """The parts of the folders that are there now; the first one's where none is."""
        starts = []
        for folder, identity in zip(self.folders, self.identities, strict=True):
            with suppress(OSError):
                if _identity(folder.stat()) == identity:
                    starts.append(list(folder.parts[1:]))
        return starts or [list(self.folders[0].parts[1:])]

    def __str__(self) -> str:
        return ", ".join(show_line(str(folder)) for folder in self.folders)


@dataclass(slots=True)
class _Walk:
    """A way down from the top of the file system through open folders.

    Each folder on the way is known by its descriptor, and `..` goes back to the one that was
    passed: what others rename meanwhile does not change where the walk is.
    """

    roots: tuple[_Identity, ...]
    links: list[str] = field(default_factory=list)
    """Targets of the links that were followed."""
    _folders: list[tuple[str, int, bool]] = field(default_factory=list)
    """(name, descriptor, whether it is a root or below one) of each folder on the way."""

    def __enter__(self) -> _Walk:
        self._push("/", os.open("/", _PASS))
        return self

    def __exit__(self, *_: object) -> None:
        while self._folders:
            os.close(self._folders.pop()[1])

    @property
    def here(self) -> int:
        """Descriptor of the folder that the walk has come to."""
        return self._folders[-1][1]

    def path_of(self, last: str) -> str:
        """The path of an entry of the folder that the walk has come to."""
        return str(Path(*(name for name, _, _ in self._folders), last))

    def go(self, steps: Sequence[str]) -> str:
        """Walk to the folder of the last part; returns the name in it, "." for the folder itself.
        Raises _OutsideError where that folder is below no root, or where the way ends outside of
        them, and OSError."""
        # A stack, so that the parts of a link are walked before what stood behind it.
        ahead = list(reversed(steps))
        try:
            while ahead:
                step = ahead.pop()
                if step == "..":
                    # At the top `..` leads nowhere, as in the system itself.
                    if len(self._folders) > 1:
                        os.close(self._folders.pop()[1])
                    continue
                target = self._read_link(step)
                if target is not None:
                    self._follow(target, ahead)
                elif ahead:
                    self._push(step, os.open(step, _PASS, dir_fd=self.here))
                elif self._is_inside:
                    return step
                else:
                    # The last part may be a root itself, which only opening it tells.
                    self._push(step, os.open(step, _PASS, dir_fd=self.here))
        except OSError as error:
            # What is outside is not told, not even whether it is there.
            if not self._is_inside:
                raise _OutsideError from error
            raise
        if not self._is_inside:
            raise _OutsideError
        return "."

    def open_file(self, name: str) -> int:
        """Open a regular file of the folder that the walk has come to. Raises OSError."""
        descriptor = os.open(name, _READ, dir_fd=self.here)
        # Another file may have taken the name since it was looked at.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.ENOENT, "is no regular file any more")
        return descriptor

    @property
    def _is_inside(self) -> bool:
        return self._folders[-1][2]

    def _push(self, name: str, descriptor: int) -> None:
        is_inside = bool(self._folders) and self._is_inside
        is_root = _identity(os.fstat(descriptor)) in self.roots
        self._folders.append((name, descriptor, is_inside or is_root))
        if len(self._folders) > MAX_FOLDERS:
            raise OSError(errno.ENAMETOOLONG, f"leads through more than {MAX_FOLDERS} folders")

    def _read_link(self, name: str) -> str | None:
        """What a link says; None for what is none."""
        try:
            return os.readlink(name, dir_fd=self.here)
        except OSError as error:
            # EINVAL: the entry is there and is no link.
            if error.errno == errno.EINVAL:
                return None
            raise

    def _follow(self, target: str, ahead: list[str]) -> None:
        """Put the parts of a link before those that are still to be walked."""
        self.links.append(target)
        if len(self.links) > MAX_LINKS:
            raise OSError(errno.ELOOP, f"leads through more than {MAX_LINKS} links")
        # An absolute target begins again at the top.
        if target.startswith("/"):
            while len(self._folders) > 1:
                os.close(self._folders.pop()[1])
        ahead += reversed(_parts(target))


def _parts(path: str) -> list[str]:
    """The names in a path, without empty ones and dots. UsageError for what no path can be."""
    if len(path) > MAX_PATH_BYTES:
        raise UsageError(
            f"{show_line(path[:60])}...: is a path of {len(path):,} characters, the limit is "
            f"{MAX_PATH_BYTES:,} bytes; give the path of a file"
        )
    try:
        names = [(step, os.fsencode(step)) for step in path.split("/") if step not in ("", ".")]
    except UnicodeEncodeError as error:
        raise UsageError(f"{show_line(path[:60])!r}: no file can have this name") from error
    if "\0" in path or not path:
        raise UsageError(f"{show_line(path[:60])!r}: is no path; give the path of a file")
    for step, encoded in names:
        if len(encoded) > MAX_NAME_BYTES:
            raise UsageError(
                f"{show_line(step[:60])}...: is a name of {len(encoded):,} bytes, the limit is "
                f"{MAX_NAME_BYTES}"
            )
    return [step for step, _ in names]


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _reason(error: OSError) -> str:
    """What kept a path from being opened."""
    if error.errno == errno.ENOTDIR:
        return "no such file (a file stands where a folder would have to be)"
    return f"cannot be opened ({error.strerror})"

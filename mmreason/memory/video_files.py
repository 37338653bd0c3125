"""Which file each video was when it was last seen: what is kept goes by content, people by names.

Functions over an open connection, as in `record_tables`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

FILE_SCHEMA = (
    "CREATE TABLE files (path TEXT PRIMARY KEY, video TEXT NOT NULL, seen_ns INTEGER NOT NULL)",
)
MOST_FILES = 1_000
"""Of one video that are read: copies under other names."""


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A path under which a video was seen.

    Example:
        >>> VideoFile("/films/talk.mp4", "5f0c", 1_790_000_000_000_000_000).exists
        False
    """

    path: str
    video: str
    """Content hash of what was there then."""
    seen_ns: int

    @property
    def exists(self) -> bool:
        """Whether a file of this name is there now, whatever it holds."""
        return os.path.lexists(self.path)


def insert_file(connection: sqlite3.Connection, path: Path, video: str) -> None:
    """Remember that `path` holds this video now."""
    row = (_write_path(path), video, time.time_ns())
    connection.execute("INSERT OR REPLACE INTO files (path, video, seen_ns) VALUES (?, ?, ?)", row)


def select_file(connection: sqlite3.Connection, path: Path) -> VideoFile | None:
    """What was seen last under this path; None where nothing was."""
    row = connection.execute(f"{_SELECT} WHERE path = ?", (_write_path(path),)).fetchone()
    return None if row is None else _read_file(*row)


def select_files_of(connection: sqlite3.Connection, video: str) -> tuple[VideoFile, ...]:
    """All paths under which a video was seen, the last first."""
    rows = connection.execute(
        f"{_SELECT} WHERE video = ? ORDER BY seen_ns DESC LIMIT ?", (video, MOST_FILES)
    )
    return tuple(filter(None, (_read_file(*row) for row in rows)))


def _write_path(path: Path) -> str:
    # Names of files may be bytes that are no text: SQLite takes text only.
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")


def _read_file(path: object, video: object, seen_ns: object) -> VideoFile | None:
    if not isinstance(path, str) or not isinstance(video, str) or not isinstance(seen_ns, int):
        return None
    return VideoFile(path, video, seen_ns)


_SELECT = "SELECT path, video, seen_ns FROM files"

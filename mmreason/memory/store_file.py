"""Opening the SQLite file behind a store: is it one of ours, is it up to date. What is written
there, and when it is forgotten, is in `store`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from mmreason.memory.corrections import CORRECTION_SCHEMA
from mmreason.memory.frame_vectors import FRAME_SCHEMA
from mmreason.memory.record_tables import RECORD_COLUMNS, RECORD_SCHEMA
from mmreason.memory.sense_ledger import LEDGER_SCHEMA
from mmreason.memory.video_files import FILE_SCHEMA

BUSY_TIMEOUT_S = 30.0
UNKNOWN = "(unknown)"
"""The video or model of a value written without one."""
APPLICATION_ID = 0x6D6D7273
"""In the header of every store: "mmrs"."""
MOST_VALUE_BYTES = 1_000_000
"""Of one value: a hundred times what a talkative model writes of a long video."""

_REST_OF_ROW_BYTES = 65_536

_VERSION = 4
_VERSION_1 = (
    "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"ALTER TABLE replies ADD COLUMN video TEXT NOT NULL DEFAULT '{UNKNOWN}'",
    f"ALTER TABLE replies ADD COLUMN model TEXT NOT NULL DEFAULT '{UNKNOWN}'",
    "ALTER TABLE replies ADD COLUMN size INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE replies ADD COLUMN used_ns INTEGER NOT NULL DEFAULT 0",
    "UPDATE replies SET size = LENGTH(CAST(key AS BLOB)) + LENGTH(CAST(value AS BLOB))",
    "CREATE INDEX replies_by_use ON replies (used_ns, size)",
)
"""From nothing, or from a file of before there were versions."""
_VERSION_3 = (*RECORD_COLUMNS, *LEDGER_SCHEMA, *CORRECTION_SCHEMA, *FILE_SCHEMA)
_UPGRADES = (_VERSION_1, RECORD_SCHEMA, _VERSION_3, FRAME_SCHEMA)
"""What brings a file from each version to the next, beginning with none."""
_OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 50"
"""More than a store has, and few enough of what anybody may have put there."""


class ForeignFileError(sqlite3.DatabaseError):
    """A file that another program made, or that holds more than a store does."""


def connect_store(path: str) -> sqlite3.Connection:
    """Open a store file, or create one that its user alone may read. Raises OSError, and
    sqlite3.Error where it is none, is newer than this, or (ForeignFileError, before anything is
    written) holds anything that is not ours.

    Example:
        >>> connect_store(":memory:").execute("SELECT COUNT(*) FROM replies").fetchone()
        (0,)
    """
    if path != ":memory:":
        _create_private(Path(path))
        _check_unopened(Path(path))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        # Functions that a foreign schema names must not run.
        connection.execute("PRAGMA trusted_schema=OFF")
        _limit_rows(connection)
        _check_schema(connection)  # again, now that nobody can swap the file
        _use_wal(connection)
        # With a write-ahead log this cannot damage the file; a power cut may lose the last replies.
        connection.execute("PRAGMA synchronous=NORMAL")
        if not _is_present(connection):
            with connection:
                # Takes the right to write at once, or two processes could both find an old version.
                connection.execute("BEGIN IMMEDIATE")
                # Another process may have been faster, and leaves nothing to do.
                for upgrade in _UPGRADES[_pragma(connection, "user_version") :]:
                    for statement in upgrade:
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    except BaseException:
        connection.close()
        raise
    return connection


def _create_private(path: Path) -> None:
    # Made before SQLite opens it, which would make it readable by the umask.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if not path.is_file():
        raise sqlite3.DatabaseError("it is no regular file")


def _check_unopened(path: Path) -> None:
    """Check a file without the right to write it, and without leaving files of SQLite beside it."""
    with path.open("rb") as file:
        header = file.read(20)
    if not header:
        return
    # Bytes 18 and 19 of the header are the write and read versions: 2 is a write-ahead log.
    is_wal = header[18:20] == b"\x02\x02"
    # A file that expects a log beside it and has none is in nobody's use: nothing is locked.
    alone = "&immutable=1" if is_wal and not Path(f"{path}-wal").exists() else ""
    uri = f"{path.absolute().as_uri()}?mode=ro{alone}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        _limit_rows(connection)
        _check_schema(connection)


def _limit_rows(connection: sqlite3.Connection) -> None:
    """What somebody made larger than any value of ours is an error, not memory."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES + _REST_OF_ROW_BYTES)


def _check_schema(connection: sqlite3.Connection) -> None:
    """Raise ForeignFileError unless the file is empty, or holds what a store of this or an earlier
    version holds and nothing else: a trigger or a view would be code of whoever wrote it."""
    connection.execute("BEGIN")  # one state of a file that others may be bringing up to date
    try:
        program = _pragma(connection, "application_id")
        version = _pragma(connection, "user_version")
        rows = connection.execute(_OBJECTS).fetchall()
    finally:
        connection.rollback()
    if program not in (0, APPLICATION_ID):
        raise ForeignFileError("it is a database of another program")
    if program == APPLICATION_ID and version > _VERSION:
        raise sqlite3.DatabaseError("it was written by a newer mmreason")
    is_empty = not rows and (program, version) == (0, 0)
    if not is_empty and (version > _VERSION or set(rows) != _objects(version)):
        names = ", ".join(f"{kind} {name}"[:60] for kind, name, _, _ in rows[:3]) or "nothing"
        raise ForeignFileError(f"its tables are not those of a store: it holds {names}")


@cache
def _objects(version: int) -> frozenset[tuple[str, str, str, str | None]]:
    """What a file of a version holds: (type, name, table, SQL)."""
    with closing(sqlite3.connect(":memory:")) as connection:
        # Before there were versions a store was the first statement alone.
        for upgrade in _UPGRADES[:version] or (_VERSION_1[:1],):
            for statement in upgrade:
                connection.execute(statement)
        return frozenset(connection.execute(_OBJECTS).fetchall())


def _is_present(connection: sqlite3.Connection) -> bool:
    """Whether the file is one of this version, and says that it is ours."""
    return (
        _pragma(connection, "user_version") == _VERSION
        and _pragma(connection, "application_id") == APPLICATION_ID
    )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn on the write-ahead log. SQLite does not wait for others here: two processes that open
    an old file at once would refuse each other."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def file_bytes(path: str) -> int:
    """Size of the file and its write-ahead log, 0 for `:memory:`."""
    files = (Path(path + suffix) for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())

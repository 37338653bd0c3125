"""Opening the SQLite file behind a store, and bringing an older one up to date.

Leaves out what is written there and when it is forgotten (`store`).
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

BUSY_TIMEOUT_S = 30.0
UNKNOWN = "(unknown)"
"""The video or model of a value written without one."""

_VERSION = 1
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"ALTER TABLE replies ADD COLUMN video TEXT NOT NULL DEFAULT '{UNKNOWN}'",
    f"ALTER TABLE replies ADD COLUMN model TEXT NOT NULL DEFAULT '{UNKNOWN}'",
    "ALTER TABLE replies ADD COLUMN size INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE replies ADD COLUMN used_ns INTEGER NOT NULL DEFAULT 0",
    "UPDATE replies SET size = LENGTH(CAST(key AS BLOB)) + LENGTH(CAST(value AS BLOB))",
    "CREATE INDEX replies_by_use ON replies (used_ns, size)",
    f"PRAGMA user_version = {_VERSION}",
)
"""From nothing, or from a file of before there were versions, to the present one."""


def connect(path: str) -> sqlite3.Connection:
    """Open or create a store file. Raises sqlite3.Error where it is none or is newer than this."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        if _version(connection) < _VERSION:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                # Another process may have been faster.
                for statement in _SCHEMA if _version(connection) < _VERSION else ():
                    connection.execute(statement)
        if _version(connection) > _VERSION:
            raise sqlite3.DatabaseError("it was written by a newer mmreason")
    except BaseException:
        connection.close()
        raise
    return connection


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


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def file_bytes(path: str) -> int:
    """Size of the file and its write-ahead log, 0 for `:memory:`."""
    files = (Path(path + suffix) for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())

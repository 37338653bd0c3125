"""Opening the SQLite file behind a ledger: made for its user alone, and refused where it is
anything else than a ledger of this version."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from mmreason.types import UsageError

APPLICATION_ID = 0x6D6D726C
"""In the header of every ledger: "mmrl"."""
BUSY_TIMEOUT_S = 30.0
_VERSION = 1
_MOST_ROW_BYTES = 2**24
_TABLE = (
    "CREATE TABLE jobs (key TEXT PRIMARY KEY, address TEXT NOT NULL, state TEXT NOT NULL, "
    "owner TEXT, attempts INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0, "
    "value TEXT, error TEXT, worker TEXT NOT NULL DEFAULT '', seconds REAL NOT NULL DEFAULT 0, "
    "changed_ns INTEGER NOT NULL)"
)
_OBJECTS = "SELECT type, name, sql FROM sqlite_master LIMIT 9"


def connect_ledger(path: Path | None) -> sqlite3.Connection:
    """Open or create a ledger, in memory for None. UsageError where it is none of this version,
    is damaged, or cannot be written; a file of another program stays as it is.

    Example:
        >>> connect_ledger(None).execute("SELECT COUNT(*) FROM jobs").fetchone()
        (0,)
    """
    try:
        if path is not None:
            _create_private(path)
        return _connect(":memory:" if path is None else str(path))
    except sqlite3.OperationalError as error:
        raise UsageError(f"ledger {path} cannot be used ({error}); give another path") from error
    except sqlite3.DatabaseError as error:
        raise UsageError(
            f"ledger {path} cannot be used ({error}); delete that file, so that its jobs run "
            "again, or give another path"
        ) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"ledger {path} cannot be used ({reason}); give another path") from error


def _connect(name: str) -> sqlite3.Connection:
    # Transactions are begun by hand: sqlite3 would begin them late, and never before a read.
    connection = sqlite3.connect(
        name, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None
    )
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_ROW_BYTES)
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            _check_or_create(connection)
        # With a write-ahead log this cannot damage the file; a power cut may lose the last results,
        # whose jobs then run again.
        with suppress(sqlite3.OperationalError):  # where another process is reading just now
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_or_create(connection: sqlite3.Connection) -> None:
    program, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    rows = connection.execute(_OBJECTS).fetchall()
    if not rows and (program, version) == (0, 0):
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    elif program != APPLICATION_ID:
        raise sqlite3.DatabaseError("it is no ledger, but a database of another program")
    elif version > _VERSION:
        raise sqlite3.DatabaseError("it was written by a newer mmreason")
    # A trigger or a view would be code of whoever wrote it.
    elif set(rows) != _objects():
        raise sqlite3.DatabaseError("its tables are not those of a ledger")


@cache
def _objects() -> frozenset[tuple[str, str, str | None]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(_TABLE)
        return frozenset(connection.execute(_OBJECTS).fetchall())


def _create_private(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Made before SQLite opens it, which would make it readable by the umask.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if not path.is_file():
        raise sqlite3.DatabaseError("it is no regular file")

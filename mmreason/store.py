"""What models have already said about videos: an SQLite file that several processes may share.

A key names everything a reply depends on; a value is a small JSON object. Leaves out frames and
any policy of forgetting: deleting the file is always safe.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmreason.types import UsageError

BUSY_TIMEOUT_S = 30.0


def default_path() -> Path:
    """`~/.cache/mmreason/store.sqlite3`."""
    return Path.home() / ".cache" / "mmreason" / "store.sqlite3"


def make_key(
    *,
    content_hash: str,
    fingerprint: str,
    prompt: str,
    times_s: Sequence[float],
    size_px: tuple[int, int] | None,
    tool: str,
    max_new_tokens: int,
) -> str:
    """sha256 over everything a greedy reply depends on. Times count to the microsecond."""
    recipe = [
        content_hash,
        fingerprint,
        prompt,
        [round(time_s * 1_000_000) for time_s in times_s],
        size_px,
        tool,
        max_new_tokens,
    ]
    return hashlib.sha256(json.dumps(recipe, ensure_ascii=False).encode()).hexdigest()


class Store:
    """Replies by key. What was `put` outlives the process; may be used from several threads."""

    def __init__(self, connection: sqlite3.Connection, path: str, notes: tuple[str, ...] = ()):
        self._connection = connection
        self._lock = threading.Lock()
        self.path = path
        """File as text, or `:memory:`."""
        self.notes = notes
        """Fallbacks taken while opening."""

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """Open or create a store file. UsageError when it is no store or cannot be written."""
        path = Path(path).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(_connect(str(path)), str(path))
        except (sqlite3.Error, OSError) as error:
            raise UsageError(
                f"store {path} cannot be used ({error}); delete that file or give another path"
            ) from error

    @classmethod
    def in_memory(cls) -> Store:
        """A store that ends with the process."""
        return cls(_connect(":memory:"), ":memory:")

    @classmethod
    def open_default(cls) -> Store:
        """The store of this user; kept in memory, with a note, where the home cannot be written."""
        path = default_path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            note = f"store kept in memory: {path.parent} cannot be written ({error})"
            return cls(_connect(":memory:"), ":memory:", (note,))
        return cls.open(path)

    def get(self, key: str) -> dict[str, Any] | None:
        """The value, or None. UsageError when the file turns out to be damaged."""
        with self._lock, self._translated():
            row = self._connection.execute("SELECT value FROM replies WHERE key = ?", (key,))
            found = row.fetchone()
        return None if found is None else json.loads(found[0])

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Write one value; the last writer of a key wins."""
        text = json.dumps(value, ensure_ascii=False)
        with self._lock, self._translated(), self._connection:
            self._connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, text))

    def __len__(self) -> int:
        with self._lock, self._translated():
            return self._connection.execute("SELECT COUNT(*) FROM replies").fetchone()[0]

    def __repr__(self) -> str:
        return f"Store({self.path!r}, {len(self)} replies)"

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _translated(self) -> _Translated:
        return _Translated(self.path)


class _Translated:
    """Turns damage found by SQLite into one readable line."""

    def __init__(self, path: str):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        if isinstance(error, sqlite3.DatabaseError):
            raise UsageError(
                f"store {self._path} cannot be used ({error}); delete it or give another path"
            ) from error


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
        )
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection

"""What models have already said about videos: an SQLite file that several processes may share.

A key names everything a reply depends on; a value is a small JSON object. When the values grow
beyond a size, those that were not used for longest are forgotten. Leaves out frames; deleting the
file is always safe.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmreason.memory.store_file import BUSY_TIMEOUT_S, UNKNOWN, connect, file_bytes
from mmreason.types import UsageError

MAX_BYTES = 512 * 2**20
"""Size of keys and values up to which a store grows: some hundred thousand replies."""

_EVICT_TO = 0.9
"""Share of the size that is left after forgetting, so that not every new value makes room."""
_CHECK_SHARE = 1 / 64
"""Share of the size that one process writes before it looks again how much there is."""
_KEPT_USES = 256
"""Reads whose time is held back until something is written."""


def default_path() -> Path:
    """`mmreason/store.sqlite3` in the user's cache folder."""
    return cache_folder() / "store.sqlite3"


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/mmreason`, or `~/.cache/mmreason` where that is not set to an absolute path
    (a relative one is to be ignored, as the XDG base directory specification says)."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "mmreason"


def make_key(
    *,
    content_hash: str,
    fingerprint: str,
    prompt: str,
    clips: Sequence[tuple[Sequence[float], tuple[int, int]]],
    max_new_tokens: int,
) -> str:
    """sha256 over everything greedy replies depend on: one reply a clip, each given as the times of
    its frames (they count to the microsecond) and their size."""
    recipe = [
        content_hash,
        fingerprint,
        prompt,
        [([round(time_s * 1_000_000) for time_s in times_s], size) for times_s, size in clips],
        max_new_tokens,
    ]
    return hashlib.sha256(json.dumps(recipe, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Values of one video or model."""

    name: str
    entries: int
    size_bytes: int
    """Of keys and values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a store holds. `by_model` and `by_video` begin with the largest."""

    path: str
    entries: int
    size_bytes: int
    """Of keys and values: what `max_bytes` limits."""
    max_bytes: int
    file_bytes: int
    """Of the file and its write-ahead log, 0 in memory."""
    by_model: tuple[Share, ...] = ()
    by_video: tuple[Share, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        shares = {
            name: [asdict(share) for share in getattr(self, name)]
            for name in ("by_model", "by_video")
        }
        return asdict(self) | shares


class Store:
    """Replies by key. What was `put` outlives the process; may be used from several threads and
    by several processes."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: str,
        notes: tuple[str, ...] = (),
        *,
        max_bytes: int = MAX_BYTES,
    ):
        """Wrap an open connection; people call `open`, `open_default` or `in_memory`."""
        if max_bytes < 1:
            raise UsageError(f"max_bytes must be 1 or more, got {max_bytes}")
        self._connection = connection
        self._lock = threading.Lock()
        self._used: dict[str, int] = {}
        """Keys read since the last write, and when (ns)."""
        self._unchecked_bytes: float = max_bytes
        """Written since the size was looked at; all of it at first."""
        self.max_bytes = max_bytes
        self.path = path
        """File as text, or `:memory:`."""
        self.notes = notes
        """Fallbacks taken while opening."""

    @classmethod
    def open(cls, path: str | Path, *, max_bytes: int = MAX_BYTES) -> Store:
        """Open or create a store file that forgets beyond `max_bytes`; an older file is brought up
        to date. UsageError when it is no store or cannot be written."""
        path = Path(path).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(connect(str(path)), str(path), max_bytes=max_bytes)
        except (sqlite3.Error, OSError) as error:
            raise UsageError(
                f"store {path} cannot be used ({error}); delete that file or give another path"
            ) from error

    @classmethod
    def in_memory(cls) -> Store:
        """A store that ends with the process."""
        return cls(connect(":memory:"), ":memory:")

    @classmethod
    def open_default(cls) -> Store:
        """The store of this user; kept in memory, with a note, where the home cannot be written."""
        path = default_path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            note = f"store kept in memory: {path.parent} cannot be written ({error})"
            return cls(connect(":memory:"), ":memory:", (note,))
        return cls.open(path)

    def get(self, key: str) -> dict[str, Any] | None:
        """The value, or None. UsageError when the file turns out to be damaged."""
        with self._lock, self._translated():
            row = self._connection.execute("SELECT value FROM replies WHERE key = ?", (key,))
            found = row.fetchone()
            if found is not None:
                self._used[key] = time.time_ns()
                if len(self._used) >= _KEPT_USES:
                    self._write_uses_if_possible()
        return None if found is None else json.loads(found[0])

    def put(
        self, key: str, value: dict[str, Any], *, video: str = UNKNOWN, model: str = UNKNOWN
    ) -> None:
        """Write one value; the last writer of a key wins. `video` and `model` tell people what it
        is about. Forgets what was not used for longest where the store grows too large."""
        text = json.dumps(value, ensure_ascii=False)
        size = len(key.encode()) + len(text.encode())
        row = (key, text, video, model, size, time.time_ns())
        with self._lock, self._translated(), self._connection:
            self._connection.execute(_PUT, row)
            self._used.pop(key, None)
            self._write_uses()
            self._unchecked_bytes += size
            if self._unchecked_bytes >= self.max_bytes * _CHECK_SHARE:
                self._evict()

    def usage(self) -> Usage:
        """What the store holds, by model and by video."""
        with self._lock, self._translated():
            entries, size = self._connection.execute(_TOTAL).fetchone()
            models, videos = (
                tuple(
                    Share(name=name, entries=count, size_bytes=part)
                    for name, count, part in self._connection.execute(_SHARES.format(column))
                )
                for column in ("model", "video")
            )
        return Usage(
            path=self.path,
            entries=entries,
            size_bytes=size,
            max_bytes=self.max_bytes,
            file_bytes=file_bytes(self.path),
            by_model=models,
            by_video=videos,
        )

    def clear(self) -> int:
        """Forget everything and give the disk back; returns how many values there were. Space is
        kept for later use where another process is reading."""
        with self._lock, self._translated():
            with self._connection:
                count = self._connection.execute("DELETE FROM replies").rowcount
                self._used.clear()
            with suppress(sqlite3.OperationalError):
                self._connection.execute("PRAGMA busy_timeout = 1000")
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")
        return count

    def __len__(self) -> int:
        with self._lock, self._translated():
            return self._connection.execute("SELECT COUNT(*) FROM replies").fetchone()[0]

    def __repr__(self) -> str:
        return f"Store({self.path!r}, {len(self)} replies)"

    def close(self) -> None:
        """Release the file. May be called twice."""
        with self._lock:
            self._write_uses_if_possible()
            self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_uses_if_possible(self) -> None:
        """When values were used is not worth an error or a wait: the disk may be full, the file
        gone, another process writing."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 0")
            with self._connection:
                self._write_uses()
        self._used.clear()
        with suppress(sqlite3.Error):
            self._connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")

    def _write_uses(self) -> None:
        """Write down which values were read when. Inside a transaction, with the lock."""
        rows = [(used_ns, key) for key, used_ns in self._used.items()]
        self._connection.executemany(
            "UPDATE replies SET used_ns = ?1 WHERE key = ?2 AND used_ns < ?1", rows
        )
        self._used.clear()

    def _evict(self) -> None:
        """Forget the values that were not used for longest. Inside a transaction, with the lock."""
        self._unchecked_bytes = 0
        size = self._connection.execute(_TOTAL).fetchone()[1]
        if size <= self.max_bytes:
            return
        surplus = size - self.max_bytes * _EVICT_TO
        oldest = self._connection.execute("SELECT rowid, size FROM replies ORDER BY used_ns, rowid")
        gone: list[tuple[int]] = []
        for row, part in oldest:
            if surplus <= 0:
                break
            gone.append((row,))
            surplus -= part
        oldest.close()
        self._connection.executemany("DELETE FROM replies WHERE rowid = ?", gone)

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


_PUT = """
INSERT INTO replies (key, value, video, model, size, used_ns) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, video = excluded.video,
    model = excluded.model, size = excluded.size, used_ns = excluded.used_ns
"""
_TOTAL = "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM replies"
_SHARES = """
SELECT {0}, COUNT(*), SUM(size) AS part FROM replies GROUP BY {0} ORDER BY part DESC, {0}
"""

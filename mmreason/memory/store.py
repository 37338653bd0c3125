"""What models have already said about videos: an SQLite file that several processes may share.

Replies lie by key, which names everything a reply depends on; a value is a small JSON object.
Beside them lies what is known of each video (`VideoMemory`). When all this grows beyond a size,
what was not used for longest is forgotten: replies one by one, the memory of a video as a whole.
What is damaged counts as not there. Holds no frames; only its user may read it; deleting the file
is always safe.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mmreason.cache_folder import CacheFolderError, cache_folder
from mmreason.json_values import encode_json
from mmreason.memory.record_tables import (
    MEMORY_TABLES,
    MemoryState,
    delete_channel,
    delete_memory,
    delete_upper,
    insert_records,
    insert_vectors,
    list_embedders,
    read_state,
    select_records,
    select_vectors,
)
from mmreason.memory.records import MemoryRecord
from mmreason.memory.sense_ledger import (
    SENSE_CHANNELS,
    Stretch,
    delete_stretches,
    insert_stretch,
    select_recent_stretches,
    select_stretches,
)
from mmreason.memory.store_file import (
    BUSY_TIMEOUT_S,
    MOST_VALUE_BYTES,
    UNKNOWN,
    ForeignFileError,
    connect_store,
    file_bytes,
)
from mmreason.memory.store_usage import StoreShare, Usage
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line

MAX_BYTES = 512 * 2**20
"""Size of keys and values up to which a store grows: some hundred thousand replies."""

_EVICT_TO = 0.9
"""Share of the size that is left after forgetting, so that not every new value makes room."""
_CHECK_SHARE = 1 / 64
"""Share of the size that one process writes before it looks again how much there is."""
_KEPT_USES = 256
"""Reads whose time is held back until something is written."""


def default_path() -> Path:
    """`mmreason/store.sqlite3` in the user's cache folder. UsageError for a user without one."""
    try:
        return cache_folder() / "store.sqlite3"
    except CacheFolderError as error:
        raise UsageError(str(error)) from error


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


class Store:
    """Replies by key. What was `put` outlives the process; may be used from several threads and
    by several processes.

    Example:
        >>> with Store.in_memory() as store:
        ...     store.put("key", {"text": "a red star."})
        ...     store.get("key")
        {'text': 'a red star.'}
    """

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
        self._notes = notes
        self._damaged = self._too_long = self._damaged_records = 0

    @classmethod
    def open(cls, path: str | Path, *, max_bytes: int = MAX_BYTES) -> Store:
        """Open or create a store file that forgets beyond `max_bytes`; an older file is brought up
        to date. UsageError when it is no store or cannot be written."""
        path = Path(path).expanduser()
        try:
            return cls(_connect(path), str(path), max_bytes=max_bytes)
        except ForeignFileError as error:
            raise UsageError(
                f"store {path} cannot be used ({error}); it was left as it is: give another path"
            ) from error
        except (sqlite3.Error, OSError) as error:
            raise UsageError(
                f"store {path} cannot be used ({error}); delete that file or give another path"
            ) from error

    @classmethod
    def in_memory(cls) -> Store:
        """A store that ends with the process."""
        return cls(connect_store(":memory:"), ":memory:")

    @classmethod
    def open_default(cls) -> Store:
        """The store of this user; kept in memory, with a note, where there is no home or it cannot
        be written. UsageError where a file of that name is there and is no store."""
        try:
            path = default_path()
        except UsageError as error:
            return cls._in_memory_because(str(error))
        try:
            connection = _connect(path)
        except (OSError, sqlite3.OperationalError) as error:
            return cls._in_memory_because(f"{path.parent} cannot be written ({error})")
        except sqlite3.Error:
            return cls.open(path)  # says what is wrong with the file, and what to do
        _make_private(path)
        return cls(connection, str(path))

    @classmethod
    def _in_memory_because(cls, reason: str) -> Store:
        return cls(connect_store(":memory:"), ":memory:", (f"store kept in memory: {reason}",))

    @property
    def notes(self) -> tuple[str, ...]:
        """Fallbacks taken while opening and since: for those who read the answers."""
        counts = (
            (self._damaged, "damaged and not used: the models are asked again"),
            (self._damaged_records, "damaged records of a memory and not used: index it again"),
            (self._too_long, f"longer than {MOST_VALUE_BYTES:,} bytes and not kept"),
        )
        return (
            *self._notes,
            *(f"values of the store that are {what}: {count}" for count, what in counts if count),
        )

    def get(self, key: str) -> dict[str, Any] | None:
        """The value; None where there is none or it is damaged, which is then in `notes`.
        UsageError when the file as a whole turns out to be damaged."""
        with self._lock, self._translated():
            try:
                row = self._connection.execute(_GET, (key,)).fetchone()
                value = None if row is None else _read_value(row[0])
            except (sqlite3.DataError, JsonInputError):
                self._damaged += 1
                return None
            if value is not None:
                self._used[key] = time.time_ns()
                if len(self._used) >= _KEPT_USES:
                    self._write_uses_if_possible()
        return value

    def put(
        self, key: str, value: dict[str, Any], *, video: str = UNKNOWN, model: str = UNKNOWN
    ) -> None:
        """Write one value; the last writer of a key wins. `video` and `model` tell people what it
        is about. Forgets what was not used for longest where the store grows too large. A value of
        more than `MOST_VALUE_BYTES` is not kept, which is then in `notes`."""
        text = encode_json(value)
        size = len(key.encode()) + len(text.encode())
        if size > MOST_VALUE_BYTES:
            self._too_long += 1
            return
        row = (key, text, show_line(video), show_line(model), size, time.time_ns())
        with self._lock, self._translated(), self._connection:
            self._connection.execute(_PUT, row)
            # Writing a value is a use, so that an older read need not be written down.
            self._used.pop(key, None)
            self._write_uses()
            self._evict_if_due(size)

    def memory_state(self, video: str) -> MemoryState:
        """What is kept of the memory of a video, known by its content hash."""
        with self._lock, self._translated():
            return read_state(self._connection, video)

    def add_records(self, video: str, records: Sequence[MemoryRecord], *, name: str = "") -> int:
        """Keep records of a video; those that are there already are not written again. `name`
        tells people which video it is. Returns how many are new."""
        with self._lock, self._translated(), self._connection:
            new = insert_records(self._connection, video, name or UNKNOWN, records)
            self._evict_if_due(sum(len(record.text) for record in records))
        return new

    def replace_upper(
        self, video: str, model: str, records: Sequence[MemoryRecord], *, name: str = ""
    ) -> None:
        """Keep these scenes and this root in place of those that were made from what `model`
        wrote."""
        with self._lock, self._translated(), self._connection:
            delete_upper(self._connection, video, model)
            insert_records(self._connection, video, name or UNKNOWN, records)
            self._evict_if_due(sum(len(record.text) for record in records))

    def read_records(self, video: str, after: int = 0) -> list[tuple[int, MemoryRecord]]:
        """The records of a video that were written after the one of a number, each with its
        number. What is no record is left out, which is then in `notes`."""
        with self._lock, self._translated():
            rows = list(select_records(self._connection, video, after))
            with suppress(sqlite3.Error), self._connection:  # only for what is forgotten first
                self._connection.execute(_USE_MEMORY, (time.time_ns(), video))
        records = [(number, record) for number, record in rows if record is not None]
        self._damaged_records += len(rows) - len(records)
        return records

    def add_vectors(self, video: str, embedder: str, vectors: dict[str, np.ndarray]) -> None:
        """Keep embeddings of records by id, beside the name of what made them."""
        with self._lock, self._translated(), self._connection:
            insert_vectors(self._connection, video, embedder, vectors)
            self._evict_if_due(sum(vector.size * 4 for vector in vectors.values()))

    def read_vectors(self, video: str, embedder: str) -> tuple[tuple[str, ...], np.ndarray]:
        """Ids of records, and the embeddings that one embedder made of them: float32
        (records, width)."""
        with self._lock, self._translated():
            return select_vectors(self._connection, video, embedder)

    def list_embedders(self, video: str) -> tuple[str, ...]:
        """Names of those whose embeddings of this video are kept."""
        with self._lock, self._translated():
            return list_embedders(self._connection, video)

    @contextmanager
    def transaction(
        self, *, writes: bool = True, written_bytes: int = 0
    ) -> Iterator[sqlite3.Connection]:
        """The tables in one state; what is written is written whole or not at all, by one thread
        and one process at a time; who says how many bytes were written has what is beyond the size
        forgotten. UsageError where the file is damaged or cannot be written."""
        with self._lock, self._translated(), self._connection:
            # Takes the right to write at once: what is read before writing stays true.
            self._connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            yield self._connection
            if written_bytes:
                self._evict_if_due(written_bytes)

    def add_stretch(
        self, video: str, stretch: Stretch, records: Sequence[MemoryRecord], *, name: str = ""
    ) -> bool:
        """Keep what a sense found in a stretch together with the ledger's line of it; False, and
        nothing is kept, where the stretch was done already."""
        with self.transaction() as connection:
            if not insert_stretch(connection, video, stretch):
                return False
            insert_records(connection, video, name or UNKNOWN, records)
            self._evict_if_due(sum(len(record.text) for record in records))
        return True

    def forget_sense(self, video: str, sense: str) -> int:
        """Forget what a sense found in a video, and that it went through it; what was corrected by
        hand stays. Returns how many records there were."""
        with self.transaction() as connection:
            delete_stretches(connection, video, sense)
            return delete_channel(connection, video, SENSE_CHANNELS[sense])

    def read_stretches(self, video: str | None = None) -> tuple[Stretch, ...]:
        """What senses have gone through of a video, by sense and time; without one the last that
        were done of any."""
        with self._lock, self._translated():
            if video is None:
                return select_recent_stretches(self._connection)
            return select_stretches(self._connection, video)

    def usage(self) -> Usage:
        """What the store holds, by model and by video."""
        with self._lock, self._translated():
            entries, records, size = self._connection.execute(_TOTAL).fetchone()
            models, videos = (
                tuple(
                    StoreShare(
                        name=name.decode(errors="replace"), entries=count, size_bytes=size_bytes
                    )
                    for name, count, size_bytes in self._connection.execute(_SHARES.format(table))
                )
                for table in (_BY_MODEL, _BY_VIDEO)
            )
        return Usage(
            path=self.path,
            entries=entries,
            records=records,
            size_bytes=size,
            max_bytes=self.max_bytes,
            file_bytes=file_bytes(self.path),
            by_model=models,
            by_video=videos,
        )

    def clear(self) -> int:
        """Forget everything and give the disk back; returns how many replies there were. Space is
        kept for later use where another process is reading."""
        with self._lock, self._translated():
            with self._connection:
                count = self._connection.execute("DELETE FROM replies").rowcount
                for table in (*MEMORY_TABLES, "claims", "files"):
                    self._connection.execute(f"DELETE FROM {table}")
                self._used.clear()
            with suppress(sqlite3.OperationalError):
                # Readers elsewhere block VACUUM, and giving space back is not worth a long wait.
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

    def _evict_if_due(self, written_bytes: int) -> None:
        """Forget what was not used for longest, where much was written since the last look. Inside
        a transaction, with the lock."""
        self._unchecked_bytes += written_bytes
        if self._unchecked_bytes < self.max_bytes * _CHECK_SHARE:
            return
        self._unchecked_bytes = 0
        size = self._connection.execute(_TOTAL).fetchone()[2]
        if size <= self.max_bytes:
            return
        surplus = size - self.max_bytes * _EVICT_TO
        oldest = self._connection.execute(_OLDEST)
        gone: list[tuple[int]] = []
        videos: list[str] = []
        for row_id, video, size_bytes, _ in oldest:
            if surplus <= 0:
                break
            # A row without a video is one reply; a memory goes as a whole.
            if video is None:
                gone.append((row_id,))
            else:
                videos.append(video)
            surplus -= size_bytes
        # Closed before rows are deleted that it may still be reading.
        oldest.close()
        self._connection.executemany("DELETE FROM replies WHERE rowid = ?", gone)
        for video in videos:
            delete_memory(self._connection, video)

    def _translated(self) -> _Translated:
        return _Translated(self.path)


def _connect(path: Path) -> sqlite3.Connection:
    """`connect_store`, in a folder that is made for the user alone where there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return connect_store(str(path))


def _make_private(path: Path) -> None:
    """Close the default store to others: earlier versions made it by the umask."""
    with suppress(OSError):
        path.parent.chmod(0o700)
        path.chmod(0o600)


def _read_value(data: bytes) -> dict[str, Any]:
    """Raises JsonInputError."""
    value = parse_json(data, most_bytes=MOST_VALUE_BYTES)
    if not isinstance(value, dict):
        raise JsonInputError("is no JSON object")
    return value


class _Translated:
    """Turns damage found by SQLite into one readable line."""

    def __init__(self, path: str):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        if isinstance(error, sqlite3.OperationalError) and "is full" in str(error):
            raise UsageError(
                f"store {self._path} cannot grow ({error}); what it holds is sound: make room and "
                "run it again"
            ) from error
        if isinstance(error, sqlite3.DatabaseError):
            raise UsageError(
                f"store {self._path} cannot be used ({error}); delete it or give another path"
            ) from error


_PUT = """
INSERT INTO replies (key, value, video, model, size, used_ns) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, video = excluded.video,
    model = excluded.model, size = excluded.size, used_ns = excluded.used_ns
"""
# Casts: SQLite keeps what was written, whatever the type of the column.
_GET = "SELECT CAST(value AS BLOB) FROM replies WHERE key = ?"
_TOTAL = """
SELECT (SELECT COUNT(*) FROM replies), CAST(COALESCE(SUM(records), 0) AS INTEGER), CAST(
    COALESCE(SUM(size), 0) + (SELECT COALESCE(SUM(size), 0) FROM replies) AS INTEGER)
FROM memories
"""
_BY_MODEL = "SELECT model AS name, 1 AS entries, size FROM replies"
_BY_VIDEO = """
SELECT video AS name, 1 AS entries, size FROM replies
UNION ALL SELECT name, records, size FROM memories
"""
_SHARES = """
SELECT CAST(SUBSTR(name, 1, 200) AS BLOB), CAST(SUM(entries) AS INTEGER),
    CAST(SUM(size) AS INTEGER) AS part
FROM ({0}) GROUP BY name ORDER BY part DESC, name
"""
_OLDEST = """
SELECT rowid, NULL, CAST(size AS INTEGER), used_ns FROM replies
UNION ALL SELECT rowid, CAST(video AS TEXT), CAST(size AS INTEGER), used_ns FROM memories
    WHERE video NOT IN (SELECT video FROM corrections)
ORDER BY used_ns, rowid
"""
_USE_MEMORY = "UPDATE memories SET used_ns = ? WHERE video = ?"

"""The tables of a store that hold what is known of videos: records and their embeddings.

Functions over an open connection; locks, transactions and errors are the affair of `store`. What is
read is checked as what anybody may have written.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmreason.memory.corrections import (
    Correction,
    insert_correction,
    select_corrections,
    without_corrected,
)
from mmreason.memory.records import BY_HAND, FRAMES, Channel, MemoryRecord
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line
from mmreason.video.types import Span

RECORD_SCHEMA = (
    # One row a video; `made_ns` tells a memory from one that was forgotten and begun anew.
    "CREATE TABLE memories (video TEXT PRIMARY KEY, name TEXT NOT NULL, made_ns INTEGER NOT NULL, "
    "records INTEGER NOT NULL, size INTEGER NOT NULL, used_ns INTEGER NOT NULL)",
    "CREATE TABLE records (number INTEGER PRIMARY KEY, video TEXT NOT NULL, id TEXT NOT NULL, "
    "channel TEXT NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, "
    "text TEXT NOT NULL, source TEXT NOT NULL, model TEXT NOT NULL, level INTEGER NOT NULL, "
    "UNIQUE (video, id))",
    "CREATE TABLE vectors (video TEXT NOT NULL, embedder TEXT NOT NULL, id TEXT NOT NULL, "
    "vector BLOB NOT NULL, PRIMARY KEY (video, embedder, id)) WITHOUT ROWID",
)
MEMORY_TABLES = ("vectors", "frame_vectors", "records", "memories", "stretches", "corrections")
"""All that is kept of a video by its content hash."""
RECORD_COLUMNS = (
    "ALTER TABLE records ADD COLUMN confidence REAL",
    "ALTER TABLE records ADD COLUMN box_px TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE records ADD COLUMN speaker TEXT NOT NULL DEFAULT ''",
)
"""What senses know of a record beside its text, since version 3; a box is four numbers in JSON."""
MOST_RECORDS = 200_000
"""Of one video: a line a second of more than two days."""
MOST_TEXT_BYTES = 2**29
"""Of all texts of one video that are read: as much as a whole store holds."""
MOST_VECTOR_BYTES = 2**30
"""Of all embeddings of one video that are read: 200,000 of 1,024 numbers are less."""
MOST_PX = 1e6
"""Of a box that is read: more than any picture has."""
_ROW_BYTES = 100
"""Of a record beside its texts, for the size of the store."""


@dataclass(frozen=True, slots=True)
class MemoryState:
    """What tells whether a memory that was read is still all there is."""

    made_ns: int
    records: int


def read_state(connection: sqlite3.Connection, video: str) -> MemoryState:
    """Zeros where nothing is kept of this video."""
    row = connection.execute(_STATE, (video,)).fetchone()
    return MemoryState(*row) if row else MemoryState(0, 0)


def insert_records(
    connection: sqlite3.Connection, video: str, name: str, records: Sequence[MemoryRecord]
) -> int:
    """Write those that are not there and were not corrected; returns how many were new. UsageError
    beyond `MOST_RECORDS`."""
    known = read_state(connection, video).records
    if known + len(records) > MOST_RECORDS:
        raise UsageError(
            f"the memory of a video holds at most {MOST_RECORDS:,} records; there are {known:,} "
            f"and {len(records):,} more were to be added"
        )
    new = size = 0
    writable = tuple(map(_make_writable, records))
    for record in without_corrected(writable, select_corrections(connection, video)):
        row = (video, record.id, record.channel, *record.span_us, record.text, record.source)
        # INSERT OR IGNORE: the row count is 0 for a record that is there already.
        box = "" if record.box_px is None else json.dumps([round(x, 1) for x in record.box_px])
        senses = (record.confidence, box, record.speaker)
        inserted = connection.execute(_INSERT, (*row, record.model, record.level, *senses)).rowcount
        new += inserted
        size += inserted * (len(record.text.encode()) + _ROW_BYTES)
    now_ns = time.time_ns()
    connection.execute(_GROW, (video, show_line(name), now_ns, new, size, now_ns))
    return new


def select_records(
    connection: sqlite3.Connection, video: str, after: int
) -> Iterator[tuple[int, MemoryRecord | None]]:
    """(number, record) of those beyond a number, in the order in which they were written; None for
    a row that is none, and for those behind more texts than a store holds."""
    room = MOST_TEXT_BYTES
    # The file may be damaged or foreign, so limits hold for reading as for writing.
    for number, *row in connection.execute(_SELECT, (video, after, MOST_RECORDS)):
        record = _read_record(row)
        room -= 0 if record is None else len(record.text)
        yield number, record if room >= 0 else None


def delete_upper(connection: sqlite3.Connection, video: str, model: str) -> None:
    """Forget the scenes and the root that were made from what one model wrote."""
    _delete_where(connection, "video = ? AND model = ? AND level > 0", (video, model))


def correct_record(
    connection: sqlite3.Connection, video: str, record: MemoryRecord, text: str
) -> MemoryRecord | None:
    """Put a record by hand with this text in the place of `record`, for good; without a text there
    is nothing in its place. Returns the new record."""
    new = None
    if text.strip():
        new = _make_writable(replace(record, text=text, source=BY_HAND, model="", confidence=None))
    correction = Correction(
        record.id, record.channel, record.span, record.text, new.id if new else ""
    )
    insert_records(connection, video, "", () if new is None else (new,))
    insert_correction(connection, video, correction)
    delete_record(connection, video, record.id)
    return new


def delete_record(connection: sqlite3.Connection, video: str, record_id: str) -> None:
    """Forget one record and its embeddings."""
    _delete_where(connection, "video = ? AND id = ?", (video, record_id))
    connection.execute("DELETE FROM vectors WHERE video = ? AND id = ?", (video, record_id))


def delete_channel(connection: sqlite3.Connection, video: str, channel: Channel) -> int:
    """Forget what senses found for a channel; what a model that watches wrote and what was
    corrected by hand stay. Returns how many records there were."""
    where = "video = ? AND channel = ? AND source NOT IN (?, ?)"
    return _delete_where(connection, where, (video, channel, FRAMES, BY_HAND))


def _delete_where(connection: sqlite3.Connection, where: str, values: tuple[str, ...]) -> int:
    """Whoever has read the memory reads it anew."""
    size = f"SELECT COUNT(*), COALESCE(SUM(LENGTH(CAST(text AS BLOB)) + {_ROW_BYTES}), 0)"
    count, size_bytes = connection.execute(f"{size} FROM records WHERE {where}", values).fetchone()
    connection.execute(f"DELETE FROM records WHERE {where}", values)
    # A new `made_ns` tells readers that rows they hold are gone; adding rows leaves it as it is.
    connection.execute(_SHRINK, (count, size_bytes, time.time_ns(), values[0]))
    return count


def insert_vectors(
    connection: sqlite3.Connection, video: str, embedder: str, vectors: dict[str, np.ndarray]
) -> None:
    """Keep the embedding of records by id, as 32-bit floats; the last writer wins."""
    rows = [(video, embedder, i, _to_blob(vector)) for i, vector in vectors.items()]
    connection.executemany(_INSERT_VECTOR, rows)
    # An embedding that is replaced counts twice: the sum errs towards forgetting early.
    connection.execute(_ADD_SIZE, (sum(len(row[3]) + _ROW_BYTES for row in rows), video))


def select_vectors(
    connection: sqlite3.Connection, video: str, embedder: str
) -> tuple[tuple[str, ...], np.ndarray]:
    """Ids of records and an array of float32 (records, width) with an embedding each. Those of
    another width than most are left out, and so are those with a number that is none, and those
    beyond `MOST_VECTOR_BYTES`."""
    blobs: dict[str, bytes] = {}
    room = MOST_VECTOR_BYTES
    for record_id, blob in connection.execute(_SELECT_VECTORS, (video, embedder, MOST_RECORDS)):
        if isinstance(record_id, str) and isinstance(blob, bytes) and len(blob) <= room:
            blobs[record_id] = blob
            room -= len(blob)
    # A float32 takes 4 bytes, so that a blob of another length is damaged.
    lengths = Counter(len(blob) for blob in blobs.values() if blob and len(blob) % 4 == 0)
    if not lengths:
        return (), np.zeros((0, 0), np.float32)
    # One embedder writes one width: whatever differs from most cannot be compared with them.
    usual = lengths.most_common(1)[0][0]
    blobs = {i: blob for i, blob in blobs.items() if len(blob) == usual}
    vectors = np.frombuffer(b"".join(blobs.values()), "<f4").reshape(len(blobs), -1)
    sound: np.ndarray = np.logical_and.reduce(np.isfinite(vectors), axis=1)
    return tuple(i for i, ok in zip(blobs, sound, strict=True) if ok), vectors[sound]


def list_embedders(connection: sqlite3.Connection, video: str) -> tuple[str, ...]:
    """Names of those whose embeddings are kept of this video."""
    rows = connection.execute("SELECT DISTINCT embedder FROM vectors WHERE video = ?", (video,))
    return tuple(str(name) for (name,) in rows)


def delete_memory(connection: sqlite3.Connection, video: str) -> None:
    """Forget all that is known of one video."""
    for table in MEMORY_TABLES:
        connection.execute(f"DELETE FROM {table} WHERE video = ?", (video,))


def _make_writable(record: MemoryRecord) -> MemoryRecord:
    """The record without halves of surrogate pairs, which stand for bytes of a file's name that are
    no text: SQLite does not take them."""
    try:
        "".join((record.text, record.source, record.model, record.speaker)).encode()
    except UnicodeEncodeError:
        texts = (record.text, record.source, record.model, record.speaker)
        text, source, model, speaker = (t.encode(errors="replace").decode() for t in texts)
        return replace(record, text=text, source=source, model=model, speaker=speaker)
    return record


def _to_blob(vector: np.ndarray) -> bytes:
    return np.ascontiguousarray(vector, "<f4").tobytes()


def _read_record(row: Sequence[Any]) -> MemoryRecord | None:
    channel, start_us, end_us, text, source, model, level, confidence, box, speaker = row
    # SQLite columns take values of any type, whatever the table declares.
    texts = (channel, text, source, model, box, speaker)
    numbers = (start_us, end_us, level)
    if not all(isinstance(t, str) for t in texts) or not all(type(n) is int for n in numbers):
        return None
    try:
        # Whole microseconds in the table compare exactly, which float seconds would not.
        span = Span(start_us / 1_000_000, end_us / 1_000_000)
        senses = (_read_confidence(confidence), _read_box(box), speaker)
        return MemoryRecord(channel, span, text, source, model, level, *senses)
    except ValueError:
        return None


def _read_confidence(value: Any) -> float | None:
    # What is no share is not known: the record itself may be sound.
    return value if isinstance(value, float) and 0 <= value <= 1 else None


def _read_box(text: str) -> tuple[float, float, float, float] | None:
    try:
        x0, y0, x1, y1 = map(float, parse_json(text)) if text else (math.nan,) * 4
    except (JsonInputError, TypeError, ValueError):
        return None
    is_box = 0 <= x0 <= x1 < MOST_PX and 0 <= y0 <= y1 < MOST_PX
    return (x0, y0, x1, y1) if is_box else None


_STATE = "SELECT CAST(made_ns AS INTEGER), CAST(records AS INTEGER) FROM memories WHERE video = ?"
_INSERT = (
    "INSERT OR IGNORE INTO records (video, id, channel, start_us, end_us, text, source, model, "
    "level, confidence, box_px, speaker) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_GROW = """
INSERT INTO memories (video, name, made_ns, records, size, used_ns) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (video) DO UPDATE SET records = records + excluded.records,
    size = size + excluded.size, used_ns = excluded.used_ns
"""
_SHRINK = "UPDATE memories SET records = records - ?, size = size - ?, made_ns = ? WHERE video = ?"
_SELECT = (
    "SELECT number, channel, start_us, end_us, text, source, model, level, confidence, box_px, "
    "speaker FROM records WHERE video = ? AND number > ? ORDER BY number LIMIT ?"
)
_INSERT_VECTOR = "INSERT OR REPLACE INTO vectors (video, embedder, id, vector) VALUES (?, ?, ?, ?)"
_ADD_SIZE = "UPDATE memories SET size = size + ? WHERE video = ?"
_SELECT_VECTORS = "SELECT id, vector FROM vectors WHERE video = ? AND embedder = ? LIMIT ?"

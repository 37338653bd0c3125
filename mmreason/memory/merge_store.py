"""Making one store of several, as the shards of a large run leave them.

Videos are known by content, so that nothing stands twice whoever saw it first; merging the same
store again changes nothing. Each video is taken over in one transaction.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from mmreason.memory.corrections import (
    Correction,
    insert_correction,
    select_corrections,
    without_corrected,
)
from mmreason.memory.frame_vectors import FrameRow, insert_frame_rows, select_frame_rows
from mmreason.memory.record_tables import (
    delete_record,
    insert_records,
    insert_vectors,
    list_embedders,
    select_records,
    select_vectors,
)
from mmreason.memory.records import MemoryRecord
from mmreason.memory.sense_ledger import Stretch, insert_stretch, select_stretches
from mmreason.memory.store import Store
from mmreason.memory.store_file import MOST_VALUE_BYTES
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

_REPLIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedStore:
    """What a store had that another did not.

    Example:
        >>> merge_store(Store.in_memory(), Store.in_memory()).videos
        0
    """

    videos: int
    """Of which records were taken over."""
    records: int
    replies: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _VideoRows:
    """All that a store keeps of one video."""

    name: str
    records: tuple[MemoryRecord, ...]
    stretches: tuple[Stretch, ...]
    corrections: tuple[Correction, ...]
    vectors: dict[str, dict] = field(default_factory=dict)
    """By embedder and id of the record."""
    frames: tuple[FrameRow, ...] = ()


def merge_store(target: Store, source: Store) -> MergedStore:
    """Take over what `target` lacks: records, embeddings (of frames too), what senses have done,
    corrections, names of files, replies of models. UsageError where the target would grow beyond
    its size, and forget again what it takes."""
    total_bytes = target.usage().size_bytes + source.usage().size_bytes
    if total_bytes > target.max_bytes:
        raise UsageError(
            f"{source.path}: with it {target.path} would hold {total_bytes / 2**20:,.0f} MiB and "
            f"forget what is beyond {target.max_bytes / 2**20:,.0f}; keep several stores, and "
            "search each"
        )
    videos = records = 0
    for video in _list_videos(source):
        with source.transaction(writes=False) as connection:
            rows = _read_video(connection, video)
        with target.transaction() as connection:
            new = _write_video(connection, video, rows)
        records += new
        videos += new > 0
    _merge_files(target, source)
    return MergedStore(videos=videos, records=records, replies=_merge_replies(target, source))


def _list_videos(store: Store) -> list[str]:
    with store.transaction(writes=False) as connection:
        rows = connection.execute("SELECT video FROM memories ORDER BY video").fetchall()
    return [video for (video,) in rows if isinstance(video, str)]


def _read_video(connection: sqlite3.Connection, video: str) -> _VideoRows:
    row = connection.execute("SELECT name FROM memories WHERE video = ?", (video,)).fetchone()
    vectors = {}
    for embedder in list_embedders(connection, video):
        ids, array = select_vectors(connection, video, embedder)
        vectors[embedder] = dict(zip(ids, array, strict=True))
    return _VideoRows(
        name=str(row[0]),
        records=tuple(r for _, r in select_records(connection, video, 0) if r is not None),
        stretches=select_stretches(connection, video),
        corrections=select_corrections(connection, video),
        vectors=vectors,
        frames=select_frame_rows(connection, video),
    )


def _write_video(connection: sqlite3.Connection, video: str, rows: _VideoRows) -> int:
    """How many records are new."""
    # 1. Corrections first: what a person replaced there does not come back, and goes here.
    corrected = {correction.id for correction in select_corrections(connection, video)}
    corrections = [c for c in rows.corrections if c.id not in corrected]
    if corrections:
        for correction in corrections:
            insert_correction(connection, video, correction)
        records = [r for _, r in select_records(connection, video, 0) if r is not None]
        for record in {*records} - {*without_corrected(records, corrections)}:
            delete_record(connection, video, record.id)
    # 2. Scenes and a root are made from all below them: those of two runs must not mix.
    upper = {
        model
        for (model,) in connection.execute(
            "SELECT DISTINCT model FROM records WHERE video = ? AND level > 0", (video,)
        )
    }
    records = [r for r in rows.records if not (r.level > 0 and r.model in upper)]
    new = insert_records(connection, video, rows.name, records)
    # 3. What was made from records, and what tells that they are there.
    for embedder, vectors in rows.vectors.items():
        known = set(select_vectors(connection, video, embedder)[0])
        missing = {i: vector for i, vector in vectors.items() if i not in known}
        if missing:
            insert_vectors(connection, video, embedder, missing)
    insert_frame_rows(connection, video, rows.frames)
    for stretch in rows.stretches:
        insert_stretch(connection, video, stretch)
    return new


def _merge_files(target: Store, source: Store) -> None:
    with source.transaction(writes=False) as connection:
        rows = connection.execute("SELECT path, video, seen_ns FROM files").fetchall()
    sound = [
        row
        for row in rows
        if isinstance(row[0], str) and isinstance(row[1], str) and isinstance(row[2], int)
    ]
    with target.transaction() as connection:
        connection.executemany(_PUT_FILE, sound)


def _merge_replies(target: Store, source: Store) -> int:
    before = len(target)
    for rows in _read_replies(source):
        with target.transaction() as connection:
            connection.executemany(_PUT_REPLY, rows)
    return len(target) - before


def _read_replies(store: Store) -> Iterator[list[tuple]]:
    """Rows of replies as far as they are texts; what they hold is checked whenever one is read."""
    last = ""
    now_ns = time.time_ns()
    while True:
        with store.transaction(writes=False) as connection:
            rows = connection.execute(_GET_REPLIES, (last, _REPLIES_AT_ONCE)).fetchall()
        if not rows:
            return
        last = rows[-1][0]
        yield [
            (key, value, show_line(video), show_line(model), size, now_ns)
            for key, value, video, model in rows
            if all(isinstance(text, str) for text in (value, video, model))
            and (size := len(key.encode()) + len(value.encode())) <= MOST_VALUE_BYTES
        ]


_GET_REPLIES = (
    "SELECT key, value, video, model FROM replies WHERE key > ? AND typeof(key) = 'text' "
    "ORDER BY key LIMIT ?"
)
_PUT_REPLY = (
    "INSERT OR IGNORE INTO replies (key, value, video, model, size, used_ns) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_PUT_FILE = """
INSERT INTO files (path, video, seen_ns) VALUES (?, ?, ?)
ON CONFLICT (path) DO UPDATE SET video = excluded.video, seen_ns = excluded.seen_ns
    WHERE excluded.seen_ns > seen_ns
"""

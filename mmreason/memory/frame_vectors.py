"""The table of a store that holds embeddings of frames: by video, encoder, input size and time.

Functions over an open connection, as in `record_tables`; `embed_video` is what computes them.
Numbers are kept as float16, half of what float32 takes. Rows have length 1 again when they are
read: cosines of two of them are within 2e-4 of those of the numbers that were computed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mmreason.memory.record_tables import insert_records
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch

FRAME_SCHEMA = (
    "CREATE TABLE frame_vectors (video TEXT NOT NULL, encoder TEXT NOT NULL, "
    "size TEXT NOT NULL, time_us INTEGER NOT NULL, vector BLOB NOT NULL, "
    "PRIMARY KEY (video, encoder, size, time_us)) WITHOUT ROWID",
)
MOST_FRAMES = 200_000
"""Of one video, encoder and size: a frame a second of more than two days."""
MOST_FRAME_BYTES = 2**30
"""Of all embeddings of frames of one video and encoder that are read."""
_ROW_BYTES = 60
"""Of a row beside its numbers, for the size of the store."""
FrameRow = tuple[str, str, int, bytes]
"""(encoder, size, microseconds, float16 numbers) as stored."""


class EmbedsFrames(Protocol):
    """What makes vectors of frames, such as `mmreason.video.encoders.FrameEncoder`."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Vectors under equal fingerprints may be compared."""
        ...

    @property
    def size_px(self) -> tuple[int, int]:
        """(height, width) of what the model is given."""
        ...

    def encode_frames(self, pixels: np.ndarray | FrameBatch) -> np.ndarray:
        """float32 (N, D), rows of length 1, of uint8 (N, H, W, 3) RGB."""
        ...


@dataclass(frozen=True, slots=True)
class FrameKey:
    """Whose vectors of frames: they can be compared with those of the same key only.

    Example:
        >>> FrameKey("efficientnet-lite0", "5f0c", (224, 224)).encoder
        'efficientnet-lite0 5f0c'
    """

    name: str
    fingerprint: str
    size_px: tuple[int, int]
    """(height, width) of what the model was given."""

    @classmethod
    def of(cls, encoder: EmbedsFrames) -> FrameKey:
        """The key of what this encoder makes."""
        height_px, width_px = encoder.size_px
        return cls(encoder.name, encoder.fingerprint, (height_px, width_px))

    @property
    def encoder(self) -> str:
        return f"{self.name} {self.fingerprint}"

    @property
    def size(self) -> str:
        return f"{self.size_px[1]}x{self.size_px[0]}"


@dataclass(frozen=True, slots=True)
class FrameVectorRows:
    """Stored vectors of one video and key, by time.

    Example:
        >>> FrameVectorRows(np.array([500_000]), np.ones((1, 4), np.float32)).vectors.shape
        (1, 4)
    """

    times_us: np.ndarray
    """int64 (T,), ascending microseconds."""
    vectors: np.ndarray
    """float32 (T, D), rows of length 1."""


def insert_frame_vectors(
    connection: sqlite3.Connection,
    video: str,
    key: FrameKey,
    rows: FrameVectorRows,
    *,
    name: str = "",
) -> int:
    """Keep those that are not there; returns how many bytes they take. UsageError beyond
    `MOST_FRAMES`, and for numbers that are not finite."""
    if not np.isfinite(rows.vectors).all():
        raise UsageError(f"{key.name} gave vectors with numbers that are not finite: not kept")
    count = connection.execute(_COUNT, (video, key.encoder, key.size)).fetchone()[0]
    if count + len(rows.times_us) > MOST_FRAMES:
        raise UsageError(
            f"embeddings of at most {MOST_FRAMES:,} frames are kept of a video and encoder; there "
            f"are {count:,} and {len(rows.times_us):,} more were to be added"
        )
    size_bytes = 0
    for time_us, vector in zip(rows.times_us.tolist(), rows.vectors, strict=True):
        blob = np.ascontiguousarray(vector, "<f2").tobytes()
        values = (video, key.encoder, key.size, time_us, blob)
        # INSERT OR IGNORE: the row count is 0 for one that another process was faster with.
        size_bytes += connection.execute(_INSERT, values).rowcount * (len(blob) + _ROW_BYTES)
    # The row of the memory carries the size, and goes with all that is known of the video.
    insert_records(connection, video, name, ())
    connection.execute(_GROW, (size_bytes, time.time_ns(), video))
    return size_bytes


def select_frame_vectors(
    connection: sqlite3.Connection, video: str, key: FrameKey
) -> FrameVectorRows:
    """All of one video and key, by time. What is damaged (another width than most, numbers that are
    none, a vector of length 0) is left out, and is computed again by who needs it."""
    times_us: list[int] = []
    blobs: list[bytes] = []
    room = MOST_FRAME_BYTES
    values = (video, key.encoder, key.size, MOST_FRAMES)
    for time_us, blob in connection.execute(_SELECT, values):
        # SQLite columns take values of any type, whatever the table declares.
        if type(time_us) is int and isinstance(blob, bytes) and 0 < len(blob) <= room:
            times_us.append(time_us)
            blobs.append(blob)
            room -= len(blob)
    lengths = [len(blob) for blob in blobs if len(blob) % 2 == 0]
    if not lengths:
        return FrameVectorRows(np.zeros(0, np.int64), np.zeros((0, 0), np.float32))
    usual = max(set(lengths), key=lengths.count)
    is_usual = np.array([len(blob) == usual for blob in blobs])
    joined = b"".join(blob for blob in blobs if len(blob) == usual)
    vectors = np.frombuffer(joined, "<f2").reshape(int(is_usual.sum()), -1).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    sound = np.isfinite(norms) & (norms > 0)
    times = np.array(times_us, np.int64)[is_usual]
    return FrameVectorRows(times[sound], vectors[sound] / norms[sound, None])


def delete_frame_times(
    connection: sqlite3.Connection, video: str, key: FrameKey, times_us: Sequence[int]
) -> None:
    """Forget rows, so that they can be written anew: those of damaged vectors. Their size counts
    on: the sum errs towards forgetting early."""
    rows = [(video, key.encoder, key.size, time_us) for time_us in times_us]
    connection.executemany(_DELETE, rows)


def list_frame_encoders(connection: sqlite3.Connection, video: str) -> dict[str, int]:
    """How many frames of a video are embedded, by encoder and size."""
    rows = connection.execute(_LIST, (video,))
    return {f"{encoder}, {size}": count for encoder, size, count in rows}


def select_frame_rows(connection: sqlite3.Connection, video: str) -> tuple[FrameRow, ...]:
    """All rows of a video as they are stored, for another store. UsageError beyond `MOST_FRAMES` of
    all encoders together."""
    rows = tuple(connection.execute(_SELECT_ROWS, (video, MOST_FRAMES + 1)))
    if len(rows) > MOST_FRAMES:
        raise UsageError(
            f"more than {MOST_FRAMES:,} embeddings of frames are kept of the video {video[:8]}: "
            "they are not merged; mmreason cache forget it in one of the stores"
        )
    return rows


def insert_frame_rows(connection: sqlite3.Connection, video: str, rows: Sequence[FrameRow]) -> None:
    """Take over rows of another store that are not there, for a video of which there is a
    memory."""
    size_bytes = 0
    for row in rows:
        inserted = connection.execute(_INSERT, (video, *row)).rowcount
        size_bytes += inserted * (len(row[3]) + _ROW_BYTES)
    connection.execute(_GROW, (size_bytes, time.time_ns(), video))


_COUNT = "SELECT COUNT(*) FROM frame_vectors WHERE video = ? AND encoder = ? AND size = ?"
_INSERT = (
    "INSERT OR IGNORE INTO frame_vectors (video, encoder, size, time_us, vector) "
    "VALUES (?, ?, ?, ?, ?)"
)
_DELETE = "DELETE FROM frame_vectors WHERE video = ? AND encoder = ? AND size = ? AND time_us = ?"
_GROW = "UPDATE memories SET size = size + ?, used_ns = ? WHERE video = ?"
_SELECT = (
    "SELECT time_us, vector FROM frame_vectors WHERE video = ? AND encoder = ? AND size = ? "
    "ORDER BY time_us LIMIT ?"
)
_LIST = (
    "SELECT CAST(encoder AS TEXT), CAST(size AS TEXT), COUNT(*) FROM frame_vectors "
    "WHERE video = ? GROUP BY encoder, size ORDER BY encoder, size"
)
_SELECT_ROWS = (
    "SELECT encoder, size, time_us, vector FROM frame_vectors WHERE video = ? "
    "AND typeof(encoder) = 'text' AND typeof(size) = 'text' AND typeof(time_us) = 'integer' "
    "AND typeof(vector) = 'blob' LIMIT ?"
)

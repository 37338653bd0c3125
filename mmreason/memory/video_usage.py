"""What a store keeps of one video: how much, by whom, under which names of files."""

from __future__ import annotations

from dataclasses import dataclass

from mmreason.memory.corrections import select_corrections
from mmreason.memory.frame_vectors import list_frame_encoders
from mmreason.memory.record_tables import delete_memory, list_embedders
from mmreason.memory.sense_ledger import SenseRun, select_stretches, sum_runs
from mmreason.memory.store import Store
from mmreason.memory.video_files import VideoFile, select_files_of


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoUsage:
    """What is kept of one video.

    Example:
        >>> read_video_usage(Store.in_memory(), "5f0c").records
        {}
    """

    video: str
    """Its content hash."""
    files: tuple[VideoFile, ...]
    """Where it was seen, the last first."""
    records: dict[str, int]
    """By channel, of every model and level."""
    runs: tuple[SenseRun, ...]
    """What senses have done."""
    embedders: tuple[str, ...]
    frames: dict[str, int]
    """Frames that are embedded, by encoder and input size."""
    corrections: int
    """Records that were corrected by hand."""
    replies: int
    """Of models to questions and captions."""
    size_bytes: int
    """Of records, embeddings and replies."""


def read_video_usage(store: Store, video: str) -> VideoUsage:
    """What the store keeps of the video with this content hash."""
    with store.transaction(writes=False) as connection:
        counts = connection.execute(_COUNTS, (video,)).fetchall()
        replies, reply_bytes = connection.execute(_REPLIES, (_reply_pattern(video),)).fetchone()
        (memory_bytes,) = connection.execute(_SIZE, (video,)).fetchone()
        return VideoUsage(
            video=video,
            files=select_files_of(connection, video),
            records={str(channel): count for channel, count in counts},
            runs=sum_runs(select_stretches(connection, video)),
            embedders=list_embedders(connection, video),
            frames=list_frame_encoders(connection, video),
            corrections=len(select_corrections(connection, video)),
            replies=replies,
            size_bytes=memory_bytes + reply_bytes,
        )


def forget_video(store: Store, video: str) -> None:
    """Forget all that is kept of a video: records, corrections, replies and its names."""
    with store.transaction() as connection:
        delete_memory(connection, video)
        for table in ("files", "claims"):
            connection.execute(f"DELETE FROM {table} WHERE video = ?", (video,))
        connection.execute("DELETE FROM replies WHERE video GLOB ?", (_reply_pattern(video),))


def _reply_pattern(video: str) -> str:
    # Replies are kept under a name for people that ends in the first digits of the hash.
    digits = "".join(c for c in video[:8] if c.isalnum())
    return f"*[[]{digits}]"


_COUNTS = (
    "SELECT channel, COUNT(*) FROM records WHERE video = ? GROUP BY channel ORDER BY MIN(number)"
)
_SIZE = "SELECT CAST(COALESCE(SUM(size), 0) AS INTEGER) FROM memories WHERE video = ?"
_REPLIES = (
    "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS INTEGER) FROM replies WHERE video GLOB ?"
)

"""`embed_video`: vectors of frames of a video, of which only what is missing is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmreason.memory.frame_vectors import (
    EmbedsFrames,
    FrameKey,
    FrameVectorRows,
    delete_frame_times,
    insert_frame_vectors,
    select_frame_vectors,
)
from mmreason.memory.store import Store
from mmreason.video import Video
from mmreason.video.types import VideoError

BATCH_FRAMES = 16
"""Frames that are decoded, embedded and written at once: what Ctrl-C loses at most."""
_BATCH_PIXELS = 64_000_000
"""Fewer of large frames: of 4K 7 at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameVectors:
    """Embeddings of frames of one video, in the order in which times were given.

    Example:
        >>> vectors = FrameVectors(times_s=np.array([0.5]), vectors=np.ones((1, 4), np.float32),
        ...                        key=FrameKey("e", "5f0c", (224, 224)), computed=1)
        >>> len(vectors)
        1
    """

    times_s: np.ndarray
    """float64 (T,), seconds."""
    vectors: np.ndarray
    """float32 (T, D), rows of length 1."""
    key: FrameKey
    """Whose they are."""
    computed: int
    """How many were not in the store."""

    def __len__(self) -> int:
        return len(self.times_s)


def embed_video(
    video: Video,
    times_s: Sequence[float] | np.ndarray,
    encoder: EmbedsFrames,
    store: Store,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> FrameVectors:
    """The vectors of the frames displayed at `times_s`, from the store as far as they are there.

    What is missing is decoded, embedded and written a batch at a time, so that a run that was
    stopped goes on where it was. Times are told apart by microseconds. `on_progress` is told how
    many of how many missing frames are done. Raises ValueError for times that are no finite
    seconds, VideoError where frames cannot be read or embedded.

    Example:
        >>> embed_video(video, [0.5, 1.5], load_encoder(), store).vectors.shape  # doctest: +SKIP
        (2, 1280)
    """
    times = np.asarray(times_s, np.float64)
    if times.ndim != 1 or not np.isfinite(times).all() or (np.abs(times) > 1e9).any():
        raise ValueError(
            f"times_s must be finite seconds (T,), got {np.asarray(times_s).dtype} of shape "
            f"{times.shape}"
        )
    times_us = np.round(times * 1_000_000).astype(np.int64)
    key = FrameKey.of(encoder)
    with store.transaction(writes=False) as connection:
        stored = select_frame_vectors(connection, video.content_hash, key)
    missing_us = np.setdiff1d(times_us, stored.times_us)
    computed = [stored.vectors] if len(stored.times_us) else []
    step = _count_batch(video)
    for first in range(0, len(missing_us), step):
        batch_us = missing_us[first : first + step]
        # Of full size: what shrinks them is the encoder's own resize, as for any other picture.
        frames = video.frames_at(batch_us / 1_000_000)
        rows = FrameVectorRows(batch_us, _encode(encoder, frames.pixels))
        with store.transaction(written_bytes=rows.vectors.size * 2) as connection:
            delete_frame_times(connection, video.content_hash, key, batch_us.tolist())
            insert_frame_vectors(connection, video.content_hash, key, rows, name=_name(video))
        # As they will be read, so that the first run and the next give the same numbers.
        computed.append(_round_stored(rows.vectors))
        if on_progress is not None:
            on_progress(min(first + step, len(missing_us)), len(missing_us))
    vectors = np.concatenate(computed) if computed else np.zeros((0, 0), np.float32)
    all_us = np.concatenate([stored.times_us, missing_us])
    order = np.argsort(all_us, kind="stable")
    positions = order[np.searchsorted(all_us[order], times_us)]
    return FrameVectors(
        times_s=times, vectors=vectors[positions], key=key, computed=len(missing_us)
    )


def _encode(encoder: EmbedsFrames, pixels: np.ndarray) -> np.ndarray:
    vectors = encoder.encode_frames(pixels)
    if vectors.ndim != 2 or len(vectors) != len(pixels):
        raise VideoError(
            f"{encoder.name} gave vectors of shape {vectors.shape} for {len(pixels)} frames, "
            f"expected ({len(pixels)}, D)"
        )
    return vectors


def _count_batch(video: Video) -> int:
    pixels = max(1, video.info.width_px * video.info.height_px)
    return max(1, min(BATCH_FRAMES, _BATCH_PIXELS // pixels))


def _name(video: Video) -> str:
    """What the store calls the video where people read that, as `LibraryVideo.memory_name`."""
    return f"{Path(video.info.path).name} [{video.content_hash[:8]}]"


def _round_stored(vectors: np.ndarray) -> np.ndarray:
    stored = vectors.astype(np.float16).astype(np.float32)
    return stored / np.linalg.norm(stored, axis=1, keepdims=True)

"""How much a store holds, and of what."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreShare:
    """Values of one video or model."""

    name: str
    entries: int
    """Replies, and of a video also the records of its memory."""
    size_bytes: int
    """Of keys, values and memories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a store holds. `by_model` and `by_video` begin with the largest."""

    path: str
    entries: int
    """Replies."""
    records: int = 0
    """Of the memories of videos, which `mmreason index` makes."""
    size_bytes: int
    """Of keys, values and memories: what `max_bytes` limits."""
    max_bytes: int
    file_bytes: int
    """Of the file and its write-ahead log, 0 in memory."""
    by_model: tuple[StoreShare, ...] = ()
    by_video: tuple[StoreShare, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        tables = {
            name: [asdict(row) for row in getattr(self, name)] for name in ("by_model", "by_video")
        }
        return asdict(self) | tables

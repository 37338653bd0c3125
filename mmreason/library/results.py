"""What a search of a library gives back: spans of videos with what was said, written or seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmreason.json_values import to_json
from mmreason.library.thumbnails import read_thumbnail
from mmreason.library.videos import UnreadableVideo
from mmreason.memory.records import Channel
from mmreason.video.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryHit:
    """A stretch of a video that a search found: a cue where to look, not evidence.

    Example:
        >>> hit = Library("talks").search("the budget").hits[0]  # doctest: +SKIP
        >>> hit.path.name, str(hit.span), hit.quote  # doctest: +SKIP
        ('review.mp4', '0:31.20-0:35.90', 'The budget is two million.')
    """

    path: Path
    span: Span
    quote: str
    """What was said, read or seen there, word for word from the records."""
    channel: Channel
    source: str
    """What it was read from."""
    model: str = ""
    """Which model wrote it; empty where none did."""
    speaker: str = ""
    confidence: float | None = None
    """0..1, of who wrote it; None where that does not tell."""
    box_px: tuple[float, float, float, float] | None = None
    """Where it is in the picture, xyxy in pixels of the original frame."""
    similarity: float
    """How well it fits, 0..1."""
    best_id: str
    """Of the record that fits best."""
    ids: tuple[str, ...]
    """Of the records that were joined, by time."""

    @property
    def thumbnail(self) -> bytes:
        """JPEG of the frame in the middle of the span, decoded now; empty where the file cannot
        be read any more."""
        return read_thumbnail(self.path, round(self.span.middle_s, 3))

    def to_dict(self) -> dict[str, Any]:
        """JSON types only, without the picture."""
        return {**to_json(self), "path": str(self.path)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryResult:
    """What a search of a library found, best first. Without hits nothing was near enough: that is
    no answer by itself, for what was never heard or read cannot be found.

    Example:
        >>> LibraryResult(text="unicorn", note="nothing found: no such record is there").hits
        ()
    """

    text: str
    """What was looked for."""
    hits: tuple[LibraryHit, ...] = ()
    note: str = ""
    """Why nothing was found, or what was not searched; empty where all went the plain way."""
    videos: int = 0
    """Videos that were searched."""
    not_indexed: int = 0
    """Of those, videos of which nothing but subtitles is known."""
    unreadable: tuple[UnreadableVideo, ...] = ()
    """Files that are no videos which can be read."""
    covered_s: float = field(default=0.0, compare=False)
    """Seconds of the videos that descriptions speak of."""
    duration_s: float = field(default=0.0, compare=False)
    """Seconds of all videos that were searched."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only, without pictures."""
        unreadable = [{"path": str(u.path), "reason": u.reason} for u in self.unreadable]
        hits = [hit.to_dict() for hit in self.hits]
        return {**to_json(self), "hits": hits, "unreadable": unreadable}

    def _repr_html_(self) -> str:
        """The hits with their pictures, in a notebook."""
        from mmreason.library.pages import search_fragment

        return search_fragment(self)

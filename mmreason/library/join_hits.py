"""Joins records of one video and channel that lie beside each other into one hit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.memory.records import MemoryRecord
from mmreason.video.types import Span

JOIN_GAP_S = 2.0
"""Records further apart are two hits."""
JOIN_SHARE = 0.75
"""Of the similarity of the best, below which a neighbour is no part of the hit: a span is to be
short enough to look at."""
MOST_JOINED_S = 60.0
"""Of a joined hit; a record that is longer by itself stays as it is."""
MOST_QUOTED = 3
"""Different texts that one hit quotes."""


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record that a search found near enough."""

    video: int
    """Number of its video."""
    record: MemoryRecord
    similarity: float


@dataclass(frozen=True, slots=True)
class JoinedRecords:
    """Records that are one hit: the best first, then by time."""

    video: int
    span: Span
    quote: str
    best: MemoryRecord
    similarity: float
    """Of the best."""
    ids: tuple[str, ...]
    """Of the records, by time."""


def join_neighbours(records: Sequence[FoundRecord]) -> tuple[JoinedRecords, ...]:
    """Hits of records in the order of their rank; each record is in one hit, that of the best one
    it lies beside.

    Example:
        >>> lines = [("The budget", 4, 6), ("is two million.", 6, 8), ("The budget again.", 90, 92)]
        >>> found = [
        ...     FoundRecord(0, MemoryRecord("speech", Span(a, b), text, "talk.srt"), 0.8)
        ...     for text, a, b in lines
        ... ]
        >>> [hit.quote for hit in join_neighbours(found)]
        ['The budget is two million.', 'The budget again.']
    """
    groups: list[list[FoundRecord]] = []
    spans: list[Span] = []
    # Groups by video and channel, so that each record is compared with few.
    groups_of: dict[tuple[int, str, str], list[int]] = {}
    for found in records:
        key = (found.video, found.record.channel, found.record.speaker)
        group = next(
            (i for i in groups_of.get(key, []) if _fits(found, groups[i][0], spans[i])), None
        )
        if group is None:
            groups_of.setdefault(key, []).append(len(groups))
            groups.append([found])
            spans.append(found.record.span)
        else:
            groups[group].append(found)
            spans[group] = _cover(spans[group], found.record.span)
    return tuple(_join(group, span) for group, span in zip(groups, spans, strict=True))


def _fits(found: FoundRecord, best: FoundRecord, span: Span) -> bool:
    gap_s = max(found.record.span.start_s, span.start_s) - min(found.record.span.end_s, span.end_s)
    joined_s = _cover(span, found.record.span).duration_s
    # Lines of a screen that stay while others go would reach over half a talk.
    is_short = joined_s <= max(MOST_JOINED_S, best.record.span.duration_s)
    return gap_s <= JOIN_GAP_S and is_short and found.similarity >= JOIN_SHARE * best.similarity


def _cover(first: Span, second: Span) -> Span:
    return Span(min(first.start_s, second.start_s), max(first.end_s, second.end_s))


def _join(group: Sequence[FoundRecord], span: Span) -> JoinedRecords:
    best = group[0]
    by_time = sorted(group, key=lambda found: found.record.span_us)
    # The best are quoted, in the order in which they were said or stood there.
    quoted = {found.record.text for found in group[:MOST_QUOTED]}
    texts = list(dict.fromkeys(f.record.text for f in by_time if f.record.text in quoted))
    separator = " " if best.record.channel == "speech" else " / "
    return JoinedRecords(
        video=best.video,
        span=span,
        quote=separator.join(texts),
        best=best.record,
        similarity=best.similarity,
        ids=tuple(dict.fromkeys(found.record.id for found in by_time)),
    )

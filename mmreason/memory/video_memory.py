"""The memory of one video: its records, searched by words.

    memory = VideoMemory()
    memory.add([MemoryRecord("speech", Span(4, 8), "The budget is two million.", "talk.srt")])
    memory.search(MemoryQuery("budget")).hits

What it finds is a cue where to look. That it finds nothing is no answer: the video may show what
nobody has described yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmreason.memory.records import (
    LEAF,
    Hit,
    MemoryQuery,
    MemoryRecord,
    SearchResult,
)
from mmreason.memory.text_index import TextIndex
from mmreason.video.types import Span

COVERAGE_FLOOR = 0.3
"""Share of a query's words below which a record is not near it."""
FUSION_K = 60
"""Of reciprocal-rank fusion: how little a place among the first counts more than one behind."""


class VideoMemory:
    """Records of one video, by id and by search.

    Example:
        >>> memory = VideoMemory()
        >>> memory.add([MemoryRecord("event", Span(0, 30), "A chef chops onions.", "frames")])
        1
        >>> [hit.record.text for hit in memory.search(MemoryQuery("onion")).hits]
        ['A chef chops onions.']
        >>> memory.search(MemoryQuery("parachute")).note
        'nothing found: no record holds enough of these words'
    """

    def __init__(self) -> None:
        self._records: list[MemoryRecord] = []
        self._rows: dict[str, int] = {}
        self._index = TextIndex()

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: Iterable[MemoryRecord]) -> int:
        """Take in records; those that are there already are not added again. Returns how many are
        new."""
        new = {record.id: record for record in records if record.id not in self._rows}
        first_row = len(self._records)
        self._rows.update({record_id: first_row + i for i, record_id in enumerate(new)})
        self._records += new.values()
        texts = enumerate((record.text for record in new.values()), start=first_row)
        self._index.add_texts(texts)
        return len(new)

    def search(self, query: MemoryQuery) -> SearchResult:
        """The records nearest to the query, best first: cues where to look, not evidence. None
        where nothing is near enough, which `note` then says."""
        rows = frozenset(i for i, r in enumerate(self._records) if _is_asked_for(r, query))
        if not rows:
            return SearchResult((), "nothing found: no record is of these channels and times")
        found = self._index.search(query.text, rows)
        near = [match for match in found.matches if match.coverage >= COVERAGE_FLOOR]
        hits = tuple(
            Hit(self._records[match.row], 1 / (FUSION_K + rank), match.coverage)
            for rank, match in enumerate(near[: query.limit], start=1)
        )
        return SearchResult(hits, "" if hits else _explain_nothing(found.common))

    def read(self, ids: Sequence[str]) -> tuple[MemoryRecord, ...]:
        """The records of these ids, in this order; ids that are not there are left out."""
        return tuple(self._records[self._rows[i]] for i in ids if i in self._rows)

    def overview(self, span: Span | None = None) -> tuple[MemoryRecord, ...]:
        """The record of the whole video and those of its scenes (within `span`), by time."""
        upper = (r for r in self._records if r.level > LEAF and _overlaps(r.span, span))
        return tuple(sorted(upper, key=lambda r: (-r.level, r.span.start_s)))


def _is_asked_for(record: MemoryRecord, query: MemoryQuery) -> bool:
    in_channel = not query.channels or record.channel in query.channels
    return in_channel and _overlaps(record.span, query.span)


def _overlaps(span: Span, other: Span | None) -> bool:
    """Whether they share a time; a span of no length (a still) is one time."""
    if other is None:
        return True
    return span.overlap_s(other) > 0 or other.contains(span.start_s)


def _explain_nothing(common: Sequence[str]) -> str:
    if common:
        words = ", ".join(common[:5])
        return f"nothing found: too many records hold {words}; give rarer words"
    return "nothing found: no record holds enough of these words"

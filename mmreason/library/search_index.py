"""One index over the records of all videos of a library: a word is rare or common, and a text near
or far, among all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmreason.library.label_questions import reduce_to_things
from mmreason.library.videos import LibraryVideo, add_subtitles, is_indexed
from mmreason.memory.hierarchy import measure_covered_s
from mmreason.memory.ranking import (
    COVERAGE_FLOOR,
    COVERAGE_WITH_MEANING,
    RankedRow,
    fuse_rankings,
)
from mmreason.memory.record_columns import RecordColumns
from mmreason.memory.records import CHANNELS, Channel, MemoryQuery, MemoryRecord
from mmreason.memory.store import Store
from mmreason.memory.text_index import TextIndex, TextMatch, TextSearch
from mmreason.memory.vector_index import Embedder, VectorIndex
from mmreason.video.types import Span

EMBED_BATCH = 64
MOST_EMBEDDED = 4_096
"""Texts that a search embeds before it answers: half a minute at most. Others are found by their
words, which is told."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which records a search goes through."""

    channels: tuple[Channel, ...]
    span: Span | None = None
    videos: frozenset[int] | None = None
    """Numbers of the videos; None for all."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search found, best first, and what was not searched."""

    rows: tuple[RankedRow, ...]
    words: TextSearch
    is_empty: bool
    """Whether no record was there to be searched."""
    unembedded: int
    """Records that were searched by their words alone, of those that an embedder was there for."""


@dataclass(slots=True)
class _VideoState:
    """What was read of the memory of one video."""

    made_ns: int = 0
    count: int = 0
    last_number: int = 0
    is_indexed: bool = False
    looked_for_subtitles: bool = False
    covered_s: float = 0.0
    """Seconds that descriptions speak of."""
    other_models: dict[str, int] = field(default_factory=dict)


class LibraryIndex:
    """The records of many videos, by row. `refresh` reads what was added to the store since.

    Example:
        >>> index = LibraryIndex((), Store.in_memory(), None)
        >>> index.refresh()
        >>> len(index.records)
        0
    """

    def __init__(
        self,
        videos: Sequence[LibraryVideo],
        store: Store,
        embedder: Embedder | None,
        *,
        model: str | None = None,
    ) -> None:
        self._videos = tuple(videos)
        self._store = store
        self._embedder = embedder
        self._model = model
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.records: list[MemoryRecord] = []
        self.video_of: np.ndarray = np.zeros(0, np.int32)
        """Number of the video of each record, int32 (n,)."""
        self._states = [_VideoState() for _ in self._videos]
        self._words = TextIndex()
        self._vectors = None if self._embedder is None else VectorIndex(self._embedder)
        self._is_searched = np.zeros(0, bool)
        self._channel = np.zeros(0, np.int8)
        self._start_s = np.zeros(0)
        self._end_s = np.zeros(0)

    @property
    def not_indexed(self) -> tuple[int, ...]:
        """Numbers of the videos of which nothing but subtitles is known."""
        return tuple(i for i, state in enumerate(self._states) if not state.is_indexed)

    @property
    def other_models(self) -> dict[str, int]:
        """Records that are not searched, by the name of the model that wrote them: descriptions by
        several models of one video are not mixed."""
        counts: dict[str, int] = {}
        for state in self._states:
            for name, count in state.other_models.items():
                counts[name] = counts.get(name, 0) + count
        return counts

    def sum_covered_s(self, videos: Iterable[int]) -> float:
        """Seconds of these videos that descriptions speak of."""
        return sum(self._states[video].covered_s for video in videos)

    def rows_of(self, video: int) -> np.ndarray:
        """Rows of the records of one video that are searched, int64 (n,)."""
        return np.flatnonzero((self.video_of == video) & self._is_searched)

    def refresh(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Read what the store holds beyond what was read. `on_progress` is told the number of
        videos that are through."""
        # A memory that was forgotten or replaced takes its rows with it, and rows have no gaps.
        if any(self._is_stale(i) for i in range(len(self._videos))):
            self._begin_anew()
        changed = False
        for i, video in enumerate(self._videos):
            changed |= self._read_video(i, video)
            # Where nothing was said or seen, the ledger alone tells that it was listened to.
            state = self._states[i]
            state.is_indexed |= bool(self._store.read_stretches(video.content_hash))
            if on_progress is not None:
                on_progress(i + 1)
        if changed:
            self._fill_columns()

    def _is_stale(self, i: int) -> bool:
        state = self._states[i]
        made_ns = self._store.memory_state(self._videos[i].content_hash).made_ns
        return state.count > 0 and state.made_ns != made_ns

    def _read_video(self, i: int, video: LibraryVideo) -> bool:
        """Whether anything new was there."""
        known = self._states[i]
        state = self._store.memory_state(video.content_hash)
        if state.records == known.count and known.looked_for_subtitles:
            return False
        read = self._store.read_records(video.content_hash, known.last_number)
        # Inside a file subtitles take a pass over it: only where nothing that was said is known.
        if not known.looked_for_subtitles:
            known.looked_for_subtitles = True
            if not any(record.channel == "speech" for _, record in read):
                add_subtitles(video, self._store)
                read = self._store.read_records(video.content_hash, known.last_number)
                state = self._store.memory_state(video.content_hash)
        if not read and state.records == known.count:
            return False
        records = [record for _, record in read]
        known.made_ns, known.count = state.made_ns, state.records
        known.last_number = max((number for number, _ in read), default=known.last_number)
        first_row = len(self.records)
        self.records += records
        self.video_of = np.append(self.video_of, np.full(len(records), i, np.int32))
        self._words.add_records(first_row, records)
        self._take_vectors(video, first_row)
        return True

    def _take_vectors(self, video: LibraryVideo, first_row: int) -> None:
        if self._vectors is None:
            return
        ids, vectors = self._store.read_vectors(video.content_hash, self._vectors.embedder.name)
        if not ids:
            return
        row_of = {self.records[row].id: row for row in range(first_row, len(self.records))}
        used = [k for k, record_id in enumerate(ids) if record_id in row_of]
        self._vectors.add_vectors([row_of[ids[k]] for k in used], vectors[used])

    def _fill_columns(self) -> None:
        """The columns that filters look at, of all records anew: numbers of a few megabytes."""
        self._is_searched = np.zeros(len(self.records), bool)
        number = {channel: i for i, channel in enumerate(CHANNELS)}
        self._channel = np.array([number[r.channel] for r in self.records], np.int8)
        self._start_s = np.array([r.span.start_s for r in self.records])
        self._end_s = np.array([r.span.end_s for r in self.records])
        everything = MemoryQuery("all", channels=CHANNELS)
        order = np.argsort(self.video_of, kind="stable")
        edges = np.searchsorted(self.video_of[order], np.arange(len(self._videos) + 1))
        for i, state in enumerate(self._states):
            rows = order[edges[i] : edges[i + 1]]
            records = [self.records[row] for row in rows]
            state.is_indexed |= is_indexed(records)
            columns = RecordColumns.of(records)
            model = columns.choose_model(self._model)
            selected = columns.select(everything, model)
            self._is_searched[rows] = selected
            state.covered_s = measure_covered_s(
                [
                    r
                    for r, is_on in zip(records, selected, strict=True)
                    if is_on and r.channel == "event"
                ]
            )
            state.other_models = columns.count_others(model)

    def search(self, text: str, filters: Filters) -> Ranking:
        """Rows that are near enough to `text`, best first. UsageError for a query without words."""
        MemoryQuery(text)  # refuses what is no query
        allowed = self._select(filters)
        if not allowed.any():
            return Ranking((), TextSearch(()), is_empty=True, unembedded=0)
        words = self._words.search(text, allowed)
        if self._vectors is None:
            matches = self._put_labels_first(text, words.matches, allowed, COVERAGE_WITH_MEANING)
            rows = fuse_rankings(matches, np.zeros(0), 0.0)
            return Ranking(rows, words, is_empty=False, unembedded=0)
        unembedded = self._embed_missing(np.flatnonzero(allowed))
        # Minus infinity keeps what is not allowed out of the ranking.
        cosines = np.where(allowed, self._vectors.search(text, len(allowed)), -np.inf)
        # Where much has no embedding, its words are all there is to find it by.
        coverage = COVERAGE_FLOOR if unembedded else COVERAGE_WITH_MEANING
        floor = self._vectors.measure_floor()
        matches = self._put_labels_first(text, words.matches, allowed, coverage)
        rows = fuse_rankings(matches, cosines, floor, least_coverage=coverage)
        return Ranking(rows, words, is_empty=False, unembedded=unembedded)

    def _put_labels_first(
        self, text: str, matches: tuple[TextMatch, ...], allowed: np.ndarray, coverage: float
    ) -> tuple[TextMatch, ...]:
        """`matches` behind the labels that name the things of a question."""
        is_label = allowed & (self._channel == CHANNELS.index("label"))
        if not is_label.any():
            return matches
        named = self._words.search(reduce_to_things(text), is_label).matches
        labels = tuple(match for match in named if match.coverage >= coverage)
        rows = {match.row for match in labels}
        return (*labels, *(match for match in matches if match.row not in rows))

    def _select(self, filters: Filters) -> np.ndarray:
        numbers = [CHANNELS.index(channel) for channel in filters.channels]
        allowed = self._is_searched & np.isin(self._channel, numbers)
        if filters.videos is not None:
            allowed &= np.isin(self.video_of, list(filters.videos))
        if filters.span is not None:
            allowed &= (self._start_s < filters.span.end_s) & (self._end_s > filters.span.start_s)
        return allowed

    def _embed_missing(self, rows: np.ndarray) -> int:
        """Embed those of these rows that have no embedding, up to `MOST_EMBEDDED` texts; returns
        how many have none still."""
        assert self._vectors is not None
        missing = np.intersect1d(rows, self._vectors.find_missing(len(self.records)))
        # Labels and lines on a screen repeat: each text is embedded once.
        rows_of: dict[str, list[int]] = {}
        for row in missing.tolist():
            rows_of.setdefault(self.records[row].text, []).append(row)
        texts = list(rows_of)[:MOST_EMBEDDED]
        for start in range(0, len(texts), EMBED_BATCH):
            batch = texts[start : start + EMBED_BATCH]
            vectors = self._vectors.embedder.embed_texts(batch)
            counts = [len(rows_of[text]) for text in batch]
            batch_rows = [row for text in batch for row in rows_of[text]]
            self._keep_vectors(batch_rows, np.repeat(vectors, counts, axis=0))
        return sum(len(rows_of[text]) for text in list(rows_of)[MOST_EMBEDDED:])

    def _keep_vectors(self, rows: list[int], vectors: np.ndarray) -> None:
        """Take in the embeddings of rows, and leave them in the store for the next search."""
        assert self._vectors is not None
        self._vectors.add_vectors(rows, vectors)
        name = self._vectors.embedder.name
        if not name:
            return
        by_video: dict[str, dict[str, np.ndarray]] = {}
        for row, vector in zip(rows, vectors, strict=True):
            content_hash = self._videos[int(self.video_of[row])].content_hash
            by_video.setdefault(content_hash, {})[self.records[row].id] = vector
        for content_hash, vectors_by_id in by_video.items():
            self._store.add_vectors(content_hash, name, vectors_by_id)

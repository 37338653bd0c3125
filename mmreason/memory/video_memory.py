"""The memory of one video: its records, searched by words and by meaning.

    memory = VideoMemory()
    memory.add([MemoryRecord("speech", Span(4, 8), "The budget is two million.", "talk.srt")])
    memory.search(MemoryQuery("budget")).hits

What it finds is a cue where to look. That it finds nothing is no answer: the video may show what
nobody has described yet.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mmreason.memory.hierarchy import make_hierarchy, measure_covered_s
from mmreason.memory.ranking import COVERAGE_FLOOR, COVERAGE_WITH_MEANING, fuse_rankings
from mmreason.memory.record_columns import RecordColumns
from mmreason.memory.record_tables import correct_record
from mmreason.memory.records import (
    CHANNELS,
    LEAF,
    ROOT,
    SCENE,
    Channel,
    Hit,
    MemoryQuery,
    MemoryRecord,
    SearchResult,
)
from mmreason.memory.sense_ledger import Stretch, claim_sense, release_claims
from mmreason.memory.store import Store
from mmreason.memory.text_index import TextIndex, TextSearch
from mmreason.memory.vector_index import Embedder, VectorIndex
from mmreason.memory.video_files import insert_file
from mmreason.types import UsageError
from mmreason.video.types import FrameSource, Span

EMBED_BATCH = 64
MOST_EMBEDDED = 512
"""Records that a search embeds before it answers. More are the work of `embed_records`."""


class VideoMemory:
    """Records of one video, by id and by search. May be used from several threads; what another
    process adds to the store is seen by the next call.

    Example:
        >>> memory = VideoMemory()
        >>> memory.add([MemoryRecord("event", Span(0, 30), "A chef chops onions.", "frames")])
        1
        >>> [hit.record.text for hit in memory.search(MemoryQuery("onion")).hits]
        ['A chef chops onions.']
        >>> memory.search(MemoryQuery("parachute")).note
        'nothing found: no record holds enough of these words'
    """

    def __init__(
        self,
        store: Store | None = None,
        video: str = "video",
        *,
        name: str = "",
        model: str | None = None,
        embedder: Embedder | None = None,
    ):
        """The memory of the video with this content hash, in `store`, or in this process alone.

        `name` tells people which video it is. What `model` wrote is searched, and what other models
        wrote is told and not mixed in; None takes the model that wrote most. `embedder` finds by
        meaning beside the words.
        """
        self._store = Store.in_memory() if store is None else store
        self._video = video
        self._name = name
        self._model = model
        self._embedder = embedder
        self._lock = threading.RLock()
        self._begin_anew(0)

    @classmethod
    def of_video(
        cls,
        video: FrameSource,
        store: Store,
        *,
        model: str | None = None,
        embedder: Embedder | None = None,
    ) -> VideoMemory:
        """The memory of an open video in a store."""
        name = f"{Path(video.info.path).name} [{video.content_hash[:8]}]"
        return cls(store, video.content_hash, name=name, model=model, embedder=embedder)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def records(self) -> tuple[MemoryRecord, ...]:
        """All there are, of every model and level, in the order in which they were added."""
        with self._lock:
            self._load_new()
            return tuple(self._records)

    def add(self, records: Iterable[MemoryRecord]) -> int:
        """Keep records; those that are there already are not added again. Returns how many are
        new."""
        return self._store.add_records(self._video, tuple(records), name=self._name)

    def add_stretch(self, stretch: Stretch, records: Iterable[MemoryRecord]) -> bool:
        """Keep what a sense found in a stretch, with the ledger's line of it, whole or not at all.
        False where that stretch was done already: then nothing is kept."""
        return self._store.add_stretch(self._video, stretch, tuple(records), name=self._name)

    def list_stretches(self) -> tuple[Stretch, ...]:
        """What senses have gone through, by sense and time."""
        return self._store.read_stretches(self._video)

    def forget_sense(self, sense: str) -> int:
        """Forget what a sense found, and that it went through this video; what was corrected by
        hand stays. Returns how many records there were."""
        return self._store.forget_sense(self._video, sense)

    def correct(self, record_id: str, text: str) -> MemoryRecord | None:
        """Put a record by hand with this text in the place of the one of this id: it stays, and
        what was there is not found again, however often the video is indexed. Without a text
        nothing stands in its place. UsageError where no record has this id."""
        (record,) = self.read([record_id]) or (None,)
        if record is None:
            raise UsageError(
                f"the memory of {self._name or self._video} has no record {record_id!r}; "
                "mmreason cache show FILE --records lists them"
            )
        with self._store.transaction() as connection:
            return correct_record(connection, self._video, record, text)

    def remember_file(self, path: Path) -> None:
        """Remember that this video lies under `path`, for people who ask what is kept of a
        file."""
        with self._store.transaction() as connection:
            insert_file(connection, path, self._video)

    def claim_sense(self, sense: str, owner: str) -> str:
        """Claim a sense of this video for `owner` (`sense_ledger.make_owner`), or renew the claim.
        Empty where it is claimed, else who is at work on it."""
        with self._store.transaction() as connection:
            return claim_sense(connection, self._video, sense, owner)

    def release_claims(self, owner: str) -> None:
        """Give back what `owner` has claimed of this video."""
        with self._store.transaction() as connection:
            release_claims(connection, self._video, owner)

    def read(self, ids: Sequence[str]) -> tuple[MemoryRecord, ...]:
        """The records of these ids, in this order; ids that are not there are left out."""
        with self._lock:
            self._load_new()
            return tuple(self._records[self._rows[i]] for i in ids if i in self._rows)

    def search(self, query: MemoryQuery) -> SearchResult:
        """The records of the lowest level that are nearest to the query, best first: cues where to
        look, not evidence. None where nothing is near enough, which `note` then says."""
        with self._lock:
            self._load_new()
            model = self._columns.choose_model(self._model)
            notes = [_tell_models(self._columns.count_others(model)), self._embedder_note]
            asked_for = self._columns.select(query, model)
            if not asked_for.any():
                return SearchResult((), _join("nothing found: no such record is there", *notes))
            words = self._index.search(query.text, asked_for)
            cosines, floor, coverage = np.zeros(0), 0.0, COVERAGE_FLOOR
            if self._vectors is not None:
                note = self._embed_missing(MOST_EMBEDDED)
                notes.append(note)
                # Where much has no embedding, its words are all there is to find it by.
                coverage = COVERAGE_FLOOR if note else COVERAGE_WITH_MEANING
                # Minus infinity keeps what was not asked for out of the ranking.
                cosines = np.where(
                    asked_for, self._vectors.search(query.text, len(asked_for)), -np.inf
                )
                floor = self._vectors.measure_floor()
            ranked = fuse_rankings(words.matches, cosines, floor, least_coverage=coverage)
            ranked = ranked[: query.limit]
            hits = tuple(Hit(self._records[r.row], r.score, r.similarity) for r in ranked)
        return SearchResult(hits, _join("" if hits else _explain_nothing(words), *notes))

    def overview(self, span: Span | None = None) -> tuple[MemoryRecord, ...]:
        """The record of the whole video and those of its scenes (that overlap `span`): the highest
        level first, then by time. Those that `mmreason index` made, else drawn from the captions
        that there are; empty without any."""
        with self._lock:
            self._load_new()
            model = self._columns.choose_model(self._model)
            upper = tuple(r for r in self._records if r.level > LEAF and r.model == model)
            if not any(r.level == ROOT for r in upper):
                scenes = [r for r in upper if r.level == SCENE]
                # Without descriptions of the lowest level, scenes are what a root can be made of.
                upper = make_hierarchy(self.select_leaves("event") or scenes)
        inside = [r for r in upper if span is None or r.span.overlap_s(span) > 0]
        return tuple(sorted(inside, key=lambda r: (-r.level, r.span.start_s)))

    def replace_overview(self, records: Sequence[MemoryRecord]) -> None:
        """Keep this root and these scenes in place of those there are."""
        model = self._model or ""
        assert all(r.level > LEAF and r.model == model for r in records), "of the model's own"
        self._store.replace_upper(self._video, model, records, name=self._name)

    def measure_covered_s(self) -> float:
        """Seconds of the video that captions speak of: all of it where its index is complete."""
        return measure_covered_s(self.select_leaves("event"))

    def select_leaves(self, channel: Channel = "event") -> tuple[MemoryRecord, ...]:
        """The records of the lowest level of one channel, by time; of what models observed only
        what the searched one did."""
        with self._lock:
            self._load_new()
            rows = self._columns.select(
                MemoryQuery("all", channels=(channel,)), self._columns.choose_model(self._model)
            )
            leaves = [self._records[row] for row in np.flatnonzero(rows)]
        return tuple(sorted(leaves, key=lambda r: r.span_us))

    def count_channels(self) -> dict[Channel, int]:
        """Records of the lowest level by channel; of what models observed only what the searched
        one did."""
        counts: dict[Channel, int] = {}
        for channel in CHANNELS:
            if count := len(self.select_leaves(channel)):
                counts[channel] = count
        return counts

    def embed_records(self) -> Iterator[int]:
        """Embed all that has no embedding yet, a batch at a time; yields how many are left. Ends
        at once without an embedder."""
        while self._vectors is not None:
            # The lock is given back after each batch, so that searches go on meanwhile.
            with self._lock:
                self._load_new()
                missing = self._vectors.find_missing(len(self._records))
                self._embed_rows(missing[:EMBED_BATCH].tolist())
            if not len(missing):
                return
            yield len(missing[EMBED_BATCH:])

    def _begin_anew(self, made_ns: int) -> None:
        self._made_ns = made_ns
        self._stored_count = self._last_number = 0
        self._records: list[MemoryRecord] = []
        self._rows: dict[str, int] = {}
        self._columns = RecordColumns.of(())
        self._index = TextIndex()
        self._vectors = None if self._embedder is None else VectorIndex(self._embedder)
        self._embedder_note = ""

    def _load_new(self) -> None:
        """Read what the store holds beyond what was read; all of it where the memory was forgotten
        and begun anew."""
        state = self._store.memory_state(self._video)
        if state.made_ns != self._made_ns:
            self._begin_anew(state.made_ns)
        # Records are only ever added while `made_ns` stays, so that their count tells of new ones.
        if state.records == self._stored_count:
            return
        # What is damaged counts as read, or each call would read it again.
        self._stored_count = state.records
        first_row = len(self._records)
        for number, record in self._store.read_records(self._video, self._last_number):
            self._last_number = number
            self._rows[record.id] = len(self._records)
            self._records.append(record)
        self._index.add_records(first_row, self._records[first_row:])
        self._columns = RecordColumns.of(self._records)
        self._embedder_note = _tell_embedders(
            self._store.list_embedders(self._video), self._embedder
        )
        if self._vectors is not None:
            ids, vectors = self._store.read_vectors(self._video, self._vectors.embedder.name)
            # Embeddings may outlive records that are damaged or were replaced.
            kept = [i for i, record_id in enumerate(ids) if record_id in self._rows]
            self._vectors.add_vectors([self._rows[ids[i]] for i in kept], vectors[kept])

    def _embed_missing(self, most: int) -> str:
        """Embed up to so many records that have no embedding; a note where some have none still."""
        assert self._vectors is not None
        missing = self._vectors.find_missing(len(self._records)).tolist()
        for start in range(0, min(most, len(missing)), EMBED_BATCH):
            self._embed_rows(missing[start : min(start + EMBED_BATCH, most)])
        if len(missing) <= most:
            return ""
        return f"{len(missing) - most:,} records are searched by words alone: index the video"

    def _embed_rows(self, rows: Sequence[int]) -> None:
        if not rows or self._vectors is None:
            return
        vectors = self._vectors.embedder.embed_texts([self._records[row].text for row in rows])
        self._vectors.add_vectors(rows, vectors)
        if name := self._vectors.embedder.name:
            ids = [self._records[row].id for row in rows]
            self._store.add_vectors(self._video, name, dict(zip(ids, vectors, strict=True)))


def _tell_embedders(names: Sequence[str], embedder: Embedder | None) -> str:
    """A note where the embeddings that are kept are all of others."""
    if not names or (embedder is not None and embedder.name in names):
        return ""
    return f"the embeddings of {', '.join(names)} were not used"


def _tell_models(counts: dict[str, int]) -> str:
    """A note on what other models observed."""
    return "; ".join(
        f"{count:,} records by {name or 'an unnamed model'} were not searched"
        for name, count in counts.items()
    )


def _explain_nothing(words: TextSearch) -> str:
    if words.common and not words.matches:
        common = ", ".join(words.common[:5])
        return f"nothing found: too many records hold {common}; give rarer words"
    return "nothing found: no record holds enough of these words"


def _join(*notes: str) -> str:
    return "; ".join(filter(None, notes))

"""`Library`: the videos of a folder, searched as one.

    library = Library("talks")
    for hit in library.search("when do they talk about the budget?").hits:
        print(hit.path.name, hit.span, hit.quote)

What is searched is what `mmreason index` found before, and subtitles. A search asks no model but
the small one that compares meanings.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mmreason.library.channels import read_channel_names
from mmreason.library.join_hits import FoundRecord, join_neighbours
from mmreason.library.results import LibraryHit, LibraryResult
from mmreason.library.search_index import Filters, LibraryIndex, Ranking
from mmreason.library.videos import LibraryVideo, UnreadableVideo, open_videos
from mmreason.memory.records import MOST_HITS, MemoryRecord
from mmreason.memory.store import Store
from mmreason.memory.vector_index import Embedder
from mmreason.types import UsageError
from mmreason.video.files import list_videos
from mmreason.video.types import Span, VideoError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from mmreason.library.picture_search import EmbedsPictures, PictureResult
    from mmreason.library.scenes import SceneList
    from mmreason.senses import Senses, SenseStep

DEFAULT_EMBEDDER = "minilm-l6"
DEFAULT_ENCODER = "efficientnet-lite0"
"""Compares pictures with frames; needs no hub."""
ROWS_PER_HIT = 12
"""Records that are looked at for each hit, most of which lie beside a better one."""
LONGEST_TIME_S = 1e9
"""Of a filter without an end."""


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """What the senses found in one video.

    Example:
        >>> Library("talks").index(["speech"])[0].records  # doctest: +SKIP
        42
    """

    video: LibraryVideo
    records: int
    """That are new."""
    errors: tuple[str, ...]
    """What could not be had, a line each: a sense that is not installed, a stretch that failed."""


class Library:
    """The videos of a folder with what is known of them. What other processes add to the store is
    seen by the next search.

    Example:
        >>> library = Library("talks")  # doctest: +SKIP
        >>> library.search("a dog", channels=["labels"]).hits[0].span  # doctest: +SKIP
        Span(start_s=12.0, end_s=19.5)
    """

    def __init__(
        self,
        folder: str | Path | Sequence[str | Path],
        store: Store | str | Path | None = None,
        *,
        embedder: Embedder | Literal["auto"] | None = "auto",
        model: str | None = None,
        full_hash: bool = False,
    ) -> None:
        """The videos in `folder` and its folders, or the files and folders of a list.

        `store` is an open store (which stays open), its path, or None for that of this user.
        `embedder` finds by meaning beside the words: "auto" takes MiniLM where its weights are
        there, and says in `note` where they are not; None searches words alone. `model` searches
        what this model described; None what the one with most did. UsageError for a folder that
        is none, or holds no video.
        """
        self._paths = list_paths([folder] if isinstance(folder, str | Path) else folder)
        self._owns_store = not isinstance(store, Store)
        self._store = _open_store(store)
        self._embedder = embedder
        self._model = model
        self._full_hash = full_hash
        self._lock = threading.RLock()

    @property
    def store(self) -> Store:
        return self._store

    @property
    def videos(self) -> tuple[LibraryVideo, ...]:
        """Those that can be read, by name."""
        return self._opened[0]

    @property
    def unreadable(self) -> tuple[UnreadableVideo, ...]:
        """Files that look like videos and cannot be read."""
        return self._opened[1]

    @cached_property
    def _opened(self) -> tuple[tuple[LibraryVideo, ...], tuple[UnreadableVideo, ...]]:
        return open_videos(self._paths, full_hash=self._full_hash)

    @cached_property
    def _loaded_embedder(self) -> tuple[Embedder | None, str]:
        if isinstance(self._embedder, str):
            return load_default_embedder()
        return self._embedder, ""

    @cached_property
    def _index(self) -> LibraryIndex:
        embedder, _ = self._loaded_embedder
        return LibraryIndex(self.videos, self._store, embedder, model=self._model)

    def search(
        self,
        text: str,
        channels: Sequence[str] = (),
        *,
        limit: int = 8,
        span: Span | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> LibraryResult:
        """The spans of all videos that are nearest to `text`, best first; none where nothing is
        near enough.

        `channels` are any of speech, screen, labels, visual, or channels of records. `span` is a
        part of each video; `since` and `until` are times at which a file was written last.
        `on_progress` is told how many videos were read. UsageError for what is no search.
        """
        if not 1 <= limit <= MOST_HITS:
            raise UsageError(f"a search gives 1 to {MOST_HITS} hits, got limit {limit}")
        filters = Filters(read_channel_names(channels), span, self._select_by_date(since, until))
        with self._lock:
            self._index.refresh(on_progress)
            ranking = self._index.search(text, filters)
            records = self._index.records
            found = (
                FoundRecord(int(self._index.video_of[r.row]), records[r.row], r.similarity)
                for r in ranking.rows[: ROWS_PER_HIT * limit]
            )
            joined = join_neighbours(list(found))[:limit]
            searched = range(len(self.videos)) if filters.videos is None else filters.videos
            return LibraryResult(
                text=text,
                hits=tuple(
                    LibraryHit(
                        path=self.videos[j.video].path,
                        span=j.span,
                        quote=j.quote,
                        channel=j.best.channel,
                        source=j.best.source,
                        model=j.best.model,
                        speaker=j.best.speaker,
                        confidence=j.best.confidence,
                        box_px=j.best.box_px,
                        similarity=round(j.similarity, 4),
                        best_id=j.best.id,
                        ids=j.ids,
                    )
                    for j in joined
                ),
                note="; ".join(filter(None, self._list_notes(ranking, bool(joined)))),
                videos=len(searched),
                not_indexed=len(set(self._index.not_indexed) & set(searched)),
                unreadable=self.unreadable,
                covered_s=self._index.sum_covered_s(searched),
                duration_s=sum(self.videos[i].span.duration_s for i in searched),
            )

    def search_frames(
        self,
        like: str | Path | np.ndarray | Image,
        *,
        encoder: EmbedsPictures | str = DEFAULT_ENCODER,
        limit: int = 8,
        span: Span | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> PictureResult:
        """The stretches of all videos that look like a picture (a file, an array, or a Pillow
        image), most alike first; none where nothing is near enough.

        `encoder` compares: one that is loaded, or its name. Frames that were not embedded before
        are, a batch at a time, and stay in the store; `on_progress` is told the name of a video,
        and how many of how many frames are done. `span`, `since` and `until` as in `search`.
        UsageError for what is no picture or no search, VideoError for an encoder that cannot be
        loaded.
        """
        from mmreason.library.picture_search import search_picture
        from mmreason.models.frame_encoders import load_frame_encoder
        from mmreason.tools.ground import frame_of_image

        if not 1 <= limit <= MOST_HITS:
            raise UsageError(f"a search gives 1 to {MOST_HITS} hits, got limit {limit}")
        pixels = frame_of_image(like).pixels  # before anything is loaded
        chosen = self._select_by_date(since, until)
        result = search_picture(
            pixels,
            [v for i, v in enumerate(self.videos) if chosen is None or i in chosen],
            load_frame_encoder(encoder) if isinstance(encoder, str) else encoder,
            self._store,
            picture=str(like) if isinstance(like, str | Path) else "",
            limit=limit,
            span=span,
            full_hash=self._full_hash,
            on_progress=on_progress,
        )
        return replace(result, unreadable=(*self.unreadable, *result.unreadable))

    def index(
        self,
        with_: Sequence[str] | None = None,
        *,
        senses: Senses | None = None,
        on_progress: Callable[[LibraryVideo, SenseStep], None] | None = None,
    ) -> tuple[IndexedVideo, ...]:
        """Have the senses of these names (None: all that are installed) go through each video, as
        `mmreason index --with` does: only what is missing is made, and kept stretch by stretch.
        `senses` are those loaded before. UsageError for a name that is none."""
        from mmreason.memory.video_memory import VideoMemory
        from mmreason.senses import load_senses, perceive
        from mmreason.video import Video

        loaded = load_senses(with_) if senses is None else senses
        done: list[IndexedVideo] = []
        for video in self.videos:
            records, errors = 0, dict.fromkeys(loaded.missing.values())
            try:
                with Video.open(video.path, full_hash=self._full_hash) as opened:
                    memory = VideoMemory.of_video(opened, self._store)
                    for step in perceive(opened, memory, loaded, with_):
                        records += step.records if step.is_new else 0
                        errors |= {step.error: None} if step.error else {}
                        if on_progress is not None:
                            on_progress(video, step)
            except (VideoError, OSError) as error:
                errors[str(error)] = None  # one file that went away does not stop the others
            done.append(IndexedVideo(video, records, tuple(errors)))
        return tuple(done)

    def read_records(self, video: LibraryVideo) -> tuple[MemoryRecord, ...]:
        """All that is known of one video, subtitles included, by time. UsageError where it is none
        of this library."""
        if video not in self.videos:
            raise UsageError(f"{video.path}: is not in this library")
        with self._lock:
            self._index.refresh()
            rows = self._index.rows_of(self.videos.index(video))
            records = [self._index.records[row] for row in rows]
        return tuple(sorted(records, key=lambda record: record.span_us))

    def scenes(self, video: LibraryVideo | str | Path) -> SceneList:
        """The scenes of one video with what is said, written and seen in each. UsageError where it
        is none of this library, VideoError where it cannot be read."""
        from mmreason.library.scenes import list_scenes

        chosen = video if isinstance(video, LibraryVideo) else self.find_video(video)
        return list_scenes(chosen, self.read_records(chosen))

    def find_video(self, path: str | Path) -> LibraryVideo:
        """The video of this path, or of this name where only one has it. UsageError."""
        named = [v for v in self.videos if v.path == Path(path)]
        named = named or [v for v in self.videos if v.name == str(path)]
        if len(named) != 1:
            count = "no video" if not named else f"{len(named)} videos"
            raise UsageError(f"{path}: {count} of this name among {len(self.videos)}; give a path")
        return named[0]

    def close(self) -> None:
        """Release the store, where this library opened it."""
        if self._owns_store:
            self._store.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.videos)

    def __repr__(self) -> str:
        return f"Library({len(self._paths)} files, {self._store.path!r})"

    def _select_by_date(
        self, since: datetime | None, until: datetime | None
    ) -> frozenset[int] | None:
        if since is None and until is None:
            return None
        first_s = since.timestamp() if since else float("-inf")
        last_s = until.timestamp() if until else float("inf")
        chosen = (i for i, v in enumerate(self.videos) if first_s <= v.modified_s < last_s)
        return frozenset(chosen)

    def _list_notes(self, ranking: Ranking, has_hits: bool) -> Iterator[str]:
        if not has_hits:
            yield _explain_nothing(ranking)
        yield from (
            f"{count:,} records by {name or 'an unnamed model'} were not searched"
            for name, count in self._index.other_models.items()
        )
        yield self._loaded_embedder[1]
        if ranking.unembedded:
            yield f"{ranking.unembedded:,} records are searched by words alone: search once more"


def list_paths(paths: Sequence[str | Path]) -> tuple[Path, ...]:
    """The videos of files and folders, each once. UsageError for what is not there."""
    files: dict[Path, None] = {}
    for named in paths:
        path = Path(named).expanduser()
        inside = list_videos(path) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"{path}: there is no video in this folder")
        if not path.exists():
            raise UsageError(f"{path}: there is no such file or folder")
        files |= dict.fromkeys(inside)
    if not files:
        raise UsageError("a library needs a folder or files, got none")
    return tuple(files)


def find_default_embedder() -> Path | None:
    """The folder of the embedder that compares meanings; None where its weights are missing."""
    from mmreason.weights import WeightsMissingError, find_weights

    try:
        return find_weights(DEFAULT_EMBEDDER)
    except WeightsMissingError:
        return None


def load_default_embedder() -> tuple[Embedder | None, str]:
    """The embedder that compares meanings, or None with a note that says how to get it."""
    folder = find_default_embedder()
    if folder is None:
        return None, f"words alone were compared: mmreason weights get {DEFAULT_EMBEDDER}"
    from mmreason.tools.text_embedder import load_embedder

    return load_embedder(str(folder)), ""


def _open_store(store: Store | str | Path | None) -> Store:
    if isinstance(store, Store):
        return store
    return Store.open_default() if store is None else Store.open(store)


def _explain_nothing(ranking: Ranking) -> str:
    if ranking.is_empty:
        return "nothing found: no such record is there"
    if ranking.words.common and not ranking.words.matches:
        common = ", ".join(ranking.words.common[:5])
        return f"nothing found: too many records hold {common}; give rarer words"
    return "nothing found: no record is near enough to these words"

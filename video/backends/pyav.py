"""The PyAV source: the frame displayed at a time, decoded from the last key frame before it.

A request for t returns the frame with the largest presentation stamp <= t. Requests are grouped by
key frame; each group is read once, only as far as needed, and frames are resized as they are
converted. Where there is enough to do, several threads decode, each with a container of its own.
Imported lazily (it imports av at the top). Leaves out stretching pixels that are not square.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from mmreason.video.backends.base import (
    SLACK_S,
    Deadline,
    ReadOptions,
    checked_request,
    stream_length,
    stream_times,
)
from mmreason.video.backends.facts import Facts, read_facts
from mmreason.video.backends.groups import DecodedFrame, GroupReader
from mmreason.video.backends.packets import (
    Access,
    PacketTable,
    find_distinct,
    key_pts_through_index,
    load_cues,
    open_container,
    presentation_stamp,
    scan_packets,
)
from mmreason.video.backends.timeline import read_timeline
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo

MAX_WORKERS = 64
_MIN_SHARED_PX = 48 * 1280 * 720
"""Decoded pixels below which one thread is done before a second one has opened the file."""


class PyAVSource:
    """One open file, meeting the `Source` protocol. Calls from several threads take turns."""

    def __init__(
        self,
        path: Path,
        options: ReadOptions,
        *,
        facts: Facts | None = None,
    ) -> None:
        """Open `path`, decode its first frame and find its end (or take `facts` found before).

        Raises VideoError.
        """
        if not 1 <= options.workers <= MAX_WORKERS:
            raise VideoError(f"workers must be 1 to {MAX_WORKERS}, got {options.workers}")
        self._path, self._options = path, options
        self._lock = threading.Lock()
        self._key_times_s: tuple[float, ...] | None = None
        self._closed = False
        deadline = self._deadline()
        access = Access(path=path, track=options.track) if facts is None else facts.access
        opened = open_container(access, deadline)
        try:
            if facts is None:
                facts, opened = read_facts(access, opened, deadline, options.tone_map)
        # Nobody else closes the container before a reader owns it.
        except BaseException:
            opened[0].close()
            raise
        self._facts, self._table = facts, facts.table
        self._readers = {0: GroupReader(facts, opened, deadline)}

    @property
    def info(self) -> VideoInfo:
        """With what decoding has shown so far of frames that differ from the first."""
        info, later = self._facts.info, self._facts.shown.later_notes
        return replace(info, notes=(*info.notes, *later)) if later else info

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        """Presentation times of the displayed key frames, ascending; read on first use."""
        with self._lock:
            if self._key_times_s is None:
                self._check_open()
                self._key_times_s = tuple(pts * self._facts.tick_s for pts in self._key_pts())
            return self._key_times_s

    def read_frame_times(self) -> np.ndarray:
        """See `Source.read_frame_times`."""
        self._check_open()
        return read_timeline(self._path, self._deadline(), self._options.track).times_s

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """The frames displayed at `times_s`; see `Source.frames_at`. Holds few frames at a time."""
        times, size_px = checked_request(self.info, times_s, size_px)
        batch = FrameBatch(
            pixels=np.empty((len(times), size_px[1], size_px[0], 3), np.uint8),
            times_s=np.empty(len(times)),
            exact=np.empty(len(times), np.bool_),
        )
        # Outside the lock: only decoding has to take turns.
        ticks = self._facts.ticks(times)
        with self._lock:
            self._check_open()
            self._decode_into(batch, ticks, size_px)
        np.logical_and(batch.exact, self._facts.inside(times), out=batch.exact)
        return batch

    def stream(
        self, fps_hz: float | None, size_px: tuple[int, int] | None, span: Span
    ) -> Iterator[FrameBatch]:
        """See `Source.stream`. Reads through a container of its own, one group at a time."""
        length = stream_length(self.info, size_px)
        _, size_px = checked_request(self.info, [], size_px)
        times_s = None if fps_hz is None else stream_times(fps_hz, span)
        self._check_open()
        return self._streamed(times_s, span, size_px, length)

    def reopened(self) -> Self:
        return type(self)(self._path, self._options, facts=self._facts)

    def packet_table(self, max_packets: int) -> PacketTable:
        """Stamps of all packets, or of the first `max_packets` where opening did not need them."""
        with self._lock:
            self._check_open()
            return self._table or self._read_table(max_packets)

    def close(self) -> None:
        """Close every container; explicit, because some decoders leak otherwise."""
        # Before the lock, so that whoever holds it ends at its next look.
        self._closed = True
        with self._lock:
            for reader in self._readers.values():
                reader.close()

    def _check_open(self) -> None:
        if self._closed:
            raise VideoError(f"{self._path}: is closed; open it again")

    def _deadline(self) -> Deadline:
        return Deadline(self._path, self._options.time_limit_s)

    # Packets

    def _key_pts(self) -> list[int]:
        if self._table is None:
            deadline = self._deadline()
            container, stream = open_container(self._facts.access, deadline)
            with container:
                if self._facts.by_cues:
                    load_cues(container, stream)
                    return [entry.timestamp for entry in stream.index_entries]
                key_pts = key_pts_through_index(container, stream, self._facts.last_pts, deadline)
            if key_pts is not None:
                return key_pts
            self._table = self._read_table(None)
        return self._table.shown_key_pts.tolist()

    def _read_table(self, max_packets: int | None) -> PacketTable:
        deadline = self._deadline()
        container, stream = open_container(self._facts.access, deadline)
        with container:
            return scan_packets(container, stream, deadline, self._facts.access.repair, max_packets)

    # Frames

    def _decode_into(self, batch: FrameBatch, ticks: np.ndarray, size_px: tuple[int, int]) -> None:
        """Fill `batch`, whose rows show `ticks`; each frame is decoded and resized once."""
        # 1. Each frame once, in order of time, with the rows of the batch that show it.
        distinct_ticks, _, counts = find_distinct(ticks)
        rows = np.split(np.argsort(ticks, kind="stable"), np.cumsum(counts))[:-1]
        # 2. Chunks of work that need no frame in common; this thread and the helpers share them.
        chunks = deque(self._parts(distinct_ticks.tolist()))
        deadline = self._deadline()
        failures: list[BaseException] = []

        def decode(worker: int) -> None:
            try:
                while not failures and (chunk := _next(chunks)) is not None:
                    reader = self._reader(worker, deadline)
                    self._decode_part(
                        reader, distinct_ticks[chunk].tolist(), rows[chunk], batch, size_px
                    )
            except BaseException as error:
                failures.append(error)
                # The others end at their next packet, instead of finishing what nobody will get.
                deadline.stopped = True

        helpers = min(self._options.workers, len(chunks)) - 1
        if helpers == 0:
            decode(0)
        else:
            with ThreadPoolExecutor(helpers) as pool:
                running = [pool.submit(decode, worker) for worker in range(1, helpers + 1)]
                # This thread works too, and not only waits.
                decode(0)
                try:
                    wait(running)
                except BaseException:
                    deadline.stopped = True
                    raise
        # 3. The first failure is the one to tell: the others ended because of it.
        if failures:
            raise failures[0]

    def _decode_part(
        self,
        reader: GroupReader,
        ticks: list[int],
        rows: list[np.ndarray],
        batch: FrameBatch,
        size_px: tuple[int, int],
    ) -> None:
        image, last = None, None
        for batch_rows, (frame, is_exact) in zip(rows, reader.answers(ticks), strict=True):
            # A frame displayed at several times is converted once.
            if image is None or frame is not last:
                image, last = reader.image(frame, size_px), frame
            batch.pixels[batch_rows] = image
            batch.times_s[batch_rows] = (presentation_stamp(frame) or 0) * self._facts.tick_s
            batch.exact[batch_rows] = is_exact

    def _reader(self, worker: int, deadline: Deadline) -> GroupReader:
        """The reader of one worker, opened when first needed and kept."""
        if worker not in self._readers:
            self._readers[worker] = GroupReader(self._facts, None, deadline)
        self._readers[worker].deadline = deadline
        return self._readers[worker]

    def _parts(self, ticks: list[int]) -> list[slice]:
        """Parts of the ascending stamps `ticks` that workers take one after the other: groups, the
        most work first so that all end at about the same time; or everything at once, where more
        than one worker would not pay."""
        everything = [slice(0, len(ticks))]
        if self._options.workers == 1 or len(ticks) < 2:
            return everything
        reader = self._readers[0]
        # Chunks end where a group of pictures ends: no group is decoded twice.
        # Work is counted to the last target of a group: what lies behind it is not decoded.
        groups = np.asarray([reader.group_of(tick) for tick in ticks])
        ends = np.append(np.flatnonzero(np.diff(groups)) + 1, len(ticks)).tolist()
        work = np.asarray([reader.work(ticks[end - 1]) for end in ends])
        picture_px = self.info.width_px * self.info.height_px
        # Below this a second container costs more than it saves.
        if work.sum() * picture_px < _MIN_SHARED_PX:
            return everything
        chunks = [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        return [chunks[i] for i in np.argsort(-work, kind="stable").tolist()]

    def _streamed(
        self, times_s: np.ndarray | None, span: Span, size_px: tuple[int, int], length: int
    ) -> Iterator[FrameBatch]:
        self._check_open()
        deadline = self._deadline()
        reader = GroupReader(self._facts, None, deadline)
        rows: list[tuple[np.ndarray, float, bool]] = []
        image, last = None, None
        try:
            for frame, is_exact in self._sequence(reader, times_s, span):
                # A frame that is asked for several times in a row is converted once.
                if image is None or frame is not last:
                    image, last = reader.image(frame, size_px), frame
                rows.append(
                    (image, (presentation_stamp(frame) or 0) * self._facts.tick_s, is_exact)
                )
                if len(rows) == length:
                    yield _batch(rows)
                    rows = []
                    self._check_open()
                    # The limit is for the work between two batches, not for who uses them.
                    deadline.restart()
            if rows:
                yield _batch(rows)
        finally:
            reader.close()

    def _sequence(
        self, reader: GroupReader, times_s: np.ndarray | None, span: Span
    ) -> Iterator[DecodedFrame]:
        if times_s is not None:
            return reader.answers(int(tick) for tick in self._facts.ticks(times_s))
        if span.duration_s <= 0:
            return iter(())
        # Inwards: a frame that ends where the span begins is not displayed in it.
        first, end = span.start_s + SLACK_S, span.end_s - SLACK_S
        tick_s = self._facts.tick_s
        return reader.every_frame(int(first // tick_s), int(end // tick_s) + 1)


def _next(chunks: deque[slice]) -> slice | None:
    """The next part, None where another thread took the last one."""
    try:
        return chunks.popleft()
    except IndexError:
        return None


def _batch(rows: list[tuple[np.ndarray, float, bool]]) -> FrameBatch:
    images, times_s, exact = zip(*rows, strict=True)
    return FrameBatch(
        pixels=np.stack(images),
        times_s=np.asarray(times_s, np.float64),
        exact=np.asarray(exact, np.bool_),
    )

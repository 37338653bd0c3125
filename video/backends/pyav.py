"""The PyAV source: the frame displayed at a time, decoded from the last key frame before it.

A request for t returns the frame with the largest presentation stamp <= t. Requests are grouped by
key frame; each group is read once, only as far as needed, and frames are resized as they are
converted. Imported lazily (it imports av at the top). Leaves out parallel decoding, skipping of
frames that no other needs, and non-square pixels (named in `VideoInfo.notes`).
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from itertools import chain, dropwhile, groupby, repeat
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from mmreason.video.backends.base import checked_request
from mmreason.video.backends.packets import (
    PacketTable,
    key_pts_through_index,
    open_container,
    read_packets,
    scan_packets,
    stamp,
    tail_through_index,
)
from mmreason.video.types import FrameBatch, VideoError, VideoInfo

_SLACK_S = 1e-6
"""A time this little before a frame counts as that frame: room for rounding to microseconds."""
_MAX_SEEKS = 4
_MAX_RECOVERIES = 4
_MAX_HELD = 1000
"""Packets held back, so as to feed the decoder no more than needed."""
_MAX_FIRST = 5000
"""Packets read in search of a first frame."""


class PyAVSource:
    """One open file, meeting the `Source` protocol. Calls from several threads take turns."""

    def __init__(self, path: Path) -> None:
        """Open `path`, decode its first frame and find its end. Raises VideoError."""
        self._path = path
        self._lock = threading.Lock()
        self._reformatter = VideoReformatter()
        self._damaged = False
        self._key_times_s: tuple[float, ...] | None = None
        self._container, self._stream = open_container(path)
        self._closed = False
        try:
            self._read_facts()
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> VideoInfo:
        return self._info

    @property
    def keyframe_times_s(self) -> tuple[float, ...]:
        """Presentation times of the displayed key frames, ascending; read on first use."""
        with self._lock:
            if self._key_times_s is None:
                self._check_open()
                self._key_times_s = tuple(pts * self._tick_s for pts in self._key_pts())
            return self._key_times_s

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """The frames displayed at `times_s`; see `Source.frames_at`. Holds few frames at a time."""
        times, (width_px, height_px) = checked_request(self._info, times_s, size_px)
        pixels = np.empty((len(times), height_px, width_px, 3), np.uint8)
        pts = np.empty(len(times), np.int64)
        exact = np.empty(len(times), np.bool_)
        with self._lock:
            self._check_open()
            wanted, counts = np.unique(ticks := self._ticks(times), return_counts=True)
            askers = np.split(np.argsort(ticks, kind="stable"), np.cumsum(counts))[:-1]
            image, last = None, None
            for rows, (frame, is_exact) in zip(askers, self._frames(wanted.tolist()), strict=True):
                if image is None or frame is not last:
                    image, last = self._image(frame, width_px, height_px), frame
                pixels[rows], pts[rows], exact[rows] = image, _pts(frame), is_exact
        span = self._info.span
        exact &= (times >= span.start_s - _SLACK_S) & (times < span.end_s)
        return FrameBatch(pixels=pixels, times_s=pts * self._tick_s, exact=exact)

    def packet_table(self, max_packets: int) -> PacketTable:
        """Stamps of all packets, or of the first `max_packets` where opening did not need them."""
        with self._lock:
            self._check_open()
            if self._table is not None:
                return self._table
            self._reopen()
            return scan_packets(self._container, self._stream, max_packets)

    def close(self) -> None:
        """Close the container; explicit, because some decoders leak otherwise."""
        self._closed = True
        self._container.close()

    def _check_open(self) -> None:
        if self._closed:
            raise VideoError(f"{self._path}: is closed; open it again")

    # What the file is

    def _read_facts(self) -> None:
        self._tick_s = float(self._stream.time_base or 0)
        first = self._first_frame()
        self._start_pts = _pts(first)
        self._turns = round(first.rotation / 90) % 4
        self._table: PacketTable | None = None
        size_bytes = self._path.stat().st_size
        tail = tail_through_index(self._container, self._stream, size_bytes) or self._full_table()
        if not len(tail.shown_pts):
            raise VideoError(f"{self._path}: no frame of it can be shown")
        self._last_pts = max(int(tail.shown_pts[-1]), self._start_pts)
        self._end_pts = max(tail.end_pts, self._last_pts + 1)
        self._info = self._describe(first)

    def _first_frame(self) -> av.VideoFrame:
        self._reorder_pts = 0  # from the decoding stamp of a key frame to its presentation
        stamped = unstamped = 0
        packets = chain(read_packets(self._container, self._stream), (None,))
        for _, packet in zip(range(_MAX_FIRST), packets, strict=False):
            if packet is not None and packet.pts is not None and packet.dts is not None:
                stamped += 1
                self._reorder_pts = packet.pts - packet.dts if stamped == 1 else self._reorder_pts
            for frame in self._decode(packet):
                if stamp(frame) is not None:
                    return frame
                unstamped += 1
        if unstamped:
            raise VideoError(
                f"{self._path}: its frames carry no times; put it into a container (mp4, mkv) first"
            )
        raise VideoError(f"{self._path}: no frame of it can be decoded")

    def _full_table(self) -> PacketTable:
        if self._table is None:
            self._reopen()
            self._table = scan_packets(self._container, self._stream)
        return self._table

    def _describe(self, first: av.VideoFrame) -> VideoInfo:
        stream, duration_s = self._stream, (self._end_pts - self._start_pts) * self._tick_s
        if self._table is not None:
            count = len(self._table.shown_pts)
        else:
            count = sum(not entry.is_discard for entry in stream.index_entries)
        width_px, height_px = first.width, first.height
        if self._turns % 2:
            width_px, height_px = height_px, width_px
        return VideoInfo(
            path=str(self._path),
            duration_s=duration_s,
            start_s=self._start_pts * self._tick_s,
            width_px=width_px,
            height_px=height_px,
            codec=stream.codec_context.codec.canonical_name,
            mean_fps_hz=count / duration_s,
            frame_count=count,
            rotation_deg=90 * self._turns,
            has_audio=bool(self._container.streams.audio),
            backend="pyav",
            size_bytes=self._path.stat().st_size,
            notes=self._notes(duration_s),
        )

    def _notes(self, duration_s: float) -> tuple[str, ...]:
        notes: list[str] = []
        header_s = (self._container.duration or 0) / av.time_base
        if abs(header_s - duration_s) > max(0.5, 0.05 * duration_s) and header_s:
            notes.append(
                f"the header says {header_s:.2f} s, frames were found for {duration_s:.2f} s"
            )
        if self._table is not None and self._table.corrupt:
            notes.append(f"{self._table.corrupt} damaged packets")
        if self._table is not None and not self._container.format.name.startswith("mov"):
            notes.append("no full index: every packet was read once at opening")
        ratio = self._stream.sample_aspect_ratio
        if ratio is not None and ratio not in (0, 1):
            notes.append(f"pixels are {ratio.numerator}:{ratio.denominator}, shown as square")
        return tuple(notes)

    def _key_pts(self) -> list[int]:
        if self._table is None:
            found = key_pts_through_index(self._container, self._stream, self._end_pts)
            if found is not None:
                return found
        return self._full_table().shown_key_pts.tolist()

    # Reading frames

    def _ticks(self, times_s: np.ndarray) -> np.ndarray:
        ticks = np.floor((times_s + _SLACK_S) / self._tick_s)
        return np.clip(ticks, self._start_pts, self._last_pts).astype(np.int64)

    def _frames(self, wanted: list[int]) -> Iterator[tuple[av.VideoFrame, bool]]:
        """For each of the ascending stamps the frame displayed then, and whether it surely is."""
        for _, group in groupby(wanted, key=self._group_of):
            targets = list(group)
            answered = 0
            for answer in self._decode_group(targets, targets[0]):
                answered += 1
                yield answer
            if answered < len(targets):
                yield from repeat(
                    (self._recover(targets[answered]), False), len(targets) - answered
                )

    def _group_of(self, tick: int) -> int:
        """Which key frame `tick` depends on, as a number. A wrong guess costs time, not truth."""
        if self._table is not None:
            return int(np.searchsorted(self._table.key_pts, tick, "right"))
        return self._stream.index_entries.search_timestamp(tick - self._reorder_pts)

    def _decode_group(self, targets: list[int], start: int) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Answers for ascending `targets`, decoding from the key frame before `start`; none at all
        where nothing decodes."""
        stamps: list[int] = []
        kept: tuple[av.VideoFrame, bool] | None = None
        waiting = iter(targets)
        target = next(waiting, None)
        for frame, damaged in self._decoded(targets, start, stamps):
            while target is not None and target < _pts(frame):
                yield _answer(target, kept or (frame, damaged), stamps)
                target = next(waiting, None)
            if kept is None or _pts(frame) > _pts(kept[0]):
                kept = frame, damaged
        while target is not None and kept is not None:
            yield _answer(target, kept, stamps)
            target = next(waiting, None)

    def _decoded(
        self, targets: list[int], start: int, stamps: list[int]
    ) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Frames from the key frame before `start` to the last target, each with whether damage
        came before it. Fills `stamps`, sorted, with what the container says is displayed."""
        self._damaged = False
        held: list[av.Packet] = []
        for packet in self._packets_from(start):
            if stamps and packet.dts is not None and packet.dts > targets[-1]:
                break
            pts = stamp(packet)
            if pts is not None and not packet.is_discard:
                insort(stamps, pts)
            held.append(packet)
            if len(held) == _MAX_HELD:
                yield from self._decode_all(held)
                held = []
        needed = {stamps[max(0, bisect_right(stamps, t) - 1)] for t in targets} if stamps else set()
        last = max((i for i, packet in enumerate(held) if stamp(packet) in needed), default=-1)
        yield from self._decode_all([*held[: last + 1], None])

    def _decode_all(
        self, packets: Sequence[av.Packet | None]
    ) -> Iterator[tuple[av.VideoFrame, bool]]:
        for packet in packets:
            for frame in self._decode(packet):
                if stamp(frame) is not None:
                    yield frame, self._damaged

    def _decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Frames that `packet` brings out (None drains); a packet that fails marks what follows."""
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            self._damaged = True
            return []
        if (packet is not None and packet.is_corrupt) or any(f.is_corrupt for f in frames):
            self._damaged = True
        return frames

    def _packets_from(self, start: int) -> Iterator[av.Packet]:
        """Packets in decoding order from the last key frame shown at or before `start`."""
        key = self._key_before(start) if self._table is not None else None
        if self._table is None or key is not None:
            aim = start if key is None else key[0]
            back = round(1 / self._tick_s)
            for _ in range(_MAX_SEEKS):
                try:
                    self._container.seek(aim, stream=self._stream)
                except av.error.FFmpegError:
                    break
                packets = read_packets(self._container, self._stream)
                first = next(packets, None)
                if first is not None and _is_early_enough(first, start, key):
                    return _from_key(chain((first,), packets), key)
                aim, back = aim - back, back * 4
        self._reopen()
        return _from_key(read_packets(self._container, self._stream), key)

    def _key_before(self, tick: int) -> tuple[int, int] | None:
        """(pts, dts) of the last key frame at or before `tick`, from the packet table."""
        assert self._table is not None
        row = int(np.searchsorted(self._table.key_pts, tick, "right")) - 1
        if row < 0:
            return None
        return int(self._table.key_pts[row]), int(self._table.key_dts[row])

    def _recover(self, target: int) -> av.VideoFrame:
        """A frame before `target` where nothing of its own group decodes: earlier groups, then the
        first frame of the file."""
        start = target
        for _ in range(_MAX_RECOVERIES):
            if self._table is not None:
                key = self._key_before(start)
                start = key[0] - 1 if key else self._start_pts
            else:
                entries = self._stream.index_entries
                row = entries.search_timestamp(start - self._reorder_pts)
                start = entries[max(0, row)].timestamp + self._reorder_pts - 1
            if start < self._start_pts:
                break
            for frame, _ in self._decode_group([target], start):
                return frame
        for frame, _ in self._decode_group([self._start_pts], self._start_pts):
            return frame
        raise VideoError(f"{self._path}: no frame of it can be decoded any more")

    def _reopen(self) -> None:
        self._container.close()
        self._container, self._stream = open_container(self._path)

    def _image(self, frame: av.VideoFrame, width_px: int, height_px: int) -> np.ndarray:
        """uint8 (height_px, width_px, 3), resized by the converter and turned upright."""
        if self._turns % 2:
            width_px, height_px = height_px, width_px
        try:
            rgb = self._reformatter.reformat(
                frame, width_px, height_px, "rgb24", interpolation="BICUBIC", threads=1
            )
        except av.error.FFmpegError as error:
            raise VideoError(
                f"{self._path}: a frame of {frame.width}x{frame.height} cannot be resized to "
                f"{width_px}x{height_px}"
            ) from error
        return np.rot90(rgb.to_ndarray(), k=self._turns)


def _pts(frame: av.VideoFrame) -> int:
    pts = stamp(frame)
    assert pts is not None
    return pts


def _answer(
    target: int, kept: tuple[av.VideoFrame, bool], stamps: list[int]
) -> tuple[av.VideoFrame, bool]:
    """`kept` with whether it is undamaged and what the container says is displayed at `target`."""
    frame, damaged = kept
    row = bisect_right(stamps, target) - 1
    return frame, not damaged and row >= 0 and stamps[row] == _pts(frame)


def _is_early_enough(first: av.Packet, start: int, key: tuple[int, int] | None) -> bool:
    pts = stamp(first)
    if pts is None:
        return False
    if key is None:
        return first.is_keyframe and pts <= start
    return (first.is_keyframe and pts == key[0]) or first.dts is None or first.dts < key[1]


def _from_key(packets: Iterator[av.Packet], key: tuple[int, int] | None) -> Iterator[av.Packet]:
    if key is None:
        return packets
    return dropwhile(lambda p: not (p.is_keyframe and stamp(p) == key[0]), packets)

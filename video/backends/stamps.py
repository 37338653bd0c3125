"""Presentation stamps that a container gets wrong or leaves out: found out, and put right.

A decoder gives frames in the order in which they are shown, so a stamp that goes back proves that
the stamps are wrong. Three kinds of file have such stamps: those that store none (AVI, ASF), where
FFmpeg makes them up from the order of coding; raw streams that were copied into a container, whose
presentation stamps are those of decoding; and files joined end to end, whose stamps begin again.

Imported lazily (it imports av at the top).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from mmreason.video.backends.base import Deadline

NO_STAMP = np.iinfo(np.int64).min
_MAX_OVERLAP_S = 0.1
"""A key frame may lie this far behind the newest frame before it without proving a restart."""
_MAX_FALL_S = 1.0
"""So may any other packet: reordering and small faults move stamps by less."""
_MAX_STRAYS = 4
_STRAY_GAPS = 250
_CONSTANT_SHARE = 0.9
_MAX_LOSSES = 1000
_REORDERED = 32
"""Packets among which the first one shown lies."""
_CHECKED_FRAMES = 48
_CHECKED_PACKETS = 400
_VOP_START = re.compile(rb"\x00\x00\x01\xb6")
_BIDIRECTIONAL = 2
_EMPTY_BYTES = 20
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StampRepair:
    """The true stamps of a file's packets, one row a packet in the order of the file."""

    pts: np.ndarray
    """int64 (N,), ticks; NO_STAMP where a packet brings no frame of its own."""
    dts: np.ndarray
    """int64 (N,), ticks: no later packet is shown before this."""
    start_pts: int
    """Stamp of the first frame that is shown; an edit list may hide some before it."""
    parts: int = 1
    """How many files were put one after the other."""
    after_loss: frozenset[int] = frozenset()
    """Presentation stamps of packets before which others are missing."""
    row_of_dts: dict[int, int] | None
    """Row of the packet with a stored decoding stamp; None where those are not unique, so that
    packets are known by their place and the file is read from its start."""
    note: str

    def repaired(self, stored: StoredStamps) -> StoredStamps:
        """`stored` as it reads with this repair."""
        return replace(stored, pts=self.pts, dts=np.where(self.pts == NO_STAMP, NO_STAMP, self.dts))

    def restamp(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
        """`packets` with their true stamps; from the start of the file where places count."""
        row = -1
        for packet in packets:
            row += 1  # packets follow each other; some formats lose stamps after a seek
            if self.row_of_dts is not None and packet.dts is not None:
                row = self.row_of_dts.get(packet.dts, row)
            is_stamped = row < len(self.pts) and self.pts[row] != NO_STAMP
            packet.pts = int(self.pts[row]) if is_stamped else None
            packet.dts = int(self.dts[row]) if is_stamped else None
            yield packet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredStamps:
    """What packets say before anything is repaired, one row a packet in the order of the file."""

    pts: np.ndarray
    """int64 (N,), ticks; NO_STAMP for none."""
    dts: np.ndarray
    is_key: np.ndarray
    is_hidden: np.ndarray
    """bool (N,): left out by an edit list."""
    is_corrupt: np.ndarray
    duration: np.ndarray
    pos: np.ndarray
    """int64 (N,): where the packet lies in the file, -1 where that is not told."""
    needs_order: bool
    """Whether a packet without a presentation stamp shows that only the decoder knows the order of
    frames; see `needs_decoding`."""
    complete: bool
    """Whether the end of the file was reached."""

    @property
    def either(self) -> np.ndarray:
        """int64 (N,): the presentation stamp, or else the decoding stamp."""
        return np.where(self.pts == NO_STAMP, self.dts, self.pts)


def find_restarts(stored: StoredStamps, tick_s: float) -> np.ndarray:
    """Rows at which the stamps begin again, int64 (R,): there a second file was joined on.

    A key frame is shown after everything coded before it, so one that is not proves a restart;
    so does any stamp that falls by more than reordering can explain. A single stamp that is too
    late proves nothing.
    """
    stamped_rows = np.flatnonzero(stored.either != NO_STAMP)
    either, is_key = stored.either[stamped_rows], stored.is_key[stamped_rows]
    dts = np.where(stored.dts[stamped_rows] == NO_STAMP, either, stored.dts[stamped_rows])
    falls = (np.diff(dts) < 0) & ((np.diff(either) < 0) | is_key[1:])
    restarts: list[int] = []
    start, newest = 0, NO_STAMP
    for row in (np.flatnonzero(falls) + 1).tolist():  # few, so that they are looked at one by one
        newest = max(newest, int(either[start:row].max()))
        start = row
        behind = newest - int(either[row])
        back = int(dts[max(0, row - 2) : row].min()) - int(dts[row])
        joined = is_key[row] and back > 0 and behind * tick_s > _MAX_OVERLAP_S
        if joined or min(behind, back) * tick_s > _MAX_FALL_S:
            restarts.append(row)
            newest = NO_STAMP
    return stamped_rows[restarts].astype(np.int64)


def join_restarts(stored: StoredStamps, restarts: np.ndarray, frame_ticks: int) -> StampRepair:
    """One continuous line of stamps: each part goes on where the one before it ends."""
    either = stored.either
    pts = either.copy()
    end: int | None = None
    for file_pts in np.split(pts, restarts):  # views: they are moved in place
        is_stamped = file_pts != NO_STAMP
        if not is_stamped.any():
            continue
        if end is not None:
            file_pts[is_stamped] += end - int(file_pts[is_stamped][:_REORDERED].min())
        ascending = np.sort(file_pts[is_stamped])
        gap = _usual_gap(ascending, frame_ticks)
        end = int(_without_strays(ascending, gap)[-1]) + gap
    return StampRepair(
        pts=pts,
        dts=earliest_later(pts),
        start_pts=NO_STAMP,
        parts=len(restarts) + 1,
        row_of_dts=None,
        note=f"its time stamps begin again {_times(len(restarts))} (files joined end to end?): the "
        "parts are shown one after the other",
    )


def _without_strays(ascending: np.ndarray, gap: int) -> np.ndarray:
    """Stamps without the few late ones, far from all others, that damage makes."""
    late = ascending[-_MAX_STRAYS - 1 :]
    jumps = np.flatnonzero(np.diff(late) > _STRAY_GAPS * gap)
    return ascending[: len(ascending) - len(late) + 1 + jumps[0]] if len(jumps) else ascending


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _usual_gap(ascending: np.ndarray, frame_ticks: int) -> int:
    gaps = np.diff(ascending)
    gaps = gaps[gaps > 0]
    return int(np.median(gaps)) if len(gaps) else max(1, frame_ticks)


def earliest_later(pts: np.ndarray) -> np.ndarray:
    """int64 (N,): the earliest stamp among each packet and all after it, which is what a decoding
    stamp promises.

    Example:
        >>> earliest_later(np.array([0, 3, 1, 2])).tolist()
        [0, 1, 1, 2]
    """
    finite = np.where(pts == NO_STAMP, np.iinfo(np.int64).max, pts)
    return np.minimum.accumulate(finite[::-1])[::-1]


def find_losses(stored: StoredStamps) -> np.ndarray:
    """Rows before which packets were lost, int64 (L,), of a recording with a constant frame rate:
    there a time is missing among otherwise even ones."""
    ascending = np.sort(stored.either[stored.either != NO_STAMP])
    gaps = np.diff(ascending)
    gaps, before = gaps[gaps > 0], ascending[:-1][gaps > 0]
    if not len(gaps):
        return np.empty(0, np.int64)
    usual = float(np.median(gaps))
    if (np.abs(gaps - usual) <= 0.1 * usual).mean() < _CONSTANT_SHARE:
        return np.empty(0, np.int64)
    rows = [int((stored.either > stamp).argmax()) for stamp in before[gaps > 1.5 * usual]]
    return np.asarray(rows[:_MAX_LOSSES], np.int64)


def index_losses(
    stored: StoredStamps, indexed: dict[int, int]
) -> tuple[StoredStamps, np.ndarray] | None:
    """Decoding stamps by what the index says of the places at which packets lie, and the rows
    before which packets are missing; None where none is missing in between.

    AVI stores no times: they are counted, and a packet that is lost moves all that follow.
    """
    dts = np.asarray([indexed.get(pos, NO_STAMP) for pos in stored.pos.tolist()], np.int64)
    is_indexed = dts != NO_STAMP
    if len(indexed) <= len(dts) or not is_indexed.any():
        return None
    dts = _fill(dts, is_indexed, 1)
    losses = np.flatnonzero(np.diff(dts) > 1) + 1
    if not len(losses):  # the end of the file is missing, and nothing before it
        return None
    return replace(stored, pts=np.full(len(dts), NO_STAMP), dts=dts), losses


def keep_order(stored: StoredStamps) -> StampRepair:
    """The decoding stamps as presentation stamps, for frames that are shown as they are coded."""
    return StampRepair(pts=stored.dts, dts=stored.dts, start_pts=NO_STAMP, row_of_dts=None, note="")


def order_frames(
    stored: StoredStamps,
    display_rows: list[int],
    frame_ticks: int,
    *,
    hidden: int = 0,
    note: str = "",
) -> StampRepair:
    """Stamps for packets whose frames the decoder shows in the order of `display_rows`.

    Stored presentation stamps are kept where they rise in that order; otherwise the decoding
    stamps of the same packets are dealt out in order. What has neither lies evenly between. The
    first `hidden` frames are not shown, and the next one takes the time of the first.
    """
    rows = np.asarray(display_rows, np.int64)
    times = stored.pts[rows]
    is_stamped = times != NO_STAMP
    if not is_stamped.any() or (np.diff(times[is_stamped]) <= 0).any():
        decoded = stored.dts[rows]
        is_stamped = decoded != NO_STAMP
        times = np.sort(decoded[is_stamped])
        # A frame is not shown before it is decoded, unless an edit list takes that delay out.
        delay = 0 if hidden or not len(times) else max(0, int((decoded[is_stamped] - times).max()))
        decoded[is_stamped] = times + delay
        times = decoded
    times = _fill(times, is_stamped, frame_ticks)
    times -= times[hidden] - times[0]
    pts = np.full(len(stored.pts), NO_STAMP)
    pts[rows] = times
    return StampRepair(
        pts=pts,
        dts=earliest_later(pts),
        start_pts=int(times[hidden]),
        row_of_dts=None if note else _rows_by_dts(stored.dts),
        note=note
        or "its stored times are missing or wrong: every frame was decoded once at opening to find "
        "the order in which they are shown",
    )


def _fill(times: np.ndarray, is_stamped: np.ndarray, frame_ticks: int) -> np.ndarray:
    """`times` with the unknown ones a frame apart before and after, evenly between known ones."""
    rows = np.arange(len(times))
    known_rows = rows[is_stamped]
    if not len(known_rows):
        return rows * frame_ticks
    filled = np.interp(rows, known_rows, times[is_stamped].astype(np.float64))
    filled[: known_rows[0]] = (
        times[known_rows[0]] - (known_rows[0] - rows[: known_rows[0]]) * frame_ticks
    )
    filled[known_rows[-1] + 1 :] = (
        times[known_rows[-1]] + (rows[known_rows[-1] + 1 :] - known_rows[-1]) * frame_ticks
    )
    return np.round(filled).astype(np.int64)


def _rows_by_dts(dts: np.ndarray) -> dict[int, int] | None:
    rows = {stamp: row for row, stamp in enumerate(dts.tolist())}
    return None if NO_STAMP in rows or len(rows) != len(dts) else rows


def shown_rows(container: InputContainer, stream: VideoStream, deadline: Deadline) -> list[int]:
    """Rows of packets in the order in which the decoder shows their frames, from the start of the
    file. Pixels are decoded only as far as the order needs."""
    context = stream.codec_context
    context.options = {**context.options, "skip_loop_filter": "all", "skip_idct": "all"}
    rows: list[int] = []
    for row, packet in enumerate(_demuxed(container, stream, deadline)):
        if packet is not None:
            packet.pts = packet.dts = row
        rows += [pts for pts in _shown_stamps(stream, packet) if pts is not None]
    return rows


def goes_back(container: InputContainer, stream: VideoStream, deadline: Deadline) -> bool:
    """Whether stamps fall among the first frames that the decoder shows, from the start of the
    file, which proves them wrong."""
    newest, frame_count = NO_STAMP, 0
    for row, packet in enumerate(_demuxed(container, stream, deadline)):
        for pts in _shown_stamps(stream, packet):
            if pts is not None and pts < newest:
                return True
            newest = newest if pts is None else pts
            frame_count += 1
        if frame_count >= _CHECKED_FRAMES or row >= _CHECKED_PACKETS:
            break
    return False


def _demuxed(
    container: InputContainer, stream: VideoStream, deadline: Deadline
) -> Iterator[av.Packet | None]:
    """Packets that hold data, and None at the end. Ends early at damage."""
    try:
        for packet in container.demux(stream):
            deadline.check()
            if packet.size:
                yield packet
    except MemoryError:  # no damage
        raise
    except (av.error.FFmpegError, IndexError):
        deadline.check()
    yield None


def _shown_stamps(stream: VideoStream, packet: av.Packet | None) -> list[int | None]:
    try:
        frames = stream.codec_context.decode(packet)
    except MemoryError:  # no damage
        raise
    except av.error.FFmpegError:
        return []
    return [frame.pts if frame.pts is not None else frame.dts for frame in frames]


def may_reorder(codec: str, context: av.VideoCodecContext) -> bool:
    """Whether frames may be shown in another order than they are stored in."""
    return bool(context.has_b_frames) or codec == "mpeg4"


def needs_decoding(codec: str, data: memoryview) -> bool:
    """Whether a packet by itself shows that only its decoder knows the order of frames.

    Of MPEG-4 part 2 those with a bidirectional frame or with hardly any data, which stand for a
    frame that was left out or packed into the packet before. Of other codecs every packet.
    """
    if codec != "mpeg4" or len(data) <= _EMPTY_BYTES:
        return True
    head = bytes(data[:_HEAD_BYTES])
    return any(
        head[start.end()] >> 6 == _BIDIRECTIONAL for start in _VOP_START.finditer(head, 0, -1)
    )

"""Opening a container through PyAV and reading its packets: stamps, key frames, no decoding.

Imported lazily (it imports av at the top).
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.container.core import Flags
from av.video.stream import VideoStream

from mmreason.video.backends.base import (
    MAX_PICTURE_PX,
    MAX_SIDE_PX,
    BackendError,
    Deadline,
    check_file,
)
from mmreason.video.backends.container import open_container_file
from mmreason.video.backends.stamps import (
    NO_STAMP,
    StampRepair,
    StoredStamps,
    find_losses,
    needs_decoding,
)
from mmreason.video.backends.tracks import choose_stream, film_streams
from mmreason.video.types import VideoError
from mmreason.video.unreadable import explain_unreadable

Opened = tuple[InputContainer, VideoStream]

_LOSSY = {"mpegts", "mpeg"}
"""Formats of broadcasts, of which packets are lost on the way without a trace."""
_PARTLY_STAMPED = {"mpeg"}
"""Formats that stamp some packets only: FFmpeg fills in the others, in the order of display."""
# Formats that only name other files or draw text: not videos by themselves.
_NOT_VIDEOS = {"tty", "hls", "concat", "dash", "sdp"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Access:
    """How a file is opened and how its packets are read."""

    path: Path
    track: int | None = None
    """Index of the stream in the container; None chooses one."""
    generate_pts: bool = False
    """Whether FFmpeg fills in presentation stamps that some packets lack. It makes up wrong ones
    where no packet has any."""
    follow_edits: bool = True
    """Whether an edit list hides packets: of those whose stamps are wrong it hides the wrong
    ones."""
    repair: StampRepair | None = None

    @property
    def by_place(self) -> bool:
        """Whether packets are known by their place, so that the file is read from its start."""
        return self.repair is not None and self.repair.row_of_dts is None


def open_container(
    access: Access, deadline: Deadline | None = None
) -> tuple[InputContainer, VideoStream]:
    """Open a local file and one of its video streams, set to decode with one thread. Raises
    VideoError."""
    path = access.path
    container = _open(access, deadline)
    try:
        # Made-up stamps could not be told from stored ones.
        if not access.generate_pts and container.format.name not in _PARTLY_STAMPED:
            container.flags &= ~Flags.gen_pts.value
        track = access.track
        # Choosing reads packets: opened anew, so that reading begins at the start.
        if track is None and len(film_streams(container)) > 1:
            track = choose_stream(container).index
            flags = container.flags
            container.close()
            container = _open(access, deadline)
            container.flags = flags
        return container, _video_stream(path, container, track)
    # Ctrl-C too: an open container keeps its descriptor.
    except BaseException:
        container.close()
        raise


def _open(access: Access, deadline: Deadline | None) -> InputContainer:
    path = access.path
    check_file(path)
    deadline = deadline or Deadline(path, None)
    deadline.check()
    # FFmpeg itself refuses larger pictures, before it sets memory aside for them.
    options = {"max_pixels": str(MAX_PICTURE_PX)}
    if not access.follow_edits:
        options["ignore_editlist"] = "1"
    try:
        return open_container_file(path, options, deadline.left_s)
    # That of PyAV is an FFmpegError as well, and says nothing about the file.
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise VideoError(f"{path}: {_why_unreadable(path, error)}") from error


def _why_unreadable(path: Path, error: av.error.FFmpegError) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return explain_unreadable(path)
    if isinstance(error, OSError) and not os.access(path, os.R_OK):
        return f"cannot be opened ({error.strerror})"
    return f"{explain_unreadable(path)} ({error.strerror})"


def _video_stream(path: Path, container: InputContainer, track: int | None) -> VideoStream:
    if container.format.name in _NOT_VIDEOS:
        raise VideoError(f"{path}: {explain_unreadable(path)}")
    if track is None:
        films = film_streams(container)
        if not films:
            content = "audio only" if container.streams.audio else "no video track"
            raise VideoError(f"{path}: holds {content}, expected a video")
        stream = films[0]
    else:
        by_index = {stream.index: stream for stream in container.streams.video}
        if track not in by_index:
            raise VideoError(
                f"{path}: has no video track {track}; its video tracks are "
                f"{', '.join(map(str, by_index)) or 'none'}"
            )
        stream = by_index[track]
    if stream.codec_context is None or stream.time_base is None:
        raise BackendError(f"{path}: its video codec is not known to this decoder")
    # What the header says, checked before a picture of that size is decoded.
    width_px, height_px = stream.codec_context.width, stream.codec_context.height
    if width_px * height_px > MAX_PICTURE_PX or max(width_px, height_px) > MAX_SIDE_PX:
        raise VideoError(
            f"{path}: says its pictures are {width_px}x{height_px}, the limit is "
            f"{MAX_PICTURE_PX / 1e6:.0f} million pixels and {MAX_SIDE_PX:,} a side"
        )
    stream.codec_context.thread_count = 1  # else one a core, with a refill at every seek
    stream.codec_context.options = {"max_pixels": str(MAX_PICTURE_PX)}
    return stream


def presentation_stamp(item: av.Packet | av.VideoFrame) -> int | None:
    """Presentation stamp in time-base ticks, or the decoding stamp where the file has no other."""
    return item.pts if item.pts is not None else item.dts


def read_packets(
    container: InputContainer,
    stream: VideoStream,
    deadline: Deadline,
    repair: StampRepair | None = None,
) -> Iterator[av.Packet]:
    """Packets of `stream` that hold data, from the present position on, with their true stamps by
    `repair`. Ends early at damage; raises VideoError when `deadline` says so."""
    packets = _demux(container, stream, deadline)
    return packets if repair is None else repair.restamp(packets)


def _demux(
    container: InputContainer, stream: VideoStream, deadline: Deadline
) -> Iterator[av.Packet]:
    try:
        for packet in container.demux(stream):
            deadline.check()
            if packet.size:
                yield packet
    except MemoryError:  # no damage
        raise
    except av.error.FFmpegError:
        deadline.check()
        return
    except IndexError:  # PyAV, at the end of a file in which a stream appeared after opening
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketTable:
    """Stamps of the packets read, in ticks. `is_discard` packets (edit lists) are not shown."""

    shown_pts: np.ndarray
    """int64, ascending: one entry a displayed frame."""
    shown_key_pts: np.ndarray
    """int64, ascending: displayed key frames."""
    key_pts: np.ndarray
    """int64, ascending: all key frames, hidden ones too."""
    key_dts: np.ndarray
    """int64: decoding stamps of `key_pts`."""
    end_pts: int
    """When the last frame stops being shown, 0 where nothing is shown."""
    discarded: int
    corrupt: int
    unstamped: int
    repeated: int
    """Packets with the stamp of another one, whose frames cannot be asked for."""
    leading: int
    """Packets stored after a key frame and shown before it: an open group of pictures."""
    complete: bool
    """Whether the end of the file was reached."""
    after_loss: frozenset[int] = frozenset()
    """Stamps of packets before which others were lost: what follows refers to them."""

    def shown_from(self, start_pts: int) -> PacketTable:
        """The table without the frames before `start_pts`, the first one that can be decoded."""
        return replace(
            self,
            shown_pts=self.shown_pts[self.shown_pts >= start_pts],
            shown_key_pts=self.shown_key_pts[self.shown_key_pts >= start_pts],
        )


_KEY, _HIDDEN, _CORRUPT = 1, 2, 4
_INDEX_STEP = 1000
_MIN_COVERED = 0.8
"""Part of the stated duration that an index must span to be trusted."""


def scan_packets(
    container: InputContainer,
    stream: VideoStream,
    deadline: Deadline,
    repair: StampRepair | None = None,
    max_packets: int | None = None,
) -> PacketTable:
    """Read packets from the present position to the end (or `max_packets`) without decoding."""
    return build_packet_table(read_stored(container, stream, deadline, repair, max_packets), stream)


def read_stored(
    container: InputContainer,
    stream: VideoStream,
    deadline: Deadline,
    repair: StampRepair | None = None,
    max_packets: int | None = None,
) -> StoredStamps:
    """What the packets from the present position to the end (or `max_packets`) say."""
    codec = stream.codec_context.codec.canonical_name
    rows = array("q")  # pts, dts, duration, flags and place of every packet: 40 bytes each
    complete, needs_order = True, False
    for row, packet in enumerate(read_packets(container, stream, deadline, repair)):
        if row == max_packets:
            complete = False
            break
        # One flat array of integers: an hour of video has 200,000 packets and more.
        pts = NO_STAMP if packet.pts is None else packet.pts
        dts = NO_STAMP if packet.dts is None else packet.dts
        flags = _KEY * packet.is_keyframe + _HIDDEN * packet.is_discard
        flags += _CORRUPT * packet.is_corrupt
        pos = -1 if packet.pos is None else packet.pos
        rows.extend((pts, dts, packet.duration or 0, flags, pos))
        # Looked at until one shows it: the bytes of a packet are not kept.
        if pts == NO_STAMP and not needs_order:
            needs_order = needs_decoding(codec, memoryview(packet))
    table = np.array(rows, np.int64).reshape(-1, 5)
    return StoredStamps(
        pts=table[:, 0],
        dts=table[:, 1],
        duration=table[:, 2],
        is_key=table[:, 3] & _KEY > 0,
        is_hidden=table[:, 3] & _HIDDEN > 0,
        is_corrupt=table[:, 3] & _CORRUPT > 0,
        pos=table[:, 4],
        needs_order=needs_order,
        complete=complete,
    )


def build_packet_table(stored: StoredStamps, stream: VideoStream) -> PacketTable:
    """The packet table of stamps that can be trusted."""
    # 1. Only packets with a stamp are frames that can be asked for.
    is_stamped = stored.either != NO_STAMP
    if len(is_stamped) and stored.is_corrupt[-1]:
        is_stamped[-1] = False  # the file was cut inside this frame: it cannot be shown
    pts, is_key = stored.either[is_stamped], stored.is_key[is_stamped]
    dts = np.where(stored.dts[is_stamped] == NO_STAMP, pts, stored.dts[is_stamped])
    # 2. Packets that an edit list hides are decoded and not shown.
    is_shown, duration = ~stored.is_hidden[is_stamped], stored.duration[is_stamped]
    # 3. Broadcasts lose packets without a mark: frames after a loss are delivered as inexact.
    losses = np.empty(0, np.int64)
    if stream.container.format.name in _LOSSY:
        losses = find_losses(stored)
        if stream.container.format.name in _PARTLY_STAMPED:
            # Times without a stamp of their own are counted, and wrong from the loss on: up to a
            # group of pictures before the time that is missing.
            keys = np.flatnonzero(stored.is_key)
            groups = np.searchsorted(keys, losses, "right") - 1
            losses = np.unique(keys[groups[groups >= 0]]) + 1
            losses = losses[losses < len(stored.pts)]
    # 4. Leading packets are stored after a key frame and shown before it (open groups).
    newest_key = np.maximum.accumulate(np.where(is_key, pts, NO_STAMP))
    key_rows = np.flatnonzero(is_key)[np.argsort(pts[is_key], kind="stable")]
    # 5. Frames with one stamp are one frame to who asks by time; the first of them counts.
    shown_pts, first_rows, counts = find_distinct(pts[is_shown])
    last_duration = int(duration[is_shown][first_rows[-1]]) if len(shown_pts) else 0
    return PacketTable(
        shown_pts=shown_pts,
        shown_key_pts=find_distinct(pts[is_shown & is_key])[0],
        key_pts=pts[key_rows],
        key_dts=dts[key_rows],
        end_pts=_end(shown_pts, last_duration, stream) if len(shown_pts) else 0,
        discarded=int((~is_shown).sum()),
        corrupt=int(stored.is_corrupt.sum()),
        unstamped=int((stored.either == NO_STAMP).sum()),
        repeated=int((counts - 1).sum()),
        leading=int((pts < newest_key).sum()),
        complete=stored.complete,
        after_loss=frozenset(stored.either[losses].tolist()),
    )


def find_distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Different values (T,) in order, the first row of each, and how often it is there.

    As `np.unique`, which imports numpy.ma on its first use: a megabyte, and milliseconds before the
    first frame.

    Example:
        >>> values, first_rows, counts = find_distinct(np.array([7, 3, 7]))
        >>> values.tolist(), first_rows.tolist(), counts.tolist()
        ([3, 7], [1, 0], [1, 2])
    """
    # Stable, so that of equal values the first row leads.
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[len(ordered) > 0, ordered[1:] != ordered[:-1]][: len(ordered)])
    return ordered[starts], order[starts], np.diff(np.r_[starts, len(ordered)])


def _end(shown_pts: np.ndarray, last_duration: int, stream: VideoStream) -> int:
    """End of the last frame: its length, else the usual gap, else a frame of the stated rate."""
    # 1. Its length is not stored: the usual gap of the last frames.
    if last_duration <= 0 and len(shown_pts) > 1:
        last_duration = int(np.median(np.diff(shown_pts[-64:])))
    # 2. The only frame: one frame of the rate that is stated, or 1/25 s.
    if last_duration <= 1 and len(shown_pts) == 1:
        assert stream.time_base is not None
        rate_hz = stream.average_rate or stream.guessed_rate or 25
        last_duration = max(last_duration, round(1 / (rate_hz * stream.time_base)))
    return int(shown_pts[-1]) + max(1, last_duration)


def tail_through_index(
    container: InputContainer, stream: VideoStream, size_bytes: int, deadline: Deadline
) -> PacketTable | None:
    """The last packets, reached through a full index (mp4); None where there is none to trust."""
    entries, duration = stream.index_entries, stream.duration
    if "mp4" not in container.format.name or not len(entries) or not duration:
        return None
    count, last = len(entries), entries[len(entries) - 1]
    # An index that covers a part of the film only (fragments) tells nothing of its end.
    if last.timestamp - entries[0].timestamp < _MIN_COVERED * duration:
        return None
    if last.pos + last.size > size_bytes:  # the file is cut short
        return None
    try:
        container.seek(last.timestamp, stream=stream)
    except av.error.FFmpegError:
        return None
    tail = scan_packets(container, stream, deadline)
    grew = len(stream.index_entries) > count  # a fragmented file goes on after its index
    return None if grew or tail.corrupt or not len(tail.shown_pts) else tail


def load_cues(container: InputContainer, stream: VideoStream) -> None:
    """Have a Matroska file's cues read into the stream's index, which a first seek does."""
    assert stream.time_base is not None
    with suppress(av.error.FFmpegError):
        end_s = (container.duration or 0) / av.time_base
        container.seek(min(2**62, round(end_s / stream.time_base)), stream=stream)


def tail_through_cues(
    container: InputContainer, stream: VideoStream, size_bytes: int, deadline: Deadline
) -> PacketTable | None:
    """The last packets of a Matroska or WebM file, reached through its cues, which hold the times
    of key frames; None where it has none to trust."""
    if "matroska" not in container.format.name or not container.duration:
        return None
    load_cues(container, stream)
    entries = stream.index_entries
    if not len(entries):
        return None
    assert stream.time_base is not None
    # Cues that end early were not written to the end of the film.
    covered_s = (entries[len(entries) - 1].timestamp - entries[0].timestamp) * stream.time_base
    if covered_s < _MIN_COVERED * container.duration / av.time_base:
        return None
    last = entries[len(entries) - 1]
    if last.pos > size_bytes:  # the file is cut short
        return None
    try:
        container.seek(last.timestamp, stream=stream)
    except av.error.FFmpegError:
        return None
    tail = scan_packets(container, stream, deadline)
    # Where the seek lands elsewhere, the cues are not those of this file.
    matches = len(tail.key_pts) and int(tail.key_pts[0]) == last.timestamp
    return tail if matches and len(tail.shown_pts) and not tail.corrupt else None


def shown_in_index(stream: VideoStream) -> int:
    """How many frames of a full index are shown. A trim hides the first or last ones; an index that
    is as long as the file's own table was not put together from parts, so its middle is left out.
    """
    entries = stream.index_entries
    if len(entries) != stream.frames:
        return sum(not entry.is_discard for entry in entries)
    # Trims hide runs of frames at both ends: looked at in steps, until a step hides none.
    hidden = 0
    for row in range(0, len(entries), _INDEX_STEP):
        hidden_in_step = sum(entry.is_discard for entry in entries[row : row + _INDEX_STEP])
        hidden += hidden_in_step
        if not hidden_in_step:
            break
    # Every step hides some: the whole index was looked at, and no end is left to count.
    else:
        return len(entries) - hidden
    for row in range(len(entries), 0, -_INDEX_STEP):
        hidden_in_step = sum(entry.is_discard for entry in entries[max(0, row - _INDEX_STEP) : row])
        hidden += hidden_in_step
        if not hidden_in_step:
            break
    return len(entries) - hidden


def key_pts_through_index(
    container: InputContainer, stream: VideoStream, end_pts: int, deadline: Deadline
) -> list[int] | None:
    """Stamps of displayed key frames, one short seek each; None where a full scan is better.

    The index holds decoding stamps, so each key frame's packet is looked at.
    """
    entries = stream.index_entries
    keys = [(entry.timestamp, entry.is_discard) for entry in entries if entry.is_keyframe]
    # With key frames so dense a seek for each costs more than reading the file once.
    if not keys or len(keys) > max(16, len(entries) // 8):
        return None
    key_pts: list[int] = []
    # Seeking to just before the next key frame lands on this one.
    ends = [dts - 1 for dts, _ in keys[1:]] + [end_pts]
    for (dts, hidden), aim in zip(keys, ends, strict=True):
        if hidden:
            continue
        try:
            container.seek(aim, stream=stream)
        except av.error.FFmpegError:
            return None
        packet = next(read_packets(container, stream, deadline), None)
        # Landed elsewhere, or on a packet without a time: the index cannot be relied on.
        if packet is None or packet.dts != dts or packet.pts is None:
            return None
        key_pts.append(packet.pts)
    return key_pts

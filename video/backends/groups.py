"""Decoding groups of pictures: from a key frame to the wanted frame, and no further.

A `GroupReader` is one container with one decoder thread; several work side by side on parts of a
request. Imported lazily (it imports av at the top).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, repeat

import av
import av.error
import numpy as np

from mmreason.video.backends.base import BackendError, Deadline
from mmreason.video.backends.facts import Facts
from mmreason.video.backends.packets import (
    Opened,
    load_cues,
    open_container,
    presentation_stamp,
    read_packets,
)
from mmreason.video.backends.pictures import PictureConverter

DecodedFrame = tuple[av.VideoFrame, bool]
"""A frame, and whether it surely is the one displayed at the time asked for."""

# Each aims four times as far back; after these, reading from the start is surer.
_MAX_SEEKS = 4
_MAX_LOOKS_BACK = 3
_MAX_VAIN_LOOKS = 2
"""Groups that may be read again from an earlier key frame in vain, before that is given up."""
_MAX_HELD = 64
_MAX_HELD_BYTES = 32 * 2**20
"""Packets held back, so as to feed the decoder no more than needed."""


class GroupReader:
    """Reads frames of one file for one thread at a time."""

    def __init__(self, facts: Facts, opened: Opened | None, deadline: Deadline) -> None:
        """`opened` is taken over; None opens the file. Raises VideoError."""
        self.deadline = deadline
        self._facts = facts
        self._container, self._stream = opened or self._opened()
        self._converter = PictureConverter(facts.access.path, facts.shown)
        self._vain_looks = 0
        self._damaged_until: int | float | None = None
        """None while nothing is damaged, else the stamp from which frames are whole again."""

    def close(self) -> None:
        """Explicit, because some decoders leak otherwise."""
        self._container.close()

    def answers(self, targets: Iterable[int]) -> Iterator[DecodedFrame]:
        """For each of the ascending stamps the frame displayed then."""
        for _, group in groupby(targets, key=self.group_of):
            yield from self._answer_group(list(group))

    def group_of(self, tick: int) -> int:
        """Which key frame `tick` depends on, as a number. A wrong guess costs time, not truth."""
        if self._facts.table is not None:
            return int(np.searchsorted(self._facts.table.key_pts, tick, "right"))
        return self._stream.index_entries.search_timestamp(tick - self._facts.reorder_pts)

    def work(self, tick: int) -> int:
        """Roughly how many frames are decoded to reach `tick`."""
        table, entries = self._facts.table, self._stream.index_entries
        if table is not None:
            # With a table the way is known exactly: from the key frame to the tick.
            key = self._key_before(tick)
            first = tick if key is None else key[0]
            low, high = np.searchsorted(table.shown_pts, (first, tick))
            return 1 + int(high - low)
        # Index entries hold decoding stamps, which run ahead of presentation by the reorder delay.
        aim = tick - self._facts.reorder_pts
        if self._facts.by_cues:
            # Cues list key frames alone, so frames in between are guessed from the rate.
            passed = tick - entries[max(0, entries.search_timestamp(aim))].timestamp
            return 1 + round(passed * self._facts.tick_s * self._facts.info.mean_fps_hz)
        return 1 + entries.search_timestamp(aim, any_frame=True) - entries.search_timestamp(aim)

    def every_frame(self, start: int, end: int) -> Iterator[DecodedFrame]:
        """Each frame displayed at some moment of `[start, end)`, in order."""
        before: DecodedFrame | None = None
        newest: int | None = None
        fell = False
        for frame, damaged in self._frames_from(start):
            pts = _pts(frame)
            # Frames come in the order of display: without damage a stamp that falls is wrong, and
            # whatever follows is not surely what it says.
            fell = fell or (newest is not None and pts < newest and not damaged)
            if pts >= end:
                break
            # The last frame at or before the start is the one displayed there.
            if pts <= start:
                if newest is None:  # later on it is a damaged file that goes back in time
                    before = frame, not damaged
                continue
            if before is not None:
                yield before
                before, newest = None, _pts(before[0])
            if newest is None or pts > newest:
                newest = pts
                yield frame, not (damaged or fell)
        if before is not None:
            yield before

    def _frames_from(self, start: int) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Frames in order, the first one shown at or before `start`: from the key frame before it,
        or an earlier one where that needs more than itself."""
        frames: Iterator[tuple[av.VideoFrame, bool]] = iter(())
        # 1. From the key frame before `start`. 2. Some key frames need frames before them: earlier
        # ones are tried. 3. At last from the first again, taking what comes.
        for begin in (start, *self._earlier(start), start):
            frames = self._decode_all(chain(self._packets_from(begin), (None,)), None)
            first = next(frames, None)
            if first is not None:
                frames = chain((first,), frames)
                if _pts(first[0]) <= start:
                    break
        return frames

    def _opened(self) -> Opened:
        opened = open_container(self._facts.access, self.deadline)
        if self._facts.by_cues:
            load_cues(*opened)
        return opened

    # One group

    def _answer_group(self, targets: list[int]) -> Iterator[DecodedFrame]:
        """Answers for `targets` of one group. Where the group gives other frames than the container
        promises, though nothing is damaged, it is read again from earlier key frames: some
        encoders mark key frames that need more than themselves."""
        # 1. Decode the group; an undamaged frame other than the container promises means that the
        #    key frame was none: start again from an earlier one, for the targets still open.
        starts = [targets[0]]
        for start in chain(starts, self._earlier(targets[0])):
            done, last_look = 0, self._vain_looks >= _MAX_VAIN_LOOKS
            for frame, exact, damaged in self._decode_group(targets, start):
                if not (exact or damaged or last_look):
                    break
                done += 1
                yield frame, exact
            targets = targets[done:]
            if not targets:
                return
            if last_look:
                break
        # 2. Looking back did not help: take what the group gives, and do not look back for ever.
        self._vain_looks += 1
        done = 0
        for frame, exact, _ in self._decode_group(targets, targets[0]):
            done += 1
            yield frame, exact
        # 3. Nothing decodes for the rest: the nearest frame before stands for all of them.
        if done < len(targets):
            yield from repeat((self._recover(targets[done]), False), len(targets) - done)

    def _decode_group(
        self, targets: list[int], start: int
    ) -> Iterator[tuple[av.VideoFrame, bool, bool]]:
        """(frame, exact, damaged) for ascending `targets`, decoding from the key frame before
        `start`; nothing at all where nothing decodes."""
        stamps: list[int] = []
        newest: tuple[av.VideoFrame, bool] | None = None
        waiting = iter(targets)
        target = next(waiting, None)
        fell = False
        for frame, is_damaged in self._decoded(targets, start, stamps):
            fell = fell or (newest is not None and _pts(frame) < _pts(newest[0]))
            damaged = is_damaged or fell  # see `every_frame`
            # A frame is displayed until the next one: the first past a target answers it with the
            # one before.
            while target is not None and target < _pts(frame):
                yield _answer(target, newest or (frame, damaged), stamps)
                target = next(waiting, None)
            if newest is None or _pts(frame) > _pts(newest[0]):
                newest = frame, damaged
            # Stamps long past are forgotten, all but the one displayed now.
            if target is not None and len(stamps) > 4 * _MAX_HELD:
                del stamps[: max(0, bisect_right(stamps, min(target, _pts(frame))) - 1)]
        # The group ended: its last frame is displayed for all targets that are left.
        while target is not None and newest is not None:
            yield _answer(target, newest, stamps)
            target = next(waiting, None)

    def _decoded(
        self, targets: list[int], start: int, stamps: list[int]
    ) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Frames from the key frame before `start` to the last target, each with whether damage
        came before it. Fills `stamps`, sorted, with what the container says is displayed."""
        waiting: list[av.Packet] = []
        waiting_bytes = 0
        for packet in self._packets_from(start):
            # No packet from here on is shown before its decoding stamp: nothing later is needed.
            if stamps and packet.dts is not None and packet.dts > targets[-1]:
                break
            pts = presentation_stamp(packet)
            if pts is not None and not packet.is_discard:
                insort(stamps, pts)
            # Held back until it is known which frames are wanted: the others need not be decoded.
            waiting.append(packet)
            waiting_bytes += packet.size
            if len(waiting) == _MAX_HELD or waiting_bytes > _MAX_HELD_BYTES:
                yield from self._decode_all(waiting, _needed(targets, stamps))
                waiting, waiting_bytes = [], 0
        # At the end of the group all stamps are known: feed up to the last wanted packet.
        needed = _needed(targets, stamps)
        last = max(
            (i for i, packet in enumerate(waiting) if presentation_stamp(packet) in needed),
            default=-1,
        )
        yield from self._decode_all([*waiting[: last + 1], None], needed)

    def _decode_all(
        self, packets: Iterable[av.Packet | None], needed: set[int] | None
    ) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Frames with times that `packets` bring out, each with whether it may be damaged. Frames
        that are not `needed`, and that no other needs, are left out where that is exact."""
        context = self._stream.codec_context
        skipping = False
        try:
            for packet in packets:
                if needed is not None and self._facts.can_skip and packet is not None:
                    # Frames that no other refers to (NONREF) can be skipped at no loss.
                    skip = packet.pts is not None and packet.pts not in needed
                    if skip != skipping:
                        skipping = skip
                        context.skip_frame = "NONREF" if skip else "DEFAULT"
                for frame in self._decode(packet):
                    pts = presentation_stamp(frame)
                    if pts is not None:
                        until = self._damaged_until
                        yield frame, until is not None and pts < until
        # The next caller of this decoder may need every frame.
        finally:
            if skipping:
                context.skip_frame = "DEFAULT"

    def _decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Frames that `packet` brings out (None drains); one that fails marks what follows, up to
        the next key frame."""
        # 1. Damage ends at the next key frame that is whole.
        if packet is not None and packet.is_keyframe and self._damaged_until is not None:
            pts = presentation_stamp(packet)
            if pts is not None and not packet.is_corrupt:
                # What is shown from a whole key frame on refers to nothing before it.
                self._damaged_until = min(self._damaged_until, pts)
        try:
            frames = self._stream.codec_context.decode(packet)
        except MemoryError:  # no damage
            raise
        except av.error.FFmpegError:
            self._damaged_until = np.inf
            return []
        # 2. Damage begins at a packet that is marked so, or that refers to one that was lost.
        is_broken = packet is not None and (packet.is_corrupt or self._refers_to_lost(packet))
        if is_broken or any(f.is_corrupt for f in frames):
            self._damaged_until = np.inf
        return frames

    def _refers_to_lost(self, packet: av.Packet) -> bool:
        return not packet.is_keyframe and packet.pts in self._facts.after_loss

    # Finding the way

    def _packets(self) -> Iterator[av.Packet]:
        return read_packets(self._container, self._stream, self.deadline, self._facts.access.repair)

    def _packets_from(self, start: int) -> Iterator[av.Packet]:
        """Packets in decoding order from the last key frame shown at or before `start`."""
        self._damaged_until = None
        key = self._key_before(start) if self._facts.table is not None else None
        if self._facts.can_seek and (self._facts.table is None or key is not None):
            # 1. Seek, and see whether the first packet lies early enough; else aim further back,
            #    four times as far each time: some formats seek only roughly.
            aim = start if key is None else key[0]
            back = round(1 / self._facts.tick_s)
            for _ in range(_MAX_SEEKS):
                try:
                    self._container.seek(aim, stream=self._stream)
                except av.error.FFmpegError:
                    break
                packets = self._packets()
                first = next(packets, None)
                if first is not None and _is_early_enough(first, start, key):
                    from_key = _from_key(chain((first,), packets), key)
                    key_packet = next(from_key, None)
                    if key_packet is not None:
                        return chain((key_packet,), from_key)
                aim, back = aim - back, back * 4
        # 2. Seeking does not help: open the file anew and read it from its start.
        self._container.close()
        self._container, self._stream = open_container(self._facts.access, self.deadline)
        return _from_key(self._packets(), key)

    def _key_before(self, tick: int) -> tuple[int, int] | None:
        """(pts, dts) of the last key frame at or before `tick`, from the packet table."""
        table = self._facts.table
        assert table is not None
        row = int(np.searchsorted(table.key_pts, tick, "right")) - 1
        return None if row < 0 else (int(table.key_pts[row]), int(table.key_dts[row]))

    def _earlier(self, tick: int) -> Iterator[int]:
        """Stamps in the groups before that of `tick`, nearest first."""
        for _ in range(_MAX_LOOKS_BACK):
            # All packets were read: the key frame before this moment begins its group.
            if self._facts.table is not None:
                key = self._key_before(tick)
                tick = key[0] - 1 if key else self._facts.start_pts - 1
            else:
                # An index holds decoding stamps: moved by the delay of reordering, there and back.
                entries, reorder_pts = self._stream.index_entries, self._facts.reorder_pts
                row = entries.search_timestamp(tick - reorder_pts)
                tick = entries[max(0, row)].timestamp + reorder_pts - 1
            if tick < self._facts.start_pts:
                return
            yield tick

    def _recover(self, target: int) -> av.VideoFrame:
        """A frame before `target` where nothing of its own group decodes: earlier groups, then the
        first frame of the file."""
        for start in self._earlier(target):
            for frame, *_ in self._decode_group([target], start):
                return frame
        first = self._facts.start_pts
        for frame, *_ in self._decode_group([first], first):
            return frame
        raise BackendError(f"{self._facts.access.path}: no frame of it can be decoded any more")

    # Pixels

    def image(self, frame: av.VideoFrame, size_px: tuple[int, int]) -> np.ndarray:
        """uint8 (height, width, 3) for `size_px` (width, height), resized by the converter and
        turned upright. Raises VideoError."""
        # Sizes are asked for as displayed, the stored picture lies on its side at odd turns.
        turns = self._facts.turns
        stored_px = (size_px[1], size_px[0]) if turns % 2 else size_px
        upright = np.rot90(self._converter.picture(frame, self._stream, stored_px), k=turns)
        return upright[:, ::-1] if self._facts.mirrored else upright


def _pts(frame: av.VideoFrame) -> int:
    pts = presentation_stamp(frame)
    assert pts is not None
    return pts


def _needed(targets: list[int], stamps: list[int]) -> set[int]:
    """The stamps among `stamps` that may be displayed at one of `targets`. Later packets only take
    targets away from stamps known now, so nothing needed is missed."""
    if not stamps:
        return set()
    # Displayed at a target is the last stamp at or before it.
    rows = np.searchsorted(stamps, targets, "right") - 1
    return {stamps[row] for row in set(rows.clip(0).tolist())}


def _answer(
    target: int, newest: tuple[av.VideoFrame, bool], stamps: list[int]
) -> tuple[av.VideoFrame, bool, bool]:
    """`newest` with whether it is undamaged and what the container says is displayed at `target`,
    and whether it is damaged."""
    frame, damaged = newest
    row = bisect_right(stamps, target) - 1
    return frame, not damaged and row >= 0 and stamps[row] == _pts(frame), damaged


def _is_early_enough(first: av.Packet, start: int, key: tuple[int, int] | None) -> bool:
    pts = presentation_stamp(first)
    if pts is None:
        return False
    if key is None:
        return first.is_keyframe and pts <= start
    return (first.is_keyframe and pts == key[0]) or first.dts is None or first.dts < key[1]


def _from_key(packets: Iterator[av.Packet], key: tuple[int, int] | None) -> Iterator[av.Packet]:
    """`packets` from the one with the stamps of `key` on; none where they pass it by."""
    if key is None:
        yield from packets
        return
    for packet in packets:
        if packet.is_keyframe and presentation_stamp(packet) == key[0]:
            yield packet
            yield from packets
        elif packet.dts is not None and packet.dts > key[1]:
            return

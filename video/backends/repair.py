"""Whether the stored stamps of a file can be right, and how it has to be read for them to be.

Ends in the table of all packets (`read_table`). Imported lazily (it imports av at the top). Leaves
out what a repair does (`stamps`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from av.video.stream import VideoStream

from mmreason.video.backends.base import Deadline
from mmreason.video.backends.head import Head
from mmreason.video.backends.packets import (
    Access,
    Opened,
    PacketTable,
    build_packet_table,
    open_container,
    read_stored,
)
from mmreason.video.backends.stamps import (
    NO_STAMP,
    StampRepair,
    StoredStamps,
    find_restarts,
    goes_back,
    index_losses,
    join_restarts,
    keep_order,
    may_reorder,
    order_frames,
    shown_rows,
)

_AVI_HEAD_BYTES = 8
"""From where an AVI's index says that a chunk lies to the packet in it."""
_MAX_UNKNOWN = 0.05
"""Share of packets that may lack any stamp, as the first ones of a recording do."""


def read_table(
    access: Access, opened: Opened, deadline: Deadline
) -> tuple[Opened, Access, PacketTable]:
    """Stamps of all packets, from the start, and how the file has to be read for them to be right.

    The file is opened again, as not all can be sought. Raises VideoError.
    """
    opened = reopen_container(access, opened, deadline)
    try:
        stored = read_stored(*opened, deadline, access.repair)
        if access.repair is None:
            repaired_access = _find_repair(access, stored, opened[1], deadline)
            # The same object back says that the stored stamps are right.
            if repaired_access is not access:
                opened, access = (
                    reopen_container(repaired_access, opened, deadline),
                    repaired_access,
                )
                stored = read_stored(*opened, deadline, access.repair)
        return opened, access, build_packet_table(stored, opened[1])
    except BaseException:
        opened[0].close()
        raise


def reopen_container(access: Access, opened: Opened, deadline: Deadline) -> Opened:
    opened[0].close()
    return open_container(access, deadline)


def verify_stamps(access: Access, opened: Opened, head: Head, deadline: Deadline) -> Access:
    """With a repair where stamps are those of decoding though the decoder reorders frames."""
    if (
        not (head.is_stamped and head.is_as_coded)
        or not _may_reorder(opened[1])
        or not _goes_back(access, deadline)
    ):
        return access
    hidden = int(_stored(access, deadline).is_hidden.sum())
    access = replace(access, follow_edits=False)
    repair = _order_by_decoding(access, _stored(access, deadline), deadline, hidden=hidden)
    return replace(access, repair=repair)


def _find_repair(
    access: Access, stored: StoredStamps, stream: VideoStream, deadline: Deadline
) -> Access:
    """How the file has to be read for its stamps to be right."""
    # 1. AVI counts its packets: a lost one moves all after it, which the index tells.
    if stream.container.format.name == "avi":
        indexed = {entry.pos + _AVI_HEAD_BYTES: entry.timestamp for entry in stream.index_entries}
        indexed_losses = index_losses(stored, indexed)
        if indexed_losses is not None:
            return replace(
                access, repair=_count_by_index(access, *indexed_losses, stream, deadline)
            )
    # 2. Too many packets without any stamp: only decoding tells the order.
    missing, unknown = stored.pts == NO_STAMP, stored.either == NO_STAMP
    if unknown.sum() > _MAX_UNKNOWN * len(unknown) and not unknown.all():
        return replace(access, repair=_order_by_decoding(access, stored, deadline))
    # 3. Some lack a presentation stamp though frames are reordered: FFmpeg fills them in, unless
    #    its guesses are proved wrong.
    if missing.any() and _may_reorder(stream):
        is_mpeg4 = stream.codec_context.codec.canonical_name == "mpeg4"
        if stored.needs_order and (missing.all() or is_mpeg4):
            return replace(access, repair=_order_by_decoding(access, stored, deadline))
        if not missing.all():
            access = replace(access, generate_pts=True)
            stored = _stored(access, deadline)
            if _goes_back(access, deadline):
                return replace(access, repair=_order_by_decoding(access, stored, deadline))
    # 4. Files joined end to end: their stamps begin again.
    restarts = find_restarts(stored, float(stream.time_base or 0))
    if not len(restarts):
        return access
    repair = join_restarts(stored, restarts, _frame_ticks(stream))
    if stream.container.format.name == "ogg":  # its headers are packets too, but bring no frame
        stored, note = repair.repaired(stored), repair.note
        repair = _order_by_decoding(access, stored, deadline, note=note) or repair
    return replace(access, repair=repair)


def _count_by_index(
    access: Access,
    stored: StoredStamps,
    losses: np.ndarray,
    stream: VideoStream,
    deadline: Deadline,
) -> StampRepair:
    lost = int((np.diff(stored.dts) - 1).clip(0).sum())
    note = f"{lost} frames are missing, as its index tells; those after them keep their times"
    repair = None
    if _may_reorder(stream):
        repair = _order_by_decoding(access, stored, deadline, note=note)
    repair = repair or keep_order(stored)
    after_loss = frozenset(repair.pts[losses].tolist()) - {NO_STAMP}
    return replace(repair, note=note, after_loss=after_loss)


def _may_reorder(stream: VideoStream) -> bool:
    return may_reorder(stream.codec_context.codec.canonical_name, stream.codec_context)


def _goes_back(access: Access, deadline: Deadline) -> bool:
    container, stream = open_container(access, deadline)
    with container:
        return goes_back(container, stream, deadline)


def _stored(access: Access, deadline: Deadline) -> StoredStamps:
    container, stream = open_container(access, deadline)
    with container:
        return read_stored(container, stream, deadline)


def _order_by_decoding(
    access: Access, stored: StoredStamps, deadline: Deadline, *, hidden: int = 0, note: str = ""
) -> StampRepair | None:
    """None where nothing can be decoded."""
    container, stream = open_container(access, deadline)
    with container:
        display_rows = [
            row for row in shown_rows(container, stream, deadline) if row < len(stored.pts)
        ]
        ticks = _frame_ticks(stream)
    if not display_rows:
        return None
    return order_frames(
        stored, display_rows, ticks, hidden=min(hidden, len(display_rows) - 1), note=note
    )


def _frame_ticks(stream: VideoStream) -> int:
    rate = stream.average_rate or stream.guessed_rate or 25
    return max(1, round(1 / (rate * (stream.time_base or 1))))

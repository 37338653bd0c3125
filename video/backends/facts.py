"""What a file is, found once at opening: its first frame, its end, its index or packet table.

Imported lazily (it imports av through `packets`). Leaves out reading frames, which is `groups`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, pairwise

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from mmreason.video.backends.base import SLACK_S, BackendError, ToneMap, Watch
from mmreason.video.backends.colour import (
    Marks,
    colour_notes,
    container_marks,
    operator_for,
    read_colour,
)
from mmreason.video.backends.display import Display, display_of
from mmreason.video.backends.packets import (
    Access,
    PacketTable,
    open_container,
    read_packets,
    read_stored,
    shown_in_index,
    stamp,
    tabulate,
    tail_through_cues,
    tail_through_index,
)
from mmreason.video.backends.parts import count_parts
from mmreason.video.backends.pictures import Shown, pixel_aspect
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
from mmreason.video.backends.tracks import list_tracks
from mmreason.video.types import Chapter, Colour, Span, VideoError, VideoInfo, format_time

Opened = tuple[InputContainer, VideoStream]

_MAX_FIRST = 5000
"""Packets read in search of a first frame."""
_HEAD_PACKETS = 24
"""Packets whose stamps are looked at to tell whether they can be right."""
_AVI_HEAD_BYTES = 8
"""From where an AVI's index says that a chunk lies to the packet in it."""
_MAX_UNKNOWN = 0.05
"""Share of packets that may lack any stamp, as the first ones of a recording do."""
_MAX_TITLE = 200
"""Characters kept of a chapter's title."""
_MIN_PAUSE_S = 10.0
_MIN_PAUSE_FRAMES = 100
"""A pause is told where it is longer than both."""
_MIN_KEY_PAUSE_S = 60.0
_MIN_KEY_PAUSE_GROUPS = 20
"""The same where only key frames are known."""
_MAX_SCANNED_S = 1200
"""Longer Matroska files are read through their cues, if they have them; shorter ones are scanned,
in less than a second, which also counts their frames."""
_SKIPPABLE = {"h264", "hevc"}
"""Codecs whose decoder leaves out frames that no other needs without a change to the rest. AV1's
fixes the mode when it opens and then drops wanted frames; VP9's gains nothing."""

_UNSEEKABLE = {"mpeg"}
"""Formats (program streams) whose packets carry other times after a seek: read from the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Constants of one file, shared by everything that reads it. `_pts` are ticks of `tick_s`."""

    access: Access
    info: VideoInfo
    tick_s: float
    start_pts: int
    last_pts: int
    """The last frame's stamp."""
    turns: int
    """Counter-clockwise quarter turns that set a decoded picture upright."""
    mirrored: bool
    """Whether its left and right then change places."""
    shown: Shown
    reorder_pts: int
    """From the decoding stamp of a key frame to its presentation."""
    can_skip: bool
    can_seek: bool
    table: PacketTable | None
    """None where the container's own index serves."""
    after_loss: frozenset[int]
    """Stamps of packets before which others were lost."""
    by_cues: bool
    """Whether that index holds presentation times of key frames alone (Matroska)."""

    def ticks(self, times_s: np.ndarray) -> np.ndarray:
        """int64: `times_s` as stamps inside the video."""
        ticks = np.floor((times_s + SLACK_S) / self.tick_s)
        return np.clip(ticks, self.start_pts, self.last_pts).astype(np.int64)

    def inside(self, times_s: np.ndarray) -> np.ndarray:
        """bool: whether the video is shown at each time."""
        span = self.info.span
        return (times_s >= span.start_s - SLACK_S) & (times_s < span.end_s)


def read_facts(
    access: Access, opened: Opened, watch: Watch, tone_map: ToneMap
) -> tuple[Facts, Opened]:
    """The facts of a file just opened, and the container to go on with. Raises VideoError.

    1. The head tells the first frame, and whether the stored stamps can be right.
    2. A container with a full index (mp4, Matroska with cues) is read at its end only.
    3. Of any other, or where stamps are suspect, all packets are read, and repaired if need be.
    """
    path, track = access.path, opened[1].index
    access = replace(access, track=track)
    head = read_head(access, opened, watch)
    access = verify_stamps(access, opened, head, watch)
    table, by_cues, tail = None, False, None
    if access.repair is None and head.is_stamped and not head.undecodable:
        size_bytes = path.stat().st_size
        tail = tail_through_index(*opened, size_bytes, watch)
        if tail is None and (opened[0].duration or 0) / av.time_base > _MAX_SCANNED_S:
            tail = tail_through_cues(*opened, size_bytes, watch)
            by_cues = tail is not None
    if tail is None:
        opened, access, table = read_table(access, opened, watch)
        if access.repair is not None or access.generate_pts:
            opened = reopen(access, opened, watch)
            head = read_head(access, opened, watch)
        tail = table = table.shown_from(head.start_pts)
    if not len(tail.shown_pts):
        raise VideoError(f"{path}: no frame of it can be shown")
    last_pts = max(int(tail.shown_pts[-1]), head.start_pts)
    end_pts = max(tail.end_pts, last_pts + 1)
    colour = replace(head.colour, tone_map=operator_for(head.colour, tone_map))
    facts = Facts(
        access=access,
        info=_describe(access, opened, table, head, end_pts, colour, by_cues),
        tick_s=float(opened[1].time_base or 0),
        start_pts=head.start_pts,
        last_pts=last_pts,
        turns=head.display.turns,
        mirrored=head.display.mirrored,
        shown=Shown(
            stored_px=(head.first.width, head.first.height),
            pixel_aspect=head.pixel_aspect,
            colour=colour,
            container=head.container,
            tone_map=tone_map,
        ),
        reorder_pts=0 if by_cues else head.reorder_pts,
        can_seek=opened[0].format.name not in _UNSEEKABLE and not access.by_place,
        can_skip=opened[1].codec_context.codec.canonical_name in _SKIPPABLE,
        table=table,
        after_loss=(table.after_loss if table is not None else frozenset())
        | (access.repair.after_loss if access.repair is not None else frozenset()),
        by_cues=by_cues,
    )
    return facts, opened


def read_table(access: Access, opened: Opened, watch: Watch) -> tuple[Opened, Access, PacketTable]:
    """Stamps of all packets, from the start, and how the file has to be read for them to be right.

    The file is opened again, as not all can be sought. Raises VideoError.
    """
    opened = reopen(access, opened, watch)
    try:
        stored = read_stored(*opened, watch, access.repair)
        if access.repair is None:
            found = _find_repair(access, stored, opened[1], watch)
            if found is not access:
                opened, access = reopen(found, opened, watch), found
                stored = read_stored(*opened, watch, access.repair)
        return opened, access, tabulate(stored, opened[1])
    except BaseException:
        opened[0].close()
        raise


def reopen(access: Access, opened: Opened, watch: Watch) -> Opened:
    opened[0].close()
    return open_container(access, watch)


# Stamps


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first packets of a file and the first frame that they bring out."""

    first: av.VideoFrame
    display: Display
    colour: Colour
    container: Marks
    """What the container says of colours."""
    pixel_aspect: float
    """Of the first frame as stored and as its decoder has it, which may not be the container's."""
    start_pts: int
    reorder_pts: int
    """From the decoding stamp of the first packet to its presentation, in ticks."""
    is_stamped: bool
    """Whether all packets carry a presentation stamp."""
    is_as_coded: bool
    """Whether these rise in the order of coding, so that nothing would be reordered."""
    undecodable: int
    """Packets that are to be shown before the first frame that can be decoded."""


def read_head(access: Access, opened: Opened, watch: Watch) -> Head:
    """Raises VideoError where no frame has a time or none can be decoded."""
    container, stream = opened
    stamps: list[tuple[int | None, int | None]] = []
    shown: list[int] = []
    first, display, colour, aspect, untimed = None, None, Colour(), 1.0, 0
    marks = container_marks(stream)
    packets = chain(read_packets(container, stream, watch, access.repair), (None,))
    for place, packet in enumerate(packets):
        if place >= _MAX_FIRST or (first is not None and place >= _HEAD_PACKETS):
            break
        if packet is not None:
            stamps.append((packet.pts, packet.dts))
            pts = stamp(packet)
            if pts is not None and not packet.is_discard:
                shown.append(pts)
        for frame in _decoded(stream, packet) if first is None else ():
            pts = stamp(frame)
            if pts is not None and (access.repair is None or pts >= access.repair.start_pts):
                first = frame
                display = display_of(frame, stream, packet)
                colour = read_colour(access.path, frame, stream, marks)
                aspect = pixel_aspect(stream)
                break
            untimed += pts is None
    if first is None and untimed:
        raise VideoError(
            f"{access.path}: its frames carry no times; write it anew into a container with the "
            f"frame rate it has: ffmpeg -r 25 -i {access.path.name} -c:v libx264 out.mp4"
        )
    if first is None or display is None:
        raise BackendError(f"{access.path}: no frame of it can be decoded")
    start_pts = stamp(first) or 0
    both = [(pts, dts) for pts, dts in stamps if pts is not None and dts is not None]
    return Head(
        first=first,
        display=display,
        colour=colour,
        container=marks,
        pixel_aspect=aspect,
        start_pts=start_pts,
        reorder_pts=both[0][0] - both[0][1] if both else 0,
        is_stamped=all(pts is not None for pts, _ in stamps),
        is_as_coded=all(a < b for a, b in pairwise(pts for pts, _ in stamps if pts is not None)),
        undecodable=sum(pts < start_pts for pts in shown),
    )


def verify_stamps(access: Access, opened: Opened, head: Head, watch: Watch) -> Access:
    """With a repair where stamps are those of decoding though the decoder reorders frames."""
    if (
        not (head.is_stamped and head.is_as_coded)
        or not _may_reorder(opened[1])
        or not _goes_back(access, watch)
    ):
        return access
    hidden = int(_stored(access, watch).is_hidden.sum())
    access = replace(access, follow_edits=False)
    repair = _order_by_decoding(access, _stored(access, watch), watch, hidden=hidden)
    return replace(access, repair=repair)


def _find_repair(access: Access, stored: StoredStamps, stream: VideoStream, watch: Watch) -> Access:
    """How the file has to be read for its stamps to be right."""
    if stream.container.format.name == "avi":
        indexed = {entry.pos + _AVI_HEAD_BYTES: entry.timestamp for entry in stream.index_entries}
        found = index_losses(stored, indexed)
        if found is not None:
            return replace(access, repair=_count_by_index(access, *found, stream, watch))
    missing, unknown = stored.pts == NO_STAMP, stored.either == NO_STAMP
    if unknown.sum() > _MAX_UNKNOWN * len(unknown) and not unknown.all():
        return replace(access, repair=_order_by_decoding(access, stored, watch))
    if missing.any() and _may_reorder(stream):
        is_mpeg4 = stream.codec_context.codec.canonical_name == "mpeg4"
        if stored.needs_order and (missing.all() or is_mpeg4):
            return replace(access, repair=_order_by_decoding(access, stored, watch))
        if not missing.all():
            access = replace(access, generate_pts=True)
            stored = _stored(access, watch)
            if _goes_back(access, watch):
                return replace(access, repair=_order_by_decoding(access, stored, watch))
    restarts = find_restarts(stored, float(stream.time_base or 0))
    if not len(restarts):
        return access
    repair = join_restarts(stored, restarts, _frame_ticks(stream))
    if stream.container.format.name == "ogg":  # its headers are packets too, but bring no frame
        stored, note = repair.repaired(stored), repair.note
        repair = _order_by_decoding(access, stored, watch, note=note) or repair
    return replace(access, repair=repair)


def _count_by_index(
    access: Access, stored: StoredStamps, losses: np.ndarray, stream: VideoStream, watch: Watch
) -> StampRepair:
    lost = int((np.diff(stored.dts) - 1).clip(0).sum())
    note = f"{lost} frames are missing, as its index tells; those after them keep their times"
    repair = None
    if _may_reorder(stream):
        repair = _order_by_decoding(access, stored, watch, note=note)
    repair = repair or keep_order(stored)
    after_loss = frozenset(repair.pts[losses].tolist()) - {NO_STAMP}
    return replace(repair, note=note, after_loss=after_loss)


def _may_reorder(stream: VideoStream) -> bool:
    return may_reorder(stream.codec_context.codec.canonical_name, stream.codec_context)


def _goes_back(access: Access, watch: Watch) -> bool:
    container, stream = open_container(access, watch)
    with container:
        return goes_back(container, stream, watch)


def _stored(access: Access, watch: Watch) -> StoredStamps:
    container, stream = open_container(access, watch)
    with container:
        return read_stored(container, stream, watch)


def _order_by_decoding(
    access: Access, stored: StoredStamps, watch: Watch, *, hidden: int = 0, note: str = ""
) -> StampRepair | None:
    """None where nothing can be decoded."""
    container, stream = open_container(access, watch)
    with container:
        shown = [row for row in shown_rows(container, stream, watch) if row < len(stored.pts)]
        ticks = _frame_ticks(stream)
    if not shown:
        return None
    return order_frames(stored, shown, ticks, hidden=min(hidden, len(shown) - 1), note=note)


def _frame_ticks(stream: VideoStream) -> int:
    rate = stream.average_rate or stream.guessed_rate or 25
    return max(1, round(1 / (rate * (stream.time_base or 1))))


def _decoded(stream: VideoStream, packet: av.Packet | None) -> list[av.VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.error.FFmpegError:  # the first packets may be damaged: later ones are tried
        return []


def _describe(
    access: Access,
    opened: Opened,
    table: PacketTable | None,
    head: Head,
    end_pts: int,
    colour: Colour,
    by_cues: bool,
) -> VideoInfo:
    path, (container, stream) = access.path, opened
    tick_s = float(stream.time_base or 0)
    duration_s = (end_pts - head.start_pts) * tick_s
    first, display = head.first, head.display
    count = None
    if not by_cues:
        count = len(table.shown_pts) if table is not None else shown_in_index(stream)
    stated_hz = stream.average_rate or stream.guessed_rate or 1 / duration_s
    sides_px = (first.width, first.height)[:: -1 if display.turns % 2 else 1]
    return VideoInfo(
        path=str(path),
        duration_s=duration_s,
        start_s=head.start_pts * tick_s,
        width_px=sides_px[0],
        height_px=sides_px[1],
        codec=stream.codec_context.codec.canonical_name,
        mean_fps_hz=float(stated_hz) if count is None else count / duration_s,
        frame_count=count,
        rotation_deg=90 * display.turns,
        has_audio=bool(container.streams.audio),
        backend="pyav",
        size_bytes=path.stat().st_size,
        pixel_aspect=display.pixel_aspect,
        mirrored=display.mirrored,
        track=stream.index,
        tracks=list_tracks(container),
        chapters=_chapters(container),
        colour=colour,
        notes=(
            *stamp_notes(access, table, opened),
            *display.notes,
            *colour_notes(colour),
            *_notes(opened, table, duration_s, by_cues),
        ),
    )


def stamp_notes(access: Access, table: PacketTable | None, opened: Opened) -> tuple[str, ...]:
    """What is odd about the times of frames, in words."""
    container, stream = opened
    repair, tick_s = access.repair, float(stream.time_base or 0)
    notes = [repair.note] if repair is not None else []
    parts, read = count_parts(access.path, container.format.name), repair.parts if repair else 1
    if parts > read:
        notes.append(
            f"holds {parts} whole files one behind the other, of which {read} can be read: take "
            "them apart, or write them anew as one"
        )
    if table is None:
        return tuple(notes)
    if table.repeated:
        frames = "1 frame carries" if table.repeated == 1 else f"{table.repeated} frames carry"
        notes.append(f"{frames} the time of another one and cannot be asked for")
    pause = _longest_pause(table.shown_pts * tick_s, _MIN_PAUSE_S, _MIN_PAUSE_FRAMES)
    return (*notes, *pause)


def _longest_pause(times_s: np.ndarray, least_s: float, usual: float) -> tuple[str, ...]:
    """A line on the longest time without a new frame, where it is longer than `least_s` and than
    `usual` usual ones."""
    gaps_s = np.diff(times_s)
    if not len(gaps_s):
        return ()
    row = int(gaps_s.argmax())
    if gaps_s[row] <= max(least_s, usual * float(np.median(gaps_s))):
        return ()
    return (
        f"no frame for {gaps_s[row]:.0f} s after {format_time(float(times_s[row]))}: frames asked "
        "for in between are all the one before it",
    )


def _chapters(container: InputContainer) -> tuple[Chapter, ...]:
    """Named parts, in order; those that do not end after they start are left out."""
    found: list[Chapter] = []
    for chapter in container.chapters():
        tick = chapter["time_base"]
        if tick is None or chapter["end"] <= chapter["start"]:
            continue
        span = Span(float(chapter["start"] * tick), float(chapter["end"] * tick))
        title = " ".join(str(chapter["metadata"].get("title", "")).split())[:_MAX_TITLE]
        found.append(Chapter(span, "".join(c for c in title if c.isprintable())))
    return tuple(sorted(found, key=lambda one: (one.span, one.title)))


def _notes(
    opened: Opened, table: PacketTable | None, duration_s: float, by_cues: bool
) -> tuple[str, ...]:
    container, stream = opened
    notes: list[str] = []
    header_s = (container.duration or 0) / av.time_base
    if abs(header_s - duration_s) > max(0.5, 0.05 * duration_s) and header_s:
        notes.append(f"the header says {header_s:.2f} s, frames were found for {duration_s:.2f} s")
    if table is not None and table.corrupt:
        notes.append(f"{table.corrupt} damaged packet{'s' * (table.corrupt > 1)}")
    if table is not None and not container.format.name.startswith("mov"):
        notes.append("no full index: every packet was read once at opening")
    if by_cues:
        tick_s = float(stream.time_base or 0)
        keys_s = np.asarray([entry.timestamp * tick_s for entry in stream.index_entries])
        notes += _longest_pause(keys_s, _MIN_KEY_PAUSE_S, _MIN_KEY_PAUSE_GROUPS)
        notes.append("read through its cues: frames were not counted, their rate is as stated")
    return tuple(notes)

"""What a file is, found once at opening: its first frame, its end, its index or packet table.

Imported lazily (it imports av through `packets`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import av
import av.error
import numpy as np
from av.container import InputContainer

from mmreason.video.backends.base import SLACK_S, Deadline, ToneMap
from mmreason.video.backends.colour import (
    colour_notes,
    operator_for,
)
from mmreason.video.backends.head import Head, read_head
from mmreason.video.backends.packets import (
    Access,
    Opened,
    PacketTable,
    shown_in_index,
    tail_through_cues,
    tail_through_index,
)
from mmreason.video.backends.parts import count_parts
from mmreason.video.backends.pictures import Shown
from mmreason.video.backends.repair import read_table, reopen_container, verify_stamps
from mmreason.video.backends.tracks import list_tracks
from mmreason.video.types import Chapter, Colour, Span, VideoError, VideoInfo, format_time

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
        # The slack: a time that went through a float and back may lie just below its own frame.
        ticks = np.floor((times_s + SLACK_S) / self.tick_s)
        return np.clip(ticks, self.start_pts, self.last_pts).astype(np.int64)

    def inside(self, times_s: np.ndarray) -> np.ndarray:
        """bool: whether the video is shown at each time."""
        span = self.info.span
        return (times_s >= span.start_s - SLACK_S) & (times_s < span.end_s)


def read_facts(
    access: Access, opened: Opened, deadline: Deadline, tone_map: ToneMap
) -> tuple[Facts, Opened]:
    """The facts of a file just opened, and the container to go on with. Raises VideoError.

    1. The head tells the first frame, and whether the stored stamps can be right.
    2. A container with a full index (mp4, Matroska with cues) is read at its end only.
    3. Of any other, or where stamps are suspect, all packets are read, and repaired if need be.
    """
    path, track = access.path, opened[1].index
    access = replace(access, track=track)
    head = read_head(access, opened, deadline)
    access = verify_stamps(access, opened, head, deadline)
    table, by_cues, tail = None, False, None
    if access.repair is None and head.is_stamped and not head.undecodable:
        size_bytes = path.stat().st_size
        # A full index makes the end known without reading the middle.
        tail = tail_through_index(*opened, size_bytes, deadline)
        if tail is None and (opened[0].duration or 0) / av.time_base > _MAX_SCANNED_S:
            tail = tail_through_cues(*opened, size_bytes, deadline)
            by_cues = tail is not None
    if tail is None:
        opened, access, table = read_table(access, opened, deadline)
        # Stamps are other ones now, those of the head too.
        if access.repair is not None or access.generate_pts:
            opened = reopen_container(access, opened, deadline)
            head = read_head(access, opened, deadline)
        tail = table = table.shown_from(head.start_pts)
    if not len(tail.shown_pts):
        raise VideoError(f"{path}: no frame of it can be shown")
    # The first frame that decodes may lie after the last stamp of a damaged file.
    last_pts = max(int(tail.shown_pts[-1]), head.start_pts)
    # Never empty: a span without a length could not be asked for.
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
        # Cues hold presentation times, an mp4's index decoding times.
        reorder_pts=0 if by_cues else head.reorder_pts,
        can_seek=opened[0].format.name not in _UNSEEKABLE and not access.by_place,
        can_skip=opened[1].codec_context.codec.canonical_name in _SKIPPABLE,
        table=table,
        after_loss=(table.after_loss if table is not None else frozenset())
        | (access.repair.after_loss if access.repair is not None else frozenset()),
        by_cues=by_cues,
    )
    return facts, opened


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
    # Cues list key frames alone.
    count = None
    if not by_cues:
        count = len(table.shown_pts) if table is not None else shown_in_index(stream)
    # A single picture: once in its duration.
    stated_hz = stream.average_rate or stream.guessed_rate or 1 / duration_s
    # A quarter turn changes width and height over.
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
    # Of files put one behind the other FFmpeg reads on in some formats only.
    parts, read = count_parts(access.path, container.format.name), repair.parts if repair else 1
    if parts > read:
        notes.append(
            f"holds {parts} whole files one behind the other, of which {read} can be read: take "
            "them apart, or write them anew as one"
        )
    # An index or cues tell the ends: repeats and pauses in the middle are not known then.
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
    # Longer than usual by count too: a film of one picture a minute has no pause.
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
        # Titles are foreign text, and get one line each.
        title = " ".join(str(chapter["metadata"].get("title", "")).split())[:_MAX_TITLE]
        found.append(Chapter(span, "".join(c for c in title if c.isprintable())))
    return tuple(sorted(found, key=lambda chapter: (chapter.span, chapter.title)))


def _notes(
    opened: Opened, table: PacketTable | None, duration_s: float, by_cues: bool
) -> tuple[str, ...]:
    container, stream = opened
    notes: list[str] = []
    header_s = (container.duration or 0) / av.time_base
    # Headers round, and count the sound that outlasts the picture: small differences are normal.
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

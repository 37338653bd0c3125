"""What a file is, found once at opening: its first frame, its end, its index or packet table.

Imported lazily (it imports av through `packets`). Leaves out reading frames, which is `groups`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from mmreason.video.backends.base import SLACK_S, BackendError, ToneMap, Watch
from mmreason.video.backends.colour import colour_notes, operator_for, read_colour
from mmreason.video.backends.display import Display, display_of
from mmreason.video.backends.packets import (
    PacketTable,
    open_container,
    read_packets,
    scan_packets,
    shown_in_index,
    stamp,
    tail_through_cues,
    tail_through_index,
)
from mmreason.video.backends.pictures import Shown, pixel_aspect
from mmreason.video.types import Colour, VideoError, VideoInfo

Opened = tuple[InputContainer, VideoStream]

_MAX_FIRST = 5000
"""Packets read in search of a first frame."""
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

    path: Path
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


def read_facts(path: Path, opened: Opened, watch: Watch, tone_map: ToneMap) -> tuple[Facts, Opened]:
    """The facts of a file just opened, and the container to go on with. Raises VideoError."""
    first, reorder_pts = _first_frame(path, opened, watch)
    first_aspect = pixel_aspect(opened[1])
    colour = read_colour(path, first, opened[1])
    colour = replace(colour, tone_map=operator_for(colour, tone_map))
    start_pts, tick_s = stamp(first) or 0, float(opened[1].time_base or 0)
    table, by_cues = None, False
    tail = tail_through_index(*opened, path.stat().st_size, watch)
    if tail is None and (opened[0].duration or 0) / av.time_base > _MAX_SCANNED_S:
        tail = tail_through_cues(*opened, path.stat().st_size, watch)
        by_cues = tail is not None
    if tail is None:
        opened, table = read_table(path, opened, watch)
        tail = table
    if not len(tail.shown_pts):
        raise VideoError(f"{path}: no frame of it can be shown")
    last_pts = max(int(tail.shown_pts[-1]), start_pts)
    end_pts = max(tail.end_pts, last_pts + 1)
    display = display_of(first, opened[1])
    facts = Facts(
        path=path,
        info=_describe(path, opened, table, first, (start_pts, end_pts), display, colour, by_cues),
        tick_s=tick_s,
        start_pts=start_pts,
        last_pts=last_pts,
        turns=display.turns,
        mirrored=display.mirrored,
        shown=Shown(
            stored_px=(first.width, first.height),
            pixel_aspect=first_aspect,
            colour=colour,
            tone_map=tone_map,
        ),
        reorder_pts=0 if by_cues else reorder_pts,
        can_seek=opened[0].format.name not in _UNSEEKABLE,
        can_skip=opened[1].codec_context.codec.canonical_name in _SKIPPABLE,
        table=table,
        by_cues=by_cues,
    )
    return facts, opened


def read_table(
    path: Path, opened: Opened, watch: Watch, max_packets: int | None = None
) -> tuple[Opened, PacketTable]:
    """Stamps of all packets, from the start: the file is opened again, as not all can be sought."""
    opened[0].close()
    opened = open_container(path, watch)
    try:
        return opened, scan_packets(*opened, watch, max_packets)
    except BaseException:
        opened[0].close()
        raise


def _first_frame(path: Path, opened: Opened, watch: Watch) -> tuple[av.VideoFrame, int]:
    """With the delay from decoding to presentation of the first key frame, in ticks."""
    container, stream = opened
    reorder_pts = stamped = unstamped = 0
    packets = chain(read_packets(container, stream, watch), (None,))
    for _, packet in zip(range(_MAX_FIRST), packets, strict=False):
        if packet is not None and packet.pts is not None and packet.dts is not None:
            stamped += 1
            reorder_pts = packet.pts - packet.dts if stamped == 1 else reorder_pts
        for frame in _decoded(stream, packet):
            if stamp(frame) is not None:
                return frame, reorder_pts
            unstamped += 1
    if unstamped:
        raise VideoError(
            f"{path}: its frames carry no times; put it into a container (mp4, mkv) first"
        )
    raise BackendError(f"{path}: no frame of it can be decoded")


def _decoded(stream: VideoStream, packet: av.Packet | None) -> list[av.VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.error.FFmpegError:  # the first packets may be damaged: later ones are tried
        return []


def _describe(
    path: Path,
    opened: Opened,
    table: PacketTable | None,
    first: av.VideoFrame,
    ends_pts: tuple[int, int],
    display: Display,
    colour: Colour,
    by_cues: bool,
) -> VideoInfo:
    container, stream = opened
    tick_s = float(stream.time_base or 0)
    duration_s = (ends_pts[1] - ends_pts[0]) * tick_s
    count = None
    if not by_cues:
        count = len(table.shown_pts) if table is not None else shown_in_index(stream)
    stated_hz = stream.average_rate or stream.guessed_rate or 1 / duration_s
    sides_px = (first.width, first.height)[:: -1 if display.turns % 2 else 1]
    return VideoInfo(
        path=str(path),
        duration_s=duration_s,
        start_s=ends_pts[0] * tick_s,
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
        colour=colour,
        notes=(*_notes(opened, table, duration_s, by_cues), *colour_notes(colour)),
    )


def _notes(
    opened: Opened, table: PacketTable | None, duration_s: float, by_cues: bool
) -> tuple[str, ...]:
    container, _ = opened
    notes: list[str] = []
    header_s = (container.duration or 0) / av.time_base
    if abs(header_s - duration_s) > max(0.5, 0.05 * duration_s) and header_s:
        notes.append(f"the header says {header_s:.2f} s, frames were found for {duration_s:.2f} s")
    if table is not None and table.corrupt:
        notes.append(f"{table.corrupt} damaged packets")
    if table is not None and not container.format.name.startswith("mov"):
        notes.append("no full index: every packet was read once at opening")
    if by_cues:
        notes.append("read through its cues: frames were not counted, their rate is as stated")
    return tuple(notes)

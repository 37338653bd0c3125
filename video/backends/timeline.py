"""When each frame of a file is shown, from its packets alone: a second opinion for back ends whose
own times cannot be trusted. Only the first frame is decoded, for its rotation. Imported lazily (it
imports av at the top).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmreason.video.backends.base import SLACK_S, BackendError, Deadline
from mmreason.video.backends.colour import colour_notes
from mmreason.video.backends.display import Display
from mmreason.video.backends.facts import stamp_notes
from mmreason.video.backends.head import Head, read_head
from mmreason.video.backends.packets import (
    Access,
    Opened,
    PacketTable,
    open_container,
)
from mmreason.video.backends.repair import read_table, reopen_container, verify_stamps
from mmreason.video.backends.tracks import list_tracks
from mmreason.video.types import Colour, Span, VideoInfo, VideoTrack


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The displayed frames of one file, in order."""

    path: Path
    times_s: np.ndarray
    """float64 (N,), ascending: presentation times."""
    end_s: float
    keyframe_times_s: tuple[float, ...]
    container: str
    codec: str
    has_audio: bool
    hidden: int
    """Packets that an edit list keeps from being shown."""
    leading: int
    """Packets of open groups: stored after a key frame, shown before it."""
    damaged: int
    """Packets that are corrupt or carry no time."""
    undecodable: int
    """Packets before the first frame that can be decoded."""
    repaired: bool
    """Whether the stored times are wrong, so that whoever believes them shows wrong frames."""
    track: int
    tracks: tuple[VideoTrack, ...]
    display: Display
    interlaced: bool
    colour: Colour
    notes: tuple[str, ...] = ()

    def refusal(self, *, takes_track: bool = False) -> str | None:
        """Why a reader that goes by the stored times cannot be trusted with this file, None where
        it can. `takes_track` says that it can be told which video stream to read."""
        if self.repaired:
            return "stores wrong or no times of frames, which"
        if not takes_track and sum(not track.is_picture for track in self.tracks) > 1:
            return "has several video tracks, of which"
        if self.display.by_picture:
            return "has pictures that say themselves how they are turned, which"
        if self.undecodable:
            return "begins with frames that cannot be decoded, which"
        return None

    def rows(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which frame (0-based, int64) is displayed at each time, and whether one is (bool)."""
        rows = np.searchsorted(self.times_s, times_s + SLACK_S, "right") - 1
        return rows.clip(0), (rows >= 0) & (times_s < self.end_s)

    def within(self, span: Span) -> np.ndarray:
        """float64 (N,): the times of the frames displayed at some moment of `span`."""
        if span.duration_s <= 0:
            return self.times_s[:0]
        first, end = np.searchsorted(
            self.times_s, (span.start_s + SLACK_S, span.end_s - SLACK_S), "right"
        )
        return self.times_s[max(0, first - 1) : end]

    def info(self, backend: str, size_px: tuple[int, int]) -> VideoInfo:
        """`size_px` is (width, height) as the back end delivers it."""
        start_s, count = float(self.times_s[0]), len(self.times_s)
        return VideoInfo(
            path=str(self.path),
            duration_s=self.end_s - start_s,
            start_s=start_s,
            width_px=size_px[0],
            height_px=size_px[1],
            codec=self.codec,
            mean_fps_hz=count / (self.end_s - start_s),
            frame_count=count,
            rotation_deg=90 * self.display.turns,
            has_audio=self.has_audio,
            backend=backend,
            size_bytes=self.path.stat().st_size,
            pixel_aspect=self.display.pixel_aspect,
            mirrored=self.display.mirrored,
            track=self.track,
            tracks=self.tracks,
            colour=self.colour,
            notes=(
                "times were read from every packet at opening",
                *self.notes,
                *colour_notes(self.colour),
            ),
        )


def read_timeline(path: Path, deadline: Deadline, track: int | None) -> Timeline:
    """Raises VideoError."""
    access = Access(path=path, track=track)
    opened = open_container(access, deadline)
    try:
        access = replace(access, track=opened[1].index)
        head = read_head(access, opened, deadline)
        access = verify_stamps(access, opened, head, deadline)
        opened, access, table = read_table(access, opened, deadline)
        if access.repair is not None or access.generate_pts:
            opened = reopen_container(access, opened, deadline)
            head = read_head(access, opened, deadline)
        return _timeline(access, opened, head, table)
    finally:
        opened[0].close()


def _timeline(access: Access, opened: Opened, head: Head, table: PacketTable) -> Timeline:
    container, stream = opened
    tick_s = float(stream.time_base or 0)
    undecodable = len(table.shown_pts)
    table = table.shown_from(head.start_pts)
    if not len(table.shown_pts):
        raise BackendError(f"{access.path}: no frame of it has a time")
    return Timeline(
        path=access.path,
        times_s=table.shown_pts * tick_s,
        end_s=table.end_pts * tick_s,
        keyframe_times_s=tuple((table.shown_key_pts * tick_s).tolist()),
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        has_audio=bool(container.streams.audio),
        hidden=table.discarded,
        leading=table.leading,
        damaged=table.corrupt + table.unstamped,
        undecodable=undecodable - len(table.shown_pts),
        repaired=access.repair is not None,
        track=stream.index,
        tracks=list_tracks(container),
        display=head.display,
        interlaced=head.first.interlaced_frame,
        colour=head.colour,
        notes=stamp_notes(access, table, opened),
    )

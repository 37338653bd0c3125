"""Reading the screen of a video: pictures are read where something changed, and lines get times.

    text = read_screen(video, load_screen_reader())
    for line in text.lines:
        print(line.span, line.text)

`mmreason.video.content.changes` says when the picture became another one. Only then it is read; a
picture that moves as a whole, and text on something that moves, is read every few seconds. When a
line came and went is then found among the frames between two readings.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmreason.video.content.changes import (
    Look,
    clip_span,
    find_change_time,
    look_rate_hz,
    scan_changes,
    to_greys,
)
from mmreason.video.reader import Video
from mmreason.video.screen_text.matching import crop_box, is_same_picture
from mmreason.video.screen_text.sure import keep_sure_lines
from mmreason.video.screen_text.tracks import LineTracker, Reading
from mmreason.video.screen_text.types import BoxPx, ReadLine, ScreenReader, ScreenText
from mmreason.video.stopping import check_stop
from mmreason.video.types import Span, format_time

MOVING_READ_S = 3.0
"""Seconds between readings of moving pictures; twice as many where the last ones found nothing."""
RECIPE = "changes of 10x10 cells at 1 Hz, moving every 3 s, edges of 60 frames"
"""Names everything that moves the result beside the reader, for the keys of a store."""

_MOST_SIDE_PX = 1_920
_EDGE_SIDE_PX = 640
_MOST_EDGE_FRAMES = 60
_MOVING_CELLS = 0.3
"""Share of moving cells under a line from which on the line stands on something that moves."""
_EMPTY_READS = 3
"""Readings without a line after which a moving picture is read more seldom."""


def read_screen(
    video: Video,
    reader: ScreenReader,
    *,
    span: Span | None = None,
    limit_s: float | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> ScreenText:
    """The lines that stand on the screen of `video`, or of its part inside `span`.

    Reads forward in bounded memory. After `limit_s` seconds it stops: the result's `span` is the
    part that was read, and a note says so. `on_progress` is told the time (seconds of the video) up
    to which it was read. Between two readings it asks `stopping.check_stop`. Raises VideoError for
    a span outside the video and for a video that cannot be read, and ValueError for a limit that is
    not above 0.

    Example:
        >>> text = read_screen(Video.open("talk.mp4"), load_screen_reader())  # doctest: +SKIP
        >>> [(str(line.span), line.text) for line in text.find("budget")]  # doctest: +SKIP
        [('0:12.40-0:31.00', 'Budget 2025')]
    """
    if limit_s is not None and not limit_s > 0:
        raise ValueError(f"limit_s must be above 0 seconds, got {limit_s}")
    span = clip_span(video.info, span)
    started = time.monotonic()
    session = _Session(video, reader, span)
    looks, moving_looks, end_s = 0, 0, span.end_s
    for look in scan_changes(video, span):
        check_stop()
        if limit_s is not None and time.monotonic() - started > limit_s:
            end_s = look.time_s
            break
        looks += 1
        moving_looks += look.is_moving
        session.take(look)
        if on_progress is not None:
            on_progress(look.time_s)
    notes = []
    if moving_looks:
        moving_s = moving_looks / look_rate_hz(video.info, span)
        notes.append(
            f"{moving_s:.0f} s of moving pictures were read every {MOVING_READ_S:g} to "
            f"{2 * MOVING_READ_S:g} s: lines shown for less can be missing"
        )
    if session.dropped:
        notes.append(f"{session.dropped} unsure readings were dropped")
    if end_s < span.end_s:
        notes.append(
            f"stopped at {format_time(end_s)} of {format_time(span.end_s)}: "
            f"the limit of {limit_s:g} s was over"
        )
    return ScreenText(
        span=Span(span.start_s, max(span.start_s, end_s)),
        lines=session.tracker.finish(end_s),
        reads=session.reads,
        looks=looks,
        model=reader.name,
        notes=tuple(notes),
    )


class _Session:
    """One pass over a video: decides which looks are read, and reads them."""

    def __init__(self, video: Video, reader: ScreenReader, span: Span) -> None:
        info = video.info
        self._video, self._reader, self._span = video, reader, span
        self._scale = min(1.0, _MOST_SIDE_PX / max(info.width_px, info.height_px))
        self._edge_scale = min(1.0, _EDGE_SIDE_PX / max(info.width_px, info.height_px))
        self._size_px = (info.width_px, info.height_px)
        self.tracker = LineTracker(self._size_px)
        self.reads = 0
        self.dropped = 0
        self._empty_reads = 0
        self._last_read_s: float | None = None
        self._read_cells: np.ndarray | None = None
        """Cells that moved at the last reading."""

    def take(self, look: Look) -> None:
        """Read `look` if it is to be read."""
        change = look.change
        if change is not None:
            # Text on something that moves may have changed since the reading before.
            before_s = change.before_s
            if self._last_read_s is not None and (look.is_moving or self._has_moving_text(look)):
                before_s = self._last_read_s
            self._read(look, (before_s, change.time_s))
        elif self._last_read_s is not None and self._is_due(look, self._last_read_s):
            self._read(look, (self._last_read_s, look.time_s))

    def _is_due(self, look: Look, last_read_s: float) -> bool:
        """Whether something that moves is to be read again."""
        wait_s = look.time_s - last_read_s + 1e-6
        if self._has_moving_text(look):
            return wait_s >= MOVING_READ_S
        if look.is_moving:
            empty = self._empty_reads >= _EMPTY_READS
            return wait_s >= MOVING_READ_S * (2 if empty else 1)
        # Something new moves: whether there is text on it is seen by reading it once.
        newly = self._read_cells is None or bool((look.moving & ~self._read_cells).mean() >= 0.05)
        return newly and wait_s >= 2 * MOVING_READ_S

    def _has_moving_text(self, look: Look) -> bool:
        """Whether a line of the last reading stands on something that moves."""
        return any(_moves(look, box, self._size_px) for box in self.tracker.open_boxes_px)

    def _read(self, look: Look, bracket_s: tuple[float, float]) -> None:
        size_px = tuple(max(1, round(px * self._scale)) for px in self._size_px)
        batch = self._video.frames_at([look.time_s], (size_px[0], size_px[1]))
        lines = self._reader.read_frame(batch.pixels[0])
        self.reads += 1
        sure = keep_sure_lines(
            lines,
            to_greys(batch.pixels)[0],
            lambda box: _moves(look, box, (size_px[0], size_px[1])),
        )
        self.dropped += len(lines) - len(sure)
        self._empty_reads = 0 if sure else self._empty_reads + 1
        placed = tuple(_scaled(line, 1 / self._scale) for line in sure)
        if placed or self.tracker.open_boxes_px:
            is_first = self._last_read_s is None
            edges = None if is_first else self._edges(bracket_s[0], look.time_s)
            self.tracker.add(
                Reading(
                    time_s=look.time_s,
                    bracket_s=bracket_s,
                    lines=placed,
                    stays_same=lambda box: edges is not None and edges.stays_same(box),
                    is_moving=lambda box: _moves(look, box, self._size_px),
                    # What is there at the first look was there from the start on.
                    find_edge=lambda box: bracket_s[0] if edges is None else edges.find(box),
                )
            )
        self._last_read_s, self._read_cells = look.time_s, look.moving

    def _edges(self, start_s: float, end_s: float) -> _Edges:
        return _Edges(video=self._video, start_s=start_s, end_s=end_s, scale=self._edge_scale)


def _scaled(line: ReadLine, factor: float) -> ReadLine:
    if factor == 1:
        return line
    x1, y1, x2, y2 = (value * factor for value in line.box_px)
    return ReadLine(text=line.text, box_px=(x1, y1, x2, y2), confidence=line.confidence)


def _moves(look: Look, box_px: BoxPx, size_px: tuple[int, int]) -> bool:
    """Whether a good part of the cells under a box move all the time."""
    rows, columns = look.moving.shape
    # Cells as a picture whose pixels are cells: its scale differs across and down.
    x1, x2 = (value / size_px[0] * columns for value in (box_px[0], box_px[2]))
    y1, y2 = (value / size_px[1] * rows for value in (box_px[1], box_px[3]))
    cells = crop_box(look.moving, (x1, y1, x2, y2), 1.0)
    return bool(cells.mean() >= _MOVING_CELLS)


@dataclass(kw_only=True)
class _Edges:
    """The frames between two readings, small and grey, decoded when a line first asks for them."""

    video: Video
    start_s: float
    end_s: float
    scale: float

    @cached_property
    def _frames(self) -> tuple[np.ndarray, np.ndarray]:
        """int16 (N, H, W) and their times (N,): of both readings, and some between them."""
        all_s = self.video.frame_times_s
        inside_s = all_s[(all_s > self.start_s + 1e-6) & (all_s <= self.end_s + 1e-6)]
        if len(inside_s) > _MOST_EDGE_FRAMES:
            rows = np.linspace(0, len(inside_s) - 1, _MOST_EDGE_FRAMES).round().astype(int)
            inside_s = inside_s[rows]
        times_s = np.concatenate(([self.start_s], inside_s))
        info = self.video.info
        size_px = tuple(max(1, round(px * self.scale)) for px in (info.width_px, info.height_px))
        batch = self.video.frames_at(times_s, (size_px[0], size_px[1]))
        return to_greys(batch.pixels), batch.times_s

    def stays_same(self, box_px: BoxPx) -> bool:
        """Whether both readings show the same picture in the box."""
        greys, _ = self._frames
        first, last = (crop_box(greys[i], box_px, self.scale) for i in (0, -1))
        return is_same_picture(first, last)

    def find(self, box_px: BoxPx) -> float | None:
        """When the picture in the box became that of the later reading; None where it did not."""
        greys, times_s = self._frames
        if len(greys) < 2 or self.stays_same(box_px):
            return None
        crops = np.stack([crop_box(grey, box_px, self.scale) for grey in greys])
        row = find_change_time(crops[0], crops[-1], crops)
        return None if row is None else float(max(self.start_s, times_s[row]))

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

import numpy as np

from mmreason.video.content.changes import (
    CELL_PX,
    ScannedLook,
    clip_span,
    look_rate_hz,
    scan_changes,
    to_greys,
)
from mmreason.video.reader import Video
from mmreason.video.screen_text.edges import BracketFrames
from mmreason.video.screen_text.matching import crop_box
from mmreason.video.screen_text.sure import keep_sure_lines
from mmreason.video.screen_text.tracks import LineTracker, Reading
from mmreason.video.screen_text.types import BoxPx, ReadLine, ScreenReader, ScreenText
from mmreason.video.stopping import check_stop
from mmreason.video.types import Span, format_time

MOVING_READ_S = 3.0
"""Seconds between readings of moving pictures; twice as many where the last ones found nothing."""
RECIPE = "changes of 10x10 cells at 1 Hz, moving every 3 s, numbers to 24 s, edges of 60 frames"
"""Names everything that moves the result beside the reader, for the keys of a store."""

_MOST_SIDE_PX = 1_920
_EDGE_SIDE_PX = 640
_MOVING_CELLS = 0.3
"""Share of moving cells under a line from which on the line stands on something that moves."""
_EMPTY_READS = 3
"""Readings without a line after which a moving picture is read more seldom."""
_MOST_DOUBLINGS = 3
"""Of the seconds between readings where nothing but numbers changes, as on a clock."""
_DIFFERENT = 4.0
"""Mean difference, in grey levels, of a part of a line in the small picture that changed."""


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
    session.end()
    notes = []
    if moving_looks:
        moving_s = moving_looks / look_rate_hz(video.info, span)
        notes.append(
            f"{moving_s:.0f} s of moving pictures were read every {MOVING_READ_S:g} to "
            f"{2 * MOVING_READ_S:g} s: lines shown for less can be missing"
        )
    if session.running_reads:
        most_s = MOVING_READ_S * 2**_MOST_DOUBLINGS
        notes.append(
            f"text that changes or moves all the time was read every {MOVING_READ_S:g} to "
            f"{most_s:g} s: what it said between is missing"
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
        self._last_texts: frozenset[str] = frozenset()
        """Of the last reading, without digits."""
        self._look: ScannedLook | None = None
        """The last one that was taken."""
        self._read_look: ScannedLook | None = None
        """That of the last reading."""
        self._moved = np.zeros((1, 1), bool)
        self._number_reads = 0
        """Readings one after another in which nothing but numbers was new."""
        self.running_reads = 0
        """Readings of text that moves or changes all the time."""

    def take(self, look: ScannedLook) -> None:
        """Read `look` if it is to be read."""
        self._look, change = look, look.change
        # Cells that moved all the time at some look since the reading before: their changes were
        # not told.
        self._moved = look.moving if self._read_look is None else self._moved | look.moving
        if change is not None:
            # Text on something that moves may have changed since the reading before.
            before_s = change.before_s
            if self._read_look is not None and (look.is_moving or self._has_running_text(look)):
                before_s = self._read_look.time_s
            self._read(look, (before_s, change.time_s))
        elif self._read_look is not None and self._is_due(look, self._read_look):
            self._read(look, (self._read_look.time_s, look.time_s))

    def end(self) -> None:
        """Read the last look where lines may be gone by then of which nothing told."""
        look, last = self._look, self._read_look
        if look is None or last is None or look is last:
            return
        if self._has_running_text(look) or (look.is_moving and self.tracker.open_boxes_px):
            self._read(look, (last.time_s, look.time_s))

    def _is_due(self, look: ScannedLook, last: ScannedLook) -> bool:
        """Whether something that moves is to be read again, after it was at `last`."""
        wait_s = look.time_s - last.time_s + 1e-6
        if self._has_running_text(look):
            if wait_s < MOVING_READ_S * 2 ** min(self._number_reads, _MOST_DOUBLINGS):
                return False
            self.running_reads += not look.is_moving
            return True
        if look.is_moving:
            empty = self._empty_reads >= _EMPTY_READS
            return wait_s >= MOVING_READ_S * (2 if empty else 1)
        # Something new moves: whether there is text on it is seen by reading it once.
        newly = bool((look.moving & ~last.moving).mean() >= 0.05)
        return newly and wait_s >= 2 * MOVING_READ_S

    def _has_running_text(self, look: ScannedLook) -> bool:
        """Whether a line of the last reading looks another way by now, where cells moved all the
        time."""
        last = self._read_look
        return last is not None and any(
            bool(_crop_small(self._moved, box, self._size_px).any())
            and _differs(last.grey, look.grey, box, self._size_px)
            for box in self.tracker.open_boxes_px
        )

    def _read(self, look: ScannedLook, bracket_s: tuple[float, float]) -> None:
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
        texts = frozenset(_without_digits(line.text) for line in placed)
        only_numbers = look.change is None and texts == self._last_texts
        self._number_reads = self._number_reads + 1 if only_numbers else 0
        self._last_texts = texts
        if placed or self.tracker.open_boxes_px:
            is_first = self._read_look is None
            edges = None if is_first else self._edges(bracket_s[0], look.time_s)
            self.tracker.add(
                Reading(
                    time_s=look.time_s,
                    bracket_s=bracket_s,
                    lines=placed,
                    stays_same=lambda box: edges is not None and edges.stays_same(box),
                    is_moving=lambda box: _moves(look, box, self._size_px),
                    # What is there at the first look was there from the start on.
                    find_start=lambda box: (
                        bracket_s[0]
                        if edges is None
                        else edges.find_start(box, is_running=self._runs(look, box))
                    ),
                    find_end=lambda box: (
                        bracket_s[0]
                        if edges is None
                        else edges.find_end(box, is_running=self._runs(look, box))
                    ),
                )
            )
        self._read_look, self._moved = look, look.moving

    def _runs(self, look: ScannedLook, box_px: BoxPx) -> bool:
        """Whether what stands in a box may have been several things since the last reading, on a
        ground that stays."""
        moved = bool(_crop_small(self._moved, box_px, self._size_px).any())
        return moved and not look.is_moving

    def _edges(self, start_s: float, end_s: float) -> BracketFrames:
        return BracketFrames(
            video=self._video, start_s=start_s, end_s=end_s, scale=self._edge_scale
        )


def _scaled(line: ReadLine, factor: float) -> ReadLine:
    if factor == 1:
        return line
    x1, y1, x2, y2 = (value * factor for value in line.box_px)
    return ReadLine(text=line.text, box_px=(x1, y1, x2, y2), confidence=line.confidence)


def _without_digits(text: str) -> str:
    return "".join(c for c in text if not c.isdigit())


def _moves(look: ScannedLook, box_px: BoxPx, size_px: tuple[int, int]) -> bool:
    """Whether a good part of the cells under a box move all the time."""
    return bool(_crop_small(look.moving, box_px, size_px).mean() >= _MOVING_CELLS)


def _differs(
    first: np.ndarray, second: np.ndarray, box_px: BoxPx, size_px: tuple[int, int]
) -> bool:
    """Whether some part of a box is another one in two small pictures."""
    difference = np.abs(_crop_small(first, box_px, size_px) - _crop_small(second, box_px, size_px))
    parts = np.array_split(difference, max(1, difference.shape[1] // CELL_PX), axis=1)
    return any(float(part.mean()) >= _DIFFERENT for part in parts)


def _crop_small(small: np.ndarray, box_px: BoxPx, size_px: tuple[int, int]) -> np.ndarray:
    """The part of a small picture, or of its cells, inside a box in pixels of the original."""
    height, width = small.shape
    # Its scale may differ a little across and down.
    x1, x2 = (value / size_px[0] * width for value in (box_px[0], box_px[2]))
    y1, y2 = (value / size_px[1] * height for value in (box_px[1], box_px[3]))
    return crop_box(small, (x1, y1, x2, y2), 1.0)

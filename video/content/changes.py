"""When the picture became another one and stayed: new slides, new lines, new windows.

    changes = find_changes(video)
    changes.times_s, changes.slide_times_s

Small grey pictures are compared, one a second, in cells. The median of three looks forgets what
passes (a cursor on its way), cells that move all the time (a webcam in a corner) are masked, and a
change counts once the picture is still again. So a recording of slides with both is looked at no
more often than the slides alone. `scan_changes` gives the same look after look, in bounded memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo

LOOKS_HZ = 1.0
"""Looks a second; short videos are looked at more often, see `look_rate_hz`."""
CELL_PX = 10
"""Side of a cell in the small picture, whose area is about 160 x 90."""
MOST_CHANGES_A_MINUTE = 20
"""Over pictures that never rest; a burst of five more is let through."""

_AREA_PX = 160 * 90
_LEAST_LOOKS, _MOST_HZ = 10, 4.0
_DIFFERENT = 2.5
"""Mean difference of a cell, in grey levels of 255, from which on it shows something else."""
_MOVING_WINDOW = 10
"""Looks before and after by which a cell is judged to move all the time."""
_LEAST_SIDE = 3
"""Looks before, or after, from which on they tell whether a cell moves all the time."""
_MOVING_SHARE, _NEIGHBOUR_SHARE = 0.3, 0.1
"""Share of these looks at which such a cell moves, and at which one beside such a cell does."""
_MOST_WAIT = 3
"""Looks that are waited for the picture to be still."""
_BURST = 5.0
_DETAIL = 8
"""Grey levels by which a pixel stands out of its cell, and by which it has become another."""
_WHOLE_SHARE = 0.35
"""Share of cells that move from which on the picture moves as a whole."""
_REPLACED_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The picture became another one and stayed. It did so after `before_s`, at `time_s` at the
    latest.

    Example:
        >>> Change(before_s=4, time_s=5, still_s=5, share=0.1, replaced=0.9).is_slide
        True
    """

    before_s: float
    """The last look that shows what was before, seconds."""
    time_s: float
    """The first look that shows something else."""
    still_s: float
    """When the picture is still again: the look to read."""
    share: float
    """Cells that show something else, of those that do not move all the time, 0..1."""
    replaced: float
    """The same of the cells that had something to see before, 0..1: near 0 where a line is added to
    a slide, near 1 where the slide is another one."""

    @property
    def is_slide(self) -> bool:
        """Whether most of what was to be seen has gone, as with the next slide."""
        return self.replaced >= _REPLACED_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedLook:
    """One look of a scan: which cells move all the time, and the change that was settled there."""

    time_s: float
    moving: np.ndarray
    """bool (rows, columns): cells that move all the time around this look."""
    grey: np.ndarray
    """int16 (H, W): the small picture."""
    change: Change | None = None

    @property
    def is_moving(self) -> bool:
        """Whether the picture moves as a whole (a camera, a film), so that nothing can be told."""
        return bool(self.moving.mean() >= _WHOLE_SHARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a scan of a stretch found.

    Example:
        >>> find_changes(Video.open("talk.mp4")).slide_times_s  # doctest: +SKIP
        (0.0, 31.0, 74.0)
    """

    span: Span
    changes: tuple[Change, ...]
    """In order; the first is the first look."""
    moving_spans: tuple[Span, ...]
    """Where the picture moves as a whole: changes there are not to be relied on."""
    looks: int
    rate_hz: float

    @property
    def times_s(self) -> tuple[float, ...]:
        """When the picture became another one, to one look; the first is the start of `span`."""
        return tuple(change.time_s for change in self.changes)

    @property
    def slide_times_s(self) -> tuple[float, ...]:
        """The same of new slides and screens alone, outside of moving pictures."""
        return tuple(
            change.time_s
            for change in self.changes
            if change.is_slide
            and not any(span.contains(change.time_s) for span in self.moving_spans)
        )


class LookSource(Protocol):
    """A video that can be read forward: what `find_changes` needs."""

    @property
    def info(self) -> VideoInfo: ...

    def stream(
        self,
        fps: float | None = None,
        size_px: tuple[int, int] | None = None,
        span: Span | None = None,
    ) -> Iterator[FrameBatch]: ...


def find_changes(
    video: LookSource,
    span: Span | None = None,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Changes:
    """The changes of `video`, or of its part inside `span`; `on_progress` is told the time
    (seconds) up to which it was seen. Raises VideoError for a span outside the video and for a
    video that cannot be read.

    Example:
        >>> find_changes(Video.open("talk.mp4")).times_s  # doctest: +SKIP
        (0.0, 12.0, 31.0, 40.0, 74.0)
    """
    span = clip_span(video.info, span)
    changes: list[Change] = []
    moving: list[Span] = []
    looks = 0
    rate_hz = look_rate_hz(video.info, span)
    for look in scan_changes(video, span):
        looks += 1
        if look.change is not None:
            changes.append(look.change)
        if look.is_moving:
            end_s = min(look.time_s + 1 / rate_hz, span.end_s)
            # A look right after the last one makes its stretch longer.
            if moving and look.time_s <= moving[-1].end_s + 1e-6:
                moving[-1] = Span(moving[-1].start_s, end_s)
            else:
                moving.append(Span(look.time_s, end_s))
        if on_progress is not None:
            on_progress(look.time_s)
    return Changes(
        span=span,
        changes=tuple(changes),
        moving_spans=tuple(moving),
        looks=looks,
        rate_hz=rate_hz,
    )


def scan_changes(video: LookSource, span: Span) -> Iterator[ScannedLook]:
    """Each look of `span` in order, some looks after it was read; holds about twenty small
    pictures. Raises VideoError."""
    rate_hz = look_rate_hz(video.info, span)
    scan = ChangeScan()
    row = 0
    for batch in video.stream(rate_hz, small_size_px(video.info), span):
        # A look counts at the time that was asked for: a frame that stays for a minute was shown
        # before.
        times_s = span.start_s + (row + np.arange(len(batch))) / rate_hz
        row += len(batch)
        yield from scan.push(to_greys(batch.pixels), times_s)
    yield from scan.finish()


def look_rate_hz(info: VideoInfo, span: Span) -> float:
    """`LOOKS_HZ`, more for a stretch that is shorter than ten looks, never more than frames."""
    rate_hz = min(max(LOOKS_HZ, _LEAST_LOOKS / max(span.duration_s, 1e-3)), _MOST_HZ)
    return min(rate_hz, max(info.mean_fps_hz, LOOKS_HZ))


def clip_span(info: VideoInfo, span: Span | None) -> Span:
    """The part of `span` inside the video, all of it for None. Raises VideoError where none is."""
    clipped = info.span if span is None else span.clip(info.span)
    if clipped.duration_s <= 0:
        raise VideoError(f"{info.path}: nothing of the video lies there; it is shown {info.span}")
    return clipped


def small_size_px(info: VideoInfo) -> tuple[int, int]:
    """(width, height) of the small picture: whole cells, about in the video's own shape.

    Example:
        >>> small_size_px(Video.open("talk.mp4").info)  # doctest: +SKIP
        (160, 90)
    """
    width_px, height_px = info.square_size_px
    scale = (_AREA_PX / (width_px * height_px)) ** 0.5 / CELL_PX
    columns, rows = (int(np.clip(round(px * scale), 2, 48)) for px in (width_px, height_px))
    return columns * CELL_PX, rows * CELL_PX


def to_greys(pixels: np.ndarray) -> np.ndarray:
    """int16 (N, H, W): luma 0..255 of uint8 (N, H, W, 3) RGB."""
    # The weights add up to 256, so that 16 bits are enough.
    red, green, blue = (pixels[..., i].astype(np.uint16) for i in range(3))
    return ((77 * red + 150 * green + 29 * blue) >> 8).astype(np.int16)


def compare_cells(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float32 (rows, columns): mean difference of two small grey pictures in each cell.

    Example:
        >>> black, white = np.zeros((20, 30), np.int16), np.full((20, 30), 255, np.int16)
        >>> compare_cells(black, white).shape, float(compare_cells(black, white).max())
        ((2, 3), 255.0)
    """
    return _cells(np.abs(first - second)).mean(axis=(1, 3), dtype=np.float32)


def _cells(picture: np.ndarray) -> np.ndarray:
    """(rows, CELL_PX, columns, CELL_PX) of (H, W)."""
    height, width = picture.shape
    return picture.reshape(height // CELL_PX, CELL_PX, width // CELL_PX, CELL_PX)


class ChangeScan:
    """Takes small grey pictures in order and gives back looks whose surroundings are known.

    Example:
        >>> scan = ChangeScan()
        >>> blank, written = np.zeros((2, 5, 20, 30), np.int16)
        >>> written[:, 3:8, 3:27] = 200
        >>> greys = np.concatenate((blank, written))
        >>> looks = [*scan.push(greys, np.arange(10.0)), *scan.finish()]
        >>> [look.change.time_s for look in looks if look.change]
        [0.0, 5.0]
    """

    def __init__(self) -> None:
        self._greys: deque[np.ndarray] = deque()
        self._moved: deque[np.ndarray] = deque()
        """Of each look that is kept, the cells that differ from the look before."""
        self._times_s: deque[float] = deque()
        self._first = 0
        """Row of the first look that is kept."""
        self._done = 0
        """Looks given back."""
        self._reference: np.ndarray | None = None
        """The picture at the last change."""
        self._pending: tuple[float, float, int] | None = None
        """Times before and at the first look that differs, and its row."""
        self._tokens = _BURST
        self._last_emitted_s: float | None = None

    def push(self, greys: np.ndarray, times_s: np.ndarray) -> list[ScannedLook]:
        """Take int16 (N, H, W) at `times_s` (N,); the looks that can be judged by now."""
        looks: list[ScannedLook] = []
        for grey, time_s in zip(greys, times_s.tolist(), strict=True):
            before = self._greys[-1] if self._greys else grey
            self._moved.append(compare_cells(before, grey) >= _DIFFERENT)
            self._greys.append(grey)
            self._times_s.append(time_s)
            if self._first + len(self._greys) - self._done > _MOVING_WINDOW:
                looks.append(self._judge())
        return looks

    def finish(self) -> list[ScannedLook]:
        """The looks that waited for later ones."""
        return [self._judge() for _ in range(self._first + len(self._greys) - self._done)]

    def _judge(self) -> ScannedLook:
        row = self._done
        moving = self._moving(row)
        change = self._settle(row, moving)
        look = ScannedLook(
            time_s=self._times_s[row - self._first],
            moving=moving,
            grey=self._greys[row - self._first],
            change=change,
        )
        self._done += 1
        # What no later look is compared with is dropped.
        while self._first < self._done - _MOVING_WINDOW:
            for kept in (self._greys, self._moved, self._times_s):
                kept.popleft()
            self._first += 1
        return look

    def _moving(self, row: int) -> np.ndarray:
        kept = list(self._moved)
        here = row + 1 - self._first
        before = kept[max(0, here - 1 - _MOVING_WINDOW) : here]
        after = kept[here : here + _MOVING_WINDOW]
        often = np.mean(before + after, axis=0)
        sides = [side for side in (before, after) if len(side) >= _LEAST_SIDE]
        if (often >= _MOVING_SHARE).mean() >= _WHOLE_SHARE and sides:
            # A slide that rests right before a film, or right behind one, is no film.
            often = np.min([np.mean(side, axis=0) for side in sides], axis=0)
        moving = often >= _MOVING_SHARE
        # What moves reaches into cells beside it now and then: those go with it.
        grown = np.pad(moving, 1)
        for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)):
            near = grown[y : y + moving.shape[0], x : x + moving.shape[1]]
            moving = moving | (near & (often >= _NEIGHBOUR_SHARE))
        return moving

    def _median(self, row: int) -> np.ndarray:
        """The middle of three looks around `row`: what is seen at one of them alone is none."""
        # The first look takes two later ones; the last counts by itself, so that nothing is lost.
        middle = max(row - self._first, 1)
        rows = np.clip(np.arange(middle - 1, middle + 2), 0, len(self._greys) - 1)
        first, second, third = (self._greys[i] for i in rows.tolist())
        return np.maximum(np.minimum(first, second), np.minimum(np.maximum(first, second), third))

    def _settle(self, row: int, moving: np.ndarray) -> Change | None:
        """The change that is complete at `row`, if one is."""
        picture, time_s = self._median(row), self._times_s[row - self._first]
        if self._reference is None:
            different = np.ones_like(moving)
        else:
            different = (compare_cells(self._reference, picture) >= _DIFFERENT) & ~moving
        if not different.any():
            self._pending = None  # it went back to what it was
            return None
        if self._pending is None:
            before_s = self._times_s[max(0, row - 1 - self._first)]
            self._pending = before_s, time_s, row
        before_s, first_s, first_row = self._pending
        is_still = not (
            (compare_cells(picture, self._median(row + 1)) >= _DIFFERENT) & ~moving
        ).any()
        if not is_still and row - first_row < _MOST_WAIT:
            return None
        if not self._may_emit(time_s):
            return None
        replaced = 1.0
        if self._reference is not None:
            replaced = _replaced_share(self._reference, picture, ~moving)
        share = float(different.sum() / max(1, (~moving).sum()))
        self._reference, self._pending = picture, None
        return Change(
            before_s=before_s,
            time_s=first_s,
            still_s=time_s,
            share=min(1.0, share),
            replaced=replaced,
        )

    def _may_emit(self, time_s: float) -> bool:
        """Whether another change is within the most a minute; counts it if so."""
        if self._last_emitted_s is not None:
            gained = (time_s - self._last_emitted_s) * MOST_CHANGES_A_MINUTE / 60
            if self._tokens + gained < 1:
                return False
            self._tokens = min(_BURST, self._tokens + gained)
        self._last_emitted_s = time_s
        self._tokens -= 1
        return True


def _replaced_share(before: np.ndarray, after: np.ndarray, compared: np.ndarray) -> float:
    """Share of what stood out of its cell before that is gone, in the cells (rows, columns) that
    are `compared`; 1 where nothing stood out."""
    cells = _cells(before)
    ground = np.median(cells, axis=(1, 3), keepdims=True)
    stood_out = (np.abs(cells - ground) >= _DETAIL) & compared[:, None, :, None]
    if not stood_out.any():
        return 1.0
    return float((np.abs(_cells(after) - cells)[stood_out] >= _DETAIL).mean())


def find_change_time(
    boxes_before: np.ndarray, boxes_after: np.ndarray, boxes: np.ndarray
) -> int | None:
    """Row of the first of `boxes` (N, H, W), pictures in order of time, from which on they look
    more like `boxes_after` (H, W) than like `boxes_before`; None where none does. Through a fade
    that is its middle.

    Example:
        >>> black, white = np.zeros((4, 4)), np.full((4, 4), 255.0)
        >>> find_change_time(black, white, np.stack((black, black, white)))
        2
    """
    frames = boxes.astype(np.float32)
    to_before = np.abs(frames - boxes_before).mean(axis=(1, 2))
    to_after = np.abs(frames - boxes_after).mean(axis=(1, 2))
    is_before = to_before <= to_after
    last_before = len(boxes) - 1 - int(np.argmax(is_before[::-1])) if is_before.any() else -1
    return last_before + 1 if last_before + 1 < len(boxes) else None


def locate_slides(
    video: LookSource, changes: Changes, *, most_frames: int = 60
) -> tuple[float, ...]:
    """`changes.slide_times_s` to the frame: the frames between two looks are decoded small and
    compared. Raises VideoError."""
    return tuple(
        _locate(video, change, most_frames)
        for change in changes.changes
        if change.time_s in changes.slide_times_s
    )


def _locate(video: LookSource, change: Change, most_frames: int) -> float:
    size_px = small_size_px(video.info)
    end_s = min(change.still_s + 1e-3, video.info.span.end_s)
    greys: list[np.ndarray] = []
    times_s: list[float] = []
    rate_hz = min(video.info.mean_fps_hz, most_frames / max(end_s - change.before_s, 1e-3))
    for batch in video.stream(rate_hz, size_px, Span(change.before_s, end_s)):
        greys += list(to_greys(batch.pixels))
        times_s += batch.times_s.tolist()
    if len(greys) < 2:
        return change.time_s
    row = find_change_time(greys[0], greys[-1], np.stack(greys))
    return change.time_s if row is None else times_s[row]

"""Tracking a video of any length in windows of frames: pixels of one window are held at a time.

Windows share frames. An object keeps its id where its boxes of both windows agree over those, and
what is there at the border is handed to the next window as a seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from mmreason.grounding.boxes import Box, iou
from mmreason.grounding.metrics.arrays import pairwise_iou
from mmreason.grounding.protocols import Detection
from mmreason.grounding.results import Issue
from mmreason.grounding.tracking.association import match_pairs
from mmreason.grounding.tubes import Tube
from mmreason.video.plain_text import show_line
from mmreason.video.stopping import check_stop
from mmreason.video.types import FrameBatch, FrameSource, Span

MOST_FRAMES = 200
"""Of one window."""
MOST_WINDOW_BYTES = 600_000_000
"""Of the pixels of one window: 96 frames of 1080p, 24 of 4K."""
OVERLAP_S = 3.0
"""How long windows overlap, which is as long as an object may be hidden and keep its id."""
SAME_TRACK_IOU = 0.5
"""Mean overlap over shared frames from which two tubes are one object."""

_MOST_REASON = 300
"""Characters of what another library says went wrong."""

Seeds: TypeAlias = list[tuple[Detection, ...]]
"""One row a frame."""
TrackWindow: TypeAlias = Callable[[FrameBatch, Seeds], Sequence[Tube]]
"""Tubes of one window, over all its times. Gets what earlier windows hand over as seeds."""


class TrackingError(RuntimeError):
    """A tracker stopped before the last frame. `tubes` is what it had by then, over all times of
    its window, with `observed` false where it did not look."""

    def __init__(self, message: str, tubes: Sequence[Tube] = ()) -> None:
        super().__init__(message)
        self.tubes = tuple(tubes)


@dataclass(frozen=True, slots=True)
class StartSeeds:
    """What is known of one frame before tracking begins.

    Example:
        >>> StartSeeds(12.4, (Detection(box=Box(0, 0, 8, 8)),)).time_s
        12.4
    """

    time_s: float
    detections: tuple[Detection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedVideo:
    """What tracking in windows came to.

    Example:
        >>> TrackedVideo(
        ...     tubes=(), times_s=np.array([0.0, 0.2]), looked=np.array([True, False])
        ... ).windows
        0
    """

    tubes: tuple[Tube, ...]
    """Each from the first to the last frame in which its object is to be seen; ids are numbers in
    order of appearance."""
    times_s: np.ndarray
    """float64 (n,): presentation times of the frames that were tracked over, rising."""
    looked: np.ndarray
    """bool (n,): whether somebody looked for objects in that frame, so that who has no box is
    absent; else boxes are filled in between two looks."""
    windows: int = 0
    notes: tuple[Issue, ...] = ()
    """Windows that could not be read or tracked."""


def plan_windows(
    times_s: np.ndarray, *, most_frames: int = MOST_FRAMES, overlap_s: float = OVERLAP_S
) -> tuple[tuple[int, int], ...]:
    """(start, stop) indices of windows of at most `most_frames` frames that cover all of `times_s`
    (rising). Neighbours share a frame at least, and half of a window at most.

    Example:
        >>> plan_windows(np.arange(10) * 1.0, most_frames=6, overlap_s=2.0)
        ((0, 6), (4, 10))
    """
    if most_frames < 2:
        raise ValueError(f"a window needs 2 frames or more, got most_frames={most_frames}")
    windows = []
    start, count = 0, len(times_s)
    while start < count:
        stop = min(start + most_frames, count)
        windows.append((start, stop))
        if stop == count:
            break
        begin = int(np.searchsorted(times_s, times_s[stop - 1] - overlap_s, "right"))
        start = min(max(begin, start + most_frames // 2), stop - 1)
    return tuple(windows)


def track_in_windows(
    video: FrameSource,
    times_s: Sequence[float] | np.ndarray,
    track_window: TrackWindow,
    *,
    start: StartSeeds | None = None,
    most_frames: int = MOST_FRAMES,
    overlap_s: float = OVERLAP_S,
) -> TrackedVideo:
    """Track over the frames displayed at `times_s` (seconds, rising), window by window.

    With `start` the windows go from the frame nearest to its time to the end, and then back to the
    first one. A window that cannot be read or tracked becomes a note, and the next ones go on; a
    `TrackingError` gives what was tracked before it. Raises ValueError for times that do not rise.
    """
    ordered_s = np.asarray(times_s, np.float64)
    if not np.isfinite(ordered_s).all() or (np.diff(ordered_s) <= 0).any():
        raise ValueError("times to track at must be finite and rise; give each once, in order")
    frame_bytes = 3 * video.info.width_px * video.info.height_px
    most_frames = max(2, min(most_frames, MOST_WINDOW_BYTES // frame_bytes))
    stitched = _Stitched(ordered_s, start)
    notes: list[Issue] = []
    windows = _order_windows(ordered_s, stitched.middle, most_frames, overlap_s)
    for begin, end in windows:
        check_stop()
        span_s = ordered_s[begin:end]
        try:
            frames = video.frames_at(span_s.tolist())
            shown_s, first = np.unique(frames.times_s, return_index=True)
            frames, indices = _take_frames(frames, first), stitched.index(begin + first, shown_s)
            reached = np.ones(len(indices), bool)
            try:
                tubes = track_window(frames, stitched.hand_over(indices, end))
            except TrackingError as error:
                tubes = error.tubes
                reached = _observed_by_any(tubes, len(indices))
                notes.append(_tell_failure(span_s, error, "what it had by then is kept"))
            stitched.add(indices, np.where(reached, shown_s, np.nan), tubes)
        except Exception as error:
            # Decoders, models and trackers of others may raise anything. Whoever asked for an end
            # is asked again at once.
            check_stop()
            notes.append(_tell_failure(span_s, error, "nothing is known there"))
    frames_tracked = _rises(stitched.shown_s)
    return TrackedVideo(
        tubes=stitched.tubes(),
        times_s=stitched.shown_s[frames_tracked],
        looked=stitched.looked[frames_tracked],
        windows=len(windows),
        notes=tuple(notes),
    )


def join_seeds(
    carried: Sequence[Detection], detections: Sequence[Detection]
) -> tuple[Detection, ...]:
    """What an earlier window handed over, and the detections that are none of it."""
    if not carried or not detections:
        return (*carried, *detections)
    overlap = pairwise_iou(_boxes_of(detections), _boxes_of(carried)).max(axis=1)
    new = [d for d, most in zip(detections, overlap, strict=True) if most < SAME_TRACK_IOU]
    return (*carried, *new)


@dataclass(frozen=True, slots=True)
class _Look:
    """One object in one frame: None where it is absent."""

    detection: Detection | None
    observed: bool


class _Stitched:
    """Objects over all frames, as far as windows have been tracked."""

    def __init__(self, times_s: np.ndarray, start: StartSeeds | None) -> None:
        self._start = start
        self.middle: int | None = None
        if start is not None and len(times_s):
            self.middle = int(np.abs(times_s - start.time_s).argmin())
        self.shown_s = np.full(len(times_s), np.nan)
        self.looked = np.zeros(len(times_s), bool)
        self._index_of: dict[float, int] = {}
        # Of each object, its looks by index of the frame; frames come in runs.
        self._objects: list[dict[int, _Look]] = []

    def index(self, indices: np.ndarray, shown_s: np.ndarray) -> np.ndarray:
        """`indices` of frames shown at `shown_s`, where a frame that an earlier window had under
        another time that was asked for keeps that index."""
        rows = zip(shown_s.tolist(), indices.tolist(), strict=True)
        return np.array([self._index_of.get(time_s, index) for time_s, index in rows], int)

    def hand_over(self, indices: np.ndarray, end: int) -> Seeds:
        """Seeds of a window of frames `indices`, all below `end`: each object that is known in some
        of them, in the one that is nearest to those that are new."""
        seeds: list[list[Detection]] = [[] for _ in indices]
        covered = np.flatnonzero(~np.isnan(self.shown_s[indices])).tolist()
        # Going back, the frames that are known are the last ones.
        nearest_first = covered if covered and covered[0] > 0 else covered[::-1]
        for looks in self._near(indices):
            for row in nearest_first:
                look = looks.get(int(indices[row]))
                if look and look.detection:
                    seeds[row].append(look.detection)
                    break
        # The window that holds the first frame, and the next one where that could not be tracked.
        middle = self.middle
        if self._start and middle is not None and indices[0] <= middle < end and not any(seeds):
            row = int(np.searchsorted(indices, middle, "right")) - 1
            seeds[row] = list(self._start.detections)
        return [tuple(row) for row in seeds]

    def add(self, indices: np.ndarray, shown_s: np.ndarray, tubes: Sequence[Tube]) -> None:
        """Join the tubes of the window of frames `indices`, shown at `shown_s` (NaN for those that
        were not reached), to what is there. Raises ValueError for a tube that is not over these
        frames."""
        for tube in tubes:
            if len(tube) != len(indices):
                raise ValueError(
                    f"a tube of the tracker has {len(tube)} times for {len(indices)} frames"
                )
        reached = ~np.isnan(shown_s)
        self.shown_s[indices[reached]] = shown_s[reached]
        self._index_of.update(
            zip(shown_s[reached].tolist(), indices[reached].tolist(), strict=True)
        )
        # A tracker that found nothing says of no frame whether it looked: it had them all.
        observed = _observed_by_any(tubes, len(indices)) if tubes else reached
        self.looked[indices] |= observed & reached
        fresh = [_looks_of(indices, tube) for tube in tubes if tube.present.any()]
        near = self._near(indices)
        agreement = np.array([[_agree(old, new) for new in fresh] for old in near], np.float64)
        agreement = agreement.reshape(len(near), len(fresh))
        olds, news = match_pairs(agreement, agreement >= SAME_TRACK_IOU)
        for old, new in zip(olds.tolist(), news.tolist(), strict=True):
            for index, look in fresh[new].items():
                # What one window saw counts more than what the other filled in or missed.
                before = near[old].get(index)
                if before is None or (look.detection and (look.observed or not before.detection)):
                    near[old][index] = look
        matched = set(news.tolist())
        self._objects += [looks for row, looks in enumerate(fresh) if row not in matched]

    def _near(self, indices: np.ndarray) -> list[dict[int, _Look]]:
        """Objects of windows that share a frame with `indices` at one end."""
        ends = (int(indices[0]), int(indices[-1]))
        return [looks for looks in self._objects if any(index in looks for index in ends)]

    def tubes(self) -> tuple[Tube, ...]:
        """All objects, numbered in order of appearance."""
        built = [_tube_of(looks, self.shown_s) for looks in self._objects]
        built.sort(key=lambda tube: (tube.times_s[0], *tube.boxes_px[0].tolist()))
        return tuple(replace(tube, id=str(n)) for n, tube in enumerate(built, start=1))


def _looks_of(indices: np.ndarray, tube: Tube) -> dict[int, _Look]:
    looks = {}
    for row, index in enumerate(indices.tolist()):
        detection = None
        if tube.present[row]:
            detection = Detection(
                box=Box(*tube.boxes_px[row].tolist()),
                score=None if tube.scores is None else float(tube.scores[row]),
                label=tube.label,
                mask=None if tube.masks is None else tube.masks[row],
            )
        looks[index] = _Look(detection, bool(tube.observed[row]))
    return looks


def _observed_by_any(tubes: Sequence[Tube], count: int) -> np.ndarray:
    """bool (count,): frames that some tube says were looked at."""
    return np.any([tube.observed for tube in tubes], axis=0) if tubes else np.zeros(count, bool)


def _agree(a: dict[int, _Look], b: dict[int, _Look]) -> float:
    """Mean overlap over the frames that both have and in which both are to be seen, 0..1."""
    pairs = [(a[index].detection, b[index].detection) for index in a.keys() & b.keys()]
    overlaps = [iou(left.box, right.box) for left, right in pairs if left and right]
    return sum(overlaps) / len(overlaps) if overlaps else 0.0


def _tube_of(looks: dict[int, _Look], shown_s: np.ndarray) -> Tube:
    """From the first to the last frame in which the object is to be seen. Frames between for which
    there is no look are absence that nobody observed."""
    visible = [index for index, look in looks.items() if look.detection]
    indices = np.arange(min(visible), max(visible) + 1)
    indices = indices[_rises(shown_s[indices])]
    rows = [looks.get(index, _Look(None, False)) for index in indices.tolist()]
    detections = [row.detection for row in rows]
    scored = any(d is not None and d.score is not None for d in detections)
    masked = any(d is not None and d.mask is not None for d in detections)
    labels = Counter(d.label for d in detections if d is not None)
    return replace(
        Tube.from_boxes(
            shown_s[indices].tolist(),
            [None if d is None else d.box for d in detections],
            observed=[row.observed for row in rows],
            label=labels.most_common(1)[0][0],
        ),
        scores=np.array([(d.score or 0.0) if d else 0.0 for d in detections]) if scored else None,
        masks=tuple(d.mask if d else None for d in detections) if masked else None,
    )


def _rises(shown_s: np.ndarray) -> np.ndarray:
    """bool (n,): times that are known and later than all before. Where times are asked for more
    often than there are frames, one frame is shown at several of them."""
    filled_s = np.where(np.isnan(shown_s), -np.inf, shown_s)
    before = np.concatenate(([-np.inf], np.maximum.accumulate(filled_s)[:-1]))
    return filled_s > before


def _order_windows(
    times_s: np.ndarray, middle: int | None, most_frames: int, overlap_s: float
) -> list[tuple[int, int]]:
    """Windows in the order of tracking: forward, or from frame `middle` on and then back."""
    if middle is None:
        return list(plan_windows(times_s, most_frames=most_frames, overlap_s=overlap_s))
    forward = plan_windows(times_s[middle:], most_frames=most_frames, overlap_s=overlap_s)
    # Planned on a clock that runs backwards, so that the first of them ends with the middle.
    back = plan_windows(-times_s[middle::-1], most_frames=most_frames, overlap_s=overlap_s)
    windows = [(middle + first, middle + stop) for first, stop in forward]
    return windows + [(middle + 1 - stop, middle + 1 - first) for first, stop in back]


def _take_frames(frames: FrameBatch, rows: np.ndarray) -> FrameBatch:
    if len(rows) == len(frames):
        return frames
    return FrameBatch(
        pixels=frames.pixels[rows], times_s=frames.times_s[rows], exact=frames.exact[rows]
    )


def _tell_failure(times_s: np.ndarray, error: Exception, outcome: str) -> Issue:
    span = Span(float(times_s[0]), float(times_s[-1]))
    return Issue("failed", f"tracking over {span} failed ({describe_error(error)}); {outcome}")


def describe_error(error: Exception) -> str:
    """Kind and message of what other code raised, on one line of bounded length.

    Example:
        >>> describe_error(RuntimeError("out of memory"))
        'RuntimeError: out of memory'
    """
    return show_line(f"{type(error).__name__}: {error}")[:_MOST_REASON]


def _boxes_of(detections: Sequence[Detection]) -> np.ndarray:
    return np.array([detection.box.xyxy for detection in detections], np.float64).reshape(-1, 4)

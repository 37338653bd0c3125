"""Where shots begin and end, without a model: hard cuts, dissolves, fades; flashes are no cuts.

    shots = detect(video).spans

Small frames are compared in one pass from start to end, in memory that does not grow with the
video. Key frames that an encoder set at a change of scene serve as hints. How frames are compared
is in `signals`; which frames to take from a shot is for `plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np

from mmreason.video.content.second_opinion import SecondOpinion, second_opinion
from mmreason.video.content.signals import Blend, Jump, Scan, Signals
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo

__all__ = [
    "FPS_HZ",
    "SecondOpinion",
    "Shots",
    "Transition",
    "detect",
    "find_in_frames",
    "find_transitions",
    "scene_keyframes",
    "second_opinion",
]

FPS_HZ = 15.0
"""Frames looked at in a second, where the video has more."""

_AREA_PX = 48 * 27
_CHUNK_FRAMES = 256
_MAX_FRAMES = 4_000_000
_CUT_FLOOR, _HINTED_FLOOR = 0.12, 0.05
"""Least share of the picture that changes at a cut, and at a cut on a scene key frame."""
_CUT_RATIO, _HINTED_RATIO = 2.5, 2.0
"""Least ratio of the change at a cut to the changes around it."""
_SHORTEST_SHOT_S = 0.2
_FLAT = 0.012
"""Spread of the luma of a picture in which nothing is to be seen."""
_LONGEST_FADE_S = 1.0
"""From the last full picture to the flat one."""
_LONGEST_FLAT_S = 2.0
"""A picture that is flat for longer, such as a black pause, is a shot of its own."""

Kind = Literal["cut", "dissolve", "fade"]


class KeyframeSource(Protocol):
    """A video that knows which of its frames decode by themselves: what `detect` needs."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def keyframe_times_s(self) -> tuple[float, ...]: ...

    def frames_at(
        self, times_s: Sequence[float] | np.ndarray, size_px: tuple[int, int] | None = None
    ) -> FrameBatch: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """Where one shot gives way to the next."""

    kind: Kind
    """`fade` goes through a flat picture, such as black."""
    span: Span
    """When it goes on; for a cut empty, at the first frame of the new shot."""
    time_s: float
    """Where the shots are parted: at a cut, half-way through a dissolve, in the flat of a fade."""
    score: float
    """Share of the picture that changes, 0..1."""
    hinted: bool = False
    """Whether the encoder had set a key frame here for a change of scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shots:
    """The shots of a stretch of video: they tile `span`.

    Example:
        >>> detect(Video.open("clip.mp4")).spans[0]  # doctest: +SKIP
        Span(start_s=0.0, end_s=4.32)
    """

    span: Span
    spans: tuple[Span, ...]
    """One a shot, in order, parted at the transitions' `time_s`."""
    transitions: tuple[Transition, ...]
    frames_read: int
    fps_hz: float
    """How many frames a second were looked at; a cut is known to that precision, or to the frame
    where it is hinted."""

    def __len__(self) -> int:
        return len(self.spans)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "span": self.span.to_list(),
            "shots": [span.to_list() for span in self.spans],
            "transitions": [
                {
                    "kind": transition.kind,
                    "time_s": round(transition.time_s, 6),
                    "span": transition.span.to_list(),
                    "score": round(transition.score, 4),
                    "hinted": transition.hinted,
                }
                for transition in self.transitions
            ],
            "frames_read": self.frames_read,
            "fps_hz": round(self.fps_hz, 6),
        }


def detect(
    video: KeyframeSource,
    span: Span | None = None,
    *,
    fps_hz: float = FPS_HZ,
    progress: Callable[[float], None] | None = None,
) -> Shots:
    """Find the shots of `video`, or of the part of it inside `span`, looking at `fps_hz` frames a
    second at most.

    Almost every frame is decoded, so it takes as long as that does, in memory that grows by
    about 150 bytes a frame looked at. `progress` is told, every few hundred frames, the time
    (seconds) up to which the video was seen. Raises ValueError for a rate that is not above 0,
    VideoError for a span outside the video, for one too long to look at and for a video that
    cannot be read.
    """
    info = video.info
    span = info.span if span is None else span.clip(info.span)
    if not fps_hz > 0:
        raise ValueError(f"fps_hz must be above 0 frames a second, got {fps_hz}")
    if span.duration_s <= 0:
        raise VideoError(f"{info.path}: nothing of the video lies there; it is shown {info.span}")
    rate_hz = min(fps_hz, info.mean_fps_hz)
    # A little less, so that rounding adds no frame behind the end.
    count = max(1, int(np.ceil(span.duration_s * rate_hz - 1e-6)))
    if count > _MAX_FRAMES:
        raise VideoError(
            f"{info.path}: {count:,} frames are too many to look for shots in; "
            "give a shorter span or a lower fps_hz"
        )
    # Not more often than there are frames: one shown twice looks like a pause.
    times_s = span.start_s + np.arange(count) / rate_hz
    # Encoders set a key frame where a scene changes: a hint that costs nothing.
    keys = [time_s for time_s in video.keyframe_times_s if span.contains(time_s)]
    scan = Scan(rate_hz)
    for chunk_s in _chunks(times_s, keys):
        batch = video.frames_at(chunk_s, _small_size(info))
        scan.push(batch.pixels, batch.times_s)
        if progress is not None:
            progress(float(chunk_s[-1]))
    transitions = find_transitions(scan.finish(), scene_keyframes(keys))
    edges = [span.start_s, *(transition.time_s for transition in transitions), span.end_s]
    return Shots(
        span=span,
        spans=tuple(Span(a, b) for a, b in pairwise(edges)),
        transitions=transitions,
        frames_read=count,
        fps_hz=rate_hz,
    )


def find_in_frames(
    pixels: np.ndarray, times_s: np.ndarray, hints_s: Sequence[float] = ()
) -> tuple[Transition, ...]:
    """The transitions in small frames (N, H, W, 3) uint8 at ascending, about even `times_s` (N,);
    `hints_s` are times of key frames set for a change of scene. Pure. Raises ValueError."""
    if len(pixels) != len(times_s):
        raise ValueError(f"one time a frame: {len(pixels)} frames but {len(times_s)} times")
    gap_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    if gap_s <= 0:
        raise ValueError("times_s must be in ascending order")
    scan = Scan(1 / gap_s)
    scan.push(pixels, times_s)
    return find_transitions(scan.finish(), hints_s)


def scene_keyframes(keyframe_times_s: Sequence[float]) -> list[float]:
    """Those key frames that an encoder did not set because its longest distance was reached; none
    where it sets them at even distances.

    Example:
        >>> scene_keyframes([0.0, 2.0, 4.0, 4.7, 6.7])
        [4.7]
    """
    times_s = np.asarray(keyframe_times_s, np.float64)
    gaps = np.diff(times_s)
    if not len(gaps):
        return []
    # A little less than the longest distance: it is counted in frames, which may vary in length.
    regular = gaps > 0.98 * gaps.max()
    if regular.sum() == 1:
        regular[:] = False  # a longest distance that is reached once is no rule
    return times_s[1:][~regular].tolist()


def find_transitions(signals: Signals, hints_s: Sequence[float] = ()) -> tuple[Transition, ...]:
    """Decide from the signals of a video, and from the times of its scene key frames. Pure."""
    # 1. Fades explain the change inside them: no cut or dissolve is looked for there.
    fades = _fades(signals)
    cuts = [cut for jump in signals.jumps if (cut := _cut(jump, signals, hints_s))]
    cuts = [cut for cut in cuts if not _touches(cut, fades)]
    # 2. Dissolves are what gradual change is left.
    blends = _blends(signals, cuts + fades)
    # 3. Of transitions too near to each other the clearer one stays.
    chosen: list[Transition] = []
    for item in sorted(fades + cuts + blends, key=lambda t: t.time_s):
        # Nobody cuts that fast on purpose; a flash and its decay do.
        if chosen and item.time_s - chosen[-1].time_s < _SHORTEST_SHOT_S:
            if item.score > chosen[-1].score:
                chosen[-1] = item
            continue
        chosen.append(item)
    return tuple(chosen)


def _cut(jump: Jump, signals: Signals, hints_s: Sequence[float]) -> Transition | None:
    before_s, time_s = (float(t) for t in signals.times_s[jump.row - 1 : jump.row + 1])
    hint = next((t for t in hints_s if before_s + 1e-3 < t <= time_s + 1e-3), None)
    # An encoder that set a key frame here saw a change too: less of it is enough.
    floor, ratio = (_CUT_FLOOR, _CUT_RATIO) if hint is None else (_HINTED_FLOOR, _HINTED_RATIO)
    if jump.change < max(floor, ratio * signals.level(jump.row)):
        return None
    # The picture comes back after a flash, and lies under another light: the shot goes on.
    if jump.is_flash or jump.is_lighting:
        return None
    at_s = time_s if hint is None else hint
    return Transition(
        kind="cut",
        span=Span(at_s, at_s),
        time_s=at_s,
        score=jump.change,
        hinted=hint is not None,
    )


def _blends(signals: Signals, sharper: list[Transition]) -> list[Transition]:
    """The clearest blend of every stretch in which there are some, and nothing else is known."""
    # One dissolve is found at many rows and lengths: the clearest first, and none that touches it.
    dissolves: list[Transition] = []
    for blend in sorted(signals.blends, key=Blend.clarity, reverse=True):
        span = _span(blend, signals)
        item = Transition(kind="dissolve", span=span, time_s=span.middle_s, score=blend.change)
        if not _touches(item, sharper + dissolves):
            dissolves.append(item)
    return dissolves


def _touches(item: Transition, transitions: list[Transition]) -> bool:
    return any(
        item.span.start_s <= other.span.end_s and other.span.start_s <= item.span.end_s
        for other in transitions
    )


def _span(blend: Blend, signals: Signals) -> Span:
    last = len(signals.times_s) - 1
    rows = max(0, blend.row - blend.lag), min(last, blend.row + blend.lag)
    return Span(*(float(signals.times_s[row]) for row in rows))


def _fades(signals: Signals) -> list[Transition]:
    """Where the picture loses its detail bit by bit, is flat for a moment and gets it back."""
    # False at both ends, so that each flat stretch has a start and an end.
    flat = np.concatenate(([False], signals.detail < _FLAT, [False]))
    starts, ends = (np.flatnonzero(np.diff(flat.astype(np.int8)) == step) for step in (1, -1))
    last = len(signals.times_s) - 1
    fades: list[Transition] = []
    for start, end in zip(starts.tolist(), (ends - 1).tolist(), strict=True):
        flat_s = Span(float(signals.times_s[start]), float(signals.times_s[end]))
        # A film that begins or ends black fades from or to nothing.
        if start == 0 or end == last or flat_s.duration_s > _LONGEST_FLAT_S:
            continue
        reach = round(_LONGEST_FADE_S * signals.rate_hz)
        # Detail that falls step by step before the flat, and comes back step by step after it.
        rows_before = _slope(signals.detail[max(0, start - reach) : start + 1][::-1])
        rows_after = _slope(signals.detail[end : end + reach + 1])
        if rows_before and rows_after:
            first, after = start - rows_before, end + rows_after
            span = Span(float(signals.times_s[first]), float(signals.times_s[after]))
            # All of the picture changes: the detail that was lost says how clearly.
            change = 4 * float(max(signals.detail[first], signals.detail[after]))
            fades.append(
                Transition(kind="fade", span=span, time_s=flat_s.middle_s, score=min(1.0, change))
            )
    return fades


def _slope(detail: np.ndarray) -> int:
    """Over how many rows detail grows from the first on; 0 where it does so at once."""
    rising = np.diff(detail) > -_FLAT / 4
    rows = len(rising) if rising.all() else int(np.argmin(rising))
    top = float(detail[: rows + 1].max())
    rows = int(np.argmax(detail[: rows + 1] >= 0.9 * top))
    return rows if rows > 1 and detail[1] < 0.6 * top else 0


def _chunks(times_s: np.ndarray, keyframe_times_s: Sequence[float]) -> Iterator[np.ndarray]:
    """`times_s` in parts that begin at key frames where possible, so that nothing is decoded
    twice. Parts rather than one stream: several workers decode a part."""
    # A little earlier, so that a time equal to a key frame's but for rounding counts as its.
    starts = np.unique(np.searchsorted(times_s, np.asarray(keyframe_times_s, np.float64) - 1e-6))
    row = 0
    while row < len(times_s):
        # The last key frame of the second half: parts are between half and full length.
        near = starts[(starts > row + _CHUNK_FRAMES // 2) & (starts <= row + _CHUNK_FRAMES)]
        end = int(near[-1]) if len(near) else row + _CHUNK_FRAMES
        yield times_s[row:end]
        row = end


def _small_size(info: VideoInfo) -> tuple[int, int]:
    """(width, height) of about 1300 pixels in the video's own shape."""
    scale = (_AREA_PX / (info.width_px * info.height_px)) ** 0.5
    return (
        int(np.clip(round(info.width_px * scale), 8, 160)),
        int(np.clip(round(info.height_px * scale), 8, 160)),
    )

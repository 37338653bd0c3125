"""The shots of a video with one still each: cuts, dissolves and fades, and slides and screens too.

    for shot in list_shots(video).shots:
        print(shot.span, shot.still_s)

A new slide changes too little of the picture for a cut; it is found as a change that stays
(`changes`). TransNetV2 is a second detector, which needs its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np

from mmreason.video.content.changes import find_changes, locate_slides
from mmreason.video.content.shots import KeyframeSource, detect
from mmreason.video.types import FrameBatch, Span, VideoError
from mmreason.weights import find_weights

Detector = Literal["auto", "histogram", "transnetv2"]
DETECTORS: tuple[Detector, ...] = ("auto", "histogram", "transnetv2")

_SAME_S = 0.7
"""A slide this near to a cut is that cut: changes are looked for once a second."""
_SHORTEST_S = 0.2
_LIKELY = 0.5
"""Probability of TransNetV2 from which on a frame is part of a transition, as in its paper."""
_LONGEST_CUT = 2
"""Frames of a run that is taken for a cut; a longer one is gradual."""


class ShotSource(KeyframeSource, Protocol):
    """A video that `list_shots` reads."""

    def stream(
        self,
        fps: float | None = None,
        size_px: tuple[int, int] | None = None,
        span: Span | None = None,
    ) -> Iterator[FrameBatch]: ...


@dataclass(frozen=True, slots=True)
class Shot:
    """A stretch between two boundaries, and the moment whose picture stands for it.

    Example: `Shot(Span(0, 4), still_s=2.0)`.
    """

    span: Span
    still_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotList:
    """The shots of a stretch: they tile `span`.

    Example:
        >>> [str(shot.span) for shot in list_shots(video).shots]  # doctest: +SKIP
        ['0:00.00-0:04.32', '0:04.32-0:11.00']
    """

    span: Span
    shots: tuple[Shot, ...]
    detector: Detector
    slides_s: tuple[float, ...] = ()
    """The boundaries that are new slides or screens, and no cuts."""

    def __len__(self) -> int:
        return len(self.shots)

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(shot.span for shot in self.shots)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "span": self.span.to_list(),
            "detector": self.detector,
            "shots": [
                {"span": shot.span.to_list(), "still_s": round(shot.still_s, 6)}
                for shot in self.shots
            ],
            "slides_s": [round(time_s, 6) for time_s in self.slides_s],
        }


def list_shots(
    video: ShotSource,
    detector: Detector = "auto",
    *,
    span: Span | None = None,
    weights: str = "transnetv2",
    on_progress: Callable[[float], None] | None = None,
) -> ShotList:
    """The shots of `video`, or of the part of it inside `span`.

    "histogram" compares frames (`shots.detect`), "auto" does so and adds new slides and screens,
    "transnetv2" asks that network (MIT; a third of the video's length on one core), whose `weights`
    are a folder or come by `mmreason weights get transnetv2`. `on_progress` is told the time
    (seconds) up to which the video was seen. Raises VideoError for a span outside the video and for
    a video that cannot be read, ValueError for weights that are not there.

    Example:
        >>> len(list_shots(Video.open("talk.mp4")))  # doctest: +SKIP
        12
    """
    if detector not in DETECTORS:
        raise ValueError(f"a detector of shots is one of {', '.join(DETECTORS)}, got {detector!r}")
    info = video.info
    span = info.span if span is None else span.clip(info.span)
    if span.duration_s <= 0:
        raise VideoError(f"{info.path}: nothing of the video lies there; it is shown {info.span}")
    slides_s: tuple[float, ...] = ()
    if detector == "transnetv2":
        cuts_s = _find_by_network(video, span, weights, on_progress)
    else:
        found = detect(video, span, progress=on_progress)
        cuts_s = [transition.time_s for transition in found.transitions]
        if detector == "auto":
            slides_s = _find_slides(video, span, cuts_s)
    edges_s = sorted({span.start_s, *cuts_s, *slides_s, span.end_s})
    spans = [Span(start_s, end_s) for start_s, end_s in pairwise(edges_s)]
    return ShotList(
        span=span,
        shots=tuple(Shot(part, part.middle_s) for part in spans),
        detector=detector,
        slides_s=slides_s,
    )


def _find_slides(video: ShotSource, span: Span, cuts_s: list[float]) -> tuple[float, ...]:
    """New slides that are no cut, nor the start."""
    times_s = locate_slides(video, find_changes(video, span))
    known_s = np.array([span.start_s, *cuts_s])
    return tuple(
        time_s
        for time_s in times_s
        if np.abs(known_s - time_s).min() > _SAME_S and time_s < span.end_s - _SHORTEST_S
    )


def _find_by_network(
    video: ShotSource, span: Span, weights: str, on_progress: Callable[[float], None] | None
) -> list[float]:
    # Torch takes a second to import: only where the network is wanted.
    from mmreason.video.content import transnet

    model = transnet.load_transnet(find_weights(weights))
    times_s: list[float] = []

    def read() -> Iterator[np.ndarray]:
        for batch in video.stream(size_px=transnet.SIZE_PX, span=span):
            times_s.extend(batch.times_s.tolist())
            if on_progress is not None:
                on_progress(times_s[-1])
            yield batch.pixels

    def score(window: np.ndarray) -> np.ndarray:
        return transnet.score_frames(model, window)

    parts = list(transnet.stream_probabilities(score, read()))
    if not parts:
        return []
    return find_boundaries(np.concatenate(parts), np.asarray(times_s))


def find_boundaries(probabilities: np.ndarray, times_s: np.ndarray) -> list[float]:
    """Times (seconds) at which a new shot begins, from the probability (N,) that a transition is at
    each frame, which is shown at `times_s` (N,): behind a cut, in the middle of a gradual one.

    Example:
        >>> find_boundaries(np.array([0.1, 0.9, 0.1, 0.1]), np.arange(4) / 10)
        [0.2]
    """
    likely = np.concatenate(([False], probabilities >= _LIKELY, [False])).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(likely) == 1), np.flatnonzero(np.diff(likely) == -1)
    boundaries_s: list[float] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        # `end` is the first frame behind the run: that of the new shot.
        row = end if end - start <= _LONGEST_CUT else (start + end) // 2
        if 0 < row < len(times_s) and (start > 0 or end > _LONGEST_CUT):
            boundaries_s.append(float(times_s[row]))
    return boundaries_s

"""What moves, from small pictures in one pass: the camera, or something before one that rests.

Corners are followed from look to look (Lucas and Kanade 1981) and a shift, turn and scale is fitted
to most of them (RANSAC): that is the camera's. Where it rests, what differs is what moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mmreason.video.labels.types import CameraMove, Movement
from mmreason.video.types import Span

LOOKS_HZ = 5.0
_MOST_CORNERS, _LEAST_CORNERS = 80, 12
_AGREEING_SHARE = 0.6
"""Share of the corners that must move together for the camera to be what moves."""
_LEAST_PAN_HZ, _LEAST_ZOOM_HZ = 0.03, 0.06
"""Widths, heights or doublings a second from which on the camera moves."""
_REST_HZ = 0.01
"""Below this the camera rests."""
_CHANGED_LEVELS = 12
"""Of 255, after a slight blur: more than noise."""
_LEAST_CHANGED = 0.002
_MOST_CHANGED = 0.6
"""More than that is a cut or a change of light."""
_GAP_S = 0.9
_SHORTEST_S = 0.5
_SHORTEST_STILL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What happened between two looks."""

    span: Span
    camera: CameraMove | None
    """None where nothing can be told."""
    strength: float
    changed: float
    """Share of the picture that differs, where the camera rests."""
    box: tuple[float, float, float, float] | None
    """xyxy, in shares of the picture."""


class MovementScan:
    """Takes small pictures in order and tells at the end what moved.

    Example:
        >>> scan = MovementScan()
        >>> scan.push(np.zeros((3, 90, 160), np.uint8), np.array([0.0, 0.2, 0.4]))
        >>> scan.finish(boundaries_s=(), size_px=(1280, 720))
        ()
    """

    def __init__(self) -> None:
        self._last: tuple[np.ndarray, float] | None = None
        self._steps: list[_Step] = []

    def push(self, greys: np.ndarray, times_s: np.ndarray) -> None:
        """Take uint8 (N, H, W) at ascending `times_s` (N,)."""
        for grey, time_s in zip(greys, times_s.tolist(), strict=True):
            if self._last is not None and time_s > self._last[1]:
                self._steps.append(_compare(self._last[0], grey, Span(self._last[1], time_s)))
            self._last = grey, time_s

    def finish(
        self, boundaries_s: Sequence[float], size_px: tuple[int, int]
    ) -> tuple[Movement, ...]:
        """In order of time; no movement goes over one of `boundaries_s`, where shots meet.
        `size_px` is (width, height) of the original frame."""
        movements: list[Movement] = []
        for steps in _part(self._steps, boundaries_s):
            movements += _find_camera(steps)
            movements += _find_things(steps, size_px)
        return tuple(sorted(movements, key=lambda item: (item.span, item.kind)))


def _compare(first: np.ndarray, second: np.ndarray, span: Span) -> _Step:
    import cv2

    soft = [cv2.GaussianBlur(grey, (5, 5), 0).astype(np.int16) for grey in (first, second)]
    differs = np.abs(soft[1] - soft[0]) > _CHANGED_LEVELS
    changed = float(differs.mean())
    # Nearly all pairs of slides and of still cameras end here: nothing differs, nothing moves.
    if changed < _LEAST_CHANGED / 4:
        return _Step(span=span, camera="still", strength=0.0, changed=changed, box=None)
    camera, strength = _fit_camera(first, second, span.duration_s)
    box = _bounds(differs) if camera == "still" else None
    return _Step(span=span, camera=camera, strength=strength, changed=changed, box=box)


def _fit_camera(
    first: np.ndarray, second: np.ndarray, seconds: float
) -> tuple[CameraMove | None, float]:
    """The camera's move and its strength a second; None where too little of the picture agrees."""
    import cv2

    height, width = first.shape
    corners = cv2.goodFeaturesToTrack(first, _MOST_CORNERS, 0.01, 6)
    if corners is None or len(corners) < _LEAST_CORNERS:
        return None, 0.0
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        first, second, corners, np.empty_like(corners), winSize=(15, 15), maxLevel=3
    )
    good = status.ravel() == 1
    if good.sum() < _LEAST_CORNERS:
        return None, 0.0
    before, after = corners.reshape(-1, 2)[good], moved.reshape(-1, 2)[good]
    matrix, agreeing = cv2.estimateAffinePartial2D(before, after, ransacReprojThreshold=1.0)
    if matrix is None or agreeing.mean() < _AGREEING_SHARE:
        return None, 0.0
    # Where the middle of the picture goes, so that a zoom about it is no shift.
    middle = np.array([width / 2, height / 2])
    shift = matrix[:, :2] @ middle + matrix[:, 2] - middle
    across, down = shift[0] / width / seconds, shift[1] / height / seconds
    zoom = float(np.log2(max(np.hypot(matrix[0, 0], matrix[1, 0]), 1e-3))) / seconds
    speeds = {"pan": abs(across) / _LEAST_PAN_HZ, "tilt": abs(down) / _LEAST_PAN_HZ}
    speeds["zoom"] = abs(zoom) / _LEAST_ZOOM_HZ
    kind = max(speeds, key=lambda name: speeds[name])
    if speeds[kind] < 1:
        rests = max(abs(across), abs(down), abs(zoom)) < _REST_HZ
        return ("still", 0.0) if rests else (None, 0.0)
    # The picture goes to the right where the camera turns to the left.
    if kind == "pan":
        return ("pan left" if across > 0 else "pan right"), abs(float(across))
    if kind == "tilt":
        return ("tilt up" if down > 0 else "tilt down"), abs(float(down))
    return ("zoom in" if zoom > 0 else "zoom out"), abs(zoom)


def _bounds(differs: np.ndarray) -> tuple[float, float, float, float]:
    height, width = differs.shape
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


def _part(steps: Sequence[_Step], boundaries_s: Sequence[float]) -> Iterator[list[_Step]]:
    """`steps` of one shot after another, without those that go over a boundary."""
    part: list[_Step] = []
    bounds = np.sort(np.asarray(boundaries_s, np.float64))
    for step in steps:
        row = np.searchsorted(bounds, step.span.start_s, side="right")
        if row < len(bounds) and bounds[row] <= step.span.end_s + 1e-6:
            yield part
            part = []
            continue
        part.append(step)
    yield part


def _find_camera(steps: list[_Step]) -> list[Movement]:
    movements: list[Movement] = []
    for run in _runs([step for step in steps if step.camera is not None], lambda step: step.camera):
        kind, span = run[0].camera, Span(run[0].span.start_s, run[-1].span.end_s)
        shortest_s = _SHORTEST_STILL_S if kind == "still" else _SHORTEST_S
        if kind is not None and span.duration_s >= shortest_s - 1e-6:
            strength = float(np.mean([step.strength for step in run]))
            movements.append(Movement(span=span, kind=kind, strength=strength))
    return movements


def _find_things(steps: list[_Step], size_px: tuple[int, int]) -> list[Movement]:
    width_px, height_px = size_px
    moving = [
        step
        for step in steps
        if step.box is not None and _LEAST_CHANGED <= step.changed <= _MOST_CHANGED
    ]
    movements: list[Movement] = []
    for run in _runs(moving, lambda step: "something moves"):
        span = Span(run[0].span.start_s, run[-1].span.end_s)
        if span.duration_s < _SHORTEST_S - 1e-6:
            continue
        boxes = np.array([step.box for step in run if step.box is not None])
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        movements.append(
            Movement(
                span=span,
                kind="something moves",
                strength=float(np.mean([step.changed for step in run])),
                box_px=(
                    float(low[0] * width_px),
                    float(low[1] * height_px),
                    float(high[0] * width_px),
                    float(high[1] * height_px),
                ),
            )
        )
    return movements


def _runs(steps: list[_Step], kind: Callable[[_Step], str | None]) -> Iterator[list[_Step]]:
    """Stretches of one kind, over gaps of less than a second."""
    if not steps:
        return
    run = [steps[0]]
    for before, step in pairwise(steps):
        if kind(step) != kind(before) or step.span.start_s - before.span.end_s > _GAP_S:
            yield run
            run = []
        run.append(step)
    yield run

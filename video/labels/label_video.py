"""`label_video`: goes through a video once, looks at a few frames of each shot and names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from mmreason.video.content.changes import to_greys
from mmreason.video.content.shot_list import ShotSource, list_shots
from mmreason.video.labels.colours import COLOURS, count_colours, name_brightness, name_colours
from mmreason.video.labels.decide import decide_labels, find_place
from mmreason.video.labels.movement import LOOKS_HZ, MovementScan
from mmreason.video.labels.photograph import PhotographJudge, judge_pictures
from mmreason.video.labels.types import Classifier, Label, Look, Movement, VideoLabels
from mmreason.video.types import Span, VideoInfo

_PART_S = 20.0
"""A longer shot is named part by part: what is in it comes and goes."""
_LOOK_AREA_PX = 160 * 90
_FRAME_AREA_PX = 384 * 256


class LabelSource(ShotSource, Protocol):
    """A video that `label_video` reads."""


def label_video(
    video: LabelSource,
    classifier: Classifier,
    *,
    span: Span | None = None,
    shots: Sequence[Span] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> VideoLabels:
    """What `video`, or its part inside `span`, shows, shot by shot.

    One to three frames of each shot are classified, and three of every 20 s of a longer one;
    colours, light and movement come from small pictures, five a second. `shots` are those of the
    stretch where they are known; else they are looked for first, which decodes the video once more.
    `on_progress` is told the time (seconds) up to which the video was seen. Raises VideoError for a
    video that cannot be read.

    Example:
        >>> from mmreason.video import Video
        >>> found = label_video(Video.open("cat.mp4"), load_classifier())  # doctest: +SKIP
        >>> found.sure[0].text  # doctest: +SKIP
        'Egyptian cat, cat, mammal, animal'
    """
    if not shots:
        shots = list_shots(video, span=span).spans
    span = Span(shots[0].start_s, shots[-1].end_s)
    # 1. One pass over small pictures.
    looks, movements = _scan_looks(video, span, shots, on_progress)
    # 2. A few frames of each part, near key frames, which are cheap to come by.
    labels: list[Label] = []
    reasons: dict[Span, list[str]] = {}
    frames_classified = 0
    for shot, part in _parts(shots):
        found, reason, count = _label_part(video, classifier, part)
        frames_classified += count
        labels += found
        reasons.setdefault(shot, []).append(reason)
    merged = _merge_labels(labels, [shot.start_s for shot in shots])
    # A shot is no photograph where none of its parts is.
    looks = tuple(
        replace(look, picture=reasons[look.span][0]) if all(reasons[look.span]) else look
        for look in looks
    )
    return VideoLabels(
        labels=merged,
        looks=looks,
        movements=movements,
        shots=tuple(shots),
        frames_classified=frames_classified,
        notes=_notes(looks, merged),
    )


@dataclass(slots=True)
class _ShotLook:
    """Sums over the small pictures of a shot."""

    colours: np.ndarray
    luma: float = 0.0
    count: int = 0


def _scan_looks(
    video: LabelSource,
    span: Span,
    shots: Sequence[Span],
    on_progress: Callable[[float], None] | None,
) -> tuple[tuple[Look, ...], tuple[Movement, ...]]:
    info = video.info
    rate_hz = min(LOOKS_HZ, max(info.mean_fps_hz, 0.1))
    starts_s = np.array([shot.start_s for shot in shots])
    sums = [_ShotLook(np.zeros(len(COLOURS), np.int64)) for _ in shots]
    scan = MovementScan()
    for batch in video.stream(rate_hz, _size_px(info, _LOOK_AREA_PX), span):
        greys = to_greys(batch.pixels).astype(np.uint8)
        scan.push(greys, batch.times_s)
        for pixels, grey, time_s in zip(batch.pixels, greys, batch.times_s.tolist(), strict=True):
            shot = sums[max(0, int(np.searchsorted(starts_s, time_s, side="right")) - 1)]
            # A quarter of the pixels of each second look tells colours well enough.
            if shot.count % 2 == 0:
                shot.colours += count_colours(pixels[::2, ::2])
            shot.luma += float(grey.mean()) / 255
            shot.count += 1
        if on_progress is not None and len(batch):
            on_progress(float(batch.times_s[-1]))
    movements = scan.finish(starts_s[1:].tolist(), (info.width_px, info.height_px))
    looks = tuple(
        _make_look(shot, look) for shot, look in zip(shots, sums, strict=True) if look.count
    )
    return looks, movements


def _make_look(span: Span, look: _ShotLook) -> Look:
    luma = look.luma / look.count
    return Look(
        span=span,
        colours=name_colours(look.colours),
        luma=round(luma, 4),
        brightness=name_brightness(luma),
    )


def _parts(shots: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    """Each shot with its even parts of 20 s at most."""
    for shot in shots:
        count = max(1, int(np.ceil(shot.duration_s / _PART_S - 1e-6)))
        edges_s = np.linspace(shot.start_s, shot.end_s, count + 1).tolist()
        for start_s, end_s in pairwise(edges_s):
            yield shot, Span(start_s, end_s)


def _label_part(
    video: LabelSource, classifier: Classifier, part: Span
) -> tuple[tuple[Label, ...], str, int]:
    """Labels of a part, why it has none, and how many frames were classified."""
    times_s = pick_times(part, video.keyframe_times_s)
    frames = video.frames_at(times_s, _size_px(video.info, _FRAME_AREA_PX)).pixels
    judge = classifier if isinstance(classifier, PhotographJudge) else None
    reasons = judge_pictures(frames, judge)
    rows = [row for row, reason in enumerate(reasons) if not reason]
    # Most of the frames of a part must be photographs: a title among them says nothing.
    if 2 * len(rows) < len(frames) or not rows:
        return (), next(reason for reason in reasons if reason), len(frames)
    chosen = frames[rows]
    probabilities = classifier.classify(chosen)
    labels = decide_labels(probabilities.mean(axis=0), classifier.classes, part, classifier.name)
    middle = chosen[len(chosen) // 2 :][:1]
    return (
        tuple(find_place(label, middle, classifier, video.info) for label in labels),
        "",
        len(frames),
    )


def pick_times(part: Span, keyframe_times_s: Sequence[float]) -> list[float]:
    """Up to three moments of a part, at key frames where some are near: those decode alone.

    Example:
        >>> pick_times(Span(0, 12), [0.0, 6.5])
        [2.0, 6.5, 10.0]
    """
    count = 1 if part.duration_s < 2 else 2 if part.duration_s < 6 else 3
    step_s = part.duration_s / count
    keys = np.asarray(keyframe_times_s, np.float64)
    times_s: list[float] = []
    for row in range(count):
        middle_s = part.start_s + (row + 0.5) * step_s
        near = keys[np.abs(keys - middle_s) < 0.3 * step_s]
        if len(near):
            middle_s = float(near[np.abs(near - middle_s).argmin()])
        times_s.append(middle_s)
    return times_s


def _merge_labels(labels: Sequence[Label], starts_s: Sequence[float]) -> tuple[Label, ...]:
    """Parts of one shot that are named alike become one label, with the mean confidence, weighted
    by length; in order of time, the surest first."""
    merged: list[Label] = []
    for label in sorted(labels, key=lambda item: (item.name, item.is_sure, item.span)):
        last = merged[-1] if merged else None
        if (
            last is not None
            and (last.name, last.is_sure) == (label.name, label.is_sure)
            and abs(last.span.end_s - label.span.start_s) < 1e-6
            and label.span.start_s not in starts_s
        ):
            merged[-1] = _join(last, label)
        else:
            merged.append(label)
    return tuple(sorted(merged, key=lambda item: (item.span.start_s, -item.confidence, item.name)))


def _join(first: Label, second: Label) -> Label:
    lengths_s = first.span.duration_s, second.span.duration_s
    confidence = np.average([first.confidence, second.confidence], weights=lengths_s)
    return replace(
        first,
        span=Span(first.span.start_s, second.span.end_s),
        confidence=float(confidence),
        # Two places in two parts are no place of the whole.
        place_px=None,
    )


def _notes(looks: Sequence[Look], labels: Sequence[Label]) -> tuple[str, ...]:
    notes: list[str] = []
    refused = [look for look in looks if look.picture]
    if refused:
        reasons = sorted({look.picture for look in refused})
        notes.append(
            f"{len(refused)} of {len(looks)} shots are not named ({', '.join(reasons)}): the "
            "classifier knows photographs alone"
        )
    unsure = sum(not label.is_sure for label in labels)
    if unsure and not any(label.is_sure for label in labels):
        notes.append("nothing in the pictures was named surely")
    return tuple(notes)


def _size_px(info: VideoInfo, area_px: int) -> tuple[int, int]:
    """(width, height) of about `area_px` pixels in the video's own shape, never enlarged."""
    width_px, height_px = info.square_size_px
    scale = min(1.0, (area_px / (width_px * height_px)) ** 0.5)
    return max(16, round(width_px * scale)), max(16, round(height_px * scale))

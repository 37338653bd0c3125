"""How well objects are told apart through time: HOTA, IDF1, and the counts of CLEAR.

The definitions are those of TrackEval: HOTA of Luiten 2021, IDF1 of Ristani 2016, CLEAR of
Bernardin 2008. Overlap is IoU of boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.grounding.metrics.arrays import pairwise_iou
from mmreason.grounding.metrics.video import SAME_TIME_S
from mmreason.grounding.tubes import Tube

ALPHAS: tuple[float, ...] = tuple(percent / 100 for percent in range(5, 100, 5))
"""Overlaps over which HOTA is a mean."""
MATCH_IOU = 0.5
"""The overlap that IDF1 and CLEAR ask for."""
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackScores:
    """Scores over the frames of all videos together. NaN where a ratio has nothing below it.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> tube = Tube.from_boxes([0.0, 0.2], [Box(0, 0, 8, 8)] * 2)
        >>> scores = score_tracks([([tube], [tube])])
        >>> scores.hota, scores.idf1, scores.switches
        (1.0, 1.0, 0)
    """

    hota: float
    det_a: float
    """Detection accuracy, mean over `ALPHAS`, as the next two."""
    ass_a: float
    """Association accuracy."""
    loc_a: float
    """Mean overlap of what is matched."""
    idf1: float
    mota: float
    switches: int
    """How often a true object is matched with another track than before."""
    misses: int
    """Boxes of true objects that are matched with none, at `MATCH_IOU`."""
    false_alarms: int
    true_boxes: int
    hota_at: np.ndarray
    """float64 (19,): by overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Who is to be seen in one frame, by number, and how much they overlap."""

    true_ids: np.ndarray
    predicted_ids: np.ndarray
    ious: np.ndarray
    """float64 (t, p)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Sums over frames of one video, which add up over videos."""

    tp: np.ndarray
    """float64 (19,) as the next: matched boxes by overlap."""
    ass_sum: np.ndarray
    """Sum over matched boxes of how well their two tracks belong together."""
    loc_sum: np.ndarray
    id_tp: int
    clear_tp: int
    switches: int
    true_boxes: int
    predicted_boxes: int


def score_tracks(
    videos: Sequence[tuple[Sequence[Tube], Sequence[Tube]]],
) -> TrackScores:
    """Score (true tubes, predicted tubes) of each video.

    All tubes of a video are on the frames of its true ones, from their own first frame to their own
    last. Raises ValueError where one has a box between frames, or lacks a frame in between: it was
    sampled at another rate.
    """
    counts = []
    for number, (truths, predictions) in enumerate(videos):
        try:
            frames = _by_frame(truths, predictions)
        except ValueError as error:
            raise ValueError(f"video {number}: {error}") from error
        counts.append(_count(frames, len(truths), len(predictions)))
    return _combine(counts)


def _by_frame(truths: Sequence[Tube], predictions: Sequence[Tube]) -> list[_Frame]:
    # Two times of one frame differ by rounding only.
    times_s = np.unique(np.concatenate([np.zeros(0), *(tube.times_s for tube in truths)]))
    if len(times_s):
        times_s = times_s[np.concatenate(([True], np.diff(times_s) > SAME_TIME_S))]
    true_px, true_present = _stack(truths, times_s)
    predicted_px, predicted_present = _stack(predictions, times_s)
    frames = []
    for index in range(len(times_s)):
        true_ids = np.flatnonzero(true_present[:, index])
        predicted_ids = np.flatnonzero(predicted_present[:, index])
        ious = pairwise_iou(true_px[true_ids, index], predicted_px[predicted_ids, index])
        frames.append(_Frame(true_ids=true_ids, predicted_ids=predicted_ids, ious=ious))
    return frames


def _stack(tubes: Sequence[Tube], times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(boxes (k, n, 4), present (k, n)) of tubes on the frames at `times_s`."""
    boxes_px = np.zeros((len(tubes), len(times_s), 4))
    present = np.zeros((len(tubes), len(times_s)), bool)
    for number, tube in enumerate(tubes):
        if not len(tube):
            continue
        after = np.searchsorted(times_s, tube.times_s - SAME_TIME_S)
        nearest = np.minimum(after, max(0, len(times_s) - 1))
        is_frame = len(times_s) > 0 and np.abs(times_s[nearest] - tube.times_s) <= SAME_TIME_S
        lost = tube.present & ~np.broadcast_to(is_frame, tube.present.shape)
        if lost.any():
            raise ValueError(
                f"a tube has a box at {tube.times_s[lost.argmax()]:g} s, where no true tube has a "
                "frame; bring all to the same times, as with Tube.resample(times_s)"
            )
        first, last = nearest[0], nearest[-1]
        if len(tube) < last - first + 1:
            raise ValueError(
                f"a tube has {len(tube)} frames of the {last - first + 1} from "
                f"{tube.times_s[0]:g} to {tube.times_s[-1]:g} s; bring all to the same times, as "
                "with Tube.resample(times_s)"
            )
        rows = np.flatnonzero(tube.present)
        boxes_px[number, nearest[rows]] = tube.boxes_px[rows]
        present[number, nearest[rows]] = True
    return boxes_px, present


def _count(frames: Sequence[_Frame], true_count: int, predicted_count: int) -> _Counts:
    true_lengths = np.zeros(true_count)
    predicted_lengths = np.zeros(predicted_count)
    for frame in frames:
        true_lengths[frame.true_ids] += 1
        predicted_lengths[frame.predicted_ids] += 1
    tp, ass_sum, loc_sum = _count_hota(frames, true_lengths, predicted_lengths)
    clear_tp, switches = _count_clear(frames, true_count)
    return _Counts(
        tp=tp,
        ass_sum=ass_sum,
        loc_sum=loc_sum,
        id_tp=_count_identity(frames, true_lengths, predicted_lengths),
        clear_tp=clear_tp,
        switches=switches,
        true_boxes=int(true_lengths.sum()),
        predicted_boxes=int(predicted_lengths.sum()),
    )


def _count_hota(
    frames: Sequence[_Frame], true_lengths: np.ndarray, predicted_lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matched boxes, sum of their association, sum of their overlap: each (19,), by overlap."""
    from scipy.optimize import linear_sum_assignment

    # 1. How well each two tracks go together over the whole video: the share of the overlap in a
    #    frame that is theirs, summed, over the union of their lengths.
    together = np.zeros((len(true_lengths), len(predicted_lengths)))
    for frame in frames:
        whole = frame.ious.sum(axis=0)[None, :] + frame.ious.sum(axis=1)[:, None] - frame.ious
        weight = np.divide(frame.ious, whole, out=np.zeros_like(whole), where=whole > _EPSILON)
        together[np.ix_(frame.true_ids, frame.predicted_ids)] += weight
    lengths = true_lengths[:, None] + predicted_lengths[None, :]
    alignment = together / np.maximum(lengths - together, 1.0)
    # 2. In each frame the matching that is best for tracks and boxes; it counts at every overlap
    #    that it reaches.
    alphas = np.array(ALPHAS)
    matches = np.zeros((len(alphas), *together.shape))
    loc_sum = np.zeros(len(alphas))
    for frame in frames:
        score = alignment[np.ix_(frame.true_ids, frame.predicted_ids)] * frame.ious
        rows, columns = linear_sum_assignment(score, maximize=True)
        overlaps = frame.ious[rows, columns]
        reached = overlaps[None, :] >= alphas[:, None] - _EPSILON
        matches[:, frame.true_ids[rows], frame.predicted_ids[columns]] += reached
        loc_sum += (overlaps * reached).sum(axis=1)
    # 3. Of every matched box: frames in which its two tracks are matched, over those of either.
    either = np.maximum(lengths[None] - matches, 1.0)
    ass_sum = (matches * matches / either).sum(axis=(1, 2))
    return matches.sum(axis=(1, 2)), ass_sum, loc_sum


def _count_identity(
    frames: Sequence[_Frame], true_lengths: np.ndarray, predicted_lengths: np.ndarray
) -> int:
    """Boxes that are right when each true object has one track for the whole video, or none."""
    from scipy.optimize import linear_sum_assignment

    shared = np.zeros((len(true_lengths), len(predicted_lengths)))
    for frame in frames:
        shared[np.ix_(frame.true_ids, frame.predicted_ids)] += frame.ious >= MATCH_IOU
    rows, columns = linear_sum_assignment(shared, maximize=True)
    return int(shared[rows, columns].sum())


def _count_clear(frames: Sequence[_Frame], true_count: int) -> tuple[int, int]:
    """(matched boxes, switches): a match of the frame before goes on as long as it overlaps."""
    from scipy.optimize import linear_sum_assignment

    last_track = np.full(true_count, -1)
    """The track that each true object was last matched with, however long ago."""
    track_before = np.full(true_count, -1)
    """The same of the frame before, -1 without a match in it."""
    matched = switches = 0
    for frame in frames:
        if not len(frame.true_ids) or not len(frame.predicted_ids):
            continue  # as TrackEval has it, a frame without either ends no match
        goes_on = frame.predicted_ids[None, :] == track_before[frame.true_ids][:, None]
        # Worth more than any overlap: first what goes on, then the most overlap.
        score = np.where(frame.ious >= MATCH_IOU - _EPSILON, 1000.0 * goes_on + frame.ious, 0.0)
        rows, columns = linear_sum_assignment(score, maximize=True)
        is_match = score[rows, columns] > _EPSILON
        true_ids = frame.true_ids[rows[is_match]]
        tracks = frame.predicted_ids[columns[is_match]]
        before = last_track[true_ids]
        switches += int(((before >= 0) & (before != tracks)).sum())
        matched += len(true_ids)
        last_track[true_ids] = tracks
        track_before[:] = -1
        track_before[true_ids] = tracks
    return matched, switches


def _combine(counts: Sequence[_Counts]) -> TrackScores:
    true_boxes = sum(count.true_boxes for count in counts)
    predicted_boxes = sum(count.predicted_boxes for count in counts)
    none = np.zeros(len(ALPHAS))
    tp = sum((count.tp for count in counts), none)
    det_a = _ratio(tp, true_boxes + predicted_boxes - tp)
    # Association is a mean over matched boxes; without any there is none to be right.
    ass_a = sum((count.ass_sum for count in counts), none) / np.maximum(tp, 1.0)
    loc_a = np.where(tp > 0, sum((c.loc_sum for c in counts), none) / np.maximum(tp, 1.0), 1.0)
    hota_at = np.sqrt(det_a * ass_a)
    id_tp = sum(count.id_tp for count in counts)
    matched = sum(count.clear_tp for count in counts)
    switches = sum(count.switches for count in counts)
    misses, false_alarms = true_boxes - matched, predicted_boxes - matched
    errors = misses + false_alarms + switches
    both = true_boxes + predicted_boxes
    return TrackScores(
        hota=float(hota_at.mean()),
        det_a=float(det_a.mean()),
        ass_a=float(ass_a.mean()),
        loc_a=float(loc_a.mean()),
        idf1=2 * id_tp / both if both else math.nan,
        mota=1 - errors / true_boxes if true_boxes else math.nan,
        switches=switches,
        misses=misses,
        false_alarms=false_alarms,
        true_boxes=true_boxes,
        hota_at=hota_at,
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, math.nan), where=whole > 0)

"""The tracker that is always there: boxes in, tubes out, no weights and no pixels needed.

Every frame, the detections go on the tracks in three rounds: sure ones by overlap with where each
track should be by now (and by direction and looks), unsure ones on what was seen a moment ago, and
what is still free by overlap with where each track was seen last. Pieces of one way that a longer
absence parts are joined at the end, when both sides of the gap are known.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mmreason.grounding.metrics.arrays import pairwise_iou
from mmreason.grounding.protocols import Detection, Encoder
from mmreason.grounding.tracking.association import match_pairs, score_directions
from mmreason.grounding.tracking.kalman import (
    LEAST_SIZE_PX,
    predict_states,
    replay_gap,
    start_states,
    update_states,
)
from mmreason.grounding.tracking.tracklets import LEAST_LIKENESS, Tracklet, link_tracklets
from mmreason.grounding.tubes import Tube
from mmreason.video.types import FrameBatch

DIRECTION_WEIGHT = 0.2
"""What going on the same way is worth, beside an overlap of 1."""
LOOK_WEIGHT = 0.4
"""What looking the same is worth, where there is an encoder."""
DIRECTION_FRAMES = 3
"""A direction is taken over so many frames."""
LEAST_IOU = 0.2
"""Overlap below which a sure detection is not the track's."""
LEAST_UNSURE_IOU = 0.4
"""The same for unsure detections."""
MOST_MARGIN_SIZES = 0.75
"""How much wider boxes may be made in the last round, in sizes of the object."""
MOST_REPLAYED = 50
"""A gap is gone through again over its last frames, at most so many."""
SAME_OBJECT_IOU = 0.8
"""A detection that overlaps so much with one that has a track is a double of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KalmanTracker:
    """Meets `Tracker`. Constant-velocity Kalman filters, matched to detections one to one; the
    second round over unsure detections is that of ByteTrack (arXiv 2110.06864), direction and
    re-update after a gap are those of OC-SORT (arXiv 2203.14360). Deterministic.

    Example:
        >>> seeds = [(Detection(box=Box(10 * i, 0, 10 * i + 20, 20), score=0.9),) for i in range(5)]
        >>> tube, = KalmanTracker().track_boxes(np.arange(5) * 0.2, seeds)
        >>> tube.at(0.4)
        Box(x1_px=20.0, y1_px=0.0, x2_px=40.0, y2_px=20.0)
    """

    sure_score: float = 0.5
    """Detections from here up start tracks and are matched first; those without a score are
    sure."""
    unsure_score: float = 0.1
    """Detections below are not looked at."""
    least_observations: int = 3
    """An object is confirmed by so many, or by every frame that was looked at where those are
    fewer."""
    least_density: float = 0.4
    """And by being observed in this share of the frames looked at from its first to its last."""
    lost_s: float = 0.6
    """How long a track is predicted while nothing is seen of it."""
    longest_gap_s: float = 3.0
    """After a longer absence an object counts as another."""
    fill_gap_s: float = 0.5
    """Gaps up to here are filled by a straight way and marked as not observed. A longer one is
    absence. Where frames are looked at more rarely than that, the gap between two looks is
    filled."""
    encoder: Encoder | None = None
    """How alike two crops look; boxes alone count without one."""

    @property
    def name(self) -> str:
        return "kalman" if self.encoder is None else "kalman with looks"

    def track(self, frames: FrameBatch, seeds: Sequence[Sequence[Detection]]) -> tuple[Tube, ...]:
        """See `Tracker.track`. Raises ValueError where seeds and frames do not go together."""
        _check_seeds(frames.times_s, seeds)
        if self.encoder is None:
            return self.track_boxes(frames.times_s, seeds)
        looks = [_encode(self.encoder, frames.pixels[i], row) for i, row in enumerate(seeds)]
        return self.track_boxes(frames.times_s, seeds, looks)

    def track_boxes(
        self,
        times_s: np.ndarray,
        seeds: Sequence[Sequence[Detection]],
        looks: Sequence[np.ndarray] | None = None,
    ) -> tuple[Tube, ...]:
        """As `track`, without pixels. `looks` holds unit vectors (m, d) for the detections of each
        frame. Raises ValueError."""
        _check_seeds(times_s, seeds)
        looked = np.array([len(row) > 0 for row in seeds], bool)
        if not looked.any():
            return ()
        # Between two looks nothing can be missed: no limit of time is shorter than that.
        interval_s = float(np.median(np.diff(times_s[looked]))) if looked.sum() > 1 else 0.0
        follower = _Follower(self, times_s, seeds, looks, lost_s=max(self.lost_s, 2.5 * interval_s))
        for frame in np.flatnonzero(looked):
            follower.step(int(frame))
        pieces = self._confirm(follower.tracklets, looked)
        longest_gap_s = max(self.longest_gap_s, 1.5 * interval_s)
        fill_gap_s = max(self.fill_gap_s, 1.5 * interval_s)
        chains = link_tracklets(pieces, times_s, longest_gap_s)
        return tuple(
            _to_tube(
                [pieces[index] for index in chain], times_s, looked, seeds, fill_gap_s, str(number)
            )
            for number, chain in enumerate(chains, start=1)
        )

    def _confirm(self, tracklets: Sequence[Tracklet], looked: np.ndarray) -> list[Tracklet]:
        """Those that are objects, by first frame, then from left to right."""
        least = min(self.least_observations, int(looked.sum()))
        looks_before = np.concatenate(([0], np.cumsum(looked)))
        confirmed = []
        for tracklet in tracklets:
            looks = looks_before[tracklet.frames[-1] + 1] - looks_before[tracklet.frames[0]]
            if len(tracklet) >= least and len(tracklet) >= self.least_density * looks:
                confirmed.append(tracklet)
        return sorted(confirmed, key=lambda piece: (piece.frames[0], *piece.boxes_px[0].tolist()))


class _Follower:
    """One pass forward over the frames; `tracklets` grows."""

    def __init__(
        self,
        settings: KalmanTracker,
        times_s: np.ndarray,
        seeds: Sequence[Sequence[Detection]],
        looks: Sequence[np.ndarray] | None,
        lost_s: float,
    ) -> None:
        self.tracklets: list[Tracklet] = []
        self._settings, self._times_s, self._seeds, self._looks = settings, times_s, seeds, looks
        self._lost_s = lost_s
        # Tracks that are still followed: index of the tracklet, and the filter now and as it was
        # after the last observation, one row each.
        self._active: list[int] = []
        self._states = self._observed = start_states(np.zeros((0, 4)))
        self._clock_s = float(times_s[0])
        self._stepped: deque[int] = deque(maxlen=MOST_REPLAYED)

    def step(self, frame: int) -> None:
        """Put the detections of one frame on tracks."""
        now_s = float(self._times_s[frame])
        self._stepped.append(frame)
        self._forget_lost(now_s)
        self._states = predict_states(self._states, now_s - self._clock_s)
        self._clock_s = now_s
        detections = self._seeds[frame]
        boxes_px = np.array([d.box.xyxy for d in detections], np.float64).reshape(-1, 4)
        scores = np.array([1.0 if d.score is None else d.score for d in detections])
        sure = scores >= self._settings.sure_score
        unsure = (scores >= self._settings.unsure_score) & ~sure
        free_tracks, free_rows = np.ones(len(self._active), bool), np.ones(len(boxes_px), bool)
        matched: list[tuple[int, int]] = []
        for select, chosen in ((self._by_motion, sure), (self._by_motion_unsure, unsure),
                               (self._by_nearness, sure)):  # fmt: skip
            tracks, rows = np.flatnonzero(free_tracks), np.flatnonzero(chosen & free_rows)
            if not len(rows) or not len(tracks):
                continue
            gain, allowed = select(tracks, boxes_px[rows])
            if self._looks is not None:
                likeness = self._compare_looks(tracks, self._looks[frame][rows])
                gain = gain + LOOK_WEIGHT * np.maximum(likeness, 0.0)
                allowed &= likeness >= LEAST_LIKENESS
            pairs = match_pairs(gain, allowed)
            tracks, rows = tracks[pairs[0]], rows[pairs[1]]
            free_tracks[tracks] = free_rows[rows] = False
            matched += zip(tracks.tolist(), rows.tolist(), strict=True)
        self._observe(frame, matched, boxes_px)
        self._start(frame, np.flatnonzero(sure & free_rows), matched, boxes_px)

    def _by_motion(self, tracks: np.ndarray, boxes_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        overlap = pairwise_iou(self._states.boxes_px[tracks], boxes_px)
        pieces = [self.tracklets[self._active[track]] for track in tracks]
        earlier_px = [piece.earlier_box_px(piece.frames[-1] - DIRECTION_FRAMES) for piece in pieces]
        latest_px = [piece.boxes_px[-1] for piece in pieces]
        direction = score_directions(np.array(earlier_px), np.array(latest_px), boxes_px)
        # Directions are -0.5..0.5: shifted, so that no gain is negative.
        gain = overlap + DIRECTION_WEIGHT * (direction + 0.5)
        return gain, overlap >= LEAST_IOU

    def _by_motion_unsure(
        self, tracks: np.ndarray, boxes_px: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        overlap = pairwise_iou(self._states.boxes_px[tracks], boxes_px)
        return overlap, overlap >= LEAST_UNSURE_IOU

    def _by_nearness(
        self, tracks: np.ndarray, boxes_px: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """For what stopped, turned or is not known well yet: overlap with the last box or with the
        predicted one, all made wider by how unsure the prediction is (buffered IoU, arXiv
        2211.14317)."""
        states = self._states.take(tracks)
        sizes = np.sqrt(np.prod(np.maximum(states.mean[:, 2:, 0], LEAST_SIZE_PX), axis=1))
        unsure = np.sqrt(states.covariance[:, :2, 0, 0].max(axis=1))
        margin = np.minimum(unsure, MOST_MARGIN_SIZES * sizes)[:, None]
        latest_px = np.array([self.tracklets[self._active[track]].boxes_px[-1] for track in tracks])
        overlaps = [
            _buffered_iou(boxes, margin, boxes_px) for boxes in (latest_px, states.boxes_px)
        ]
        overlap = np.maximum(*overlaps)
        return overlap, overlap >= LEAST_IOU

    def _compare_looks(self, tracks: np.ndarray, looks: np.ndarray) -> np.ndarray:
        """Cosines (n, m) of tracks and detections."""
        of_tracks = [self.tracklets[self._active[track]].look for track in tracks]
        return np.stack([look for look in of_tracks if look is not None]) @ looks.T

    def _observe(
        self, frame: int, matched: Sequence[tuple[int, int]], boxes_px: np.ndarray
    ) -> None:
        if not matched:
            return
        tracks, rows = (np.array(column) for column in zip(*matched, strict=True))
        updated = update_states(self._states.take(tracks), boxes_px[rows])
        for position, (track, row) in enumerate(matched):
            piece = self.tracklets[self._active[track]]
            gap = [index for index in self._stepped if index >= piece.frames[-1]]
            if len(gap) > 2:
                before = self._observed.take(tracks[[position]])
                again = replay_gap(before, self._times_s[gap], piece.boxes_px[-1], boxes_px[row])
                updated = updated.put(np.array([position]), again)
            look = None if self._looks is None else self._looks[frame][row]
            piece.add(frame, boxes_px[row], row, look)
        self._states = self._states.put(tracks, updated)
        self._observed = self._observed.put(tracks, updated)

    def _start(
        self,
        frame: int,
        rows: np.ndarray,
        matched: Sequence[tuple[int, int]],
        boxes_px: np.ndarray,
    ) -> None:
        """New tracks for the detections `rows`, but for doubles of what has one."""
        tracked = [row for _, row in matched]
        for row in rows.tolist():
            if (pairwise_iou(boxes_px[[row]], boxes_px[tracked]) >= SAME_OBJECT_IOU).any():
                continue
            tracked.append(row)
            look = None if self._looks is None else self._looks[frame][row]
            piece = Tracklet()
            piece.add(frame, boxes_px[row], row, look)
            self._active.append(len(self.tracklets))
            self.tracklets.append(piece)
            new = start_states(boxes_px[[row]])
            self._states, self._observed = self._states.join(new), self._observed.join(new)

    def _forget_lost(self, now_s: float) -> None:
        last_s = [self._times_s[self.tracklets[index].frames[-1]] for index in self._active]
        stay = np.flatnonzero(now_s - np.array(last_s, np.float64) <= self._lost_s + 1e-9)
        self._active = [self._active[index] for index in stay]
        self._states, self._observed = self._states.take(stay), self._observed.take(stay)


def _buffered_iou(tracks_px: np.ndarray, margin_px: np.ndarray, boxes_px: np.ndarray) -> np.ndarray:
    """(n, m): overlap where both boxes of a pair are wider by the track's margin, (n, 1), all
    round."""
    wide = np.concatenate((-margin_px, -margin_px, margin_px, margin_px), axis=1)
    rows = [
        pairwise_iou((box + side)[None], boxes_px + side)[0]
        for box, side in zip(tracks_px, wide, strict=True)
    ]
    return np.array(rows).reshape(len(tracks_px), len(boxes_px))


def _to_tube(
    pieces: Sequence[Tracklet],
    times_s: np.ndarray,
    looked: np.ndarray,
    seeds: Sequence[Sequence[Detection]],
    fill_gap_s: float,
    tube_id: str,
) -> Tube:
    """One object over all times; short gaps are filled by a straight way."""
    frames = np.concatenate([piece.frames for piece in pieces]).astype(int)
    rows = [row for piece in pieces for row in piece.rows]
    observations = np.concatenate([np.stack(piece.boxes_px) for piece in pieces])
    boxes_px = np.zeros((len(times_s), 4))
    present = np.zeros(len(times_s), bool)
    observed = looked.copy()
    scores = np.zeros(len(times_s))
    for before, after in pairwise(frames.tolist()):
        if times_s[after] - times_s[before] <= fill_gap_s + 1e-9:
            present[before:after] = True
            observed[before + 1 : after] = False
    for side in range(4):
        boxes_px[:, side] = np.interp(times_s, times_s[frames], observations[:, side])
    present[frames] = True
    observed[frames] = True
    boxes_px[~present] = 0.0
    matched = [seeds[frame][row] for frame, row in zip(frames, rows, strict=True)]
    scores[frames] = [1.0 if d.score is None else d.score for d in matched]
    labels = Counter(detection.label for detection in matched)
    scored = any(detection.score is not None for detection in matched)
    masks = [None] * len(times_s)
    for frame, detection in zip(frames, matched, strict=True):
        masks[frame] = detection.mask
    return Tube(
        times_s=np.asarray(times_s, np.float64),
        boxes_px=boxes_px,
        present=present,
        observed=observed,
        id=tube_id,
        label=labels.most_common(1)[0][0],
        scores=scores if scored else None,
        masks=tuple(masks) if any(mask is not None for mask in masks) else None,
    )


def _check_seeds(times_s: np.ndarray, seeds: Sequence[Sequence[Detection]]) -> None:
    if len(seeds) != len(times_s):
        raise ValueError(
            f"a tracker needs one row of detections a frame: got {len(seeds)} rows for "
            f"{len(times_s)} frames"
        )
    if len(times_s) and (not np.isfinite(times_s).all() or (np.diff(times_s) <= 0).any()):
        raise ValueError(
            "a tracker needs frames at times that rise; give each frame once, in order"
        )
    for time_s, row in zip(times_s, seeds, strict=True):
        for detection in row:
            if detection.score is not None and not np.isfinite(detection.score):
                raise ValueError(
                    f"a detection at {time_s:.2f} s has the score {detection.score}; scores are "
                    f"numbers from 0 to 1, or None"
                )


def _encode(encoder: Encoder, pixels: np.ndarray, row: Sequence[Detection]) -> np.ndarray:
    """Unit vectors (m, d) of the crops of one frame, uint8 (H, W, 3)."""
    height, width = pixels.shape[:2]
    crops = []
    for detection in row:
        x1, y1, x2, y2 = detection.box.xyxy
        # At least a pixel of the frame, wherever the box lies.
        left, top = min(max(int(x1), 0), width - 1), min(max(int(y1), 0), height - 1)
        right, bottom = min(int(np.ceil(x2)), width), min(int(np.ceil(y2)), height)
        crops.append(pixels[top : max(bottom, top + 1), left : max(right, left + 1)])
    return encoder.encode(crops) if crops else np.zeros((0, 1), np.float32)

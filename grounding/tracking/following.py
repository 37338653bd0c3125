"""Following tracks forward, frame by frame: which detection is whose.

The detections of a frame go on the tracks in three rounds: sure ones by overlap with where each
track should be by now (and by direction and looks), unsure ones by overlap too, and what is still
free by nearness. A good overlap with an unsure box so goes before a poor one with a sure box: it is
false boxes beside a missed one that lead tracks away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from mmreason.grounding.metrics.arrays import pairwise_iou
from mmreason.grounding.protocols import Detection
from mmreason.grounding.tracking.association import match_pairs, score_directions
from mmreason.grounding.tracking.kalman import (
    LEAST_SIZE_PX,
    predict_states,
    replay_gap,
    start_states,
    to_centres,
    update_states,
)
from mmreason.grounding.tracking.tracklets import LEAST_LIKENESS, Tracklet

DIRECTION_WEIGHT = 0.2
"""What going on the same way is worth, beside an overlap of 1."""
LOOK_WEIGHT = 0.4
"""What looking the same is worth, where there is an encoder."""
DIRECTION_FRAMES = 3
"""A direction is taken over so many frames."""
LOST_WEIGHT = 0.3
"""What not having been seen for as long as a track is followed costs."""
LEAST_IOU = 0.5
"""Overlap with the prediction below which a detection is not the track's in the first rounds."""
LEAST_NEAR_IOU = 0.2
"""The same in the last round, where boxes are made wider."""
MOST_SIGMAS = 3.0
"""So far from the prediction, in its standard deviations, a detection is the track's."""
LEAST_GATE_SIZES = 0.2
"""But so far in any case, in sizes of the object: a detector may be off by more than usual."""
MOST_MARGIN_SIZES = 0.75
"""How much wider boxes may be made in the last round, in sizes of the object."""
MOST_REPLAYED = 50
"""A gap is gone through again over its last frames, at most so many."""
SAME_OBJECT_IOU = 0.8
"""A detection that overlaps so much with one that has a track is a double of it."""


class Follower:
    """One pass forward over the frames; `tracklets` grows with every `step`."""

    def __init__(
        self,
        times_s: np.ndarray,
        seeds: Sequence[Sequence[Detection]],
        looks: Sequence[np.ndarray] | None,
        *,
        sure_score: float,
        unsure_score: float,
        lost_s: float,
        interval_s: float,
    ) -> None:
        """Times float64 (n,) in seconds, detections and (with an encoder) unit vectors (m, d) of
        each frame. A track is followed for `lost_s` without being seen; frames are looked at every
        `interval_s` or so."""
        self.tracklets: list[Tracklet] = []
        self._times_s, self._seeds, self._looks = times_s, seeds, looks
        self._sure_score, self._unsure_score = sure_score, unsure_score
        self._lost_s, self._interval_s = lost_s, interval_s
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
        sure = scores >= self._sure_score
        unsure = (scores >= self._unsure_score) & ~sure
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
        # A track that is seen now goes before one that is only predicted.
        last_s = np.array([self._times_s[piece.frames[-1]] for piece in pieces])
        unseen = (self._clock_s - last_s - self._interval_s) / self._lost_s
        gain -= LOST_WEIGHT * unseen.clip(0, 1)[:, None]
        return gain.clip(1e-6), overlap >= LEAST_IOU

    def _by_motion_unsure(
        self, tracks: np.ndarray, boxes_px: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        overlap = pairwise_iou(self._states.boxes_px[tracks], boxes_px)
        return overlap, overlap >= LEAST_IOU

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
        apart = to_centres(boxes_px)[None, :, :2] - states.mean[:, None, :2, 0]
        away = np.linalg.norm(apart, axis=2)
        gate = np.maximum(MOST_SIGMAS * unsure, LEAST_GATE_SIZES * sizes)
        return overlap, (overlap >= LEAST_NEAR_IOU) & (away <= gate[:, None])

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

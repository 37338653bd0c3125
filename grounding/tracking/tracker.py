"""The tracker that is always there: boxes in, tubes out, no weights and no pixels needed.

Tracks are followed forward (`following`); pieces of one way that a longer absence parts are joined
at the end, when both sides of the gap are known (`tracklets`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from mmreason.grounding.protocols import Detection, Encoder
from mmreason.grounding.tracking.following import Follower
from mmreason.grounding.tracking.tracklets import Tracklet, link_tracklets
from mmreason.grounding.tubes import Tube
from mmreason.video.types import FrameBatch

SURE_SCORE, SURE_SHARE = 0.5, 0.6
"""From which score a detection is sure, or from which share of the best one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KalmanTracker:
    """Meets `Tracker`. Constant-velocity Kalman filters, matched to detections one to one; the
    second round over unsure detections is that of ByteTrack (arXiv 2110.06864), direction and
    re-update after a gap are those of OC-SORT (arXiv 2203.14360). Deterministic.

    Example:
        >>> from mmreason.grounding import Box
        >>> seeds = [(Detection(box=Box(10 * i, 0, 10 * i + 20, 20), score=0.9),) for i in range(5)]
        >>> tube, = KalmanTracker().track_boxes(np.arange(5) * 0.2, seeds)
        >>> tube.at(0.4)
        Box(x1_px=20.0, y1_px=0.0, x2_px=40.0, y2_px=20.0)
    """

    sure_score: float | None = None
    """Detections from here up start tracks and are matched first; those without a score are sure.
    None for 0.5, or less where a detector is never that sure: 0.6 of its best score in the
    window."""
    unsure_score: float = 0.1
    """Detections below are not looked at."""
    least_observations: int = 3
    """An object is confirmed by so many, or by every frame that was looked at where those are
    fewer."""
    least_density: float = 0.4
    """And by being observed in this share of the frames looked at from its first to its last."""
    lost_s: float = 0.4
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

    @property
    def settings(self) -> dict[str, float | None]:
        """Everything but the encoder."""
        names = [field.name for field in fields(self) if field.name != "encoder"]
        return {name: getattr(self, name) for name in names}

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
        interval_s = float(np.median(np.diff(times_s[looked]))) if looked.sum() > 1 else 0.0
        follower = Follower(
            times_s,
            seeds,
            looks,
            sure_score=self._choose_sure_score(seeds),
            unsure_score=self.unsure_score,
            # Between two looks nothing can be missed: no limit of time is shorter than that.
            lost_s=max(self.lost_s, 2.5 * interval_s),
            interval_s=interval_s,
        )
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

    def _choose_sure_score(self, seeds: Sequence[Sequence[Detection]]) -> float:
        if self.sure_score is not None:
            return self.sure_score
        scores = [d.score for row in seeds for d in row if d.score is not None]
        return min(SURE_SCORE, SURE_SHARE * max(scores, default=1.0))

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
        first_x, first_y = min(max(int(x1), 0), width - 1), min(max(int(y1), 0), height - 1)
        last_x, last_y = min(int(np.ceil(x2)), width), min(int(np.ceil(y2)), height)
        crops.append(pixels[first_y : max(last_y, first_y + 1), first_x : max(last_x, first_x + 1)])
    return encoder.encode(crops) if crops else np.zeros((0, 1), np.float32)

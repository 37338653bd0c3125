"""Tracklets: pieces of one object's way that were followed without a break, and joining them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmreason.grounding.tracking.association import match_pairs
from mmreason.grounding.tracking.kalman import to_centres

MOTION_FIT_S = 0.4
"""So much of a tracklet's end tells how fast it moved there."""
MOST_JUMP_SIZES = 1.0
"""How far from where it was expected an object may come back, in its own sizes."""
TURN_SIZES = 0.3
"""How much less likely it is that an object came back near where it was than that it went on, in
its own sizes."""
MOST_GROWTH = 1.5
"""By which factor its width and height may differ then."""
LEAST_LIKENESS = 0.5
"""Cosine below which two looks are of different objects."""


@dataclass(slots=True)
class Tracklet:
    """What was observed of one object: one entry a frame in which it was.

    Example:
        >>> piece = Tracklet(frames=[3, 4], boxes_px=[np.zeros(4), np.zeros(4)], rows=[0, 0])
        >>> len(piece)
        2
    """

    frames: list[int] = field(default_factory=list)
    """Indices of frames, rising."""
    boxes_px: list[np.ndarray] = field(default_factory=list)
    """float64 (4,) xyxy each."""
    rows: list[int] = field(default_factory=list)
    """Which of the detections of its frame."""
    look: np.ndarray | None = None
    """Unit vector (d,) of how it looks; None without an encoder."""

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, frame: int, box_px: np.ndarray, row: int, look: np.ndarray | None) -> None:
        """Observe it once more; looks are averaged, the latest counting a tenth."""
        self.frames.append(frame)
        self.boxes_px.append(box_px)
        self.rows.append(row)
        if look is not None:
            mixed = look if self.look is None else 0.9 * self.look + 0.1 * look
            self.look = mixed / max(float(np.linalg.norm(mixed)), 1e-12)

    def earlier_box_px(self, frame: int) -> np.ndarray:
        """The last box that is not after `frame`; the first one where there is none."""
        for index in range(len(self.frames) - 1, -1, -1):
            if self.frames[index] <= frame:
                return self.boxes_px[index]
        return self.boxes_px[0]


def link_tracklets(
    tracklets: Sequence[Tracklet], times_s: np.ndarray, longest_gap_s: float
) -> list[list[int]]:
    """Chains of indices of tracklets that are one object, each in order of time.

    A tracklet goes on in another that starts at most `longest_gap_s` after it ends, where an object
    would be that moved on evenly, or near where it was; size (and look) must fit. All pairs are
    weighed at once, and each end takes one start at most.

    Example:
        >>> box = np.array([0.0, 0.0, 8.0, 8.0])
        >>> pieces = [Tracklet([0, 1], [box, box + 1], [0, 0]), Tracklet([4], [box + 4], [0])]
        >>> link_tracklets(pieces, np.arange(5) * 0.2, longest_gap_s=1.0)
        [[0, 1]]
    """
    if not tracklets:
        return []
    ends = [_edge_motion(tracklet, times_s, last=True) for tracklet in tracklets]
    starts = [_edge_motion(tracklet, times_s, last=False) for tracklet in tracklets]
    cost = _link_costs(np.array(ends), np.array(starts), longest_gap_s)
    if all(tracklet.look is not None for tracklet in tracklets):
        looks = np.stack([tracklet.look for tracklet in tracklets if tracklet.look is not None])
        likeness = looks @ looks.T
        cost = np.where(likeness >= LEAST_LIKENESS, cost + 1 - likeness, np.inf)
    # Gains fall from 1 (exactly where it was expected) and stay above 0 where linking is allowed.
    gain = 1 / (1 + cost)
    rows, columns = match_pairs(gain, np.isfinite(cost))
    follows = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    chains = []
    for first in sorted(set(range(len(tracklets))) - set(follows.values())):
        chain = [first]
        while chain[-1] in follows:
            chain.append(follows[chain[-1]])
        chains.append(chain)
    return chains


def _edge_motion(tracklet: Tracklet, times_s: np.ndarray, *, last: bool) -> np.ndarray:
    """(7,) of one end: time, centre x and y, width, height, velocity x and y in pixels a second."""
    seconds = times_s[tracklet.frames]
    edge_s = seconds[-1] if last else seconds[0]
    near = np.flatnonzero(np.abs(seconds - edge_s) <= MOTION_FIT_S)
    values = to_centres(np.stack([tracklet.boxes_px[index] for index in near]))
    ago_s = seconds[near] - edge_s
    # Least squares over what is near: one jittering box would turn the whole way.
    spread = ago_s - ago_s.mean()
    power = float((spread**2).sum())
    slope = spread @ values / power if power > 0 else np.zeros(4)
    at_edge = values.mean(axis=0) - slope * ago_s.mean()
    size = np.median(values[:, 2:], axis=0)
    return np.concatenate(([edge_s], at_edge[:2], size, slope[:2]))


def _link_costs(ends: np.ndarray, starts: np.ndarray, longest_gap_s: float) -> np.ndarray:
    """float64 (n, n): how ill each start (column) goes on where each end (row) left off; inf where
    it cannot. Inputs are rows of `_edge_motion`, (n, 7)."""
    gap_s = starts[None, :, 0] - ends[:, None, 0]
    step = starts[None, :, 1:3] - ends[:, None, 1:3]
    forward = np.linalg.norm(step - ends[:, None, 5:] * gap_s[..., None], axis=2)
    back = np.linalg.norm(step - starts[None, :, 5:] * gap_s[..., None], axis=2)
    sides = np.maximum(ends[:, None, 3:5], 1.0), np.maximum(starts[None, :, 3:5], 1.0)
    size = np.sqrt(np.sqrt(np.prod(sides[0], axis=2) * np.prod(sides[1], axis=2)))
    # Even motion has to hold from both sides; what turned meanwhile is near where it was.
    even, near = (forward + back) / 2 / size, np.linalg.norm(step, axis=2) / size
    jump = np.minimum(even, near + TURN_SIZES)
    growth = np.abs(np.log(sides[0] / sides[1])).max(axis=2)
    possible = (gap_s > 0) & (gap_s <= longest_gap_s)
    possible &= (jump <= MOST_JUMP_SIZES) & (growth <= np.log(MOST_GROWTH))
    # Of two that come back equally near, the one that waited less is the likelier.
    waited = gap_s / longest_gap_s
    return np.where(possible, jump + growth + 0.1 * waited, np.inf)

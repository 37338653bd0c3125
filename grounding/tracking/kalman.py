"""A constant-velocity Kalman filter over many boxes at once.

Centre and size of a box are four coordinates that do not know of each other, so that each is a
filter of two numbers (value, velocity) and all tracks are filtered by a few array operations. Time
is in seconds: frames need not be evenly spaced. All noise is in units of the object's own size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

OBSERVATION_SIZES = 0.05
"""Standard deviation of a detected coordinate, in sizes of the object."""
MOTION_SIZES = 1.5
"""How much the velocity of the centre may change in a second, in sizes of the object per second."""
GROWTH_SIZES = 0.3
"""The same for width and height, which change slowly."""
FIRST_SPEED_SIZES = 2.0
"""Standard deviation of the velocity of a new object, in sizes per second."""
LEAST_SIZE_PX = 1.0


@dataclass(frozen=True, slots=True)
class KalmanStates:
    """Means and covariances of `n` tracks; coordinates are centre x, centre y, width, height.

    Example:
        >>> states = start_states(np.array([[0.0, 0.0, 10.0, 20.0]]))
        >>> states.boxes_px.tolist(), len(states)
        ([[0.0, 0.0, 10.0, 20.0]], 1)
    """

    mean: np.ndarray
    """float64 (n, 4, 2): value in pixels and velocity in pixels per second."""
    covariance: np.ndarray
    """float64 (n, 4, 2, 2)."""

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def boxes_px(self) -> np.ndarray:
        """float64 (n, 4) xyxy; a size below zero counts as zero."""
        centre, half = self.mean[:, :2, 0], np.maximum(self.mean[:, 2:, 0], 0.0) / 2
        return np.concatenate((centre - half, centre + half), axis=1)

    def take(self, indices: np.ndarray) -> KalmanStates:
        """Those of some tracks; `indices` as numpy takes them."""
        return KalmanStates(self.mean[indices], self.covariance[indices])

    def put(self, indices: np.ndarray, states: KalmanStates) -> KalmanStates:
        """With the states at `indices` replaced."""
        mean, covariance = self.mean.copy(), self.covariance.copy()
        mean[indices], covariance[indices] = states.mean, states.covariance
        return KalmanStates(mean, covariance)

    def join(self, states: KalmanStates) -> KalmanStates:
        """With those of more tracks behind them."""
        return KalmanStates(
            np.concatenate((self.mean, states.mean)),
            np.concatenate((self.covariance, states.covariance)),
        )


def to_centres(boxes_px: np.ndarray) -> np.ndarray:
    """xyxy (n, 4) as centre x, centre y, width, height (n, 4).

    Example:
        >>> to_centres(np.array([[0.0, 0.0, 10.0, 20.0]])).tolist()
        [[5.0, 10.0, 10.0, 20.0]]
    """
    low, high = boxes_px[:, :2], boxes_px[:, 2:]
    return np.concatenate(((low + high) / 2, high - low), axis=1)


def start_states(boxes_px: np.ndarray) -> KalmanStates:
    """New tracks at `boxes_px`, float64 (n, 4) xyxy, at rest but not sure of it."""
    values = to_centres(boxes_px)
    size = _sizes(values)
    mean = np.stack((values, np.zeros_like(values)), axis=2)
    covariance = np.zeros((len(values), 4, 2, 2))
    covariance[:, :, 0, 0] = (OBSERVATION_SIZES * size)[:, None] ** 2
    speed = np.array([FIRST_SPEED_SIZES] * 2 + [GROWTH_SIZES] * 2)
    covariance[:, :, 1, 1] = (speed * size[:, None]) ** 2
    return KalmanStates(mean, covariance)


def predict_states(states: KalmanStates, step_s: float) -> KalmanStates:
    """Where the tracks are `step_s` seconds later, as far as their motion tells."""
    value, velocity = states.mean[..., 0], states.mean[..., 1]
    mean = np.stack((value + step_s * velocity, velocity), axis=-1)
    p = states.covariance
    # F P F' with F = [[1, step], [0, 1]], written out.
    cross = p[..., 0, 1] + step_s * p[..., 1, 1]
    first = p[..., 0, 0] + step_s * (p[..., 0, 1] + cross)
    change = np.array([MOTION_SIZES] * 2 + [GROWTH_SIZES] * 2)
    # White noise of acceleration, so that two steps of half the length give the same as one.
    power = (change * _sizes(value)[:, None]) ** 2
    covariance = np.empty_like(p)
    covariance[..., 0, 0] = first + power * step_s**3 / 3
    covariance[..., 0, 1] = covariance[..., 1, 0] = cross + power * step_s**2 / 2
    covariance[..., 1, 1] = p[..., 1, 1] + power * step_s
    return KalmanStates(mean, covariance)


def update_states(states: KalmanStates, boxes_px: np.ndarray) -> KalmanStates:
    """After one observed box a track, float64 (n, 4) xyxy."""
    observed = to_centres(boxes_px)
    p = states.covariance
    noise = (OBSERVATION_SIZES * _sizes(observed))[:, None] ** 2
    # The observation is the value itself: S is one number a coordinate, and K = P[:, 0] / S.
    gain = p[..., :, 0] / (p[..., 0, 0] + noise)[..., None]
    surprise = observed - states.mean[..., 0]
    mean = states.mean + gain * surprise[..., None]
    covariance = p - gain[..., :, None] * p[..., 0, None, :]
    return KalmanStates(mean, covariance)


def replay_gap(
    states: KalmanStates, times_s: np.ndarray, first_px: np.ndarray, last_px: np.ndarray
) -> KalmanStates:
    """One track (n = 1) that was last seen at `times_s[0]` in `first_px` and is seen again at
    `times_s[-1]` in `last_px`, float64 (4,): the filter goes through the gap again as if it had
    been seen on a straight way between. A prediction that drifted off while nobody looked is
    forgotten (observation-centric re-update: OC-SORT, arXiv 2203.14360, section 4)."""
    for earlier_s, time_s in pairwise(times_s.tolist()):
        way = (time_s - times_s[0]) / (times_s[-1] - times_s[0])
        box_px = first_px + way * (last_px - first_px)
        states = update_states(predict_states(states, time_s - earlier_s), box_px[None])
    return states


def _sizes(centres: np.ndarray) -> np.ndarray:
    """(n,): geometric mean of width and height of (n, 4), at least a pixel."""
    sides = np.maximum(centres[:, 2:], LEAST_SIZE_PX)
    return np.sqrt(sides[:, 0] * sides[:, 1])

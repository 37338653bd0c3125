"""Which detection goes on which track: overlap, direction, looks; one to one by Hungarian."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

STILL_SIZES = 0.15
"""A way shorter than this share of the object's size has no direction."""


def score_directions(
    earlier_px: np.ndarray, latest_px: np.ndarray, boxes_px: np.ndarray
) -> np.ndarray:
    """Whether a detection lies the way that a track was going: float64 (n, m) in -0.5..0.5.

    Tracks went from `earlier_px` to `latest_px`, xyxy (n, 4); `boxes_px` (m, 4) are the detections.
    0 where the track stood still or the detection is where it was. (Observation-centric momentum of
    OC-SORT.)

    Example:
        >>> was, now = np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[4.0, 0.0, 6.0, 2.0]])
        >>> score_directions(was, now, np.array([[8.0, 0, 10, 2], [0, 0, 2, 2]])).tolist()
        [[0.5, -0.5]]
    """
    start, end, goal = (_centres(boxes) for boxes in (earlier_px, latest_px, boxes_px))
    went = end - start
    goes = goal[None] - end[:, None]
    still = STILL_SIZES * np.sqrt(np.prod(latest_px[:, 2:] - latest_px[:, :2], axis=1))
    far, further = np.linalg.norm(went, axis=1), np.linalg.norm(goes, axis=2)
    turn = np.arctan2(goes[..., 1], goes[..., 0]) - np.arctan2(went[:, 1], went[:, 0])[:, None]
    # The angle between the two ways, 0..pi.
    turn = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
    moving = (far > still)[:, None] & (further > still[:, None])
    return np.where(moving, 0.5 - turn / np.pi, 0.0)


def match_pairs(gain: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The one-to-one pairs with the largest total of `gain`, of those that are `allowed`.

    Both are (n, m), gains not negative; gives rows and columns, int (k,) each, rows rising. Ties
    go the same way every time.

    Example:
        >>> rows, columns = match_pairs(np.array([[0.9, 0.8], [0.8, 0.1]]), np.ones((2, 2), bool))
        >>> rows.tolist(), columns.tolist()
        ([0, 1], [1, 0])
    """
    # A pair that is not allowed gains nothing: it stands for two that stay alone.
    rows, columns = linear_sum_assignment(np.where(allowed, gain, 0.0), maximize=True)
    valid = allowed[rows, columns]
    return rows[valid], columns[valid]


def _centres(boxes_px: np.ndarray) -> np.ndarray:
    return (boxes_px[:, :2] + boxes_px[:, 2:]) / 2

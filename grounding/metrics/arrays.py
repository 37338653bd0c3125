"""Overlap of many boxes at once. `grounding/boxes.py` has the same for one pair, in plain Python.

Boxes are float64 (n, 4): xyxy in pixels of the original frame, half-open, no +1 anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mmreason.grounding.boxes import Box


def box_array(boxes: Sequence[Box] | ArrayLike) -> np.ndarray:
    """float64 (n, 4) of boxes, or of rows of four numbers. Raises ValueError naming the row that is
    not finite or ends before it starts.

    Example:
        >>> box_array([Box(0, 0, 8, 8)]).tolist(), box_array([]).shape
        ([[0.0, 0.0, 8.0, 8.0]], (0, 4))
    """
    rows = boxes
    if not isinstance(boxes, np.ndarray) and isinstance(boxes, Sequence):
        rows = [box.xyxy if isinstance(box, Box) else box for box in boxes]
    array = np.asarray(rows, np.float64)
    if array.size == 0:
        array = array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes must have shape (n, 4), xyxy in pixels, got {array.shape}")
    # A side is no number from 0 on where either of its ends is none: one look finds all.
    with np.errstate(invalid="ignore", over="ignore"):
        sides_px = array[:, 2:] - array[:, :2]
    if array.size and not (sides_px.min() >= 0 and sides_px.max() < np.inf):
        row = int((~((sides_px >= 0) & (sides_px < np.inf)).all(axis=1)).argmax())
        raise ValueError(
            f"boxes must be finite and not end before they start: row {row} is "
            f"{array[row].tolist()}"
        )
    return array


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """float64 (n,) in px^2, of (n, 4).

    Example:
        >>> box_areas(np.array([[10.0, 20.0, 30.0, 60.0]])).tolist()
        [800.0]
    """
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def pairwise_iou(a: Sequence[Box] | ArrayLike, b: Sequence[Box] | ArrayLike) -> np.ndarray:
    """Intersection over union of each of (n, 4) with each of (m, 4): float64 (n, m), 0..1. Boxes
    without area give 0.

    Example:
        >>> pairwise_iou([[0, 0, 10, 10]], [[5, 0, 15, 10], [20, 0, 30, 10]]).round(3).tolist()
        [[0.333, 0.0]]
    """
    columns_a, columns_b = _as_columns(a, b)
    shared, union = _overlap(columns_a, columns_b)
    return _ratio(shared, union)


def pairwise_giou(a: Sequence[Box] | ArrayLike, b: Sequence[Box] | ArrayLike) -> np.ndarray:
    """Generalised IoU (Rezatofighi 2019) of each of (n, 4) with each of (m, 4): float64 (n, m),
    -1..1. Pairs whose common hull has no area give 0.

    Example:
        >>> pairwise_giou([[0, 0, 10, 10]], [[20, 0, 30, 10]]).round(3).tolist()
        [[-0.333]]
    """
    return _giou(*_as_columns(a, b))


def paired_iou(a: Sequence[Box] | ArrayLike, b: Sequence[Box] | ArrayLike) -> np.ndarray:
    """IoU of row i of `a` with row i of `b`: float64 (n,). Raises ValueError where they are not as
    many.

    Example:
        >>> paired_iou([[0, 0, 10, 10], [0, 0, 1, 1]], [[0, 0, 10, 5], [0, 0, 1, 1]]).tolist()
        [0.5, 1.0]
    """
    shared, union = _overlap(*_as_pairs(a, b))
    return _ratio(shared, union)


def paired_giou(a: Sequence[Box] | ArrayLike, b: Sequence[Box] | ArrayLike) -> np.ndarray:
    """Generalised IoU of row i of `a` with row i of `b`: float64 (n,).

    Example:
        >>> paired_giou([[0, 0, 10, 10]], [[0, 0, 10, 5]]).tolist()
        [0.5]
    """
    return _giou(*_as_pairs(a, b))


_Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""x1, y1, x2, y2: each by itself, so that numpy runs over numbers that lie together."""


def _as_columns(
    a: Sequence[Box] | ArrayLike, b: Sequence[Box] | ArrayLike
) -> tuple[_Columns, _Columns]:
    rows = np.ascontiguousarray(box_array(a).T)[:, :, None]
    columns = np.ascontiguousarray(box_array(b).T)[:, None, :]
    return (rows[0], rows[1], rows[2], rows[3]), (columns[0], columns[1], columns[2], columns[3])


def _as_pairs(
    a: Sequence[Box] | ArrayLike, b: Sequence[Box] | ArrayLike
) -> tuple[_Columns, _Columns]:
    first, second = box_array(a), box_array(b)
    if len(first) != len(second):
        raise ValueError(f"pairs need as many boxes on both sides, got {len(first)}, {len(second)}")
    x, y = np.ascontiguousarray(first.T), np.ascontiguousarray(second.T)
    return (x[0], x[1], x[2], x[3]), (y[0], y[1], y[2], y[3])


def _overlap(a: _Columns, b: _Columns) -> tuple[np.ndarray, np.ndarray]:
    """Areas of intersection and union, in px^2."""
    width = np.minimum(a[2], b[2])
    width -= np.maximum(a[0], b[0])
    np.maximum(width, 0.0, out=width)
    height = np.minimum(a[3], b[3])
    height -= np.maximum(a[1], b[1])
    np.maximum(height, 0.0, out=height)
    width *= height
    # In the order of `boxes.iou`, so that both round alike.
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    union -= width
    return width, union


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole; 0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _giou(a: _Columns, b: _Columns) -> np.ndarray:
    shared, union = _overlap(a, b)
    hull = np.maximum(a[2], b[2])
    hull -= np.minimum(a[0], b[0])
    height = np.maximum(a[3], b[3])
    height -= np.minimum(a[1], b[1])
    hull *= height
    giou = _ratio(shared, union)
    giou -= _ratio(hull - union, hull)
    giou[hull <= 0] = 0.0
    return giou

"""How well a perfect model could do: whole numbers limit the IoU of small boxes in large frames."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmreason.grounding.dialects.dialect import NOTATIONS, Dialect, from_numbers, to_numbers
from mmreason.grounding.spaces import Size, Transform


def mean_iou_ceiling(
    dialect: Dialect,
    box_size_px: tuple[float, float],
    frame_size_px: Size,
    *,
    seen_size_px: Size | None = None,
    rounding: Literal["nearest", "down"] = "nearest",
    samples: int = 4000,
    seed: int = 0,
) -> float:
    """Mean IoU, 0..1, of a model that knows the box exactly and writes it as the dialect can, over
    uniform places of a box of `box_size_px` inside the frame. Report it beside a score: above it
    nobody gets, and where it is low, crop and ask again.

    `rounding` is the model's: to the nearest number, or cut to the lower one. Raises ValueError for
    a dialect without boxes and a box that is empty or larger than the frame.

    Example:
        >>> round(mean_iou_ceiling(Dialect.NORM_1000, (30, 30), (3840, 2160)), 2)
        0.91
    """
    width, height = box_size_px
    if not NOTATIONS[dialect].has_boxes:
        raise ValueError(f"dialect {dialect} writes points, not boxes")
    if not (0 < width <= frame_size_px[0] and 0 < height <= frame_size_px[1]):
        raise ValueError(f"a box of {box_size_px} is empty or larger than {frame_size_px}")
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 1, (samples, 2)) * (np.array(frame_size_px) - box_size_px)
    boxes = np.concatenate([corners, corners + box_size_px], axis=1)
    to_seen = Transform.resize(frame_size_px, seen_size_px or frame_size_px)
    numbers = to_numbers(to_seen.apply_boxes(boxes), dialect, to_seen.to_size, rounding=rounding)
    written = to_seen.inverse().apply_boxes(from_numbers(numbers, dialect, to_seen.to_size))
    sides = np.minimum(boxes[:, 2:], written[:, 2:]) - np.maximum(boxes[:, :2], written[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    area = np.clip(written[:, 2:] - written[:, :2], 0, None).prod(axis=1)
    return float((shared / (width * height + area - shared)).mean())

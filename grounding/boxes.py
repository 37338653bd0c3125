"""Boxes and their overlap, one pair at a time. Plain Python, no arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open box, xyxy in pixels of the original frame. Raises ValueError when malformed.

    Example:
        >>> Box(10, 20, 30, 60).area_px2
        800
    """

    x1_px: float
    y1_px: float
    x2_px: float
    y2_px: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in self.xyxy):
            raise ValueError(f"Box needs finite numbers, got {self.xyxy}")
        if self.x2_px < self.x1_px or self.y2_px < self.y1_px:
            raise ValueError(f"Box must not end before it starts, got {self.xyxy}")

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        return (self.x1_px, self.y1_px, self.x2_px, self.y2_px)

    @property
    def area_px2(self) -> float:
        return (self.x2_px - self.x1_px) * (self.y2_px - self.y1_px)

    def clip(self, width_px: float, height_px: float) -> Box:
        """The part inside a frame of the given size; empty (at its edge) where there is none.

        Example:
            >>> Box(-5, 0, 20, 10).clip(16, 9).xyxy
            (0.0, 0, 16, 9)
        """
        x1, x2 = (min(max(x, 0.0), width_px) for x in (self.x1_px, self.x2_px))
        y1, y2 = (min(max(y, 0.0), height_px) for y in (self.y1_px, self.y2_px))
        return Box(x1, y1, x2, y2)


def _intersection_px2(a: Box, b: Box) -> float:
    width = min(a.x2_px, b.x2_px) - max(a.x1_px, b.x1_px)
    height = min(a.y2_px, b.y2_px) - max(a.y1_px, b.y1_px)
    return max(0.0, width) * max(0.0, height)


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1. Two boxes without area give 0.

    Example:
        >>> iou(Box(0, 0, 10, 10), Box(5, 0, 15, 10)) == 50 / 150
        True
    """
    shared = _intersection_px2(a, b)
    union = a.area_px2 + b.area_px2 - shared
    return shared / union if union > 0 else 0.0


def giou(a: Box, b: Box) -> float:
    """Generalised IoU, -1..1: IoU less the share of the common hull that neither covers.

    Example:
        >>> giou(Box(0, 0, 10, 10), Box(20, 0, 30, 10)) == -10 / 30
        True
    """
    shared = _intersection_px2(a, b)
    union = a.area_px2 + b.area_px2 - shared
    # The smallest box around both.
    width = max(a.x2_px, b.x2_px) - min(a.x1_px, b.x1_px)
    height = max(a.y2_px, b.y2_px) - min(a.y1_px, b.y1_px)
    hull = width * height
    if hull <= 0:
        return 0.0
    return iou(a, b) - (hull - union) / hull

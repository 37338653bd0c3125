"""Boxes, their overlap, and what grounding an expression came to.

Plain Python, no arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


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
    width = max(a.x2_px, b.x2_px) - min(a.x1_px, b.x1_px)
    height = max(a.y2_px, b.y2_px) - min(a.y1_px, b.y1_px)
    hull = width * height
    if hull <= 0:
        return 0.0
    return iou(a, b) - (hull - union) / hull


class GroundingStatus(StrEnum):
    """What grounding came to."""

    FOUND = "found"
    """Exactly one box."""
    NONE = "none"
    """The model says it is not there."""
    AMBIGUOUS = "ambiguous"
    """Several boxes; all are in `boxes`."""
    UNPARSED = "unparsed"
    """The model's text holds no box that can be used; see `raw_text` and `issues`."""
    ERROR = "error"
    """The model could not be asked; see `issues`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounding:
    """Where an expression is in a frame. Never empty without a status that says why.

    Example:
        >>> star = Box(1, 2, 3, 4)
        >>> Grounding(status=GroundingStatus.FOUND, boxes=(star,), labels=("star",)).labels
        ('star',)
    """

    status: GroundingStatus
    boxes: tuple[Box, ...] = ()
    """In pixels of the original frame, in the model's order."""
    labels: tuple[str, ...] = ()
    """One a box, empty strings where the model gave none."""
    rule: str = ""
    """Which rule read the boxes from the text: fence, json, objects, pairs, refusal, ..."""
    issues: tuple[str, ...] = ()
    """Everything mended, dropped or odd."""
    raw_text: str = ""
    expression: str = ""
    frame_time_s: float | None = None
    """Presentation time of the frame looked at; None for an image."""
    size_px: tuple[int, int] | None = None
    """(width, height) of the original frame."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Everything that moves the result: model, prompt hash, dialect, size shown."""

    def __post_init__(self) -> None:
        count_fits = {
            GroundingStatus.FOUND: len(self.boxes) == 1,
            GroundingStatus.AMBIGUOUS: len(self.boxes) > 1,
        }.get(self.status, not self.boxes)
        if not count_fits or len(self.labels) != len(self.boxes):
            raise ValueError(
                f"status {self.status!r} does not go with {len(self.boxes)} boxes "
                f"and {len(self.labels)} labels"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "status": str(self.status),
            "boxes_px": [list(box.xyxy) for box in self.boxes],
            "labels": list(self.labels),
            "rule": self.rule,
            "issues": list(self.issues),
            "raw_text": self.raw_text,
            "expression": self.expression,
            "frame_time_s": self.frame_time_s,
            "size_px": None if self.size_px is None else list(self.size_px),
            "settings": dict(self.settings),
        }

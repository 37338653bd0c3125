"""Where things are: boxes in a frame, spans of time, their overlap, and reading a model's text."""

from __future__ import annotations

from mmreason.grounding import spans
from mmreason.grounding.boxes import Box, Grounding, GroundingStatus, giou, iou
from mmreason.grounding.parse import Dialect, parse_boxes
from mmreason.grounding.spans import tiou

__all__ = [
    "Box",
    "Dialect",
    "Grounding",
    "GroundingStatus",
    "giou",
    "iou",
    "parse_boxes",
    "spans",
    "tiou",
]

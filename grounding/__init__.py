"""Where things are: boxes, tubes and spans, their overlap, reading a model's text, expressions."""

from __future__ import annotations

from mmreason.grounding import spans
from mmreason.grounding.boxes import Box, giou, iou
from mmreason.grounding.dialects import (
    Dialect,
    parse_boxes,
    parse_points,
    parse_spans,
    parse_tubes,
    render_boxes,
    render_points,
    render_tubes,
)
from mmreason.grounding.masks import Mask
from mmreason.grounding.metrics.video import viou
from mmreason.grounding.protocols import Choice, Chooser, Detection, Detector, Tracker
from mmreason.grounding.results import Grounding, GroundingStatus, Issue, Rival, Target
from mmreason.grounding.spaces import Transform
from mmreason.grounding.spans import tiou
from mmreason.grounding.tubes import Tube

__all__ = [
    "Box",
    "Choice",
    "Chooser",
    "Detection",
    "Detector",
    "Dialect",
    "Grounding",
    "GroundingStatus",
    "Issue",
    "Mask",
    "Rival",
    "Target",
    "Tracker",
    "Transform",
    "Tube",
    "giou",
    "iou",
    "parse_boxes",
    "parse_points",
    "parse_spans",
    "parse_tubes",
    "render_boxes",
    "render_points",
    "render_tubes",
    "spans",
    "tiou",
    "viou",
]

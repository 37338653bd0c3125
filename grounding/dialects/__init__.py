"""Reading and writing the forms in which models say where something is."""

from __future__ import annotations

from mmreason.grounding.dialects.boxes import parse_boxes
from mmreason.grounding.dialects.ceiling import mean_iou_ceiling
from mmreason.grounding.dialects.dialect import NOTATIONS, BoxNotation, Dialect, quantum_px
from mmreason.grounding.dialects.points import parse_points
from mmreason.grounding.dialects.render import render_boxes, render_points, render_tubes
from mmreason.grounding.dialects.times import parse_spans
from mmreason.grounding.dialects.tubes import parse_tubes

__all__ = [
    "NOTATIONS",
    "BoxNotation",
    "Dialect",
    "mean_iou_ceiling",
    "parse_boxes",
    "parse_points",
    "parse_spans",
    "parse_tubes",
    "quantum_px",
    "render_boxes",
    "render_points",
    "render_tubes",
]

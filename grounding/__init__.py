"""Referring expressions and where they are: boxes, their overlap, reading a model's text."""

from __future__ import annotations

from mmreason.grounding.boxes import Box, Grounding, GroundingStatus, giou, iou
from mmreason.grounding.parse import Dialect, parse_boxes

__all__ = ["Box", "Dialect", "Grounding", "GroundingStatus", "giou", "iou", "parse_boxes"]

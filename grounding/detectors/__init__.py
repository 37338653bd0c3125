"""Detectors by transformers, and scripted ones of known error rates.

detector = load_detector("IDEA-Research/grounding-dino-tiny")  # or a folder
detections = detector.detect(frames, "dog")
"""

from __future__ import annotations

from mmreason.grounding.detectors.load import load_detector

__all__ = ["load_detector"]

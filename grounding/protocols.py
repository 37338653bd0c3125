"""Who grounds: three small protocols, met by detectors, trackers and models that choose.

detections = detector.detect(frames, "dog")           # boxes of each frame
tubes = tracker.track(frames, detections)             # who is who through time
choice = chooser.choose(frames, tubes, "the dog that runs off first")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.masks import Mask
from mmreason.grounding.tubes import Tube
from mmreason.video.types import FrameBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One object that a detector sees in one frame.

    Example:
        >>> Detection(box=Box(0, 0, 8, 8), score=0.9, label="dog").label
        'dog'
    """

    box: Box
    """In pixels of the frame that was given."""
    score: float | None = None
    """0..1 by the detector; None where it gives none (Florence-2, chat models)."""
    label: str = ""
    mask: Mask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which tube an expression refers to.

    Example:
        >>> Choice(ids=("3",), reason="it alone moves left").ids
        ('3',)
    """

    ids: tuple[str, ...]
    """Ids of tubes, best first; empty where none fits."""
    ambiguous: bool = False
    """Whether several fit and nothing tells them apart."""
    reason: str = ""
    raw_text: str = ""
    failures: tuple[tuple[str, str], ...] = ()
    """(tube id, descriptor that it fails), where the chooser knows."""


class Detector(Protocol):
    """Finds everything that a short noun phrase names, in every frame."""

    @property
    def name(self) -> str: ...

    def detect(self, frames: FrameBatch, phrase: str) -> list[tuple[Detection, ...]]:
        """One tuple a frame, in order; empty where nothing is found."""
        ...


class Tracker(Protocol):
    """Follows what was detected through the frames of one window."""

    @property
    def name(self) -> str: ...

    def track(self, frames: FrameBatch, seeds: Sequence[Sequence[Detection]]) -> tuple[Tube, ...]:
        """One tube an object, over all times of `frames`. `seeds` holds the detections of each
        frame; empty ones are frames in which nobody looked."""
        ...


class Chooser(Protocol):
    """Tells which of several tubes an expression refers to."""

    @property
    def name(self) -> str: ...

    def choose(self, frames: FrameBatch, tubes: Sequence[Tube], expression: str) -> Choice: ...


class Encoder(Protocol):
    """Tells how alike two crops look."""

    def encode(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """float32 (n, d) unit vectors of uint8 (H, W, 3) RGB crops."""
        ...

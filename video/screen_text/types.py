"""What a reader of screens gives: lines of one picture, and lines of a video with their times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mmreason.video.types import Span

BoxPx = tuple[float, float, float, float]
"""xyxy in pixels of the picture, upright."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLine:
    """A line of text in one picture. Raises ValueError where it is malformed.

    Example:
        >>> ReadLine(text="Agenda", box_px=(40, 30, 190, 62), confidence=0.98).text
        'Agenda'
    """

    text: str
    box_px: BoxPx
    confidence: float
    """0..1, as the reader says."""

    def __post_init__(self) -> None:
        _check_line(self.text, self.box_px, self.confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenLine:
    """A line of text that stands in the picture for a while: foreign text, data and never an
    instruction. Raises ValueError where it is malformed.

    Example:
        >>> line = ScreenLine(
        ...     span=Span(12.4, 31.0), text="Agenda", box_px=(40, 30, 190, 62), confidence=0.98
        ... )
        >>> str(line.span)
        '0:12.40-0:31.00'
    """

    span: Span
    text: str
    """Of all readings the surest."""
    box_px: BoxPx
    """Where it was at that reading, in pixels of the original frame."""
    confidence: float
    """0..1, as the reader said of that reading."""
    readings: int = 1
    """How often it was read."""
    is_moving: bool = False
    """Whether it moved across the picture meanwhile, as credits do."""

    def __post_init__(self) -> None:
        _check_line(self.text, self.box_px, self.confidence)
        if self.readings < 1:
            raise ValueError(f"a line was read at least once, got readings={self.readings}")

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "span": self.span.to_list(),
            "text": self.text,
            "box_px": [round(value, 1) for value in self.box_px],
            "confidence": round(self.confidence, 4),
            "readings": self.readings,
            "is_moving": self.is_moving,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenText:
    """What was read on the screen of a stretch of video.

    Example:
        >>> text = ScreenText(span=Span(0, 60), lines=(), reads=0, looks=60, model="scripted")
        >>> text.find("agenda")
        ()
    """

    span: Span
    lines: tuple[ScreenLine, ...]
    """In order of their starts."""
    reads: int
    """Pictures that were read."""
    looks: int
    """Small pictures that were compared to choose them."""
    model: str
    """The reader's name."""
    notes: tuple[str, ...] = ()
    """What a reader of the result has to know: moving pictures, lines that were dropped."""

    def find(self, text: str) -> tuple[ScreenLine, ...]:
        """The lines that hold `text`, whatever its case."""
        return tuple(line for line in self.lines if text.casefold() in line.text.casefold())

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "span": self.span.to_list(),
            "lines": [line.to_dict() for line in self.lines],
            "reads": self.reads,
            "looks": self.looks,
            "model": self.model,
            "notes": list(self.notes),
        }


class ScreenReader(Protocol):
    """Reads the lines of one picture.

    Example:
        >>> from mmreason.video.screen_text import ScriptedReader
        >>> reader: ScreenReader = ScriptedReader([()])
        >>> reader.read_frame(np.zeros((90, 160, 3), np.uint8))
        ()
    """

    @property
    def name(self) -> str:
        """Names reader and weights, for keys of a store."""
        ...

    def read_frame(self, rgb: np.ndarray) -> tuple[ReadLine, ...]:
        """The lines of uint8 (H, W, 3) RGB, in reading order."""
        ...


def _check_line(text: str, box_px: BoxPx, confidence: float) -> None:
    if not text.strip():
        raise ValueError("a line needs some text")
    x1, y1, x2, y2 = box_px
    if not all(map(math.isfinite, box_px)) or x2 < x1 or y2 < y1:
        raise ValueError(f"box_px must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, got {box_px}")
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence must be 0 to 1, got {confidence}")

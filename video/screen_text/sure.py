"""Which readings of one picture are to be believed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mmreason.video.screen_text.matching import crop_box, simplify_text
from mmreason.video.screen_text.types import BoxPx, ReadLine

LEAST_CONFIDENCE = 0.8
"""Below, more readings are wrong than right: calibrated on made frames and on photographs without
text, `benchmarks.senses_screen`."""
_FEW_LETTERS, _FEW_CONFIDENCE = 2, 0.95
"""Of readings this short on a busy ground, which are mostly edges taken for letters."""
_RING_PX = 4
_PLAIN_SPREAD = 14.0
"""Spread of the greys around a line up to which its ground is plain."""


def keep_sure_lines(
    lines: Sequence[ReadLine],
    grey: np.ndarray,
    is_moving: Callable[[BoxPx], bool] = lambda box_px: False,
) -> tuple[ReadLine, ...]:
    """The readings to believe of a picture whose greys are (H, W): not the unsure ones, and not
    single letters over photographs or where `is_moving` says that the picture moves.

    Example:
        >>> line = ReadLine(text="B", box_px=(40, 40, 60, 60), confidence=0.8)
        >>> photograph = np.random.default_rng(0).integers(0, 255, (90, 160))
        >>> keep_sure_lines([line], photograph)
        ()
        >>> keep_sure_lines([line], np.full((90, 160), 250))[0].text
        'B'
    """
    return tuple(line for line in lines if _is_sure(line, grey, is_moving))


def _is_sure(line: ReadLine, grey: np.ndarray, is_moving: Callable[[BoxPx], bool]) -> bool:
    letters = simplify_text(line.text)
    if line.confidence < LEAST_CONFIDENCE or not any(c.isalnum() for c in letters):
        return False
    if len(letters) > _FEW_LETTERS:
        return True
    if is_moving(line.box_px):
        return False
    return line.confidence >= _FEW_CONFIDENCE or _ground_spread(line, grey) <= _PLAIN_SPREAD


def _ground_spread(line: ReadLine, grey: np.ndarray) -> float:
    """Spread of the greys in a ring around the line."""
    x1, y1, x2, y2 = line.box_px
    # All of a ring around a line at the side of the picture is not there: what is counts.
    outer = crop_box(grey, (x1 - _RING_PX, y1 - _RING_PX, x2 + _RING_PX, y2 + _RING_PX), 1.0)
    ring = np.ones(outer.shape, bool)
    ring[_RING_PX:-_RING_PX, _RING_PX:-_RING_PX] = False
    return float(outer[ring].std())

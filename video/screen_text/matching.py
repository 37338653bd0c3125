"""Whether two readings are the same line, and whether a picture stayed the same in a box. Pure."""

from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np

from mmreason.video.screen_text.types import BoxPx

_SAME_TEXT = 0.85
"""Ratio of equal letters from which on two readings may be of one line."""
_BLOCK_PX = 8
_CHANGED = 0.15
"""Difference of a part of a box, as a share of the spread of the box, from which it changed."""
_NOISE = 6.0
"""Grey levels that a compressed picture differs by from itself."""


def simplify_text(text: str) -> str:
    """`text` without case, spaces and punctuation, which readers take or leave.

    Example:
        >>> simplify_text("Budget, 2 025!")
        'budget2025'
    """
    return "".join(c for c in text.casefold() if c.isalnum()) or "".join(text.split())


def is_similar_text(first: str, second: str) -> bool:
    """Whether two readings can be of the same line: a letter read otherwise, no other number.

    Example:
        >>> is_similar_text("Quarterly rev1ew", "Quarterly review")
        False
        >>> is_similar_text("Quarterly revlew", "Quarterly review")
        True
    """
    first, second = simplify_text(first), simplify_text(second)
    if first == second:
        return True
    # "Slide 3" and "Slide 4" are two lines.
    if [c for c in first if c.isdigit()] != [c for c in second if c.isdigit()]:
        return False
    return SequenceMatcher(None, first, second, autojunk=False).ratio() >= _SAME_TEXT


def overlap_share(first: BoxPx, second: BoxPx) -> float:
    """Area of the intersection over that of the smaller box, 0..1.

    Example:
        >>> overlap_share((0, 0, 10, 10), (5, 0, 40, 10))
        0.5
    """
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return width * height / max(1e-9, min(areas))


def crop_box(grey: np.ndarray, box_px: BoxPx, scale: float) -> np.ndarray:
    """The part of a grey picture (H, W) inside a box in pixels of the original, of which it is
    `scale` times the size; one pixel at least."""
    height, width = grey.shape
    x1, y1 = int(box_px[0] * scale), int(box_px[1] * scale)
    x2, y2 = int(np.ceil(box_px[2] * scale)), int(np.ceil(box_px[3] * scale))
    x1, y1 = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return grey[y1 : max(y1 + 1, min(y2, height)), x1 : max(x1 + 1, min(x2, width))]


def find_end_row(crops: np.ndarray) -> int | None:
    """Row of `crops` (N, H, W), pictures in order of time, from which on none shows what the first
    shows; None where the last one does.

    Example:
        >>> black, white = np.zeros((8, 8)), np.full((8, 8), 255)
        >>> find_end_row(np.stack((black, white, black, white, white)))
        3
    """
    same = [row for row in range(len(crops)) if is_same_picture(crops[0], crops[row])]
    return same[-1] + 1 if same[-1] + 1 < len(crops) else None


def is_same_picture(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two grey crops (H, W) show the same in each of their parts, noise left aside: one
    letter that is another one shows.

    Example:
        >>> blank, written = np.full((20, 40), 250), np.full((20, 40), 250)
        >>> written[5:15, 4:9] = 10
        >>> is_same_picture(blank, blank), is_same_picture(blank, written)
        (True, False)
    """
    difference = np.abs(first.astype(np.float32) - second)
    spread = max(float(first.std()), float(second.std()), 1.0)
    columns = max(1, difference.shape[1] // _BLOCK_PX)
    parts = np.array_split(difference, columns, axis=1)
    worst = max(float(part.mean()) for part in parts)
    return worst <= max(_NOISE, _CHANGED * spread)

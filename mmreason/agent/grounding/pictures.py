"""What a model is shown of candidates: whole frames and crops, with boxes drawn on. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmreason.grounding import Box
from mmreason.grounding.drawing.boxes import draw_boxes

CROP_MARGIN = 0.5
"""Shown around a box, on each side, in its own width and height."""
LEAST_CROP_PX = 32
"""Crops are no smaller, so that something of the surroundings is seen."""
PAIR_HEIGHT_PX = 360
_GAP_PX = 8


def frame_box(pixels: np.ndarray, boxes: Sequence[Box], labels: Sequence[str] = ()) -> np.ndarray:
    """The whole frame, uint8 (H, W, 3), with boxes drawn on."""
    return draw_boxes(pixels, boxes, labels)


def crop_box(pixels: np.ndarray, box: Box, label: str = "") -> np.ndarray:
    """The box with a margin, and drawn; uint8 (h, w, 3), of the same scale.

    Example:
        >>> crop_box(np.zeros((100, 200, 3), np.uint8), Box(50, 20, 90, 60)).shape
        (80, 80, 3)
    """
    height_px, width_px = pixels.shape[:2]
    x1, y1, x2, y2 = box.xyxy
    margin_x = max(CROP_MARGIN * (x2 - x1), (LEAST_CROP_PX - (x2 - x1)) / 2)
    margin_y = max(CROP_MARGIN * (y2 - y1), (LEAST_CROP_PX - (y2 - y1)) / 2)
    window = Box(x1 - margin_x, y1 - margin_y, x2 + margin_x, y2 + margin_y).clip(
        width_px, height_px
    )
    left, top = int(window.x1_px), int(window.y1_px)
    right, bottom = max(left + 1, round(window.x2_px)), max(top + 1, round(window.y2_px))
    drawn = draw_boxes(pixels, [box], [label] if label else ())
    return np.ascontiguousarray(drawn[top:bottom, left:right])


def pair_crops(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two crops side by side at one height, uint8 (`PAIR_HEIGHT_PX`, w, 3), a white gap between.

    Example:
        >>> crop = np.zeros((90, 45, 3), np.uint8)
        >>> pair_crops(crop, crop).shape
        (360, 368, 3)
    """
    scaled = [_scale_to_height(crop) for crop in (first, second)]
    gap = np.full((PAIR_HEIGHT_PX, _GAP_PX, 3), 255, np.uint8)
    return np.concatenate([scaled[0], gap, scaled[1]], axis=1)


def _scale_to_height(pixels: np.ndarray) -> np.ndarray:
    from PIL import Image

    height_px, width_px = pixels.shape[:2]
    # Slim crops stay within a square's worth of width on either side.
    wide_px = min(2 * PAIR_HEIGHT_PX, max(1, round(width_px * PAIR_HEIGHT_PX / height_px)))
    return np.asarray(Image.fromarray(pixels).resize((wide_px, PAIR_HEIGHT_PX)))

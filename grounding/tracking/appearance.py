"""How alike two crops look: by their colours, which needs no weights, or by a frame encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmreason.video.encoders import FrameEncoder

LEVELS = 4
"""Of each of red, green and blue."""
INNER_SHARE = 0.7
"""Only so much of a crop's sides is looked at: its edges are mostly ground."""


class ColourEncoder:
    """Meets `Encoder`: a joint histogram of colours. It tells apart what has other colours, in any
    pose and size, and nothing else; light that changes changes it too.

    Example:
        >>> red, blue = np.full((8, 8, 3), (255, 0, 0)), np.full((8, 8, 3), (0, 0, 255))
        >>> vectors = ColourEncoder().encode([red, red[:4], blue])
        >>> (vectors @ vectors[0]).round(2).tolist()
        [1.0, 1.0, 0.0]
    """

    def encode(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """See `Encoder.encode`; (n, 64)."""
        rows = np.zeros((len(crops), LEVELS**3), np.float32)
        for row, crop in zip(rows, crops, strict=True):
            height, width = crop.shape[:2]
            y, x = (int(side * (1 - INNER_SHARE) / 2) for side in (height, width))
            levels = crop[y : height - y, x : width - x].reshape(-1, 3).astype(int) * LEVELS // 256
            bins = levels @ np.array([LEVELS**2, LEVELS, 1])
            counts = np.bincount(bins, minlength=LEVELS**3)
            # Roots of shares have length 1, and their product is the Bhattacharyya coefficient.
            row[:] = np.sqrt(counts / counts.sum())
        return rows


@dataclass(frozen=True, slots=True)
class LooksEncoder:
    """Meets `Encoder` by a model of whole pictures: it tells apart what has another texture or
    shape, where colours are the same.

    Example:
        >>> from mmreason.video.encoders import load_encoder  # doctest: +SKIP
        >>> KalmanTracker(encoder=LooksEncoder(load_encoder())).name  # doctest: +SKIP
        'kalman with looks'
    """

    frames: FrameEncoder

    def encode(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """See `Encoder.encode`; (n, `frames.dim`). Raises VideoError for crops without pixels."""
        return self.frames.encode_crops(crops)

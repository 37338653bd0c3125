"""Colours by name and brightness, from small pictures."""

from __future__ import annotations

import numpy as np

from mmreason.video.labels.types import Brightness, ColourShare

COLOURS = (
    *("black", "white", "grey", "red", "orange", "brown", "yellow"),
    *("green", "cyan", "blue", "purple", "pink"),
)
_LEAST_SHARE = 0.1
_DARK, _DIM, _BRIGHT = 0.08, 0.18, 0.75
"""Mean luma, 0..1, up to which a picture is dark or dim, and from which on it is bright."""


def count_colours(pixels: np.ndarray) -> np.ndarray:
    """int64 (12,): pixels of each of `COLOURS` in uint8 (..., 3) RGB.

    Example:
        >>> count_colours(np.array([[255, 0, 0], [250, 250, 250]], np.uint8)).tolist()
        [0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    rgb = pixels.reshape(-1, 3).astype(np.float32) / 255
    high, low = rgb.max(axis=1), rgb.min(axis=1)
    span = high - low
    red, green, blue = rgb.T
    # Hue in sixths of the circle, as in HSV; where two channels are equal the first counts.
    sixth = np.maximum(span, 1e-6)
    hue = np.select(
        (high == red, high == green),
        (((green - blue) / sixth) % 6, (blue - red) / sixth + 2),
        (red - green) / sixth + 4,
    )
    degrees = hue * 60
    names = np.select(
        (
            high < 0.16,
            (span < 0.1) | (span < 0.16 * high),
            (degrees < 15) | (degrees >= 345),
            (degrees < 45) & (high < 0.62),
            degrees < 45,
            degrees < 70,
            degrees < 165,
            degrees < 195,
            degrees < 255,
            degrees < 290,
        ),
        (0, np.where(high > 0.82, 1, 2), 3, 5, 4, 6, 7, 8, 9, 10),
        11,
    )
    # Light reds are pink.
    names = np.where((names == 3) & (low > 0.55), 11, names)
    return np.bincount(names, minlength=len(COLOURS))


def name_colours(counts: np.ndarray) -> tuple[ColourShare, ...]:
    """Colours of a tenth of the pixels or more, the commonest first.

    Example:
        >>> name_colours(np.array([0, 1, 0, 19] + [0] * 8))
        (ColourShare(colour='red', share=0.95),)
    """
    total = max(1, int(counts.sum()))
    order = np.argsort(-counts, kind="stable")
    return tuple(
        ColourShare(COLOURS[row], round(float(counts[row] / total), 4))
        for row in order.tolist()
        if counts[row] >= _LEAST_SHARE * total
    )


def name_brightness(luma: float) -> Brightness | None:
    """The word for a mean luma, 0..1; None for what is neither dark nor bright.

    Example:
        >>> name_brightness(0.05), name_brightness(0.4), name_brightness(0.9)
        ('dark', None, 'bright')
    """
    if luma < _DIM:
        return "dark" if luma < _DARK else "dim"
    return "bright" if luma > _BRIGHT else None

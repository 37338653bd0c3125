"""The number of a frame as black and white bars in its pixels, to be read back after resizing.

Two bands at the top: 18 bars of the number, lowest bit on the left, and below them their
complement. A picture that is not a frame as it was made, or not the right way up, reads as None.
"""

from __future__ import annotations

import numpy as np

BITS = 18
_WHITE, _BLACK = 235, 16
_BANDS_OF_HEIGHT = 8
"""The two bands together take this fraction of the height: 1/8."""
_LEAST_CONTRAST = 60


def draw_number(number: int, luma: np.ndarray) -> None:
    """Draw `number` (0 to 2**18 - 1) into `luma`, uint8 (H, W), in place.

    Example:
        >>> luma = np.full((96, 288), 90, np.uint8)
        >>> draw_number(5, luma)
        >>> read_number(np.repeat(luma[..., None], 3, axis=2))
        5
    """
    height, width = luma.shape
    band = height // (2 * _BANDS_OF_HEIGHT)
    # Every column knows its bit: bars fill any width, also one that 18 does not divide.
    bits = (number >> (np.arange(width) * BITS // width)) & 1 == 1
    luma[:band] = np.where(bits, _WHITE, _BLACK)
    luma[band : 2 * band] = np.where(bits, _BLACK, _WHITE)


def band_rows(height_px: int) -> int:
    """How many rows from the top the bars take."""
    return 2 * (height_px // (2 * _BANDS_OF_HEIGHT))


def read_number(rgb: np.ndarray) -> int | None:
    """The number in a frame, uint8 (H, W, 3) of any size; None where the bars cannot be read."""
    height, width, _ = rgb.shape
    band, bar = height / (2 * _BANDS_OF_HEIGHT), width / BITS
    levels = np.empty((2, BITS))
    for row in range(2):
        # The inner third of a bar: resizing blurs its borders.
        top, bottom = round(band * (row + 0.35)), round(band * (row + 0.65)) + 1
        for bit in range(BITS):
            first_px, last_px = round(bar * (bit + 0.35)), round(bar * (bit + 0.65)) + 1
            levels[row, bit] = rgb[top:bottom, first_px:last_px].mean()
    # A bar and its complement must differ: smeared and turned pictures fail here.
    if (np.abs(levels[0] - levels[1]) < _LEAST_CONTRAST).any():
        return None
    return int(((levels[0] > levels[1]) << np.arange(BITS)).sum())

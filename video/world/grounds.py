"""What lies behind the actors of a scene besides an even colour: a drawn texture or a photograph.

Grounds are darker than any colour of an actor, so that what is in front stays plain to see.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mmreason.video.world.cutouts import PICTURES, read_grey
from mmreason.video.world.script import Ground

PHOTOGRAPHS = ("grass", "gravel", "brick", "stars")
DARKEST, LIGHTEST = 0.35, 1.9
"""Of the background's colour, in the dark and in the light of a ground."""


@lru_cache(maxsize=32)
def draw_ground(name: Ground, size_px: tuple[int, int]) -> np.ndarray:
    """float32 (H, W, 1): by how much each pixel of the background is lighter. `size_px` is (width,
    height).

    Example:
        >>> draw_ground("weave", (64, 36)).shape
        (36, 64, 1)
    """
    light = _read_photograph(name, size_px) if name in PHOTOGRAPHS else _texture(name, size_px)
    return (DARKEST + (LIGHTEST - DARKEST) * light[..., None]).astype(np.float32)


def _read_photograph(name: str, size_px: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    grey = read_grey(PICTURES / f"{name}.png")
    picture = Image.fromarray((255 * grey).astype(np.uint8))
    return np.asarray(picture.resize(size_px, Image.Resampling.BICUBIC), np.float32) / 255


def _texture(name: Ground, size_px: tuple[int, int]) -> np.ndarray:
    """Waves in fixed directions: the same on every machine and at every size."""
    width, height = size_px
    y, x = np.mgrid[0:height, 0:width] / height
    if name == "weave":
        waves = np.sin(2 * np.pi * 14 * x) * np.sin(2 * np.pi * 14 * y)
    elif name == "planks":
        row = np.floor(y * 7)
        waves = np.sin(2 * np.pi * (2.2 * x + 0.37 * row) + 3 * np.sin(9 * y + row)) - 1.6 * (
            (y * 7) % 1 < 0.07
        )
    else:
        # Clouds: four octaves, each turned against the one before.
        waves = np.zeros((height, width))
        for octave, turn in enumerate((0.3, 1.7, 2.6, 4.1)):
            scale = 2.0**octave * 1.3
            u = x * np.cos(turn) + y * np.sin(turn)
            v = y * np.cos(turn) - x * np.sin(turn)
            waves += (
                np.sin(2 * np.pi * scale * u + turn) * np.cos(2 * np.pi * scale * v) / 1.6**octave
            )
        waves /= 1.6
    return np.clip(0.5 + 0.5 * waves, 0.0, 1.0)

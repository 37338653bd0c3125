"""Photographed things as actors: outlines cut by hand, and the lightness of the photograph inside.

A cut-out takes the colour and the pattern of its actor, as a painted figure would, so that "the red
striped cup" is one. Where the photographs come from is told in `pictures/README.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mmreason.video.world.script import CutOut

PICTURES = Path(__file__).with_name("pictures")
DARKEST = 0.5
"""Share of its colour that the darkest part of a cut-out keeps: colours stay plain to see."""

OUTLINES: dict[CutOut, tuple[float, tuple[tuple[float, float], ...]]] = {
    "cup": (
        1.0811,
        (
            (0.238, 0.235), (0.255, 0.141), (0.318, 0.059), (0.405, 0.014), (0.522, 0),
            (0.642, 0.016), (0.742, 0.073), (0.8, 0.162), (0.855, 0.222), (0.905, 0.303),
            (0.968, 0.397), (1, 0.505), (0.998, 0.6), (0.96, 0.722), (0.88, 0.843), (0.768, 0.93),
            (0.63, 0.984), (0.518, 1), (0.38, 0.978), (0.242, 0.911), (0.118, 0.803),
            (0.035, 0.681), (0, 0.546), (0.01, 0.451), (0.042, 0.357), (0.118, 0.254),
            (0.205, 0.181),
        ),
    ),
    "cat": (
        1.1838,
        (
            (0.062, 0), (0.217, 0), (0.575, 0), (0.901, 0), (0.981, 0.099), (0.969, 0.21),
            (0.988, 0.338), (1, 0.467), (0.95, 0.669), (0.87, 0.816), (0.792, 0.926), (0.689, 1),
            (0.606, 0.989), (0.497, 0.952), (0.388, 0.926), (0.295, 0.827), (0.18, 0.724),
            (0.075, 0.596), (0.019, 0.467), (0, 0.283), (0.006, 0.136),
        ),
    ),
    "shuttle": (
        0.5128,
        (
            (0.36, 0.005), (0.44, 0), (0.51, 0.041), (0.55, 0.123), (0.57, 0.174), (0.58, 0.492),
            (0.7, 0.523), (0.82, 0.59), (0.97, 0.687), (1, 0.79), (0.86, 0.815), (0.65, 0.79),
            (0.59, 0.892), (0.49, 0.872), (0.35, 0.856), (0.25, 0.933), (0.15, 1), (0.11, 0.964),
            (0.14, 0.892), (0.22, 0.81), (0.05, 0.785), (0, 0.749), (0.02, 0.662), (0.13, 0.585),
            (0.23, 0.544), (0.23, 0.226), (0.26, 0.123), (0.32, 0.041),
        ),
    ),
    "helmet": (
        1.372,
        (
            (0, 0.768), (0.022, 0.524), (0.084, 0.311), (0.173, 0.177), (0.293, 0.073),
            (0.449, 0.012), (0.582, 0), (0.716, 0.049), (0.827, 0.159), (0.916, 0.354),
            (0.956, 0.524), (0.969, 0.677), (1, 0.829), (0.982, 1), (0.049, 1), (0.013, 0.89),
        ),
    ),
    "horse": (
        1.2244,
        (
            (0.881, 0.03), (0.9, 0.003), (0.9, 0.03), (0.916, 0), (0.911, 0.05), (0.938, 0.086),
            (0.965, 0.168), (1, 0.254), (0.981, 0.297), (0.949, 0.307), (0.927, 0.261),
            (0.895, 0.234), (0.833, 0.205), (0.809, 0.3), (0.784, 0.383), (0.774, 0.515),
            (0.741, 0.581), (0.709, 0.713), (0.685, 0.828), (0.69, 0.911), (0.733, 0.977),
            (0.728, 1), (0.69, 1), (0.668, 0.954), (0.658, 0.795), (0.642, 0.835), (0.642, 0.921),
            (0.674, 0.98), (0.663, 0.99), (0.631, 0.987), (0.612, 0.934), (0.625, 0.762),
            (0.623, 0.594), (0.464, 0.584), (0.329, 0.521), (0.302, 0.531), (0.253, 0.647),
            (0.243, 0.779), (0.27, 0.911), (0.31, 0.96), (0.296, 0.974), (0.264, 0.97),
            (0.232, 0.911), (0.21, 0.762), (0.191, 0.68), (0.194, 0.647), (0.135, 0.729),
            (0.108, 0.828), (0.111, 0.921), (0.148, 0.98), (0.135, 0.993), (0.097, 0.987),
            (0.092, 0.941), (0.07, 0.921), (0.086, 0.696), (0.075, 0.713), (0.043, 0.795),
            (0.011, 0.729), (0, 0.465), (0.016, 0.333), (0.073, 0.271), (0.162, 0.257),
            (0.248, 0.241), (0.356, 0.257), (0.464, 0.277), (0.571, 0.261), (0.625, 0.228),
            (0.706, 0.109), (0.774, 0.05),
        ),
    ),
    "tripod": (
        0.4674,
        (
            (0.174, 0), (0.517, 0), (0.535, 0.101), (0.43, 0.122), (0.448, 0.481), (0.657, 0.677),
            (1, 1), (0, 0.997), (0.174, 0.677), (0.267, 0.481), (0.297, 0.16), (0.186, 0.117),
        ),
    ),
}  # fmt: skip
"""Width over height of each photograph, and the corners of the outline in fractions of both."""


@dataclass(frozen=True, slots=True, eq=False)
class CutOutForm:
    """A cut-out on unit coordinates: its farthest corner lies at radius 1."""

    corners: np.ndarray
    """float64 (n, 2)."""
    half_width: float
    half_height: float
    """Of the photograph, whose middle is the origin."""


def _fit(name: CutOut) -> CutOutForm:
    aspect, points = OUTLINES[name]
    corners = (np.array(points) - 0.5) * (aspect, 1.0)
    farthest = float(np.hypot(*corners.T).max())
    return CutOutForm(corners / farthest, aspect / 2 / farthest, 0.5 / farthest)


FORMS: dict[CutOut, CutOutForm] = {name: _fit(name) for name in OUTLINES}


def shade_cutout(name: CutOut, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How much of its colour a cut-out shows at points in radii, `DARKEST` to 1.

    Example:
        >>> shade_cutout("cup", np.array([0.0]), np.array([0.0])).shape
        (1,)
    """
    form, light = FORMS[name], _read_lightness(name)
    height, width = light.shape
    # From the nearest pixel: actors are about as large as their photograph.
    column = ((x / form.half_width + 1) / 2 * width).clip(0, width - 1).astype(int)
    row = ((y / form.half_height + 1) / 2 * height).clip(0, height - 1).astype(int)
    return DARKEST + (1 - DARKEST) * light[row, column]


@lru_cache(maxsize=16)
def _read_lightness(name: str) -> np.ndarray:
    return read_grey(PICTURES / f"{name}.png")


def read_grey(path: Path) -> np.ndarray:
    """float32 (H, W), 0 to 1, of one of the pictures here."""
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as picture:
        return np.asarray(picture.convert("L"), np.float32) / 255

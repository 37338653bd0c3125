"""The maths of colours on arrays: luma and colour differences to RGB, high dynamic range and wide
colours to a standard screen (BT.709, gamma 2.4).

A signal is uint16, 0..4095 for 0..1. Light is linear, 1.0 is the white of a standard picture: 203
cd/m2 in HDR (ITU-R BT.2408). Imports cv2 when used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from mmreason.video.backends.colour import HDR_NAMES

# White and the peaks are those of BT.2408 and BT.2100, the gamma is that of BT.1886.
REFERENCE_WHITE_NITS = 203.0
_PQ_PEAK_NITS = 10_000.0
_HLG_PEAK_NITS = 1000.0
_HLG_SYSTEM_GAMMA = 1.2
_SDR_GAMMA = 2.4
_KNEE = 0.96
"""Light above which highlights are compressed: white itself is shown at 253 of 255."""
_TOP = 4095
"""The signal of 1: 12 bits, as many as HDR is made for; larger tables leave the nearest cache."""
_ROWS_AT_ONCE = 16
"""Rows whose intermediate values stay in the cache of a core: half the time of a whole picture."""

# Red and blue; green has what is left of 1.
_LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
"""Weights of red and blue in the luma of a matrix."""

_D65 = (0.3127, 0.3290)
_CHROMATICITIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""(x, y) of red, green and blue; white is D65 for all of them."""


@dataclass(frozen=True, slots=True, eq=False)
class SdrConversion:
    """How signals of one transfer function and set of primaries become standard pictures."""

    light: np.ndarray
    """float32 (4096,): light of each signal."""
    to_bt709: np.ndarray
    """float32 (3, 3): on columns of linear red, green and blue."""
    luminance: np.ndarray | None
    """float32 (1, 3): of HLG, whose light is the scene's until a system gamma is applied."""
    compresses: bool
    """Whether light above the knee is compressed; else it is clipped at 1."""

    def convert(self, signal: np.ndarray) -> np.ndarray:
        """uint16 (H, W, 3) RGB signals to uint8 of the same shape."""
        levels = np.empty(signal.shape, np.uint8)
        for row in range(0, len(signal), _ROWS_AT_ONCE):
            rows = slice(row, row + _ROWS_AT_ONCE)
            levels[rows] = self._convert_rows(signal[rows])
        return levels

    def _convert_rows(self, signal: np.ndarray) -> np.ndarray:
        import cv2

        light = np.take(self.light, signal)
        if self.luminance is not None:
            scene = cv2.transform(light, self.luminance).reshape(light.shape[:2])
            gain = scene ** (_HLG_SYSTEM_GAMMA - 1) * (_HLG_PEAK_NITS / REFERENCE_WHITE_NITS)
            light = _times(light, gain)
        light = cv2.transform(light, self.to_bt709)
        np.maximum(light, 0, out=light)
        if self.compresses:
            light = _compress(light)
        # The square root spends the steps of the table on dark parts, as the eye does.
        steps = np.sqrt(light, out=light)
        steps *= _TOP
        steps += 0.5
        np.minimum(steps, _TOP, out=steps)
        return np.take(_levels_of_roots(), steps.astype(np.uint16))


@cache
def sdr_conversion(transfer: str, primaries: str) -> SdrConversion:
    """For PQ, HLG, or (any other transfer) a standard picture with wide primaries."""
    from_rgb = _rgb_to_xyz(primaries if primaries in _CHROMATICITIES else "bt709")
    to_bt709 = np.linalg.inv(_rgb_to_xyz("bt709")) @ from_rgb
    signal = np.linspace(0, 1, _TOP + 1)
    light = {"smpte2084": _pq_light, "arib-std-b67": _hlg_scene_light}.get(transfer, _sdr_light)
    return SdrConversion(
        light=light(signal).astype(np.float32),
        to_bt709=to_bt709.astype(np.float32),
        luminance=from_rgb[1:2].astype(np.float32) if transfer == "arib-std-b67" else None,
        compresses=transfer in HDR_NAMES,
    )


def planes_to_rgb(planes: np.ndarray, matrix: str, range_: str, bits: int) -> np.ndarray:
    """uint16 (H, W, 3) RGB signals of luma and two colour differences.

    `planes` is uint16 (H, W, 3), samples of `bits` bits; `matrix` and `range_` are as in `Colour`.
    """
    import cv2

    to_rgb = _from_luma(matrix)
    unit = 2 ** (bits - 8)
    zero = np.array([16 * unit if range_ == "tv" else 0, 128 * unit, 128 * unit])
    full = 256 * unit - 1
    span = np.array([219 * unit, 224 * unit, 224 * unit]) if range_ == "tv" else np.full(3, full)
    scaled = to_rgb / span * _TOP
    rgb = cv2.transform(planes, np.column_stack((scaled, -scaled @ zero)))  # rounds, clips at 0
    return np.minimum(rgb, _TOP, out=rgb)


def grey_to_rgb(grey: np.ndarray, bits: int) -> np.ndarray:
    """uint16 (H, W, 3) RGB signals of grey of limited range, uint16 (H, W), of `bits` bits."""
    unit = 2 ** (bits - 8)
    signal = np.clip((grey - np.float32(16 * unit)) / (219 * unit), 0, 1) * _TOP
    return np.repeat(np.round(signal).astype(np.uint16)[..., None], 3, axis=2)


def to_levels(signal: np.ndarray) -> np.ndarray:
    """uint8: the levels of uint16 signals, rounded."""
    return np.take(_levels(), signal)


def _from_luma(matrix: str) -> np.ndarray:
    """float64 (3, 3): RGB 0..1 of luma 0..1 and two colour differences -0.5..0.5."""
    if matrix == "ycgco":
        return np.array([[1.0, -1, 1], [1, 1, 0], [1, -1, -1]])
    red, blue = _LUMA_WEIGHTS[matrix]
    # Differences are scaled to -0.5..0.5, hence twice what luma leaves of each colour.
    from_v, from_u = 2 * (1 - red), 2 * (1 - blue)
    green = 1 - red - blue
    return np.array(
        [[1, 0, from_v], [1, -blue * from_u / green, -red * from_v / green], [1, from_u, 0]]
    )


@cache
def _levels() -> np.ndarray:
    return np.round(np.arange(_TOP + 1) * (255 / _TOP)).astype(np.uint8)


def compress_highlights(light: np.ndarray) -> np.ndarray:
    """Light 0 and up to below 1: as it is up to the knee, from there on ever more slowly (slope 1
    at the knee), so that order is kept."""
    room = 1 - _KNEE
    above = np.maximum(light - _KNEE, 0)
    return np.minimum(light, _KNEE) + room * above / (above + room)


def _compress(light: np.ndarray) -> np.ndarray:
    """Pixels scaled so that their strongest colour is compressed: the hue is kept."""
    import cv2

    red, green, blue = cv2.split(light)
    strongest = cv2.max(cv2.max(red, green), blue)
    if strongest.max() <= _KNEE:
        return light
    return _times(light, compress_highlights(strongest) / np.maximum(strongest, 1e-9))


def _times(light: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """float32 (H, W, 3) times float32 (H, W): several times as fast as by broadcasting."""
    import cv2

    return cv2.multiply(light, cv2.merge((gain, gain, gain)))


def _pq_light(signal: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: absolute light."""
    # Fractions as the standard writes them, so that no digit is lost.
    m1, m2, c1, c2, c3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    # Signals next to black lie below c1: held at 0, as the standard says.
    nits = _PQ_PEAK_NITS * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return nits / REFERENCE_WHITE_NITS


def _hlg_scene_light(signal: np.ndarray) -> np.ndarray:
    """ARIB STD-B67: light of the scene, 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _sdr_light(signal: np.ndarray) -> np.ndarray:
    return signal**_SDR_GAMMA


@cache
def _levels_of_roots() -> np.ndarray:
    """uint8 (4096,): the level of a square root of light, 0..1 in equal steps."""
    root = np.linspace(0, 1, _TOP + 1)
    return np.round(255 * root ** (2 / _SDR_GAMMA)).astype(np.uint8)


def _rgb_to_xyz(primaries: str) -> np.ndarray:
    """float64 (3, 3): from linear red, green and blue; white has luminance 1."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in _CHROMATICITIES[primaries]]).T
    white = np.array([_D65[0] / _D65[1], 1, (1 - sum(_D65)) / _D65[1]])
    return columns * np.linalg.solve(columns, white)

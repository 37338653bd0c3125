"""Whether a picture is a photograph: classifiers are sure of nonsense about anything else.

Slides, screens, drawings, plots, maps, textures, noise, microscopes and skies were never among the
pictures that ImageNet's classifiers learned from. Two fits decide, both made by
`benchmarks/senses_labels.py --fit` on one half of its pictures and measured on the other: eight
statistics of the picture, for any classifier, and the last features of EfficientNet-Lite0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Protocol, runtime_checkable

import numpy as np

STATISTICS = (
    "colour_entropy",
    "commonest_colour",
    "flat_share",
    "luma_entropy",
    "uneven_detail",
    "spectrum_bend",
    "gradient",
    "saturation_spread",
)
_SIZE_PX = (160, 120)
_DARK, _FLAT = 0.05, 0.02
"""Mean and spread of the luma, 0..1, below which nothing is to be seen."""


@runtime_checkable
class PhotographJudge(Protocol):
    """A classifier that can tell by its own features."""

    def score_photographs(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N,) of uint8 (N, H, W, 3): above 0 for a photograph."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LinearFit:
    """A weighted sum of standardised values; at or above 0 for a photograph.

    Example:
        >>> fit = LinearFit(np.zeros(1), np.ones(1), np.array([2.0]), -1.0)
        >>> fit.score(np.array([[0.0], [1.0]])).tolist()
        [-1.0, 1.0]
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: float

    def score(self, values: np.ndarray) -> np.ndarray:
        """(N,) of (N, values)."""
        return (values - self.mean) / self.scale @ self.weights + self.bias


@cache
def read_fit(name: str) -> LinearFit:
    """The fit "statistics" or "features" that ships with mmreason."""
    from safetensors.numpy import load_file

    with as_file(files("mmreason.video.labels").joinpath("photograph.safetensors")) as path:
        tensors = load_file(path)
    return LinearFit(
        mean=tensors[f"{name}.mean"],
        scale=tensors[f"{name}.scale"],
        weights=tensors[f"{name}.weights"],
        bias=float(tensors[f"{name}.bias"][0]),
    )


def judge_pictures(frames: np.ndarray, judge: PhotographJudge | None = None) -> list[str]:
    """For each of uint8 (N, H, W, 3) RGB why it is no photograph, "" where it may be one.

    Example:
        >>> judge_pictures(np.zeros((1, 90, 160, 3), np.uint8))
        ['dark']
    """
    statistics = np.array([measure_picture(frame) for frame in frames])
    is_photograph = read_fit("statistics").score(statistics) >= 0
    if judge is not None:
        is_photograph &= judge.score_photographs(frames) >= 0
    return [
        _find_emptiness(frame) or ("" if passes else "no photograph")
        for frame, passes in zip(frames, is_photograph.tolist(), strict=True)
    ]


def _find_emptiness(frame: np.ndarray) -> str:
    luma = frame.mean(axis=2) / 255
    if luma.mean() < _DARK:
        return "dark"
    return "flat" if luma.std() < _FLAT else ""


def measure_picture(frame: np.ndarray) -> np.ndarray:
    """float64 (8,), the `STATISTICS` of uint8 (H, W, 3) RGB, measured on 160 x 120 pixels."""
    import cv2

    small = np.asarray(cv2.resize(frame, _SIZE_PX, interpolation=cv2.INTER_AREA), np.uint8)
    pixels = small.astype(np.float32)
    luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    coarse = (small >> 4).astype(np.int32)
    colours = (coarse[..., 0] << 8) | (coarse[..., 1] << 4) | coarse[..., 2]
    shares = np.bincount(colours.ravel(), minlength=4096) / colours.size
    across, down = np.abs(np.diff(luma, axis=1))[:-1], np.abs(np.diff(luma, axis=0))[:, :-1]
    gradients = np.maximum(across, down)
    high, low = pixels.max(axis=2), pixels.min(axis=2)
    # Detail is much the same all over a texture, and piled up in places of a photograph.
    blocks = luma.reshape(8, 15, 8, 20).std(axis=(1, 3))
    return np.array(
        [
            _entropy(shares),
            shares.max(),
            (gradients < 1).mean(),
            _entropy(np.bincount(luma.astype(int).ravel(), minlength=256) / luma.size),
            blocks.std() / (blocks.mean() + 1),
            _spectrum_bend(luma),
            np.log2(gradients.mean() + 0.1),
            ((high - low) / np.maximum(high, 1)).std(),
        ]
    )


def _entropy(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())


def _spectrum_bend(luma: np.ndarray) -> float:
    """How far the power over octaves of detail is from a straight line, which it is in nature."""
    import cv2

    square = cv2.resize(luma, (128, 128))
    power = np.abs(np.fft.fft2(square - square.mean())) ** 2
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None])
    octaves = [
        power[(frequency >= edge) & (frequency < 2 * edge)].mean()
        for edge in (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4)
    ]
    return float(np.polyfit(range(5), np.log2(np.array(octaves) + 1e-3), 2)[0])

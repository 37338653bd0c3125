"""An encoder of frames without weights: what tests of its users need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmreason.video.types import FrameBatch, VideoError


class ShadeEncoder:
    """Two numbers a frame: an angle that grows with its brightness, so that the cosine of two
    frames falls with the difference of their shades. Says how many frames it was given."""

    def __init__(self, name: str = "shades", *, reads_text: bool = False) -> None:
        self.name = name
        self.fingerprint = "5f0c"
        self.size_px: tuple[int, int] = (48, 64)
        self.takes_text = reads_text
        self.frames = 0

    def encode_frames(self, pixels: np.ndarray | FrameBatch) -> np.ndarray:
        frames = pixels.pixels if isinstance(pixels, FrameBatch) else pixels
        self.frames += len(frames)
        return self._turn(np.array([frame.mean() for frame in frames]))

    def encode_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        return self._turn(np.array([crop.mean() for crop in crops]))

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """ "bright" and "dark" are shades."""
        if not self.takes_text:
            raise VideoError(f"{self.name} has no text tower; load a CLIP or SigLIP model")
        return self._turn(np.array([{"bright": 255.0, "dark": 0.0}[text] for text in texts]))

    def _turn(self, shades: np.ndarray) -> np.ndarray:
        angle = np.asarray(shades, np.float64) / 255 * np.pi / 2
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)

"""EfficientNet-Lite0 over the 1,000 classes of ImageNet-1k, by timm, from safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmreason.video.labels.classes import ImageClass, read_classes
from mmreason.video.labels.photograph import read_fit

_MOST_AT_ONCE = 8
"""Larger batches are no faster on a CPU, and take more memory."""


class EfficientNetLite:
    """A `Classifier` that also tells where it looks.

    Example:
        >>> classifier = EfficientNetLite(find_weights("efficientnet-lite0"))  # doctest: +SKIP
        >>> classifier.classify(frames.pixels).shape  # doctest: +SKIP
        (4, 1000)
    """

    def __init__(self, folder: Path) -> None:
        """Load `model.safetensors` of `folder`. Raises VideoError where that does not serve."""
        from mmreason.video.encoders.efficientnet import load_network

        self.name = "efficientnet-lite0"
        self._model = load_network(folder)
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        """The frames that were run last, and what came of them: each is asked for several views."""

    @property
    def classes(self) -> Sequence[ImageClass]:
        return read_classes()

    def classify(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N, 1000), probabilities, of uint8 (N, H, W, 3) RGB: the whole frame is brought
        to 224 x 224, whatever its shape."""
        return self._run(frames)[0]

    def locate(self, frames: np.ndarray, class_sets: Sequence[Sequence[int]]) -> np.ndarray:
        """float32 (N, 7, 7): how strongly each cell of a frame speaks for the classes (columns) of
        its set: the class activation map (Zhou et al. 2016), summed over the set by probability."""
        probabilities, features = self._run(frames)
        weights = self._model.classifier.weight.detach().numpy()
        maps = []
        for row, columns in enumerate(class_sets):
            shares = probabilities[row, list(columns)]
            direction = shares @ weights[list(columns)] / max(float(shares.sum()), 1e-9)
            maps.append(np.einsum("c,chw->hw", direction, features[row]))
        return np.stack(maps).astype(np.float32)

    def score_photographs(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N,): above 0 for a photograph, by a fit on the mean features."""
        return read_fit("features").score(self.pool_features(frames))

    def pool_features(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N, 1280): the last feature maps, averaged over the picture."""
        return self._run(frames)[1].mean(axis=(2, 3))

    def _run(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (N, 1000) and the last feature maps (N, 1280, 7, 7)."""
        import torch

        from mmreason.video.encoders.efficientnet import squash_frames

        last = self._last
        if last is not None and last[0] is frames:
            return last[1], last[2]
        probabilities, features = [], []
        with torch.inference_mode():
            for first in range(0, len(frames), _MOST_AT_ONCE):
                pixels = torch.from_numpy(squash_frames(frames[first : first + _MOST_AT_ONCE]))
                maps = self._model.forward_features(pixels)
                logits = self._model.forward_head(maps)
                probabilities.append(logits.softmax(dim=1).numpy())
                features.append(maps.numpy())
        last = frames, np.concatenate(probabilities), np.concatenate(features)
        self._last = last
        return last[1], last[2]

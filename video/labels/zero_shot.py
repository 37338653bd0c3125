"""Any zero-shot image model of transformers (CLIP, SigLIP, SigLIP 2) over our words.

Its candidates are the classes of ImageNet and what those lack: person, face, tree, house. Sums over
kinds and thresholds are those of the other classifier, and were not measured on such models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from mmreason.video.labels.classes import ImageClass, read_classes
from mmreason.video.types import VideoError

BEYOND_IMAGENET = (
    ImageClass("man", parents=("person",)),
    ImageClass("woman", parents=("person",)),
    ImageClass("child", parents=("person",)),
    ImageClass("face", parents=("person",)),
    ImageClass("crowd", parents=("person",)),
    ImageClass("tree", parents=("plant",)),
    ImageClass("forest", parents=("landscape",)),
    ImageClass("field of grass", parents=("landscape",)),
    ImageClass("house", parents=("building",)),
    ImageClass("street", parents=("town",)),
    ImageClass("room", parents=("indoors",)),
    ImageClass("sky", parents=("landscape",)),
    ImageClass("river", parents=("landscape",)),
    ImageClass("horse", parents=("mammal", "animal")),
    ImageClass("cow", parents=("cattle", "mammal", "animal")),
    ImageClass("deer", parents=("mammal", "animal")),
    ImageClass("giraffe", parents=("mammal", "animal")),
    ImageClass("dolphin", parents=("sea mammal", "mammal", "animal")),
    ImageClass("chair", parents=("furniture",)),
    ImageClass("book", parents=("page",)),
    ImageClass("knife", parents=("tool",)),
    ImageClass("cake", parents=("dessert", "food")),
    ImageClass("tomato", parents=("vegetable", "food")),
    ImageClass("helicopter", parents=("aircraft", "vehicle")),
)
"""Candidates that ImageNet-1k has no class for."""

_PROMPT = "a photo of a {}."


class ZeroShotClassifier:
    """A `Classifier` by the likeness of pictures and sentences.

    Example:
        >>> classifier = ZeroShotClassifier("google/siglip2-base-patch16-224")  # doctest: +SKIP
        >>> classifier.classify(frames.pixels).shape  # doctest: +SKIP
        (4, 1024)
    """

    def __init__(
        self, name: str, *, classes: Sequence[ImageClass] = (*read_classes(), *BEYOND_IMAGENET)
    ) -> None:
        """Load a model of the hub or a folder, and read the sentences of `classes` once. Raises
        VideoError where it cannot be loaded or is no model of pictures and text."""
        from mmreason.video.encoders import load_encoder

        self.name = name
        self.classes = classes
        self._encoder = load_encoder(name)
        self._texts = self._encoder.encode_text([_PROMPT.format(item.name) for item in classes])
        if self._encoder.logit_scale is None:
            raise VideoError(f"{name}: learned no scale of likeness; give a CLIP or SigLIP model")
        self._scale = self._encoder.logit_scale

    def classify(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N, classes), a softmax over the candidates, of uint8 (N, H, W, 3) RGB."""
        logits = self._encoder.encode_frames(frames) @ self._texts.T * self._scale
        return softmax(logits, axis=1)

"""Any zero-shot image model of transformers (CLIP, SigLIP, SigLIP 2) over our words.

Its candidates are the classes of ImageNet and what those lack: person, face, tree, house. Sums over
kinds and thresholds are those of the other classifier, and were not measured on such models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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
_TEXTS_AT_ONCE = 64
_FRAMES_AT_ONCE = 8


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
        from transformers import AutoModel, AutoProcessor

        self.name = name
        self.classes = classes
        try:
            # Only safetensors, and none of the folder's own code: nothing is run.
            self._model: Any = AutoModel.from_pretrained(
                name, use_safetensors=True, trust_remote_code=False
            ).eval()
            self._processor: Any = AutoProcessor.from_pretrained(name, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise VideoError(
                f"{name}: cannot be loaded as an image model ({reason}); give "
                '"efficientnet-lite0", a folder with config.json, or a name on a hub that can be '
                "reached"
            ) from error
        if not hasattr(self._model, "get_image_features") or not hasattr(
            self._model, "get_text_features"
        ):
            raise VideoError(
                f"{name}: is {type(self._model).__name__}, which does not compare pictures with "
                "text; give a CLIP or SigLIP model"
            )
        self._texts = self._read_texts()

    def classify(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N, classes), a softmax over the candidates, of uint8 (N, H, W, 3) RGB."""
        import torch

        rows = []
        with torch.inference_mode():
            for first in range(0, len(frames), _FRAMES_AT_ONCE):
                batch = list(frames[first : first + _FRAMES_AT_ONCE])
                inputs = self._processor(images=batch, return_tensors="pt")
                images = _unit(self._model.get_image_features(**inputs))
                logits = images @ self._texts.T * self._model.logit_scale.exp()
                rows.append(logits.softmax(dim=1).float().numpy())
        return np.concatenate(rows)

    def _read_texts(self) -> Any:
        """(classes, features), of length 1."""
        import torch

        sentences = [_PROMPT.format(item.name) for item in self.classes]
        parts = []
        with torch.inference_mode():
            for first in range(0, len(sentences), _TEXTS_AT_ONCE):
                # SigLIP learned from sentences padded to full length.
                inputs = self._processor(
                    text=sentences[first : first + _TEXTS_AT_ONCE],
                    padding="max_length",
                    truncation=True,
                    return_tensors="pt",
                )
                parts.append(_unit(self._model.get_text_features(**inputs)))
        return torch.cat(parts)


def _unit(features: Any) -> Any:
    # Newer releases of transformers wrap what they return.
    vectors = getattr(features, "pooler_output", features)
    return vectors / vectors.norm(dim=-1, keepdim=True)

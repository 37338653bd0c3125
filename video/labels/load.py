"""`load_classifier`: by the name of weights, the name of a model on a hub, or a folder."""

from __future__ import annotations

from pathlib import Path

from mmreason.video.labels.types import Classifier
from mmreason.weights import find_weights

DEFAULT = "efficientnet-lite0"


def load_classifier(name: str = DEFAULT) -> Classifier:
    """The classifier of that name.

    "efficientnet-lite0" is the one that works without a hub; its weights come by `mmreason weights
    get efficientnet-lite0`. Any other name, or a folder with a `config.json`, is a zero-shot image
    model of transformers (CLIP, SigLIP, SigLIP 2). Raises ValueError for weights that are not there
    or do not serve.

    Example:
        >>> load_classifier().name  # doctest: +SKIP
        'efficientnet-lite0'
        >>> load_classifier("google/siglip2-base-patch16-224").name  # doctest: +SKIP
        'google/siglip2-base-patch16-224'
    """
    folder = Path(name)
    if name == DEFAULT or (folder.is_dir() and not (folder / "config.json").is_file()):
        from mmreason.video.labels.efficientnet import EfficientNetLite

        return EfficientNetLite(find_weights(name))
    from mmreason.video.labels.zero_shot import ZeroShotClassifier

    return ZeroShotClassifier(name)

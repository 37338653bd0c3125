"""What there is to see: names from an image classifier, colours, light and movement.

    from mmreason.video.labels import label_video, load_classifier
    labels = label_video(video, load_classifier("efficientnet-lite0"))

What it can name, what not, and how often it is right: `docs/labels.md`.
"""

from mmreason.video.labels.label_video import label_video
from mmreason.video.labels.load import load_classifier
from mmreason.video.labels.scripted import ScriptedClassifier
from mmreason.video.labels.types import (
    Classifier,
    ColourShare,
    Label,
    Look,
    Movement,
    VideoLabels,
)
from mmreason.video.labels.words import WHAT_IS_MISSING, explain_gap, find_classes

__all__ = [
    "WHAT_IS_MISSING",
    "Classifier",
    "ColourShare",
    "Label",
    "Look",
    "Movement",
    "ScriptedClassifier",
    "VideoLabels",
    "explain_gap",
    "find_classes",
    "label_video",
    "load_classifier",
]

"""A classifier that says what it is told: for tests, and as the smallest one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mmreason.video.labels.classes import ImageClass, read_classes


class ScriptedClassifier:
    """Asks a function for the names of a frame's classes.

    Example:
        >>> classifier = ScriptedClassifier(lambda frame: {"tabby": 0.9})
        >>> f"{classifier.classify(np.zeros((1, 4, 4, 3), np.uint8))[0, 281]:.2f}"
        '0.90'
    """

    name = "scripted"

    def __init__(self, describe: Callable[[np.ndarray], Mapping[str, float]]) -> None:
        """`describe` is given uint8 (H, W, 3) and gives probabilities by the name of a class."""
        self._describe = describe

    @property
    def classes(self) -> Sequence[ImageClass]:
        return read_classes()

    def classify(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N, 1000) of uint8 (N, H, W, 3). Raises KeyError for a name that is no class."""
        columns = {item.name: column for column, item in enumerate(self.classes)}
        probabilities = np.zeros((len(frames), len(columns)), np.float32)
        for row, frame in enumerate(frames):
            for name, probability in self._describe(frame).items():
                probabilities[row, columns[name]] = probability
        return probabilities

"""A reader whose readings are written down beforehand, for tests and for what has no reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mmreason.video.screen_text.types import ReadLine


class ScriptedReader:
    """Gives prepared readings, in order of its calls (the last again and again), or those that a
    function finds in the picture.

    Example:
        >>> line = ReadLine(text="Agenda", box_px=(4, 4, 60, 20), confidence=0.9)
        >>> reader = ScriptedReader([(line,), ()])
        >>> picture = np.zeros((90, 160, 3), np.uint8)
        >>> [len(reader.read_frame(picture)) for _ in range(3)]
        [1, 0, 0]
    """

    def __init__(
        self,
        readings: Sequence[Sequence[ReadLine]] | Callable[[np.ndarray], Sequence[ReadLine]],
        name: str = "scripted",
    ) -> None:
        if not callable(readings) and not readings:
            raise ValueError("a scripted reader needs at least one reading, which may be ()")
        self._readings = readings
        self._name = name
        self.calls = 0

    @property
    def name(self) -> str:
        return self._name

    def read_frame(self, rgb: np.ndarray) -> tuple[ReadLine, ...]:
        self.calls += 1
        if callable(self._readings):
            return tuple(self._readings(rgb))
        return tuple(self._readings[min(self.calls, len(self._readings)) - 1])

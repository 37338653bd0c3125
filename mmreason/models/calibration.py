"""From how sure a model says it is to how often it is right: small monotone maps, kept as data
beside the weights.

Leaves out measuring them (`mmreason.evaluation.calibration`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from pathlib import Path

import numpy as np

from mmreason.types import UsageError
from mmreason.video.json_input import read_json
from mmreason.video.plain_text import show_line


class ReplyKind(StrEnum):
    """What a reply is to: each has a map of its own. The values are keys of the file."""

    QUESTION = auto()
    CAPTION = auto()
    BOX = auto()
    TUBE = auto()


@dataclass(frozen=True, slots=True)
class Calibration:
    """A map for each kind of reply: points (stated, right), both 0..1 and rising, with straight
    lines between them and level ends.

    `Calibration({"question": ((0.5, 0.2), (1.0, 0.98))}).right("question", 0.75)` is 0.59.
    """

    maps: Mapping[str, tuple[tuple[float, float], ...]]

    def __post_init__(self) -> None:
        for kind, points in self.maps.items():
            values = np.array(points, float)
            is_table = values.ndim == 2 and values.shape[1] == 2 and len(values) > 0
            if not is_table or (values < 0).any() or (values > 1).any():
                raise UsageError(f"calibration of {kind!r} needs pairs of shares 0..1: {points}")
            if (np.diff(values, axis=0) < 0).any():
                raise UsageError(f"calibration of {kind!r} must rise: {points}")

    def right(self, kind: str, stated: float) -> float | None:
        """Share of replies of this kind and stated confidence that are right; None where that was
        never measured."""
        points = self.maps.get(kind)
        if points is None:
            return None
        x, y = np.array(points).T
        return float(np.interp(stated, x, y))

    def save(self, path: Path) -> None:
        """Write the maps as JSON."""
        text = json.dumps({kind: [list(p) for p in points] for kind, points in self.maps.items()})
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote. UsageError for anything else."""
        try:
            raw = read_json(path)
            return cls({kind: tuple((x, y) for x, y in points) for kind, points in raw.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"{path} holds no calibration ({show_line(str(error))})") from error

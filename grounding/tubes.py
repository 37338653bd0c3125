"""Tubes: where one object is through time, and where it is not to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.masks import Mask
from mmreason.video.types import Span


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tube:
    """A box of one object at each of several times, with explicit absence.

    Raises ValueError where shapes differ, times do not rise, or a box is malformed.

    Example:
        >>> tube = Tube.from_boxes([0.0, 0.2, 0.4], [Box(0, 0, 8, 8), None, Box(4, 0, 12, 8)])
        >>> tube.at(0.4), tube.at(0.2)
        (Box(x1_px=4.0, y1_px=0.0, x2_px=12.0, y2_px=8.0), None)
    """

    times_s: np.ndarray
    """float64 (n,): presentation times of frames, rising."""
    boxes_px: np.ndarray
    """float64 (n, 4): xyxy in pixels of the original frame; rows of absence are zero."""
    present: np.ndarray
    """bool (n,): whether the object is to be seen."""
    observed: np.ndarray
    """bool (n,): whether a box (or an absence) was looked at in that frame; else it was filled in
    between two frames."""
    id: str = ""
    label: str = ""
    scores: np.ndarray | None = None
    """float64 (n,) of the detector, 0 where there is none."""
    masks: tuple[Mask | None, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.times_s)
        shapes = {"times_s": (n,), "boxes_px": (n, 4), "present": (n,), "observed": (n,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} of a tube of {n} times must have shape {shape}, "
                    f"got {getattr(self, name).shape}"
                )
        if not np.isfinite(self.times_s).all() or (np.diff(self.times_s) <= 0).any():
            raise ValueError("times of a tube must be finite and rise")
        if (
            not np.isfinite(self.boxes_px).all()
            or (self.boxes_px[:, 2:] < self.boxes_px[:, :2]).any()
        ):
            raise ValueError("boxes of a tube must be finite and not end before they start")
        if self.scores is not None and self.scores.shape != (n,):
            raise ValueError(f"scores of a tube must have shape {(n,)}, got {self.scores.shape}")
        if self.masks is not None and len(self.masks) != n:
            raise ValueError(f"a tube of {n} times needs {n} masks, got {len(self.masks)}")

    @classmethod
    def from_boxes(
        cls,
        times_s: Sequence[float],
        boxes: Sequence[Box | None],
        *,
        observed: Sequence[bool] | None = None,
        id: str = "",
        label: str = "",
    ) -> Tube:
        """From one box a time; None where the object is not to be seen."""
        rows = [(0.0,) * 4 if box is None else box.xyxy for box in boxes]
        return cls(
            times_s=np.asarray(times_s, np.float64),
            boxes_px=np.asarray(rows, np.float64).reshape(-1, 4),
            present=np.array([box is not None for box in boxes], bool),
            observed=np.ones(len(boxes), bool) if observed is None else np.asarray(observed, bool),
            id=id,
            label=label,
        )

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def span(self) -> Span | None:
        """From the first to the last time at which it is to be seen; None where it never is."""
        seen = np.flatnonzero(self.present)
        if not len(seen):
            return None
        return Span(float(self.times_s[seen[0]]), float(self.times_s[seen[-1]]))

    def at(self, time_s: float, tolerance_s: float = 0.05) -> Box | None:
        """The box at the nearest time of the tube; None where the object is absent then, or no
        time of the tube is within `tolerance_s`."""
        if not len(self):
            return None
        index = int(np.abs(self.times_s - time_s).argmin())
        if not self.present[index] or abs(self.times_s[index] - time_s) > tolerance_s:
            return None
        return Box(*(float(value) for value in self.boxes_px[index]))

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; `boxes_px` holds null where the object is absent."""
        return {
            "id": self.id,
            "label": self.label,
            "times_s": [round(float(time_s), 6) for time_s in self.times_s],
            "boxes_px": [
                [round(float(value), 3) for value in row] if present else None
                for row, present in zip(self.boxes_px, self.present, strict=True)
            ],
            "observed": [bool(value) for value in self.observed],
            "scores": None if self.scores is None else [round(float(v), 6) for v in self.scores],
            "masks": None
            if self.masks is None
            else [
                None if mask is None else {"size_px": list(mask.size_px), "counts": [*mask.counts]}
                for mask in self.masks
            ],
        }

    def _repr_html_(self) -> str:
        """When it is to be seen, in a notebook."""
        from mmreason.grounding.drawing.page import tube_fragment

        return tube_fragment(self)

"""Masks of objects as run lengths: small, exact, in the form that COCO keeps them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmreason.grounding.boxes import Box

LONGEST_SIDE_PX = 16_384
"""Of the frame of a mask that is read from a file."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Which pixels of a frame belong to an object.

    Run lengths go down the columns and begin with those outside, as uncompressed RLE of COCO.
    Raises ValueError where they do not add up to the frame.

    Example:
        >>> mask = Mask.from_array(np.array([[False, True], [False, True]]))
        >>> mask.counts, mask.area_px2
        ((2, 2), 2)
    """

    size_px: tuple[int, int]
    """(width, height) of the frame."""
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        width, height = self.size_px
        if any(count < 0 for count in self.counts) or sum(self.counts) != width * height:
            raise ValueError(
                f"runs of a mask must be positive and add up to {width} x {height} pixels, "
                f"got {len(self.counts)} that add up to {sum(self.counts)}"
            )

    @classmethod
    def from_dict(cls, value: Any) -> Mask:
        """What `to_dict` wrote. Raises ValueError for anything else and for a side above
        `LONGEST_SIDE_PX`."""
        if not isinstance(value, Mapping) or not {"size_px", "counts"} <= set(value):
            raise ValueError("a mask is an object with size_px and counts")
        size, counts = value["size_px"], value["counts"]
        for name, numbers in (("size_px", size), ("counts", counts)):
            if not isinstance(numbers, list | tuple) or not all(type(n) is int for n in numbers):
                raise ValueError(f"{name} of a mask is a list of whole numbers")
        if len(size) != 2 or not all(1 <= side <= LONGEST_SIDE_PX for side in size):
            raise ValueError(f"size_px of a mask is two sides of 1 to {LONGEST_SIDE_PX} pixels")
        return cls((size[0], size[1]), tuple(counts))

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {"size_px": list(self.size_px), "counts": list(self.counts)}

    @classmethod
    def from_array(cls, pixels: np.ndarray) -> Mask:
        """From bool (H, W)."""
        height, width = pixels.shape
        flat = np.concatenate(([False], np.asarray(pixels, bool).ravel(order="F")))
        changes = np.flatnonzero(flat[1:] != flat[:-1])
        runs = np.diff(np.concatenate(([0], changes, [height * width])))
        return cls((width, height), tuple(int(run) for run in runs))

    def to_array(self) -> np.ndarray:
        """bool (H, W)."""
        width, height = self.size_px
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape((height, width), order="F")

    @property
    def area_px2(self) -> int:
        return sum(self.counts[1::2])

    @property
    def box(self) -> Box | None:
        """The tight box; None of an empty mask."""
        rows, columns = np.nonzero(self.to_array())
        if not len(rows):
            return None
        x1, x2 = float(columns.min()), float(columns.max() + 1)
        return Box(x1, float(rows.min()), x2, float(rows.max() + 1))

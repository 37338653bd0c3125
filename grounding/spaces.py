"""From one frame of numbers to another and back: resized, letterboxed, cropped, turned, flipped.

    to_seen = Transform.crop((640, 480), Box(100, 0, 420, 320))
    to_seen = seen.then(Transform.resize(to_seen.to_size, (1000, 1000)))
    to_seen.inverse().apply(Box(0, 0, 500, 500))       # in the original again

Scales and shifts are fractions, so that a transform and its inverse compose to exactly nothing.
Coordinates are continuous: the frame goes from 0 to its width, pixel 0 from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from mmreason.grounding.boxes import Box

Size = tuple[int, int]
"""(width, height)."""
_ONE, _ZERO = Fraction(1), Fraction(0)


@dataclass(frozen=True, slots=True)
class Transform:
    """An exact map from a frame of size `from_size` to one of `to_size` along its axes.

    With (u, v) = (y, x) where `swaps_axes`, else (x, y), a point goes to
    `(scale[0] * u + shift[0], scale[1] * v + shift[1])`. Raises ValueError for sizes that are not
    positive and for a scale of 0.

    Example:
        >>> half = Transform.resize((640, 480), (320, 240))
        >>> half.apply(Box(10, 20, 30, 40)).xyxy
        (5.0, 10.0, 15.0, 20.0)
        >>> half.then(half.inverse()) == Transform.identity((640, 480))
        True
    """

    from_size: Size
    to_size: Size
    scale: tuple[Fraction, Fraction] = (_ONE, _ONE)
    shift: tuple[Fraction, Fraction] = (_ZERO, _ZERO)
    swaps_axes: bool = False

    def __post_init__(self) -> None:
        for size in (self.from_size, self.to_size):
            if min(size) <= 0:
                raise ValueError(f"a frame needs a positive width and height, got {size}")
        if not all(self.scale):
            raise ValueError("a transform needs scales that are not 0: it could not be undone")

    @classmethod
    def identity(cls, size: Size) -> Transform:
        """Nothing changes."""
        return cls(size, size)

    @classmethod
    def resize(cls, from_size: Size, to_size: Size) -> Transform:
        """Stretched to `to_size`, each side by its own factor. `(1, 1)` and `(1000, 1000)` give
        coordinates relative to the frame."""
        scale = (Fraction(to_size[0], from_size[0]), Fraction(to_size[1], from_size[1]))
        return cls(from_size, to_size, scale)

    @classmethod
    def letterbox(
        cls, from_size: Size, to_size: Size, *, align: Literal["centre", "corner"] = "centre"
    ) -> Transform:
        """The whole picture inside `to_size`, its sides in proportion to a pixel; what is over is
        padding on both sides, or right and below only."""
        factor = min(Fraction(to, side) for to, side in zip(to_size, from_size, strict=True))
        # A picture has whole pixels, so each side has its own factor in the end.
        content = [max(1, round(side * factor)) for side in from_size]
        over = [to - side for to, side in zip(to_size, content, strict=True)]
        shift = [side // 2 if align == "centre" else 0 for side in over]
        return cls(
            from_size,
            to_size,
            (Fraction(content[0], from_size[0]), Fraction(content[1], from_size[1])),
            (Fraction(shift[0]), Fraction(shift[1])),
        )

    @classmethod
    def crop(cls, from_size: Size, area: Box) -> Transform:
        """Only `area`, of whole pixels; it may reach beyond the frame, where padding is."""
        corners = [int(value) for value in area.xyxy]
        if any(value != whole for value, whole in zip(area.xyxy, corners, strict=True)):
            raise ValueError(f"a crop takes whole pixels, got {area.xyxy}")
        x1, y1, x2, y2 = corners
        return cls(from_size, (x2 - x1, y2 - y1), shift=(Fraction(-x1), Fraction(-y1)))

    @classmethod
    def flip(cls, size: Size, *, horizontal: bool = True) -> Transform:
        """Left and right change places, or top and bottom."""
        if horizontal:
            return cls(size, size, (-_ONE, _ONE), (Fraction(size[0]), _ZERO))
        return cls(size, size, (_ONE, -_ONE), (_ZERO, Fraction(size[1])))

    @classmethod
    def transpose(cls, size: Size) -> Transform:
        """x and y change places: what comes out is y first."""
        return cls(size, (size[1], size[0]), swaps_axes=True)

    @classmethod
    def rotate(cls, size: Size, *, clockwise_deg: int) -> Transform:
        """Turned by a multiple of 90 degrees. From the stored picture of a video to the displayed
        one: by `-VideoInfo.rotation_deg`, which counts the other way. Raises ValueError for other
        angles."""
        if clockwise_deg % 90:
            raise ValueError(f"a frame turns by multiples of 90 degrees, got {clockwise_deg}")
        width, height = size
        turns = clockwise_deg // 90 % 4
        if turns == 1:
            return cls(size, (height, width), (-_ONE, _ONE), (Fraction(height), _ZERO), True)
        if turns == 2:
            return cls(size, size, (-_ONE, -_ONE), (Fraction(width), Fraction(height)))
        if turns == 3:
            return cls(size, (height, width), (_ONE, -_ONE), (_ZERO, Fraction(width)), True)
        return cls.identity(size)

    @classmethod
    def exif(cls, size: Size, orientation: int) -> Transform:
        """From the picture as it is stored to how people see it, by the EXIF tag 274 (1 to 8).
        Raises ValueError for other values."""
        if orientation not in range(1, 9):
            raise ValueError(f"an EXIF orientation is 1 to 8, got {orientation}")
        clockwise_deg, mirrored = _EXIF[orientation]
        turned = cls.rotate(size, clockwise_deg=clockwise_deg)
        return turned.then(cls.flip(turned.to_size)) if mirrored else turned

    def then(self, other: Transform) -> Transform:
        """First this, then `other`. Raises ValueError where their frames differ in size."""
        if other.from_size != self.to_size:
            raise ValueError(
                f"a transform of frames of {other.from_size} cannot follow one that gives "
                f"{self.to_size}"
            )
        # Which of our outputs each axis of the other reads.
        first, second = (1, 0) if other.swaps_axes else (0, 1)
        return Transform(
            self.from_size,
            other.to_size,
            (other.scale[0] * self.scale[first], other.scale[1] * self.scale[second]),
            (
                other.scale[0] * self.shift[first] + other.shift[0],
                other.scale[1] * self.shift[second] + other.shift[1],
            ),
            self.swaps_axes != other.swaps_axes,
        )

    def inverse(self) -> Transform:
        """The way back, exactly."""
        first, second = (1, 0) if self.swaps_axes else (0, 1)
        return Transform(
            self.to_size,
            self.from_size,
            (1 / self.scale[first], 1 / self.scale[second]),
            (
                -self.shift[first] / self.scale[first],
                -self.shift[second] / self.scale[second],
            ),
            self.swaps_axes,
        )

    def apply(self, box: Box) -> Box:
        """The box in the other frame, not clipped to it."""
        return Box(*(float(value) for value in self.apply_boxes(np.array([box.xyxy]))[0]))

    def apply_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """float (n, 4) xyxy to float64 (n, 4), the smaller corner first where it was first."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        corners = np.stack([self.apply_points(boxes[:, :2]), self.apply_points(boxes[:, 2:])])
        # Turning and flipping make another corner the upper left one.
        for axis, factor in enumerate(self.scale):
            if factor < 0:
                corners[:, :, axis] = corners[::-1, :, axis]
        return np.concatenate([corners[0], corners[1]], axis=1)

    def apply_points(self, points: np.ndarray) -> np.ndarray:
        """float (n, 2) x, y to float64 (n, 2)."""
        points = np.asarray(points, np.float64).reshape(-1, 2)
        if self.swaps_axes:
            points = points[:, ::-1]
        return points * np.array(self.scale, np.float64) + np.array(self.shift, np.float64)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; fractions as text, "3/4"."""
        return {
            "from_size": list(self.from_size),
            "to_size": list(self.to_size),
            "scale": [str(value) for value in self.scale],
            "shift": [str(value) for value in self.shift],
            "swaps_axes": self.swaps_axes,
        }


_EXIF = {
    1: (0, False),
    2: (0, True),
    3: (180, False),
    4: (180, True),
    5: (90, True),
    6: (90, False),
    7: (270, True),
    8: (270, False),
}
"""Orientation -> degrees clockwise, and whether left and right change places afterwards."""


def tile_frame(size: Size, tile: Size, overlap_px: int = 0) -> tuple[Transform, ...]:
    """Crops of size `tile` that cover the frame row by row, with at least `overlap_px` between
    neighbours. The last of a row ends at the edge; a frame smaller than a tile is one tile of its
    own size. Raises ValueError where the overlap leaves no step.

    Example:
        >>> [crop.inverse().apply(Box(0, 0, 8, 8)).xyxy for crop in tile_frame((12, 8), (8, 8))]
        [(0.0, 0.0, 8.0, 8.0), (4.0, 0.0, 12.0, 8.0)]
    """
    if not 0 <= overlap_px < min(tile):
        raise ValueError(f"tiles of {tile} cannot overlap by {overlap_px} pixels")
    columns, rows = (
        _starts(side, min(side, t), overlap_px) for side, t in zip(size, tile, strict=True)
    )
    width, height = min(size[0], tile[0]), min(size[1], tile[1])
    return tuple(
        Transform.crop(size, Box(x, y, x + width, y + height)) for y in rows for x in columns
    )


def _starts(side: int, tile: int, overlap: int) -> Sequence[int]:
    if side <= tile:
        return [0]
    count = math.ceil((side - overlap) / (tile - overlap))
    # Spread evenly: the overlap that is left over is shared by all.
    return [(side - tile) * index // (count - 1) for index in range(count)]


MOST_ASPECT = 200
"""The longest side may be this many times the shorter one in `smart_resize`."""


def smart_resize(size: Size, *, multiple_px: int, least_px: int, most_px: int) -> Size:
    """The size that processors of Qwen-VL show a picture at: sides as whole multiples of
    `multiple_px` (28 of Qwen2 and 2.5, 32 of Qwen3), between `least_px` and `most_px` pixels in
    all, the aspect nearly kept.

    For resizing before sending, so that a server changes nothing more. What a local model saw is
    read from its processor, never computed. Raises ValueError above an aspect of 200 to 1.

    Example:
        >>> smart_resize((1024, 768), multiple_px=28, least_px=56**2, most_px=28**2 * 1280)
        (1036, 756)
    """
    width, height = size
    if max(size) / min(size) > MOST_ASPECT:
        raise ValueError(f"the sides of {size} differ more than {MOST_ASPECT} to 1")
    # round() takes halves to the even number, as the processors do.
    w, h = (max(multiple_px, round(side / multiple_px) * multiple_px) for side in size)
    if w * h > most_px:
        shrink = math.sqrt(width * height / most_px)
        w, h = (
            max(multiple_px, math.floor(side / shrink / multiple_px) * multiple_px) for side in size
        )
    elif w * h < least_px:
        grow = math.sqrt(least_px / (width * height))
        w, h = (math.ceil(side * grow / multiple_px) * multiple_px for side in size)
    return w, h


def seen_transform(size: Size, seen_size: Size | None, transform: Transform | None) -> Transform:
    """From the original frame to the one that a model saw: `transform` where it is given, else a
    resize to `seen_size`, else nothing. Raises ValueError where both are given, or `transform` is
    of another frame."""
    if transform is None:
        return Transform.resize(size, seen_size or size)
    if seen_size is not None:
        raise ValueError("give seen_size_px or transform, not both")
    if transform.from_size != size:
        raise ValueError(f"the transform is of frames of {transform.from_size}, not of {size}")
    return transform

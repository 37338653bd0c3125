"""What the numbers of a box mean for each family of models, and the space that they live in.

Scale, order and tokens are declared here once; reading and writing look them up and never guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Literal

import numpy as np

from mmreason.grounding.spaces import Size, Transform


class Dialect(StrEnum):
    """How a family of models writes boxes. The first four are JSON with numbers on a declared
    scale; the others are named after the family whose own tokens they are."""

    NORM_1000 = "norm_1000"
    """0..1000 of width and of height, x first: Qwen3-VL, Qwen3.5, nano, and whoever is not here."""
    SEEN_PX = "seen_px"
    """Pixels of the frame as the model saw it, after resizing: Qwen2.5-VL."""
    NORM_1000_YX = "norm_1000_yx"
    """0..1000 of height and of width, y before x: Gemma 3 and 4, Gemini."""
    NORM_1 = "norm_1"
    """0..1 of width and of height, two decimals: LLaVA."""
    QWEN2_VL = "qwen2_vl"
    """`<|box_start|>(x1,y1),(x2,y2)<|box_end|>`, 0..1000."""
    INTERNVL = "internvl"
    """`<ref>dog</ref><box>[[x1, y1, x2, y2]]</box>`, 0..1000."""
    GLM_V = "glm_v"
    """`<|begin_of_box|>[[x1,y1,x2,y2]]<|end_of_box|>`, 0..1000; servers may strip the tokens."""
    DEEPSEEK_VL2 = "deepseek_vl2"
    """`<|ref|>dog<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>`, 999 is the whole side."""
    FLORENCE_2 = "florence_2"
    """`dog<loc_x1><loc_y1><loc_x2><loc_y2>`: 1000 bins, read at their centres."""
    PALIGEMMA = "paligemma"
    """`<locY1><locX1><locY2><locX2> dog`: y first, 1024 is the whole side, 1023 the last token."""
    KOSMOS_2 = "kosmos_2"
    """`<phrase>dog</phrase><object><patch_index_0044><patch_index_0863></object>`: the first and
    the last patch of 32 x 32."""
    REX_OMNI = "rex_omni"
    """`<|box_start|><x1><y1><x2><y2><|box_end|>`, 999 is the whole side."""
    MOLMO = "molmo"
    """`<point x="10.5" y="20.1" alt="dog">`, 0..100: points only."""
    MOLMO_2 = "molmo_2"
    """`<points coords="1 1 105 205">dog</points>`, 0..1000: points only."""
    COGVLM = "cogvlm"
    """`[[x1,y1,x2,y2]]` of three digits each, 1000 is the whole side, 999 the last number."""


Form = Literal[
    "json",
    "qwen tokens",
    "ref box",
    "glm box",
    "det",
    "loc_",
    "loc",
    "patches",
    "numbers",
    "point tags",
    "coords tags",
    "digits",
]
"""The signs around the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxNotation:
    """The declared properties of a dialect.

    Example:
        >>> NOTATIONS[Dialect.PALIGEMMA].y_first, NOTATIONS[Dialect.PALIGEMMA].side
        (True, 1024)
    """

    side: int | None
    """The number that stands for the whole width or height; None: its pixels as the model saw
    it."""
    largest: float | None
    """The largest number that can be written; None: as `side`."""
    quantum: float = 1.0
    """Between neighbouring numbers."""
    centred: bool = False
    """Whether a number names a bin, and stands for its centre."""
    y_first: bool = False
    form: Form = "json"
    key: str = "bbox_2d"
    """Of JSON objects."""
    point_key: str = "point_2d"

    @property
    def is_tokens(self) -> bool:
        """Whether each number is a token of its own, which can be no fraction."""
        return self.form in ("loc_", "loc", "patches", "numbers")

    @property
    def has_boxes(self) -> bool:
        return self.form not in ("point tags", "coords tags")

    @property
    def has_points(self) -> bool:
        return self.form in ("json", "numbers", "point tags", "coords tags")


NOTATIONS: dict[Dialect, BoxNotation] = {
    Dialect.NORM_1000: BoxNotation(side=1000, largest=1000),
    Dialect.SEEN_PX: BoxNotation(side=None, largest=None),
    Dialect.NORM_1000_YX: BoxNotation(
        side=1000, largest=1000, y_first=True, key="box_2d", point_key="point"
    ),
    Dialect.NORM_1: BoxNotation(side=1, largest=1, quantum=0.01),
    Dialect.QWEN2_VL: BoxNotation(side=1000, largest=1000, form="qwen tokens"),
    Dialect.INTERNVL: BoxNotation(side=1000, largest=1000, form="ref box"),
    Dialect.GLM_V: BoxNotation(side=1000, largest=1000, form="glm box"),
    Dialect.DEEPSEEK_VL2: BoxNotation(side=999, largest=999, form="det"),
    Dialect.FLORENCE_2: BoxNotation(side=1000, largest=999, centred=True, form="loc_"),
    Dialect.PALIGEMMA: BoxNotation(side=1024, largest=1023, y_first=True, form="loc"),
    Dialect.KOSMOS_2: BoxNotation(side=32, largest=31, centred=True, form="patches"),
    Dialect.REX_OMNI: BoxNotation(side=999, largest=999, form="numbers"),
    Dialect.MOLMO: BoxNotation(side=100, largest=100, quantum=0.1, form="point tags"),
    Dialect.MOLMO_2: BoxNotation(side=1000, largest=1000, form="coords tags"),
    Dialect.COGVLM: BoxNotation(side=1000, largest=999, form="digits"),
}


def number_space(dialect: Dialect, seen_size: Size) -> Transform:
    """From pixels of the frame as the model saw it to the numbers of its dialect: rows of numbers
    are boxes there, y first where the dialect is.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> space = number_space(Dialect.NORM_1000_YX, (640, 360))
        >>> space.apply(Box(0, 0, 320, 360)).xyxy
        (0.0, 0.0, 1000.0, 500.0)
    """
    notation = NOTATIONS[dialect]
    side = notation.side
    space = (
        Transform.identity(seen_size) if side is None else Transform.resize(seen_size, (side, side))
    )
    if notation.centred:
        half = Fraction(-1, 2)
        space = Transform(space.from_size, space.to_size, space.scale, (half, half))
    return space.then(Transform.transpose(space.to_size)) if notation.y_first else space


def quantum_px(dialect: Dialect, size: Size) -> tuple[float, float]:
    """How far apart neighbouring numbers are in a frame of `size` as the model sees it: (x, y) in
    pixels.

    Example:
        >>> quantum_px(Dialect.NORM_1000, (3840, 2160))
        (3.84, 2.16)
    """
    notation = NOTATIONS[dialect]
    if notation.side is None:
        return notation.quantum, notation.quantum
    width, height = size
    return width * notation.quantum / notation.side, height * notation.quantum / notation.side


def to_numbers(
    rows: np.ndarray, dialect: Dialect, seen_size: Size, *, rounding: Literal["nearest", "down"]
) -> np.ndarray:
    """What the dialect can write for boxes (n, 4) or points (n, 2) in pixels of the frame as seen:
    float64 of the same shape, in the dialect's order."""
    notation = NOTATIONS[dialect]
    space = number_space(dialect, seen_size)
    exact = space.apply_boxes(rows) if rows.shape[1] == 4 else space.apply_points(rows)
    steps = exact / notation.quantum
    if notation.form == "patches":
        # The first patch that the box touches, and the last; a border belongs to neither.
        steps = np.concatenate([np.floor(steps[:, :2] + 0.5), np.ceil(steps[:, 2:] - 0.5)], axis=1)
        steps = np.clip(steps, 0, notation.largest)
        return np.concatenate([steps[:, :2], np.maximum(steps[:, 2:], steps[:, :2])], axis=1)
    # A bin is the one that a number lies in, whatever the rounding.
    nearest = rounding == "nearest" or notation.centred
    steps = np.floor(steps + 0.5 if nearest else steps + 1e-9)
    limits = space.to_size if notation.largest is None else (notation.largest, notation.largest)
    most = np.resize(np.array(limits, np.float64), exact.shape[1])
    return np.clip(steps * notation.quantum, 0, most)


def from_numbers(numbers: np.ndarray, dialect: Dialect, seen_size: Size) -> np.ndarray:
    """Boxes (n, 4) or points (n, 2) in pixels of the frame as seen, of numbers as the dialect
    writes them; nothing is clipped or sorted."""
    numbers = np.asarray(numbers, np.float64)
    back = number_space(dialect, seen_size).inverse()
    if numbers.shape[1] == 2:
        return back.apply_points(numbers)
    if NOTATIONS[dialect].form == "patches":
        # Boxes in a single row or column of patches go to their outer borders, as Kosmos-2 does.
        thin = (numbers[:, :2] == numbers[:, 2:]).any(axis=1, keepdims=True)
        numbers = numbers + np.where(thin, np.array([-0.5, -0.5, 0.5, 0.5]), 0.0)
    return back.apply_boxes(numbers)

"""How a model wants its frames: their size, their numbers, and how they are laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Resample = Literal["nearest-exact", "bilinear", "bicubic"]
SizeRule = Callable[[int, int, int], tuple[int, int]]
"""(frames, height, width) -> the height and width that they are brought to, all in pixels."""
TileRule = Callable[[int, int], tuple[int, int]]
"""(height, width) in pixels -> how many tiles a frame is cut into: down, across."""
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patching:
    """Frames cut into squares, one row each, in the order of Qwen's towers: blocks of
    `merge` x `merge` squares, `frames` frames deep.

    Example:
        >>> Patching(side_px=16, merge=2, frames=2).row_length
        1536
    """

    side_px: int
    merge: int
    frames: int

    @property
    def row_length(self) -> int:
        """Numbers of one square: 3 colours, frames, rows and columns, in this order."""
        return 3 * self.frames * self.side_px**2


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRecipe:
    """What is done to frames before a model sees them: resize, crop, normalise, lay out.

    Example:
        >>> recipe = FrameRecipe(
        ...     mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), size=lambda n, height, width: (224, 224)
        ... )
        >>> recipe.size(8, 720, 1280), recipe.resample
        ((224, 224), 'bicubic')
    """

    mean: Triple
    """Of red, green and blue in 0..1; taken off before `std` divides."""
    std: Triple
    size: SizeRule
    resample: Resample = "bicubic"
    """With antialiasing, as torchvision does it."""
    crop_px: tuple[int, int] | None = None
    """Height and width of the middle that is left after the resize."""
    patching: Patching | None = None
    """None for pictures: (frames, 3, height, width)."""
    tiles: TileRule | None = None
    """Of pictures: a frame is brought to so many times `size` and cut; the whole of it in `size`
    comes behind its tiles, unless it is one tile."""
    is_still: bool = False
    """Each frame is a picture by itself: with `patching` it fills the depth of a square alone."""


@dataclass(frozen=True, slots=True)
class UnknownProcessor:
    """A processor of transformers whose work is not known here, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class PreparedFrames:
    """Frames as a model takes them."""

    values: Tensor
    """(N, 3, height, width), of frame after frame where each gives several; or with patches
    (rows, row_length)."""
    size_px: tuple[int, int]
    """Height and width that the frames were brought to."""
    grid_thw: tuple[int, int, int] | None
    """With patches: how many there are in time, down and across. Of stills, of each one."""
    pictures_per_frame: int = 1
    """With tiles: how many there are, and the whole frame."""

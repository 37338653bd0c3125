"""How model families cut frames into visual tokens, and the frame size each of them resizes to.

    QWEN2_5_VL.frame_size_px(1280, 720, 32)     # (width, height) its processor would make
    QWEN2_5_VL.tokens(32, (644, 364))           # what a clip of that size costs

The numbers are those of public processors: qwen-vl-utils 0.0.14 (`smart_resize`, `fetch_video`) and
transformers' Qwen2-VL and Qwen3-VL video processors, with the sizes that Qwen3-VL checkpoints ship
in `video_preprocessor_config.json`. Leaves out text tokens, such as the time before each Qwen3-VL
frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

MAX_ASPECT = 200
"""Longest side over shortest that the Qwen processors accept."""

_FLOOR_SLACK = 1.05  # both references let a clip's share of a frame sink to 1.05 x the least pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Patches, merging and the resize rule of one family of models.

    A token stands for `merge` x `merge` patches of `patch_px` in `frames_per_token` frames.
    """

    name: str
    patch_px: int
    merge: int = 1
    frames_per_token: int = 1
    rule: Literal["keep", "frame", "clip"] = "keep"
    """What the pixel limits speak of: nothing (only whole tokens), each frame, or all frames."""
    min_pixels: int = 0
    max_pixels: float = math.inf
    clip_pixels: float = math.inf
    """Rule "frame" only: frames over `frames_per_token`, times their pixels, share these."""
    frame_cap_pixels: float = math.inf
    """Rule "clip" only: most pixels of a frame, however few there are."""

    def __post_init__(self) -> None:
        if min(self.patch_px, self.merge, self.frames_per_token) < 1:
            raise ValueError(f"{self.name}: patch_px, merge and frames_per_token must be 1 or more")
        if self.max_pixels < self.min_pixels:
            raise ValueError(
                f"{self.name}: max_pixels {self.max_pixels} must not be below min_pixels "
                f"{self.min_pixels}"
            )

    @property
    def grid_px(self) -> int:
        """Sides of a frame are whole multiples of this."""
        return self.patch_px * self.merge

    def frame_size_px(self, width_px: int, height_px: int, n: int) -> tuple[int, int]:
        """(width, height) that `n` frames of the given size are resized to.

        Raises ValueError for frames longer than 200 times their short side, where there is a rule.
        """
        grid = self.grid_px
        if self.rule == "keep":
            return _nearest(width_px, grid), _nearest(height_px, grid)
        if max(width_px, height_px) > MAX_ASPECT * min(width_px, height_px):
            raise ValueError(
                f"{self.name} takes frames up to {MAX_ASPECT} times as long as wide, "
                f"got {width_px}x{height_px}; crop it or give size_px"
            )
        if self.rule == "frame":
            return self._frame_rule(width_px, height_px, n)
        return self._clip_rule(width_px, height_px, max(n, self.frames_per_token))

    def _frame_rule(self, width_px: int, height_px: int, n: int) -> tuple[int, int]:
        """Each frame within its own limits, and within its share of the clip."""
        frame_pixels = max(
            min(self.max_pixels, self.clip_pixels / n * self.frames_per_token),
            min(self.max_pixels, int(self.min_pixels * _FLOOR_SLACK)),
        )
        width, height = _nearest(width_px, self.grid_px), _nearest(height_px, self.grid_px)
        # Too large: shrink by the area, sides rounded down to the grid.
        if width * height > frame_pixels:
            beta = math.sqrt(height_px * width_px / frame_pixels)
            return shrink_size(width_px, height_px, beta, self.grid_px)
        # Too small: grow by the area, sides rounded up.
        if width * height < self.min_pixels:
            beta = math.sqrt(self.min_pixels / (height_px * width_px))
            return _grown(width_px, height_px, beta, self.grid_px)
        return width, height

    def _clip_rule(self, width_px: int, height_px: int, n: int) -> tuple[int, int]:
        """All frames together within the limits, counted in whole temporal patches."""
        grid, limit = self.grid_px, self.max_pixels
        if self.frame_cap_pixels < math.inf:
            frame_pixels = min(self.frame_cap_pixels, limit // n)
            limit = max(frame_pixels, int(self.min_pixels * _FLOOR_SLACK)) * n
        # A side below the grid is first grown to it, as the processor does.
        if min(width_px, height_px) < grid:
            scale = max(grid / height_px, grid / width_px)
            width_px, height_px = int(width_px * scale), int(height_px * scale)
        width = round(width_px / grid) * grid
        height = round(height_px / grid) * grid
        frames = round(n / self.frames_per_token) * self.frames_per_token
        if frames * width * height > limit:
            # By the frames that there are, not by those counted above: so the processor has it.
            beta = math.sqrt(n * height_px * width_px / limit)
            return shrink_size(width_px, height_px, beta, grid)
        if frames * width * height < self.min_pixels:
            beta = math.sqrt(self.min_pixels / (n * height_px * width_px))
            return _grown(width_px, height_px, beta, grid)
        return width, height

    def tokens(self, n: int, size_px: tuple[int, int]) -> int:
        """Visual tokens of `n` frames of (width, height), both multiples of `grid_px`."""
        width_px, height_px = size_px
        slices = -(-n // self.frames_per_token)
        return slices * (width_px // self.grid_px) * (height_px // self.grid_px)


def shrink_size(width_px: int, height_px: int, beta: float, grid_px: int) -> tuple[int, int]:
    """The shape divided by `beta`, down to whole multiples of `grid_px`, one at least.

    Example:
        >>> shrink_size(1280, 720, 2.0, 28)
        (616, 336)
    """
    return (
        max(grid_px, math.floor(width_px / beta / grid_px) * grid_px),
        max(grid_px, math.floor(height_px / beta / grid_px) * grid_px),
    )


def _grown(width_px: int, height_px: int, beta: float, grid_px: int) -> tuple[int, int]:
    return (
        math.ceil(width_px * beta / grid_px) * grid_px,
        math.ceil(height_px * beta / grid_px) * grid_px,
    )


def _nearest(side_px: int, grid_px: int) -> int:
    return max(grid_px, round(side_px / grid_px) * grid_px)


def patches(patch_px: int = 16, *, merge: int = 1, frames_per_token: int = 1) -> Family:
    """Any plain patch encoder: frames keep their size but for rounding to whole tokens.

    Example:
        >>> patches(14).tokens(1, (28, 28))
        4
    """
    name = f"patch{patch_px}" + (f"x{merge}" if merge > 1 else "")
    return Family(name=name, patch_px=patch_px, merge=merge, frames_per_token=frames_per_token)


def _by_frame(name: str, patch_px: int) -> Family:
    """qwen-vl-utils' rule: 128 to 768 tokens a frame, nine tenths of 128,000 for the clip."""
    token_px = (patch_px * 2) ** 2
    return Family(
        name=name,
        patch_px=patch_px,
        merge=2,
        frames_per_token=2,
        rule="frame",
        min_pixels=128 * token_px,
        max_pixels=768 * token_px,
        clip_pixels=128_000 * token_px * 0.9,
    )


QWEN2_5_VL = _by_frame("qwen2_5_vl", patch_px=14)
QWEN3_VL_BY_FRAME = _by_frame("qwen3_vl", patch_px=16)
"""Qwen3-VL fed through qwen-vl-utils (`image_patch_size=16`), which limits each frame."""
QWEN3_VL = Family(
    name="qwen3_vl",
    patch_px=16,
    merge=2,
    frames_per_token=2,
    rule="clip",
    min_pixels=4096,
    max_pixels=24_576 * 32 * 32,
)
"""Qwen3-VL fed through its own transformers processor, with the limits its checkpoints ship."""

FamilyName = Literal["qwen2_5_vl", "qwen3_vl"]


def family_of(family: Family | FamilyName | None) -> Family | None:
    """The family of that name; a `Family` and None pass. Raises ValueError for other names."""
    if family is None or isinstance(family, Family):
        return family
    known = {known.name: known for known in (QWEN2_5_VL, QWEN3_VL)}
    if family not in known:
        raise ValueError(
            f"family {family!r} is not known; known are {', '.join(known)}, "
            "or describe yours with plan.patches(patch_px, merge=..., frames_per_token=...)"
        )
    return known[family]

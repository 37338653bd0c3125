"""Hard limits of a plan and the frame count and size that keep all of them.

Frames are made smaller first, down to a size one can still read; after that there are fewer of
them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from operator import index
from typing import Any

from mmreason.video.plan.families import Family, shrink_size

READABLE_PIXELS = 128 * 28 * 28
"""Frames are not made smaller than this (about 317 x 317) to keep more of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameBudget:
    """Limits that hold together: `frames`, visual `tokens` of the family that the plan names, and
    `pixels` (frames x width x height as delivered). None leaves a limit open.

    Example:
        >>> str(FrameBudget(frames=32, tokens=4096))
        '32 frames, 4,096 tokens'
    """

    frames: int | None = None
    tokens: int | None = None
    pixels: int | None = None

    def __post_init__(self) -> None:
        for name, limit in asdict(self).items():
            if limit is not None and index(limit) < 1:
                raise ValueError(f"FrameBudget.{name} must be 1 or more, got {limit}")

    def to_dict(self) -> dict[str, Any]:
        """The limits that are set."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None}

    def __str__(self) -> str:
        return ", ".join(f"{limit:,} {name}" for name, limit in self.to_dict().items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many frames, how large, and what they cost."""

    frames: int
    size_px: tuple[int, int] | None
    token_count: int | None


def as_budget(budget: int | FrameBudget) -> FrameBudget:
    """A plain number counts frames. Raises ValueError below 1.

    Example:
        >>> as_budget(8)
        FrameBudget(frames=8, tokens=None, pixels=None)
    """
    return budget if isinstance(budget, FrameBudget) else FrameBudget(frames=index(budget))


def fit_shape(
    n: int,
    size_px: tuple[int, int] | None,
    family: Family | None,
    budget: FrameBudget,
    *,
    keep_size: bool = False,
    multiple: int = 1,
) -> Shape:
    """At most `n` frames of at most the size that `family` makes of `size_px`, within `budget`.

    `size_px` is (width, height) before the family resizes, None where it is unknown. `keep_size`
    says that `size_px` is the video's own, so that None can stand for it where nothing changes it.
    `multiple` keeps the count a multiple, as long as it is not below it. Raises ValueError where
    not even one frame fits, and where a limit cannot be computed.

    Example:
        >>> fit_shape(32, (1280, 720), None, FrameBudget(pixels=1_000_000)).frames
        9
    """
    # 1. The plain limit of frames.
    if budget.frames is not None:
        n = _floored(min(n, budget.frames), multiple)
    if n == 0:
        tokens = None if family is None else 0
        return Shape(frames=0, size_px=None if keep_size else size_px, token_count=tokens)
    if family is None and budget.tokens is not None:
        raise ValueError('a budget of tokens needs the family that counts them: family="qwen3_vl"')
    # 2. Tokens and pixels need a size.
    if size_px is None:
        if family is not None or budget.pixels is not None:
            raise ValueError(
                "the frame size is needed to count tokens or pixels: give size_px=(width, height), "
                "or plan for an opened video"
            )
        return Shape(frames=n, size_px=None, token_count=None)
    # 3. Smaller frames first, as long as one can read them; then fewer.
    shape = _shape(n, size_px, family, budget)
    if not _roomy(n, size_px, family, budget) or not _holds(shape, budget):
        shape = _fewer(n, size_px, family, budget, multiple)
    # 4. Nothing changed the size: deliver the stored frames as they are.
    if keep_size and family is None and shape.size_px == size_px:
        return Shape(frames=shape.frames, size_px=None, token_count=None)
    return shape


def _own_size(n: int, source_px: tuple[int, int], family: Family | None) -> tuple[int, int]:
    return source_px if family is None else family.frame_size_px(*source_px, n)


def _share(n: int, family: Family | None, budget: FrameBudget) -> float:
    """The most pixels that the budget leaves each of `n` frames."""
    pixels = math.inf if budget.pixels is None else budget.pixels / n
    if family is None or budget.tokens is None:
        return pixels
    # Frames that share tokens cost as much as a whole group of them.
    slices = -(-n // family.frames_per_token)
    return min(pixels, budget.tokens // slices * family.grid_px**2)


def _roomy(n: int, source_px: tuple[int, int], family: Family | None, budget: FrameBudget) -> bool:
    """Whether `n` frames can keep their own size, or at least one that can be read."""
    full_pixels = math.prod(_own_size(n, source_px, family))
    return _share(n, family, budget) >= min(full_pixels, READABLE_PIXELS)


def _shape(n: int, source_px: tuple[int, int], family: Family | None, budget: FrameBudget) -> Shape:
    """`n` frames at the family's own size, or at the largest that the budget leaves each."""
    size_px = _own_size(n, source_px, family)
    most_pixels = _share(n, family, budget)
    if math.prod(size_px) > most_pixels:
        beta = math.sqrt(math.prod(source_px) / max(most_pixels, 1))
        size_px = shrink_size(*source_px, beta, 1 if family is None else family.grid_px)
    return Shape(frames=n, size_px=size_px, token_count=_tokens(n, size_px, family))


def _fewer(
    n: int, source_px: tuple[int, int], family: Family | None, budget: FrameBudget, multiple: int
) -> Shape:
    """The most frames that stay readable; failing that, the one largest frame that fits."""
    few, many = 1, n  # the share of a frame falls with their number, so halving finds the most
    while few < many:
        middle = (few + many + 1) // 2
        few, many = (
            (middle, many) if _roomy(middle, source_px, family, budget) else (few, middle - 1)
        )
    # Rounding to the grid may break the budget by a little: fewer frames until it holds.
    for frames in dict.fromkeys(_floored(k, multiple) for k in range(few, 0, -1)):
        shape = _shape(frames, source_px, family, budget)
        if _holds(shape, budget):
            return shape
    # The error names the smallest plan there is, so that a budget can be chosen by it.
    grid_px = 1 if family is None else family.grid_px
    least_px = shrink_size(*source_px, math.sqrt(math.prod(source_px)) / grid_px, grid_px)
    tokens = _tokens(1, least_px, family)
    raise ValueError(
        f"a budget of {budget} holds no frame of this video: the smallest plan is 1 frame of "
        f"{least_px[0]}x{least_px[1]} ({math.prod(least_px):,} pixels"
        + (")" if tokens is None else f", {tokens} tokens)")
    )


def _holds(shape: Shape, budget: FrameBudget) -> bool:
    assert shape.size_px is not None
    pixels = shape.frames * math.prod(shape.size_px)
    within_pixels = budget.pixels is None or pixels <= budget.pixels
    return within_pixels and (
        budget.tokens is None or shape.token_count is None or shape.token_count <= budget.tokens
    )


def _tokens(n: int, size_px: tuple[int, int], family: Family | None) -> int | None:
    return None if family is None else family.tokens(n, size_px)


def _floored(n: int, multiple: int) -> int:
    return n if n < multiple else n - n % multiple

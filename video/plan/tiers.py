"""Few frames at full size, more at half, many at a quarter, under one budget: the tiers of Q-Frame.

    high, middle, low = plan.tiers(scores, times_s, plan.FrameBudget(tokens=4096),
                                   size_px=(1280, 720), family="qwen3_vl")

After Q-Frame (Zhang et al., ICCV 2025, arXiv 2506.22139). A plan has one size, so each tier is a
plan of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmreason.video.plan.budget import FrameBudget, Shape, as_budget
from mmreason.video.plan.build import build_chosen, checked_candidates, checked_vector
from mmreason.video.plan.diversity import unit_scores
from mmreason.video.plan.families import Family, FamilyName, family_of, shrink_size
from mmreason.video.plan.relevance import gumbel_order
from mmreason.video.types import SamplePlan

COUNTS = (4, 8, 32)
"""Frames of each tier; with a quarter of the pixels from one to the next they cost as much as 8 of
the first."""

_NAMES = ("high", "middle", "low")
_STEP = 1.02


def tiers(
    scores: Sequence[float] | np.ndarray,
    times_s: Sequence[float] | np.ndarray,
    budget: int | FrameBudget,
    *,
    size_px: tuple[int, int],
    seed: int = 0,
    family: Family | FamilyName | None = None,
) -> tuple[SamplePlan, SamplePlan, SamplePlan]:
    """Plans of the best scored frames at most `size_px` large (width, height), of the next ones at
    half of its sides and of the rest at a quarter; together within `budget`.

    Frames are drawn as by `relevant(method="qframe")`; the tiers share them 4 : 8 : 32 where the
    budget or the candidates are fewer than 44. All three shrink together until they fit. Raises
    ValueError as `relevant` does, and where the budget holds no frame of the smallest size.

    Example:
        >>> plans = tiers([0.9, 0.5, 0.1], [0, 1, 2], 3, size_px=(640, 360))
        >>> [plan.size_px for plan in plans]
        [(640, 360), (320, 180), (160, 90)]
    """
    raw = checked_vector(scores, "scores")
    times = checked_candidates(times_s, raw, "scores")
    model_family, limits = family_of(family), as_budget(budget)
    if model_family is None and limits.tokens is not None:
        raise ValueError('a budget of tokens needs the family that counts them: family="qwen3_vl"')
    most = sum(COUNTS) if limits.frames is None else min(sum(COUNTS), limits.frames)
    total = min(most, len(times))
    ends = [round(total * sum(COUNTS[: k + 1]) / sum(COUNTS)) for k in range(len(COUNTS))]
    starts = [0, *ends[:-1]]
    shapes = _shapes(
        [b - a for a, b in zip(starts, ends, strict=True)], size_px, model_family, limits
    )
    order = gumbel_order(unit_scores(raw), seed)[:total]
    high, middle, low = (
        build_chosen(
            {i: f"{name} tier, draw {k + 1} (score {raw[i]:.3g})" for k, i in drawn},
            times,
            method=f"tiers ({name})",
            shape=shape,
            settings={"seed": seed},
            family=family,
            budget=limits,
        )
        for name, shape, drawn in (
            (name, shape, list(enumerate(order))[start:end])
            for name, shape, start, end in zip(_NAMES, shapes, starts, ends, strict=True)
        )
    )
    return high, middle, low


def _shapes(
    counts: list[int], size_px: tuple[int, int], family: Family | None, budget: FrameBudget
) -> list[Shape]:
    """The largest shapes of the tiers that keep the budget together."""
    if min(size_px) < 1:
        raise ValueError(f"size_px must be (width, height) of 1 or more, got {size_px}")
    grid_px = 1 if family is None else family.grid_px
    beta = 1.0
    while True:
        sizes = [shrink_size(*size_px, beta * 2**k, grid_px) for k in range(len(counts))]
        shapes = [
            Shape(
                frames=count,
                size_px=size,
                token_count=None if family is None else family.tokens(count, size),
            )
            for count, size in zip(counts, sizes, strict=True)
        ]
        pixels = sum(count * math.prod(size) for count, size in zip(counts, sizes, strict=True))
        tokens = sum(shape.token_count or 0 for shape in shapes)
        if pixels <= (budget.pixels or math.inf) and tokens <= (budget.tokens or math.inf):
            return shapes
        if max(sizes[0]) == grid_px:
            raise ValueError(
                f"a budget of {budget} does not hold {sum(counts)} frames, however small; give "
                "fewer frames"
            )
        beta *= _STEP

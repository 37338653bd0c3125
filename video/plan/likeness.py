"""Near-duplicates among candidates, by embeddings of any model: which to keep, and what each of
them stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.video.plan.build import checked_candidates
from mmreason.video.plan.diversity import unit_rows

LEAST_DISTANCE = 0.1
"""1 - cosine from which two frames count as different. On three clips with EfficientNet-Lite0
neighbours of one shot lie at 0.02 to 0.07 where little moves, and at up to 0.2 where much does."""


@dataclass(frozen=True, slots=True)
class DistinctFrames:
    """Candidates without look-alikes.

    Example:
        >>> frames = distinct([[1, 0], [1, 0.1], [0, 1]], [0, 1, 2])
        >>> frames.kept, frames.stands_for(0), frames.stands_for(2)
        ((0, 2), (0, 1), (2,))
    """

    kept: tuple[int, ...]
    """Candidates to keep, ascending."""
    kept_for: tuple[int, ...]
    """(T,): for each candidate the kept one that stands for it; a kept one stands for itself."""

    def stands_for(self, kept: int) -> tuple[int, ...]:
        """The candidates that a kept one stands for, itself included."""
        return tuple(i for i, j in enumerate(self.kept_for) if j == kept)


def distinct(
    embeddings: Sequence[Sequence[float]] | np.ndarray,
    times_s: Sequence[float] | np.ndarray,
    least_distance: float = LEAST_DISTANCE,
    *,
    everywhere: bool = False,
) -> DistinctFrames:
    """The first of each run of look-alikes, and which candidates it stands for.

    A candidate joins the run while it is nearer than `least_distance` (1 - cosine, 0..2) to the
    first of it, so that a slow change ends a run too. With `everywhere` it is compared with all
    that are kept, so that a shot that comes back is dropped; the nearest then stands for it.
    `embeddings` are (T, D). Raises ValueError for shapes that do not match, times that do not
    ascend, and numbers that are not finite.

    Example:
        >>> distinct([[1, 0], [0, 1], [1, 0]], [0, 1, 2]).kept
        (0, 1, 2)
        >>> distinct([[1, 0], [0, 1], [1, 0]], [0, 1, 2], everywhere=True).kept
        (0, 1)
    """
    points = unit_rows(embeddings)
    checked_candidates(times_s, points, "embeddings")
    if not 0 <= least_distance <= 2:
        raise ValueError(f"least_distance must lie in 0..2 (1 - cosine), got {least_distance}")
    kept: list[int] = []
    kept_for: list[int] = []
    for i, point in enumerate(points):
        compared = kept if everywhere else kept[-1:]
        # Rounded, so that equal rows are at distance 0 and not at 1e-16.
        distances = np.round(1 - points[compared] @ point, 9)
        if compared and distances.min() < least_distance:
            kept_for.append(compared[int(distances.argmin())])
            continue
        kept.append(i)
        kept_for.append(i)
    return DistinctFrames(tuple(kept), tuple(kept_for))

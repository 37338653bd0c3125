"""Joins what words and meaning find into one list of hits. Pure.

Reciprocal-rank fusion gives the order. It cannot say that nothing fits, as some record is always
first; so a record has to be near enough by itself to be in the list at all.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from mmreason.memory.text_index import MOST_RANKED, TextMatch

COVERAGE_FLOOR = 0.25
"""Share of a query's words, rare ones counting more, below which a record is not near it. Over
scripts of the natural benchmark all questions find their shots so, and nine of ten questions about
another video find nothing."""
COVERAGE_WITH_MEANING = 0.6
"""The same where meaning is compared too: a question about something else shares a word or two with
some record, and its meaning says that it is not meant."""
FUSION_K = 60
"""Of reciprocal-rank fusion: how little the first places count more than those behind them."""


@dataclass(frozen=True, slots=True)
class RankedRow:
    """A record near enough to a query, by its number."""

    row: int
    score: float
    """For the order alone."""
    similarity: float
    """Share of the query's words or cosine, whichever is larger, 0..1."""


def fuse_rankings(
    matches: tuple[TextMatch, ...],
    cosines: np.ndarray,
    floor: float,
    *,
    least_coverage: float = COVERAGE_FLOOR,
) -> tuple[RankedRow, ...]:
    """The records of `matches` (best first) that hold `least_coverage` of the query's words or
    more, and those whose cosine (float (n,), -inf for what is not asked for, empty without an
    embedder) is `floor` or more; best first, then by number.

    Example:
        >>> fuse_rankings((TextMatch(3, 2.0, 0.8),), np.array([0.1, 0.7]), floor=0.5)[0].row
        1
    """
    scores: dict[int, float] = defaultdict(float)
    similarity: dict[int, float] = defaultdict(float)
    # Places count, not scores: BM25 and cosines have no scale in common.
    for rank, match in enumerate(matches, start=1):
        scores[match.row] += 1 / (FUSION_K + rank)
        if match.coverage >= least_coverage:
            similarity[match.row] = match.coverage
    for rank, row in enumerate(_find_largest(cosines).tolist(), start=1):
        scores[row] += 1 / (FUSION_K + rank)
        if cosines[row] >= floor:
            similarity[row] = max(similarity[row], min(1.0, float(cosines[row])))
    near = (RankedRow(row, scores[row], similarity[row]) for row in similarity)
    return tuple(sorted(near, key=lambda ranked: (-ranked.score, ranked.row)))


def _find_largest(values: np.ndarray) -> np.ndarray:
    """Positions of the largest values, largest first, without those at minus infinity."""
    count = min(MOST_RANKED, len(values))
    if count == 0:
        return np.zeros(0, np.int64)
    # Only the largest are sorted; the order of the others does not matter.
    top = np.argpartition(-values, count - 1)[:count]
    top = top[np.argsort(-values[top], kind="stable")]
    return top[np.isfinite(values[top])]

"""How unlike the other answers of its group an answer is: the raw material of DSDR (`dsdr.py`).

Two measures in [0, 1] with one signature in common, a figure per row: from embeddings of the
answers (any model; the paper takes all-MiniLM-L6-v2) and from sets of what they mention (the paper:
formulas; for video: the evidence they cite, `cited_evidence`). Average those you want.
Without a model at hand, `embed_bag_of_words` sees other words, not other meanings. A text embedder
that reads 256 word pieces judges long answers by their beginning: pool over chunks, and say so in
reports.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from typing import Literal
from zlib import crc32

import torch
from torch import Tensor

from mmreason.training.objectives.groups import check_groups
from mmreason.types import UsageError
from mmreason.video.types import Span

ReferenceSet = Literal["group", "correct"]
"""Whom an answer is compared with: the whole group (the paper), or its correct answers only, so
that no answer is rewarded for being unlike garbage."""

MAX_CELLS = 10_000
"""Cells of time per answer beyond which `cited_evidence` stops counting."""
WORD_COLUMNS = 512
"""Width of `embed_bag_of_words`."""


@torch.no_grad()
def embedding_diversity(
    embedding: Tensor,
    group: Tensor,
    *,
    correct: Tensor | None = None,
    reference: ReferenceSet = "group",
) -> Tensor:
    """(B,) mean of (1 - cosine) / 2 to the other answers, in [0, 1] (DSDR, arXiv 2602.19895).

    `embedding` (B, D) need not be normalised. 0 where there is no other answer to compare with.
    `correct` (B,) bool is needed for `reference="correct"`. Raises `UsageError` for embeddings
    that are zero or not finite, with the row."""
    if embedding.ndim != 2 or len(embedding) != len(group):
        raise UsageError(
            f"embedding must have shape (rows, width) with {len(group)} rows, "
            f"got {tuple(embedding.shape)}"
        )
    norm = embedding.norm(dim=1, keepdim=True)
    check_groups(torch.zeros_like(norm[:, 0]), group, "embedding")
    bad = ~torch.isfinite(norm[:, 0]) | (norm[:, 0] == 0)
    if bool(bad.any()):
        raise UsageError(f"embedding of row {int(bad.nonzero()[0])} is zero or not finite")
    # Cosines of all pairs at once; a row is compared with others of its group only.
    unit = embedding / norm
    compared = _comparison_mask(group, correct, reference)
    distance = ((1 - unit @ unit.T) / 2).clamp(0, 1)
    total = torch.where(compared, distance, 0.0).sum(dim=1)
    # An answer without others to compare with is neither like nor unlike any.
    return total / compared.sum(dim=1).clamp(min=1)


def unique_share(
    items: Sequence[frozenset[Hashable]],
    group: Tensor,
    *,
    correct: Tensor | None = None,
    reference: ReferenceSet = "group",
) -> Tensor:
    """(B,) share of an answer's `items` that no other answer of the group has; 0 without items.

    Float64. An answer padded with nonsense is "unique" too: reward it for correct answers only
    (`dsdr_reward` does) and watch the lengths.

    Example:
        >>> items = [frozenset({"cat"}), frozenset({"cat", "dog"})]
        >>> unique_share(items, torch.tensor([0, 0])).tolist()
        [0.0, 0.5]
    """
    if len(items) != len(group):
        raise UsageError(f"items must be one set per row: {len(group)} rows, {len(items)} sets")
    check_groups(torch.zeros(len(items)), group, "items")
    if reference == "correct" and correct is None:
        raise UsageError("reference='correct' needs correct")
    ids: list[int] = group.tolist()
    counted = [True] * len(items) if reference == "group" or correct is None else correct.tolist()
    # 1) How many answers of each group have an item.
    owners: dict[int, Counter[Hashable]] = {}
    for group_id, answer_items, counts in zip(ids, items, counted, strict=True):
        if counts:
            owners.setdefault(group_id, Counter()).update(answer_items)
    # 2) An item is unique where the answer itself is its only owner, if it was counted at all.
    unique = []
    for group_id, answer_items, counts in zip(ids, items, counted, strict=True):
        owner_counts = owners.get(group_id, Counter())
        itself = 1 if counts else 0
        number = sum(owner_counts[item] == itself for item in answer_items)
        unique.append(number / len(answer_items) if answer_items else 0.0)
    return torch.tensor(unique, dtype=torch.float64, device=group.device)


def embed_bag_of_words(texts: Sequence[str]) -> Tensor:
    """(B, 512) float64 counts of words and of pairs of neighbours, spread over the columns by a
    stable hash; a text without words has one entry of its own kind.

    Example:
        >>> embedding = embed_bag_of_words(["a red cat", "A red CAT", "a dog"])
        >>> bool((embedding[0] == embedding[1]).all()), float(embedding[2].sum())
        (True, 3.0)
    """
    table = torch.zeros((len(texts), WORD_COLUMNS), dtype=torch.float64)
    for row, text in enumerate(texts):
        # Pairs too: "dog bites man" and "man bites dog" have the same words.
        tokens = text.lower().split() or [""]
        for item in (*tokens, *(" ".join(pair) for pair in pairwise(tokens))):
            # crc32, since Python's own hash is another in every process.
            table[row, crc32(item.encode("utf-8", "surrogatepass")) % WORD_COLUMNS] += 1
    return table


def cited_evidence(
    spans: Iterable[Span], names: Iterable[str] = (), *, cell_s: float = 1.0
) -> frozenset[Hashable]:
    """What an answer points at, as a set for `unique_share`: cells of time of `cell_s` seconds
    that its spans touch, and the things it names (objects, readings), compared without case.

    An empty span counts as the cell it lies in. At most 10,000 cells are taken.

    Example:
        >>> sorted(map(str, cited_evidence([Span(0.5, 2.5)], ["Kettle"])))
        ['0', '1', '2', 'kettle']
    """
    if not (math.isfinite(cell_s) and cell_s > 0):
        raise UsageError(f"cell_s must be a positive number of seconds, got {cell_s}")
    cells: set[Hashable] = set()
    for span in spans:
        # Half-open: a span that ends on a border does not touch the cell behind it.
        first = math.floor(span.start_s / cell_s)
        last = max(first + 1, math.ceil(span.end_s / cell_s))
        cells.update(range(first, min(last, first + MAX_CELLS - len(cells))))
    return frozenset(cells | {name.strip().casefold() for name in names})


def _comparison_mask(group: Tensor, correct: Tensor | None, reference: ReferenceSet) -> Tensor:
    """(B, B) bool: whether row i is compared with row j, never with itself."""
    neighbours = group.unsqueeze(0) == group.unsqueeze(1)
    neighbours &= ~torch.eye(len(group), dtype=torch.bool, device=group.device)
    if reference == "group":
        return neighbours
    if reference != "correct":
        raise UsageError(f"unknown reference {reference!r}; known: group, correct")
    if correct is None:
        raise UsageError("reference='correct' needs correct")
    return neighbours & correct.bool().unsqueeze(0)

"""Ranks texts by meaning: the cosine of their embeddings to that of a query.

How near is near differs from one embedder to the next, and so the floor is measured: as near as
nonsense comes to these texts, and a question about something else to any, is not near.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmreason.memory.floor_texts import OFF_TOPIC_QUERIES, REFERENCE_TEXTS
from mmreason.types import UsageError

Embed = Callable[[Sequence[str]], Any]
"""Texts to embeddings: an array, or a tensor on the CPU, of shape (texts, width)."""
NONSENSE_QUERIES = 32
NONSENSE_QUANTILE = 0.95
"""Share of nonsense queries whose nearest text lies below the floor."""
USUAL_FLOORS = {"minilm-l6": 0.40, "all-MiniLM-L6-v2": 0.40}
"""Of embedders that were measured before, by name: over 2,000 lines 95 of 100 planted questions
find theirs so, and gibberish and questions about something else find nothing."""
LEAST_FLOOR = 0.1
"""For embedders that put nonsense at a right angle to everything."""


@dataclass(frozen=True, slots=True)
class Embedder:
    """A function that embeds texts, with the name that its vectors are kept under.

    Example:
        >>> embedder = Embedder("ones", lambda texts: np.ones((len(texts), 3)))
        >>> embedder.embed_texts(["a", "b"]).shape
        (2, 3)
    """

    name: str
    """Of the weights; vectors of another name are never compared with these. Those of an embedder
    without a name are not kept in the store."""
    embed: Embed

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors as float32 (texts, width); zeros where an embedding has no length or a
        number that is none. UsageError for another shape."""
        table = np.asarray(self.embed(list(texts)), np.float32)
        if table.ndim != 2 or len(table) != len(texts) or table.shape[1] == 0:
            raise UsageError(
                f"embed must give an array of {len(texts)} rows for as many texts, "
                f"got shape {table.shape}"
            )
        norms = np.linalg.norm(table, axis=1, keepdims=True)
        # One nan would make a cosine that compares with nothing.
        usable = np.isfinite(norms) & (norms > 0)
        return np.where(usable, table / np.where(usable, norms, 1), 0).astype(np.float32)


class VectorIndex:
    """Embeddings of texts by number.

    Example:
        >>> index = VectorIndex(Embedder("letters", lambda t: [[s.count("a"), 1.0] for s in t]))
        >>> index.add_vectors([0, 1], index.embedder.embed_texts(["aaa", "b"]))
        >>> int(index.search("aaaa", 2).argmax())
        0
    """

    def __init__(self, embedder: Embedder):
        self.embedder = embedder
        self._vectors = np.zeros((0, 0), np.float32)
        self._present = np.zeros(0, bool)
        self._floor = LEAST_FLOOR
        self._floor_count = 0
        self._embedder_floor: float | None = None

    def find_missing(self, count: int) -> np.ndarray:
        """Numbers below `count` of texts without an embedding."""
        present = np.zeros(count, bool)
        present[: len(self._present)] = self._present[:count]
        return np.flatnonzero(~present)

    def add_vectors(self, rows: Sequence[int], vectors: np.ndarray) -> None:
        """Take in unit vectors of texts by number. UsageError where the embedder changed their
        width."""
        if not len(rows):
            return
        self._check_width(vectors.shape[1])
        self._grow(max(len(self._vectors), max(rows) + 1), vectors.shape[1])
        self._vectors[list(rows)] = vectors
        self._present[list(rows)] = True

    def _check_width(self, width: int) -> None:
        if self._vectors.size and width != self._vectors.shape[1]:
            raise UsageError(
                f"embedder {self.embedder.name!r} gave vectors of width {width}, before of "
                f"{self._vectors.shape[1]}: another model needs another name"
            )

    def _grow(self, count: int, width: int) -> None:
        """Make room for `count` texts; twice as much as there was, so that it is seldom copied."""
        if count > len(self._vectors):
            room = max(count, 2 * len(self._vectors))
            vectors, present = np.zeros((room, width), np.float32), np.zeros(room, bool)
            vectors[: len(self._vectors)] = self._vectors if self._vectors.size else 0
            present[: len(self._present)] = self._present
            self._vectors, self._present = vectors, present

    def search(self, text: str, count: int) -> np.ndarray:
        """The cosine of each of the first `count` texts to the query, -1..1, float (count,); 0 for
        those without an embedding."""
        cosines = np.zeros(count, np.float32)
        vectors = self._vectors[:count]
        query = self.embedder.embed_texts([text])[0]
        self._check_width(len(query))
        if vectors.size:
            cosines[: len(vectors)] = vectors @ query
        return cosines

    def measure_floor(self) -> float:
        """The cosine below which a text is no nearer than texts are to nonsense and to questions
        about something else. Measured once, and again when there are twice as many texts."""
        count = int(self._present.sum())
        # With more texts some lie nearer to nonsense by chance alone.
        if count and count >= 2 * self._floor_count:
            queries = self.embedder.embed_texts(make_nonsense(NONSENSE_QUERIES))
            nearest = (self._vectors @ queries.T).max(axis=0, initial=LEAST_FLOOR)
            self._floor = float(np.quantile(nearest, NONSENSE_QUANTILE))
            self._floor_count = count
        if self._embedder_floor is None:
            self._embedder_floor = find_embedder_floor(self.embedder)
        return max(self._floor, self._embedder_floor)


def find_embedder_floor(embedder: Embedder) -> float:
    """How near an embedder puts texts to questions that they do not answer: measured before for the
    usual one, now for others."""
    usual = USUAL_FLOORS.get(embedder.name.partition(" ")[0])
    return measure_embedder_floor(embedder) if usual is None else usual


def measure_embedder_floor(embedder: Embedder) -> float:
    """The cosine below which no question about something else finds anything among the lines of
    `floor_texts`. Those of the searched videos do not serve: they may be about just that."""
    lines = embedder.embed_texts(REFERENCE_TEXTS)
    queries = embedder.embed_texts(OFF_TOPIC_QUERIES)
    return float((lines @ queries.T).max(initial=LEAST_FLOOR))


def make_nonsense(count: int) -> list[str]:
    """Queries of random syllables, the same each time.

    Example:
        >>> make_nonsense(1)
        ['kela dudi pazu']
    """
    draw = random.Random(7)

    def make_word() -> str:
        return "".join(draw.choice("bdfgjklmnprstvz") + draw.choice("aeiou") for _ in range(2))

    return [" ".join(make_word() for _ in range(3)) for _ in range(count)]

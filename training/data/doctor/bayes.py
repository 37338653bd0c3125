"""Naive Bayes over words: the smallest model that reads a text."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

_WORD = re.compile(r"\w+")
_MOST_WORDS = 200
"""Of a text; the rest says nothing more."""


class WordCounts:
    """Multinomial naive Bayes with one added to each count (Laplace).

    Example:
        >>> counts = WordCounts()
        >>> counts.add("yes", ["is", "there"])
        >>> counts.add("no", ["was", "there"])
        >>> counts.score("yes", ["is"]) > counts.score("no", ["is"])
        True
    """

    def __init__(self) -> None:
        self._words: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
        self._totals: Counter[Hashable] = Counter()
        self._rows: Counter[Hashable] = Counter()
        self._vocabulary: set[str] = set()

    def add(self, label: Hashable, words: Sequence[str]) -> None:
        """Count a text of a class."""
        self._words[label].update(words)
        self._totals[label] += len(words)
        self._rows[label] += 1
        self._vocabulary.update(words)

    def score(self, label: Hashable, words: Sequence[str]) -> float:
        """The logarithm of how likely class and text are together, up to a constant."""
        counts = self._words.get(label, Counter())
        total = self._totals[label] + len(self._vocabulary) + 1
        prior = math.log((self._rows[label] + 1) / (self._rows.total() + 2))
        return prior + sum(math.log((counts[word] + 1) / total) for word in words)


def list_words(text: str) -> list[str]:
    """The words of a text in small letters, up to a limit.

    Example:
        >>> list_words("Is it red?")
        ['is', 'it', 'red']
    """
    return _WORD.findall(text.casefold()[: 50 * _MOST_WORDS])[:_MOST_WORDS]

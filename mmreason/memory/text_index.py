"""Ranks texts by the words of a query: BM25 by SQLite's FTS5, over terms of any language.

The index lies in memory and is made from the records when they are read. So nothing of it is in the
store, where it could be out of date or be somebody's trap, and how rare a word is counts within
this video.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from mmreason.memory.terms import QueryTerm, extract_query_terms, extract_record_terms

COMMON_SHARE = 0.5
"""A term that more of the texts hold finds nothing, whatever stands beside it."""
FEWEST_COMMON = 5
"""Texts that may hold a term whatever their share: in a few texts every share is large."""
MOST_MATCHES = 4_000
"""Texts that hold the terms of one search together: rarer terms come first, and those that do not
fit are not looked for. About 10 ms."""
MOST_RANKED = 500
"""Texts of a search that are told, the best by BM25."""
MOST_EXPECTED = 6
"""Terms of a query that one text can be expected to hold: long questions have many more."""
STEM_WEIGHT = 0.8
"""What a word of another form counts beside one of the same form."""


@dataclass(frozen=True, slots=True)
class TextMatch:
    """One text that holds terms of a query."""

    row: int
    """Number of the text, as it was given to `add_texts`."""
    bm25: float
    """Larger is better."""
    coverage: float
    """Share of the query's terms that it holds, rare ones counting more, 0..1; of a long query the
    share of as many as a text can be expected to hold."""


@dataclass(frozen=True, slots=True)
class TextSearch:
    """What a search by words found, the best first, and which words it did not look for."""

    matches: tuple[TextMatch, ...]
    common: tuple[str, ...] = ()
    """Words of the query that too many texts hold to find anything by."""


class TextIndex:
    """Texts by number, and their terms.

    Example:
        >>> index = TextIndex()
        >>> index.add_texts([(0, "A dog runs."), (1, "Two red cars.")])
        >>> [match.row for match in index.search("the red car").matches]
        [1]
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        # The terms are made here, so the tokenizer only parts them: letters beyond ASCII stay.
        self._connection.execute("CREATE VIRTUAL TABLE texts USING fts5(terms, tokenize='ascii')")
        self._connection.execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab(texts, 'row')")
        self._count = 0
        # FTS5 would read the whole list of a term's texts to count them.
        self._text_counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._count

    def add_texts(self, texts: Iterable[tuple[int, str]]) -> None:
        """Take in texts by number (from 0); no number may be there already."""
        terms_of_rows = [(row + 1, extract_record_terms(text)) for row, text in texts]
        rows = [(row, " ".join(terms)) for row, terms in terms_of_rows]
        with self._connection:
            self._connection.executemany("INSERT INTO texts (rowid, terms) VALUES (?, ?)", rows)
        self._count += len(rows)
        for _, terms in terms_of_rows:
            self._text_counts.update(set(terms))

    def search(self, text: str, allowed: np.ndarray | None = None) -> TextSearch:
        """The texts that hold words of `text`, best first by BM25; of those alone that `allowed`
        (bool, one a text) says, where it is given."""
        # 1. How many texts hold each term; words that stand in most of them find nothing.
        counts: dict[QueryTerm, int] = {}
        common: list[str] = []
        for term in extract_query_terms(text):
            if self._is_common(self._count_texts(term)) and term.stem:
                term = replace(term, stem="")  # the word itself may be rarer than its stem
            if self._is_common(count := self._count_texts(term)):
                common.append(term.exact)
            else:
                counts[term] = count
        present = _fit_terms(counts)
        if not present:
            return TextSearch((), tuple(common))
        # 2. The best by BM25 of the texts that hold any of it.
        scores = self._score_texts(" OR ".join(map(_format_term, present)))
        rows = scores if allowed is None else [row for row in scores if allowed[row]]
        # Equal scores go by number, so that the order does not depend on SQLite.
        best = sorted(rows, key=lambda row: (-scores[row], row))[:MOST_RANKED]
        # 3. How much of the query each holds.
        weights = self._weigh_terms(counts)
        coverage = self._weigh_texts({term: weights[term] for term in present})
        total = sum(sorted(weights.values(), reverse=True)[:MOST_EXPECTED])
        matches = (TextMatch(row, scores[row], min(1.0, coverage[row] / total)) for row in best)
        return TextSearch(tuple(matches), tuple(common))

    def _is_common(self, count: int) -> bool:
        return count > min(MOST_MATCHES, max(FEWEST_COMMON, COMMON_SHARE * self._count))

    def _count_texts(self, term: QueryTerm) -> int:
        """How many texts hold a term in any form that counts as it."""
        if not term.is_prefix:
            # Whatever holds the word holds its stem too.
            return self._text_counts[term.stem or term.exact]
        sql = "SELECT SUM(doc) FROM vocabulary WHERE term GLOB ?"
        row = self._connection.execute(sql, [f"{term.exact}*"]).fetchone()
        return row[0] or 0

    def _weigh_terms(self, counts: dict[QueryTerm, int]) -> dict[QueryTerm, float]:
        """How much each term counts: rare ones more. What stands nowhere counts as the mean of what
        stands somewhere: it may be what is looked for, or only how the question is put."""
        weights = {t: math.log(1 + self._count / n) for t, n in counts.items() if n}
        mean = sum(weights.values()) / len(weights)
        return {term: weights.get(term, mean) for term in counts}

    def _weigh_texts(self, weights: dict[QueryTerm, float]) -> dict[int, float]:
        """Sum of the weights of the terms that each text holds, by its number."""
        sums: dict[int, float] = defaultdict(float)
        for term, weight in weights.items():
            forms = {term: weight}
            if term.stem:
                # Whoever holds the word itself holds its stem too, so these add up.
                forms = {
                    QueryTerm(term.exact): (1 - STEM_WEIGHT) * weight,
                    QueryTerm(term.stem): STEM_WEIGHT * weight,
                }
            for form, form_weight in forms.items():
                for row in self._find_rows(_format_term(form)):
                    sums[row] += form_weight
        return sums

    def _find_rows(self, query: str) -> list[int]:
        rows = self._connection.execute("SELECT rowid FROM texts WHERE texts MATCH ?", (query,))
        return [row - 1 for (row,) in rows]

    def _score_texts(self, query: str) -> dict[int, float]:
        # FTS5 gives better matches smaller (negative) numbers.
        sql = "SELECT rowid, -bm25(texts) FROM texts WHERE texts MATCH ?"
        return {row - 1: bm25 for row, bm25 in self._connection.execute(sql, (query,))}


def _fit_terms(counts: dict[QueryTerm, int]) -> list[QueryTerm]:
    """The terms that stand anywhere, rarest first, as far as they fit into `MOST_MATCHES`
    together."""
    fitting: list[QueryTerm] = []
    room = MOST_MATCHES
    for term in sorted(filter(counts.get, counts), key=lambda term: counts[term]):
        room -= counts[term]
        if room < 0:
            break
        fitting.append(term)
    return fitting


def _format_term(term: QueryTerm) -> str:
    """As FTS5 reads it. Terms hold letters and numbers only, so that no quote can end early."""
    if term.is_prefix:
        return f'"{term.exact}"*'
    return f'"{term.exact}" OR "{term.stem}"' if term.stem else f'"{term.exact}"'

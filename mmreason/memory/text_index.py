"""Ranks texts by the words of a query: BM25 over terms of any language.

The index lies in memory and is made from the records when they are read. So nothing of it is in the
store, where it could be out of date or be somebody's trap, and how rare a word is counts within
this video.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mmreason.memory.records import MemoryRecord
from mmreason.memory.terms import (
    QueryTerm,
    extract_query_terms,
    extract_record_terms,
    pair_words,
)
from mmreason.video.labels.words import find_classes

COMMON_SHARE = 0.5
"""A term that more of the texts hold finds nothing, whatever stands beside it."""
FEWEST_COMMON = 5
"""Texts that may hold a term whatever their share: in a few texts every share is large."""
DROPPED_SHARE = 0.05
"""A term that more of the texts hold is not looked for where rarer ones are there ..."""
FEWEST_DROPPED = 200
"""... and it is in more than so many: below that it costs nothing, and may tell two texts apart."""
MOST_MATCHES = 20_000
"""Texts that hold the terms of one search together: rarer terms come first, and those that do not
fit are not looked for."""
MOST_RANKED = 500
"""Texts of a search that are told, the best by BM25."""
MOST_EXPECTED = 6
"""Terms of a query that one text can be expected to hold: long questions have many more."""
STEM_WEIGHT = 0.8
"""What a word of another form counts beside one of the same form."""
K1, B = 1.2, 0.75
"""Of BM25 (Robertson): how soon repetitions stop to count, and how much long texts count less."""
_CLASS_MARK = "\N{BULLET}"
"""Parts classes of labels from words."""
LONGEST_COMPOUND = 24
"""Letters of a word that is looked for as two."""


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


@dataclass(frozen=True, slots=True)
class _Postings:
    """Which texts hold a term, and how often."""

    rows: array[int] = field(default_factory=lambda: array("i"))
    counts: array[int] = field(default_factory=lambda: array("i"))


@dataclass(frozen=True, slots=True)
class _Match:
    """A term of a query with the texts that hold it in some form."""

    rows: np.ndarray
    """int64, ascending, each once."""
    bm25: np.ndarray
    weight: np.ndarray
    """1 where a text holds the word itself, `STEM_WEIGHT` where another form, float (rows,)."""


class TextIndex:
    """Texts by number, and their terms.

    Example:
        >>> index = TextIndex()
        >>> index.add_texts([(0, "A dog runs."), (1, "Two red cars.")])
        >>> [match.row for match in index.search("the red car").matches]
        [1]
    """

    def __init__(self) -> None:
        self._postings: defaultdict[str, _Postings] = defaultdict(_Postings)
        self._by_letter: defaultdict[str, set[str]] = defaultdict(set)
        """Terms of scripts without spaces by their first letter."""
        self._has_classes = False
        self._texts: dict[int, str] = {}
        self._lengths = np.zeros(0, np.float32)
        """Terms of each text, by its number."""
        self._mean_length = 1.0

    def __len__(self) -> int:
        return len(self._texts)

    def add_texts(self, texts: Iterable[tuple[int, str]]) -> None:
        """Take in texts by number (from 0); no number may be there already."""
        lengths: dict[int, int] = {}
        for row, text in texts:
            terms = extract_record_terms(text)
            self._texts[row] = text
            lengths[row] = len(terms)
            for term, count in Counter(terms).items():
                postings = self._postings[term]
                postings.rows.append(row)
                postings.counts.append(count)
                if not term.isascii() and len(term) <= 2:
                    self._by_letter[term[0]].add(term)
        if lengths:
            grown = np.zeros(max(len(self._lengths), max(lengths) + 1), np.float32)
            grown[: len(self._lengths)] = self._lengths
            grown[list(lengths)] = list(lengths.values())
            self._lengths = grown
            self._mean_length = max(1.0, float(grown.mean()))

    def add_records(self, first_row: int, records: Sequence[MemoryRecord]) -> None:
        """Take in the texts of records, numbered from `first_row`; of labels also what classes they
        name, which words of everyday speech mean ("puppy" a dog)."""
        self.add_texts(enumerate((record.text for record in records), start=first_row))
        for row, record in enumerate(records, start=first_row):
            if record.channel == "label":
                for name in dict.fromkeys(record.text.lower().split(", ")):
                    postings = self._postings[_CLASS_MARK + name]
                    postings.rows.append(row)
                    postings.counts.append(1)
                    self._has_classes = True

    def search(self, text: str, allowed: np.ndarray | None = None) -> TextSearch:
        """The texts that hold words of `text`, best first by BM25; of those alone that `allowed`
        (bool, one a text) says, where it is given."""
        # 1. How many texts hold each term; words that stand in most of them find nothing.
        counts: dict[QueryTerm, int] = {}
        common: list[str] = []
        for term in self._join_compounds(text):
            if self._is_common(self._count_texts(term)) and term.stem:
                term = replace(term, stem="")  # the word itself may be rarer than its stem
            if self._is_common(count := self._count_texts(term)):
                common.append(term.exact)
            else:
                counts[term] = count
        counts = self._drop_frequent(counts)
        present = _fit_terms(counts)
        if not present:
            return TextSearch((), tuple(common))
        # 2. BM25 and coverage of all texts that hold any of it.
        weights = self._weigh_terms(counts)
        scores = np.zeros(len(self._lengths))
        covered = np.zeros(len(self._lengths))
        for term in present:
            match = self._match_term(term)
            scores[match.rows] += match.bm25
            covered[match.rows] += weights[term] * match.weight
        # 3. The best of them; equal scores go by number.
        if allowed is not None:
            scores[: len(allowed)][~allowed] = 0
        rows = np.flatnonzero(scores)
        if len(rows) > MOST_RANKED:
            # Only those that can be among the best are sorted.
            least = np.partition(scores[rows], -MOST_RANKED)[-MOST_RANKED]
            rows = rows[scores[rows] >= least]
        best = rows[np.argsort(-scores[rows], kind="stable")][:MOST_RANKED]
        total = sum(sorted(weights.values(), reverse=True)[:MOST_EXPECTED])
        return TextSearch(
            tuple(
                TextMatch(row, bm25, min(1.0, share / total))
                for row, bm25, share in zip(
                    best.tolist(), scores[best].tolist(), covered[best].tolist(), strict=True
                )
            ),
            tuple(common),
        )

    def _join_compounds(self, text: str) -> list[QueryTerm]:
        """The terms of a query; words that texts write as one or as two are looked for as both."""
        terms = {term.exact: term for term in extract_query_terms(text)}
        # "Data set" as "dataset": whoever holds the one word holds both.
        for first, second in pair_words(text):
            if first + second in self._postings:
                for word in (first, second):
                    if word in terms:
                        alike = (*terms[word].alike, first + second)
                        terms[word] = replace(terms[word], alike=alike)
        for words in (*((word,) for word in list(terms)), *pair_words(text)):
            for form in self._find_class_forms(" ".join(words)):
                for word in words:
                    if word in terms:
                        alike = (*terms[word].alike, form)
                        terms[word] = replace(terms[word], alike=alike)
        # "Dataset" as "data set", where no text writes it as one.
        for term in list(terms.values()):
            if len(term.exact) > 3 and term.exact.isalpha() and not self._count_texts(term):
                terms[term.exact] = replace(term, halves=self._split_compound(term.exact))
        return list(terms.values())

    def _find_class_forms(self, word: str) -> list[str]:
        """Classes of labels that a word means, as far as texts are labelled so."""
        if not self._has_classes:
            return []
        forms = (_CLASS_MARK + name.lower() for name in find_classes(word))
        return [form for form in forms if form in self._postings]

    def _split_compound(self, word: str) -> tuple[str, str] | None:
        """Two words that texts hold beside each other, and that make this one."""
        for i in range(1, min(len(word), LONGEST_COMPOUND)):
            halves = (word[:i], word[i:])
            if all(half in self._postings for half in halves) and len(
                self._find_neighbours(halves)
            ):
                return halves
        return None

    def _find_neighbours(self, halves: tuple[str, str]) -> np.ndarray:
        """Numbers of the texts in which these words stand one behind the other."""
        first, second = (np.array(self._postings[half].rows, np.int64) for half in halves)
        both = np.intersect1d(first, second)
        # Few of many hold them side by side: those that are not looked through are not found.
        return np.array(
            [row for row in both[:MOST_RANKED].tolist() if halves in pair_words(self._texts[row])],
            np.int64,
        )

    def _is_common(self, count: int) -> bool:
        return count > max(FEWEST_COMMON, COMMON_SHARE * len(self))

    def _drop_frequent(self, counts: dict[QueryTerm, int]) -> dict[QueryTerm, int]:
        """Without what many texts hold, where something rarer is there: it finds hardly anything,
        and takes most of the time."""
        limit = max(FEWEST_DROPPED, DROPPED_SHARE * len(self))
        if not any(0 < count <= limit for count in counts.values()):
            return counts
        return {term: count for term, count in counts.items() if count <= limit}

    def _count_texts(self, term: QueryTerm) -> int:
        """How many texts hold a term in any form that counts as it."""
        if term.is_prefix:
            return len(self._match_rows(self._by_letter.get(term.exact, ())))
        if term.halves:
            return len(self._find_neighbours(term.halves))
        # Whatever holds the word holds its stem too.
        forms = (term.stem or term.exact, *term.alike)
        return max(self._count_postings(form) for form in forms)

    def _count_postings(self, form: str) -> int:
        return len(self._postings[form].rows) if form in self._postings else 0

    def _weigh_terms(self, counts: dict[QueryTerm, int]) -> dict[QueryTerm, float]:
        """How much each term counts: rare ones more. What stands nowhere counts as the mean of what
        stands somewhere: it may be what is looked for, or only how the question is put."""
        weights = {t: math.log(1 + len(self) / n) for t, n in counts.items() if n}
        mean = sum(weights.values()) / len(weights)
        return {term: weights.get(term, mean) for term in counts}

    def _match_term(self, term: QueryTerm) -> _Match:
        if term.halves:
            rows = self._find_neighbours(term.halves)
            return _Match(rows, np.full(len(rows), self._idf(len(rows))), np.ones(len(rows)))
        if term.is_prefix:
            rows = self._match_rows(self._by_letter.get(term.exact, ()))
            return _Match(rows, np.full(len(rows), self._idf(len(rows))), np.ones(len(rows)))
        exact = self._score_form(term.exact)
        # Whoever holds the word itself holds its stem too, so that both count.
        others = [self._score_form(form) for form in (term.stem, *term.alike) if form]
        # Texts with the stem are all that hold the word, in order already.
        if term.stem and not term.alike:
            rows = others[0][0]
        else:
            rows = np.unique(np.concatenate([exact[0], *(rows for rows, _ in others)]))
        bm25 = np.zeros(len(rows))
        for form_rows, form_bm25 in (exact, *others):
            bm25[np.searchsorted(rows, form_rows)] += form_bm25
        weight = np.full(len(rows), STEM_WEIGHT)
        weight[np.searchsorted(rows, exact[0])] = 1.0
        return _Match(rows, bm25, weight)

    def _score_form(self, form: str) -> tuple[np.ndarray, np.ndarray]:
        """(numbers of the texts that hold this form, their BM25)."""
        postings = self._postings.get(form)
        if postings is None:
            return np.zeros(0, np.int64), np.zeros(0)
        # Copies: an array that something looks into cannot grow.
        rows, counts = np.array(postings.rows, np.int64), np.array(postings.counts, np.float64)
        length = self._lengths[rows] / self._mean_length
        share = counts * (K1 + 1) / (counts + K1 * (1 - B + B * length))
        return rows, self._idf(len(rows)) * share

    def _idf(self, count: int) -> float:
        # Never below a little, as a term of most texts would turn their order round.
        return max(1e-6, math.log((len(self) - count + 0.5) / (count + 0.5)))

    def _match_rows(self, forms: Iterable[str]) -> np.ndarray:
        rows = [self._postings[form].rows for form in forms]
        return np.unique(np.array(list(itertools.chain(*rows)), np.int64))


def _fit_terms(counts: dict[QueryTerm, int]) -> Sequence[QueryTerm]:
    """The terms that stand anywhere, rarest first, as far as they fit into `MOST_MATCHES`
    together; the rarest in any case."""
    fitting: list[QueryTerm] = []
    room = MOST_MATCHES
    for term in sorted(filter(counts.get, counts), key=lambda term: counts[term]):
        room -= counts[term]
        if room < 0 and fitting:
            break
        fitting.append(term)
    return fitting

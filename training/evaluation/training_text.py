"""Texts that a model was trained on, searched by BM25: a small index of our own.

Okapi BM25 (Robertson and Zaragoza 2009) with k1 = 0.9 and b = 0.4, as Anserini has them for
passages (Yang et al. 2017). Words are compared as `split_tokens` gives them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mmreason.language.numbers import numbers_as_digits
from mmreason.training.data.dialects.detect import open_samples
from mmreason.training.data.sample import Sample
from mmreason.types import UsageError

K1, B = 0.9, 0.4
PASSAGE_WORDS = 200
"""Of running text: passages of so many words are searched."""
MOST_TEXT_BYTES = 256_000_000
"""Of a file of training text."""
_PLAIN_SUFFIXES = (".txt", ".md", ".rst")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)
"""Scripts that put no space between words: each of their characters is a word of its own."""


def split_tokens(text: str) -> list[str]:
    """Words for comparison: letters without case, composed in one way; numbers as one text each,
    whatever digits they are written in, so that "2010" holds no "10" and "ten" is "10".

    Example:
        >>> split_tokens("Ten caf\\u00e9s, 1,200.50 \\uff12\\uff10\\uff11\\uff10!")
        ['10', 'caf\u00e9s', '1200.5', '2010']
        >>> split_tokens("\\u0663")
        ['3']
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(_as_ascii_digit(character) for character in text)
    tokens: list[str] = []
    for number, word in _words(numbers_as_digits(text)):
        tokens.append(f"{float(number):.15g}" if number and len(number) < 16 else word)
    return tokens


def _as_ascii_digit(character: str) -> str:
    if character.isascii() or (value := unicodedata.decimal(character, None)) is None:
        return character
    return str(value)


def _words(text: str) -> Iterator[tuple[str, str]]:
    """(number, "") or ("", word), in order: runs of letters with their marks, and numbers."""
    start = 0
    while start < len(text):
        if (match := _NUMBER.match(text, start)) and not _continues(text, match.end()):
            yield match[0], match[0]
            start = match.end()
            continue
        if _UNSPACED.match(text, start):
            yield "", text[start]
            start += 1
            continue
        end = start
        while end < len(text) and _is_word(text[end]) and not _UNSPACED.match(text, end):
            end += 1
        if end > start:
            yield "", text[start:end]
        start = max(end, start + 1)


def _is_word(character: str) -> bool:
    # Marks belong to their letters: without them words of Hindi and Arabic fall apart.
    return unicodedata.category(character)[0] in "LMN"


def _continues(text: str, end: int) -> bool:
    """Whether letters follow a number without a space: "3d" is one word."""
    return end < len(text) and _is_word(text[end]) and not _UNSPACED.match(text, end)


class TextIndex:
    """Documents with an inverted index.

    Example:
        >>> index = TextIndex(["a red kettle boils", "the sea is calm"])
        >>> index.search("red kettle", 1)
        [0]
    """

    def __init__(self, documents: Iterable[str]):
        self.tokens: list[list[str]] = [split_tokens(document) for document in documents]
        self._postings: dict[str, list[tuple[int, int]]] = {}
        for number, tokens in enumerate(self.tokens):
            for token, count in Counter(tokens).items():
                self._postings.setdefault(token, []).append((number, count))
        self._mean_length = sum(map(len, self.tokens)) / max(1, len(self.tokens))

    def __len__(self) -> int:
        return len(self.tokens)

    def search(self, query: str, most: int) -> list[int]:
        """Numbers of the `most` best documents, the best first; those of one score in order."""
        scores: dict[int, float] = {}
        for token in dict.fromkeys(split_tokens(query)):
            postings = self._postings.get(token, [])
            count = len(postings)
            weight = math.log(1 + (len(self.tokens) - count + 0.5) / (count + 0.5))
            for number, frequency in postings:
                length = len(self.tokens[number]) / self._mean_length
                saturation = frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * length))
                scores[number] = scores.get(number, 0.0) + weight * saturation
        return sorted(scores, key=lambda number: (-scores[number], number))[:most]


def read_training_text(paths: Sequence[Path]) -> TextIndex:
    """An index of files: data sets in any dialect, a row a document, and plain text (.txt, .md,
    .rst) in passages. UsageError for what is neither."""
    return TextIndex(document for path in paths for document in _read_documents(path))


def _read_documents(path: Path) -> Iterator[str]:
    if path.suffix.lower() not in _PLAIN_SUFFIXES:
        for row in open_samples(path).rows():
            if isinstance(row, Sample):
                yield "\n".join([*(message.text for message in row.messages), row.transcript])
        return
    try:
        if path.stat().st_size > MOST_TEXT_BYTES:
            raise UsageError(f"{path}: has more than the limit of {MOST_TEXT_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    words = text.split()
    for start in range(0, len(words), PASSAGE_WORDS):
        yield " ".join(words[start : start + PASSAGE_WORDS])

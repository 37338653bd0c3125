"""What stands in the records of a video, cut into passages that a question is held against.

A passage of speech is a sentence, put together from the lines that it runs over. A line on a screen
is a passage, as is a label. Pure, but for the embedder that compares by meaning.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.language.fact_questions import FactQuestion, Sense
from mmreason.language.text import split_words, stem_word
from mmreason.memory.number_words import write_numbers_alike
from mmreason.memory.records import Channel, MemoryRecord
from mmreason.memory.terms import fold_text
from mmreason.memory.vector_index import Embedder
from mmreason.video.types import Span

CHANNEL_OF: dict[Sense, Channel] = {"speech": "speech", "screen": "screen_text", "labels": "label"}
SENSE_OF: dict[str, Sense] = {channel: sense for sense, channel in CHANNEL_OF.items()}
NEIGHBOUR_GAP_S = 2.0
"""Lines of speech further apart than this belong to different sentences."""
SENTENCE_RECORDS = 6
"""Most lines of a sentence: recognisers leave out full stops now and then."""
MOST_EMBEDDED = 512
"""Passages that are compared by meaning; of more, those with words of the question first."""
SIMILAR_WORD = 0.82
"""Words this much alike count as the same: recognisers misspell names."""
SIMILAR_LETTERS = 5
"""Shorter words must be the same."""
LIKE_SOUND = 0.5
"""Likeness of letters from which a word may be a misheard one beside another that is right."""
LIKE_SOUND_ALONE = 0.65
_SENTENCE_END = re.compile(r"(?<=[.?!\u2026])[\"'\u2019\u201d)]*\s+(?=[^\W_])")
_SPLIT_GROUP = re.compile(r"(?<=\d)\s+,(?=\d{3}\b)")
"""Recognisers write "6 ,000"."""
_FULL_HOUR = re.compile(r"\b(\d{1,2})(?:[:.]00| ?o'?clock)(?![\w])")
_MONEY = {"pounds": "pound", "euros": "euro", "dollars": "dollar"}
_ENDS = re.compile(r"[.?!\u2026][\"'\u2019\u201d)]*$")


@dataclass(frozen=True, slots=True)
class RecordPassage:
    """Some words of one record or of a few that follow each other.

    Example:
        >>> record = MemoryRecord("speech", Span(4, 8), "The budget is two million.", "talk.srt")
        >>> RecordPassage((record,), record.text).span
        Span(start_s=4, end_s=8)
    """

    records: tuple[MemoryRecord, ...]
    """One at least, of one channel, by time."""
    text: str
    """Words of these records, on one line."""

    @property
    def sense(self) -> Sense:
        """Which sense made it."""
        return SENSE_OF[self.records[0].channel]

    @property
    def span(self) -> Span:
        """From the start of the first record to the end of the last."""
        start_s = min(record.span.start_s for record in self.records)
        return Span(start_s, max(record.span.end_s for record in self.records))


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage held against a question."""

    passage: RecordPassage
    coverage: float
    """Share of the question's topic that it holds, rare words counting more, 0..1."""
    cosine: float
    """Of the embeddings of question and passage; 0 without an embedder."""

    @property
    def score(self) -> float:
        """What orders passages, 0..1."""
        return max(0.0, min(1.0, 0.5 * self.coverage + 0.5 * max(self.cosine, 0.0)))


def make_passages(records: Iterable[MemoryRecord]) -> tuple[RecordPassage, ...]:
    """Passages of the records that senses make, by sense and time; others give none.

    Example:
        >>> lines = [MemoryRecord("speech", Span(0, 2), "The boat is", "a.srt"),
        ...     MemoryRecord("speech", Span(2, 4), "red. It is fast.", "a.srt")]
        >>> [passage.text for passage in make_passages(lines)]
        ['The boat is red.', 'It is fast.']
    """
    by_sense: dict[Sense, list[MemoryRecord]] = {sense: [] for sense in CHANNEL_OF}
    for record in sorted(records, key=lambda record: record.span_us):
        # Colours, light and movement are written as labels too, but name nothing.
        if record.channel in SENSE_OF and not (
            record.channel == "label" and record.confidence is None
        ):
            by_sense[SENSE_OF[record.channel]].append(record)
    singles = (
        RecordPassage((record,), " ".join(record.text.split()))
        for sense in ("screen", "labels")
        for record in by_sense[sense]
    )
    return (*_make_sentences(by_sense["speech"]), *singles)


def rank_passages(
    question: FactQuestion, passages: Sequence[RecordPassage], embedder: Embedder | None
) -> tuple[ScoredPassage, ...]:
    """All passages, the nearest to the question first; of equal ones the earlier."""
    if not passages:
        return ()
    # 1. By words: which of the topic each holds, and how rare that is.
    held = [match_topic(question.topic, passage.text) for passage in passages]
    if question.subject:
        # A subject that was misheard in part is held.
        held = [
            stems | set(question.subject) if holds_subject(question.subject, p.text) else stems
            for stems, p in zip(held, passages, strict=True)
        ]
    counts = Counter(stem for stems in held for stem in stems)
    weights = {stem: math.log(1 + len(passages) / max(1, counts[stem])) for stem in question.topic}
    total = sum(weights.values()) or 1.0
    coverage = [sum(weights[stem] for stem in stems) / total for stems in held]
    # 2. By meaning, those with words of the question first where they are many.
    rows = sorted(range(len(passages)), key=lambda row: -coverage[row])[:MOST_EMBEDDED]
    cosines = np.zeros(len(passages), np.float32)
    if embedder is not None:
        texts = [question.query, *(passages[row].text for row in rows)]
        table = embedder.embed_texts(texts)
        cosines[rows] = table[1:] @ table[0]
    scored = (
        ScoredPassage(passage, coverage[row], float(cosines[row]))
        for row, passage in enumerate(passages)
    )
    return tuple(sorted(scored, key=lambda item: (-item.score, item.passage.span)))


def match_topic(topic: Sequence[str], text: str) -> frozenset[str]:
    """The stems of `topic` that a text holds, in digits or words, also a little misspelt.

    Example:
        >>> sorted(match_topic(("barbecu", "22", "chees"), "A barbacue at twenty-two: cheese."))
        ['22', 'barbecu', 'chees']
    """
    stems = set(map(stem_word, plain_words(text)))
    # A stem that is no number stays: the stem of a stem is another word.
    wanted = {stem: "".join(plain_words(stem)) for stem in topic}
    return frozenset(
        stem
        for stem, plain in wanted.items()
        if plain in stems or (_may_be_misspelt(plain) and _is_misspelt(plain, stems))
    )


def plain_words(text: str) -> list[str]:
    """Words for comparison: folded, numbers and sums of money and full hours in one form.

    Example:
        >>> plain_words("At nine o'clock, 6,000 pounds"), plain_words("9:00: £6 ,000")
        (['at', '9', 'oclock', '6000', 'pound'], ['9', 'oclock', '6000', 'pound'])
    """
    text = _SPLIT_GROUP.sub(",", fold_text(text))
    text = _FULL_HOUR.sub(r"\1 oclock", write_numbers_alike(text))
    return [_MONEY.get(word, word) for word in split_words(text)]


def sounds_like(stem: str, word: str, likeness: float) -> bool:
    """Whether two words share so much of their letters, in order, and begin alike or end alike.

    Example:
        >>> sounds_like("film", "field", 0.5), sounds_like("film", "music", 0.5)
        (True, False)
    """
    ratio = difflib.SequenceMatcher(None, stem, word, autojunk=False).ratio()
    are_words = stem.isalpha() and word.isalpha()
    return are_words and ratio >= likeness and (stem[0] == word[0] or stem[-2:] == word[-2:])


def holds_subject(subject: Sequence[str], text: str) -> bool:
    """Whether a text is about a subject: it holds all its words, or half of them and others that
    sound like the rest, as recognisers write them.

    Example:
        >>> holds_subject(("film", "night"), "Friday is the date of the field night.")
        True
        >>> holds_subject(("film", "night"), "Friday is the music night.")
        False
    """
    held = match_topic(subject, text)
    if len(held) == len(subject):
        return True
    words = [stem_word(word) for word in split_words(text)]
    likeness = LIKE_SOUND if held else LIKE_SOUND_ALONE
    is_like = all(
        any(
            sounds_like(stem, word, likeness)
            # Alone, short words are soon alike, and so are endings: "tank" is not "thank".
            and (held or (len(stem) >= SIMILAR_LETTERS and stem[0] == word[0]))
            for word in words
        )
        for stem in subject
        if stem not in held
    )
    return is_like and 2 * len(held) >= len(subject) - 1


def stands_in(quote: str, records: Sequence[MemoryRecord]) -> bool:
    """Whether a quote stands in its records, word for word, but for case, white space and marks.

    Example:
        >>> record = MemoryRecord("speech", Span(4, 8), "The budget is two million.", "talk.srt")
        >>> stands_in("two million", [record]), stands_in("three million", [record])
        (True, False)
    """
    written = " ".join(plain_words(" ".join(record.text for record in records)))
    return f" {' '.join(plain_words(quote))} " in f" {written} "


def _may_be_misspelt(stem: str) -> bool:
    """Short words are soon alike, and a number that is nearly the same is another number."""
    return len(stem) >= SIMILAR_LETTERS and stem.isalpha()


def _is_misspelt(stem: str, stems: Iterable[str]) -> bool:
    matcher = difflib.SequenceMatcher(b=stem, autojunk=False)
    for other in stems:
        if len(other) < SIMILAR_LETTERS - 1 or abs(len(other) - len(stem)) > 2:
            continue
        matcher.set_seq1(other)
        if matcher.quick_ratio() >= SIMILAR_WORD and matcher.ratio() >= SIMILAR_WORD:
            return True
    return False


def _make_sentences(lines: Sequence[MemoryRecord]) -> list[RecordPassage]:
    """Sentences of lines by time. Where no mark ends one, each line is a passage."""
    has_marks = any(_ENDS.search(line.text.strip()) for line in lines)
    passages: list[RecordPassage] = []
    parts: list[tuple[MemoryRecord, str]] = []
    for i, line in enumerate(lines):
        # Rolling captions repeat a line: it is read once.
        text = _SPLIT_GROUP.sub(",", " ".join(line.text.split()))
        if i and line.text == lines[i - 1].text:
            continue
        for piece in _SENTENCE_END.split(text):
            parts.append((line, piece))
            if not has_marks or _ENDS.search(piece) or len(parts) >= SENTENCE_RECORDS:
                passages.append(_join(parts))
                parts = []
        follows = i + 1 < len(lines) and (
            lines[i + 1].span.start_s - line.span.end_s <= NEIGHBOUR_GAP_S
        )
        if parts and not follows:
            passages.append(_join(parts))
            parts = []
    return passages


def _join(parts: Sequence[tuple[MemoryRecord, str]]) -> RecordPassage:
    records = tuple(dict.fromkeys(record for record, _ in parts))
    return RecordPassage(records, " ".join(text for _, text in parts))

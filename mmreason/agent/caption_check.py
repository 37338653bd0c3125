"""Whether captions bear a claim out: all of its words told of one thing, as the captioner writes.

A model that is asked "Is there a striped circle?" tends to say yes where there is a striped square
beside a plain circle; asked to describe, it keeps them apart. A word counts only where the same
captioner has used it, so that a thing it calls by other words is not taken for missing. What
follows from that is in `verification.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mmreason.language.text import extract_phrases, extract_terms
from mmreason.types import Note
from mmreason.video.types import Span

USED_OFTEN = 2
"""A word belongs to the captioner's words when this many captions hold it."""


@dataclass
class SeenCaptions:
    """What was described in the course of one question.

    Example:
        >>> captions = SeenCaptions()
        >>> captions.add([Note(Span(0, 4), "a dog and a car."), Note(Span(4, 8), "a dog.")])
        >>> sorted(captions.expected("brown dog"))
        ['dog']
    """

    notes: list[Note] = field(default_factory=list)
    _used: Counter[str] = field(default_factory=Counter)

    def add(self, notes: Iterable[Note]) -> None:
        """Take in captions."""
        for note in notes:
            self.notes.append(note)
            # A set: a caption counts once, however often it says a word.
            self._used.update({term for phrase in extract_phrases(note.text) for term in phrase})

    def expected(self, thing: str) -> frozenset[str]:
        """Words of `thing` that a caption of it would hold, as this captioner writes."""
        return frozenset(word for word in content_words(thing) if self._used[word] >= USED_OFTEN)

    def within(self, span: Span) -> list[Note]:
        """Captions of frames in `span` alone."""
        return [note for note in self.notes if _is_within(note, span)]


def content_words(thing: str) -> frozenset[str]:
    """Content words, without pairs of them.

    Example:
        >>> sorted(content_words("the red star"))
        ['red', 'star']
    """
    return frozenset(term for term in extract_terms(thing) if " " not in term)


def supports(
    notes: Sequence[Note], expected: frozenset[str], answer: frozenset[str] = frozenset()
) -> bool:
    """Whether one phrase of one caption holds all that is `expected` of a thing, and words of the
    `answer` that are told at all are told of that thing too.

    Example:
        >>> notes = [Note(Span(0, 4), "a striped square and a plain circle.")]
        >>> supports(notes, content_words("plain circle"))
        True
        >>> supports(notes, content_words("striped circle"))
        False
    """
    phrase_words = [set(phrase) for note in notes for phrase in extract_phrases(note.text)]
    matching = [terms for terms in phrase_words if expected <= terms]
    # Words that no caption holds say nothing against: the captioner may use others.
    told_answer = {word for word in answer if any(word in terms for terms in phrase_words)}
    return any(told_answer <= terms for terms in matching)


def _is_within(note: Note, span: Span) -> bool:
    if note.time_s is not None:
        return span.contains(note.time_s)
    return span.start_s <= note.span.start_s and note.span.end_s <= span.end_s

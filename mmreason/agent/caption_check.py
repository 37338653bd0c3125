"""Whether captions bear a claim out: all of its words told of one thing, as the captioner writes.

A model that is asked "Is there a striped circle?" tends to say yes where there is a striped square
beside a plain circle; asked to describe, it keeps them apart. A word counts only where the same
captioner has used it, so that a thing it calls by other words is not taken for missing. Leaves out
what follows from that (`agent.py`).
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
    """What was described in the course of one question."""

    notes: list[Note] = field(default_factory=list)
    _used: Counter[str] = field(default_factory=Counter)

    def hear(self, notes: Iterable[Note]) -> None:
        """Take in captions."""
        for note in notes:
            self.notes.append(note)
            self._used.update({term for part in extract_phrases(note.text) for term in part})

    def expected(self, thing: str) -> frozenset[str]:
        """Words of `thing` that a caption of it would hold, as this captioner writes."""
        return frozenset(word for word in words_of(thing) if self._used[word] >= USED_OFTEN)

    def within(self, span: Span) -> list[Note]:
        """Captions of frames in `span` alone."""
        return [note for note in self.notes if _is_within(note, span)]


def words_of(thing: str) -> frozenset[str]:
    """Content words, without pairs of them."""
    return frozenset(term for term in extract_terms(thing) if " " not in term)


def bears(
    notes: Sequence[Note], expected: frozenset[str], answer: frozenset[str] = frozenset()
) -> bool:
    """Whether one phrase of one caption holds all that is `expected` of a thing, and words of the
    `answer` that are told at all are told of that thing too."""
    parts = [set(part) for note in notes for part in extract_phrases(note.text)]
    bearing = [part for part in parts if expected <= part]
    told = {word for word in answer if any(word in part for part in parts)}
    return any(told <= part for part in bearing)


def _is_within(note: Note, span: Span) -> bool:
    if note.time_s is not None:
        return span.contains(note.time_s)
    return span.start_s <= note.span.start_s and note.span.end_s <= span.end_s

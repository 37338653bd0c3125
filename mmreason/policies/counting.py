"""How many different things captions tell of, when no single place shows them all.

Two descriptions are of one thing where one says nothing that the other does not: "a red star" and
"a small red striped star". Things told alike at two places count once. Pure; leaves out where the
captions come from (`greedy.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmreason.agent.caption_check import words_of
from mmreason.language.numbers import NUMBERS
from mmreason.language.text import extract_phrases, stem_word
from mmreason.types import Note

_NUMBERS = {stem_word(word): int(number) for word, number in NUMBERS.items()}

Description = frozenset[str]
"""Content words told of one thing."""


def descriptions(text: str, thing: str) -> tuple[Description, ...]:
    """What a caption tells of each `thing` in it ("orange objects"), in order."""
    asked = words_of(thing)
    told = (frozenset(t for t in part if " " not in t) for part in extract_phrases(text))
    return tuple(words for words in told if asked and asked <= words)


def option_told(notes: Iterable[Note], thing: str, options: Sequence[str]) -> int | None:
    """The one option that captions tell of `thing`; None where they tell none, or several."""
    told = {
        index
        for note in notes
        for one in descriptions(note.text, thing)
        for index, option in enumerate(options)
        if (words := words_of(option)) and words <= one
    }
    return told.pop() if len(told) == 1 else None


def different(found: Iterable[Description]) -> list[Description]:
    """One description a thing, the fullest there is."""
    kept: list[Description] = []
    for one in found:
        same = [other for other in kept if one <= other or other <= one]
        if any(one <= other for other in same):
            continue
        kept = [other for other in kept if other not in same]
        kept.append(one)
    return kept


def total(found: Sequence[Description]) -> int:
    """How many things they are: "two red stars" are two."""
    return sum(max([_NUMBERS.get(word, 1) for word in one]) for one in found)

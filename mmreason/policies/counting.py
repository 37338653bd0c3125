"""How many different things captions tell of, when no single place shows them all.

Two descriptions are of one thing where one says nothing that the other does not: "a red star" and
"a small red striped star". Things told alike at two places count once. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmreason.agent.caption_check import content_words
from mmreason.language.numbers import NUMBERS
from mmreason.language.text import extract_phrases, stem_word
from mmreason.types import Note

_NUMBERS = {stem_word(word): int(number) for word, number in NUMBERS.items()}

Description = frozenset[str]
"""Content words told of one thing."""


def read_descriptions(text: str, thing: str) -> tuple[Description, ...]:
    """What a caption tells of each `thing` in it ("orange objects"), in order.

    Example:
        >>> [sorted(words) for words in read_descriptions("a red star and a circle.", "stars")]
        [['red', 'star']]
    """
    thing_words = content_words(thing)
    phrase_words = (
        frozenset(t for t in phrase if " " not in t) for phrase in extract_phrases(text)
    )
    return tuple(
        description for description in phrase_words if thing_words and thing_words <= description
    )


def find_told_option(notes: Iterable[Note], thing: str, options: Sequence[str]) -> int | None:
    """The one option that captions tell of `thing`; None where they tell none, or several.

    Example:
        >>> from mmreason.video.types import Span
        >>> notes = [Note(Span(0, 4), "a dotted cross moves left.")]
        >>> find_told_option(notes, "dotted cross", ("it moves up", "it moves left"))
        1
    """
    option_words = [content_words(option) for option in options]
    told_options = {
        index
        for note in notes
        for description in read_descriptions(note.text, thing)
        for index, thing_words in enumerate(option_words)
        if thing_words and thing_words <= description
    }
    return told_options.pop() if len(told_options) == 1 else None


def merge_descriptions(descriptions: Iterable[Description]) -> list[Description]:
    """One description a thing, the fullest there is.

    Example:
        >>> star = frozenset({"star"})
        >>> merge_descriptions([star, star | {"red"}]) == [star | {"red"}]
        True
    """
    fullest: list[Description] = []
    for new in descriptions:
        # Equal things, and those that one of the two says less of.
        alike = [other for other in fullest if new <= other or other <= new]
        if any(new <= other for other in alike):
            continue
        fullest = [other for other in fullest if other not in alike]
        fullest.append(new)
    return fullest


def count_things(descriptions: Sequence[Description]) -> int:
    """How many things they are: "two red stars" are two.

    Example:
        >>> count_things([frozenset({"two", "star"}), frozenset({"circle"})])
        3
    """
    return sum(max(_NUMBERS.get(word, 1) for word in description) for description in descriptions)

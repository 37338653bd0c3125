"""Answers from lines of text about moments or stretches: what the baselines do with captions.

Plain rules over the question forms of these worlds; no model. A thing is told by a line where one
phrase of it ("a small red striped star") holds all words it is called by. `baselines.py` asks
for the lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmreason.language.answer_reading import read_answer
from mmreason.language.refusals import is_out_of_domain
from mmreason.language.text import split_words
from mmreason.needle.words import VALUES, parse_question, things_of, to_singular
from mmreason.video.types import Span

_WORD = re.compile(r"\bthe words? ([A-Z]+(?: and [A-Z]+)*)")


@dataclass(frozen=True, slots=True)
class CaptionLine:
    """What a model wrote about `span`; a still speaks for the stretch around it.

    Example:
        >>> line = CaptionLine(Span(0, 4), "a red star. the word PARK is on the screen.", (2.0,))
        >>> line.phrases()[0], line.shown_words()
        (['a', 'red', 'star'], ('PARK',))
    """

    span: Span
    text: str
    frame_times_s: tuple[float, ...]

    def phrases(self) -> list[list[str]]:
        """Words of each thing told."""
        if is_out_of_domain(self.text):
            return []
        # "and" parts things only before an article: "red and blue stripes" is one.
        pieces = re.split(r"[.,;]| and (?=an? |the )| then ", self.text)
        return [split_words(piece) for piece in pieces]

    def shown_words(self) -> tuple[str, ...]:
        """On-screen words that the line tells."""
        groups = _WORD.findall(self.text)
        return tuple(word for group in groups for word in group.split(" and "))


@dataclass(frozen=True, slots=True)
class CaptionReading:
    """What was read: a choice (None: nothing supports one), its words and the lines behind it."""

    choice: int | None
    text: str
    lines: tuple[CaptionLine, ...] = ()


def find_phrase(thing: str, line: CaptionLine) -> list[str] | None:
    """The first phrase of `line` that holds all words of `thing`, or None.

    Example:
        >>> line = CaptionLine(Span(0, 4), "a red star and a blue ring.", (2.0,))
        >>> find_phrase("blue ring", line), find_phrase("blue star", line)
        (['a', 'blue', 'ring'], None)
    """
    thing_words = [word for word in thing.split() if word != "object"]
    return next((p for p in line.phrases() if all(w in p for w in thing_words)), None)


def lines_about(thing: str, lines: Sequence[CaptionLine]) -> list[CaptionLine]:
    """Lines that tell of `thing`, in order of time."""
    return sorted((line for line in lines if find_phrase(thing, line)), key=lambda line: line.span)


ShowsWord = Callable[[CaptionLine], bool]
"""Whether a line's moment shows the word that the question speaks of."""


def answer_from_lines(
    question: str, options: tuple[str, ...], lines: Sequence[CaptionLine], shows_word: ShowsWord
) -> CaptionReading:
    """The answer to a question without its clause, from `lines` alone.

    Example:
        >>> lines = [CaptionLine(Span(0, 4), "a red star.", (2.0,))]
        >>> answer = answer_from_lines("What colour is the star?", ("blue", "red"), lines, bool)
        >>> answer.choice, answer.text
        (1, 'red')
    """
    question_parts = parse_question(question)
    if question_parts is None:
        return CaptionReading(None, "")
    form, groups = question_parts
    if form == "order":
        return _order(groups[0], things_of(groups[1]), options, lines, shows_word)
    if form == "count":
        return _count(to_singular(groups[0]), options, lines, shows_word)
    return _single(form, groups[0], options, lines, shows_word)


def best_line(
    question: str, lines: Sequence[CaptionLine], shows_word: ShowsWord
) -> CaptionLine | None:
    """The first line in which the thing asked about is told at the right time; None for questions
    about several things."""
    question_parts = parse_question(question)
    if question_parts is None or question_parts[0] in ("order", "count", "word"):
        return None
    return next(
        (line for line in lines_about(question_parts[1][0], lines) if shows_word(line)), None
    )


def _single(
    form: str,
    thing: str,
    options: tuple[str, ...],
    lines: Sequence[CaptionLine],
    shows_word: ShowsWord,
) -> CaptionReading:
    line = next((line for line in lines_about(thing, lines) if shows_word(line)), None)
    phrase = None if line is None else find_phrase(thing, line)
    # Captions tell all there is to tell: what none of them names is not there.
    if line is None or phrase is None:
        return CaptionReading(None, f"there is no {thing}.")
    if form == "motion":
        return CaptionReading(read_answer(line.text, options).choice, line.text, (line,))
    values: dict[str, tuple[str, ...]] = {**VALUES}
    # A pattern that is not told is plain, as captions leave that word out.
    values_told = [v for v in values.get(form, ()) if v in phrase]
    value = values_told[0] if values_told else "plain" if form == "pattern" else ""
    choice = options.index(value) if value in options else None
    return CaptionReading(choice, value, (line,))


def _order(
    end: str,
    things: tuple[str, ...],
    options: tuple[str, ...],
    lines: Sequence[CaptionLine],
    shows_word: ShowsWord,
) -> CaptionReading:
    first = {}
    for thing in things:
        line = next((line for line in lines_about(thing, lines) if shows_word(line)), None)
        # An order needs both: one thing alone is before nothing.
        if line is None:
            return CaptionReading(None, f"there is no {thing}.")
        first[thing] = line
    pick = min if end == "first" else max
    best = pick(things, key=lambda thing: first[thing].span.start_s)
    return CaptionReading(
        read_answer(f"the {best}", options).choice, f"the {best}", tuple(first.values())
    )


def _count(
    thing: str, options: tuple[str, ...], lines: Sequence[CaptionLine], shows_word: ShowsWord
) -> CaptionReading:
    """Things that differ in how they are told count once each."""
    support: dict[tuple[str, ...], CaptionLine] = {}
    named = {value for values in VALUES.values() for value in values}
    for line in lines_about(thing, lines):
        phrase = find_phrase(thing, line)
        # A thing told in ten captions is one thing, known by its colour, size and pattern.
        key = tuple(word for word in phrase or () if word in named)
        if key not in support and shows_word(line):
            support[key] = line
    if not support:
        return CaptionReading(None, f"there are no such {thing}s.")
    number = str(len(support))
    choice = options.index(number) if number in options else None
    return CaptionReading(choice, number, tuple(support.values()))


def read_words(
    which: str, options: tuple[str, ...], words_of_lines: Sequence[tuple[CaptionLine, str]]
) -> CaptionReading:
    """The word shown `first`, `last`, `for the longest time` or `for the shortest time`, of those
    that are options, from the word at each line in order of time.

    Example:
        >>> words = [(CaptionLine(Span(i, i + 1), "", (i,)), word) for i, word in enumerate("AAB")]
        >>> read_words("for the longest time", ("B", "A"), words).text
        'A'
    """
    seen_s: dict[str, float] = {}
    for line, word in words_of_lines:
        if word in options:
            seen_s[word] = seen_s.get(word, 0.0) + line.span.duration_s
    if not seen_s:
        return CaptionReading(None, "")
    # By first sight, since dictionaries keep their order.
    order = list(seen_s)
    last = next(word for _, word in reversed(words_of_lines) if word in seen_s)
    pick = {
        "first": order[0],
        "last": last,
        "for the longest time": max(order, key=lambda w: seen_s[w]),
        "for the shortest time": min(order, key=lambda w: seen_s[w]),
    }.get(which)
    if pick is None:
        return CaptionReading(None, "")
    support = tuple(line for line, word in words_of_lines if word == pick)
    return CaptionReading(options.index(pick), pick, support[:8])

"""The units of a sentence: things with their looks, counts, relations, actions, and order in time.

English by rules: lists of small words and of verbs; whatever else stands before a verb or a place
is taken for a thing. A unit is told in the words of the sentence. What the rules do not read makes
no unit, so that nothing is claimed of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mmreason.grounding.expression_words import (
    COPULAS,
    DETERMINERS,
    MOVES,
    NEGATIONS,
    NUMBERS,
    is_adjective,
    is_move,
    is_noun,
    split_words,
)
from mmreason.video.types import VideoError

UnitKind = Literal["entity", "count", "relation", "action", "temporal"]
MOST_TEXT = 2_000
"""Characters; longer texts are refused."""

RELATIONS = (
    ("left", "of"),
    ("right", "of"),
    ("to", "the", "left", "of"),
    ("to", "the", "right", "of"),
    ("on", "the", "left", "of"),
    ("on", "the", "right", "of"),
    ("in", "front", "of"),
    ("on", "top", "of"),
    ("next", "to"),
    ("above",),
    ("below",),
    ("behind",),
    ("under",),
    ("underneath",),
    ("over",),
    ("inside",),
    ("outside",),
    ("beside",),
    ("near",),
    ("on",),
    ("in",),
    ("against",),
)
"""Words between two things that say where one is to the other; longer ones are looked for first."""
_VERBS = split_words(
    "hold wear eat play sit stand look drink use read watch cut feed ride face chase touch see "
    "show open close paint write cook wash drive fix build"
)
DOINGS = frozenset(
    form
    for stem in _VERBS
    for form in (f"{stem}s", f"{stem}es", f"{stem}ing", f"{stem.removesuffix('e')}ing")
)
"""Verbs with an object, between two things; a relation with no antonym."""
ORDERS = ("before", "after", "while", "until", "then")
"""Words between two clauses that say which is first."""
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_ENDS_CLAUSE = re.compile(r"[.;:!?,]")
_PARTICLES = frozenset(
    ("of", "to", "up", "down", "left", "right", "out", "into", "from", "by", "at", "away", "still")
)
_PRONOUNS = frozenset(("it", "he", "she", "they", "one", "who", "that"))
_JOINS = frozenset(("and", "with", "but", "or", "there"))


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that a text says.

    Example:
        >>> Unit("red star", "entity", 2, 10)
        Unit(text='red star', kind='entity', start=2, end=10, parts=())
    """

    text: str
    kind: UnitKind
    start: int
    """Of its characters in the text, and the end."""
    end: int
    parts: tuple[str, ...] = ()
    """Of a relation and of an order: what stands before, between and behind."""


class UnitExtractor(Protocol):
    """Takes a text apart: `extract_units`, or a language model behind the same call."""

    def __call__(self, text: str) -> tuple[Unit, ...]: ...


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int
    opens: bool
    """Whether a mark that ends a clause stands before it."""


@dataclass(frozen=True, slots=True)
class _Thing:
    first: int
    """Numbers of its words: with its looks, without its article; `stop` is behind the last."""
    stop: int
    is_count: bool


def extract_units(text: str) -> tuple[Unit, ...]:
    """The units of `text` in the order in which they begin, each told once. A clause that denies
    something makes none. VideoError beyond `MOST_TEXT` characters.

    Example:
        >>> for unit in extract_units("A small red star moves left before a ring appears."):
        ...     print(unit.kind, "|", unit.text)
        entity | small red star
        action | small red star moves left
        temporal | small red star moves left before a ring appears
        entity | ring
        action | ring appears
        >>> extract_units("Two cats left of a dog")[1].parts
        ('cats', 'left of', 'dog')
    """
    if len(text) > MOST_TEXT:
        raise VideoError(f"a text of {len(text):,} characters: at most {MOST_TEXT:,} are read")
    words = _split(text)
    # What is denied is not there: its clause makes no units.
    if any(word.text in NEGATIONS for word in words):
        words = [w for clause in _clauses(words) if not _denies(clause) for w in clause]
    things = list(_find_things(words))
    units = [
        *_entities(text, words, things),
        *_relations(text, words, things),
        *_actions(text, words, things),
    ]
    units += _orders(text, words, units)
    first: dict[tuple[str, UnitKind], Unit] = {}
    for unit in units:
        first.setdefault((unit.text.lower(), unit.kind), unit)
    return tuple(sorted(first.values(), key=lambda unit: (unit.start, unit.end)))


def _split(text: str) -> list[_Word]:
    words, before = [], 0
    for match in _WORD.finditer(text):
        opens = bool(_ENDS_CLAUSE.search(text, before, match.start()))
        words.append(_Word(match[0].lower(), match.start(), match.end(), opens))
        before = match.end()
    return words


def _clauses(words: Sequence[_Word]) -> Iterator[list[_Word]]:
    clause: list[_Word] = []
    for word in words:
        if word.opens and clause:
            yield clause
            clause = []
        clause.append(word)
    if clause:
        yield clause


def _denies(clause: Sequence[_Word]) -> bool:
    return any(word.text in NEGATIONS or word.text.endswith("n't") for word in clause)


def _find_things(words: Sequence[_Word]) -> Iterator[_Thing]:
    """Runs of looks and nouns: "two small red stars", "coffee cup"."""
    i = 0
    while i < len(words):
        if _is_small(words, i):
            i += 1
            continue
        first = i
        while i < len(words) and not _is_small(words, i) and not (i > first and words[i].opens):
            i += 1
        is_count = words[first].text in NUMBERS
        # A number or looks alone name nothing.
        if i > first + is_count and not is_adjective(words[i - 1].text):
            yield _Thing(first, i, is_count)


def _is_small(words: Sequence[_Word], i: int) -> bool:
    """Whether this word is of no thing: an article, a verb, a place, an order, a join."""
    text = words[i].text
    if text in DETERMINERS | COPULAS | _JOINS or text in ORDERS:
        return True
    if _relation_at(words, i):
        return True
    # "A light", "three crosses": behind an article or looks a word that could be a verb is a noun.
    before = words[i - 1].text if i else ""
    is_named = before in DETERMINERS | NUMBERS or is_adjective(before)
    if (_moves(words, i) or text in DOINGS) and not is_named:
        return True
    return text in _PARTICLES


def _moves(words: Sequence[_Word], i: int) -> bool:
    """Whether a verb of motion stands here: "moves", and "move" behind a plural."""
    text = words[i].text
    return is_move(text) or (text in MOVES and i > 0 and is_plural(words[i - 1].text))


def _relation_at(words: Sequence[_Word], i: int) -> int:
    """Words of the relation that begins here; 0 for none."""
    for relation in RELATIONS:
        if tuple(word.text for word in words[i : i + len(relation)]) == relation:
            return len(relation)
    return 0


def _entities(text: str, words: Sequence[_Word], things: Sequence[_Thing]) -> Iterator[Unit]:
    for thing in things:
        if words[thing.stop - 1].text not in _PRONOUNS:
            kind = "count" if thing.is_count else "entity"
            yield _unit(text, words, thing.first, thing.stop, kind)


def _relations(text: str, words: Sequence[_Word], things: Sequence[_Thing]) -> Iterator[Unit]:
    """A thing, "is" or nothing, words of place, an article or none, a thing."""
    for one, other in itertools.pairwise(things):
        i = one.stop
        while i < other.first and words[i].text in COPULAS:
            i += 1
        length = _relation_at(words, i) or words[i].text in DOINGS if i < other.first else 0
        if not length or any(word.opens for word in words[one.stop : other.first + 1]):
            continue
        if all(word.text in DETERMINERS for word in words[i + length : other.first]):
            # Counts are units of their own: here the things are meant, however many.
            subject = _text_of(text, words, one.first + one.is_count, one.stop)
            where = _text_of(text, words, i, i + length)
            target = _text_of(text, words, other.first + other.is_count, other.stop)
            whole = _unit(text, words, one.first + one.is_count, other.stop, "relation")
            yield Unit(whole.text, "relation", whole.start, whole.end, (subject, where, target))


def _actions(text: str, words: Sequence[_Word], things: Sequence[_Thing]) -> Iterator[Unit]:
    """A thing, "is" or nothing, a verb of motion, and a direction behind it."""
    for thing in things:
        i = thing.stop
        while i < len(words) and words[i].text in COPULAS and not words[i].opens:
            i += 1
        if i >= len(words) or not _moves(words, i) or words[i].opens:
            continue
        stop = i + 1
        directions = ("left", "right", "up", "down", "in", "out", "away", "to", "the", "from")
        while stop < len(words) and words[stop].text in directions and not words[stop].opens:
            if _relation_at(words, stop) > 1:
                break
            stop += 1
        while words[stop - 1].text in ("to", "the", "from"):
            stop -= 1
        yield _unit(text, words, thing.first, stop, "action")


def _orders(text: str, words: Sequence[_Word], units: Sequence[Unit]) -> Iterator[Unit]:
    """Two things or actions with a word of order between them."""
    actions = [unit for unit in units if unit.kind == "action"]
    still = [
        unit
        for unit in units
        if unit.kind in ("entity", "count") and all(unit.start != a.start for a in actions)
    ]
    happenings = sorted([*actions, *still], key=lambda unit: unit.start)
    for one, other in itertools.pairwise(happenings):
        between = [w for w in words if one.end <= w.start and w.end <= other.start]
        told = [w.text for w in between if w.text in ORDERS]
        others = [w for w in between if w.text not in DETERMINERS | {"and", *ORDERS}]
        if len(told) == 1 and not others:
            parts = (one.text, told[0], other.text)
            yield Unit(text[one.start : other.end], "temporal", one.start, other.end, parts)


def _unit(text: str, words: Sequence[_Word], first: int, stop: int, kind: UnitKind) -> Unit:
    start, end = words[first].start, words[stop - 1].end
    return Unit(text[start:end], kind, start, end)


def _text_of(text: str, words: Sequence[_Word], first: int, stop: int) -> str:
    return text[words[first].start : words[stop - 1].end]


def is_plural(word: str) -> bool:
    """Whether a noun may stand for several; by its ending, and "men" and the like.

    Example:
        >>> is_plural("stars"), is_plural("cross"), is_plural("children")
        (True, False, True)
    """
    return word in ("men", "women", "people", "children") or (
        word.endswith("s") and not word.endswith(("ss", "us", "is")) and is_noun(word)
    )

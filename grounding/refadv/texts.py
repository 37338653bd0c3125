"""Sentences from programs: several templates, synonyms, and which descriptor each word speaks of.

Scope is never left open: what is ranked is named first ("of the red squares, the one that was first
to move left"), and a clause with a landmark comes last.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmreason.grounding.refadv.programs import ATTRIBUTES, EVENTS, Clause, Program

TEMPLATES = 4
_ADJECTIVES = ("size", "colour", "pattern")
"""In the order in which they stand before a noun."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "large": ("large", "big"),
    "small": ("small", "little"),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "spotted"),
    "plain": ("plain", "unpatterned"),
    "circle": ("circle", "disc"),
    "ring": ("ring", "hoop"),
    "thing": ("thing", "object"),
    "purple": ("purple", "violet"),
}
_RELATIONS = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "higher up than"),
    "below": ("below", "lower down than"),
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_RANKS = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_SIDES = {
    "left": ("leftmost", "from the left"),
    "right": ("rightmost", "from the right"),
    "top": ("topmost", "from the top"),
    "bottom": ("bottommost", "from the bottom"),
}

Token = tuple[str, str]
"""A word and the name of the descriptor that it speaks of, "" for words of grammar."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Which template and which synonyms. `seed` None takes the first of each."""

    template: int = 0
    seed: int | None = None

    def choose(self, key: str, options: Sequence[str]) -> str:
        if self.seed is None:
            return options[0]
        # The same word all through one text and all its variants.
        return options[zlib.crc32(f"{self.seed}/{key}".encode()) % len(options)]


def write_text(program: Program, wording: Wording = Wording()) -> str:
    """The sentence of a program.

    Example:
        >>> square = Program((Clause("colour", "red"), Clause("shape", "square")))
        >>> [write_text(square, Wording(template)) for template in range(3)]
        ['the red square', 'the square that is red', 'of the squares, the red one']
    """
    return join_tokens(write_tokens(program, wording))


def join_tokens(tokens: Iterable[Token]) -> str:
    """Words with blanks between, marks of punctuation at their word."""
    return " ".join(word for word, _ in tokens).replace(" ,", ",")


def write_tokens(program: Program, wording: Wording = Wording()) -> list[Token]:
    """The words of a program's sentence, each with its descriptor."""
    parts = _sort_clauses(program)
    if program.pick is not None:
        return _write_picked(program, parts, wording)
    if program.quantifier == "every":
        opening = (["every"], ["each"], ["all", "of", "the"], ["every", "single"])
        words = opening[wording.template % TEMPLATES]
        plural = len(words) > 2
        return [*_plain(*words), *_noun_phrase(parts, wording, plural=plural)]
    has_noun = bool(parts.noun)
    adjectives = len(parts.adjectives)
    template = wording.template % TEMPLATES
    # The sentence of every template says the same; where one needs more words, the first is taken.
    if template == 1 and adjectives and not parts.later:
        moved = _Parts((), parts.noun, (*parts.adjectives, *parts.later))
        return [*_plain("the"), *_noun_phrase(moved, wording)]
    if template == 2 and has_noun and adjectives and not parts.later:
        front = _Parts((), parts.noun, ())
        return [
            *_plain("of", "the"), *_noun_phrase(front, wording, plural=True), *_plain(",", "the"),
            *_front_words(parts.adjectives, wording), *_plain("one"),
        ]  # fmt: skip
    if template == 3 and parts.later and not any(c.landmark for _, c in parts.later):
        front = _Parts(parts.adjectives, parts.noun, ())
        return [
            *_plain("of", "the"), *_noun_phrase(front, wording, plural=True),
            *_plain(",", "the", "one"), *_that_words(parts.later, wording),
        ]  # fmt: skip
    return [*_plain("the"), *_noun_phrase(parts, wording)]


Named = tuple[str, Clause]


@dataclass(frozen=True, slots=True)
class _Parts:
    """Clauses by where they stand in a sentence."""

    adjectives: tuple[Named, ...]
    noun: tuple[Named, ...]
    later: tuple[Named, ...]
    """After the noun: what is negated or contrasted, events, and landmarks last of all."""


def _sort_clauses(program: Program, prefix: str = "") -> _Parts:
    named = [(f"{prefix}{index}", clause) for index, clause in enumerate(program.clauses)]
    simple = [n for n in named if n[1].kind in ATTRIBUTES and not _is_late(n[1])]
    adjectives = sorted(
        (n for n in simple if n[1].kind != "shape"), key=lambda n: _ADJECTIVES.index(n[1].kind)
    )
    late = [n for n in named if n not in simple]
    # Nothing may follow a landmark, or it would seem to speak of the landmark.
    late.sort(key=lambda n: (n[1].landmark is not None, n[1].kind in EVENTS))
    return _Parts(tuple(adjectives), tuple(n for n in simple if n[1].kind == "shape"), tuple(late))


def _is_late(clause: Clause) -> bool:
    return clause.negated or bool(clause.rather_than)


def _plain(*words: str) -> list[Token]:
    return [(word, "") for word in words]


def _tag(text: str, name: str) -> list[Token]:
    return [(word, name) for word in text.split()]


def _front_words(adjectives: Iterable[Named], wording: Wording) -> list[Token]:
    tokens: list[Token] = []
    for name, clause in adjectives:
        tokens += _tag(_value_word(clause.value, wording), name)
    return tokens


def _value_word(value: str, wording: Wording) -> str:
    return wording.choose(value, SYNONYMS.get(value, (value,)))


def _noun_phrase(parts: _Parts, wording: Wording, *, plural: bool = False) -> list[Token]:
    """Adjectives, noun and what follows, without an article."""
    tokens = _front_words(parts.adjectives, wording)
    name, noun = "", "thing"
    if parts.noun:
        name, noun = parts.noun[0][0], parts.noun[0][1].value
    noun = _value_word(noun, wording)
    if plural:
        noun += "es" if noun.endswith("s") else "s"
    tokens.append((noun, name))
    return tokens + _that_words(parts.later, wording, plural=plural)


def _that_words(later: Sequence[Named], wording: Wording, *, plural: bool = False) -> list[Token]:
    """`that is not striped and moves left`."""
    tokens: list[Token] = []
    simple = [named for named in later if named[1].kind in ATTRIBUTES]
    for index, (name, clause) in enumerate(later):
        predicate = _predicate(name, clause, wording, plural)
        if 0 < index < len(simple):
            # "that is large, red and striped": one verb for all.
            tokens += _plain("and" if index == len(simple) - 1 else ",")
            tokens += predicate[1:]
        else:
            tokens += _plain("and", "that") if index else _plain("that")
            tokens += predicate
    return tokens


def _predicate(name: str, clause: Clause, wording: Wording, plural: bool) -> list[Token]:
    """What follows "that"."""
    be = "are" if plural else "is"
    if clause.kind in ATTRIBUTES:
        value = _value_word(clause.value, wording)
        article = "a " if clause.kind == "shape" and not plural else ""
        if clause.kind == "shape" and plural:
            value += "es" if value.endswith("s") else "s"
        if clause.rather_than:
            other = article + _value_word(clause.rather_than, wording)
            joint = wording.choose("contrast", ("rather than", "and not"))
            return [*_plain(be), *_tag(f"{article}{value} {joint} {other}", name)]
        negation = "not " if clause.negated else ""
        return [*_plain(be), *_tag(f"{negation}{article}{value}", name)]
    if clause.kind == "relation":
        phrase = wording.choose(f"rel {clause.value}", _RELATIONS[clause.value])
        return [*_plain(be), *_tag(phrase, name), *_landmark(name, clause, wording)]
    if clause.kind == "same":
        verb = wording.choose("same", (f"{be} of", "have" if plural else "has"))
        landmark = _landmark(name, clause, wording)
        return [*_plain(*verb.split()), *_tag(f"the same {clause.value} as", name), *landmark]
    if clause.kind == "count":
        attribute, number = clause.value.split()
        count = _NUMBERS[int(number)]
        phrase = wording.choose(
            "count", ("one of exactly {} things of the same", "in a group of exactly {} of one")
        )
        phrase = f"{phrase.format(count)} {attribute}"
        return [*_plain(be), *_tag(phrase, name)]
    return _event_words(name, clause, wording, plural)


def _landmark(name: str, clause: Clause, wording: Wording) -> list[Token]:
    assert clause.landmark is not None
    parts = _sort_clauses(clause.landmark, f"{name}.")
    return [*_plain("the"), *_noun_phrase(parts, wording)]


def _event_words(name: str, clause: Clause, wording: Wording, plural: bool) -> list[Token]:
    verb, after = _event_verb(clause, wording)
    if clause.negated:
        return _tag(f"{'do' if plural else 'does'} not {verb} {after}", name)
    if not plural:
        verb += "es" if verb in ("go", "pass") else "s"
    tokens = _tag(f"{verb} {after}", name)
    if clause.landmark is not None:
        tokens += _landmark(name, clause, wording)
    if clause.kind in ("before", "after"):
        done = {"moves": "moves", "turns": "changes colour"}[clause.value]
        tokens += _tag(done, name)
    return tokens


def _event_verb(clause: Clause, wording: Wording) -> tuple[str, str]:
    """Plain form of the verb, and what follows it."""
    if clause.kind == "moves":
        return wording.choose("move", ("move", "travel")), clause.value
    if clause.kind == "enters":
        return "come", f"in from the {clause.value}"
    if clause.kind == "leaves":
        return "go", f"out to the {clause.value}"
    if clause.kind == "turns":
        return "turn", clause.value
    if clause.kind == "touches":
        return "come", "to touch"
    if clause.kind in ("before", "after"):
        return "move", "before" if clause.kind == "before" else "only after"
    return "pass", "in front of"


def _write_picked(program: Program, parts: _Parts, wording: Wording) -> list[Token]:
    """Names what is ranked first, then the rank."""
    assert program.pick is not None
    in_time = program.pick.by in ("first", "last")
    event = [n for n in parts.later if n[1].kind in EVENTS] if in_time else []
    group = _Parts(parts.adjectives, parts.noun, tuple(n for n in parts.later if n not in event))
    opening = (("of", "the"), ("among", "the"), ("of", "all", "the"), ("among", "all", "the"))
    tokens = [
        *_plain(*opening[wording.template % TEMPLATES]),
        *_noun_phrase(group, wording, plural=True),
        *_plain(",", "the"),
    ]
    rank = _RANKS[program.pick.rank]
    if not in_time:
        superlative, side = _SIDES[program.pick.by]
        if program.pick.rank == 1 and wording.template % 2 == 0:
            return [*tokens, *_tag(superlative, "pick"), *_plain("one")]
        return [*tokens, *_tag(f"{rank} {side}", "pick")]
    if program.pick.rank > 1:
        joint = f"{rank} to last" if program.pick.by == "last" else rank
    else:
        joint = program.pick.by
    name, verb, after = "", "move", ""
    if event:
        name = event[-1][0]
        verb, after = _event_verb(event[-1][1], wording)
    if wording.template in (1, 2):
        return [*tokens, *_tag(joint, "pick"), *_plain("one", "to"), *_tag(f"{verb} {after}", name)]
    return [
        *tokens, *_plain("one", "that", "was"), *_tag(joint, "pick"), *_plain("to"),
        *_tag(f"{verb} {after}", name),
    ]  # fmt: skip

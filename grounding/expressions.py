"""What a referring expression says: the thing, what is told of it, and when. By rules, pure.

The rules read English: a noun phrase, what stands before and behind its noun, and a clause of time.
They are no grammar: what they cannot read is told in `notes`, and never dropped. A phrase that may
belong to two nouns ("the man with the dog on the left") is read as one of the first.

    parse_expression("the striped dog that runs left before the bell rings").head   # "dog"
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mmreason.grounding.expression_words import (
    BEFORE_VERBS,
    COLOURS,
    COMPARES,
    COPULAS,
    DETERMINERS,
    FILLERS,
    FOREIGN,
    INTENSIFIERS,
    MOVES,
    NEGATIONS,
    NOUNS_TOO,
    NUMBERS,
    OPENERS,
    ORDERS,
    PARTS_OF,
    PATTERNS,
    PLACES,
    PRONOUNS,
    RELATIVES,
    SHADES,
    SIDES,
    SIZES,
    is_move,
    is_noun,
    is_participle,
)

DescriptorKind = Literal[
    "colour", "size", "pattern", "relation", "motion", "order", "negation", "other"
]
MOST_CHARACTERS = 2_000
"""Of an expression."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One thing that an expression tells of its object.

    Example:
        >>> Descriptor("not red", "colour", negated=True).text
        'not red'
    """

    text: str
    """As written, with its negation and without "that is"."""
    kind: DescriptorKind
    """What it speaks of, negated or not; "negation" where it denies something of no other kind, as
    "without a hat" does."""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Expression:
    """A referring expression, taken apart.

    Example:
        >>> expression = parse_expression("the small red star")
        >>> expression.noun_phrase, len(expression.descriptors)
        ('small red star', 2)
    """

    text: str
    """As written, without white space around it."""
    head: str
    """The noun that names the kind of thing; the whole text where the rules cannot tell."""
    descriptors: tuple[Descriptor, ...] = ()
    """In the order written."""
    temporal: str = ""
    """When it holds: "before the bell rings", "last"; empty where nothing is said of time."""
    notes: tuple[str, ...] = ()
    """What could not be read."""

    @property
    def noun_phrase(self) -> str:
        """Looks and kind alone, as detectors take them: colours, sizes and patterns that are single
        words and not negated, in the order written, and the head."""
        looks = [
            descriptor.text
            for descriptor in self.descriptors
            if descriptor.kind in ("colour", "size", "pattern")
            and not descriptor.negated
            and " " not in descriptor.text
        ]
        return " ".join([*looks, self.head])


_TIME_CLAUSE = re.compile(
    r"\b(?:while|when|whenever|before|after|during|until|till|throughout"
    r"|(?:once|as|since) (?=(?:the|an?|he|she|it|they|his|her|its|their)\b)"
    r"|at the (?:very )?(?:start|beginning|end)\b"
    r"|(?:in|for) the (?:first|last|next) \w+ (?:seconds?|minutes?|frames?)"
    r"|between (?=\d))",
    re.IGNORECASE,
)
_FRONT_CLAUSE = re.compile(
    r"^(?:while|when|before|after|during|until|once|as|at the (?:start|beginning|end))\b[^,]*,",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*|[,;]")
_FOREIGN_SHARE = 0.3
"""Of letters outside ASCII: beyond it a text is taken to be of another language."""


def parse_expression(text: str) -> Expression:
    """Take an expression apart by rules. Raises ValueError for an empty text, and for one longer
    than `MOST_CHARACTERS`.

    Example:
        >>> expression = parse_expression("the dog in red that is not running, before the bell")
        >>> expression.head, expression.temporal
        ('dog', 'before the bell')
        >>> [(d.text, d.kind, d.negated) for d in expression.descriptors]
        [('in red', 'colour', False), ('not running', 'motion', True)]
    """
    text = " ".join(text.split())
    if not text:
        raise ValueError("the expression is empty; say what to find, such as 'the red cup'")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(
            f"the expression has {len(text):,} characters, the limit is {MOST_CHARACTERS:,}"
        )
    # One apostrophe for both that people type.
    body, clause = _split_clause(text.replace("\u2019", "'").rstrip(".?! "))
    tokens = _TOKEN.findall(_expand_negations(body))
    if _is_foreign(body, tokens):
        note = "the rules read English alone; the whole expression is taken as the name of a thing"
        return Expression(text=text, head=text, notes=(note,))
    noun_words, phrases = _split_phrases(tokens)
    notes: list[str] = []
    head, before = _read_noun(noun_words, notes)
    if (not head or head.lower() in PARTS_OF) and phrases and phrases[0][0].lower() == "of":
        # "A pair of red shoes" is about shoes, and "the biggest of the dogs" about dogs.
        noun_words, of_phrases = _split_phrases(phrases.pop(0)[1:])
        head, adjectives = _read_noun(noun_words, notes)
        before, phrases = [*before, *adjectives], [*of_phrases, *phrases]
    if not head or head.lower() in PRONOUNS:
        name = f"{head!r} names no kind of thing" if head else "the rules found no noun"
        notes.append(f"{name}; any object may be meant")
        head = "object"
    unread = [" ".join(phrase) for phrase in phrases if not _content(phrase)]
    notes += [f"the rules could not read {text_part!r}" for text_part in unread]
    descriptors = [_describe(phrase) for phrase in [*before, *phrases] if _content(phrase)]
    temporal = ", ".join([*_orders_in_time(descriptors), *filter(None, [clause])])
    return Expression(text, head, tuple(descriptors), temporal, tuple(notes))


def _split_clause(text: str) -> tuple[str, str]:
    """The text without its clause of time, and that clause."""
    front = _FRONT_CLAUSE.match(text)
    if front is not None and text[front.end() :].strip():
        return text[front.end() :].strip(), text[: front.end() - 1].strip()
    for match in _TIME_CLAUSE.finditer(text):
        before = text[: match.start()].rstrip(" ,;")
        # "As large as the car" compares, and so does "the same as".
        is_compared = match.group().lower().startswith("as ") and re.search(
            r"\b(?:as \S+|same(?: \S+)?|such)$", before, re.IGNORECASE
        )
        if before and not is_compared:
            return before, text[match.start() :].strip(" ,;")
    return text, ""


def _expand_negations(text: str) -> str:
    """`isn't` -> `is not`, `non-red` -> `non red`."""
    text = re.sub(r"\bcan't\b", "cannot", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\w)n't\b", " not", text, flags=re.IGNORECASE)
    return re.sub(r"\bnon-(?=\w)", "non ", text, flags=re.IGNORECASE)


def _is_foreign(text: str, tokens: Sequence[str]) -> bool:
    letters = [character for character in text if character.isalpha()]
    if not letters or not tokens:
        return True
    foreign_count = sum(not character.isascii() for character in letters)
    # "Die" is English too, but no English noun phrase of several words begins with it.
    is_article = len(tokens) > 1 and tokens[0].lower() in FOREIGN
    return is_article or foreign_count > _FOREIGN_SHARE * len(letters)


def _split_phrases(tokens: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Words of the noun phrase, and those of each phrase behind it."""
    noun: list[str] = []
    phrases: list[list[str]] = []
    joint = ""
    for i, word in enumerate(tokens):
        if word in (",", ";") or word.lower() in ("and", "but"):
            joint = word
            continue
        if _opens(tokens, i, noun, phrases[-1] if phrases else None, bool(joint)):
            phrases.append([word])
        elif not phrases:
            noun.append(word)
        else:
            # "Between the man and the dog" is one phrase.
            phrases[-1] += [joint, word] if joint not in ("", ",", ";") else [word]
        joint = ""
    return noun, phrases


def _opens(
    tokens: Sequence[str], i: int, noun: Sequence[str], phrase: Sequence[str] | None, joined: bool
) -> bool:
    """Whether word `i` begins a phrase of its own."""
    word = tokens[i].lower()
    if phrase is None:
        has_noun = any(is_noun(w) for w in noun)
        if not has_noun:
            following = tokens[i + 1].lower() if i + 1 < len(tokens) else ""
            # "That" before a verb is no article, as in "that leaves first".
            is_relative = word in RELATIVES and (
                bool(noun) or is_move(following) or following in COPULAS | NEGATIONS
            )
            return is_relative or word in PLACES - SIDES | OPENERS
        return (
            word in RELATIVES | OPENERS | PLACES | NEGATIONS | COPULAS | COMPARES
            or is_participle(word)
            or is_move(word)
            or word in PATTERNS | COLOURS
        )
    first = phrase[0].lower()
    if not _content(phrase):
        return False  # "who is not" is no phrase yet
    if word in OPENERS or (word in RELATIVES and not joined and first not in NEGATIONS):
        return True
    if joined:
        return (
            word in RELATIVES | COPULAS | NEGATIONS | COLOURS | SIZES | PATTERNS
            or (word in PLACES and not _is_name_behind(tokens, i))
            or is_participle(word)
            or is_move(word)
        )
    if first in RELATIVES or is_move(first) or is_participle(first):
        return False
    following = [w.lower() for w in tokens[i + 1 : i + 3]]
    is_side = word in ("on", "at", "in") and bool(SIDES & set(following))
    is_clothed = word == "in" and bool(following) and following[0] in COLOURS | SHADES
    is_place = word in PLACES - {"of", "to", "from"} and first not in PLACES | NEGATIONS
    is_place = is_place and tokens[i - 1].lower() not in PLACES | DETERMINERS
    return is_side or is_clothed or is_place or (is_participle(word) and first in PLACES)


def _is_name_behind(tokens: Sequence[str], i: int) -> bool:
    """Whether a word that may be a place is an adjective here, as in "and left shoe"."""
    return tokens[i].lower() in SIDES and i + 1 < len(tokens) and is_noun(tokens[i + 1])


def _read_noun(tokens: Sequence[str], notes: list[str]) -> tuple[str, list[list[str]]]:
    """The head of a noun phrase, and the words of each adjective before it."""
    if any(word.lower() in NUMBERS for word in tokens):
        notes.append("the expression speaks of several things")
    tokens = [word for word in tokens if word.lower() not in DETERMINERS | NUMBERS]
    start = len(tokens)
    # Nouns before a noun are part of its name: a traffic light.
    while start and (
        is_noun(tokens[start - 1])
        or (start == len(tokens) and tokens[start - 1].lower() in NOUNS_TOO)
    ):
        start -= 1
    adjectives: list[list[str]] = []
    pending: list[str] = []
    for word in tokens[:start]:
        pending.append(word)
        if word.lower() not in INTENSIFIERS | NEGATIONS:
            adjectives.append(pending)
            pending = []
    if pending:
        # A shade without a colour is a look of its own: a dark coat.
        adjectives.append(pending)
    return " ".join(tokens[start:]), adjectives


def _describe(phrase: Sequence[str]) -> Descriptor:
    tokens = list(phrase)
    if tokens[0].lower() in RELATIVES - {"whose"}:
        tokens = tokens[1:]
    # "That is red" and "is red" both tell "red"; "has a hat" tells more than "a hat".
    if len(tokens) > 1 and tokens[0].lower() in ("is", "are", "was", "were", "being", "'s"):
        tokens = tokens[1:]
    negations = sum(word.lower() in NEGATIONS for word in tokens)
    is_other = [w.lower() for w in tokens[:2]] == ["other", "than"]
    negated = (negations + is_other) % 2 == 1
    kind = _find_kind([word.lower() for word in tokens], negated)
    return Descriptor(" ".join(tokens), kind, negated)


def _find_kind(tokens: Sequence[str], negated: bool) -> DescriptorKind:
    content = _content(tokens)
    lexicons: tuple[tuple[DescriptorKind, frozenset[str]], ...] = (
        ("colour", COLOURS | SHADES | {"in", "coloured", "colored"}),
        ("size", SIZES),
        ("pattern", PATTERNS | {"with"}),
    )
    for kind, lexicon in lexicons:
        if content and all(word in lexicon for word in content):
            return kind
    # "In the first row" is a place.
    if any(word in ORDERS for word in tokens) and content[0] not in PLACES:
        return "order"
    # After an auxiliary a verb has no ending: "does not move", "to leave".
    bare = [w for before, w in itertools.pairwise(tokens) if before in BEFORE_VERBS]
    if "still" in tokens or any(map(is_move, tokens)) or not MOVES.isdisjoint(bare):
        return "motion"
    # "Larger than the ring" compares sizes, wherever the ring is.
    if content and content[0] in SIZES:
        return "size"
    if content and (content[0] in PLACES | SIDES or any(w in ("left", "right") for w in content)):
        return "relation"
    if negated:
        return "negation"
    return "relation" if any(word in PLACES - {"of", "to"} for word in content[1:]) else "other"


def _content(tokens: Sequence[str]) -> list[str]:
    return [w.lower() for w in tokens if w.lower() not in FILLERS | NEGATIONS]


def _orders_in_time(descriptors: Sequence[Descriptor]) -> Iterator[str]:
    """Words such as "last" that are about time: not those about places, such as "second from the
    left"."""
    if any(d.kind == "relation" for d in descriptors):
        return
    for descriptor in descriptors:
        if descriptor.kind == "order" and not {"left", "right", "from"} & set(
            descriptor.text.split()
        ):
            yield from (w for w in descriptor.text.lower().split() if w in ORDERS)
